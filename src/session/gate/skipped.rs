//! What is asked and never answered: messages behind one that failed, up to the Sync, and messages that are no messages. They go
//! nowhere; that they were asked is recorded.

use super::{Gate, Outgoing};
use crate::access::GrantId;
use crate::audit::{EndedBy, Event, Protocol, Record, RecordedVerdict};
use crate::session::records::escaped;
use crate::wire::frontend::{self, Tag};
use crate::wire::{Frame, ProtocolError};

/// Of a message that cannot be read, this much is recorded.
const MAX_SHOWN: usize = 16 * 1024;

impl Gate {
    /// The record of a message that an earlier one's failure skips; those that only lead to an Execute have none.
    pub(super) fn skipped_record(&self, tag: Tag, frame: &Frame) -> Option<Box<Record>> {
        let version = self.judge.version();
        let mut record = match tag {
            Tag::Query => self.recorder.unread(frontend::query(frame.body()).ok()?, Protocol::Simple, version),
            Tag::Parse => {
                let mut record =
                    self.recorder.unread(frontend::parse(frame.body()).ok()?.text, Protocol::Extended, version);
                record.kind = Some("PARSE".to_owned());
                record
            }
            Tag::Execute => {
                let portal = frontend::execute(frame.body()).ok()?.portal;
                let mut record = self.recorder.unread("", Protocol::Extended, version);
                record.kind = Some("EXECUTE".to_owned());
                record.detail = Some(format!("portal \"{portal}\""));
                record
            }
            Tag::FunctionCall => self.recorder.unread("", Protocol::Function, version),
            Tag::Bind
            | Tag::Close
            | Tag::CopyData
            | Tag::CopyDone
            | Tag::CopyFail
            | Tag::Describe
            | Tag::Flush
            | Tag::Password
            | Tag::Sync
            | Tag::Terminate => return None,
        };
        let why = "an earlier message failed or was refused; this one was not sent";
        refuse(&mut record, "skipped", why);
        record.ended_by = Some(EndedBy::Skipped);
        Some(record)
    }

    /// Notes a message that the session's loop skips by itself.
    pub fn skip(&mut self, tag: Tag, frame: &Frame) {
        let skipped = self.skipped_record(tag, frame);
        self.unrecorded.extend(skipped.map(|record| *record));
    }

    /// Notes a message for which the session ends, where it has a text.
    pub fn malformed(&mut self, frame: &Frame, error: &ProtocolError) {
        let Ok(tag) = Tag::read(frame.tag()) else { return };
        let body = frame.body();
        let shown = body.get(..body.len().min(MAX_SHOWN)).unwrap_or_default();
        let text = escaped(shown.strip_suffix(b"\0").unwrap_or(shown));
        let version = self.judge.version();
        let mut record = match tag {
            Tag::Query => self.recorder.unread(&text, Protocol::Simple, version),
            Tag::Parse | Tag::Bind | Tag::Execute | Tag::Describe | Tag::Close => {
                self.recorder.unread(&text, Protocol::Extended, version)
            }
            Tag::FunctionCall => self.recorder.unread("", Protocol::Function, version),
            Tag::CopyData | Tag::CopyDone | Tag::CopyFail | Tag::Flush | Tag::Password | Tag::Sync | Tag::Terminate => {
                return;
            }
        };
        record.kind = Some(format!("{tag:?}").to_uppercase());
        let shown = shown.len();
        let why = format!("{error}; shown are {shown} of {} bytes, those that are no text as \\xNN", body.len());
        refuse(&mut record, "protocol", &why);
        record.ended_by = Some(EndedBy::ProtocolViolation);
        self.unrecorded.push_back(*record);
    }

    /// Records what was noted.
    /// Notes a record that is to be made.
    pub fn note(&mut self, record: Record) {
        self.unrecorded.push_back(record);
    }

    pub async fn record_noted(&mut self) {
        if !self.unrecorded.is_empty() {
            Box::pin(self.record_all_noted()).await;
        }
    }

    async fn record_all_noted(&mut self) {
        while let Some(record) = self.unrecorded.pop_front() {
            self.recorder.note(record).await;
        }
    }
}

impl Gate {
    /// Ends the records of statements that were admitted and do not go, because the message that they are of was refused for
    /// another's sake.
    pub(super) async fn end_withheld(&mut self, outgoing: &[Outgoing]) {
        let expected = outgoing.iter().filter_map(|outgoing| outgoing.expected.as_ref());
        let going = expected.flat_map(|expected| expected.statements.iter().map(|running| running.seq));
        let withheld = self.recorder.withheld(going);
        if !withheld.is_empty() {
            Box::pin(self.record_withheld(withheld)).await;
        }
    }

    async fn record_withheld(&mut self, withheld: Vec<(u64, GrantId)>) {
        for (seq, grant) in withheld {
            let mut record = self.recorder.entry(Event::StatementEnd);
            record.statement_seq = Some(seq);
            record.grant = Some(grant);
            record.ended_by = Some(EndedBy::Denied);
            record.detail = Some("it was not sent: its message was refused".to_owned());
            self.recorder.note(record).await;
        }
    }
}

fn refuse(record: &mut Record, rule: &str, why: &str) {
    record.verdict = Some(RecordedVerdict::Deny);
    record.rule = Some(rule.to_owned());
    record.detail = Some(match record.detail.take() {
        Some(before) => format!("{before}; {why}"),
        None => why.to_owned(),
    });
}
