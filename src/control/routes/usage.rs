//! Reports from the journal: how scopes were used, and where data went.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::control::auth::Caller;
use crate::control::extract::Params;
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::usage::{ResidencyQuestion, ScopesQuestion, ScopesReport, UsageError, page};

/// Says which scopes were never asked for or used, how much of them each grant used, and the narrowest scope that what ran would
/// have needed: for administrators and auditors.
#[utoipa::path(
    get, path = "/v1/reports/scopes", tag = "reports", params(ScopesQuestion),
    responses((status = 200, body = Object), (status = "default", body = Problem))
)]
pub async fn scopes(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Params(question): Params<ScopesQuestion>,
) -> Result<Json<ScopesReport>, Problem> {
    may_see(&caller)?;
    Ok(Json(shared.usage.scopes(question).await?))
}

/// Says where classified data lies, who touched it from where, what left its region and what was refused, each figure with its
/// records: for auditors. As JSON, or as a page to hand on.
#[utoipa::path(
    get, path = "/v1/reports/residency", tag = "reports", params(ResidencyQuestion),
    responses(
        (status = 200, content((Object = "application/json"), (String = "text/html"))),
        (status = "default", body = Problem)
    )
)]
pub async fn residency(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Params(question): Params<ResidencyQuestion>,
) -> Result<Response, Problem> {
    // It names who touched what: that is the journal's to tell, and auditors read all of that.
    if !caller.is_auditor() {
        return Err(Problem::forbidden(
            "the residency report is for auditors",
            "ask one of control.auditors in proxy.toml",
        ));
    }
    let html = match question.format.as_deref() {
        None | Some("json") => false,
        Some("html") => true,
        Some(_) => return Err(Problem::bad_request("`format` is json or html")),
    };
    let report = shared.usage.residency(question).await?;
    if !html {
        return Ok(Json(report).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ];
    Ok((headers, page(&report)).into_response())
}

fn may_see(caller: &Caller) -> Result<(), Problem> {
    if caller.is_admin() || caller.is_auditor() {
        return Ok(());
    }
    Err(Problem::forbidden("how scopes are used is for administrators and auditors to see", "ask one of them"))
}

impl From<UsageError> for Problem {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::NotFound(what) => Problem::not_found(what, "see proxy.toml"),
            UsageError::Unavailable(what) => Problem::unavailable(what, "try again in a moment"),
        }
    }
}
