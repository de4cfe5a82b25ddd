//! A request for access, and the approvals that turn it into a grant.

use std::time::Duration;

use jiff::Timestamp;

use super::{Grant, GrantId, Principal, RequestId, Scope};

/// What a principal asks for.
#[derive(Clone, Debug)]
pub struct NewRequest {
    pub reason: String,
    pub ticket: Option<String>,
    pub duration: Duration,
    /// Not before this instant; `None` is at approval.
    pub starts: Option<Timestamp>,
    /// One statement only, by its text.
    pub statement: Option<String>,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    Pending,
    Approved,
    Denied,
    Withdrawn,
    Expired,
}

impl RequestState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RequestState::Pending => "pending",
            RequestState::Approved => "approved",
            RequestState::Denied => "denied",
            RequestState::Withdrawn => "withdrawn",
            RequestState::Expired => "expired",
        }
    }
}

/// An approver's yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Approve,
    Deny,
}

/// One approver's decision on one request; it binds the digest of what was shown.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Approval {
    pub approver: String,
    pub decision: Decision,
    pub note: Option<String>,
    pub at: Timestamp,
    /// [`AccessRequest::digest`] at the moment of the decision.
    pub digest: String,
}

/// Principal + scope (or one statement) + reason + duration. The scope is frozen when the request is filed:
/// what is approved is what was asked, whatever the configuration says later.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AccessRequest {
    pub id: RequestId,
    pub principal: Principal,
    pub scope: Scope,
    pub reason: String,
    pub ticket: Option<String>,
    pub duration: Duration,
    pub starts: Option<Timestamp>,
    pub statement: Option<String>,
    pub state: RequestState,
    pub created_at: Timestamp,
    pub approvals: Vec<Approval>,
}

/// Why a request cannot be filed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefused {
    #[error("scope \"{0}\" may not be requested by you")]
    NotRequester(String),
    #[error("at most {max:?} may be asked for scope \"{scope}\"")]
    TooLong { scope: String, max: Duration },
    #[error("a duration of at least one second is needed")]
    NoDuration,
    #[error("a reason is needed")]
    NoReason,
    #[error("`starts` lies in the past")]
    StartsInPast,
}

/// Why a decision on a request does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalRefused {
    #[error("nobody decides on their own request")]
    OwnRequest,
    #[error("you are not among the approvers of scope \"{0}\"")]
    NotApprover(String),
    #[error("the request is {}, no longer pending", .0.as_str())]
    NotPending(RequestState),
    #[error("you have decided on this request already")]
    AlreadyDecided,
}

/// Why a request cannot be withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WithdrawalRefused {
    #[error("only who filed a request may withdraw it")]
    NotOwn,
    #[error("the request is {}, no longer pending", .0.as_str())]
    NotPending(RequestState),
}

impl AccessRequest {
    /// How long a request waits for its approvers.
    pub const PENDING_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

    /// Files a request by `principal` for `scope`.
    ///
    /// # Errors
    /// [`RequestRefused`] where the scope does not let this principal ask for this.
    pub fn file(principal: Principal, scope: Scope, new: NewRequest, now: Timestamp) -> Result<Self, RequestRefused> {
        if !scope.may_request(&principal) {
            return Err(RequestRefused::NotRequester(scope.name));
        }
        if new.duration < Duration::from_secs(1) {
            return Err(RequestRefused::NoDuration);
        }
        if new.duration > scope.max_duration {
            return Err(RequestRefused::TooLong { scope: scope.name, max: scope.max_duration });
        }
        if new.reason.trim().is_empty() {
            return Err(RequestRefused::NoReason);
        }
        if new.starts.is_some_and(|starts| starts < now) {
            return Err(RequestRefused::StartsInPast);
        }
        Ok(Self {
            id: RequestId::generate(),
            principal,
            scope,
            reason: new.reason,
            ticket: new.ticket,
            duration: new.duration,
            starts: new.starts,
            statement: new.statement,
            state: RequestState::Pending,
            created_at: now,
            approvals: Vec::new(),
        })
    }

