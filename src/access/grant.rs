//! What an approved request becomes.

use std::sync::Arc;

use jiff::Timestamp;

use super::{GrantId, Principal, RequestId, Scope};

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
    /// How often that one may run.
    pub uses: Option<u32>,
    /// How often it has.
    #[serde(default)]
    pub used: u32,
    pub origin: Origin,
    pub reason: String,
    pub ticket: Option<String>,
    pub approvers: Vec<String>,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
    pub revocation: Option<Revocation>,
}

/// By what a grant came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Somebody asked, and others approved.
    #[default]
    Asked,
    /// Somebody asked, and the scope's `auto_approve` covers it.
    Rule,
    /// Who may do so opened it in an emergency.
    BreakGlass,
}

impl Origin {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Asked => "asked",
            Origin::Rule => "rule",
            Origin::BreakGlass => "break_glass",
        }
    }
}

/// What is owed after an emergency: that somebody else looks at what was done.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Review {
    pub grant: GrantId,
    pub due: Timestamp,
    pub closed: Option<ReviewClosing>,
}

/// Who has looked, when, and what they found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReviewClosing {
    pub at: Timestamp,
    pub by: String,
    pub note: String,
}

/// Why a review cannot be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewRefused {
    #[error("nobody reviews what they did themselves")]
    Own,
    #[error("you are not among the approvers of scope \"{0}\"")]
    NotReviewer(String),
    #[error("the review was closed already, by {0}")]
    Closed(String),
    #[error("a note is needed: what was done, and whether it had to be")]
    NoNote,
}

impl Review {
    /// Closes the review of `grant`.
    ///
    /// # Errors
    /// [`ReviewRefused`] where this person may not, or it is closed.
    pub fn close(&mut self, grant: &Grant, by: &Principal, note: &str, now: Timestamp) -> Result<(), ReviewRefused> {
        if let Some(closed) = &self.closed {
            return Err(ReviewRefused::Closed(closed.by.clone()));
        }
        if by.name == grant.principal {
            return Err(ReviewRefused::Own);
        }
        if !grant.scope.may_approve(by) {
            return Err(ReviewRefused::NotReviewer(grant.scope.name.clone()));
        }
        if note.trim().is_empty() {
            return Err(ReviewRefused::NoNote);
        }
        self.closed = Some(ReviewClosing { at: now, by: by.name.clone(), note: note.to_owned() });
        Ok(())
    }
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
    /// What a request for `scope` would become, to see whether it would help. Nobody holds it.
    #[must_use]
    pub fn supposed(scope: &Arc<Scope>, now: Timestamp) -> Self {
        Self {
            id: GrantId::from_text("supposed"),
            request: RequestId::from_text("supposed"),
            principal: String::new(),
            scope: Arc::clone(scope),
            statement: None,
            uses: None,
            used: 0,
            origin: Origin::Asked,
            reason: String::new(),
            ticket: None,
            approvers: Vec::new(),
            not_before: now,
            expires_at: now.saturating_add(scope.max_duration).unwrap_or(Timestamp::MAX),
            revocation: None,
        }
    }

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

    /// How often its one statement may still run; `None` is as often as the window lets it.
    #[must_use]
    pub fn uses_left(&self) -> Option<u32> {
        self.uses.map(|uses| uses.saturating_sub(self.used))
    }

    /// Whether it lets nothing begin any more, though its window may last.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.uses_left() == Some(0)
    }

    #[must_use]
    pub fn is_live_at(&self, now: Timestamp) -> bool {
        self.state_at(now) == GrantState::Live
    }
}
