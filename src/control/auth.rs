//! Who calls: the bearer token, and what its owner may see. Every route under `/v1` but the API's description passes here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::extract::{Extension, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use super::browser::BrowserSession;
use super::directory::Directory;
use super::elsewhere;
use super::extract::MAX_BODY;
use super::problem::Problem;
use super::proof::{Arrival, Proof};
use super::provider::ProviderError;
use super::server::Shared;
use crate::access::{Grant, Principal};
use crate::desk::Actor;
use crate::store::Wanted;

/// The socket's other end, and whether it ever showed a valid token.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    known: Arc<AtomicBool>,
}

impl Peer {
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, known: Arc::default() }
    }

    /// The socket's other end.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a call on this connection had a valid token.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }
}

/// An authenticated caller. Only [`authenticate`] makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Principal,
    /// What the caller showed.
    proof: Proof,
    peer: SocketAddr,
    admin: bool,
    auditor: bool,
    /// The browser's session; none of a caller with a token.
    session: Option<BrowserSession>,
}

impl Caller {
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.principal.name
    }

    /// What the caller showed, to see later whether it still counts.
    #[must_use]
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    #[must_use]
    pub fn session(&self) -> Option<&BrowserSession> {
        self.session.as_ref()
    }

    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    #[must_use]
    pub fn is_auditor(&self) -> bool {
        self.auditor
    }

    /// Whether another replica calls for whoever it is.
    #[must_use]
    pub fn is_on_behalf(&self) -> bool {
        matches!(self.proof, Proof::Replica(_) | Proof::Peer(_))
    }

    /// Whether it is another replica itself.
    #[must_use]
    pub fn is_replica(&self) -> bool {
        matches!(self.proof, Proof::Peer(_))
    }

    /// The caller at the desk.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { principal: self.principal.clone(), address: self.peer.to_string(), admin: self.admin }
    }

    /// Own grants, those of scopes that the caller approves, and for administrators all. Who may see one may end it:
    /// giving up access needs nobody's leave, and who may open a door may shut it.
    #[must_use]
    pub fn may_end_grant(&self, grant: &Grant) -> bool {
        self.actor().sees(&grant.principal, &grant.scope)
    }

    /// The same, for a listing of requests or grants.
    #[must_use]
    pub fn may_see(&self) -> Wanted {
        let actor = self.actor();
        Box::new(move |principal, scope| actor.sees(principal, scope))
    }

    /// Own sessions, and for administrators all.
    #[must_use]
    pub fn may_end_session(&self, principal: &str) -> bool {
        self.admin || principal == self.principal.name
    }
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Problem;

    /// What [`authenticate`] found; a route that it does not guard knows no caller.
    async fn from_request_parts(parts: &mut Parts, _shared: &Arc<Shared>) -> Result<Self, Problem> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(Problem::unauthenticated)
    }
}

