//! Who the caller is, and what they may ask for or decide on.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;

use crate::control::api::{ScopeView, WhoAmI};
use crate::control::auth::Caller;
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::views;

/// Lists the scopes that the caller may ask for or decide on; administrators see all.
#[utoipa::path(
    get, path = "/v1/scopes", tag = "scopes",
    responses((status = 200, body = Vec<ScopeView>), (status = "default", body = Problem))
)]
pub async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Json<Vec<ScopeView>> {
    let directory = shared.directory.load();
    let views = directory.scopes.iter().map(|scope| views::scope(scope, caller.principal()));
    Json(
        views
            .filter(|view| {
                view.may_request || view.may_approve || view.break_glass_seconds.is_some() || caller.is_admin()
            })
            .collect(),
    )
}

/// Says who the caller is, and where clients reach the databases.
#[utoipa::path(
    get, path = "/v1/whoami", tag = "scopes",
    responses((status = 200, body = WhoAmI), (status = "default", body = Problem))
)]
pub async fn whoami(State(shared): State<Arc<Shared>>, caller: Caller) -> Json<WhoAmI> {
    let directory = shared.directory.load();
    let session = caller.session();
    let end = |left| shared.clock.now().saturating_add(left).unwrap_or(jiff::Timestamp::MAX);
    Json(WhoAmI {
        name: caller.name().to_owned(),
        groups: caller.principal().groups.clone(),
        admin: caller.is_admin(),
        auditor: caller.is_auditor(),
        login: caller.proof().word().to_owned(),
        csrf: session.map(|session| session.csrf.expose().to_owned()),
        expires_at: session.map(|session| end(session.left(Instant::now()))),
        databases: directory.databases.iter().map(views::database).collect(),
    })
}
