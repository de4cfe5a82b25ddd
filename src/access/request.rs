//! A request for access, and the approvals that turn it into a grant.

use std::time::Duration;

use jiff::Timestamp;

use super::analysis::Analysis;
use super::rules::{all_filled, filled};
use super::{Grant, GrantId, Origin, Principal, RequestId, Requirement, Review, Scope, Subject};

/// What a principal asks for.
#[derive(Clone, Debug, Default)]
pub struct NewRequest {
    pub reason: String,
    pub ticket: Option<String>,
    pub duration: Duration,
    /// Not before this instant; `None` is at approval.
    pub starts: Option<Timestamp>,
    /// One statement only, by its text.
    pub statement: Option<String>,
    /// How often that statement may run; `None` is as often as the window lets it.
    pub uses: Option<u32>,
    /// What its approvers are to be shown of the statement.
    pub analysis: Option<Analysis>,
    /// The live grant that it is to prolong.
    pub extends: Option<Extension>,
}

/// The grant that a request prolongs, and when that one ends.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Extension {
    pub grant: GrantId,
    pub ends: Timestamp,
}

/// What is to be changed of a pending request; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub reason: Option<String>,
    pub ticket: Option<String>,
    pub duration: Option<Duration>,
    pub starts: Option<Timestamp>,
    pub statement: Option<String>,
    pub uses: Option<u32>,
    /// Of the new statement.
    pub analysis: Option<Analysis>,
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

/// A decision to be taken, on what was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    pub decision: Decision,
    pub note: Option<String>,
    /// [`AccessRequest::digest`] of what the approver saw, where they say so.
    pub shown: Option<String>,
}

impl Ruling {
    /// On what is there when it is taken.
    #[must_use]
    pub fn of(decision: Decision, note: Option<String>) -> Self {
        Self { decision, note, shown: None }
    }
}

/// One approver's decision on one request; it binds the digest of what was shown.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Approval {
    pub approver: String,
    /// The approver's groups at that moment.
    pub groups: Vec<String>,
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
    pub uses: Option<u32>,
    /// What its approvers are shown of the statement.
    pub analysis: Option<Analysis>,
    pub extends: Option<Extension>,
    /// What it needs, fixed when it is filed or edited.
    pub requirements: Vec<Requirement>,
    /// How often it was edited.
    pub revision: u32,
    pub origin: Origin,
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
    #[error("scope \"{0}\" needs a ticket")]
    NoTicket(String),
    #[error("only a request for one statement says how often it may run, and at least once")]
    Uses,
    #[error("scope \"{0}\" may not be opened by you without approval")]
    NotBreakGlass(String),
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
    #[error("the request was edited after it was shown to you")]
    Edited,
}