/// Lets a call through only with a token whose hash the directory knows.
///
/// # Errors
/// 401 without one, 429 after too many from one address.
pub async fn authenticate(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (now, address) = (Instant::now(), peer.address);
    if let Some(seconds) = shared.limiter.wait(address.ip(), now) {
        return Err(Problem::too_many("too many failed authentications from this address", seconds));
    }
    let call = (request.headers(), request.method(), request.uri());
    let identified = match identify(&shared, call, address, now).await {
        Ok(identified) => identified,
        Err(problem) => {
            // Who has a session is answered behind what they send: not every client takes an answer before that.
            let _ = axum::body::to_bytes(request.into_body(), MAX_BODY).await;
            return Err(problem);
        }
    };
    let Some(caller) = identified else {
        shared.limiter.failed(address.ip(), now);
        shared.metrics.strangers.inc();
        tracing::warn!(%address, "a call to the control port had no valid token");
        return Err(Problem::unauthenticated());
    };
    peer.known.store(true, Ordering::Relaxed);
    // The path names things by id; the query may hold what is searched for, and stays out of the log.
    let (principal, method, path) =
        (caller.name().to_owned(), request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    // For whoever records what was refused to whom.
    response.extensions_mut().insert(caller);
    let status = response.status().as_u16();
    if method.is_safe() {
        tracing::debug!(principal, %method, path, status, %address, "called");
    } else {
        tracing::info!(principal, %method, path, status, %address, "called");
    }
    Ok(response)
}

/// By a token, or by a browser's session where there is none.
async fn identify(
    shared: &Shared,
    (headers, method, uri): (&HeaderMap, &Method, &Uri),
    peer: SocketAddr,
    now: Instant,
) -> Result<Option<Caller>, Problem> {
    let directory = shared.directory.load_full();
    let (proof, session) = if headers.contains_key(header::AUTHORIZATION) {
        let Some(token) = bearer(headers) else { return Ok(None) };
        let proof = match by_token(&directory, token).await? {
            Some(proof) => Some(proof),
            None => by_replica(shared, token, (headers, method, uri)).await,
        };
        (proof, None)
    } else {
        let session = shared.browsers.find(headers, now);
        if let Some(session) = session.as_ref().filter(|_| !method.is_safe()) {
            session.check_own(headers, uri)?;
        }
        (session.as_ref().map(|session| session.proof.clone()), session)
    };
    let Some(proof) = proof else { return Ok(None) };
    Ok(directory.standing_of(&proof, shared.clock.now()).map(|principal| {
        let (admin, auditor) = (directory.is_admin(&principal), directory.is_auditor(&principal));
        Caller { proof, admin, auditor, principal, peer, session }
    }))
}

/// A token of another replica, which speaks for itself or for somebody who has shown it who they are.
async fn by_replica(
    shared: &Shared,
    token: &str,
    (headers, method, uri): (&HeaderMap, &Method, &Uri),
) -> Option<Proof> {
    let name = shared.replicas.as_ref()?.by_token(token).await?;
    if uri.path() == PEER_CANCEL {
        return Some(Proof::Peer(name.into()));
    }
    let principal = elsewhere::on_behalf(headers)?;
    elsewhere::may_be_on_behalf(method, uri.path()).then(|| Proof::Replica(Arc::new(principal)))
}

/// A token of ours, or one of the identity provider's.
async fn by_token(directory: &Directory, token: &str) -> Result<Option<Proof>, Problem> {
    if let Some((_, hash)) = directory.user_by_token(token) {
        return Ok(Some(Proof::Token(hash.clone())));
    }
    let Some(provider) = directory.provider.as_ref().filter(|_| is_jwt(token)) else { return Ok(None) };
    match provider.named(token).await {
        Ok(named) => {
            let (issuer, principal) = (provider.offer().issuer, directory.arrived(&named));
            Ok(Some(Proof::Provider(Arc::new(Arrival { issuer, named, principal, ends_with_token: true }))))
        }
        Err(ProviderError::Rejected(why)) => {
            tracing::warn!(why, "a token of the identity provider was refused");
            Ok(None)
        }
        Err(ProviderError::Unavailable(error)) => {
            tracing::error!(error, "a token of the identity provider cannot be verified");
            Err(Problem::unavailable("the identity provider cannot be asked", "try again in a moment"))
        }
    }
}

fn is_jwt(token: &str) -> bool {
    token.split('.').count() == 3
}

impl Shared {
    /// Whom a caller of some time ago stands for now, if still for anybody.
    pub fn still(&self, caller: &Caller) -> Option<Principal> {
        let goes_on = |session| self.browsers.goes_on(session, Instant::now());
        let is_in = caller.session.as_ref().is_none_or(goes_on);
        is_in.then(|| self.directory.load().standing_of(&caller.proof, self.clock.now())).flatten()
    }
}

/// The token of the one `Authorization: Bearer` header; two such headers are as good as none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() || value.len() > MAX_HEADER {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Where replicas hand cancel requests on.
pub const PEER_CANCEL: &str = "/v1/peers/cancel";

/// No token is longer: those of identity providers list groups.
const MAX_HEADER: usize = 16 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens_are_read_strictly() {
        let check = |values: &[&str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&headers), expected, "{values:?}");
        };
        check(&["Bearer pgw_x"], Some("pgw_x"));
        check(&["bearer pgw_x"], Some("pgw_x"));
        check(&[], None);
        check(&["pgw_x"], None);
        check(&["Basic cGc="], None);
        check(&["Bearer pgw_x", "Bearer pgw_y"], None);
        check(&[&format!("Bearer {}", "x".repeat(MAX_HEADER))], None);
    }
}
