//! The headers and keys of the indexes that were used last, up to a number of bytes. Files are not kept open: there can be
//! many, and clients need their descriptors more.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Useless;
use super::layout::Header;
use super::open::{OpenIndex, Stamp, Terms, open_file, read_header};
use crate::audit::segment::Segment;

/// Parts of indexes in memory.
#[derive(Debug, Default)]
pub(in crate::audit) struct Cache {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    indexes: HashMap<u64, Parts>,
    bytes: usize,
    /// Counts uses, so that the one that was not used for the longest time is known.
    clock: u64,
}

#[derive(Clone, Debug)]
struct Parts {
    stamp: Stamp,
    header: Arc<Header>,
    terms: Option<Arc<Terms>>,
    used: u64,
}

impl Cache {
    /// The index of a segment, open; its keys are read when [`Self::with_terms`] is called.
    pub(in crate::audit) fn open(&self, dir: &Path, segment: &Segment) -> Result<OpenIndex, Useless> {
        let (file, stamp) = open_file(dir, segment.first_seq)?;
        let known = self.kept().find(segment.first_seq, stamp);
        if let Some(parts) = known {
            return OpenIndex::with(file, segment, parts.header, parts.terms);
        }
        let header = Arc::new(read_header(&file)?);
        let index = OpenIndex::with(file, segment, Arc::clone(&header), None)?;
        self.kept().keep(segment.first_seq, Parts { stamp, header, terms: None, used: 0 });
        Ok(index)
    }

    /// Sees to it that the index has its keys.
    pub(in crate::audit) fn with_terms(&self, index: &mut OpenIndex) -> Result<(), Useless> {
        if index.terms().is_some() {
            return Ok(());
        }
        let terms = Arc::new(index.read_terms()?);
        self.kept().add_terms(index.header(), &terms);
        index.set_terms(terms);
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whoever panicked while holding it left at worst a wrong count of bytes.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, first_seq: u64, stamp: Stamp) -> Option<Parts> {
        self.clock += 1;
        let parts = self.indexes.get_mut(&first_seq).filter(|parts| parts.stamp == stamp)?;
        parts.used = self.clock;
        Some(parts.clone())
    }

    fn keep(&mut self, first_seq: u64, parts: Parts) {
        self.clock += 1;
        self.bytes += parts.weight();
        let before = self.indexes.insert(first_seq, Parts { used: self.clock, ..parts });
        self.bytes -= before.map_or(0, |before| before.weight());
        self.make_room();
    }

    fn add_terms(&mut self, header: &Arc<Header>, terms: &Arc<Terms>) {
        let Some(parts) = self.indexes.get_mut(&header.first_seq) else { return };
        // Another search may have replaced the header, or brought the keys, in the meantime.
        if Arc::ptr_eq(&parts.header, header) && parts.terms.is_none() {
            parts.terms = Some(Arc::clone(terms));
            self.bytes += terms.as_fst().size();
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        while self.bytes > MAX_BYTES {
            let oldest = self.indexes.iter().min_by_key(|(_, parts)| parts.used).map(|(first_seq, _)| *first_seq);
            let Some(parts) = oldest.and_then(|first_seq| self.indexes.remove(&first_seq)) else { return };
            self.bytes -= parts.weight();
        }
    }
}

impl Parts {
    fn weight(&self) -> usize {
        self.header.weight() + self.terms.as_ref().map_or(0, |terms| terms.as_fst().size())
    }
}

/// Bytes of headers and keys: those of some thousand segments.
const MAX_BYTES: usize = 96 * 1024 * 1024;
