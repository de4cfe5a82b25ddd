//! Legal holds on the journal, and erasing what is due now: auditors alone.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::audit::{HoldError, JournalError, holds};
use crate::control::api::{HoldView, NewHold, PurgeView, Reason};
use crate::control::auth::Caller;
use crate::control::extract::{Body, Id, OptionalBody, check_text};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::desk::MAX_TEXT;

/// Answers the legal holds that stand, oldest first.
#[utoipa::path(
    get, path = "/v1/audit/holds", tag = "audit",
    responses((status = 200, body = Vec<HoldView>), (status = "default", body = Problem))
)]
pub async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Vec<HoldView>>, Problem> {
    must_be_auditor(&caller)?;
    let dir = shared.journal.settings().dir.clone();
    let all = tokio::task::spawn_blocking(move || holds(&dir)).await.map_err(|_| Problem::internal())?;
    let all = all.map_err(|error| refuse(&HoldError::Io(error)))?;
    Ok(Json(all.into_iter().map(HoldView::from).collect()))
}

/// Keeps the records that meet the filter readable beyond their time, those that are still to come, too.
#[utoipa::path(
    post, path = "/v1/audit/holds", tag = "audit", request_body = NewHold,
    responses((status = 200, body = HoldView), (status = "default", body = Problem))
)]
pub async fn place(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Body(NewHold { filter, reason }): Body<NewHold>,
) -> Result<Json<HoldView>, Problem> {
    must_be_auditor(&caller)?;
    let reason = given(Some(reason), "say what the records are held for: --reason TEXT")?;
    let filter = filter.read().map_err(Problem::bad_request)?;
    let by = caller.name().to_owned();
    let act = {
        let shared = Arc::clone(&shared);
        async move { shared.journal.place_hold(filter, reason, by).await.map_err(|error| refuse(&error)) }
    };
    shared.act(act).await.map(HoldView::from).map(Json)
}

/// Ends a hold. What only it kept is erased with the next purge.
#[utoipa::path(
    post, path = "/v1/audit/holds/{id}/release", tag = "audit", params(("id" = String, Path)), request_body = Reason,
    responses((status = 200, body = HoldView), (status = "default", body = Problem))
)]
pub async fn release(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
    OptionalBody(Reason { reason }): OptionalBody<Reason>,
) -> Result<Json<HoldView>, Problem> {
    must_be_auditor(&caller)?;
    let reason = given(reason, "say why the records need not be held any more: --reason TEXT")?;
    let by = caller.name().to_owned();
    let act = {
        let shared = Arc::clone(&shared);
        async move { shared.journal.release_hold(&id, &reason, &by).await.map_err(|error| refuse(&error)) }
    };
    shared.act(act).await.map(HoldView::from).map(Json)
}

/// Erases now what is due; the service does it by itself, time and again.
#[utoipa::path(
    post, path = "/v1/audit/purge", tag = "audit",
    responses((status = 200, body = PurgeView), (status = "default", body = Problem))
)]
pub async fn purge(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<PurgeView>, Problem> {
    must_be_auditor(&caller)?;
    let act = {
        let shared = Arc::clone(&shared);
        async move { shared.journal.purge(shared.clock.now()).await.map_err(|error| failed(&error)) }
    };
    let purged = shared.act(act).await?;
    Ok(Json(PurgeView { buckets: purged.buckets.len(), held: purged.held, segments: purged.segments }))
}

fn must_be_auditor(caller: &Caller) -> Result<(), Problem> {
    if caller.is_auditor() {
        return Ok(());
    }
    Err(Problem::forbidden("only auditors may hold or erase records", "ask one of control.auditors in proxy.toml"))
}

fn given(reason: Option<String>, hint: &str) -> Result<String, Problem> {
    let reason = reason.unwrap_or_default();
    check_text("reason", &reason, MAX_TEXT)?;
    if reason.trim().is_empty() {
        return Err(Problem::invalid("a reason is needed", hint));
    }
    Ok(reason)
}

fn refuse(error: &HoldError) -> Problem {
    match error {
        HoldError::Unknown(id) => Problem::not_found(
            format!("there is no hold \"{}\"", id.escape_debug()),
            "list the holds with `pgward audit hold list`",
        ),
        HoldError::Io(_) => {
            tracing::error!(%error, "holds");
            Problem::unavailable(error.to_string(), "look at holds.json in audit.dir")
        }
        HoldError::Journal(error) => failed(error),
    }
}

fn failed(error: &JournalError) -> Problem {
    tracing::error!(%error, "holds and purges");
    Problem::unavailable(error.to_string(), "look at the service's log; `pgward audit verify` names what is damaged")
}
