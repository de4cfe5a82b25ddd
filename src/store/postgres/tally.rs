//! How much of everything is stored at an instant, and the latest instant of all.

use jiff::Timestamp;
use tokio_postgres::GenericClient;

use super::parameters::int;
use crate::store::rows::values::{damaged, instant_in, instant_out};
use crate::store::{StoreError, Tally};

/// Everything at `now`, in one view of it.
pub(super) async fn at(tx: &impl GenericClient, now: Timestamp) -> Result<Tally, StoreError> {
    let query = "WITH counted AS (
            SELECT CASE WHEN state = 'pending' AND expires_at <= $1 THEN 'expired' ELSE state END AS state, count(*) AS count
            FROM requests GROUP BY 1
        ), live AS (
            SELECT grants.more FROM grants WHERE expires_at > $1 AND not_before <= $1
               AND NOT EXISTS (SELECT FROM revocations WHERE grant_id = grants.id)
        ), open AS (SELECT due FROM reviews WHERE closed_at IS NULL)
        SELECT (SELECT count FROM counted WHERE state = 'pending'), (SELECT count FROM counted WHERE state = 'approved'),
               (SELECT count FROM counted WHERE state = 'denied'), (SELECT count FROM counted WHERE state = 'withdrawn'),
               (SELECT sum(count)::int8 FROM counted WHERE state = 'expired'),
               (SELECT count(*) FROM live), (SELECT count(*) FROM live WHERE more::json ->> 'origin' = 'break_glass'),
               (SELECT count(*) FROM open), (SELECT count(*) FROM open WHERE due <= $1)";
    let row = tx.query_typed_one(query, &[int(&instant_in(now)?)]).await?;
    let number = |at: usize| -> Result<u64, StoreError> {
        u64::try_from(row.try_get::<_, Option<i64>>(at)?.unwrap_or_default()).map_err(|error| damaged(&error))
    };
    Ok(Tally {
        pending: number(0)?,
        approved: number(1)?,
        denied: number(2)?,
        withdrawn: number(3)?,
        expired: number(4)?,
        grants_live: number(5)?,
        break_glass_live: number(6)?,
        reviews_open: number(7)?,
        reviews_overdue: number(8)?,
    })
}

/// The latest instant at which anything here was done.
pub(super) async fn latest_instant(tx: &impl GenericClient) -> Result<Option<Timestamp>, StoreError> {
    let query = "SELECT greatest((SELECT max(created_at) FROM requests), (SELECT max(at) FROM decisions),
                                 (SELECT max(at) FROM revocations), (SELECT max(created_at) FROM credentials))";
    let row = tx.query_typed_one(query, &[]).await?;
    row.try_get::<_, Option<i64>>(0)?.map(instant_out).transpose()
}
