//! Records of the data path, put together from parts that are canonical bytes already: what is the same for all records of a
//! session, what is the same for all statements under a grant, what a statement touches. Pure.
//!
//! A part is cut out of the canonical bytes of a record that holds its fields alone, so it cannot be written in another way than
//! those; that a record of parts is the record of all its fields is tested over every field.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::canonical::{MAX_RECORD_BYTES, Phase, Unnumbered, push_decimal};
use super::compact::{self, Fields};
use super::retention::{Kind, Shelf};
use super::{EndedBy, Event, Protocol, Record, RecordedRelation, RecordedVerdict};
use crate::access::{Grant, GrantId, Region, SessionId};
use crate::policy::Permit;

/// What all records of a session say alike: `principal` to `upstream_region`.
#[derive(Debug)]
pub struct SessionPart {
    id: SessionId,
    /// `session` and the place of `session_seq`.
    head: Box<[u8]>,
    bytes: Box<[u8]>,
    upstream_region: Option<Region>,
}

impl SessionPart {
    /// Takes the fields of `base`.
    #[must_use]
    pub fn new(id: &SessionId, base: &Record) -> Self {
        let mut own = blank();
        own.session = Some(id.clone());
        own.session_seq = Some(0);
        let mut rest = blank();
        rest.principal.clone_from(&base.principal);
        rest.groups.clone_from(&base.groups);
        rest.client_addr.clone_from(&base.client_addr);
        rest.client_region.clone_from(&base.client_region);
        rest.application_name.clone_from(&base.application_name);
        rest.database.clone_from(&base.database);
        rest.upstream_region.clone_from(&base.upstream_region);
        let upstream_region = base.upstream_region.clone();
        Self { id: id.clone(), head: part(&own), bytes: part(&rest), upstream_region }
    }
}

/// What all statements under one grant say alike: `grant` to `approvers`.
#[derive(Debug)]
pub struct GrantPart {
    grant: GrantId,
    bytes: Box<[u8]>,
}

impl GrantPart {
    /// With the session's own reason, where it has given one.
    #[must_use]
    pub fn new(grant: &Grant, reason: Option<&str>) -> Self {
        let mut record = blank();
        record.grant = Some(grant.id.clone());
        record.request = Some(grant.request.clone());
        record.scope = Some(grant.scope.name.clone());
        record.reason = Some(reason.unwrap_or(&grant.reason).to_owned());
        record.ticket.clone_from(&grant.ticket);
        record.approvers.clone_from(&grant.approvers);
        Self { grant: grant.id.clone(), bytes: part(&record) }
    }
}

/// What a statement touches.
#[derive(Clone, Debug, Default)]
pub struct RelationsPart(Arc<[u8]>);

impl RelationsPart {
    #[must_use]
    pub fn new(relations: Vec<RecordedRelation>) -> Self {
        let record = Record { relations, ..blank() };
        Self(part(&record).into())
    }
}

/// An allowed statement, but for its permit.
#[derive(Clone, Copy, Debug)]
pub struct StatementDraft<'a> {
    pub time: Timestamp,
    pub session: &'a SessionPart,
    pub grant: &'a GrantPart,
    pub protocol: Protocol,
    pub text: &'a str,
    /// The rules by which something was taken out of it.
    pub redacted: &'a [String],
    pub parameters: Option<&'a [Option<String>]>,
    pub parameter_count: Option<u32>,
    pub fingerprint: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub relations: &'a RelationsPart,
    pub policy_version: u64,
}

/// How a statement ended.
#[derive(Clone, Copy, Debug)]
pub struct EndDraft<'a> {
    pub time: Timestamp,
    pub session: &'a SessionPart,
    pub data_region: Option<&'a Region>,
    pub grant: Option<&'a GrantId>,
    pub statement_seq: u64,
    pub sqlstate: Option<&'a str>,
    pub command_tag: Option<&'a str>,
    pub rows: u64,
    pub bytes: u64,
    pub duration_us: Option<u64>,
    pub ended_by: EndedBy,
}

/// A permitted statement, as bytes that still lack their numbers. Only these are admitted.
#[derive(Debug)]
pub struct Allowed {
    pub(super) permit: Permit,
    pub(super) unnumbered: Unnumbered,
}

impl Allowed {
    /// Whatever the record says, it is that of an allowed statement under the permit's grant.
    pub(super) fn of_record(permit: Permit, mut record: Record, shelves: &[Shelf]) -> io::Result<Self> {
        record.event = Event::Statement;
        record.verdict = Some(RecordedVerdict::Allow);
        record.grant = Some(permit.grant().clone());
        let permit = permit.with_data_region(record.data_region.clone());
        Ok(Self { permit, unnumbered: Unnumbered::encode(record, shelves)? })
    }

