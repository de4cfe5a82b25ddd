//! Logging in by an identity provider: a browser is sent there, comes back, and has a session. What it brings back is looked at
//! once, and only in the browser that set out.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::web::POLICY;
use crate::access::Principal;
use crate::audit::{Event, Record};
use crate::control::api::{LoginOptions, OidcLogin};
use crate::control::auth::Peer;
use crate::control::browser::Lasts;
use crate::control::departures::{Away, Departures};
use crate::control::extract::Params;
use crate::control::problem::Problem;
use crate::control::proof::{Arrival, Proof};
use crate::control::provider::{Named, Offer, ProviderError, Returned};
use crate::control::server::Shared;

/// How one can log in here, for programs.
pub async fn options(State(shared): State<Arc<Shared>>) -> Json<LoginOptions> {
    let offer = shared.directory.load().provider.as_ref().map(|provider| provider.offer());
    let oidc = offer.and_then(|offer| {
        let client = offer.command_line?;
        Some(OidcLogin { issuer: offer.issuer, client_id: client.client_id, scope: client.scope })
    });
    Json(LoginOptions { token: true, oidc })
}

/// Where to go after logging in.
#[derive(Deserialize)]
pub struct Start {
    next: Option<String>,
}

/// Sends a browser to the provider.
pub async fn start(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Params(Start { next }): Params<Start>,
) -> Result<Response, Refused> {
    let (now, address) = (Instant::now(), peer.address().ip());
    if let Some(seconds) = shared.limiter.wait(address, now) {
        return Err(Refused(Problem::too_many("too many failed authentications from this address", seconds)));
    }
    let provider = shared.directory.load().provider.clone();
    let provider = provider.ok_or_else(|| Refused(Problem::no_route()))?;
    let departure = provider.begin().await.map_err(|error| unavailable(&error))?;
    let url = HeaderValue::from_str(&departure.url).map_err(|_| Refused(Problem::internal()))?;
    let cookie = shared.departures.begin(departure, landing(next), address, now);
    let cookie = cookie.map_err(|_| Refused(Problem::internal()))?;
    let busy = || Refused(Problem::unavailable("too many logins are under way", "try again in a moment"));
    let cookie = cookie.ok_or_else(busy)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, url), (header::SET_COOKIE, cookie)]).into_response())
}

/// Takes a browser that comes back from the provider.
pub async fn returned(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Params(returned): Params<Returned>,
) -> Result<Response, Refused> {
    let (now, address) = (Instant::now(), peer.address());
    if let Some(seconds) = shared.limiter.wait(address.ip(), now) {
        return Err(Refused(Problem::too_many("too many failed authentications from this address", seconds)));
    }
    let away = shared.departures.end(&headers, now);
    let refuse = |why: &str| {
        shared.limiter.failed(address.ip(), now);
        tracing::warn!(%address, why, "a login by the identity provider was refused");
        Refused(Problem::login(why))
    };
    let Some(Away { departure, landing, .. }) = away else {
        return Err(refuse("it did not begin in this browser, or was used, or took too long"));
    };
    let state = returned.state.as_deref().unwrap_or_default();
    if !bool::from(state.as_bytes().ct_eq(departure.state.expose().as_bytes())) {
        return Err(refuse("its state is another login's"));
    }
    let directory = shared.directory.load_full();
    let provider = directory.provider.as_ref().ok_or_else(|| Refused(Problem::no_route()))?;
    let named = match provider.finish(&departure, &returned).await {
        Ok(named) => named,
        Err(ProviderError::Rejected(why)) => return Err(refuse(&why)),
        Err(error @ ProviderError::Unavailable(_)) => return Err(unavailable(&error)),
    };
    let principal = directory.arrived(&named);
    record(&shared, &principal, address).await?;
    let cookie = begin(&shared, provider.offer(), named, principal, now)?;
    let to = HeaderValue::from_str(&landing).map_err(|_| Refused(Problem::internal()))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response.headers_mut().append(header::SET_COOKIE, Departures::forget());
    Ok(response)
}

/// Before there is a session.
async fn record(shared: &Shared, principal: &Principal, address: std::net::SocketAddr) -> Result<(), Refused> {
    let mut record = Record::new(shared.clock.now(), Event::ControlLogin);
    record.principal = Some(principal.name.clone());
    record.groups.clone_from(&principal.groups);
    record.client_addr = Some(address.to_string());
    record.detail = Some("a browser, by the identity provider".to_owned());
    shared.journal.record(record).await.map(drop).map_err(|error| Refused(error.into()))
}

fn begin(
    shared: &Shared,
    offer: Offer,
    named: Named,
    principal: Principal,
    now: Instant,
) -> Result<HeaderValue, Refused> {
    let lasts = Lasts::from(&offer);
    let arrival = Arrival { issuer: offer.issuer, named, principal, ends_with_token: false };
    let proof = Proof::Provider(Arc::new(arrival));
    shared.browsers.begin(proof, lasts, now).map_err(|_| Refused(Problem::internal()))
}

/// One of our own pages, or the first: never another host's.
fn landing(next: Option<String>) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/_-.?=&%".contains(c);
    let is_own = |next: &String| {
        next.len() <= MAX_LANDING && next.strip_prefix("/#/").is_some_and(|rest| rest.chars().all(is_plain))
    };
    next.filter(is_own).unwrap_or_else(|| "/".to_owned())
}

const MAX_LANDING: usize = 256;

fn unavailable(error: &ProviderError) -> Refused {
    tracing::error!(%error, "a login by the identity provider failed");
    Refused(Problem::unavailable("the identity provider cannot be asked", "try again in a moment"))
}

/// A refusal as a page: whoever gets it looks at it in a browser. Nothing in it is from outside.
#[derive(Debug)]
pub struct Refused(Problem);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        let text = match response.status() {
            StatusCode::UNAUTHORIZED => "This login was refused. Why stands in the journal of pgward.",
            StatusCode::TOO_MANY_REQUESTS => "Too many logins from this address failed. Wait a minute.",
            StatusCode::NOT_FOUND => "This pgward has no identity provider to log in by.",
            _ => "The identity provider, or pgward, cannot be asked now. Try again in a moment.",
        };
        let page = PAGE.replace("@", text);
        *response.body_mut() = page.into();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.append(header::SET_COOKIE, Departures::forget());
        response
    }
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Login · pgward</title>
<link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/app.css">
</head>
<body>
<main id="main" tabindex="-1"><p class="note bad" role="alert">@</p><p><a href="/">Log in again</a></p></main>
</body>
</html>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_ends_on_a_page_of_ours() {
        let check = |next: &str, expected: &str| assert_eq!(landing(Some(next.to_owned())), expected, "{next}");
        check("/#/requests/req_1?x=1", "/#/requests/req_1?x=1");
        check("/#/", "/#/");
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/#/",
            "javascript:alert(1)",
            "/#/\r\nSet-Cookie: a=b",
            "/#/<script>",
            "/v1/requests",
            "#/queue",
            &format!("/#/{}", "x".repeat(MAX_LANDING)),
        ] {
            check(bad, "/");
        }
        assert_eq!(landing(None), "/");
    }
}
