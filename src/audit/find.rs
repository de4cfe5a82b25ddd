//! Finds records: newest segment first, by its index where it has one and by reading it where not, until there are enough.
//! What an index says is only where to look; every record is read and checked.

mod hunt;
mod volume;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use super::index::{Tag, key};
use super::plan::Plan;
use super::reader::{Entry, Places, ReadError};
use super::search::{Filter, MAX_RESULTS};
use super::{Event, Record, RecordedVerdict};
use hunt::Hunt;
pub(super) use volume::Volume;

/// A journal's files, to be searched many times.
#[derive(Debug)]
pub struct Finder {
    /// The journal's own directory, then those of the regions that keep their records themselves.
    volumes: Vec<Volume>,
}

/// A record that was looked for, and its end where that was wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) end: Option<Record>,
}

/// What a search asks of a record: it, and its end where that is known.
pub(super) type Exact<'a> = &'a dyn Fn(&Record, Option<&Record>) -> bool;
/// What it asks of canonical bytes; where these do not tell, yes.
pub(super) type MayMatch<'a> = &'a dyn Fn(&[u8]) -> bool;

impl Finder {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(places: impl Into<Places>) -> Self {
        let Places { main, regions } = places.into();
        Self { volumes: std::iter::once(main).chain(regions).map(|dir| Volume::new(&dir)).collect() }
    }

    pub(super) fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// The newest records that `filter` looks for and `visible` lets be seen, newest last.
    ///
    /// # Errors
    /// Where the files cannot be read or are damaged.
    pub fn search(&self, filter: &Filter, visible: impl Fn(&Record) -> bool) -> Result<Vec<Entry>, ReadError> {
        let prepared = filter.prepare();
        let limit = filter.limit.unwrap_or(MAX_RESULTS).min(MAX_RESULTS);
        let plan = Plan::of(&prepared, limit);
        let exact = |record: &Record, end: Option<&Record>| prepared.matches(record, end) && visible(record);
        let found = self.find(&plan, &|canonical| prepared.sieve.lets_through(canonical), &exact)?;
        Ok(found.into_iter().map(|found| found.entry).collect())
    }

    /// The record with this `seq`, where there is one that can be read.
    ///
    /// # Errors
    /// Where the files cannot be read or are damaged.
    pub fn record(&self, seq: u64) -> Result<Option<Entry>, ReadError> {
        for volume in &self.volumes {
            if let Some(entry) = volume.record(seq)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Forgets the indexes in `dir`, which is the journal's directory or a region's, that hold words of records in these
    /// buckets, because they were erased or are no longer held. They are made again of what is left. To be called when the
    /// keys are gone.
    ///
    /// # Errors
    /// Where an index cannot be removed.
    pub fn forget_buckets(&self, dir: &Path, buckets: &[u32]) -> io::Result<()> {
        let mut volumes = self.volumes.iter().filter(|volume| volume.dir() == dir);
        volumes.try_for_each(|volume| volume.forget_buckets(buckets))
    }

    /// Forgets the index of one segment in `dir`; it is made again.
    ///
    /// # Errors
    /// Where it is there and cannot be removed.
    pub fn forget(&self, dir: &Path, first_seq: u64) -> io::Result<()> {
        let mut volumes = self.volumes.iter().filter(|volume| volume.dir() == dir);
        volumes.try_for_each(|volume| volume.forget(first_seq))
    }

    /// The newest records of a plan that `exact` is content with, newest last.
    ///
    /// # Errors
    /// Where the files cannot be read or are damaged.
    pub(super) fn find(&self, plan: &Plan, may_match: MayMatch<'_>, exact: Exact<'_>) -> Result<Vec<Found>, ReadError> {
        let mut ends = HashMap::new();
        if let [_, _, ..] = self.volumes.as_slice()
            && plan.asks_of_ends()
        {
            // A statement and its end may be kept in two places: what ends say has to be known first.
            for volume in &self.volumes {
                ends.extend(volume.lone_ends(plan)?);
            }
        }
        let mut found = Vec::new();
        for volume in &self.volumes {
            let mut hunt = Hunt::new(plan, may_match, exact, ends.clone());
            volume.search(&mut hunt)?;
            found.extend(hunt.into_found());
        }
        if self.volumes.len() > 1 {
            found.sort_by_key(|found| found.entry.record.seq);
            let surplus = found.len().saturating_sub(plan.limit());
            found.drain(..surplus);
            if plan.comes_with_ends() {
                self.add_ends(&mut found)?;
            }
        }
        Ok(found)
    }

    /// Looks for the ends that are not kept where their statements are.
    fn add_ends(&self, found: &mut [Found]) -> Result<(), ReadError> {
        let lacks_end = |found: &&Found| {
            let record = &found.entry.record;
            found.end.is_none() && record.event == Event::Statement && record.verdict != Some(RecordedVerdict::Deny)
        };
        let lacking: HashSet<u64> = found.iter().filter(lacks_end).map(|found| found.entry.record.seq).collect();
        let sessions: HashSet<_> =
            found.iter().filter(lacks_end).filter_map(|found| found.entry.record.session.clone()).collect();
        if sessions.is_empty() {
            return Ok(());
        }
        let conditions = vec![
            vec![key(Tag::Event, Event::StatementEnd.as_str())],
            sessions.iter().map(|session| key(Tag::Session, session.as_str())).collect(),
        ];
        let is_wanted = |record: &Record, _: Option<&Record>| {
            record.event == Event::StatementEnd && record.statement_seq.is_some_and(|seq| lacking.contains(&seq))
        };
        let ends = self.find(&Plan::new(conditions, MAX_RESULTS), &hunt::is_end, &is_wanted)?;
        let mut ends: HashMap<u64, Record> =
            ends.into_iter().filter_map(|end| Some((end.entry.record.statement_seq?, end.entry.record))).collect();
        for found in found.iter_mut().filter(|found| found.end.is_none()) {
            found.end = ends.remove(&found.entry.record.seq);
        }
        Ok(())
    }
}
