//! Handing out the proof of a record: to auditors, and to whom the record concerns.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tokio::task::spawn_blocking;

use super::audit::place;
use crate::audit::{Bundle, ProveError, prove};
use crate::control::auth::Caller;
use crate::control::extract::Id;
use crate::control::problem::Problem;
use crate::control::server::Shared;

/// Proves one record to whoever knows the log's verifier key: the record, its key, and the way to a signed checkpoint. The
/// key opens that record and no other.
#[utoipa::path(
    get, path = "/v1/audit/proof/{seq}", tag = "audit",
    params(("seq" = u64, Path, description = "A record's number")),
    responses((status = 200, body = Object), (status = "default", body = Problem))
)]
pub async fn proof(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(seq): Id<u64>,
) -> Result<Json<Bundle>, Problem> {
    let place = place(&shared.readers).await?;
    let journal = Arc::clone(&shared.journal);
    let proved = spawn_blocking(move || {
        let proved = prove(journal.places(), seq);
        drop(place);
        proved
    });
    let hidden = || {
        Problem::not_found(
            format!("the journal holds no record {seq}, or none that you may read"),
            "find records with `pgward audit search`",
        )
    };
    let proved = proved.await.map_err(|_| Problem::internal())?;
    // That a record is not there yet, too, is told only to those who may read all.
    let (bundle, record) = match proved {
        Ok(proved) => proved,
        Err(_) if !caller.is_auditor() => return Err(hidden()),
        Err(error) => return Err(error.into()),
    };
    let directory = shared.directory.load();
    let concerns = record.is_some_and(|record| directory.may_read(caller.principal(), &record));
    if concerns || caller.is_auditor() { Ok(Json(bundle)) } else { Err(hidden()) }
}

impl From<ProveError> for Problem {
    fn from(error: ProveError) -> Self {
        let said = error.to_string();
        match error {
            ProveError::Read(error) => error.into(),
            ProveError::Zero => Self::bad_request(said),
            ProveError::NotYet { .. } => Self::not_found(said, "a checkpoint is signed every second: try again"),
            ProveError::Damaged { .. } => {
                tracing::error!(error = %said, "the journal is not as it was written");
                Self::unavailable(said, "run `pgward audit verify`")
            }
        }
    }
}
