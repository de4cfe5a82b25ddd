//! Rows that are past their time: counting them, purging them, and what is held.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::control::api::Reason;
use crate::control::auth::Caller;
use crate::control::extract::{Body, Id, Params, check_text};
use crate::control::problem::Problem;
use crate::control::retention::{
    Asker, DataHoldView, HiddenView, NewDataHold, NewRun, PlanView, RetentionError, RunView, Selection,
};
use crate::control::server::Shared;
use crate::desk::MAX_TEXT;

/// Counts what a run would do, changing nothing: for administrators and auditors. Takes as long as counting takes.
#[utoipa::path(
    get, path = "/v1/retention/plan", tag = "retention", params(Selection),
    responses((status = 200, body = Vec<PlanView>), (status = "default", body = Problem))
)]
pub async fn plan(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Params(selection): Params<Selection>,
) -> Result<Json<Vec<PlanView>>, Problem> {
    may_see(&caller)?;
    Ok(Json(shared.retention.plan(selection).await?))
}

/// The runs since pgward was started, newest last: administrators and auditors see all, everyone their own.
#[utoipa::path(
    get, path = "/v1/retention/runs", tag = "retention",
    responses((status = 200, body = Vec<RunView>), (status = "default", body = Problem))
)]
pub async fn runs(State(shared): State<Arc<Shared>>, caller: Caller) -> Json<Vec<RunView>> {
    let all = shared.retention.runs().into_iter();
    Json(all.filter(|run| may_see(&caller).is_ok() || run.by == caller.name()).collect())
}

/// Begins a run on each upstream that is meant: what needs a grant, for who has it; the rest, for administrators.
#[utoipa::path(
    post, path = "/v1/retention/runs", tag = "retention", request_body = NewRun,
    responses((status = 200, body = Vec<RunView>), (status = "default", body = Problem))
)]
pub async fn run(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Body(new): Body<NewRun>,
) -> Result<Json<Vec<RunView>>, Problem> {
    let act = Arc::clone(&shared);
    shared.act(async move { Ok(act.retention.run(new, asker(&caller)).await?) }).await.map(Json)
}

/// Has a run end after the batch that is under way.
#[utoipa::path(
    post, path = "/v1/retention/runs/{id}/stop", tag = "retention", params(("id" = String, Path)),
    responses((status = 200, body = RunView), (status = "default", body = Problem))
)]
pub async fn stop(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<RunView>, Problem> {
    let own = shared.retention.runs().into_iter().any(|run| run.id == id && run.by == caller.name());
    if !own && !caller.is_admin() {
        return Err(Problem::not_found(
            format!("there is no run \"{}\" of yours", id.escape_debug()),
            "list them: pgward retention runs",
        ));
    }
    Ok(Json(shared.retention.stop(&id, caller.name()).await?))
}

/// The relations whose overdue rows are not to be read, what is known of them, and the SQL that has PostgreSQL hide the rows:
/// for administrators and auditors.
#[utoipa::path(
    get, path = "/v1/retention/hidden", tag = "retention", params(Selection),
    responses((status = 200, body = Vec<HiddenView>), (status = "default", body = Problem))
)]
pub async fn hidden(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Params(selection): Params<Selection>,
) -> Result<Json<Vec<HiddenView>>, Problem> {
    may_see(&caller)?;
    Ok(Json(shared.retention.hidden(selection.database.as_deref()).await?))
}

/// The legal holds that stand: for administrators and auditors.
#[utoipa::path(
    get, path = "/v1/retention/holds", tag = "retention",
    responses((status = 200, body = Vec<DataHoldView>), (status = "default", body = Problem))
)]
pub async fn holds(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Vec<DataHoldView>>, Problem> {
    may_see(&caller)?;
    Ok(Json(shared.retention.holds().await?))
}

/// Places a legal hold: rows that no run touches, whatever their time. For administrators.
#[utoipa::path(
    post, path = "/v1/retention/holds", tag = "retention", request_body = NewDataHold,
    responses((status = 200, body = DataHoldView), (status = "default", body = Problem))
)]
pub async fn place_hold(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Body(new): Body<NewDataHold>,
) -> Result<Json<DataHoldView>, Problem> {
    may_hold(&caller)?;
    if new.reason.trim().is_empty() {
        return Err(Problem::bad_request("a hold needs a reason"));
    }
    check_text("reason", &new.reason, MAX_TEXT)?;
    check_text("where", new.rows.as_deref().unwrap_or_default(), MAX_TEXT)?;
    let act = Arc::clone(&shared);
    shared.act(async move { Ok(act.retention.place_hold(new, asker(&caller)).await?) }).await.map(Json)
}

/// Releases a legal hold: what only it held is due from then on. For administrators.
#[utoipa::path(
    post, path = "/v1/retention/holds/{id}/release", tag = "retention", params(("id" = String, Path)),
    request_body = Reason, responses((status = 200, body = DataHoldView), (status = "default", body = Problem))
)]
pub async fn release_hold(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<DataHoldView>, Problem> {
    may_hold(&caller)?;
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or_else(|| Problem::bad_request("a release needs a reason"))?;
    check_text("reason", &reason, MAX_TEXT)?;
    let act = Arc::clone(&shared);
    shared.act(async move { Ok(act.retention.release_hold(&id, &reason, asker(&caller)).await?) }).await.map(Json)
}

fn asker(caller: &Caller) -> Asker {
    let actor = caller.actor();
    Asker { principal: actor.principal, address: actor.address, is_admin: caller.is_admin() }
}

fn may_see(caller: &Caller) -> Result<(), Problem> {
    if caller.is_admin() || caller.is_auditor() {
        return Ok(());
    }
    Err(Problem::forbidden("what is past its time is for administrators and auditors to see", "ask one of them"))
}

fn may_hold(caller: &Caller) -> Result<(), Problem> {
    if caller.is_admin() {
        return Ok(());
    }
    Err(Problem::forbidden("legal holds are placed and released by administrators", "ask one of them"))
}

impl From<RetentionError> for Problem {
    fn from(error: RetentionError) -> Self {
        match error {
            RetentionError::NotFound(what) => {
                Problem::not_found(what, "see [[database.retention]] in proxy.toml, and: pgward retention plan")
            }
            RetentionError::Refused(what, hint) => Problem::forbidden(what, hint),
            RetentionError::Invalid(what) => Problem::bad_request(what),
            RetentionError::Unavailable(what) => Problem::unavailable(what, "try again in a moment"),
        }
    }
}
