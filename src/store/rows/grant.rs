//! A row of the table `grants`, with what belongs to it in `grant_uses` and `revocations`.

use std::sync::Arc;

use super::values::{damaged, instant_out, json_in, json_out};
use crate::access::{Grant, GrantId, Origin, RequestId, Revocation, Scope};
use crate::store::StoreError;

/// The column `more`.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<u32>,
    origin: Origin,
}

/// What that column holds for a grant.
pub(in crate::store) fn more_in(grant: &Grant) -> Result<String, StoreError> {
    json_in(&More { uses: grant.uses, origin: grant.origin })
}

/// A scope of the grant's own.
pub(in crate::store) fn own(text: &str) -> Result<Arc<Scope>, StoreError> {
    json_out(text).map(Arc::new)
}

/// A row as it lies in the tables.
pub(in crate::store) struct RawGrant {
    pub id: String,
    pub request: String,
    pub principal: String,
    pub scope: String,
    pub statement: Option<String>,
    pub reason: String,
    pub ticket: Option<String>,
    pub approvers: String,
    pub not_before: i64,
    pub expires_at: i64,
    pub more: String,
    pub used: Option<u32>,
    pub revoked_at: Option<i64>,
    pub revoked_by: Option<String>,
    pub revoked_for: Option<String>,
}

impl RawGrant {
    pub fn parse(self, scope: impl FnOnce(&str) -> Result<Arc<Scope>, StoreError>) -> Result<Grant, StoreError> {
        let revocation = match (self.revoked_at, self.revoked_by) {
            (None, None) => None,
            (Some(at), Some(by)) => Some(Revocation { at: instant_out(at)?, by, reason: self.revoked_for }),
            (Some(_), None) | (None, Some(_)) => return Err(damaged(&"half a revocation")),
        };
        let more: More = json_out(&self.more)?;
        Ok(Grant {
            uses: more.uses,
            used: self.used.unwrap_or_default(),
            origin: more.origin,
            id: GrantId::from_text(self.id),
            request: RequestId::from_text(self.request),
            principal: self.principal,
            scope: scope(&self.scope)?,
            statement: self.statement,
            reason: self.reason,
            ticket: self.ticket,
            approvers: json_out(&self.approvers)?,
            not_before: instant_out(self.not_before)?,
            expires_at: instant_out(self.expires_at)?,
            revocation,
        })
    }
}