    /// SHA-256 over everything that an approver is shown, so that an approval speaks of exactly that.
    #[must_use]
    pub fn digest(&self) -> String {
        let shown = (
            (&self.id, &self.principal, &self.scope, &self.reason, &self.ticket),
            (self.duration, self.starts, &self.statement, self.created_at),
        );
        let bytes = serde_json::to_vec(&shown).unwrap_or_default();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Marks a request that nobody decided on in time as expired.
    pub fn expire(&mut self, now: Timestamp) {
        let end = self.created_at.saturating_add(Self::PENDING_LIFETIME).unwrap_or(Timestamp::MAX);
        if self.state == RequestState::Pending && now >= end {
            self.state = RequestState::Expired;
        }
    }

    /// Takes a pending request back, by the one who filed it.
    ///
    /// # Errors
    /// [`WithdrawalRefused`] where it is another's, or not pending any more.
    pub fn withdraw(&mut self, by: &Principal, now: Timestamp) -> Result<(), WithdrawalRefused> {
        if by.name != self.principal.name {
            return Err(WithdrawalRefused::NotOwn);
        }
        self.expire(now);
        if self.state != RequestState::Pending {
            return Err(WithdrawalRefused::NotPending(self.state));
        }
        self.state = RequestState::Withdrawn;
        Ok(())
    }

    /// Takes one decision into the request. The last approval that is needed makes the grant.
    ///
    /// # Errors
    /// [`ApprovalRefused`] where this person may not decide, or not any more.
    pub fn decide(
        &mut self,
        by: &Principal,
        decision: Decision,
        note: Option<String>,
        now: Timestamp,
    ) -> Result<Option<Grant>, ApprovalRefused> {
        self.expire(now);
        if self.state != RequestState::Pending {
            return Err(ApprovalRefused::NotPending(self.state));
        }
        if by.name == self.principal.name {
            return Err(ApprovalRefused::OwnRequest);
        }
        if !self.scope.may_approve(by) {
            return Err(ApprovalRefused::NotApprover(self.scope.name.clone()));
        }
        if self.approvals.iter().any(|approval| approval.approver == by.name) {
            return Err(ApprovalRefused::AlreadyDecided);
        }
        let digest = self.digest();
        self.approvals.push(Approval { approver: by.name.clone(), decision, note, at: now, digest });
        if decision == Decision::Deny {
            self.state = RequestState::Denied;
            return Ok(None);
        }
        if !self.has_quorum() {
            return Ok(None);
        }
        self.state = RequestState::Approved;
        Ok(Some(self.to_grant(now)))
    }

    fn has_quorum(&self) -> bool {
        self.approvers().len() >= self.scope.approvals.max(1) as usize
    }

    /// Distinct people whose approval speaks of the request as it is now, in the order in which they gave it.
    fn approvers(&self) -> Vec<String> {
        let digest = self.digest();
        let mut approvers: Vec<String> = Vec::new();
        for approval in &self.approvals {
            let counts = approval.decision == Decision::Approve && approval.digest == digest;
            if counts && approval.approver != self.principal.name && !approvers.contains(&approval.approver) {
                approvers.push(approval.approver.clone());
            }
        }
        approvers
    }

    fn to_grant(&self, now: Timestamp) -> Grant {
        let not_before = self.starts.map_or(now, |starts| starts.max(now));
        Grant {
            id: GrantId::generate(),
            request: self.id.clone(),
            principal: self.principal.name.clone(),
            scope: std::sync::Arc::new(self.scope.clone()),
            statement: self.statement.clone(),
            reason: self.reason.clone(),
            ticket: self.ticket.clone(),
            approvers: self.approvers(),
            not_before,
            expires_at: not_before.saturating_add(self.duration).unwrap_or(Timestamp::MAX),
            revocation: None,
        }
    }
}
