//! What the journal counts for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Records written.
    pub records: u64,
    /// Canonical bytes written.
    pub bytes: u64,
    /// Batches that could not be recorded.
    pub failures: u64,
    /// Calls of fdatasync(2), each for every record that waited.
    pub syncs: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    records: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
    syncs: AtomicU64,
}

impl Tally {
    pub(super) fn wrote(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counters {
        Counters {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
        }
    }
}
