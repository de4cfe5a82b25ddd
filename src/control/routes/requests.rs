//! Filing, listing and withdrawing access requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::access::{AccessRequest, ApprovalRefused, NewRequest, Principal, RequestId, Scope, WithdrawalRefused};
use crate::audit::Event;
use crate::control::api::{NewAccessRequest, RequestFilter, RequestView};
use crate::control::auth::Caller;
use crate::control::extract::{Body, Id, Params, check_text};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::views;
use crate::store::StoreError;

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
    check(&new)?;
    let view = shared.act(file_now(Arc::clone(&shared), caller, new)).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

async fn file_now(shared: Arc<Shared>, caller: Caller, new: NewAccessRequest) -> Result<RequestView, Problem> {
    let _turn = shared.turn.lock().await;
    let scope = scope_named(&shared, &new.scope)?;
    let now = shared.clock.now();
    if shared.store.pending_requests(caller.name(), now).await? >= MAX_PENDING {
        let problem = Problem::too_many(format!("you have {MAX_PENDING} requests pending"), 60);
        return Err(Problem { hint: Some("withdraw one with `pgward withdraw`".to_owned()), ..problem });
    }
    let wanted = NewRequest {
        reason: new.reason,
        ticket: new.ticket,
        duration: Duration::from_secs(new.duration_seconds),
        starts: new.starts,
        statement: new.statement,
    };
    let request = AccessRequest::file(caller.principal().clone(), scope, wanted, now)?;
    let mut record = shared.record_by(Event::RequestFiled, &caller);
    shared.about_request(&mut record, &request);
    record.detail = Some(format!("for {} seconds", request.duration.as_secs()));
    shared.journal.record(record.clone()).await?;
    if let Err(error) = shared.store.file_request(&request).await {
        return Err(shared.failed(&record, error).await);
    }
    Ok(views::request(request, None))
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
    Ok(Json(requests.into_iter().map(|(request, grant)| views::request(request, grant.as_ref())).collect()))
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
    let request = visible(&shared, &caller, &RequestId::from_text(id)).await?;
    let grant = shared.store.grant_of_request(&request.id).await?;
    Ok(Json(views::request(request, grant.as_ref())))
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
    shared.act(withdraw_now(Arc::clone(&shared), caller, RequestId::from_text(id))).await.map(Json)
}

async fn withdraw_now(shared: Arc<Shared>, caller: Caller, id: RequestId) -> Result<RequestView, Problem> {
    let _turn = shared.turn.lock().await;
    let request = visible(&shared, &caller, &id).await?;
    let now = shared.clock.now();
    // Tried on a copy: what would be refused is refused before anything is recorded as done.
    request.clone().withdraw(caller.principal(), now).map_err(|refused| match refused {
        WithdrawalRefused::NotOwn => Problem::forbidden(
            "only who filed a request may withdraw it",
            format!("an approver may refuse it: pgward deny {id} --note TEXT"),
        ),
        WithdrawalRefused::NotPending(state) => ApprovalRefused::NotPending(state).into(),
    })?;
    let mut record = shared.record_by(Event::RequestWithdrawn, &caller);
    shared.about_request(&mut record, &request);
    shared.journal.record(record.clone()).await?;
    match shared.store.withdraw(&id, caller.principal(), now).await {
        Ok(request) => Ok(views::request(request, None)),
        Err(error) => Err(shared.failed(&record, error).await),
    }
}

/// A request that the caller may see; one that they may not is as good as none.
pub async fn visible(shared: &Shared, caller: &Caller, id: &RequestId) -> Result<AccessRequest, Problem> {
    let mut found = shared.store.request(id).await?;
    found.expire(shared.clock.now());
    if caller.may_see_request(&found) { Ok(found) } else { Err(StoreError::NotFound("request").into()) }
}

/// Whether what a request asks for could still be asked for: the scope is configured, and the requester is among its
/// requesters. A scope or a user that was taken out of the configuration gets no new grants.
pub fn still_offered(shared: &Shared, request: &AccessRequest, approver: &Principal) -> Result<(), Problem> {
    let directory = shared.directory.load();
    let scope = directory.scope(&request.scope.name);
    let requester = directory.user(&request.principal.name);
    let offered = scope.zip(requester).is_some_and(|(scope, user)| scope.may_request(&user.principal));
    if !offered {
        return Err(Problem::conflict(
            format!("scope \"{}\" is no longer offered to \"{}\"", request.scope.name, request.principal.name),
            format!("refuse it: pgward deny {} --note TEXT", request.id),
        ));
    }
    if scope.is_some_and(|scope| !scope.may_approve(approver)) {
        return Err(ApprovalRefused::NotApprover(request.scope.name.clone()).into());
    }
    Ok(())
}

fn scope_named(shared: &Shared, name: &str) -> Result<Scope, Problem> {
    let directory = shared.directory.load();
    directory.scope(name).cloned().ok_or_else(|| {
        Problem::not_found(
            format!("there is no scope \"{}\"", name.escape_debug()),
            "see `pgward scopes` for those that you may ask for",
        )
    })
}

fn check(new: &NewAccessRequest) -> Result<(), Problem> {
    check_text("reason", &new.reason, MAX_TEXT)?;
    check_text("ticket", new.ticket.as_deref().unwrap_or_default(), MAX_TICKET)?;
    match &new.statement {
        Some(statement) if statement.trim().is_empty() => {
            Err(Problem::invalid("`statement` is empty", "leave it out to ask for the whole scope"))
        }
        Some(statement) if statement.contains('\0') => {
            Err(Problem::invalid("`statement` holds a zero byte", "no SQL statement does"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Requests that one principal may have pending.
const MAX_PENDING: usize = 100;
/// Requests in one listing.
const MAX_LISTED: usize = 500;
/// Bytes of a reason or a note.
pub const MAX_TEXT: usize = 4000;
/// Bytes of a ticket.
const MAX_TICKET: usize = 200;
