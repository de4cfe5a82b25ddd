//! The table `reviews`.

use jiff::Timestamp;
use tokio_postgres::{GenericClient, Row};

use super::grants;
use super::parameters::{int, text};
use crate::access::{Grant, GrantId, Principal, Review};
use crate::store::StoreError;
use crate::store::rows::review::RawReview;
use crate::store::rows::values::instant_in;

/// What [`read`] reads, and where it stands.
pub(super) const COLUMNS: &str = "grant_id, due, closed_at, closed_by, note, position";

pub(super) async fn insert(tx: &impl GenericClient, review: &Review) -> Result<(), StoreError> {
    let due = instant_in(review.due)?;
    let row = "INSERT INTO reviews (grant_id, due) VALUES ($1, $2)";
    tx.execute_typed(row, &[text(&review.grant.as_str()), int(&due)]).await?;
    Ok(())
}

/// Closes the review of a grant. `None` where somebody else closed it meanwhile.
pub(super) async fn close(
    tx: &impl GenericClient,
    id: &GrantId,
    by: &Principal,
    note: &str,
    now: Timestamp,
) -> Result<Option<(Review, Grant)>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM reviews WHERE grant_id = $1");
    let row = tx.query_typed_opt(&query, &[text(&id.as_str())]).await?;
    let mut review = read(&row.ok_or(StoreError::NotFound("review"))?)?;
    let grant = grants::by_id(tx, id).await?;
    review.close(&grant, by, note, now)?;
    let closing =
        "UPDATE reviews SET closed_at = $2, closed_by = $3, note = $4 WHERE grant_id = $1 AND closed_at IS NULL";
    let (id, now) = (id.as_str(), instant_in(now)?);
    let closed = tx.execute_typed(closing, &[text(&id), int(&now), text(&by.name), text(&note)]).await?;
    Ok((closed == 1).then_some((review, grant)))
}

pub(super) fn read(row: &Row) -> Result<Review, StoreError> {
    let (grant, due) = (row.try_get("grant_id")?, row.try_get("due")?);
    let (closed_at, closed_by) = (row.try_get("closed_at")?, row.try_get("closed_by")?);
    RawReview { grant, due, closed_at, closed_by, note: row.try_get("note")? }.parse()
}
