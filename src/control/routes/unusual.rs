//! Principals whose statements are held for unusual access: which, and letting them go on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

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
pub async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Response {
    let all = shared.sessions.held().into_iter();
    let seen = all.filter(|(principal, _)| caller.is_admin() || principal == caller.name());
    let mut held: Vec<_> = seen.map(|(principal, why)| HeldView { principal, why: why.to_string() }).collect();
    let others = shared.ask_others::<Vec<HeldView>>(&caller, &["unusual", "held"], false).await;
    let mut others = others;
    for there in std::mem::take(&mut others.said).into_iter().flat_map(|(_, held)| held) {
        if !held.iter().any(|here| here.principal == there.principal) {
            held.push(there);
        }
    }
    let mut response = Json(held).into_response();
    others.tell_missing(response.headers_mut());
    response
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
    let none = || Problem::not_found(format!("\"{principal}\" is not held"), "list those who are: pgward held");
    let body = serde_json::json!({ "reason": reason });
    let others = shared.tell_others::<HeldView>(&caller, &["unusual", "held", &principal, "release"], &body).await;
    let elsewhere = others.said.into_iter().next().map(|(_, view)| view);
    let _turn = shared.desk.turn().await;
    let mut held = shared.sessions.held().into_iter();
    let Some((_, why)) = held.find(|(held, _)| *held == principal) else {
        return elsewhere.ok_or_else(|| match others.missing.is_empty() {
            true => none(),
            false => Problem::unavailable(
                format!(
                    "no replica that answers holds \"{principal}\"; these do not answer: {}",
                    others.missing.join(", ")
                ),
                "try again when they do",
            ),
        });
    };
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
