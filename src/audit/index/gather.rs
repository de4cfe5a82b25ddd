//! Gathers what the records of a segment are found by. Memory is bounded by what a segment can hold.
//!
//! Much of what a session's records say is the same in all of them: who it is, under which grant, from where. Such a stretch of
//! fields is looked at once, and its keys are remembered with it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ahash::AHashMap;
use jiff::Timestamp;
use memchr::memmem;
use roaring::RoaringBitmap;

use super::build::Unmade;
use super::layout::NONE;
use super::list::List;
use super::source::{Identity, Located};
use super::terms::{Key, Tag, bucket, suffixes, write_key};
use super::texts::Texts;
use super::walk::{Raw, Value, Walk, objects, texts};
use crate::audit::{Event, ReadError, canonical};

/// What an index is made of.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) first_seq: u64,
    pub(super) segment: Identity,
    pub(super) offsets: Vec<u32>,
    pub(super) partners: Vec<u32>,
    pub(super) times: Vec<(i64, i64)>,
    pub(super) runs: Vec<(u32, u64)>,
    pub(super) buckets: BTreeSet<u32>,
    pub(super) terms: Terms,
    pub(super) texts: Texts,
    next_seq: u64,
    /// Statements whose end has not come yet.
    running: AHashMap<u64, u32>,
    /// The keys of stretches of fields.
    stretches: AHashMap<Box<[u8]>, Rc<[u32]>>,
    second: Second,
    found: Found,
}

/// What one record says.
#[derive(Debug, Default)]
struct Found {
    /// The lists of its keys.
    keys: Vec<u32>,
    /// Those of how it ended.
    outcome: Vec<u32>,
    seq: Option<u64>,
    time: Option<i64>,
    statement_seq: Option<u64>,
    is_statement: bool,
    is_end: bool,
}

/// The keys so far.
#[derive(Debug, Default)]
pub(super) struct Terms {
    known: AHashMap<Key, u32>,
    lists: Vec<List>,
    scratch: Key,
}

impl Terms {
    /// The list of a key.
    fn of(&mut self, tag: Tag, value: &str) -> u32 {
        write_key(tag, value, &mut self.scratch);
        if let Some(list) = self.known.get(&self.scratch) {
            return *list;
        }
        let list = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        self.lists.push(List::default());
        self.known.insert(self.scratch.clone(), list);
        list
    }

    fn push(&mut self, list: u32, number: u32) {
        if let Some(list) = self.lists.get_mut(list as usize) {
            list.push(number);
        }
    }

    /// The keys in order, and the records of each.
    pub(super) fn finish(self) -> BTreeMap<Key, RoaringBitmap> {
        let mut lists: Vec<_> = self.lists.into_iter().map(List::finish).collect();
        let mut list = |at: u32| lists.get_mut(at as usize).map(std::mem::take).unwrap_or_default();
        self.known.into_iter().map(|(key, at)| (key, list(at))).collect()
    }
}

impl Gathered {
    pub(super) fn new(first_seq: u64, segment: Identity) -> Self {
        Self {
            first_seq,
            segment,
            offsets: Vec::new(),
            partners: Vec::new(),
            times: Vec::new(),
            runs: Vec::new(),
            buckets: BTreeSet::new(),
            terms: Terms::default(),
            texts: Texts::new(),
            next_seq: 0,
            running: AHashMap::new(),
            stretches: AHashMap::new(),
            second: Second::default(),
            found: Found::default(),
        }
    }

    pub(super) fn records(&self) -> u32 {
        u32::try_from(self.offsets.len()).unwrap_or(NONE)
    }

