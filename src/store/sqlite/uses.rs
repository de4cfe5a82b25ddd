//! The table `grant_uses`: how often a grant has been used that may be used so often.

use rusqlite::Transaction;

use super::grants;
use crate::access::{Grant, GrantId};
use crate::store::StoreError;

/// Takes one use, where one is left; answers how many are left then.
pub(super) fn take(tx: &Transaction<'_>, id: &GrantId) -> Result<Option<u32>, StoreError> {
    let grant = grants::by_id(tx, id)?;
    let Some(left) = left(&grant)?.checked_sub(1) else { return Ok(None) };
    tx.execute(
        "INSERT INTO grant_uses (grant_id, used) VALUES (?1, 1)
         ON CONFLICT (grant_id) DO UPDATE SET used = used + 1",
        [id.as_str()],
    )?;
    Ok(Some(left))
}

/// Gives one back that was taken.
pub(super) fn give_back(tx: &Transaction<'_>, id: &GrantId) -> Result<(), StoreError> {
    tx.execute("UPDATE grant_uses SET used = used - 1 WHERE grant_id = ?1 AND used > 0", [id.as_str()])?;
    Ok(())
}

fn left(grant: &Grant) -> Result<u32, StoreError> {
    grant.uses_left().ok_or(StoreError::NotFound("bound on the uses of this grant"))
}
