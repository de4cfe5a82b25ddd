//! The tables `requests` and `decisions`.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use crate::access::{AccessRequest, Approval, Region, RequestId};
use crate::store::StoreError;
use crate::store::rows::request::{RawApproval, RawRequest, decision_in, more_in};
use crate::store::rows::values::{damaged, duration_in, instant_in, json_in};

pub(super) fn insert(tx: &Transaction<'_>, request: &AccessRequest) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO requests (id, principal, groups, home_region, database, scope_name, scope, reason, ticket, duration,
                               starts, statement, state, created_at, expires_at, more)
         VALUES (:id, :principal, :groups, :home_region, :database, :scope_name, :scope, :reason, :ticket, :duration,
                 :starts, :statement, :state, :created_at, :expires_at, :more)",
        named_params! {
            ":id": request.id.as_str(),
            ":principal": request.principal.name,
            ":groups": json_in(&request.principal.groups)?,
            ":home_region": request.principal.region.as_ref().map(Region::as_str),
            ":database": request.scope.database,
            ":scope_name": request.scope.name,
            ":scope": json_in(&request.scope)?,
            ":reason": request.reason,
            ":ticket": request.ticket,
            ":duration": duration_in(request.duration)?,
            ":starts": request.starts.map(instant_in).transpose()?,
            ":statement": request.statement,
            ":state": request.state.as_str(),
            ":created_at": instant_in(request.created_at)?,
            ":expires_at": instant_in(request.expires_at())?,
            ":more": more_in(request)?,
        },
    )?;
    for approval in &request.approvals {
        insert_approval(tx, &request.id, approval)?;
    }
    Ok(())
}

pub(super) fn by_id(tx: &Transaction<'_>, id: &RequestId) -> Result<AccessRequest, StoreError> {
    let mut statement = tx.prepare_cached("SELECT * FROM requests WHERE id = ?1")?;
    let raw = statement.query_row([id.as_str()], read).optional()?;
    let mut request = raw.ok_or(StoreError::NotFound("request"))?.parse()?;
    request.approvals = approvals_of(tx, &request.id)?;
    Ok(request)
}

/// The one in that row of the table.
pub(super) fn at(tx: &Transaction<'_>, row: i64) -> Result<AccessRequest, StoreError> {
    let mut statement = tx.prepare_cached("SELECT * FROM requests WHERE rowid = ?1")?;
    let mut request = statement.query_row([row], read)?.parse()?;
    request.approvals = approvals_of(tx, &request.id)?;
    Ok(request)
}

/// How many of a principal's are pending at `now`. All that are pending are few, and those of a principal may be many: hence
/// the plus sign, which keeps SQLite from looking for the principal first.
pub(super) fn pending_of(tx: &Transaction<'_>, principal: &str, now: Timestamp) -> Result<usize, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT count(*) FROM requests WHERE state = 'pending' AND expires_at > ?2 AND +principal = ?1",
    )?;
    let pending: i64 = statement.query_row((principal, instant_in(now)?), |row| row.get(0))?;
    usize::try_from(pending).map_err(|error| damaged(&error))
}

/// Writes down what an edit changed.
pub(super) fn replace(tx: &Transaction<'_>, request: &AccessRequest) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE requests SET reason = :reason, ticket = :ticket, duration = :duration, starts = :starts,
                             statement = :statement, more = :more
         WHERE id = :id",
        named_params! {
            ":id": request.id.as_str(),
            ":reason": request.reason,
            ":ticket": request.ticket,
            ":duration": duration_in(request.duration)?,
            ":starts": request.starts.map(instant_in).transpose()?,
            ":statement": request.statement,
            ":more": more_in(request)?,
        },
    )?;
    Ok(())
}

pub(super) fn set_state(tx: &Transaction<'_>, request: &AccessRequest) -> Result<(), StoreError> {
    tx.execute("UPDATE requests SET state = ?2 WHERE id = ?1", (request.id.as_str(), request.state.as_str()))?;
    Ok(())
}

pub(super) fn insert_last_approval(tx: &Transaction<'_>, request: &AccessRequest) -> Result<(), StoreError> {
    match request.approvals.last() {
        Some(approval) => insert_approval(tx, &request.id, approval),
        None => Ok(()),
    }
}

pub(super) fn any_stale(tx: &Transaction<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM requests WHERE state = 'pending' AND expires_at <= ?1)")?;
    Ok(statement.query_row([instant_in(now)?], |row| row.get(0))?)
}

pub(super) fn expire_stale(tx: &Transaction<'_>, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE requests SET state = 'expired' WHERE state = 'pending' AND expires_at <= ?1",
        [instant_in(now)?],
    )?;
    Ok(())
}

fn insert_approval(tx: &Transaction<'_>, id: &RequestId, approval: &Approval) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO decisions (request, approver, groups, decision, note, at, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            id.as_str(),
            &approval.approver,
            json_in(&approval.groups)?,
            decision_in(approval.decision),
            &approval.note,
            instant_in(approval.at)?,
            &approval.digest,
        ),
    )?;
    Ok(())
}

fn approvals_of(tx: &Transaction<'_>, id: &RequestId) -> Result<Vec<Approval>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT approver, groups, decision, note, at, digest FROM decisions WHERE request = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([id.as_str()], |row| {
        let (approver, groups, decision) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(RawApproval { approver, groups, decision, note: row.get(3)?, at: row.get(4)?, digest: row.get(5)? })
    })?;
    rows.map(|row| row?.parse()).collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<RawRequest> {
    Ok(RawRequest {
        id: row.get("id")?,
        principal: row.get("principal")?,
        groups: row.get("groups")?,
        home_region: row.get("home_region")?,
        scope: row.get("scope")?,
        reason: row.get("reason")?,
        ticket: row.get("ticket")?,
        duration: row.get("duration")?,
        starts: row.get("starts")?,
        statement: row.get("statement")?,
        state: row.get("state")?,
        created_at: row.get("created_at")?,
        more: row.get("more")?,
    })
}
