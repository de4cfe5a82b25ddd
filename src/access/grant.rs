//! What an approved request becomes.

use std::sync::Arc;

use jiff::Timestamp;

use super::{GrantId, RequestId, Scope};

/// Access of one principal to one frozen scope for one window of time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Grant {
    pub id: GrantId,
    pub request: RequestId,
    pub principal: String,
    /// Held once by all grants of the same.
    pub scope: Arc<Scope>,
    /// Allows this one statement alone, where the request was for one.
    pub statement: Option<String>,
    pub reason: String,
    pub ticket: Option<String>,
    pub approvers: Vec<String>,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
    pub revocation: Option<Revocation>,
}

/// The early end of a grant.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Revocation {
    pub at: Timestamp,
    pub by: String,
    pub reason: Option<String>,
}

/// Where a grant stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    /// `not_before` lies ahead.
    Pending,
    Live,
    Expired,
    Revoked,
}

impl Grant {
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> GrantState {
        if self.revocation.is_some() {
            GrantState::Revoked
        } else if now >= self.expires_at {
            GrantState::Expired
        } else if now < self.not_before {
            GrantState::Pending
        } else {
            GrantState::Live
        }
    }

    #[must_use]
    pub fn is_live_at(&self, now: Timestamp) -> bool {
        self.state_at(now) == GrantState::Live
    }
}
