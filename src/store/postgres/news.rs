//! What has changed among the grants since somebody read them: the table `grant_changes`, which the other tables' triggers fill.

use jiff::Timestamp;
use tokio_postgres::GenericClient;

use super::grants;
use super::parameters::int;
use crate::access::Grant;
use crate::store::rows::scopes::Scopes;
use crate::store::rows::values::instant_in;
use crate::store::{GrantMark, GrantNews, StoreError};

/// Changes that are read one by one; more of them cost more than reading all.
const MOST: i64 = 5_000;

/// Where the changes stand.
pub(super) async fn newest(tx: &impl GenericClient) -> Result<i64, StoreError> {
    Ok(tx.query_typed_one("SELECT position FROM grant_position", &[]).await?.try_get(0)?)
}

/// What has changed between two positions, as it is now; `None` where that cannot be told one by one.
pub(super) async fn changed(
    tx: &impl GenericClient,
    since: i64,
    newest: i64,
    scopes: &Scopes,
) -> Result<Option<Vec<Grant>>, StoreError> {
    if since > newest || newest - since > MOST {
        return Ok(None);
    }
    let query = format!(
        "SELECT {}, changes.count, changes.gone FROM (
             SELECT min(position) AS first, grant_id, sum(count(*)) OVER () ::int8 AS count, grant_id = '' AS gone
             FROM grant_changes WHERE position > $1 AND position <= $2 GROUP BY grant_id) AS changes
         LEFT JOIN ({}) ON grants.id = changes.grant_id ORDER BY changes.first",
        grants::COLUMNS,
        grants::TABLES
    );
    let rows = tx.query_typed(&query, &[int(&since), int(&newest)]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        // A gap: rows were taken out by somebody. No such grant: it was removed, or all are to be read.
        let is_whole = row.try_get::<_, i64>("count")? == newest - since;
        if !is_whole || row.try_get("gone")? || row.try_get::<_, Option<&str>>("id")?.is_none() {
            return Ok(None);
        }
        found.push(grants::read(row, |text| scopes.read(text))?);
    }
    Ok(Some(found))
}

/// Live ones and those still to come, oldest first; those of one scope hold it together.
pub(super) async fn open(tx: &impl GenericClient, now: Timestamp, scopes: &Scopes) -> Result<GrantNews, StoreError> {
    let query = format!(
        "SELECT {} FROM {} WHERE grants.expires_at > $1 AND revocations.at IS NULL ORDER BY grants.position",
        grants::COLUMNS,
        grants::TABLES
    );
    let rows = tx.query_typed(&query, &[int(&instant_in(now)?)]).await?;
    let grants = rows.iter().map(|row| grants::read(row, |text| scopes.read(text))).collect::<Result<_, _>>()?;
    Ok(GrantNews::All(grants))
}

/// The mark of a position.
pub(super) fn mark(position: i64) -> GrantMark {
    GrantMark(position)
}
