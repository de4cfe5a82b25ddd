//! The tables `grants`, `revocations` and `grant_uses`.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_postgres::{GenericClient, Row};

use super::parameters::{Parameter, int, text};
use super::pool::is_duplicate;
use crate::access::{Grant, GrantId, GrantState, RequestId, Revocation, Scope};
use crate::store::StoreError;
use crate::store::rows::grant::{RawGrant, more_in, own};
use crate::store::rows::values::{damaged, instant_in, json_in};

/// What [`read`] reads.
pub(super) const COLUMNS: &str = "grants.id, grants.request, grants.principal, grants.scope, grants.statement, grants.reason, \
     grants.ticket, grants.approvers, grants.not_before, grants.expires_at, grants.more, grant_uses.used, \
     revocations.at AS revoked_at, revocations.by AS revoked_by, revocations.reason AS revoked_for";
pub(super) const TABLES: &str = "grants LEFT JOIN revocations ON revocations.grant_id = grants.id \
     LEFT JOIN grant_uses ON grant_uses.grant_id = grants.id";

pub(super) async fn insert(tx: &impl GenericClient, grant: &Grant) -> Result<(), StoreError> {
    let (scope, approvers, more) = (json_in(grant.scope.as_ref())?, json_in(&grant.approvers)?, more_in(grant)?);
    let (not_before, expires_at) = (instant_in(grant.not_before)?, instant_in(grant.expires_at)?);
    tx.execute_typed(
        "INSERT INTO grants (id, request, principal, database, scope_name, scope, statement, reason, ticket, approvers,
                             not_before, expires_at, more)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        &[
            text(&grant.id.as_str()),
            text(&grant.request.as_str()),
            text(&grant.principal),
            text(&grant.scope.database),
            text(&grant.scope.name),
            text(&scope),
            text(&grant.statement),
            text(&grant.reason),
            text(&grant.ticket),
            text(&approvers),
            int(&not_before),
            int(&expires_at),
            text(&more),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn by_id(tx: &impl GenericClient, id: &GrantId) -> Result<Grant, StoreError> {
    one(tx, "grants.id = $1", &[text(&id.as_str())]).await?.ok_or(StoreError::NotFound("grant"))
}

pub(super) async fn of_request(tx: &impl GenericClient, id: &RequestId) -> Result<Option<Grant>, StoreError> {
    one(tx, "grants.request = $1", &[text(&id.as_str())]).await
}

/// Ends a grant, unless it has ended: of two who revoke at once the table's key lets one.
pub(super) async fn revoke(
    tx: &impl GenericClient,
    id: &GrantId,
    by: &str,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Grant, StoreError> {
    let mut grant = by_id(tx, id).await?;
    match grant.state_at(now) {
        GrantState::Expired | GrantState::Revoked => return Err(StoreError::GrantEnded),
        GrantState::Pending | GrantState::Live => {}
    }
    let row = "INSERT INTO revocations (grant_id, at, by, reason) VALUES ($1, $2, $3, $4)";
    let values = (id.as_str(), instant_in(now)?);
    match tx.execute_typed(row, &[text(&values.0), int(&values.1), text(&by), text(&reason)]).await {
        Ok(_) => {}
        Err(error) if is_duplicate(&error) => return Err(StoreError::GrantEnded),
        Err(error) => return Err(error.into()),
    }
    grant.revocation = Some(Revocation { at: now, by: by.to_owned(), reason });
    Ok(grant)
}

/// Takes one use, where one is left; answers how many are left then.
pub(super) async fn take_use(tx: &impl GenericClient, id: &GrantId) -> Result<Option<u32>, StoreError> {
    let grant = by_id(tx, id).await?;
    let most = grant.uses.ok_or(StoreError::NotFound("bound on the uses of this grant"))?;
    let taken = tx
        .query_typed_opt(
            "INSERT INTO grant_uses AS uses (grant_id, used) SELECT $1, 1 WHERE $2 > 0
             ON CONFLICT (grant_id) DO UPDATE SET used = uses.used + 1 WHERE uses.used < $2 RETURNING used",
            &[text(&id.as_str()), int(&i64::from(most))],
        )
        .await?;
    let Some(taken) = taken else { return Ok(None) };
    Ok(most.checked_sub(count(taken.try_get(0)?)?))
}

/// Gives one back that was taken.
pub(super) async fn give_back_use(tx: &impl GenericClient, id: &GrantId) -> Result<(), StoreError> {
    let back = "UPDATE grant_uses SET used = used - 1 WHERE grant_id = $1 AND used > 0";
    tx.execute_typed(back, &[text(&id.as_str())]).await?;
    Ok(())
}

async fn one(tx: &impl GenericClient, wanted: &str, parameters: &[Parameter<'_>]) -> Result<Option<Grant>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM {TABLES} WHERE {wanted}");
    tx.query_typed_opt(&query, parameters).await?.map(|row| read(&row, own)).transpose()
}

/// A row of [`COLUMNS`].
pub(super) fn read(row: &Row, scope: impl FnOnce(&str) -> Result<Arc<Scope>, StoreError>) -> Result<Grant, StoreError> {
    let raw = RawGrant {
        id: row.try_get("id")?,
        request: row.try_get("request")?,
        principal: row.try_get("principal")?,
        scope: row.try_get("scope")?,
        statement: row.try_get("statement")?,
        reason: row.try_get("reason")?,
        ticket: row.try_get("ticket")?,
        approvers: row.try_get("approvers")?,
        not_before: row.try_get("not_before")?,
        expires_at: row.try_get("expires_at")?,
        more: row.try_get("more")?,
        used: row.try_get::<_, Option<i32>>("used")?.map(count).transpose()?,
        revoked_at: row.try_get("revoked_at")?,
        revoked_by: row.try_get("revoked_by")?,
        revoked_for: row.try_get("revoked_for")?,
    };
    raw.parse(scope)
}

fn count(count: i32) -> Result<u32, StoreError> {
    u32::try_from(count).map_err(|error| damaged(&error))
}
