//! Listing and ending live sessions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use crate::access::SessionId;
use crate::audit::Event;
use crate::control::api::{Killed, Reason, SessionView};
use crate::control::auth::Caller;
use crate::control::extract::{Body, Id, OptionalBody, check_text};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::views;
use crate::desk::MAX_TEXT;
use crate::replicas::HandedCancel;
use crate::store::StoreError;

/// Lists the caller's live sessions; administrators see everybody's.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "sessions",
    responses((status = 200, body = Vec<SessionView>), (status = "default", body = Problem))
)]
pub async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Response {
    let sessions = shared.sessions.list().into_iter();
    let seen = sessions.filter(|session| caller.may_end_session(&session.principal));
    let mut all: Vec<SessionView> = seen.map(views::session).collect();
    let Some(replicas) = shared.others(&caller) else { return Json(all).into_response() };
    all.iter_mut().for_each(|session| session.replica = Some(replicas.name()));
    let mut others = shared.ask_others::<Vec<SessionView>>(&caller, &["sessions"], false).await;
    for (replica, sessions) in std::mem::take(&mut others.said) {
        all.extend(sessions.into_iter().map(|session| SessionView { replica: Some(replica.clone()), ..session }));
    }
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let mut response = Json(all).into_response();
    others.tell_missing(response.headers_mut());
    response
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
    let turn = shared.desk.turn().await;
    let none = || Problem::from(StoreError::NotFound("session"));
    let Some(session) = shared.sessions.list().into_iter().find(|session| session.id == id) else {
        // Nobody here waits for what others have to say.
        drop(turn);
        return kill_elsewhere(&shared, &caller, &id, reason).await;
    };
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

/// One that another replica serves.
async fn kill_elsewhere(
    shared: &Arc<Shared>,
    caller: &Caller,
    id: &SessionId,
    reason: Option<String>,
) -> Result<Killed, Problem> {
    let body = serde_json::json!({ "reason": reason });
    let others = shared.tell_others::<Killed>(caller, &["sessions", id.as_str(), "kill"], &body).await;
    match others.said.into_iter().next() {
        Some((_, killed)) => Ok(killed),
        None if others.missing.is_empty() => Err(Problem::from(StoreError::NotFound("session"))),
        None => Err(Problem::unavailable(
            format!("no replica that answers has this session; these do not answer: {}", others.missing.join(", ")),
            "revoke its grant: that goes by the store, and by the lease where a replica is cut off from that",
        )),
    }
}

/// Takes a cancel request that another replica was sent for a session of this one.
pub async fn hand_cancel(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Body(cancel): Body<HandedCancel>,
) -> Result<StatusCode, Problem> {
    if !caller.is_replica() {
        return Err(Problem::forbidden("this is for replicas alone", "cancel with the key that the session was told"));
    }
    match shared.cancels.take_cancel(&cancel).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::from(StoreError::NotFound("session"))),
    }
}
