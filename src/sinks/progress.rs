//! How far a sink is, as its task tells it to whoever watches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Shared between a sink's task and the watch.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// All records up to this one were acknowledged, or are not the sink's.
    seq: AtomicU64,
    delivered: AtomicU64,
    failures: AtomicU64,
    missed: AtomicU64,
    refused: AtomicU64,
    last_success: AtomicU64,
    gone: AtomicBool,
    last_error: Mutex<Option<String>>,
    /// What is to be recorded.
    news: Mutex<Vec<String>>,
}

impl Progress {
    pub(super) fn begin(&self, seq: u64) {
        self.seq.store(seq, Ordering::Relaxed);
    }

    pub(super) fn passed(&self, seq: u64) {
        self.seq.fetch_max(seq, Ordering::Relaxed);
    }

    pub(super) fn acknowledged(&self, records: usize) {
        self.delivered.fetch_add(records as u64, Ordering::Relaxed);
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
        self.last_success.store(now, Ordering::Relaxed);
        *self.error() = None;
    }

    pub(super) fn failed(&self, error: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.error() = Some(error);
    }

    pub(super) fn missed(&self, records: u64) {
        self.missed.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, records: u64, why: String) {
        self.refused.fetch_add(records, Ordering::Relaxed);
        *self.error() = Some(why);
    }

    pub(super) fn give_up(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Has the watch record something.
    pub(super) fn tell(&self, news: String) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }

    /// What was told since the last call.
    pub(super) fn news(&self) -> Vec<String> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything at once.
    pub(super) fn read(&self) -> Reading {
        Reading {
            seq: self.seq.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            last_success: self.last_success.load(Ordering::Relaxed),
            gone: self.gone.load(Ordering::Relaxed),
            last_error: self.error().clone(),
        }
    }

    fn error(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Progress`] said at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub seq: u64,
    pub delivered: u64,
    pub failures: u64,
    /// Records that were not in the journal any more when the sink came to them.
    pub missed: u64,
    /// Records that the receiver acknowledged by saying that it will never take them.
    pub refused: u64,
    /// Seconds since 1970; 0 where there was none.
    pub last_success: u64,
    pub gone: bool,
    pub last_error: Option<String>,
}
