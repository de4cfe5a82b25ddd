//! Brings the log's tiles to disk now and then, beside everything else: they can be made again of the segments, which are on
//! disk before a checkpoint covers them, so that no checkpoint waits for them.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::tlog;

/// Which tiles are known to be on disk.
#[derive(Debug)]
pub(super) struct Settling {
    dir: PathBuf,
    settled: u64,
    tried: Instant,
    running: Option<JoinHandle<io::Result<u64>>>,
}

impl Settling {
    /// Of the journal in `dir`, whose tiles are on disk as far as it says there.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let settled = tlog::settled(dir)?.unwrap_or_default();
        Ok(Self { dir: dir.to_owned(), settled, tried: Instant::now(), running: None })
    }

    /// Begins to bring the tiles of a log of `size` entries to disk, where that is worth it by now.
    pub(super) fn advance(&mut self, size: u64) {
        self.collect();
        if self.running.is_some() || !self.is_worth_it(size) || self.tried.elapsed() < PERIOD {
            return;
        }
        self.tried = Instant::now();
        let dir = self.dir.clone();
        let work = move || tlog::settle(&dir, size);
        match std::thread::Builder::new().name("journal-tiles".to_owned()).spawn(work) {
            Ok(running) => self.running = Some(running),
            Err(error) => tracing::warn!(%error, "the log's tiles could not be brought to disk yet"),
        }
    }

    /// Ends: what would take the next start long is done now.
    pub(super) fn end(&mut self, size: u64) {
        if let Some(running) = self.running.take() {
            self.settled = running.join().ok().and_then(Result::ok).unwrap_or(self.settled);
        }
        if self.is_worth_it(size)
            && let Err(error) = tlog::settle(&self.dir, size)
        {
            tracing::warn!(%error, "the log's tiles could not be brought to disk; the next start looks at them");
        }
    }

    fn is_worth_it(&self, size: u64) -> bool {
        size.saturating_sub(self.settled) >= ENTRIES
    }

    fn collect(&mut self) {
        if !self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            return;
        }
        match self.running.take().map(JoinHandle::join) {
            Some(Ok(Ok(settled))) => self.settled = settled,
            Some(Ok(Err(error))) => tracing::warn!(%error, "the log's tiles could not be brought to disk yet"),
            Some(Err(_)) | None => {}
        }
    }
}

/// Entries that a start after a crash looks at within a moment.
const ENTRIES: u64 = 65_536;
const PERIOD: Duration = Duration::from_secs(10);
