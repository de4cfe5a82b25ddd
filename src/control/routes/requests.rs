//! Filing, listing, editing and withdrawing access requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::access::{Changes, RequestId};
use crate::control::api::{NewAccessRequest, RequestChanges, RequestFilter, RequestView};
use crate::control::auth::Caller;
use crate::control::extract::{Body, Id, Params};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::views;
use crate::desk::Wish;

/// Files a request for access to a scope.
#[utoipa::path(
    post, path = "/v1/requests", tag = "requests", request_body = NewAccessRequest,
    responses((status = 201, body = RequestView), (status = "default", body = Problem))
)]
pub async fn file(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Body(new): Body<NewAccessRequest>,
) -> Result<(StatusCode, Json<RequestView>), Problem> {
    let wish = Wish {
        scope: Some(new.scope),
        reason: new.reason,
        ticket: new.ticket,
        duration: Duration::from_secs(new.duration_seconds),
        starts: new.starts,
        statement: new.statement,
        uses: new.uses,
        extends: None,
    };
    let view = file_wish(shared, caller, wish).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Files what somebody wants.
pub async fn file_wish(shared: Arc<Shared>, caller: Caller, wish: Wish) -> Result<RequestView, Problem> {
    let desk = Arc::clone(&shared.desk);
    shared.act(async move { Ok(views::outcome(desk.file(&caller.actor(), wish).await?, caller.principal())) }).await
}

/// Lists the requests that the caller filed or may decide on; administrators see all. Oldest first, the newest 500.
#[utoipa::path(
    get, path = "/v1/requests", tag = "requests", params(RequestFilter),
    responses((status = 200, body = Vec<RequestView>), (status = "default", body = Problem))
)]
pub async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Params(filter): Params<RequestFilter>,
) -> Result<Json<Vec<RequestView>>, Problem> {
    let now = shared.clock.now();
    let requests = shared.store.list_requests(caller.may_see(), filter.state, MAX_LISTED, now).await?;
    let view = |(request, grant): (_, Option<_>)| views::request(request, grant.as_ref(), caller.principal());
    Ok(Json(requests.into_iter().map(view).collect()))
}

/// Shows one request.
#[utoipa::path(
    get, path = "/v1/requests/{id}", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = RequestView), (status = "default", body = Problem))
)]
pub async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<RequestView>, Problem> {
    let request = shared.desk.request(&RequestId::from_text(id), &caller.actor()).await?;
    let grant = shared.store.grant_of_request(&request.id).await?;
    Ok(Json(views::request(request, grant.as_ref(), caller.principal())))
}

/// Changes a pending request of one's own. Approvals that it had no longer count.
#[utoipa::path(
    post, path = "/v1/requests/{id}/edit", tag = "requests", params(("id" = String, Path)), request_body = RequestChanges,
    responses((status = 200, body = RequestView), (status = "default", body = Problem))
)]
pub async fn edit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
    Body(changes): Body<RequestChanges>,
) -> Result<Json<RequestView>, Problem> {
    let changes = Changes {
        reason: changes.reason,
        ticket: changes.ticket,
        duration: changes.duration_seconds.map(Duration::from_secs),
        starts: changes.starts,
        statement: changes.statement,
        uses: changes.uses,
        analysis: None,
    };
    let desk = Arc::clone(&shared.desk);
    let edited = shared.act(async move {
        let request = desk.edit(&caller.actor(), &RequestId::from_text(id), changes).await?;
        Ok(views::request(request, None, caller.principal()))
    });
    edited.await.map(Json)
}

/// Takes back a pending request of one's own.
#[utoipa::path(
    post, path = "/v1/requests/{id}/withdraw", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = RequestView), (status = "default", body = Problem))
)]
pub async fn withdraw(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<RequestView>, Problem> {
    let desk = Arc::clone(&shared.desk);
    let withdrawn = shared.act(async move {
        let request = desk.withdraw(&caller.actor(), &RequestId::from_text(id)).await?;
        Ok(views::request(request, None, caller.principal()))
    });
    withdrawn.await.map(Json)
}

/// Requests in one listing.
const MAX_LISTED: usize = 500;
