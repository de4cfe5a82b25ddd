//! The record of an allowed statement before it is bytes: what it is made of, shared with whoever has it already.

use std::sync::Arc;

use jiff::Timestamp;

use super::{REDACTED, Recorder, allow, holds_credentials, put_rule, put_rules};
use crate::access::Grant;
use crate::audit::{Allowed, Event, GrantPart, JournalError, Protocol, Record, RelationsPart, StatementDraft};
use crate::policy::Permit;
use crate::session::analysis::{Meaning, Recorded};
use crate::session::binds::Parameters;
use crate::session::reason::Reason;
use crate::sql::Redacted;
use crate::sql::tree::Action;

/// An allowed statement on its way into the journal.
#[derive(Debug)]
pub struct Draft {
    pub kind: Option<&'static str>,
    pub parameters: Option<Arc<Parameters>>,
    time: Timestamp,
    protocol: Protocol,
    under: Under,
    recorded: Arc<Recorded>,
    relations: RelationsPart,
    /// In place of the text, where that holds secrets of what it runs by name.
    instead: Option<Box<Redacted<'static>>>,
    version: u64,
}

/// What stands for a grant in the records of a session, as long as the session's reason stays.
#[derive(Clone, Debug)]
pub(super) struct Under {
    grant: Arc<Grant>,
    reason: Reason,
    part: Arc<GrantPart>,
    /// The session's reason holds a password, and is not recorded.
    hides_reason: bool,
}

impl Under {
    fn new(grant: &Arc<Grant>, reason: &Reason) -> Self {
        let hides_reason = reason.as_deref().is_some_and(holds_credentials);
        let told = if hides_reason { Some(REDACTED) } else { reason.as_deref() };
        let part = Arc::new(GrantPart::new(grant, told));
        Self { grant: Arc::clone(grant), reason: reason.clone(), part, hides_reason }
    }

    fn is_of(&self, grant: &Arc<Grant>, reason: &Reason) -> bool {
        Arc::ptr_eq(&self.grant, grant) && self.reason == *reason
    }
}

impl Draft {
    /// The text as it is recorded.
    #[must_use]
    pub fn text(&self) -> &str {
        self.instead.as_ref().map_or(&self.recorded.text, |clean| &clean.text)
    }

    /// Has another text recorded, and the rules by which it was made.
    pub fn hide(&mut self, clean: Redacted<'static>) {
        self.instead = Some(Box::new(clean));
    }
}

impl Recorder {
    /// The entry of a statement that is allowed under `grant`.
    #[must_use]
    pub fn draft(
        &mut self,
        meaning: &Meaning,
        protocol: Protocol,
        grant: &Arc<Grant>,
        relations: RelationsPart,
        version: u64,
    ) -> Draft {
        let under = match self.under.as_ref().filter(|under| under.is_of(grant, &self.reason)) {
            Some(known) => known.clone(),
            None => self.under.insert(Under::new(grant, &self.reason)).clone(),
        };
        let statement = meaning.statement();
        let is_copy = statement.is_some_and(|statement| matches!(statement.action, Action::Copy(_)));
        Draft {
            kind: statement.map(|statement| statement.kind),
            parameters: None,
            time: self.now,
            protocol: if is_copy { Protocol::Copy } else { protocol },
            under,
            recorded: meaning.analysis.recorded(meaning.part),
            relations,
            instead: None,
            version,
        }
    }

    /// Makes a permitted statement's record ready to be written.
    pub(super) fn ready(&self, permit: Permit, draft: &Draft) -> Result<Allowed, JournalError> {
        let mut redacted = Vec::new();
        let parameters = draft.parameters.as_deref();
        let is_plain = !draft.under.hides_reason && draft.instead.is_none() && draft.recorded.redacted.is_plain();
        if !is_plain || parameters.is_some_and(Parameters::hides_secret) {
            redacted = self.spelled(draft).redacted;
        }
        let statement = StatementDraft {
            time: draft.time,
            session: &self.part,
            grant: &draft.under.part,
            protocol: draft.protocol,
            text: draft.text(),
            redacted: &redacted,
            parameters: parameters.and_then(Parameters::values),
            parameter_count: parameters.and_then(Parameters::count),
            fingerprint: draft.kind.map(|_| &*draft.recorded.fingerprint),
            kind: draft.kind,
            relations: &draft.relations,
            policy_version: draft.version,
        };
        self.turn.journal().allowed(permit, &statement)
    }

    /// The same entry as a record, without what the statement touches.
    #[must_use]
    pub fn spelled(&self, draft: &Draft) -> Box<Record> {
        let mut record = Box::new(self.who.record());
        record.time = draft.time;
        record.event = Event::Statement;
        record.protocol = Some(draft.protocol);
        record.policy_version = Some(draft.version);
        record.reason = draft.under.reason.as_ref().map(ToString::to_string);
        if draft.under.hides_reason {
            record.reason = Some(REDACTED.to_owned());
            put_rule(&mut record, "connection");
        }
        record.kind = draft.kind.map(str::to_owned);
        record.fingerprint = draft.kind.map(|_| draft.recorded.fingerprint.to_string());
        put_rules(&mut record, &draft.recorded.redacted);
        if let Some(clean) = &draft.instead {
            put_rules(&mut record, clean);
        }
        record.statement = Some(draft.text().to_owned());
        if let Some(parameters) = &draft.parameters {
            parameters.put(&mut record);
        }
        allow(&mut record, &draft.under.grant, None);
        record
    }
}
