//! The tables `grants` and `revocations`.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Params, Row, Transaction, named_params};

use crate::access::{Grant, GrantId, GrantState, RequestId, Revocation, Scope};
use crate::store::StoreError;
use crate::store::rows::grant::{RawGrant, more_in, own};
use crate::store::rows::scopes::Scopes;
use crate::store::rows::values::{instant_in, json_in};

pub(super) fn insert(tx: &Transaction<'_>, grant: &Grant) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO grants (id, request, principal, database, scope_name, scope, statement, reason, ticket, approvers,
                             not_before, expires_at, more)
         VALUES (:id, :request, :principal, :database, :scope_name, :scope, :statement, :reason, :ticket, :approvers,
                 :not_before, :expires_at, :more)",
        named_params! {
            ":id": grant.id.as_str(),
            ":request": grant.request.as_str(),
            ":principal": grant.principal,
            ":database": grant.scope.database,
            ":scope_name": grant.scope.name,
            ":scope": json_in(grant.scope.as_ref())?,
            ":statement": grant.statement,
            ":reason": grant.reason,
            ":ticket": grant.ticket,
            ":approvers": json_in(&grant.approvers)?,
            ":not_before": instant_in(grant.not_before)?,
            ":expires_at": instant_in(grant.expires_at)?,
            ":more": more_in(grant)?,
        },
    )?;
    Ok(())
}

pub(super) fn by_id(tx: &Transaction<'_>, id: &GrantId) -> Result<Grant, StoreError> {
    one(tx, "WHERE grants.id = ?1", [id.as_str()])?.ok_or(StoreError::NotFound("grant"))
}

pub(super) fn of_request(tx: &Transaction<'_>, id: &RequestId) -> Result<Option<Grant>, StoreError> {
    one(tx, "WHERE grants.request = ?1", [id.as_str()])
}

/// Live ones and those still to come, oldest first; those of one scope hold it together.
pub(super) fn open(tx: &Transaction<'_>, now: Timestamp, scopes: &Scopes) -> Result<Vec<Grant>, StoreError> {
    let wanted = "WHERE grants.expires_at > ?1 AND revocations.at IS NULL ORDER BY grants.rowid";
    many(tx, wanted, [instant_in(now)?], |text| scopes.read(text))
}

/// One, if there is such a one, its scope held together with others.
pub(super) fn find_sharing(tx: &Transaction<'_>, id: &GrantId, scopes: &Scopes) -> Result<Option<Grant>, StoreError> {
    let mut statement = tx.prepare_cached(&select("WHERE grants.id = ?1"))?;
    let found = statement.query_row([id.as_str()], read).optional()?;
    found.map(|raw| raw.parse(|text| scopes.read(text))).transpose()
}

/// The one in that row of the table, its scope held together with others.
pub(super) fn at(tx: &Transaction<'_>, row: i64, scopes: &Scopes) -> Result<Grant, StoreError> {
    let mut statement = tx.prepare_cached(&select("WHERE grants.rowid = ?1"))?;
    statement.query_row([row], read)?.parse(|text| scopes.read(text))
}

pub(super) fn revoke(
    tx: &Transaction<'_>,
    id: &GrantId,
    by: String,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Grant, StoreError> {
    let mut grant = by_id(tx, id)?;
    match grant.state_at(now) {
        GrantState::Expired | GrantState::Revoked => return Err(StoreError::GrantEnded),
        GrantState::Pending | GrantState::Live => {}
    }
    tx.execute(
        "INSERT INTO revocations (grant_id, at, by, reason) VALUES (?1, ?2, ?3, ?4)",
        (id.as_str(), instant_in(now)?, &by, &reason),
    )?;
    grant.revocation = Some(Revocation { at: now, by, reason });
    Ok(grant)
}

fn one(tx: &Transaction<'_>, wanted: &str, parameters: impl Params) -> Result<Option<Grant>, StoreError> {
    let mut statement = tx.prepare_cached(&select(wanted))?;
    statement.query_row(parameters, read).optional()?.map(|raw| raw.parse(own)).transpose()
}

fn many(
    tx: &Transaction<'_>,
    wanted: &str,
    parameters: impl Params,
    scope: impl Fn(&str) -> Result<Arc<Scope>, StoreError>,
) -> Result<Vec<Grant>, StoreError> {
    let mut statement = tx.prepare_cached(&select(wanted))?;
    let rows = statement.query_map(parameters, read)?;
    rows.map(|row| row?.parse(&scope)).collect()
}

fn select(wanted: &str) -> String {
    format!(
        "SELECT grants.*, grant_uses.used, revocations.at AS revoked_at, revocations.by AS revoked_by,
                revocations.reason AS revoked_for
         FROM grants LEFT JOIN revocations ON revocations.grant_id = grants.id
                     LEFT JOIN grant_uses ON grant_uses.grant_id = grants.id {wanted}"
    )
}

/// A row of what [`select`] asks for.
fn read(row: &Row<'_>) -> rusqlite::Result<RawGrant> {
    Ok(RawGrant {
        id: row.get("id")?,
        request: row.get("request")?,
        principal: row.get("principal")?,
        scope: row.get("scope")?,
        statement: row.get("statement")?,
        reason: row.get("reason")?,
        ticket: row.get("ticket")?,
        approvers: row.get("approvers")?,
        not_before: row.get("not_before")?,
        expires_at: row.get("expires_at")?,
        more: row.get("more")?,
        used: row.get("used")?,
        revoked_at: row.get("revoked_at")?,
        revoked_by: row.get("revoked_by")?,
        revoked_for: row.get("revoked_for")?,
    })
}
