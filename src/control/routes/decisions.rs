//! Approving and denying requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::requests::{MAX_TEXT, still_offered, visible};
use crate::access::{AccessRequest, Decision, Grant, RequestId};
use crate::audit::Event;
use crate::control::api::{Note, RequestView};
use crate::control::auth::Caller;
use crate::control::extract::{Id, OptionalBody, check_text};
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
    OptionalBody(Note { note }): OptionalBody<Note>,
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
    OptionalBody(Note { note }): OptionalBody<Note>,
) -> Result<Json<RequestView>, Problem> {
    if note.as_deref().is_none_or(|note| note.trim().is_empty()) {
        return Err(Problem::invalid("a note is needed to deny a request", "say why: --note TEXT"));
    }
    decide(shared, caller, id, Decision::Deny, note).await
}

async fn decide(
    shared: Arc<Shared>,
    caller: Caller,
    id: String,
    decision: Decision,
    note: Option<String>,
) -> Result<Json<RequestView>, Problem> {
    check_text("note", note.as_deref().unwrap_or_default(), MAX_TEXT)?;
    let id = RequestId::from_text(id);
    shared.act(decide_now(Arc::clone(&shared), caller, id, decision, note)).await.map(Json)
}

async fn decide_now(
    shared: Arc<Shared>,
    caller: Caller,
    id: RequestId,
    decision: Decision,
    note: Option<String>,
) -> Result<RequestView, Problem> {
    let _turn = shared.turn.lock().await;
    let request = visible(&shared, &caller, &id).await?;
    let now = shared.clock.now();
    // Tried on a copy: what would be refused is refused before anything is recorded as done.
    request.clone().decide(caller.principal(), decision, note.clone(), now)?;
    let event = match decision {
        Decision::Approve => {
            still_offered(&shared, &request, caller.principal())?;
            Event::RequestApproved
        }
        Decision::Deny => Event::RequestDenied,
    };
    let mut record = shared.record_by(event, &caller);
    shared.about_request(&mut record, &request);
    record.approvers = vec![caller.name().to_owned()];
    record.detail.clone_from(&note);
    shared.journal.record(record.clone()).await?;
    match shared.store.decide(&id, caller.principal(), decision, note, now).await {
        Ok((request, None)) => Ok(views::request(request, None)),
        Ok((request, Some(grant))) => announce(&shared, &caller, request, grant).await,
        Err(error) => Err(shared.failed(&record, error).await),
    }
}

/// Records a new grant and tells the sessions. A grant that cannot be recorded is taken back.
async fn announce(
    shared: &Shared,
    caller: &Caller,
    request: AccessRequest,
    grant: Grant,
) -> Result<RequestView, Problem> {
    let mut record = shared.record_by(Event::GrantCreated, caller);
    shared.about_grant(&mut record, &grant);
    record.groups.clone_from(&request.principal.groups);
    record.detail = Some(format!("from {} until {}", grant.not_before, grant.expires_at));
    if let Err(error) = shared.journal.record(record).await {
        let reason = Some("its creation could not be recorded".to_owned());
        if let Err(error) = shared.store.revoke(&grant.id, "pgward", reason, shared.clock.now()).await {
            tracing::error!(%error, grant = %grant.id, "a grant that could not be recorded could not be revoked");
        }
        return Err(error.into());
    }
    if let Err(error) = shared.grants.refresh().await {
        tracing::warn!(%error, grant = %grant.id, "sessions learn of a new grant only later");
    }
    Ok(views::request(request, Some(&grant)))
}