    pub(super) fn take(&mut self, place: Located, canonical: &[u8]) -> Result<(), Unmade> {
        let number = u32::try_from(self.offsets.len()).ok().filter(|number| *number < NONE).ok_or(Unmade::TooLong)?;
        let damaged = |what: &str| ReadError::Damaged { seq: place.seq, what: what.to_owned() };
        if self.look_at(canonical, number).is_none() {
            // Not as this program writes it, but perhaps a record.
            let record = canonical::parse(canonical).map_err(|error| damaged(&error.to_string()))?;
            let again = canonical::encode(&record)?;
            self.look_at(&again, number).ok_or_else(|| damaged("its fields cannot be read"))?;
        }
        if self.found.seq != Some(place.seq) {
            return Err(damaged("it says that it is another record").into());
        }
        if self.runs.is_empty() || place.seq != self.next_seq {
            self.runs.push((number, place.seq));
        }
        self.next_seq = place.seq + 1;
        self.buckets.insert(place.bucket);
        let floor = self.found.time.ok_or_else(|| damaged("it has no time"))?;
        self.times.push((floor, floor.saturating_add(1)));
        self.offsets.push(place.offset);
        self.partners.push(NONE);
        for list in self.found.keys.iter().chain(&self.found.outcome) {
            self.terms.push(*list, number);
        }
        self.join(place.seq, number);
        Ok(())
    }

    /// Finds what a record says. `None` where its bytes are not as they are written.
    fn look_at(&mut self, canonical: &[u8], number: u32) -> Option<()> {
        self.found.clear();
        let mut walk = Walk::through(canonical)?;
        while !walk.is_done() {
            match walk.peek()? {
                b"principal" => {
                    let end = end_of_stretch(walk.rest());
                    self.stretch(&mut walk, end)?;
                }
                b"fingerprint" if self.found.statement_seq.is_none() => {
                    let end = walk.rest().len();
                    self.stretch(&mut walk, end)?;
                }
                _ => self.field(&mut walk, number)?,
            }
        }
        Some(())
    }

    /// Fields that are often the same.
    fn stretch(&mut self, walk: &mut Walk<'_>, bytes: usize) -> Option<()> {
        let fields = walk.rest().get(..bytes)?;
        walk.skip(bytes);
        if let Some(keys) = self.stretches.get(fields) {
            self.found.keys.extend_from_slice(keys);
            return Some(());
        }
        let before = self.found.keys.len();
        let mut walk = Walk::through_part(fields);
        while !walk.is_done() {
            let (name, value) = walk.next()?;
            constant(name, value, &mut self.terms, &mut self.found.keys)?;
        }
        if fields.len() <= MAX_STRETCH {
            if self.stretches.len() >= MAX_STRETCHES {
                self.stretches.clear();
            }
            let keys = self.found.keys.get(before..).unwrap_or_default();
            self.stretches.insert(fields.into(), keys.into());
        }
        Some(())
    }

    fn field(&mut self, walk: &mut Walk<'_>, number: u32) -> Option<()> {
        let (name, value) = walk.next()?;
        let (terms, found) = (&mut self.terms, &mut self.found);
        match (name, value) {
            (b"time", Value::Text(time)) => found.time = Some(self.second.micros(time)?),
            (b"event", Value::Text(event)) => {
                found.is_statement = event.bytes() == Event::Statement.as_str().as_bytes();
                found.is_end = event.bytes() == Event::StatementEnd.as_str().as_bytes();
                constant(name, value, terms, &mut found.keys)?;
            }
            (b"seq", Value::Number(seq)) => found.seq = Some(seq),
            (b"statement_seq", Value::Number(seq)) => found.statement_seq = Some(seq),
            (b"statement", Value::Text(text)) => {
                found.keys.push(terms.of(Tag::HasText, ""));
                if !self.texts.take(&text.decode()?, number) {
                    found.keys.push(terms.of(Tag::UnindexedText, ""));
                }
            }
            (b"sqlstate", Value::Text(state)) => {
                found.outcome.push(terms.of(Tag::Sqlstate, &state.decode()?.to_ascii_uppercase()));
            }
            (b"rows", Value::Number(rows)) => found.outcome.push(terms.of_rows(rows)),
            (name, value) => constant(name, value, terms, &mut found.keys)?,
        }
        Some(())
    }

    /// Brings a statement and its end together: what the end says, the statement is found by too.
    fn join(&mut self, seq: u64, number: u32) {
        if self.found.is_statement {
            self.running.insert(seq, number);
            return;
        }
        let Some(statement_seq) = self.found.statement_seq.filter(|_| self.found.is_end) else { return };
        let Some(statement) = self.running.remove(&statement_seq) else {
            let foreign = self.terms.of(Tag::Foreign, "");
            self.terms.push(foreign, number);
            return;
        };
        for list in &self.found.outcome {
            self.terms.push(*list, statement);
        }
        for (one, other) in [(statement, number), (number, statement)] {
            if let Some(partner) = self.partners.get_mut(one as usize) {
                *partner = other;
            }
        }
    }
}

