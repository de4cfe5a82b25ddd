//! Finds records: newest segment first, by its index where it has one and by reading it where not, until there are enough.
//! What an index says is only where to look; every record is read and checked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::canonical::find;
use super::index::{self, Cache, Useless};
use super::plan::Plan;
use super::reader::{Entry, ReadError, Reader};
use super::search::{Filter, MAX_RESULTS};
use super::segment::Segment;
use super::sieve;
use super::{Event, Record};

/// A journal's files, to be searched many times.
#[derive(Debug)]
pub struct Finder {
    dir: PathBuf,
    cache: Cache,
    /// Segments whose index turned out to be damaged or of another segment.
    suspects: Mutex<HashSet<u64>>,
    /// How often an index was to be forgotten: one that was begun before must not be put into its place after.
    epoch: Mutex<u64>,
}

/// A record that was looked for, and its end where that was wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) end: Option<Record>,
}

impl Finder {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), cache: Cache::default(), suspects: Mutex::default(), epoch: Mutex::default() }
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
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
        let segments = Segment::list(&self.dir)?;
        let place = segments.iter().rposition(|segment| segment.first_seq <= seq);
        let Some(segment) = place.and_then(|place| segments.get(place)) else { return Ok(None) };
        let is_finished = place.is_some_and(|place| place + 1 < segments.len());
        if is_finished
            && let Ok(mut index) = self.cache.open(&self.dir, segment)
            && let Some(record) = index.record_of(seq)
            && let Ok(entry) = read_at(&mut index, record)
        {
            return Ok(entry);
        }
        let entry = Reader::new(&self.dir, seq).read()?;
        Ok(entry.filter(|entry| entry.record.seq == seq))
    }

    /// Forgets the index of a segment, also one that is just being made, because records of it were erased. It is made
    /// again of what is left.
    ///
    /// # Errors
    /// Where it is there and cannot be removed.
    pub fn forget(&self, first_seq: u64) -> io::Result<()> {
        let mut epoch = self.epoch();
        *epoch += 1;
        index::drop(&self.dir, first_seq)
    }

    /// The newest records of a plan that `exact` is content with, newest last. `may_match` may rule out a record by its
    /// canonical bytes alone.
    ///
    /// # Errors
    /// Where the files cannot be read or are damaged.
    pub(super) fn find(
        &self,
        plan: &Plan,
        may_match: &dyn Fn(&[u8]) -> bool,
        exact: &dyn Fn(&Record, Option<&Record>) -> bool,
    ) -> Result<Vec<Found>, ReadError> {
        let mut hunt = Hunt { plan, may_match, exact, found: Vec::new(), ends: HashMap::new() };
        let segments = Segment::list(&self.dir)?;
        let mut end = u64::MAX;
        for (place, segment) in segments.iter().enumerate().rev() {
            if hunt.found.len() >= plan.limit {
                break;
            }
            let is_finished = place + 1 < segments.len();
            if !(is_finished && self.by_index(segment, &mut hunt)) {
                hunt.read_through(&self.dir, segment.first_seq, end)?;
            }
            // Ends that are still without a statement here belong to one before, or to none.
            hunt.ends.retain(|statement, _| *statement < segment.first_seq);
            end = segment.first_seq;
        }
        hunt.found.reverse();
        Ok(hunt.found)
    }

    /// Whether the segment had a good index, and is done with.
    fn by_index(&self, segment: &Segment, hunt: &mut Hunt<'_>) -> bool {
        match hunt.look_up(&self.dir, segment, &self.cache) {
            Ok(()) => true,
            Err(Useless::Missing) => false,
            Err(error) => {
                tracing::debug!(%error, first_seq = segment.first_seq, "an index of the journal is of no use");
                lock(&self.suspects).insert(segment.first_seq);
                false
            }
        }
    }

    /// The segments whose index has to be made anew.
    pub(super) fn take_suspects(&self) -> HashSet<u64> {
        std::mem::take(&mut *lock(&self.suspects))
    }

    pub(super) fn forgotten(&self) -> u64 {
        *self.epoch()
    }

    /// Does `last` unless an index was forgotten since it was `epoch`.
    pub(super) fn unless_forgotten(&self, epoch: u64, last: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
        let now = self.epoch();
        if *now == epoch { last() } else { Err(io::ErrorKind::Interrupted.into()) }
    }

    fn epoch(&self) -> MutexGuard<'_, u64> {
        lock(&self.epoch)
    }
}

/// Nobody leaves what these hold half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One search on its way from the newest segment to the oldest.
struct Hunt<'a> {
    plan: &'a Plan,
    may_match: &'a dyn Fn(&[u8]) -> bool,
    exact: &'a dyn Fn(&Record, Option<&Record>) -> bool,
    /// Newest first.
    found: Vec<Found>,
    /// Ends from the segments behind, by the `seq` of their statement, which lies before them: of those that are wanted.
    ends: HashMap<u64, Record>,
}

