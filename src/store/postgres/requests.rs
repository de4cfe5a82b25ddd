//! The tables `requests` and `decisions`. A request has a version, and is changed only as what was read.

use jiff::Timestamp;
use tokio_postgres::{GenericClient, Row};

use super::parameters::{int, text};
use crate::access::{AccessRequest, Approval, Region, RequestId};
use crate::store::StoreError;
use crate::store::rows::request::{RawApproval, RawRequest, decision_in, more_in};
use crate::store::rows::values::{damaged, duration_in, instant_in, json_in};

/// What [`read`] reads.
pub(super) const COLUMNS: &str = "requests.id, requests.principal, requests.groups, requests.home_region, requests.scope, \
     requests.reason, requests.ticket, requests.duration, requests.starts, requests.statement, requests.state, \
     requests.created_at, requests.more, requests.version, requests.position";

/// A request as it was read.
#[derive(Debug)]
pub(super) struct Versioned {
    pub request: AccessRequest,
    pub version: i64,
}

pub(super) async fn insert(tx: &impl GenericClient, request: &AccessRequest) -> Result<(), StoreError> {
    let (groups, scope, more) = (json_in(&request.principal.groups)?, json_in(&request.scope)?, more_in(request)?);
    let (duration, starts) = (duration_in(request.duration)?, request.starts.map(instant_in).transpose()?);
    let (created_at, expires_at) = (instant_in(request.created_at)?, instant_in(request.expires_at())?);
    tx.execute_typed(
        "INSERT INTO requests (id, principal, groups, home_region, database, scope_name, scope, reason, ticket, duration,
                               starts, statement, state, created_at, expires_at, more)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        &[
            text(&request.id.as_str()),
            text(&request.principal.name),
            text(&groups),
            text(&request.principal.region.as_ref().map(Region::as_str)),
            text(&request.scope.database),
            text(&request.scope.name),
            text(&scope),
            text(&request.reason),
            text(&request.ticket),
            int(&duration),
            int(&starts),
            text(&request.statement),
            text(&request.state.as_str()),
            int(&created_at),
            int(&expires_at),
            text(&more),
        ],
    )
    .await?;
    for approval in &request.approvals {
        insert_approval(tx, &request.id, approval).await?;
    }
    Ok(())
}

pub(super) async fn by_id(tx: &impl GenericClient, id: &RequestId) -> Result<Versioned, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM requests WHERE id = $1");
    let row = tx.query_typed_opt(&query, &[text(&id.as_str())]).await?;
    let row = row.ok_or(StoreError::NotFound("request"))?;
    let mut request = read(&row)?;
    request.approvals = approvals_of(tx, id).await?;
    Ok(Versioned { request, version: row.try_get("version")? })
}

/// How many of a principal's are pending at `now`.
pub(super) async fn pending_of(tx: &impl GenericClient, principal: &str, now: Timestamp) -> Result<usize, StoreError> {
    let pending = "SELECT count(*) FROM requests WHERE state = 'pending' AND principal = $1 AND expires_at > $2";
    let row = tx.query_typed_one(pending, &[text(&principal), int(&instant_in(now)?)]).await?;
    usize::try_from(row.try_get::<_, i64>(0)?).map_err(|error| damaged(&error))
}

/// Writes down what a request has become since it was read. Answers whether it was still that.
pub(super) async fn replace(
    tx: &impl GenericClient,
    Versioned { request, version }: &Versioned,
) -> Result<bool, StoreError> {
    let (duration, starts) = (duration_in(request.duration)?, request.starts.map(instant_in).transpose()?);
    let changed = tx
        .execute_typed(
            "UPDATE requests SET reason = $3, ticket = $4, duration = $5, starts = $6, statement = $7, state = $8, more = $9,
                                 version = version + 1
             WHERE id = $1 AND version = $2",
            &[
                text(&request.id.as_str()),
                int(version),
                text(&request.reason),
                text(&request.ticket),
                int(&duration),
                int(&starts),
                text(&request.statement),
                text(&request.state.as_str()),
                text(&more_in(request)?),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Writes down which pending requests have run out.
pub(super) async fn expire_stale(tx: &impl GenericClient, now: Timestamp) -> Result<(), StoreError> {
    let stale =
        "UPDATE requests SET state = 'expired', version = version + 1 WHERE state = 'pending' AND expires_at <= $1";
    tx.execute_typed(stale, &[int(&instant_in(now)?)]).await?;
    Ok(())
}

pub(super) async fn insert_approval(
    tx: &impl GenericClient,
    id: &RequestId,
    approval: &Approval,
) -> Result<(), StoreError> {
    let (groups, at) = (json_in(&approval.groups)?, instant_in(approval.at)?);
    tx.execute_typed(
        "INSERT INTO decisions (request, approver, groups, decision, note, at, digest) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            text(&id.as_str()),
            text(&approval.approver),
            text(&groups),
            text(&decision_in(approval.decision)),
            text(&approval.note),
            int(&at),
            text(&approval.digest),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn approvals_of(tx: &impl GenericClient, id: &RequestId) -> Result<Vec<Approval>, StoreError> {
    let query =
        "SELECT approver, groups, decision, note, at, digest FROM decisions WHERE request = $1 ORDER BY position";
    let rows = tx.query_typed(query, &[text(&id.as_str())]).await?;
    rows.iter()
        .map(|row| {
            let (approver, groups, decision) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let (note, at, digest) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
            RawApproval { approver, groups, decision, note, at, digest }.parse()
        })
        .collect()
}

/// A row of [`COLUMNS`], without its approvals.
pub(super) fn read(row: &Row) -> Result<AccessRequest, StoreError> {
    let raw = RawRequest {
        id: row.try_get("id")?,
        principal: row.try_get("principal")?,
        groups: row.try_get("groups")?,
        home_region: row.try_get("home_region")?,
        scope: row.try_get("scope")?,
        reason: row.try_get("reason")?,
        ticket: row.try_get("ticket")?,
        duration: row.try_get("duration")?,
        starts: row.try_get("starts")?,
        statement: row.try_get("statement")?,
        state: row.try_get("state")?,
        created_at: row.try_get("created_at")?,
        more: row.try_get("more")?,
    };
    raw.parse()
}
