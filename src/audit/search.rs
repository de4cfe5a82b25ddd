//! Finds records by what they say. Reads the files, newest segment first, so that a limit ends the work early.

use std::collections::VecDeque;
use std::path::Path;

use jiff::Timestamp;

use super::canonical::find;
use super::reader::{Entry, ReadError, Reader};
use super::segment::Segment;
use super::{Event, Record, RecordedVerdict};

/// What is looked for; what is left out does not narrow.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Filter {
    pub principal: Option<String>,
    pub database: Option<String>,
    pub grant: Option<String>,
    pub session: Option<String>,
    pub request: Option<String>,
    /// `schema.name`, or a bare name in any schema.
    pub relation: Option<String>,
    pub verdict: Option<RecordedVerdict>,
    pub event: Option<Event>,
    /// A part of the statement, in any case.
    pub text: Option<String>,
    /// Not before this instant.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// Only the newest so many.
    pub limit: Option<usize>,
}

/// The most records that one search answers.
pub const MAX_RESULTS: usize = 100_000;

impl Filter {
    /// Whether `record` is looked for.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        self.prepare().matches(record)
    }

    fn prepare(&self) -> Prepared<'_> {
        let needles = [&self.principal, &self.database, &self.grant, &self.session, &self.request];
        let needles = needles.into_iter().flatten().filter(|text| is_plain(text));
        Prepared {
            filter: self,
            text: self.text.as_ref().map(|text| text.to_lowercase()),
            needles: needles.map(|text| format!(":\"{text}\"").into_bytes()).collect(),
        }
    }
}

/// The newest records in `dir` that `filter` looks for and `visible` lets be seen, newest last.
///
/// # Errors
/// Where the files cannot be read or are damaged.
pub fn search(dir: &Path, filter: &Filter, visible: impl Fn(&Record) -> bool) -> Result<Vec<Entry>, ReadError> {
    let prepared = filter.prepare();
    let limit = filter.limit.unwrap_or(MAX_RESULTS).min(MAX_RESULTS);
    let mut found = VecDeque::new();
    let mut end = u64::MAX;
    for segment in Segment::list(dir)?.iter().rev() {
        if found.len() == limit {
            break;
        }
        let mut here = VecDeque::new();
        let mut reader = Reader::new(dir, segment.first_seq);
        while let Some(entry) = reader.read_if(|canonical| prepared.may_match(canonical))? {
            if entry.record.seq >= end {
                break;
            }
            if prepared.matches(&entry.record) && visible(&entry.record) {
                if here.len() + found.len() == limit {
                    here.pop_front();
                }
                here.push_back(entry);
            }
        }
        here.append(&mut found);
        found = here;
        end = segment.first_seq;
    }
    Ok(found.into())
}

/// A filter made ready for many records.
struct Prepared<'a> {
    filter: &'a Filter,
    text: Option<String>,
    /// Each stands in the canonical bytes of every record that matches.
    needles: Vec<Vec<u8>>,
}

impl Prepared<'_> {
    fn may_match(&self, canonical: &[u8]) -> bool {
        self.needles.iter().all(|needle| find(needle, canonical).is_some())
    }

    fn matches(&self, record: &Record) -> bool {
        let filter = self.filter;
        let same =
            |wanted: &Option<String>, there: Option<&str>| wanted.as_deref().is_none_or(|wanted| there == Some(wanted));
        same(&filter.principal, record.principal.as_deref())
            && same(&filter.database, record.database.as_deref())
            && same(&filter.grant, record.grant.as_ref().map(|id| id.as_str()))
            && same(&filter.session, record.session.as_ref().map(|id| id.as_str()))
            && same(&filter.request, record.request.as_ref().map(|id| id.as_str()))
            && filter.verdict.is_none_or(|verdict| record.verdict == Some(verdict))
            && filter.event.is_none_or(|event| record.event == event)
            && filter.since.is_none_or(|since| record.time >= since)
            && filter.until.is_none_or(|until| record.time < until)
            && filter.relation.as_deref().is_none_or(|relation| touches(record, relation))
            && self.text.as_deref().is_none_or(|text| says(record, text))
    }
}

fn touches(record: &Record, wanted: &str) -> bool {
    record.relations.iter().any(|relation| {
        relation.name.strip_suffix(wanted).is_some_and(|schema| schema.is_empty() || schema.ends_with('.'))
    })
}

fn says(record: &Record, lowercase: &str) -> bool {
    record.statement.as_ref().is_some_and(|statement| statement.to_lowercase().contains(lowercase))
}

/// Whether a text stands in canonical bytes as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

impl Record {
    /// Whether the record is about `principal`, who then may read it without being an auditor.
    #[must_use]
    pub fn concerns(&self, principal: &str) -> bool {
        self.principal.as_deref() == Some(principal)
    }
}