    /// The same of a draft.
    ///
    /// # Errors
    /// Where the draft is for another grant than the permit, or the record would be too long.
    pub(super) fn of_draft(permit: Permit, draft: &StatementDraft<'_>, shelves: &[Shelf]) -> io::Result<Self> {
        let StatementDraft { time, session, grant, protocol, .. } = *draft;
        let StatementDraft { text, redacted, parameters, parameter_count, .. } = *draft;
        let StatementDraft { fingerprint, kind, relations, policy_version, .. } = *draft;
        if grant.grant != *permit.grant() {
            return Err(io::Error::other("the record is of another grant than the permit"));
        }
        let mut body = Body::begin(time, Event::Statement, session, permit.data_region(), 512 + text.len())?;
        let fields = &mut body.fields;
        fields.raw(&grant.bytes);
        fields.word(",\"protocol\":\"", Some(protocol.as_str()));
        fields.text(",\"statement\":", Some(text))?;
        fields.list(",\"redacted\":", redacted)?;
        fields.parameters(parameters)?;
        fields.number(",\"parameter_count\":", parameter_count.map(u64::from));
        fields.text(",\"fingerprint\":", fingerprint)?;
        fields.text(",\"kind\":", kind)?;
        fields.raw(&relations.0);
        fields.word(",\"verdict\":\"", Some(RecordedVerdict::Allow.as_str()));
        fields.number(",\"policy_version\":", Some(policy_version));
        let unnumbered = body.finish(permit.data_region(), Event::Statement, shelves)?;
        Ok(Self { permit, unnumbered })
    }
}

/// Encodes the record of a statement's end.
pub(super) fn end(draft: &EndDraft<'_>, shelves: &[Shelf]) -> io::Result<Unnumbered> {
    let EndDraft { time, session, data_region, grant, statement_seq, .. } = *draft;
    let EndDraft { sqlstate, command_tag, rows, bytes, duration_us, ended_by, .. } = *draft;
    let mut body = Body::begin(time, Event::StatementEnd, session, data_region, 512)?;
    let fields = &mut body.fields;
    fields.text(",\"grant\":", grant.map(GrantId::as_str))?;
    fields.number(",\"statement_seq\":", Some(statement_seq));
    fields.text(",\"sqlstate\":", sqlstate)?;
    fields.text(",\"command_tag\":", command_tag)?;
    fields.number(",\"rows\":", Some(rows));
    fields.number(",\"bytes\":", Some(bytes));
    fields.number(",\"duration_us\":", duration_us);
    fields.word(",\"ended_by\":\"", Some(ended_by.as_str()));
    body.finish(data_region, Event::StatementEnd, shelves)
}

/// A record that is being put together.
struct Body<'a> {
    fields: Fields<Vec<u8>>,
    session: &'a SessionPart,
    time: Timestamp,
    seq_at: usize,
    session_seq_at: usize,
}

impl<'a> Body<'a> {
    /// The fields from `time` to `data_region`.
    fn begin(
        time: Timestamp,
        event: Event,
        session: &'a SessionPart,
        data_region: Option<&Region>,
        capacity: usize,
    ) -> io::Result<Self> {
        let mut fields = Fields::new(Vec::with_capacity(capacity));
        fields.time(time)?;
        fields.raw(b",\"seq\":");
        let seq_at = fields.out.len();
        push_decimal(0, &mut fields.out);
        fields.word(",\"event\":\"", Some(event.as_str()));
        fields.raw(&session.head);
        // `session_seq` is the head's last field, and a digit stands for it.
        let session_seq_at = fields.out.len() - SESSION_SEQ_BYTES;
        fields.raw(&session.bytes);
        fields.text(",\"data_region\":", data_region.map(Region::as_str))?;
        Ok(Self { fields, session, time, seq_at, session_seq_at })
    }

    fn finish(self, data_region: Option<&Region>, event: Event, shelves: &[Shelf]) -> io::Result<Unnumbered> {
        let mut bytes = self.fields.out;
        bytes.push(b'}');
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the record is too long"));
        }
        let region = data_region.or(self.session.upstream_region.as_ref());
        Ok(Unnumbered {
            bytes,
            seq_at: self.seq_at,
            session_seq_at: Some(self.session_seq_at),
            session: Some((self.session.id.clone(), Phase::GoesOn)),
            kind: Kind::of(event),
            time: self.time,
            shelf: Shelf::of(shelves, region),
        })
    }
}

/// Bytes of `,"session_seq":` and its placeholder.
const SESSION_SEQ_BYTES: usize = b",\"session_seq\":0".len();

fn blank() -> Record {
    Record::new(Timestamp::UNIX_EPOCH, Event::Statement)
}

