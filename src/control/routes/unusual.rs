//! Principals whose statements are held for unusual access: which, and letting them go on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::audit::Event;
use crate::control::api::{HeldView, Reason};
use crate::control::auth::Caller;
use crate::control::extract::{Id, OptionalBody, check_text};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::desk::MAX_TEXT;

/// Lists the principals whose statements are held; who is no administrator finds only themselves.
#[utoipa::path(
    get, path = "/v1/unusual/held", tag = "unusual",
    responses((status = 200, body = Vec<HeldView>), (status = "default", body = Problem))
)]
pub async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Json<Vec<HeldView>> {
    let all = shared.sessions.held().into_iter();
    let seen = all.filter(|(principal, _)| caller.is_admin() || principal == caller.name());
    Json(seen.map(|(principal, why)| HeldView { principal, why: why.to_string() }).collect())
}

/// Lets a principal's statements run again: an administrator does that, and never for themselves.
#[utoipa::path(
    post, path = "/v1/unusual/held/{principal}/release", tag = "unusual", params(("principal" = String, Path)),
    request_body = Option<Reason>, responses((status = 200, body = HeldView), (status = "default", body = Problem))
)]
pub async fn release(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(principal): Id<String>,
    OptionalBody(Reason { reason }): OptionalBody<Reason>,
) -> Result<Json<HeldView>, Problem> {
    check_text("reason", reason.as_deref().unwrap_or_default(), MAX_TEXT)?;
    if principal == caller.name() || !caller.is_admin() {
        return Err(Problem::forbidden(
            "a hold is released by an administrator, and never by the one who is held",
            "ask another administrator",
        ));
    }
    shared.act(release_now(Arc::clone(&shared), caller, principal, reason)).await.map(Json)
}

async fn release_now(
    shared: Arc<Shared>,
    caller: Caller,
    principal: String,
    reason: Option<String>,
) -> Result<HeldView, Problem> {
    let _turn = shared.desk.turn().await;
    let none = || Problem::not_found(format!("\"{principal}\" is not held"), "list those who are: pgward held");
    let mut held = shared.sessions.held().into_iter();
    let (_, why) = held.find(|(held, _)| *held == principal).ok_or_else(none)?;
    let mut record = shared.record_by(Event::AccessReleased, &caller);
    record.groups = Vec::new();
    record.principal = Some(principal.clone());
    record.detail = Some(match &reason {
        Some(reason) => format!("released by {}: {reason}", caller.name()),
        None => format!("released by {}", caller.name()),
    });
    shared.journal.record(record).await?;
    shared.sessions.release(&principal);
    Ok(HeldView { principal, why: why.to_string() })
}
