//! One directory of a journal: its segments, and their indexes.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::hunt::{Hunt, read_at};
use crate::audit::index::{self, Cache, Useless};
use crate::audit::plan::Plan;
use crate::audit::segment::Segment;
use crate::audit::{Entry, ReadError, Reader, Record};

/// The segments of one directory.
#[derive(Debug)]
pub(in crate::audit) struct Volume {
    dir: PathBuf,
    cache: Cache,
    /// Segments whose index turned out to be damaged or of another segment.
    suspects: Mutex<HashSet<u64>>,
    /// How often an index was to be forgotten: one that was begun before must not be put into its place after.
    epoch: Mutex<u64>,
}

impl Volume {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), cache: Cache::default(), suspects: Mutex::default(), epoch: Mutex::default() }
    }

    pub(in crate::audit) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes a search through the segments, newest first.
    pub(super) fn search(&self, hunt: &mut Hunt<'_>) -> Result<(), ReadError> {
        let mut end = u64::MAX;
        let segments = Segment::list(&self.dir)?;
        for (place, segment) in segments.iter().enumerate().rev() {
            if hunt.is_full() {
                break;
            }
            let is_finished = place + 1 < segments.len();
            if !(is_finished && self.by_index(segment, |index| hunt.look_up(index, &self.cache, &self.dir)).is_some()) {
                hunt.read_through(&self.dir, segment.first_seq, end)?;
            }
            hunt.pass(segment.first_seq);
            end = segment.first_seq;
        }
        Ok(())
    }

    /// The ends that a plan asks for and whose statements are not found together with them by an index, or may not be.
    pub(super) fn lone_ends(&self, plan: &Plan) -> Result<HashMap<u64, Record>, ReadError> {
        let mut ends = HashMap::new();
        let mut end = u64::MAX;
        let segments = Segment::list(&self.dir)?;
        for (place, segment) in segments.iter().enumerate().rev() {
            let is_finished = place + 1 < segments.len();
            let look_up = |index: &mut index::OpenIndex| {
                self.cache.with_terms(index)?;
                super::hunt::foreign_ends(plan, index, &self.dir)
            };
            let indexed = if is_finished { self.by_index(segment, look_up) } else { None };
            ends.extend(match indexed {
                Some(found) => found,
                None => super::hunt::read_ends(plan, &self.dir, segment.first_seq, end, |_| true)?,
            });
            end = segment.first_seq;
        }
        Ok(ends)
    }

    pub(super) fn record(&self, seq: u64) -> Result<Option<Entry>, ReadError> {
        let segments = Segment::list(&self.dir)?;
        let place = segments.iter().rposition(|segment| segment.first_seq <= seq);
        let Some(segment) = place.and_then(|place| segments.get(place)) else { return Ok(None) };
        if place.is_some_and(|place| place + 1 < segments.len()) {
            let look_up = |index: &mut index::OpenIndex| match index.record_of(seq) {
                Some(record) => read_at(index, &mut Reader::new(&self.dir, seq), record),
                None => Ok(None),
            };
            if let Some(found) = self.by_index(segment, look_up) {
                return Ok(found);
            }
        }
        let entry = Reader::new(&self.dir, seq).read()?;
        Ok(entry.filter(|entry| entry.record.seq == seq))
    }

    /// Does something with the index of a segment; `None` where that is of no use.
    fn by_index<T>(
        &self,
        segment: &Segment,
        look_up: impl FnOnce(&mut index::OpenIndex) -> Result<T, Useless>,
    ) -> Option<T> {
        match self.cache.open(&self.dir, segment).and_then(|mut index| look_up(&mut index)) {
            Ok(found) => Some(found),
            Err(Useless::Missing) => None,
            Err(error) => {
                tracing::debug!(%error, first_seq = segment.first_seq, "an index of the journal is of no use");
                lock(&self.suspects).insert(segment.first_seq);
                None
            }
        }
    }

    /// Removes an index, and sees to it that one which is just being made is given up.
    pub(in crate::audit) fn forget(&self, first_seq: u64) -> io::Result<()> {
        let mut epoch = self.epoch();
        *epoch += 1;
        index::drop(&self.dir, first_seq)
    }

    /// The same for every index with words of records in these buckets, and for those that do not tell.
    pub(super) fn forget_buckets(&self, buckets: &[u32]) -> io::Result<()> {
        let mut epoch = self.epoch();
        *epoch += 1;
        for segment in Segment::list(&self.dir)? {
            let speaks_of_none = match self.cache.open(&self.dir, &segment) {
                Ok(index) => !index.speaks_of(buckets),
                Err(Useless::Missing) => true,
                Err(_) => false,
            };
            if !speaks_of_none {
                index::drop(&self.dir, segment.first_seq)?;
            }
        }
        Ok(())
    }

    /// The segments whose index has to be made anew.
    pub(in crate::audit) fn take_suspects(&self) -> HashSet<u64> {
        std::mem::take(&mut *lock(&self.suspects))
    }

    pub(in crate::audit) fn forgotten(&self) -> u64 {
        *self.epoch()
    }

    /// Does `last` unless an index was forgotten since that was so often.
    pub(in crate::audit) fn unless_forgotten(&self, epoch: u64, last: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
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