/// The bytes of a record's fields, but for those that every record has.
fn part(record: &Record) -> Box<[u8]> {
    let (mut all, mut none) = (Vec::new(), Vec::new());
    // Neither fails: the printers' types ask for a result.
    let _ = compact::write(record, &mut all).and_then(|()| compact::write(&blank(), &mut none));
    let end = all.len().saturating_sub(1);
    all.get(none.len().saturating_sub(1)..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::access::{Operation, RequestId};
    use crate::audit::canonical;

    fn grant(text: &str) -> Grant {
        let mut grant = Permit::for_test(GrantId::from_text(text), None).full_grant().as_ref().clone();
        grant.request = RequestId::from_text(text);
        grant.reason = text.to_owned();
        grant.ticket = Some(text.to_owned());
        grant.approvers = vec![text.to_owned(), "bob".to_owned()];
        grant
    }

    /// The session's own fields.
    fn base(text: &str, region: Option<&str>) -> Record {
        let mut record = blank();
        record.session = Some(SessionId::from_text("se_1"));
        record.principal = Some(text.to_owned());
        record.groups = vec![text.to_owned()];
        record.client_addr = Some(text.to_owned());
        record.client_region = region.map(Region::new);
        record.application_name = region.map(str::to_owned);
        record.database = Some(text.to_owned());
        record.upstream_region = Some(Region::new("us"));
        record
    }

    fn bytes(unnumbered: &Unnumbered) -> String {
        let mut bytes = Vec::new();
        unnumbered.number_into(7, Some(3), &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn numbered(mut record: Record) -> String {
        (record.seq, record.session_seq) = (7, Some(3));
        canonical::to_string(&record)
    }

    proptest! {
        #[test]
        fn a_record_of_parts_is_the_record_of_its_fields(
            text in any::<String>(), other in any::<Option<String>>(), number in any::<u64>(), some in any::<bool>(),
        ) {
            let time = Timestamp::from_nanosecond(i128::from(number / 3)).unwrap();
            let region = other.as_deref().map(Region::new);
            let relations = vec![RecordedRelation {
                name: text.clone(), operation: Operation::Update, columns: vec![text.clone()],
            }];
            let rules = if some { vec![text.clone()] } else { Vec::new() };
            let parameters = some.then(|| vec![other.clone(), None]);
            let mut record = base(&text, other.as_deref());
            record.time = time;
            let session = SessionPart::new(&SessionId::from_text("se_1"), &record);

            let grant = grant(&text);
            let permit = Permit::for_test(grant.id.clone(), None).with_data_region(region.clone());
            let draft = StatementDraft {
                time, session: &session, grant: &GrantPart::new(&grant, other.as_deref()), protocol: Protocol::Copy,
                text: &text, redacted: &rules, parameters: parameters.as_deref(), parameter_count: some.then_some(4),
                fingerprint: other.as_deref(), kind: some.then_some("SELECT"),
                relations: &RelationsPart::new(relations.clone()), policy_version: number,
            };
            let allowed = Allowed::of_draft(permit, &draft, &[]).unwrap();
            let mut expected = record.clone();
            expected.event = Event::Statement;
            expected.data_region.clone_from(&region);
            expected.grant = Some(grant.id.clone());
            expected.request = Some(grant.request.clone());
            expected.scope = Some(grant.scope.name.clone());
            expected.reason = Some(other.clone().unwrap_or(text.clone()));
            expected.ticket = Some(text.clone());
            expected.approvers.clone_from(&grant.approvers);
            expected.protocol = Some(Protocol::Copy);
            expected.statement = Some(text.clone());
            expected.redacted.clone_from(&rules);
            expected.parameters.clone_from(&parameters);
            expected.parameter_count = some.then_some(4);
            expected.fingerprint.clone_from(&other);
            expected.kind = some.then(|| "SELECT".to_owned());
            expected.relations = relations;
            expected.verdict = Some(RecordedVerdict::Allow);
            expected.policy_version = Some(number);
            prop_assert_eq!(bytes(&allowed.unnumbered), numbered(expected));

            let end = end(&EndDraft {
                time, session: &session, data_region: region.as_ref(), grant: some.then_some(&grant.id),
                statement_seq: number, sqlstate: other.as_deref(), command_tag: other.as_deref(), rows: number,
                bytes: number, duration_us: some.then_some(number), ended_by: EndedBy::RowLimit,
            }, &[]).unwrap();
            record.event = Event::StatementEnd;
            record.data_region = region;
            record.grant = some.then(|| grant.id.clone());
            record.statement_seq = Some(number);
            record.sqlstate.clone_from(&other);
            record.command_tag.clone_from(&other);
            (record.rows, record.bytes) = (Some(number), Some(number));
            record.duration_us = some.then_some(number);
            record.ended_by = Some(EndedBy::RowLimit);
            prop_assert_eq!(bytes(&end), numbered(record));
        }
    }

    #[test]
    fn a_permit_is_recorded_under_its_own_grant_alone() {
        let record = base("x", None);
        let session = SessionPart::new(&SessionId::from_text("se_1"), &record);
        let draft = StatementDraft {
            time: Timestamp::UNIX_EPOCH,
            session: &session,
            grant: &GrantPart::new(&grant("gr_other"), None),
            protocol: Protocol::Simple,
            text: "select 1",
            redacted: &[],
            parameters: None,
            parameter_count: None,
            fingerprint: None,
            kind: None,
            relations: &RelationsPart::default(),
            policy_version: 1,
        };
        let permit = Permit::for_test(GrantId::from_text("gr_1"), None);
        assert!(Allowed::of_draft(permit, &draft, &[]).is_err());
    }
}
