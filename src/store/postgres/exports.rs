//! The table `exports`: what has left a region under a grant, and what is reserved to leave.

use tokio_postgres::{GenericClient, Row};

use super::parameters::{int, text};
use crate::access::{Amount, ExportLimit, GrantId};
use crate::store::rows::values::damaged;
use crate::store::{Reserved, StoreError};

/// Takes as much of `wanted` as `limit` leaves. The row is this transaction's alone from when it is read.
pub(super) async fn reserve(
    tx: &impl GenericClient,
    grant: &GrantId,
    rule: &str,
    wanted: Amount,
    limit: ExportLimit,
) -> Result<Reserved, StoreError> {
    let none = "INSERT INTO exports (grant_id, rule, rows, bytes) VALUES ($1, $2, 0, 0) ON CONFLICT DO NOTHING";
    tx.execute_typed(none, &[text(&grant.as_str()), text(&rule)]).await?;
    let before = locked(tx, grant, rule).await?.unwrap_or_default();
    // Never more than the columns hold.
    let room = STORABLE.minus(before);
    let taken = wanted.at_most(limit.left(before)).at_most(room);
    let total = before.plus(taken);
    put(tx, grant, rule, total).await?;
    Ok(Reserved { taken, total })
}

/// Gives back what was taken and not used.
pub(super) async fn release(
    tx: &impl GenericClient,
    grant: &GrantId,
    rule: &str,
    unused: Amount,
) -> Result<(), StoreError> {
    let Some(before) = locked(tx, grant, rule).await? else { return Ok(()) };
    put(tx, grant, rule, before.minus(unused)).await
}

/// Every rule's count under one grant.
pub(super) async fn of_grant(tx: &impl GenericClient, grant: &GrantId) -> Result<Vec<(String, Amount)>, StoreError> {
    let query = "SELECT rows, bytes, rule FROM exports WHERE grant_id = $1 ORDER BY rule COLLATE \"C\"";
    let rows = tx.query_typed(query, &[text(&grant.as_str())]).await?;
    rows.iter().map(|row| Ok((row.try_get(2)?, amount(row)?))).collect()
}

async fn locked(tx: &impl GenericClient, grant: &GrantId, rule: &str) -> Result<Option<Amount>, StoreError> {
    let query = "SELECT rows, bytes FROM exports WHERE grant_id = $1 AND rule = $2 FOR UPDATE";
    let found = tx.query_typed_opt(query, &[text(&grant.as_str()), text(&rule)]).await?;
    found.map(|row| amount(&row)).transpose()
}

async fn put(tx: &impl GenericClient, grant: &GrantId, rule: &str, total: Amount) -> Result<(), StoreError> {
    let column = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let query = "UPDATE exports SET rows = $3, bytes = $4 WHERE grant_id = $1 AND rule = $2";
    let (rows, bytes) = (column(total.rows), column(total.bytes));
    tx.execute_typed(query, &[text(&grant.as_str()), text(&rule), int(&rows), int(&bytes)]).await?;
    Ok(())
}

fn amount(row: &Row) -> Result<Amount, StoreError> {
    let count = |count: i64| u64::try_from(count).map_err(|error| damaged(&error));
    Ok(Amount { rows: count(row.try_get(0)?)?, bytes: count(row.try_get(1)?)? })
}

const STORABLE: Amount = Amount { rows: i64::MAX as u64, bytes: i64::MAX as u64 };
