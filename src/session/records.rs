//! Builds a session's records and hands them to the journal, which numbers them within the session.

mod admission;
mod draft;

use admission::Admission;
pub use admission::Settled;
pub use draft::Draft;
use draft::Under;

use std::sync::Arc;

use jiff::Timestamp;

use super::analysis::Meaning;
use super::binds::{Bound, Parameters};
use super::reason::Reason;
use super::replies::Running;
use super::settings::ParameterRecording;
use crate::access::{Clock, Grant, Principal, Region, SessionId};
use crate::audit::{
    EndDraft, EndedBy, Event, HashKey, Protocol, Record, RecordedRelation, RecordedVerdict, RelationsPart, SessionPart,
    Turn,
};
use crate::catalog::{Columns, Footprint};
use crate::policy::{Denial, Permit};
use crate::sql::tree::Action;
use crate::sql::{REDACTED, Redacted, holds_credentials, redact};

/// Of a text that is refused unread, this much is recorded; the rest is given by its hash.
const MAX_UNREAD: usize = 64 * 1024;

/// Whose session it is, as every record says.
#[derive(Clone, Debug)]
pub struct Who {
    pub session: SessionId,
    pub principal: Principal,
    pub client_addr: String,
    pub client_region: Option<Region>,
    pub application_name: String,
    pub database: String,
    pub upstream_region: Region,
}

impl Who {
    /// A record that says so, and nothing else.
    fn record(&self) -> Record {
        let mut record = Record::new(Timestamp::UNIX_EPOCH, Event::Statement);
        record.session = Some(self.session.clone());
        record.principal = Some(self.principal.name.clone());
        record.groups.clone_from(&self.principal.groups);
        record.client_addr = Some(self.client_addr.clone());
        record.client_region.clone_from(&self.client_region);
        record.application_name = (!self.application_name.is_empty()).then(|| self.application_name.clone());
        record.database = Some(self.database.clone());
        record.upstream_region = Some(self.upstream_region.clone());
        record
    }
}

/// A session's way to the journal.
#[derive(Debug)]
pub struct Recorder {
    turn: Arc<Turn>,
    clock: Arc<Clock>,
    who: Who,
    /// The same, as its records bear it.
    part: SessionPart,
    /// The grant that the last statement went under.
    under: Option<Under>,
    /// The time of the messages that are handled.
    now: Timestamp,
    parameters: (ParameterRecording, HashKey),
    admission: Admission,
    /// What the client gave by `SET pgward.reason`, as the next statement finds it.
    pub reason: Reason,
}

/// One thing to record before a batch goes on.
#[derive(Debug)]
pub enum Item {
    /// An allowed statement.
    Admit(Permit, Draft),
    /// A refused one.
    Refuse(Box<Record>),
    /// Recorded together with the item at this place.
    Moved(usize),
    /// A message that has no statement of its own and must not go unrecorded.
    Message(Box<Record>),
}

impl Recorder {
    #[must_use]
    pub fn new(turn: Arc<Turn>, clock: Arc<Clock>, who: Who, parameters: (ParameterRecording, HashKey)) -> Self {
        let part = SessionPart::new(&who.session, &who.record());
        let (now, admission) = (clock.now(), Admission::default());
        Self { turn, clock, who, part, under: None, now, parameters, admission, reason: None }
    }

    pub fn set_application_name(&mut self, name: String) {
        self.who.application_name = name;
        self.part = SessionPart::new(&self.who.session, &self.who.record());
    }