/// Why a request cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditRefused {
    #[error("only who filed a request may change it")]
    NotOwn,
    #[error("the request is {}, no longer pending", .0.as_str())]
    NotPending(RequestState),
    #[error(transparent)]
    Refused(#[from] RequestRefused),
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
    /// Files a request by `principal` for `scope`.
    ///
    /// # Errors
    /// [`RequestRefused`] where the scope does not let this principal ask for this.
    pub fn file(principal: Principal, scope: Scope, new: NewRequest, now: Timestamp) -> Result<Self, RequestRefused> {
        if !scope.may_request(&principal) {
            return Err(RequestRefused::NotRequester(scope.name));
        }
        Self::asked(principal, scope, new, Origin::Asked, now)
    }

    /// Opens `scope` at once for who may do so in an emergency; the grant is to be reviewed afterwards.
    ///
    /// # Errors
    /// [`RequestRefused`] where the scope does not let this principal do this.
    pub fn break_glass(
        principal: Principal,
        scope: Scope,
        new: NewRequest,
        now: Timestamp,
    ) -> Result<(Self, Grant, Review), RequestRefused> {
        let rules = scope.rules.break_glass.clone();
        let Some(rules) = rules.filter(|rules| rules.who.iter().any(|subject| subject.names(&principal))) else {
            return Err(RequestRefused::NotBreakGlass(scope.name));
        };
        if new.duration > rules.max_duration {
            return Err(RequestRefused::TooLong { scope: scope.name, max: rules.max_duration });
        }
        let mut request = Self::asked(principal, scope, new, Origin::BreakGlass, now)?;
        let grant = request.granted(now);
        let due = grant.not_before.saturating_add(rules.review_within).unwrap_or(Timestamp::MAX);
        let review = Review { grant: grant.id.clone(), due, closed: None };
        Ok((request, grant, review))
    }

    fn asked(
        principal: Principal,
        scope: Scope,
        new: NewRequest,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Self, RequestRefused> {
        let mut request = Self {
            id: RequestId::generate(),
            principal,
            scope,
            reason: new.reason,
            ticket: new.ticket,
            duration: new.duration,
            starts: new.starts,
            statement: new.statement,
            uses: new.uses,
            analysis: new.analysis,
            extends: new.extends,
            requirements: Vec::new(),
            revision: 0,
            origin,
            state: RequestState::Pending,
            created_at: now,
            approvals: Vec::new(),
        };
        request.check(now)?;
        request.requirements = request.required(now);
        Ok(request)
    }

    /// Whether the scope lets anybody ask for this.
    fn check(&self, now: Timestamp) -> Result<(), RequestRefused> {
        let scope = &self.scope;
        if self.duration < Duration::from_secs(1) {
            return Err(RequestRefused::NoDuration);
        }
        if self.origin != Origin::BreakGlass && self.duration > scope.max_duration {
            return Err(RequestRefused::TooLong { scope: scope.name.clone(), max: scope.max_duration });
        }
        if self.reason.trim().is_empty() {
            return Err(RequestRefused::NoReason);
        }
        let has_ticket = self.ticket.as_ref().is_some_and(|ticket| !ticket.trim().is_empty());
        if scope.rules.require_ticket && !has_ticket && self.origin != Origin::BreakGlass {
            return Err(RequestRefused::NoTicket(scope.name.clone()));
        }
        if self.starts.is_some_and(|starts| starts < now) {
            return Err(RequestRefused::StartsInPast);
        }
        if self.uses == Some(0) || self.uses.is_some() && self.statement.is_none() {
            return Err(RequestRefused::Uses);
        }
        Ok(())
    }

    /// The scope's own approvers, and those that its rules ask for.
    fn required(&self, now: Timestamp) -> Vec<Requirement> {
        let own = Requirement {
            approvers: self.scope.approvers.clone(),
            count: self.scope.approvals.max(1),
            why: "the scope".to_owned(),
        };
        let begins = self.begins(now);
        // What is prolonged may be open from now on until the new end.
        let window = self.duration + self.remaining(now);
        std::iter::once(own).chain(self.scope.rules.requirements(begins, window)).collect()
    }

    fn begins(&self, now: Timestamp) -> Timestamp {
        self.starts.map_or(now, |starts| starts.max(now))
    }

    /// What the grant that is prolonged has left.
    fn remaining(&self, now: Timestamp) -> Duration {
        let left = self.extends.as_ref().map(|extended| extended.ends.duration_since(now));
        left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default()
    }

    /// The labels of the data that it may touch.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.scope.rules.labels
    }

    /// When it expires unless it is decided on.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.created_at.saturating_add(self.scope.rules.pending()).unwrap_or(Timestamp::MAX)
    }

    /// SHA-256 over everything that an approver is shown, so that an approval speaks of exactly that.
    #[must_use]
    pub fn digest(&self) -> String {
        let shown = (
            (&self.id, &self.principal, &self.scope, &self.reason, &self.ticket),
            (self.duration, self.starts, &self.statement, self.created_at),
            (self.uses, &self.analysis, &self.extends, &self.requirements, self.revision, self.origin),
        );
        let bytes = serde_json::to_vec(&shown).unwrap_or_default();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Marks a request that nobody decided on in time as expired.
    pub fn expire(&mut self, now: Timestamp) {
        if self.state == RequestState::Pending && now >= self.expires_at() {
            self.state = RequestState::Expired;
        }
    }

    /// Changes what a pending request asks for, by the one who filed it. Approvals that it had no longer count: they spoke of
    /// something else.
    ///
    /// # Errors
    /// [`EditRefused`] where it is another's, not pending any more, or asks for what cannot be asked for.
    pub fn edit(&mut self, by: &Principal, changes: Changes, now: Timestamp) -> Result<(), EditRefused> {
        if by.name != self.principal.name {
            return Err(EditRefused::NotOwn);
        }
        self.expire(now);
        if self.state != RequestState::Pending {
            return Err(EditRefused::NotPending(self.state));
        }
        let mut edited = self.clone();
        edited.reason = changes.reason.unwrap_or(edited.reason);
        edited.ticket = changes.ticket.or(edited.ticket);
        edited.duration = changes.duration.unwrap_or(edited.duration);
        edited.starts = changes.starts.or(edited.starts);
        if changes.statement.is_some() {
            (edited.statement, edited.analysis) = (changes.statement, changes.analysis);
        }
        edited.uses = changes.uses.or(edited.uses);
        edited.revision += 1;
        edited.check(now)?;
        edited.requirements = edited.required(now);
        *self = edited;
        Ok(())
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

    /// Whether a person is among those whose decision counts.
    #[must_use]
    pub fn may_decide(&self, person: &Principal) -> bool {
        let names = |subjects: &[Subject]| subjects.iter().any(|subject| subject.names(person));
        person.name != self.principal.name && self.requirements.iter().any(|one| names(&one.approvers))
    }

    /// Takes one decision into the request. The last approval that is needed makes the grant.
    ///
    /// # Errors
    /// [`ApprovalRefused`] where this person may not decide, or not any more.
    pub fn decide(&mut self, by: &Principal, ruling: Ruling, now: Timestamp) -> Result<Option<Grant>, ApprovalRefused> {
        self.expire(now);
        if self.state != RequestState::Pending {
            return Err(ApprovalRefused::NotPending(self.state));
        }
        if by.name == self.principal.name {
            return Err(ApprovalRefused::OwnRequest);
        }
        if !self.may_decide(by) {
            return Err(ApprovalRefused::NotApprover(self.scope.name.clone()));
        }
        let digest = self.digest();
        if self.approvals.iter().any(|approval| approval.approver == by.name && approval.digest == digest) {
            return Err(ApprovalRefused::AlreadyDecided);
        }
        let Ruling { decision, note, shown } = ruling;
        if shown.is_some_and(|shown| shown != digest) {
            return Err(ApprovalRefused::Edited);
        }
        let (approver, groups) = (by.name.clone(), by.groups.clone());
        self.approvals.push(Approval { approver, groups, decision, note, at: now, digest });
        if decision == Decision::Deny {
            self.state = RequestState::Denied;
            return Ok(None);
        }
        if !self.has_quorum() {
            return Ok(None);
        }
        Ok(Some(self.granted(now)))
    }

    /// The grant that the scope's own rule gives without an approver, where it does.
    pub fn approve_by_rule(&mut self, now: Timestamp) -> Option<Grant> {
        let bound = self.scope.rules.auto_approve.filter(|_| self.origin == Origin::Asked)?;
        let window = self.duration + self.remaining(now);
        let only_own = self.requirements.len() == 1 && self.labels().is_empty();
        (window <= bound && only_own && self.state == RequestState::Pending).then_some(())?;
        self.origin = Origin::Rule;
        Some(self.granted(now))
    }

    fn granted(&mut self, now: Timestamp) -> Grant {
        self.state = RequestState::Approved;
        self.to_grant(now)
    }

    fn has_quorum(&self) -> bool {
        let people = self.people();
        all_filled(&self.requirements, people.len(), |person, requirement| self.fits(&people, person, requirement))
    }

    /// Who has filled which requirement so far: names, in the order of [`Self::requirements`].
    #[must_use]
    pub fn given(&self) -> Vec<Vec<String>> {
        let people = self.people();
        let fits = |person: usize, requirement: usize| self.fits(&people, person, requirement);
        let mut given = vec![Vec::new(); self.requirements.len()];
        for (person, requirement) in filled(&self.requirements, people.len(), fits) {
            if let (Some(names), Some(approval)) = (given.get_mut(requirement), people.get(person)) {
                names.push(approval.approver.clone());
            }
        }
        given
    }

    fn fits(&self, people: &[&Approval], person: usize, requirement: usize) -> bool {
        let (Some(approval), Some(requirement)) = (people.get(person), self.requirements.get(requirement)) else {
            return false;
        };
        let person = Principal { name: approval.approver.clone(), groups: approval.groups.clone(), region: None };
        requirement.approvers.iter().any(|subject| subject.names(&person))
    }

    /// Distinct people whose approval speaks of the request as it is now, in the order in which they gave it.
    fn people(&self) -> Vec<&Approval> {
        let digest = self.digest();
        let mut people: Vec<&Approval> = Vec::new();
        for approval in &self.approvals {
            let counts = approval.decision == Decision::Approve && approval.digest == digest;
            let is_new = people.iter().all(|known| known.approver != approval.approver);
            if counts && is_new && approval.approver != self.principal.name {
                people.push(approval);
            }
        }
        people
    }

    fn to_grant(&self, now: Timestamp) -> Grant {
        let not_before = self.begins(now);
        let from = self.extends.as_ref().map_or(not_before, |extended| extended.ends.max(not_before));
        Grant {
            id: GrantId::generate(),
            request: self.id.clone(),
            principal: self.principal.name.clone(),
            scope: std::sync::Arc::new(self.scope.clone()),
            statement: self.statement.clone(),
            uses: self.uses,
            used: 0,
            origin: self.origin,
            reason: self.reason.clone(),
            ticket: self.ticket.clone(),
            approvers: self.people().iter().map(|approval| approval.approver.clone()).collect(),
            not_before,
            expires_at: from.saturating_add(self.duration).unwrap_or(Timestamp::MAX),
            revocation: None,
        }
    }
}