impl Found {
    fn clear(&mut self) {
        self.keys.clear();
        self.outcome.clear();
        (self.seq, self.time, self.statement_seq) = (None, None, None);
        (self.is_statement, self.is_end) = (false, false);
    }
}

impl Terms {
    fn of_rows(&mut self, rows: u64) -> u32 {
        self.of(Tag::Rows, &bucket(rows).to_string())
    }
}

/// The keys of a field that says the same wherever it stands.
fn constant(name: &[u8], value: Value<'_>, terms: &mut Terms, keys: &mut Vec<u32>) -> Option<()> {
    let tag = match name {
        b"event" => Tag::Event,
        b"principal" => Tag::Principal,
        b"database" => Tag::Database,
        b"grant" => Tag::Grant,
        b"request" => Tag::Request,
        b"session" => Tag::Session,
        b"fingerprint" => Tag::Fingerprint,
        b"rule" => Tag::Rule,
        b"client_region" | b"upstream_region" | b"data_region" => Tag::Region,
        b"verdict" => Tag::Verdict,
        b"kind" | b"sqlstate" | b"rows" | b"relations" => return derived(name, value, terms, keys),
        _ => return Some(()),
    };
    if let Value::Text(text) = value {
        keys.push(terms.of(tag, &text.decode()?));
    }
    Some(())
}

/// The keys of a field that is not found by what it says itself.
fn derived(name: &[u8], value: Value<'_>, terms: &mut Terms, keys: &mut Vec<u32>) -> Option<()> {
    match (name, value) {
        (b"kind", Value::Text(kind)) => keys.push(terms.of(Tag::Kind, &kind.decode()?.to_ascii_lowercase())),
        (b"sqlstate", Value::Text(state)) => {
            keys.push(terms.of(Tag::Sqlstate, &state.decode()?.to_ascii_uppercase()));
        }
        (b"rows", Value::Number(rows)) => keys.push(terms.of_rows(rows)),
        (b"relations", Value::List(relations)) => {
            for relation in objects(relations) {
                relation_keys(relation?, terms, keys)?;
            }
        }
        _ => {}
    }
    Some(())
}