    /// The time that the records of the messages that follow bear.
    pub fn begin_at(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Records how a statement ended.
    pub fn end(&self, running: &Running, outcome: &Outcome, now: Timestamp) {
        let ended = self.turn.end(&EndDraft {
            time: now,
            session: &self.part,
            data_region: running.data_region.as_ref(),
            grant: running.grant.as_ref(),
            statement_seq: running.seq,
            sqlstate: outcome.sqlstate.as_deref(),
            command_tag: outcome.command_tag.as_deref(),
            rows: running.rows,
            bytes: running.bytes,
            duration_us: u64::try_from(running.started.elapsed().as_micros()).ok(),
            ended_by: outcome.ended_by,
        });
        if let Err(error) = ended {
            tracing::error!(%error, "an ending could not be recorded");
        }
    }

    /// An entry of this session; the journal numbers it.
    #[must_use]
    pub fn entry(&self, event: Event) -> Record {
        let mut record = self.who.record();
        record.time = self.clock.now();
        record.event = event;
        record
    }

    /// The entry of one statement, but for its verdict.
    #[must_use]
    pub fn statement(&self, meaning: &Meaning, protocol: Protocol, version: u64) -> Box<Record> {
        let mut record = Box::new(self.entry(Event::Statement));
        let recorded = meaning.analysis.recorded(meaning.part);
        record.protocol = Some(protocol);
        record.policy_version = Some(version);
        self.put_reason(&mut record);
        if let Some(statement) = meaning.statement() {
            record.kind = Some(statement.kind.to_owned());
            record.fingerprint = Some(recorded.fingerprint.to_string());
            if matches!(statement.action, Action::Copy(_)) {
                record.protocol = Some(Protocol::Copy);
            }
        }
        record.statement = Some(recorded.text.to_string());
        put_rules(&mut record, &recorded.redacted);
        record
    }

    /// What the session has said why; not where that holds a password.
    fn put_reason(&self, record: &mut Record) {
        record.reason = self.reason.as_ref().map(ToString::to_string);
        if record.reason.as_deref().is_some_and(holds_credentials) {
            record.reason = Some(REDACTED.to_owned());
            put_rule(record, "connection");
        }
    }

    /// The entry of a text of which no statement could be read.
    #[must_use]
    pub fn unread(&self, text: &str, protocol: Protocol, version: u64) -> Box<Record> {
        let mut record = Box::new(self.entry(Event::Statement));
        record.protocol = Some(protocol);
        record.policy_version = Some(version);
        self.put_reason(&mut record);
        let mut end = text.len().min(MAX_UNREAD);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let clean = redact(text.get(..end).unwrap_or_default(), None);
        put_rules(&mut record, &clean);
        record.statement = Some(clean.text.into_owned());
        if end < text.len() {
            let hash = self.parameters.1.hash(text.as_bytes());
            record.detail = Some(format!("the first {end} of {} bytes; of all of them {hash}", text.len()));
        }
        record
    }

    /// Bind values as the settings want them recorded.
    #[must_use]
    pub fn parameters(&self, bound: Bound<'_>) -> Arc<Parameters> {
        let (how, key) = &self.parameters;
        Arc::new(Parameters::new(bound, *how, key))
    }
}

/// Fills in what the verdict rests on.
pub fn allow(record: &mut Record, grant: &Grant, footprint: Option<&Footprint>) {
    record.verdict = Some(RecordedVerdict::Allow);
    record.grant = Some(grant.id.clone());
    record.request = Some(grant.request.clone());
    record.scope = Some(grant.scope.name.clone());
    record.ticket.clone_from(&grant.ticket);
    record.approvers.clone_from(&grant.approvers);
    if record.reason.is_none() {
        record.reason = Some(grant.reason.clone());
    }
    record.relations = footprint.map(relations).unwrap_or_default();
}

/// Fills in why the statement is refused.
pub fn deny(record: &mut Record, denial: &Denial, footprint: Option<&Footprint>) {
    record.verdict = Some(RecordedVerdict::Deny);
    record.rule = Some(denial.rule.as_str().to_owned());
    record.relations = footprint.map(relations).unwrap_or_default();
    let said = format!("{}: {}", denial.message, denial.detail);
    record.detail = Some(match record.detail.take() {
        Some(before) => format!("{before}; {said}"),
        None => said,
    });
}

/// How a statement ended, for its second record.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub sqlstate: Option<String>,
    pub command_tag: Option<String>,
    pub ended_by: EndedBy,
}

/// Tells which rules took something out of the record.
pub(super) fn put_rules(record: &mut Record, redacted: &Redacted<'_>) {
    redacted.rules.iter().for_each(|rule| put_rule(record, rule));
    if !redacted.parameters.is_empty() {
        put_rule(record, "password");
    }
}

pub(super) fn put_rule(record: &mut Record, rule: &str) {
    if !record.redacted.iter().any(|known| known == rule) {
        record.redacted.push(rule.to_owned());
    }
}

/// What a statement touches, as its records tell.
#[must_use]
pub fn relations_part(footprint: &Footprint) -> RelationsPart {
    RelationsPart::new(relations(footprint))
}

fn relations(footprint: &Footprint) -> Vec<RecordedRelation> {
    let columns = |columns: &Columns| match columns {
        Columns::None => Vec::new(),
        Columns::Named(names) => names.clone(),
        Columns::WholeRow => vec!["*".to_owned()],
    };
    let relation = |touched: &crate::catalog::TouchedRelation| RecordedRelation {
        name: format!("{}.{}", touched.schema, touched.name),
        operation: touched.operation,
        columns: columns(&touched.columns),
    };
    footprint.relations.iter().map(relation).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Bytes that are not all text, so that nothing of them is lost: a backslash is doubled, what is no UTF-8 is `\xNN`.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // As above.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_recorded_without_loss() {
        assert_eq!(escaped(b"a\xff\xc3\xa9\\n"), "a\\xff\u{e9}\\\\n");
    }
}
