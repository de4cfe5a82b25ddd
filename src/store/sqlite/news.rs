//! What has changed among the grants since somebody read them: the table `grant_changes`, which the other tables' triggers fill.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction};

use super::grants;
use crate::access::{Grant, GrantId};
use crate::store::rows::scopes::Scopes;
use crate::store::{GrantMark, GrantNews, StoreError};

/// Changes that are read one by one; more of them cost more than reading all.
const MOST: i64 = 5_000;

/// All that are open at `now`, or what has changed since the mark.
pub(super) fn since(
    tx: &Transaction<'_>,
    since: Option<GrantMark>,
    now: Timestamp,
    scopes: &Scopes,
) -> Result<(GrantMark, GrantNews), StoreError> {
    let mut newest = tx.prepare_cached("SELECT position FROM grant_changes ORDER BY position DESC LIMIT 1")?;
    let newest: i64 = newest.query_row([], |row| row.get(0)).optional()?.unwrap_or_default();
    let mark = GrantMark(newest);
    match since {
        Some(GrantMark(since)) if since == newest => return Ok((mark, GrantNews::Changed(Vec::new()))),
        Some(GrantMark(since)) if since < newest && newest - since <= MOST => {
            if let Some(changed) = changed(tx, since, newest, scopes)? {
                return Ok((mark, GrantNews::Changed(changed)));
            }
        }
        Some(_) | None => {}
    }
    Ok((mark, GrantNews::All(grants::open(tx, now, scopes)?)))
}

/// As they are now; `None` where that cannot be told one by one.
fn changed(tx: &Transaction<'_>, since: i64, newest: i64, scopes: &Scopes) -> Result<Option<Vec<Grant>>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT grant_id FROM grant_changes WHERE position > ?1 ORDER BY position")?;
    let names: Vec<String> = statement.query_map([since], |row| row.get(0))?.collect::<Result<_, _>>()?;
    // A gap: rows were taken out by somebody.
    if i64::try_from(names.len()) != Ok(newest - since) {
        return Ok(None);
    }
    let mut grants: Vec<Grant> = Vec::new();
    for name in names {
        if grants.iter().any(|known| known.id.as_str() == name) {
            continue;
        }
        match grants::find_sharing(tx, &GrantId::from_text(name), scopes)? {
            Some(grant) => grants.push(grant),
            None => return Ok(None),
        }
    }
    Ok(Some(grants))
}
