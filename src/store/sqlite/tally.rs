//! Counting what is stored.

use jiff::Timestamp;
use rusqlite::Transaction;

use crate::store::rows::values::{damaged, instant_in, instant_out};
use crate::store::{StoreError, Tally};

/// Everything at `now`. The requests are counted from an index alone, and of grants and reviews those that are open are read.
pub(super) fn at(tx: &Transaction<'_>, now: Timestamp) -> Result<Tally, StoreError> {
    let now = instant_in(now)?;
    let mut tally = Tally::default();
    count_requests(tx, now, &mut tally)?;
    (tally.grants_live, tally.break_glass_live) = pair(
        tx,
        "SELECT count(*), count(*) FILTER (WHERE more ->> 'origin' = 'break_glass') FROM grants
         WHERE expires_at > ?1 AND not_before <= ?1
           AND NOT EXISTS (SELECT 1 FROM revocations WHERE grant_id = grants.id)",
        now,
    )?;
    (tally.reviews_open, tally.reviews_overdue) =
        pair(tx, "SELECT count(*), count(*) FILTER (WHERE due <= ?1) FROM reviews WHERE closed_at IS NULL", now)?;
    Ok(tally)
}

fn count_requests(tx: &Transaction<'_>, now: i64, tally: &mut Tally) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached("SELECT state, count(*) FROM requests GROUP BY state")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let state = row.get_ref(0)?.as_str().map_err(|error| damaged(&error))?;
        let place = match state {
            "pending" => &mut tally.pending,
            "approved" => &mut tally.approved,
            "denied" => &mut tally.denied,
            "withdrawn" => &mut tally.withdrawn,
            "expired" => &mut tally.expired,
            other => return Err(damaged(&format!("a request is {other}"))),
        };
        *place = number(row.get(1)?)?;
    }
    let mut stale = tx.prepare_cached("SELECT count(*) FROM requests WHERE state = 'pending' AND expires_at <= ?1")?;
    let stale = number(stale.query_row([now], |row| row.get(0))?)?;
    tally.pending = tally.pending.saturating_sub(stale);
    tally.expired += stale;
    Ok(())
}

fn pair(tx: &Transaction<'_>, query: &str, now: i64) -> Result<(u64, u64), StoreError> {
    let (all, some) = tx.prepare_cached(query)?.query_row([now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((number(all)?, number(some)?))
}

fn number(count: i64) -> Result<u64, StoreError> {
    u64::try_from(count).map_err(|error| damaged(&error))
}

/// The latest instant at which anything here was done.
pub(super) fn latest_instant(tx: &Transaction<'_>) -> Result<Option<Timestamp>, StoreError> {
    let latest: Option<i64> = tx.query_row(
        "SELECT max(at) FROM (
            SELECT max(created_at) AS at FROM requests
            UNION ALL SELECT max(at) FROM decisions
            UNION ALL SELECT max(at) FROM revocations
            UNION ALL SELECT max(created_at) FROM credentials)",
        [],
        |row| row.get(0),
    )?;
    latest.map(instant_out).transpose()
}
