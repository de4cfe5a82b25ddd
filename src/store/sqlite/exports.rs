//! The table `exports`: what has left a region under a grant, and what is reserved to leave.

use rusqlite::{OptionalExtension, Transaction};

use crate::access::{Amount, ExportLimit, GrantId};
use crate::store::rows::values::damaged;
use crate::store::{Reserved, StoreError};

/// Takes as much of `wanted` as `limit` leaves.
pub(super) fn reserve(
    tx: &Transaction<'_>,
    grant: &GrantId,
    rule: &str,
    wanted: Amount,
    limit: ExportLimit,
) -> Result<Reserved, StoreError> {
    let before = of_rule(tx, grant, rule)?;
    // Never more than the columns hold.
    let room = STORABLE.minus(before);
    let taken = wanted.at_most(limit.left(before)).at_most(room);
    let total = before.plus(taken);
    put(tx, grant, rule, total)?;
    Ok(Reserved { taken, total })
}

/// Gives back what was taken and not used.
pub(super) fn release(tx: &Transaction<'_>, grant: &GrantId, rule: &str, unused: Amount) -> Result<(), StoreError> {
    let total = of_rule(tx, grant, rule)?.minus(unused);
    put(tx, grant, rule, total)
}

/// Every rule's count under one grant.
pub(super) fn of_grant(tx: &Transaction<'_>, grant: &GrantId) -> Result<Vec<(String, Amount)>, StoreError> {
    let mut statement = tx.prepare_cached("SELECT rule, rows, bytes FROM exports WHERE grant_id = ?1 ORDER BY rule")?;
    let rows = statement.query_map([grant.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (rule, rows, bytes) = row?;
        Ok((rule, amount_out(rows, bytes)?))
    })
    .collect()
}

fn of_rule(tx: &Transaction<'_>, grant: &GrantId, rule: &str) -> Result<Amount, StoreError> {
    let mut statement = tx.prepare_cached("SELECT rows, bytes FROM exports WHERE grant_id = ?1 AND rule = ?2")?;
    let found = statement.query_row((grant.as_str(), rule), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map_or(Ok(Amount::default()), |(rows, bytes)| amount_out(rows, bytes))
}

fn put(tx: &Transaction<'_>, grant: &GrantId, rule: &str, total: Amount) -> Result<(), StoreError> {
    let column = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO exports (grant_id, rule, rows, bytes) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (grant_id, rule) DO UPDATE SET rows = excluded.rows, bytes = excluded.bytes",
        (grant.as_str(), rule, column(total.rows), column(total.bytes)),
    )?;
    Ok(())
}

fn amount_out(rows: i64, bytes: i64) -> Result<Amount, StoreError> {
    let count = |count: i64| u64::try_from(count).map_err(|error| damaged(&error));
    Ok(Amount { rows: count(rows)?, bytes: count(bytes)? })
}

const STORABLE: Amount = Amount { rows: i64::MAX as u64, bytes: i64::MAX as u64 };
