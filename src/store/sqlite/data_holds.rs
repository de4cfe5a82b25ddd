//! The table `data_holds`: legal holds on rows of the databases.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction};

use crate::retention::Hold;
use crate::store::StoreError;
use crate::store::rows::values::{instant_in, json_in, json_out};

pub(super) fn place(tx: &Transaction<'_>, hold: &Hold) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO data_holds (id, database, hold, placed_at) VALUES (?1, ?2, ?3, ?4)",
        (&hold.id, &hold.database, json_in(hold)?, instant_in(hold.placed)?),
    )?;
    Ok(())
}

/// Those that stand, oldest first; of one database, or of all.
pub(super) fn standing(tx: &Transaction<'_>, database: Option<&str>) -> Result<Vec<Hold>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT hold FROM data_holds WHERE released_at IS NULL AND (?1 IS NULL OR database = ?1) ORDER BY placed_at, id",
    )?;
    let rows = statement.query_map([database], |row| row.get::<_, String>(0))?;
    rows.map(|row| json_out(&row?)).collect()
}

pub(super) fn release(tx: &Transaction<'_>, id: &str, now: Timestamp) -> Result<Hold, StoreError> {
    let released: Option<String> = tx
        .query_row(
            "UPDATE data_holds SET released_at = ?2 WHERE id = ?1 AND released_at IS NULL RETURNING hold",
            (id, instant_in(now)?),
            |row| row.get(0),
        )
        .optional()?;
    json_out(&released.ok_or(StoreError::NotFound("hold"))?)
}