fn relation_keys(mut relation: Walk<'_>, terms: &mut Terms, keys: &mut Vec<u32>) -> Option<()> {
    let mut whole = None;
    while !relation.is_done() {
        match relation.next()? {
            (b"name", Value::Text(name)) => {
                let name = name.decode()?;
                keys.extend(suffixes(&name).map(|name| terms.of(Tag::Relation, name)));
                whole = Some(name);
            }
            (b"columns", Value::List(columns)) => {
                for column in texts(columns) {
                    let full = format!("{}.{}", whole.as_deref()?, column?.decode()?);
                    keys.extend(suffixes(&full).map(|name| terms.of(Tag::Column, name)));
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// Where the fields end that are the same in a session's records: before `statement` or `statement_seq`.
fn end_of_stretch(fields: &[u8]) -> usize {
    let mut found = memmem::find_iter(fields, b",\"statement").filter(|at| {
        let behind = fields.get(at + 11..).unwrap_or_default();
        // Not a text in a list.
        behind.starts_with(b"\":") || behind.starts_with(b"_seq\":")
    });
    found.next().unwrap_or(fields.len())
}

/// The second that was read last: records come in order, many in the same one.
#[derive(Debug, Default)]
struct Second {
    text: Vec<u8>,
    micros: i64,
}

impl Second {
    /// Microseconds since 1970, rounded down.
    fn micros(&mut self, time: Raw<'_>) -> Option<i64> {
        let bytes = time.bytes();
        let fraction = match bytes.get(SECOND..) {
            Some([b'.', fraction @ .., b'Z'])
                if fraction.len() <= 9 && self.text.as_slice() == bytes.get(..SECOND)? =>
            {
                fraction
            }
            _ => return self.parse(time),
        };
        let mut digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(6);
        let micros =
            digits.try_fold(0i64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')));
        Some(self.micros + micros?)
    }

    fn parse(&mut self, time: Raw<'_>) -> Option<i64> {
        let time: Timestamp = time.decode()?.parse().ok()?;
        let floor = i64::try_from(time.as_nanosecond().div_euclid(1000)).unwrap_or(i64::MIN);
        let second = i64::try_from(time.as_nanosecond().div_euclid(1_000_000_000)).ok()?;
        // Only a second that is shown as it is remembered can be found again.
        self.micros = second.checked_mul(1_000_000)?;
        self.text = Timestamp::from_second(second).ok()?.to_string().into_bytes();
        self.text.truncate(SECOND);
        Some(floor)
    }
}

/// Bytes of `2026-11-22T20:00:00`.
const SECOND: usize = 19;
/// Stretches that are remembered, and the longest of them.
const MAX_STRETCHES: usize = 4096;
const MAX_STRETCH: usize = 4096;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::terms::key;
    use super::*;
    use crate::access::Operation;
    use crate::audit::{Record, RecordedRelation};

    fn gather(records: &[Record]) -> Gathered {
        let mut gathered = Gathered::new(1, Identity { bytes: 0, header: 0 });
        for (record, seq) in records.iter().zip(1..) {
            let record = Record { seq, ..record.clone() };
            let place = Located { seq, offset: 0, bucket: 1 };
            gathered.take(place, canonical::to_string(&record).as_bytes()).unwrap();
        }
        gathered
    }

    fn found(terms: &BTreeMap<Key, RoaringBitmap>, tag: Tag, value: &str) -> Vec<u32> {
        terms.get(&key(tag, value)).map(|list| list.iter().collect()).unwrap_or_default()
    }

    #[test]
    fn records_are_found_by_what_they_say_whatever_their_texts_look_like() {
        let mut statement = Record::new("2026-11-22T20:00:00.000001999Z".parse().unwrap(), Event::Statement);
        statement.principal = Some("a\",\"statement\":\"b\n".to_owned());
        statement.groups = vec!["x".to_owned(), "statement".to_owned(), "statement_seq".to_owned()];
        statement.database = Some("shop".to_owned());
        statement.statement = Some("select \"id\" from t".to_owned());
        statement.kind = Some("SELECT".to_owned());
        statement.relations = vec![RecordedRelation {
            name: "public.ö]".to_owned(),
            operation: Operation::Select,
            columns: vec!["id".to_owned(), "\\".to_owned()],
        }];
        let mut end = Record::new("1969-12-31T23:59:59.5Z".parse().unwrap(), Event::StatementEnd);
        end.statement_seq = Some(1);
        (end.rows, end.sqlstate) = (Some(5), Some("57a14".to_owned()));
        let foreign = Record { statement_seq: Some(77), ..end.clone() };
        let gathered = gather(&[statement.clone(), end, statement, foreign]);
        assert_eq!(gathered.partners, [1, 0, NONE, NONE]);
        let micros: Vec<i64> = gathered.times.iter().map(|(floor, _)| *floor).collect();
        assert_eq!(micros, [1_795_377_600_000_001, -500_000, 1_795_377_600_000_001, -500_000]);
        let terms = gathered.terms.finish();
        assert_eq!(found(&terms, Tag::Principal, "a\",\"statement\":\"b\n"), [0, 2]);
        assert_eq!(found(&terms, Tag::Database, "shop"), [0, 2]);
        assert_eq!(found(&terms, Tag::Kind, "select"), [0, 2]);
        assert_eq!(found(&terms, Tag::Relation, "ö]"), [0, 2]);
        assert_eq!(found(&terms, Tag::Column, "public.ö].\\"), [0, 2]);
        assert_eq!(found(&terms, Tag::Sqlstate, "57A14"), [0, 1, 3]);
        assert_eq!(found(&terms, Tag::Rows, "3"), [0, 1, 3]);
        assert_eq!(found(&terms, Tag::Foreign, ""), [3]);
        assert_eq!(found(&terms, Tag::Event, "statement_end"), [1, 3]);
    }
}
