//! Records of what the control port refused: calls without a valid token, and acts that are not the caller's to do. Bounded by
//! caller, and for strangers by host, so that nobody fills the journal; what is not recorded by itself is counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::auth::{Caller, Peer};
use super::limiter::host_of;
use super::problem::Problem;
use super::server::Shared;
use crate::access::{Allowance, GrantId, RequestId};
use crate::audit::{Event, Record, RecordedVerdict};

/// Records of one caller's refusals within a minute, and of those of strangers at one host.
const MOST: u32 = 30;
/// Of a path, this much is recorded.
const MAX_PATH: usize = 200;

/// How much was recorded of whom.
#[derive(Debug)]
pub struct Refusals {
    strangers: Allowance<IpAddr>,
    callers: Allowance<String>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { strangers: Allowance::new(MOST), callers: Allowance::new(MOST) }
    }
}

/// Records an answer that is a refusal before it goes out.
pub async fn record(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    if !is_refusal(response.status(), &method) {
        return response;
    }
    let caller = response.extensions().get::<Caller>();
    let now = Instant::now();
    let missed = match caller {
        Some(caller) => shared.refusals.callers.take(caller.name().to_owned(), now),
        None => shared.refusals.strangers.take(host_of(peer.address().ip()), now),
    };
    let Some(missed) = missed else { return response };
    let mut record = Record::new(shared.clock.now(), Event::AccessRefused);
    record.client_addr = Some(peer.address().to_string());
    if let Some(caller) = caller {
        record.principal = Some(caller.name().to_owned());
        record.groups.clone_from(&caller.principal().groups);
    }
    name_object(&mut record, &path);
    record.verdict = Some(RecordedVerdict::Deny);
    let (word, why) = match response.extensions().get::<Problem>() {
        Some(problem) => (problem.word(), problem.detail.as_str()),
        None => ("refused", ""),
    };
    record.rule = Some(word.to_owned());
    let path: String = path.chars().take(MAX_PATH).collect();
    let more = if missed > 0 { format!("; {missed} more refusals before were not recorded") } else { String::new() };
    record.detail = Some(format!("{method} {path}: {} {why}{more}", response.status().as_u16()));
    if let Err(error) = shared.journal.record(record).await {
        tracing::error!(%error, "a refusal of the control port could not be recorded");
    }
    response
}

/// No valid token or no right to it; and an act that came to nothing, since who may not see a thing is told that there is none.
fn is_refusal(status: StatusCode, method: &Method) -> bool {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => !method.is_safe(),
        _ => false,
    }
}

/// `/v1/requests/ID/…` and `/v1/grants/ID/…`: what the caller was after.
fn name_object(record: &mut Record, path: &str) {
    let mut parts = path.split('/').skip(2);
    let (kind, id) = (parts.next(), parts.next().unwrap_or_default());
    if id.is_empty() || id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return;
    }
    match kind {
        Some("requests") => record.request = Some(RequestId::from_text(id)),
        Some("grants") => record.grant = Some(GrantId::from_text(id)),
        Some(_) | None => {}
    }
}
