//! Writes a record's canonical bytes by hand: what serde would give, in a fraction of the time. Pure.
//!
//! The record is taken apart field by field, so that one that is added later cannot be forgotten here; that both ways give
//! the same is tested over every field and over any text.

use std::borrow::BorrowMut;
use std::io;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use super::canonical::{encode_text, push_decimal};
use super::{Record, RecordedRelation};

/// Appends the canonical bytes of `record`.
///
/// # Errors
/// None for a [`Record`]: the printers' types ask for one.
pub(super) fn write(record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
    let Record {
        time,
        seq,
        event,
        session,
        session_seq,
        principal,
        groups,
        client_addr,
        client_region,
        application_name,
        database,
        upstream_region,
        data_region,
        grant,
        request,
        scope,
        reason,
        ticket,
        approvers,
        protocol,
        statement,
        redacted,
        parameters,
        parameter_count,
        fingerprint,
        kind,
        relations,
        verdict,
        rule,
        policy_version,
        statement_seq,
        sqlstate,
        command_tag,
        rows,
        bytes,
        duration_us,
        ended_by,
        detail,
    } = record;
    let mut fields = Fields::new(out);
    fields.time(*time)?;
    fields.number(",\"seq\":", Some(*seq));
    fields.word(",\"event\":\"", Some(event.as_str()));
    fields.text(",\"session\":", session.as_ref().map(|id| id.as_str()))?;
    fields.number(",\"session_seq\":", *session_seq);
    fields.text(",\"principal\":", principal.as_deref())?;
    fields.list(",\"groups\":", groups)?;
    fields.text(",\"client_addr\":", client_addr.as_deref())?;
    fields.text(",\"client_region\":", client_region.as_ref().map(|region| region.as_str()))?;
    fields.text(",\"application_name\":", application_name.as_deref())?;
    fields.text(",\"database\":", database.as_deref())?;
    fields.text(",\"upstream_region\":", upstream_region.as_ref().map(|region| region.as_str()))?;
    fields.text(",\"data_region\":", data_region.as_ref().map(|region| region.as_str()))?;
    fields.text(",\"grant\":", grant.as_ref().map(|id| id.as_str()))?;
    fields.text(",\"request\":", request.as_ref().map(|id| id.as_str()))?;
    fields.text(",\"scope\":", scope.as_deref())?;
    fields.text(",\"reason\":", reason.as_deref())?;
    fields.text(",\"ticket\":", ticket.as_deref())?;
    fields.list(",\"approvers\":", approvers)?;
    fields.word(",\"protocol\":\"", protocol.map(|protocol| protocol.as_str()));
    fields.text(",\"statement\":", statement.as_deref())?;
    fields.list(",\"redacted\":", redacted)?;
    fields.parameters(parameters.as_deref())?;
    fields.number(",\"parameter_count\":", parameter_count.map(u64::from));
    fields.text(",\"fingerprint\":", fingerprint.as_deref())?;
    fields.text(",\"kind\":", kind.as_deref())?;
    fields.relations(relations)?;
    fields.word(",\"verdict\":\"", verdict.map(|verdict| verdict.as_str()));
    fields.text(",\"rule\":", rule.as_deref())?;
    fields.number(",\"policy_version\":", *policy_version);
    fields.number(",\"statement_seq\":", *statement_seq);
    fields.text(",\"sqlstate\":", sqlstate.as_deref())?;
    fields.text(",\"command_tag\":", command_tag.as_deref())?;
    fields.number(",\"rows\":", *rows);
    fields.number(",\"bytes\":", *bytes);
    fields.number(",\"duration_us\":", *duration_us);
    fields.word(",\"ended_by\":\"", ended_by.map(|ended_by| ended_by.as_str()));
    fields.text(",\"detail\":", detail.as_deref())?;
    fields.raw(b"}");
    Ok(())
}

/// Appends fields, each only where it has a value.
pub(super) struct Fields<V> {
    pub(super) out: V,
}

impl<V: BorrowMut<Vec<u8>>> Fields<V> {
    pub(super) fn new(out: V) -> Self {
        Self { out }
    }

