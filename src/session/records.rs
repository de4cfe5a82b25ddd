//! Builds a session's records and hands them to the journal, each with the session's own running number.

use std::sync::Arc;

use jiff::Timestamp;

use super::analysis::Meaning;
use super::settings::ParameterRecording;
use crate::access::{Clock, Grant, Principal, Region, SessionId};
use crate::audit::{
    EndedBy, Event, Journal, JournalError, Protocol, Receipt, Record, RecordedRelation, RecordedVerdict,
};
use crate::catalog::{Columns, Footprint};
use crate::policy::{Denial, Permit};
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
    last: u64,
    parameters: ParameterRecording,
    /// What the client gave by `SET pgward.reason`.
    pub reason: Option<String>,
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
        Self { journal, clock, base, last: 0, parameters, reason: None }
    }

    pub fn set_application_name(&mut self, name: String) {
        self.base.application_name = (!name.is_empty()).then_some(name);
    }

    /// An entry of this session, without its number.
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
        record.protocol = Some(protocol);
        record.policy_version = Some(version);
        record.reason.clone_from(&self.reason);
        if let Some(statement) = meaning.statement() {
            record.kind = Some(statement.kind.to_owned());
            record.fingerprint = Some(statement.fingerprint.to_string());
            if matches!(statement.action, Action::Copy(_)) {
                record.protocol = Some(Protocol::Copy);
            }
        }
        record.statement = Some(redact(meaning.text()));
        record
    }

    /// The entry of a text of which no statement could be read.
    #[must_use]
    pub fn unread(&self, text: &str, protocol: Protocol, version: u64) -> Box<Record> {
        let mut record = Box::new(self.entry(Event::Statement));
        record.protocol = Some(protocol);
        record.policy_version = Some(version);
        record.reason.clone_from(&self.reason);
        let mut end = text.len().min(MAX_UNREAD);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        record.statement = Some(redact(text.get(..end).unwrap_or_default()));
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
                Item::Admit(permit, record) => admitted.push((permit, self.numbered(*record))),
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
        let record = self.numbered(record);
        if let Err(error) = self.journal.record(record).await {
            tracing::error!(%error, "an ending or a refusal could not be recorded");
        }
    }

    /// Records something that must not happen unrecorded.
    ///
    /// # Errors
    /// Where it could not be.
    pub async fn require(&mut self, record: Record) -> Result<u64, JournalError> {
        let record = self.numbered(record);
        self.journal.record(record).await
    }

    fn numbered(&mut self, mut record: Record) -> Record {
        self.last += 1;
        record.session_seq = Some(self.last);
        record
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

/// The text without the passwords in it: whatever literal follows the word PASSWORD, in a statement or in OPTIONS (…).
/// What cannot be told apart is cut rather than kept.
#[must_use]
pub fn redact(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(found) = lower.get(from..).and_then(|rest| rest.find("password")) {
        let word_end = from + found + "password".len();
        let rest = text.get(word_end..).unwrap_or_default();
        let gap = blank(rest);
        out.push_str(text.get(from..word_end + gap).unwrap_or_default());
        from = word_end + gap;
        let length = literal(text.get(from..).unwrap_or_default());
        if length > 0 {
            out.push_str("'<redacted>'");
            from += length;
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// Bytes of blanks, comments, a closing quote or an equals sign in front of a literal.
fn blank(text: &str) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let comment = if rest.starts_with("--") {
            Some(rest.find('\n').map_or(rest.len(), |end| end + 1))
        } else if rest.starts_with("/*") {
            Some(rest.find("*/").map_or(rest.len(), |end| end + 2))
        } else {
            None
        };
        match (comment, rest.chars().next()) {
            (Some(0), _) | (None, None) => break,
            (Some(length), _) => at += length,
            (None, Some(c)) if c.is_whitespace() || c == '"' || c == '=' => at += c.len_utf8(),
            (None, Some(_)) => break,
        }
    }
    at
}

/// Bytes of the string literal that the text begins with; to the end where it does not end.
fn literal(text: &str) -> usize {
    let escapes = text.starts_with("E'") || text.starts_with("e'");
    let prefix = ["E'", "e'", "U&'", "u&'", "N'", "n'", "B'", "b'", "X'", "x'", "'"];
    if let Some(open) = prefix.iter().find(|open| text.starts_with(**open)) {
        let mut chars = text.char_indices().skip(open.len()).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if escapes => {
                    chars.next();
                }
                '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                    chars.next();
                }
                '\'' => return at + 1,
                _ => {}
            }
        }
        return text.len();
    }
    let Some(rest) = text.strip_prefix('$') else { return 0 };
    let Some(tag_end) = rest.find('$') else { return 0 };
    let tag = text.get(..tag_end + 2).unwrap_or_default();
    if !tag.trim_matches('$').chars().all(|c| c == '_' || c.is_alphanumeric()) {
        return 0;
    }
    text.get(tag.len()..).and_then(|body| body.find(tag)).map_or(text.len(), |at| tag.len() * 2 + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_reach_the_journal() {
        for (text, expected) in [
            ("ALTER ROLE a PASSWORD 'x''y' VALID UNTIL 'z'", "ALTER ROLE a PASSWORD '<redacted>' VALID UNTIL 'z'"),
            ("create user b encrypted password e'a\\'b';", "create user b encrypted password '<redacted>';"),
            ("ALTER ROLE a PASSWORD /* c */ $q$x'$q$ x", "ALTER ROLE a PASSWORD /* c */ '<redacted>' x"),
            ("OPTIONS (user 'u', password 'p')", "OPTIONS (user 'u', password '<redacted>')"),
            ("OPTIONS (\"password\" 'p')", "OPTIONS (\"password\" '<redacted>')"),
            ("ALTER ROLE a PASSWORD 'unfinished", "ALTER ROLE a PASSWORD '<redacted>'"),
            ("SELECT password FROM t WHERE password = 'p'", "SELECT password FROM t WHERE password = '<redacted>'"),
            ("ALTER ROLE a PASSWORD NULL", "ALTER ROLE a PASSWORD NULL"),
            ("ALTER ROLE é PASSWORD 'ä' é", "ALTER ROLE é PASSWORD '<redacted>' é"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