impl Hunt<'_> {
    fn look_up(&mut self, dir: &Path, segment: &Segment, cache: &Cache) -> Result<(), Useless> {
        let plan = self.plan;
        let mut index = cache.open(dir, segment)?;
        let within = index.within(plan.since, plan.until);
        let is_outside = within.as_ref().is_some_and(|records| records.is_empty());
        if is_outside && !plan.needs_ends() {
            return Ok(());
        }
        cache.with_terms(&mut index)?;
        let mut ends = HashMap::new();
        if plan.needs_ends() {
            for record in plan.foreign_ends(&index)? {
                let entry = read_at(&mut index, record)?;
                if let Some((statement, end)) = entry.and_then(|entry| self.wanted_end(entry.record)) {
                    ends.insert(statement, end);
                }
            }
        }
        let behind: Vec<u32> = self.ends.keys().filter_map(|seq| index.record_of(*seq)).collect();
        let mut found = Vec::new();
        let candidates = if is_outside { None } else { plan.candidates(&index, within, &behind)? };
        for record in candidates.iter().flatten().rev() {
            if self.found.len() + found.len() >= plan.limit {
                break;
            }
            let Some(entry) = read_at(&mut index, record)? else { continue };
            let mut end = None;
            if plan.needs_ends() && entry.record.event == Event::Statement {
                end = match index.partner(record)? {
                    Some(partner) => read_at(&mut index, partner)?.map(|entry| entry.record),
                    None => self.ends.get(&entry.record.seq).cloned(),
                };
            }
            if (self.exact)(&entry.record, end.as_ref()) {
                found.push(Found { entry, end });
            }
        }
        self.found.append(&mut found);
        self.ends.extend(ends);
        Ok(())
    }

    /// Reads the whole segment, up to the record before `end`.
    fn read_through(&mut self, dir: &Path, first_seq: u64, end: u64) -> Result<(), ReadError> {
        if self.plan.asks_of_ends() {
            self.read_ends(dir, first_seq, end, &HashSet::new())?;
        }
        // The segment is read forwards, and only the newest are to be kept.
        let left = self.plan.limit - self.found.len();
        let mut here = VecDeque::new();
        let mut reader = Reader::new(dir, first_seq);
        while self.plan.may_lie_from(first_seq) {
            let Some(entry) = reader.read_if(|canonical| self.may_be_found(canonical))? else { break };
            let seq = entry.record.seq;
            if seq >= end {
                break;
            }
            let of = if entry.record.event == Event::Statement { self.ends.get(&seq) } else { None };
            if (self.exact)(&entry.record, of) {
                if here.len() == left {
                    here.pop_front();
                }
                here.push_back(Found { end: of.cloned(), entry });
            }
        }
        if !self.plan.asks_of_ends() && self.plan.needs_ends() {
            let found = here.iter().map(|found| found.entry.record.seq).collect();
            self.read_ends(dir, first_seq, end, &found)?;
            for found in here.iter_mut().filter(|found| found.end.is_none()) {
                found.end = self.ends.remove(&found.entry.record.seq);
            }
        }
        self.found.extend(here.into_iter().rev());
        Ok(())
    }

    fn may_be_found(&self, canonical: &[u8]) -> bool {
        if !(self.may_match)(canonical) {
            return false;
        }
        // What is looked for by its end is such an end, or a statement of which such an end is known.
        let is_known = || sieve::number_at(b",\"seq\":", canonical).is_some_and(|seq| self.ends.contains_key(&seq));
        !self.plan.asks_of_ends() || self.plan.may_want_end(canonical) || is_known()
    }

    /// Gathers the ends of these statements, of statements before this segment, and those that are looked for.
    fn read_ends(&mut self, dir: &Path, first_seq: u64, end: u64, of: &HashSet<u64>) -> Result<(), ReadError> {
        let mut reader = Reader::new(dir, first_seq);
        let may_be = |canonical: &[u8]| find(END, canonical).is_some() && self.plan.may_want_end(canonical);
        while let Some(entry) = reader.read_if(may_be)? {
            if entry.record.seq >= end {
                break;
            }
            let Some((statement, record)) = self.wanted_end(entry.record) else { continue };
            if statement < first_seq || of.contains(&statement) || self.plan.asks_of_ends() {
                self.ends.insert(statement, record);
            }
        }
        Ok(())
    }

    /// An end that the plan wants to know, and the `seq` of its statement.
    fn wanted_end(&self, record: Record) -> Option<(u64, Record)> {
        let statement = record.statement_seq.filter(|_| record.event == Event::StatementEnd)?;
        self.plan.wants_end(&record).then_some((statement, record))
    }
}

/// Reads a record that an index names; `None` where it was erased.
fn read_at(index: &mut index::OpenIndex, record: u32) -> Result<Option<Entry>, Useless> {
    let offset = index.offset(record)?;
    let seq = index.seq_of(record);
    let entry = index::fetch(index.segment(), offset)?;
    match entry {
        Some(entry) if Some(entry.record.seq) != seq => Err(Useless::Damaged("it names another record")),
        entry => Ok(entry),
    }
}

const END: &[u8] = b"\"event\":\"statement_end\"";
