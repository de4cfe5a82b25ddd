//! Asking: filing a request, and what a scope's own rule gives at once.

use std::time::Duration;

use jiff::Timestamp;

use super::{Actor, Desk, DeskError, Outcome, check_text};
use crate::access::{AccessRequest, Analysis, Extension, GrantId, GrantState, NewRequest, Principal, Scope};
use crate::audit::Event;
use crate::store::Filing;

/// What somebody wants.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Left out where a grant is to be prolonged: it is that one's.
    pub scope: Option<String>,
    pub reason: String,
    pub ticket: Option<String>,
    pub duration: Duration,
    pub starts: Option<Timestamp>,
    pub statement: Option<String>,
    pub uses: Option<u32>,
    pub extends: Option<GrantId>,
}

impl Desk {
    /// Files a request. It is approved at once where the scope's own rule says so.
    ///
    /// # Errors
    /// [`DeskError`] says why there is none.
    pub async fn file(&self, actor: &Actor, wish: Wish) -> Result<Outcome, DeskError> {
        check(&wish)?;
        // Takes its time, and keeps nobody else waiting.
        let analysis = self.analysis_of(actor, &wish).await?;
        let _turn = self.turn().await;
        let now = self.parts.clock.now();
        let extends = self.extended(actor, &wish, now).await?;
        let (scope, mut new) = self.asked(wish, extends)?;
        new.analysis = analysis;
        self.check_pending(&actor.principal, now).await?;
        let mut request = AccessRequest::file(actor.principal.clone(), scope, new, now)?;
        let filed = request.clone();
        let grant = request.approve_by_rule(now);
        let mut record = self.recorder().by(Event::RequestFiled, actor);
        self.recorder().about_request(&mut record, &filed);
        record.detail = Some(summary(&filed));
        self.parts.journal.record(record.clone()).await?;
        let filing = Filing { request: request.clone(), grant: grant.clone(), review: None };
        if let Err(error) = self.parts.store.file(&filing).await {
            self.recorder().failed(&record, &error).await;
            return Err(error.into());
        }
        if let Some(grant) = &grant {
            self.announce(actor, &request, grant).await?;
        }
        Ok(Outcome { request, grant, review: None })
    }

    async fn analysis_of(&self, actor: &Actor, wish: &Wish) -> Result<Option<Analysis>, DeskError> {
        let scope = wish.scope.as_ref().and_then(|name| self.parts.offers.scope(name));
        match &scope {
            Some(scope) => self.analysis(actor, scope, wish.statement.as_deref()).await,
            None => Ok(None),
        }
    }

    /// The scope that is asked for, as it is configured now, and the request.
    fn asked(&self, wish: Wish, extends: Option<(Extension, String)>) -> Result<(Scope, NewRequest), DeskError> {
        let (extends, of) = extends.unzip();
        let name = wish.scope.or(of).unwrap_or_default();
        let scope = self.parts.offers.scope(&name).ok_or(DeskError::NoScope(name))?;
        let new = NewRequest {
            reason: wish.reason,
            ticket: wish.ticket,
            duration: wish.duration,
            starts: wish.starts,
            statement: wish.statement,
            uses: wish.uses,
            analysis: None,
            extends,
        };
        Ok((scope, new))
    }

    /// The grant that is to be prolonged, and its scope's name.
    async fn extended(
        &self,
        actor: &Actor,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<Option<(Extension, String)>, DeskError> {
        let Some(id) = &wish.extends else { return Ok(None) };
        let grant = self.parts.store.grant(id).await?;
        let is_open = matches!(grant.state_at(now), GrantState::Live | GrantState::Pending);
        let is_same = wish.scope.as_ref().is_none_or(|scope| *scope == grant.scope.name);
        if !is_open || !is_same || grant.principal != actor.name() || grant.statement.is_some() {
            return Err(DeskError::NotYours);
        }
        Ok(Some((Extension { grant: grant.id, ends: grant.expires_at }, grant.scope.name.clone())))
    }

    pub(super) async fn check_pending(&self, principal: &Principal, now: Timestamp) -> Result<(), DeskError> {
        if self.parts.store.pending_requests(&principal.name, now).await? >= MAX_PENDING {
            return Err(DeskError::TooMany(MAX_PENDING));
        }
        Ok(())
    }
}

/// What a request is for, in a record's words.
pub(super) fn summary(request: &AccessRequest) -> String {
    let mut words = vec![format!("for {} seconds", request.duration.as_secs())];
    words.extend(request.starts.map(|starts| format!("from {starts}")));
    words.extend(request.uses.map(|uses| format!("at most {uses} times")));
    words.extend(request.extends.as_ref().map(|extended| format!("prolongs {}", extended.grant)));
    let rules = request.requirements.iter().skip(1);
    words.extend(rules.map(|rule| format!("needs {} more: {}", rule.count, rule.why)));
    words.join(", ")
}

pub(super) fn check(wish: &Wish) -> Result<(), DeskError> {
    check_text("reason", &wish.reason, MAX_TEXT)?;
    check_text("ticket", wish.ticket.as_deref().unwrap_or_default(), MAX_TICKET)?;
    check_statement(wish.statement.as_deref())
}

pub(super) fn check_statement(statement: Option<&str>) -> Result<(), DeskError> {
    let wrong = match statement {
        Some(statement) if statement.trim().is_empty() => "is empty",
        Some(statement) if statement.contains('\0') => "holds a zero byte",
        Some(_) | None => return Ok(()),
    };
    Err(DeskError::Text { field: "statement", wrong: wrong.to_owned() })
}

/// Requests that one principal may have pending.
const MAX_PENDING: usize = 100;
/// Bytes of a reason or a note.
pub const MAX_TEXT: usize = 4000;
/// Bytes of a ticket.
pub const MAX_TICKET: usize = 200;
