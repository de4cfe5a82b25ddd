//! The pages of the web UI, and logging in to them. Everything is part of the program: no page asks another host for anything.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::audit::{Event, Record};
use crate::control::auth::Peer;
use crate::control::browser::{Lasts, same_origin};
use crate::control::extract::Body;
use crate::control::problem::Problem;
use crate::control::proof::Proof;
use crate::control::server::Shared;

/// One file of the pages.
#[derive(Clone, Copy, Debug)]
pub struct File {
    pub path: &'static str,
    kind: &'static str,
    text: &'static str,
}

/// All of them.
pub const FILES: [File; 9] = [
    File { path: "/", kind: "text/html; charset=utf-8", text: include_str!("../web/index.html") },
    File { path: "/app.css", kind: "text/css; charset=utf-8", text: include_str!("../web/app.css") },
    File { path: "/app.js", kind: "text/javascript; charset=utf-8", text: include_str!("../web/app.js") },
    File { path: "/api.js", kind: "text/javascript; charset=utf-8", text: include_str!("../web/api.js") },
    File { path: "/dom.js", kind: "text/javascript; charset=utf-8", text: include_str!("../web/dom.js") },
    File { path: "/requests.js", kind: "text/javascript; charset=utf-8", text: include_str!("../web/requests.js") },
    File { path: "/oversight.js", kind: "text/javascript; charset=utf-8", text: include_str!("../web/oversight.js") },
    File { path: "/standing.js", kind: "text/javascript; charset=utf-8", text: include_str!("../web/standing.js") },
    File { path: "/icon.svg", kind: "image/svg+xml", text: include_str!("../web/icon.svg") },
];

/// Nothing but our own files, and nothing inside of the page itself.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

impl File {
    /// The file as it is sent.
    pub fn answer(self) -> Response {
        let mut response = self.text.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        response
    }
}

/// A token, to log in with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    token: String,
}

/// Whether the browser that calls has a session, and where it can log in besides here: a page that asks first is not refused.
pub async fn standing(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Json<serde_json::Value> {
    let directory = shared.directory.load();
    let session = shared.browsers.find(&headers, Instant::now());
    let standing = session.and_then(|session| directory.standing_of(&session.proof, shared.clock.now()));
    let start = directory.provider.as_ref().map(|provider| provider.offer().start_url);
    Json(serde_json::json!({ "session": standing.is_some(), "oidc": start }))
}

/// Begins a browser's session. From a page of ours alone: nobody is to be logged in as somebody else by another site.
pub async fn login(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    Body(Login { token }): Body<Login>,
) -> Result<Response, Problem> {
    let (now, address) = (Instant::now(), peer.address());
    if let Some(seconds) = shared.limiter.wait(address.ip(), now) {
        return Err(Problem::too_many("too many failed authentications from this address", seconds));
    }
    same_origin(&headers, &uri)?;
    let directory = shared.directory.load();
    let Some((user, hash)) = directory.user_by_token(token.trim()) else {
        shared.limiter.failed(address.ip(), now);
        return Err(Problem::unauthenticated());
    };
    let mut record = Record::new(shared.clock.now(), Event::ControlLogin);
    record.principal = Some(user.principal.name.clone());
    record.groups.clone_from(&user.principal.groups);
    record.client_addr = Some(address.to_string());
    record.detail = Some("a browser, by a control token".to_owned());
    shared.journal.record(record).await?;
    shared.browsers.end(&headers);
    let cookie = shared.browsers.begin(Proof::Token(hash.clone()), Lasts::default(), now);
    let cookie = cookie.map_err(|_| Problem::internal())?;
    Ok((StatusCode::OK, [(header::SET_COOKIE, cookie)], Json(serde_json::json!({ "name": user.principal.name })))
        .into_response())
}

/// Ends a browser's session.
pub async fn logout(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    // Read to its end, though there is nothing in it: not every client takes an answer before that.
    _body: bytes::Bytes,
) -> Result<Response, Problem> {
    same_origin(&headers, &uri)?;
    if let Some(session) = shared.browsers.find(&headers, Instant::now()) {
        let mut record = Record::new(shared.clock.now(), Event::ControlLogout);
        let directory = shared.directory.load();
        record.principal = match &session.proof {
            Proof::Token(hash) => directory.user_by_hash(hash).map(|user| user.principal.name.clone()),
            Proof::Provider(arrival) => Some(arrival.principal.name.clone()),
            // No browser's session stands on these.
            Proof::Replica(_) | Proof::Peer(_) => None,
        };
        record.client_addr = Some(peer.address().to_string());
        shared.journal.record(record).await?;
    }
    let cookie = shared.browsers.end(&headers);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}
