//! Listing and ending live sessions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::access::SessionId;
use crate::audit::Event;
use crate::control::api::{Killed, Reason, SessionView};
use crate::control::auth::Caller;
use crate::control::extract::{Id, OptionalBody, check_text};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::views;
use crate::desk::MAX_TEXT;
use crate::store::StoreError;

/// Lists the caller's live sessions; administrators see everybody's.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "sessions",
    responses((status = 200, body = Vec<SessionView>), (status = "default", body = Problem))
)]
pub async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Json<Vec<SessionView>> {
    let sessions = shared.sessions.list().into_iter();
    Json(sessions.filter(|session| caller.may_end_session(&session.principal)).map(views::session).collect())
}

/// Ends a session now; its running statement is cancelled.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/kill", tag = "sessions", params(("id" = String, Path)), request_body = Option<Reason>,
    responses((status = 200, body = Killed), (status = "default", body = Problem))
)]
pub async fn kill(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
    OptionalBody(Reason { reason }): OptionalBody<Reason>,
) -> Result<Json<Killed>, Problem> {
    check_text("reason", reason.as_deref().unwrap_or_default(), MAX_TEXT)?;
    shared.act(kill_now(Arc::clone(&shared), caller, SessionId::from_text(id), reason)).await.map(Json)
}

async fn kill_now(
    shared: Arc<Shared>,
    caller: Caller,
    id: SessionId,
    reason: Option<String>,
) -> Result<Killed, Problem> {
    let _turn = shared.desk.turn().await;
    let none = || Problem::from(StoreError::NotFound("session"));
    let session = shared.sessions.list().into_iter().find(|session| session.id == id).ok_or_else(none)?;
    if !caller.may_end_session(&session.principal) {
        return Err(none());
    }
    let mut record = shared.record_by(Event::SessionKilled, &caller);
    record.groups = Vec::new();
    record.principal = Some(session.principal);
    record.database = Some(session.database);
    record.session = Some(session.id);
    record.detail = Some(match &reason {
        Some(reason) => format!("killed by {}: {reason}", caller.name()),
        None => format!("killed by {}", caller.name()),
    });
    shared.journal.record(record.clone()).await?;
    match shared.sessions.kill(&id, caller.name(), reason.as_deref()) {
        true => Ok(Killed { id: id.to_string(), killed: true }),
        false => Err(shared.failed(&record, none()).await),
    }
}
