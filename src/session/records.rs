//! Builds a session's records and hands them to the journal, which numbers them within the session.

use std::sync::Arc;

use jiff::Timestamp;

use super::analysis::Meaning;
use super::reason::Reason;
use super::settings::ParameterRecording;
use crate::access::{Clock, Grant, Principal, Region, SessionId};
use crate::audit::{
    EndedBy, Event, Journal, JournalError, Protocol, Receipt, Record, RecordedRelation, RecordedVerdict,
};
use crate::catalog::{Columns, Footprint};
use crate::policy::{Denial, Permit};
use crate::sql::redacted;
use crate::sql::tree::Action;

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

/// A session's way to the journal.
#[derive(Debug)]
pub struct Recorder {
    journal: Arc<Journal>,
    clock: Arc<Clock>,
    base: Record,
    parameters: ParameterRecording,
    /// What the client gave by `SET pgward.reason`, as the next statement finds it.
    pub reason: Reason,
}

/// One thing to record before a batch goes on.
#[derive(Debug)]
pub enum Item {
    /// An allowed statement.
    Admit(Permit, Box<Record>),
    /// A refused one.
    Refuse(Box<Record>),
    /// Recorded together with the item at this place.
    Moved(usize),
}

impl Recorder {
    #[must_use]
    pub fn new(journal: Arc<Journal>, clock: Arc<Clock>, who: Who, parameters: ParameterRecording) -> Self {
        let mut base = Record::new(Timestamp::UNIX_EPOCH, Event::Statement);
        base.session = Some(who.session);
        base.principal = Some(who.principal.name);
        base.groups = who.principal.groups;
        base.client_addr = Some(who.client_addr);
        base.client_region = who.client_region;
        base.application_name = (!who.application_name.is_empty()).then_some(who.application_name);
        base.database = Some(who.database);
        base.upstream_region = Some(who.upstream_region);
        Self { journal, clock, base, parameters, reason: None }
    }

    pub fn set_application_name(&mut self, name: String) {
        self.base.application_name = (!name.is_empty()).then_some(name);
    }

    /// An entry of this session; the journal numbers it.
    #[must_use]
    pub fn entry(&self, event: Event) -> Record {
        let mut record = self.base.clone();
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
        record.reason = self.reason.as_ref().map(ToString::to_string);
        if let Some(statement) = meaning.statement() {
            record.kind = Some(statement.kind.to_owned());
            record.fingerprint = Some(recorded.fingerprint);
            if matches!(statement.action, Action::Copy(_)) {
                record.protocol = Some(Protocol::Copy);
            }
        }
        record.statement = Some(recorded.text);
        record
    }

    /// The entry of a text of which no statement could be read.
    #[must_use]
    pub fn unread(&self, text: &str, protocol: Protocol, version: u64) -> Box<Record> {
        let mut record = Box::new(self.entry(Event::Statement));
        record.protocol = Some(protocol);
        record.policy_version = Some(version);
        record.reason = self.reason.as_ref().map(ToString::to_string);
        let mut end = text.len().min(MAX_UNREAD);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        record.statement = Some(redacted(text.get(..end).unwrap_or_default()).into_owned());
        if end < text.len() {
            let hash = hash(text.as_bytes());
            record.detail = Some(format!("the first {end} of {} bytes; SHA-256 of all: {hash}", text.len()));
        }
        record
    }

    /// Bind values as the settings want them recorded.
    #[must_use]
    pub fn parameters(&self, values: &[(bool, Option<&[u8]>)]) -> Option<Arc<Vec<Option<String>>>> {
        let text = |(binary, value): &(bool, Option<&[u8]>)| value.map(|value| self.value(*binary, value));
        match self.parameters {
            ParameterRecording::Omit => None,
            ParameterRecording::Record | ParameterRecording::Hash if values.is_empty() => None,
            ParameterRecording::Record | ParameterRecording::Hash => Some(Arc::new(values.iter().map(text).collect())),
        }
    }

    fn value(&self, binary: bool, value: &[u8]) -> String {
        match self.parameters {
            ParameterRecording::Hash | ParameterRecording::Omit => format!("sha256:{}", hash(value)),
            ParameterRecording::Record => match std::str::from_utf8(value) {
                Ok(text) if !binary => text.to_owned(),
                Ok(_) | Err(_) => format!("\\x{}", hex(value)),
            },
        }
    }

    /// Records a batch in order, and answers the receipt of each item that has one. An item without one must not pass.
    pub async fn settle(&mut self, items: Vec<Item>) -> Vec<Option<Receipt>> {
        let mut receipts = Vec::with_capacity(items.len());
        let mut admitted: Vec<(Permit, Record)> = Vec::new();
        for item in items {
            match item {
                Item::Admit(permit, record) => admitted.push((permit, *record)),
                Item::Refuse(record) => {
                    self.admit(&mut admitted, &mut receipts).await;
                    self.note(*record).await;
                    receipts.push(None);
                }
                Item::Moved(_) => {
                    self.admit(&mut admitted, &mut receipts).await;
                    receipts.push(None);
                }
            }
        }
        self.admit(&mut admitted, &mut receipts).await;
        receipts
    }

    async fn admit(&mut self, items: &mut Vec<(Permit, Record)>, receipts: &mut Vec<Option<Receipt>>) {
        if items.is_empty() {
            return;
        }
        let count = items.len();
        match self.journal.admit(std::mem::take(items)).await {
            Ok(given) => receipts.extend(given.into_iter().map(Some)),
            Err(error) => {
                tracing::error!(%error, "statements are refused: they cannot be recorded");
                receipts.extend(std::iter::repeat_with(|| None).take(count));
            }
        }
    }

    /// Records something that cannot be stopped by not being recorded: a refusal, an end.
    pub async fn note(&mut self, record: Record) {
        if let Err(error) = self.journal.record(record).await {
            tracing::error!(%error, "an ending or a refusal could not be recorded");
        }
    }

    /// Records something that must not happen unrecorded.
    ///
    /// # Errors
    /// Where it could not be.
    pub async fn require(&mut self, record: Record) -> Result<u64, JournalError> {
        self.journal.record(record).await
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

fn hash(bytes: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
