//! The table `data_holds`: legal holds on rows of the databases.

use jiff::Timestamp;
use tokio_postgres::GenericClient;

use super::parameters::{int, text};
use crate::retention::Hold;
use crate::store::StoreError;
use crate::store::rows::values::{instant_in, json_in, json_out};

pub(super) async fn place(tx: &impl GenericClient, hold: &Hold) -> Result<(), StoreError> {
    let (json, placed) = (json_in(hold)?, instant_in(hold.placed)?);
    let row = "INSERT INTO data_holds (id, database, hold, placed_at) VALUES ($1, $2, $3, $4)";
    tx.execute_typed(row, &[text(&hold.id), text(&hold.database), text(&json), int(&placed)]).await?;
    Ok(())
}

/// Those that stand, oldest first; of one database, or of all.
pub(super) async fn standing(tx: &impl GenericClient, database: Option<&str>) -> Result<Vec<Hold>, StoreError> {
    let query = "SELECT hold FROM data_holds WHERE released_at IS NULL AND ($1 IS NULL OR database = $1)
         ORDER BY placed_at, id COLLATE \"C\"";
    let rows = tx.query_typed(query, &[text(&database)]).await?;
    rows.iter().map(|row| json_out(row.try_get(0)?)).collect()
}

pub(super) async fn release(tx: &impl GenericClient, id: &str, now: Timestamp) -> Result<Hold, StoreError> {
    let query = "UPDATE data_holds SET released_at = $2 WHERE id = $1 AND released_at IS NULL RETURNING hold";
    let released = tx.query_typed_opt(query, &[text(&id), int(&instant_in(now)?)]).await?;
    json_out(released.ok_or(StoreError::NotFound("hold"))?.try_get(0)?)
}
