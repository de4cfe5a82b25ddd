//! Listing and revoking grants.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::requests::file_wish;
use crate::access::{GrantId, GrantState};
use crate::audit::Event;
use crate::control::api::{GrantExtension, GrantFilter, GrantView, Reason, RequestView};
use crate::control::auth::Caller;
use crate::control::extract::{Body, Id, OptionalBody, Params, check_text};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::views;
use crate::desk::{MAX_TEXT, Wish};
use crate::store::StoreError;

/// Lists the caller's grants and those of scopes that they approve; administrators see all. Open ones unless asked
/// otherwise, oldest first, the newest 500.
#[utoipa::path(
    get, path = "/v1/grants", tag = "grants", params(GrantFilter),
    responses((status = 200, body = Vec<GrantView>), (status = "default", body = Problem))
)]
pub async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Params(filter): Params<GrantFilter>,
) -> Result<Json<Vec<GrantView>>, Problem> {
    let now = shared.clock.now();
    let open_at = (!filter.all).then_some(now);
    let grants = shared.store.list_grants(caller.may_see(), open_at, MAX_LISTED).await?;
    Ok(Json(grants.into_iter().map(|grant| views::grant(grant, now)).collect()))
}

/// Asks for more time under a grant of one's own: a request like any other, which needs the same approvals. What comes of it
/// begins when it is approved and ends so long after the grant.
#[utoipa::path(
    post, path = "/v1/grants/{id}/extend", tag = "grants", params(("id" = String, Path)), request_body = GrantExtension,
    responses((status = 201, body = RequestView), (status = "default", body = Problem))
)]
pub async fn extend(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
    Body(extension): Body<GrantExtension>,
) -> Result<(StatusCode, Json<RequestView>), Problem> {
    let wish = Wish {
        reason: extension.reason,
        ticket: extension.ticket,
        duration: Duration::from_secs(extension.duration_seconds),
        extends: Some(GrantId::from_text(id)),
        ..Wish::default()
    };
    let view = file_wish(shared, caller, wish).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Ends a grant now, and with it what runs under it.
#[utoipa::path(
    post, path = "/v1/grants/{id}/revoke", tag = "grants", params(("id" = String, Path)), request_body = Option<Reason>,
    responses((status = 200, body = GrantView), (status = "default", body = Problem))
)]
pub async fn revoke(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
    OptionalBody(Reason { reason }): OptionalBody<Reason>,
) -> Result<Json<GrantView>, Problem> {
    check_text("reason", reason.as_deref().unwrap_or_default(), MAX_TEXT)?;
    shared.act(revoke_now(Arc::clone(&shared), caller, GrantId::from_text(id), reason)).await.map(Json)
}

async fn revoke_now(
    shared: Arc<Shared>,
    caller: Caller,
    id: GrantId,
    reason: Option<String>,
) -> Result<GrantView, Problem> {
    let _turn = shared.desk.turn().await;
    let now = shared.clock.now();
    let grant = shared.store.grant(&id).await?;
    if !caller.may_end_grant(&grant) {
        return Err(StoreError::NotFound("grant").into());
    }
    match grant.state_at(now) {
        GrantState::Live | GrantState::Pending => {}
        GrantState::Revoked | GrantState::Expired => {
            // Whoever asks again may do so because the sessions were not told the first time.
            tell_sessions(&shared, &caller, &id).await;
            return Err(StoreError::GrantEnded.into());
        }
    }
    let mut record = shared.record_by(Event::GrantRevoked, &caller);
    shared.desk.recorder().about_grant(&mut record, &grant);
    record.detail = Some(match &reason {
        Some(reason) => format!("revoked by {}: {reason}", caller.name()),
        None => format!("revoked by {}", caller.name()),
    });
    shared.journal.record(record.clone()).await?;
    match shared.store.revoke(&id, caller.name(), reason, now).await {
        Ok(grant) => {
            tell_sessions(&shared, &caller, &id).await;
            Ok(views::grant(grant, shared.clock.now()))
        }
        Err(error) => Err(shared.failed(&record, error).await),
    }
}

/// Tells the sessions at once. Where that fails, those that hold the grant are ended: better one too many than one that
/// goes on under a grant that is over.
async fn tell_sessions(shared: &Shared, caller: &Caller, id: &GrantId) {
    let Err(error) = shared.grants.refresh().await else { return };
    tracing::error!(%error, grant = %id, "sessions could not be told of a revocation; those that hold it are ended");
    for session in shared.sessions.list() {
        if session.grants.contains(id) {
            shared.sessions.kill(&session.id, caller.name(), Some("its grant was revoked"));
        }
    }
}

/// Grants in one listing.
const MAX_LISTED: usize = 500;