    /// Bytes that are canonical already.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.borrow_mut().extend_from_slice(bytes);
    }

    pub(super) fn time(&mut self, time: Timestamp) -> io::Result<()> {
        self.raw(b"{\"time\":\"");
        let printer = DateTimePrinter::new();
        printer.print_timestamp(&time, jiff::fmt::StdIoWrite(self.out.borrow_mut())).map_err(io::Error::other)?;
        self.raw(b"\"");
        Ok(())
    }

    pub(super) fn number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.raw(key.as_bytes());
            push_decimal(value, self.out.borrow_mut());
        }
    }

    /// A word that needs no escaping; its opening quote is the key's last character.
    pub(super) fn word(&mut self, key: &str, word: Option<&str>) {
        if let Some(word) = word {
            self.raw(key.as_bytes());
            self.raw(word.as_bytes());
            self.raw(b"\"");
        }
    }

    pub(super) fn text(&mut self, key: &str, text: Option<&str>) -> io::Result<()> {
        match text {
            Some(text) => {
                self.raw(key.as_bytes());
                self.string(text)
            }
            None => Ok(()),
        }
    }

    pub(super) fn list(&mut self, key: &str, texts: &[String]) -> io::Result<()> {
        if texts.is_empty() {
            return Ok(());
        }
        self.raw(key.as_bytes());
        self.strings(texts)
    }

    fn strings(&mut self, texts: &[String]) -> io::Result<()> {
        self.raw(b"[");
        for (index, text) in texts.iter().enumerate() {
            self.separate(index);
            self.string(text)?;
        }
        self.raw(b"]");
        Ok(())
    }

    pub(super) fn parameters(&mut self, values: Option<&[Option<String>]>) -> io::Result<()> {
        let Some(values) = values else { return Ok(()) };
        self.raw(b",\"parameters\":[");
        for (index, value) in values.iter().enumerate() {
            self.separate(index);
            match value {
                Some(value) => self.string(value)?,
                None => self.raw(b"null"),
            }
        }
        self.raw(b"]");
        Ok(())
    }

    fn relations(&mut self, relations: &[RecordedRelation]) -> io::Result<()> {
        if relations.is_empty() {
            return Ok(());
        }
        self.raw(b",\"relations\":[");
        for (index, RecordedRelation { name, operation, columns }) in relations.iter().enumerate() {
            self.separate(index);
            self.raw(b"{\"name\":");
            self.string(name)?;
            self.word(",\"operation\":\"", Some(operation.as_str()));
            self.raw(b",\"columns\":");
            self.strings(columns)?;
            self.raw(b"}");
        }
        self.raw(b"]");
        Ok(())
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.raw(b",");
        }
    }

    /// Nearly every text is ASCII that stands as it is.
    fn string(&mut self, text: &str) -> io::Result<()> {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\';
        // Without a branch on each byte, so that many are looked at together.
        if text.as_bytes().iter().fold(true, |plain, byte| plain & is_plain(byte)) {
            self.raw(b"\"");
            self.raw(text.as_bytes());
            self.raw(b"\"");
            return Ok(());
        }
        encode_text(text, self.out.borrow_mut())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::canonical::{encode, is_hidden};
    use super::*;
    use crate::access::{GrantId, Operation, Region, RequestId, SessionId};
    use crate::audit::{EndedBy, Event, Protocol, RecordedVerdict};

    fn full(text: &str, number: u64) -> Record {
        let some = || Some(text.to_owned());
        Record {
            time: Timestamp::from_nanosecond(i128::from(number / 3)).unwrap(),
            seq: number,
            event: Event::Statement,
            session: Some(SessionId::from_text(text)),
            session_seq: Some(number),
            principal: some(),
            groups: vec![text.to_owned(), "b".to_owned()],
            client_addr: some(),
            client_region: Some(Region::new(text)),
            application_name: some(),
            database: some(),
            upstream_region: Some(Region::new(text)),
            data_region: Some(Region::new(text)),
            grant: Some(GrantId::from_text(text)),
            request: Some(RequestId::from_text(text)),
            scope: some(),
            reason: some(),
            ticket: some(),
            approvers: vec![text.to_owned()],
            protocol: Some(Protocol::Copy),
            statement: some(),
            redacted: vec![text.to_owned()],
            parameters: Some(vec![None, some()]),
            parameter_count: Some(3),
            fingerprint: some(),
            kind: some(),
            relations: vec![
                RecordedRelation { name: text.to_owned(), operation: Operation::Ddl, columns: Vec::new() },
                RecordedRelation {
                    name: text.to_owned(),
                    operation: Operation::Select,
                    columns: vec![text.to_owned(), "c".to_owned()],
                },
            ],
            verdict: Some(RecordedVerdict::Deny),
            rule: some(),
            policy_version: Some(number),
            statement_seq: Some(number),
            sqlstate: some(),
            command_tag: some(),
            rows: Some(number),
            bytes: Some(number),
            duration_us: Some(number),
            ended_by: Some(EndedBy::Completed),
            detail: some(),
        }
    }

    fn check(record: &Record) {
        let mut bytes = Vec::new();
        write(record, &mut bytes).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), String::from_utf8(encode(record).unwrap()).unwrap());
    }

    #[test]
    fn every_word_is_serdes() {
        fn same<T: serde::Serialize + Copy>(values: &[T], word: fn(T) -> &'static str) {
            for value in values {
                assert_eq!(serde_json::to_value(value).unwrap(), word(*value));
            }
        }
        same(
            &[
                Event::Statement,
                Event::StatementEnd,
                Event::SessionOpen,
                Event::SessionClose,
                Event::LoginDenied,
                Event::StartupRefused,
                Event::Cancel,
                Event::RequestFiled,
                Event::RequestApproved,
                Event::RequestDenied,
                Event::RequestWithdrawn,
                Event::GrantCreated,
                Event::GrantRevoked,
                Event::CredentialMinted,
                Event::SessionKilled,
                Event::ConfigReloaded,
                Event::ConfigRefused,
                Event::JournalOpened,
                Event::JournalRecovered,
                Event::JournalClosed,
                Event::RecordsPurged,
                Event::HoldPlaced,
                Event::HoldReleased,
                Event::KeyRotated,
                Event::WitnessSilent,
                Event::WitnessHeard,
                Event::Message,
                Event::SinkState,
                Event::AccessRefused,
                Event::RequestEdited,
                Event::RequestExpired,
                Event::BreakGlassOpened,
                Event::ReviewClosed,
                Event::ReviewOverdue,
                Event::GrantEnding,
                Event::GrantExpired,
                Event::StatementHeld,
                Event::UnusualAccess,
                Event::AccessReleased,
                Event::RetentionRun,
                Event::RetentionRunEnd,
                Event::DataHoldPlaced,
                Event::DataHoldReleased,
                Event::RetentionBatch,
                Event::RetentionBatchEnd,
                Event::ControlLogin,
                Event::ControlLogout,
                Event::NotificationFailed,
            ],
            Event::as_str,
        );
        same(
            &[
                EndedBy::Completed,
                EndedBy::Error,
                EndedBy::Denied,
                EndedBy::Skipped,
                EndedBy::ClientCancel,
                EndedBy::ClientDisconnect,
                EndedBy::UpstreamDisconnect,
                EndedBy::GrantExpired,
                EndedBy::GrantRevoked,
                EndedBy::Killed,
                EndedBy::RowLimit,
                EndedBy::ByteLimit,
                EndedBy::Export,
                EndedBy::Shutdown,
                EndedBy::ProtocolViolation,
                EndedBy::Timeout,
                EndedBy::Fault,
            ],
            EndedBy::as_str,
        );
        same(&[Protocol::Simple, Protocol::Extended, Protocol::Copy, Protocol::Function], Protocol::as_str);
        same(&[RecordedVerdict::Allow, RecordedVerdict::Deny], RecordedVerdict::as_str);
        same(
            &[
                Operation::Select,
                Operation::Insert,
                Operation::Update,
                Operation::Delete,
                Operation::Truncate,
                Operation::Ddl,
            ],
            Operation::as_str,
        );
    }

    proptest! {
        #[test]
        fn both_ways_give_the_same(text in any::<String>(), plain in "[ -~]*", number in any::<u64>()) {
            check(&full(&text, number));
            check(&full(&plain, number));
            check(&Record::new(Timestamp::from_second((number >> 32).cast_signed()).unwrap(), Event::Cancel));
            prop_assert!(!plain.chars().any(is_hidden));
        }
    }
}
