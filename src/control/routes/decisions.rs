//! Approving and denying requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::access::{Decision, RequestId, Ruling};
use crate::control::api::{Note, RequestView};
use crate::control::auth::Caller;
use crate::control::extract::{Id, OptionalBody};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::views;

/// Says yes to a request. The last approval that is needed makes the grant.
#[utoipa::path(
    post, path = "/v1/requests/{id}/approve", tag = "requests", params(("id" = String, Path)), request_body = Option<Note>,
    responses((status = 200, body = RequestView), (status = "default", body = Problem))
)]
pub async fn approve(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
    OptionalBody(note): OptionalBody<Note>,
) -> Result<Json<RequestView>, Problem> {
    decide(shared, caller, id, Decision::Approve, note).await
}

/// Says no to a request, and why.
#[utoipa::path(
    post, path = "/v1/requests/{id}/deny", tag = "requests", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = RequestView), (status = "default", body = Problem))
)]
pub async fn deny(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
    OptionalBody(note): OptionalBody<Note>,
) -> Result<Json<RequestView>, Problem> {
    if note.note.as_deref().is_none_or(|note| note.trim().is_empty()) {
        return Err(Problem::invalid("a note is needed to deny a request", "say why: --note TEXT"));
    }
    decide(shared, caller, id, Decision::Deny, note).await
}

async fn decide(
    shared: Arc<Shared>,
    caller: Caller,
    id: String,
    decision: Decision,
    Note { note, digest }: Note,
) -> Result<Json<RequestView>, Problem> {
    let desk = Arc::clone(&shared.desk);
    let ruling = Ruling { decision, note, shown: digest };
    let decided = shared.act(async move {
        let outcome = desk.decide(&caller.actor(), &RequestId::from_text(id), ruling).await?;
        Ok(views::outcome(outcome, caller.principal()))
    });
    decided.await.map(Json)
}
