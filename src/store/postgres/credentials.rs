//! The table `credentials`: verifiers of minted database passwords.

use jiff::Timestamp;
use tokio_postgres::GenericClient;

use super::parameters::{int, text};
use crate::store::rows::values::{instant_in, instant_out};
use crate::store::{Credential, MAX_CREDENTIALS, StoreError};

/// Stores one; drops the principal's expired ones, and on this database the oldest beyond [`MAX_CREDENTIALS`].
pub(super) async fn add(tx: &impl GenericClient, credential: &Credential) -> Result<(), StoreError> {
    let Credential { principal, database, verifier, .. } = credential;
    let (created_at, expires_at) = (instant_in(credential.created_at)?, instant_in(credential.expires_at)?);
    // Two that are minted at once for one principal would wait for each other's rows.
    tx.query_typed("SELECT pg_advisory_xact_lock(hashtextextended($1, 20))", &[text(principal)]).await?;
    let expired = "DELETE FROM credentials WHERE principal = $1 AND expires_at <= $2";
    tx.execute_typed(expired, &[text(principal), int(&created_at)]).await?;
    let row =
        "INSERT INTO credentials (principal, database, verifier, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
    let values = [text(principal), text(database), text(verifier), int(&created_at), int(&expires_at)];
    tx.execute_typed(row, &values).await?;
    let most = i64::try_from(MAX_CREDENTIALS).unwrap_or(i64::MAX);
    tx.execute_typed(
        "DELETE FROM credentials WHERE principal = $1 AND database = $2 AND position NOT IN (
            SELECT position FROM credentials WHERE principal = $1 AND database = $2 ORDER BY position DESC LIMIT $3)",
        &[text(principal), text(database), int(&most)],
    )
    .await?;
    Ok(())
}

/// Those that are good at `now`, newest first: the one just minted is the likeliest to be tried.
pub(super) async fn good_at(
    tx: &impl GenericClient,
    principal: &str,
    database: &str,
    now: Timestamp,
) -> Result<Vec<Credential>, StoreError> {
    let query = "SELECT principal, database, verifier, created_at, expires_at FROM credentials
         WHERE principal = $1 AND database = $2 AND expires_at > $3 ORDER BY position DESC";
    let rows = tx.query_typed(query, &[text(&principal), text(&database), int(&instant_in(now)?)]).await?;
    rows.iter()
        .map(|row| {
            let (created_at, expires_at) = (instant_out(row.try_get(3)?)?, instant_out(row.try_get(4)?)?);
            let (principal, database, verifier) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(Credential { principal, database, verifier, created_at, expires_at })
        })
        .collect()
}
