//! Listings of requests and grants: the newest that are wanted. What is not wanted is passed over without being read whole,
//! and nothing is read beyond what is listed, since the store keeps all that ever was.

use jiff::Timestamp;
use rusqlite::{Params, Transaction};

use super::{grants, requests};
use crate::access::{AccessRequest, Grant, RequestState};
use crate::store::rows::scopes::Scopes;
use crate::store::rows::values::{damaged, instant_in};
use crate::store::{StoreError, Wanted};

/// Of all grants there are, live or over.
pub(super) fn all_grants(
    tx: &Transaction<'_>,
    wanted: &Wanted,
    most: usize,
    scopes: &Scopes,
) -> Result<Vec<Grant>, StoreError> {
    let newest_first = "SELECT rowid, principal, scope FROM grants ORDER BY rowid DESC";
    let mut rows = Vec::new();
    choose(tx, newest_first, [], wanted, scopes, |row| {
        rows.push(row);
        Ok(rows.len() < most)
    })?;
    rows.iter().rev().map(|row| grants::at(tx, *row, scopes)).collect()
}

/// Of the grants that are not over at `now`. They are found by their end, not by their age, which would lead past all that
/// are over.
pub(super) fn open_grants(
    tx: &Transaction<'_>,
    wanted: &Wanted,
    now: Timestamp,
    most: usize,
    scopes: &Scopes,
) -> Result<Vec<Grant>, StoreError> {
    let open = "SELECT rowid, principal, scope FROM grants
                WHERE expires_at > ?1 AND NOT EXISTS (SELECT 1 FROM revocations WHERE grant_id = grants.id)";
    let mut rows = Vec::new();
    choose(tx, open, [instant_in(now)?], wanted, scopes, |row| {
        rows.push(row);
        Ok(true)
    })?;
    rows.sort_unstable();
    let surplus = rows.len().saturating_sub(most);
    rows.iter().skip(surplus).map(|row| grants::at(tx, *row, scopes)).collect()
}

/// Requests with the grants that came of them; those that ran out by `now` are marked so.
pub(super) fn requests(
    tx: &Transaction<'_>,
    wanted: &Wanted,
    state: Option<RequestState>,
    most: usize,
    now: Timestamp,
    scopes: &Scopes,
) -> Result<Vec<(AccessRequest, Option<Grant>)>, StoreError> {
    let newest_first = format!(
        "SELECT rowid, principal, scope FROM requests {} ORDER BY created_at DESC, rowid DESC",
        // One that has run out may not have been marked so in the table yet.
        match state {
            None => String::new(),
            Some(RequestState::Expired) => "WHERE state IN ('pending', 'expired')".to_owned(),
            Some(state) => format!("WHERE state = '{}'", state.as_str()),
        }
    );
    let mut found = Vec::new();
    choose(tx, &newest_first, [], wanted, scopes, |row| {
        let mut request = requests::at(tx, row)?;
        request.expire(now);
        if state.is_none_or(|state| state == request.state) {
            let grant = grants::of_request(tx, &request.id)?;
            found.push((request, grant));
        }
        Ok(found.len() < most)
    })?;
    found.reverse();
    Ok(found)
}

/// Hands on the rows that are wanted, until it is enough.
fn choose(
    tx: &Transaction<'_>,
    query: &str,
    parameters: impl Params,
    wanted: &Wanted,
    scopes: &Scopes,
    mut take: impl FnMut(i64) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(query)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        let principal = row.get_ref(1)?.as_str().map_err(|error| damaged(&error))?;
        let scope = scopes.read(row.get_ref(2)?.as_str().map_err(|error| damaged(&error))?)?;
        if wanted(principal, &scope) && !take(row.get(0)?)? {
            break;
        }
    }
    Ok(())
}
