//! The table `credentials`: verifiers of minted database passwords.

use jiff::Timestamp;
use rusqlite::{Row, Transaction};

use crate::store::rows::values::{instant_in, instant_out};
use crate::store::{Credential, MAX_CREDENTIALS, StoreError};

/// Stores one; drops the principal's expired ones, and on this database the oldest beyond [`MAX_CREDENTIALS`].
pub(super) fn add(tx: &Transaction<'_>, credential: &Credential) -> Result<(), StoreError> {
    let Credential { principal, database, verifier, .. } = credential;
    let created_at = instant_in(credential.created_at)?;
    tx.execute("DELETE FROM credentials WHERE principal = ?1 AND expires_at <= ?2", (principal, created_at))?;
    tx.execute(
        "INSERT INTO credentials (principal, database, verifier, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (principal, database, verifier, created_at, instant_in(credential.expires_at)?),
    )?;
    tx.execute(
        "DELETE FROM credentials WHERE principal = ?1 AND database = ?2 AND position NOT IN (
            SELECT position FROM credentials WHERE principal = ?1 AND database = ?2 ORDER BY position DESC LIMIT ?3)",
        (principal, database, i64::try_from(MAX_CREDENTIALS).unwrap_or(i64::MAX)),
    )?;
    Ok(())
}

/// Those that are good at `now`, newest first: the one just minted is the likeliest to be tried.
pub(super) fn good_at(
    tx: &Transaction<'_>,
    principal: &str,
    database: &str,
    now: Timestamp,
) -> Result<Vec<Credential>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT principal, database, verifier, created_at, expires_at FROM credentials
         WHERE principal = ?1 AND database = ?2 AND expires_at > ?3 ORDER BY position DESC",
    )?;
    let read =
        |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?, row.get::<_, i64>(4)?));
    let rows = statement.query_map((principal, database, instant_in(now)?), read)?;
    rows.map(|row| {
        let (principal, database, verifier, created_at, expires_at) = row?;
        let (created_at, expires_at) = (instant_out(created_at)?, instant_out(expires_at)?);
        Ok(Credential { principal, database, verifier, created_at, expires_at })
    })
    .collect()
}
