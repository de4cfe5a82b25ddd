//! Reading the journal: auditors all of it, everyone what concerns themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::control::api::{AuditFilter, Verification};
use crate::control::auth::Caller;
use crate::control::extract::{Id, Params};
use crate::control::lines::Lines;
use crate::control::problem::Problem;
use crate::control::server::Shared;

/// Answers the records that meet the filter, one JSON document a line, newest last.
#[utoipa::path(
    get, path = "/v1/audit/search", tag = "audit", params(AuditFilter),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson"),
        (status = "default", body = Problem)
    )
)]
pub async fn search(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Params(filter): Params<AuditFilter>,
) -> Result<Response, Problem> {
    let _ = (shared, caller, filter);
    Ok(Lines::channel().1.into_response())
}

/// Follows the journal: new records that meet the filter, one JSON document a line, until the caller goes away.
#[utoipa::path(
    get, path = "/v1/audit/tail", tag = "audit", params(AuditFilter),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson"),
        (status = "default", body = Problem)
    )
)]
pub async fn tail(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Params(filter): Params<AuditFilter>,
) -> Result<Response, Problem> {
    let _ = (shared, caller, filter);
    Ok(Lines::channel().1.into_response())
}

/// Tells one statement's story: its record, its end, its session, grant, request and approvals.
#[utoipa::path(
    get, path = "/v1/audit/records/{seq}", tag = "audit", params(("seq" = u64, Path)),
    responses((status = 200, body = Object), (status = "default", body = Problem))
)]
pub async fn story(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(seq): Id<u64>,
) -> Result<Json<serde_json::Value>, Problem> {
    let _ = (shared, caller, seq);
    Ok(Json(serde_json::Value::Null))
}

/// Proves that the journal is whole, or names the first record that is not as it was written.
#[utoipa::path(
    get, path = "/v1/audit/verify", tag = "audit",
    responses((status = 200, body = Verification), (status = "default", body = Problem))
)]
pub async fn verify(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Verification>, Problem> {
    let _ = (shared, caller);
    Ok(Json(Verification { ok: false, records: 0, first_bad: None, detail: None }))
}
