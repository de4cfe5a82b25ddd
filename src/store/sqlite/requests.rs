//! The tables `requests` and `decisions`.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use super::values::{damaged, duration_in, duration_out, instant_in, instant_out, json_in, json_out};
use crate::access::{
    AccessRequest, Analysis, Approval, Decision, Extension, Origin, Principal, Region, RequestId, RequestState,
    Requirement, Scope,
};
use crate::store::StoreError;

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
            ":more": json_in(&More::of(request))?,
        },
    )?;
    for approval in &request.approvals {
        insert_approval(tx, &request.id, approval)?;
    }
    Ok(())
}

pub(super) fn by_id(tx: &Transaction<'_>, id: &RequestId) -> Result<AccessRequest, StoreError> {
    let mut statement = tx.prepare_cached("SELECT * FROM requests WHERE id = ?1")?;
    let raw = statement.query_row([id.as_str()], RawRequest::read).optional()?;
    let mut request = raw.ok_or(StoreError::NotFound("request"))?.parse()?;
    request.approvals = approvals_of(tx, &request.id)?;
    Ok(request)
}

/// The one in that row of the table.
pub(super) fn at(tx: &Transaction<'_>, row: i64) -> Result<AccessRequest, StoreError> {
    let mut statement = tx.prepare_cached("SELECT * FROM requests WHERE rowid = ?1")?;
    let mut request = statement.query_row([row], RawRequest::read)?.parse()?;
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
            ":more": json_in(&More::of(request))?,
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
    let decision = match approval.decision {
        Decision::Approve => "approve",
        Decision::Deny => "deny",
    };
    tx.execute(
        "INSERT INTO decisions (request, approver, groups, decision, note, at, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            id.as_str(),
            &approval.approver,
            json_in(&approval.groups)?,
            decision,
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
        let (approver, groups): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((approver, groups, row.get::<_, String>(2)?, row.get(3)?, row.get::<_, i64>(4)?, row.get(5)?))
    })?;
    let mut approvals = Vec::new();
    for row in rows {
        let (approver, groups, decision, note, at, digest) = row?;
        let decision = match decision.as_str() {
            "approve" => Decision::Approve,
            "deny" => Decision::Deny,
            other => return Err(damaged(&format_args!("no such decision: {other}"))),
        };
        let groups = json_out(&groups)?;
        approvals.push(Approval { approver, groups, decision, note, at: instant_out(at)?, digest });
    }
    Ok(approvals)
}

/// The column `more`.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    analysis: Option<Analysis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extends: Option<Extension>,
    requirements: Vec<Requirement>,
    revision: u32,
    origin: Origin,
}

impl More {
    fn of(request: &AccessRequest) -> Self {
        Self {
            uses: request.uses,
            analysis: request.analysis.clone(),
            extends: request.extends.clone(),
            requirements: request.requirements.clone(),
            revision: request.revision,
            origin: request.origin,
        }
    }
}

/// A row as it lies in the table.
struct RawRequest {
    id: String,
    principal: String,
    groups: String,
    home_region: Option<String>,
    scope: String,
    reason: String,
    ticket: Option<String>,
    duration: i64,
    starts: Option<i64>,
    statement: Option<String>,
    state: String,
    created_at: i64,
    more: String,
}

impl RawRequest {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
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

    fn parse(self) -> Result<AccessRequest, StoreError> {
        let scope: Scope = json_out(&self.scope)?;
        let more: More = json_out(&self.more)?;
        Ok(AccessRequest {
            id: RequestId::from_text(self.id),
            principal: Principal {
                name: self.principal,
                groups: json_out(&self.groups)?,
                region: self.home_region.map(Region::new),
            },
            requirements: or_own(more.requirements, &scope),
            scope,
            reason: self.reason,
            ticket: self.ticket,
            duration: duration_out(self.duration)?,
            starts: self.starts.map(instant_out).transpose()?,
            statement: self.statement,
            uses: more.uses,
            analysis: more.analysis,
            extends: more.extends,
            revision: more.revision,
            origin: more.origin,
            state: parse_state(&self.state)?,
            created_at: instant_out(self.created_at)?,
            approvals: Vec::new(),
        })
    }
}

/// A request that was filed before there were rules needs its scope's own approvers.
fn or_own(requirements: Vec<Requirement>, scope: &Scope) -> Vec<Requirement> {
    if !requirements.is_empty() {
        return requirements;
    }
    let (approvers, count) = (scope.approvers.clone(), scope.approvals.max(1));
    vec![Requirement { approvers, count, why: "the scope".to_owned() }]
}

fn parse_state(text: &str) -> Result<RequestState, StoreError> {
    match text {
        "pending" => Ok(RequestState::Pending),
        "approved" => Ok(RequestState::Approved),
        "denied" => Ok(RequestState::Denied),
        "withdrawn" => Ok(RequestState::Withdrawn),
        "expired" => Ok(RequestState::Expired),
        other => Err(damaged(&format_args!("no such state: {other}"))),
    }
}
