//! What the verdict on a statement would be.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::control::api::{ExplainView, Question};
use crate::control::auth::Caller;
use crate::control::explain::ExplainQuestion;
use crate::control::extract::Body;
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::control::views;

/// Says what the verdict on a statement would be and why. Runs nothing. Only administrators and auditors may ask for
/// somebody else.
#[utoipa::path(
    post, path = "/v1/explain", tag = "explain", request_body = Question,
    responses((status = 200, body = ExplainView), (status = "default", body = Problem))
)]
pub async fn explain(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Body(question): Body<Question>,
) -> Result<Json<ExplainView>, Problem> {
    let principal = match question.user {
        None => caller.principal().clone(),
        Some(user) if user == caller.name() => caller.principal().clone(),
        Some(user) if caller.is_admin() || caller.is_auditor() => {
            let directory = shared.directory.load();
            let found = directory.user(&user).map(|user| user.principal.clone());
            found.ok_or_else(|| {
                let detail = format!("there is no user \"{}\"", user.escape_debug());
                Problem::not_found(detail, "the users stand in proxy.toml")
            })?
        }
        Some(_) => {
            return Err(Problem::forbidden(
                "only administrators and auditors may ask for somebody else",
                "leave --user out to ask for yourself",
            ));
        }
    };
    let question =
        ExplainQuestion { database: question.database, principal, client: caller.peer().ip(), sql: question.sql };
    let _turn = shared.judges.acquire().await.map_err(|_| Problem::internal())?;
    let answer = shared.explainer.explain(question).await?;
    Ok(Json(views::explanation(answer)))
}
