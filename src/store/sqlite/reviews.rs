//! The table `reviews`.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction};

use super::grants;
use crate::access::{Grant, GrantId, Principal, Review};
use crate::store::rows::review::RawReview;
use crate::store::rows::values::instant_in;
use crate::store::{StoreError, Wanted};

pub(super) fn insert(tx: &Transaction<'_>, review: &Review) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO reviews (grant_id, due) VALUES (?1, ?2)",
        (review.grant.as_str(), instant_in(review.due)?),
    )?;
    Ok(())
}

/// The newest `most` that are wanted, oldest first.
pub(super) fn list(
    tx: &Transaction<'_>,
    wanted: &Wanted,
    open_only: bool,
    most: usize,
) -> Result<Vec<(Review, Grant)>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT grant_id, due, closed_at, closed_by, note FROM reviews WHERE closed_at IS NULL OR NOT ?1
         ORDER BY rowid DESC",
    )?;
    let mut rows = statement.query([open_only])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let review = read(row)?.parse()?;
        let grant = grants::by_id(tx, &review.grant)?;
        if wanted(&grant.principal, &grant.scope) {
            found.push((review, grant));
        }
        if found.len() >= most {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

/// Closes the review of a grant.
pub(super) fn close(
    tx: &Transaction<'_>,
    id: &GrantId,
    by: &Principal,
    note: &str,
    now: Timestamp,
) -> Result<(Review, Grant), StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT grant_id, due, closed_at, closed_by, note FROM reviews WHERE grant_id = ?1")?;
    let raw = statement.query_row([id.as_str()], read).optional()?;
    let mut review = raw.ok_or(StoreError::NotFound("review"))?.parse()?;
    let grant = grants::by_id(tx, id)?;
    review.close(&grant, by, note, now)?;
    tx.execute(
        "UPDATE reviews SET closed_at = ?2, closed_by = ?3, note = ?4 WHERE grant_id = ?1",
        (id.as_str(), instant_in(now)?, &by.name, note),
    )?;
    Ok((review, grant))
}

fn read(row: &Row<'_>) -> rusqlite::Result<RawReview> {
    let (grant, due) = (row.get(0)?, row.get(1)?);
    Ok(RawReview { grant, due, closed_at: row.get(2)?, closed_by: row.get(3)?, note: row.get(4)? })
}
