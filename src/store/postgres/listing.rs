//! Listings: the newest that are wanted. What is wanted is asked of each candidate here, so they are read a page at a time and
//! no further than it takes.

use jiff::Timestamp;
use tokio_postgres::{GenericClient, Row};

use super::parameters::{int, text};
use super::{grants, requests, reviews};
use crate::access::{AccessRequest, Grant, RequestState, Review};
use crate::store::rows::scopes::Scopes;
use crate::store::rows::values::instant_in;
use crate::store::{StoreError, Wanted};

/// Rows that are read at once.
const PAGE: i64 = 500;

/// Of all grants there are, live or over.
pub(super) async fn all_grants(
    tx: &impl GenericClient,
    wanted: Wanted,
    most: usize,
    scopes: &Scopes,
) -> Result<Vec<Grant>, StoreError> {
    grants_where(tx, "true", 0, wanted, most, scopes).await
}

/// Of the grants that are not over at `now`.
pub(super) async fn open_grants(
    tx: &impl GenericClient,
    wanted: Wanted,
    now: Timestamp,
    most: usize,
    scopes: &Scopes,
) -> Result<Vec<Grant>, StoreError> {
    grants_where(tx, "grants.expires_at > $1 AND revocations.at IS NULL", instant_in(now)?, wanted, most, scopes).await
}

async fn grants_where(
    tx: &impl GenericClient,
    condition: &str,
    instant: i64,
    wanted: Wanted,
    most: usize,
    scopes: &Scopes,
) -> Result<Vec<Grant>, StoreError> {
    let query = format!(
        "SELECT {}, grants.position FROM {} WHERE {condition} AND $1 >= 0 AND grants.position < $2
         ORDER BY grants.position DESC LIMIT $3",
        grants::COLUMNS,
        grants::TABLES
    );
    let (mut found, mut before) = (Vec::new(), i64::MAX);
    loop {
        let rows = tx.query_typed(&query, &[int(&instant), int(&before), int(&PAGE)]).await?;
        for row in &rows {
            if is_wanted(row, &wanted, scopes)? && found.len() < most {
                found.push(grants::read(row, |text| scopes.read(text))?);
            }
        }
        match rows.last() {
            Some(last) if found.len() < most && rows.len() == PAGE as usize => before = last.try_get("position")?,
            _ => break,
        }
    }
    found.reverse();
    Ok(found)
}

/// Requests with the grants that came of them; those that ran out by `now` are marked so.
pub(super) async fn requests(
    tx: &impl GenericClient,
    wanted: Wanted,
    state: Option<RequestState>,
    most: usize,
    now: Timestamp,
    scopes: &Scopes,
) -> Result<Vec<(AccessRequest, Option<Grant>)>, StoreError> {
    // One that has run out may not have been marked so in the table yet.
    let states = match state {
        None => String::new(),
        Some(RequestState::Expired) => "state IN ('pending', 'expired') AND".to_owned(),
        Some(state) => format!("state = '{}' AND", state.as_str()),
    };
    let query = format!(
        "SELECT {} FROM requests WHERE {states} (created_at, position) < ($1, $2)
         ORDER BY created_at DESC, position DESC LIMIT $3",
        requests::COLUMNS
    );
    let (mut found, mut before) = (Vec::new(), (i64::MAX, i64::MAX));
    loop {
        let rows = tx.query_typed(&query, &[int(&before.0), int(&before.1), int(&PAGE)]).await?;
        for row in &rows {
            if found.len() < most && is_wanted(row, &wanted, scopes)? {
                let mut request = requests::read(row)?;
                request.expire(now);
                if state.is_none_or(|state| state == request.state) {
                    found.push(request);
                }
            }
        }
        match rows.last() {
            Some(last) if found.len() < most && rows.len() == PAGE as usize => {
                before = (last.try_get("created_at")?, last.try_get("position")?);
            }
            _ => break,
        }
    }
    found.reverse();
    with_grants(tx, found).await
}

async fn with_grants(
    tx: &impl GenericClient,
    found: Vec<AccessRequest>,
) -> Result<Vec<(AccessRequest, Option<Grant>)>, StoreError> {
    let mut whole = Vec::with_capacity(found.len());
    for mut request in found {
        request.approvals = requests::approvals_of(tx, &request.id).await?;
        let grant = grants::of_request(tx, &request.id).await?;
        whole.push((request, grant));
    }
    Ok(whole)
}

/// The newest `most` reviews that are wanted, oldest first.
pub(super) async fn reviews(
    tx: &impl GenericClient,
    wanted: Wanted,
    open_only: bool,
    most: usize,
) -> Result<Vec<(Review, Grant)>, StoreError> {
    let query = format!(
        "SELECT {} FROM reviews WHERE ($1 = '' OR closed_at IS NULL) AND position < $2 ORDER BY position DESC LIMIT $3",
        reviews::COLUMNS
    );
    let which = if open_only { "open" } else { "" };
    let (mut found, mut before) = (Vec::new(), i64::MAX);
    loop {
        let rows = tx.query_typed(&query, &[text(&which), int(&before), int(&PAGE)]).await?;
        for row in &rows {
            if found.len() == most {
                break;
            }
            let review = reviews::read(row)?;
            let grant = grants::by_id(tx, &review.grant).await?;
            if wanted(&grant.principal, &grant.scope) {
                found.push((review, grant));
            }
        }
        match rows.last() {
            Some(last) if found.len() < most && rows.len() == PAGE as usize => before = last.try_get("position")?,
            _ => break,
        }
    }
    found.reverse();
    Ok(found)
}

fn is_wanted(row: &Row, wanted: &Wanted, scopes: &Scopes) -> Result<bool, StoreError> {
    let scope = scopes.read(row.try_get("scope")?)?;
    Ok(wanted(row.try_get("principal")?, &scope))
}
