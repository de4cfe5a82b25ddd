//! Break-glass, and the reviews that follow.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::access::GrantId;
use crate::control::api::{Emergency, Findings, RequestView, ReviewFilter, ReviewView};
use crate::control::auth::Caller;
use crate::control::extract::{Body, Id, Params};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::views;
use crate::desk::Wish;

/// Opens a scope at once, without approval, for those whom the scope names. Others are told, and a review is owed.
#[utoipa::path(
    post, path = "/v1/break-glass", tag = "emergencies", request_body = Emergency,
    responses((status = 201, body = RequestView), (status = "default", body = Problem))
)]
pub async fn open(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Body(emergency): Body<Emergency>,
) -> Result<(StatusCode, Json<RequestView>), Problem> {
    let wish = Wish {
        scope: Some(emergency.scope),
        reason: emergency.reason,
        ticket: emergency.ticket,
        duration: Duration::from_secs(emergency.duration_seconds),
        ..Wish::default()
    };
    let desk = Arc::clone(&shared.desk);
    let opened = shared
        .act(async move { Ok(views::outcome(desk.break_glass(&caller.actor(), wish).await?, caller.principal())) });
    Ok((StatusCode::CREATED, Json(opened.await?)))
}

/// Lists the reviews that are owed for one's own grants and those of scopes that one approves; administrators see all.
#[utoipa::path(
    get, path = "/v1/reviews", tag = "emergencies", params(ReviewFilter),
    responses((status = 200, body = Vec<ReviewView>), (status = "default", body = Problem))
)]
pub async fn reviews(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Params(filter): Params<ReviewFilter>,
) -> Result<Json<Vec<ReviewView>>, Problem> {
    let now = shared.clock.now();
    let found = shared.desk.reviews(&caller.actor(), !filter.all).await?;
    Ok(Json(found.into_iter().map(|found| views::review(found, caller.principal(), now)).collect()))
}

/// Closes the review of a grant, by an approver of its scope who is not its holder.
#[utoipa::path(
    post, path = "/v1/reviews/{id}/close", tag = "emergencies", params(("id" = String, Path)), request_body = Findings,
    responses((status = 200, body = ReviewView), (status = "default", body = Problem))
)]
pub async fn close(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
    Body(Findings { note }): Body<Findings>,
) -> Result<Json<ReviewView>, Problem> {
    let (desk, now) = (Arc::clone(&shared.desk), shared.clock.now());
    let closed = shared.act(async move {
        let closed = desk.close_review(&caller.actor(), &GrantId::from_text(id), &note).await?;
        Ok(views::review(closed, caller.principal(), now))
    });
    closed.await.map(Json)
}
