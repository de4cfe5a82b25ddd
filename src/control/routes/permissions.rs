//! Who reaches a database's data without pgward.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::control::auth::Caller;
use crate::control::extract::{Id, Params};
use crate::control::permissions::{PermissionsError, PermissionsQuestion, Report};
use crate::control::problem::Problem;
use crate::control::server::Shared;

/// Says who reaches classified data without pgward, by which path, whether pgward saw it used, and what would close it: for
/// administrators and auditors.
#[utoipa::path(
    get, path = "/v1/databases/{database}/permissions", tag = "permissions",
    params(("database" = String, Path), PermissionsQuestion),
    responses((status = 200, body = Object), (status = "default", body = Problem))
)]
pub async fn permissions(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(database): Id<String>,
    Params(question): Params<PermissionsQuestion>,
) -> Result<Json<Report>, Problem> {
    if !caller.is_admin() && !caller.is_auditor() {
        return Err(Problem::forbidden("standing access is for administrators and auditors to see", "ask one of them"));
    }
    Ok(Json(shared.permissions.permissions(&database, question).await?))
}

impl From<PermissionsError> for Problem {
    fn from(error: PermissionsError) -> Self {
        let said = error.to_string();
        match error {
            PermissionsError::NoDatabase(_) => Problem::not_found(said, "see [[database]] in proxy.toml"),
            PermissionsError::Invalid(_) => Problem::bad_request(said),
            PermissionsError::Unavailable(_) => Problem::unavailable(said, "try again in a moment"),
        }
    }
}
