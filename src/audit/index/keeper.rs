//! The thread that makes the indexes that are missing: of segments that were finished while it ran or before it, and of
//! those whose index was found damaged. It looks at the directory alone, knows nothing of the writer, waits where that is busy,
//! and leaves the processor to others as long as it works.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::build::{Unmade, build, is_good, put};
use crate::audit::find::{Finder, Volume};
use crate::audit::segment::Segment;

/// The handle of the thread; the thread ends with it.
#[derive(Debug)]
pub(in crate::audit) struct Keeper {
    /// `None` only while it is dropped.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread for the journal that `finder` searches.
    pub(in crate::audit) fn start(finder: Arc<Finder>) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread =
            std::thread::Builder::new().name("journal-index".to_owned()).spawn(move || run(&finder, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(finder: &Finder, stopped: &Receiver<()>) {
    let mut shelves: Vec<Work<'_>> = finder.volumes().iter().map(|volume| Work::new(volume, stopped)).collect();
    loop {
        for work in &mut shelves {
            if let Err(error) = work.round() {
                tracing::warn!(%error, "a directory of the journal could not be looked at for its index");
            }
        }
        match stopped.recv_timeout(PERIOD) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The work on one directory.
struct Work<'a> {
    volume: &'a Volume,
    stopped: &'a Receiver<()>,
    /// Segments whose index was looked at and found good.
    good: HashSet<u64>,
    /// Segments whose index could not be made, and when that was.
    failed: HashMap<u64, Instant>,
    /// How far the journal was at the last look.
    last: (u64, u64),
}

impl<'a> Work<'a> {
    fn new(volume: &'a Volume, stopped: &'a Receiver<()>) -> Self {
        Self { volume, stopped, good: HashSet::new(), failed: HashMap::new(), last: (0, 0) }
    }

    /// Makes what is missing, the newest first: that is what is asked for most.
    fn round(&mut self) -> io::Result<()> {
        let suspects = self.volume.take_suspects();
        self.good.retain(|first_seq| !suspects.contains(first_seq));
        let segments = Segment::list(self.volume.dir())?;
        let finished = segments.split_last().map(|(_, finished)| finished).unwrap_or_default();
        self.good.retain(|first_seq| super::path(self.volume.dir(), *first_seq).exists());
        self.failed.retain(|_, when| when.elapsed() < PAUSE_AFTER_FAILURE);
        let waits = self.is_busy(&segments) && finished.len().saturating_sub(self.good.len()) <= MOST_WAITING;
        for segment in finished.iter().rev() {
            let first_seq = segment.first_seq;
            if self.is_stopped() {
                return Ok(());
            }
            if self.good.contains(&first_seq) || self.failed.contains_key(&first_seq) {
                continue;
            }
            if !suspects.contains(&first_seq) && is_good(self.volume.dir(), segment) {
                self.good.insert(first_seq);
                continue;
            }
            // Until the writer has less to do; those who search read what has no index.
            if waits {
                continue;
            }
            match self.make(segment) {
                Ok(()) => drop(self.good.insert(first_seq)),
                Err(Unmade::Stopped) => {}
                Err(error) => {
                    tracing::warn!(%error, first_seq, "an index of the journal could not be made; searching takes longer");
                    self.failed.insert(first_seq, Instant::now());
                }
            }
        }
        self.remove_orphans(&segments);
        Ok(())
    }

    /// Whether much was written since the last look.
    fn is_busy(&mut self, segments: &[Segment]) -> bool {
        let Some(open) = segments.last() else { return false };
        let length = std::fs::metadata(&open.path).map_or(0, |metadata| metadata.len());
        let (segment, before) = std::mem::replace(&mut self.last, (open.first_seq, length));
        segment != 0 && (segment != open.first_seq || length.saturating_sub(before) > BUSY_BYTES)
    }

    fn make(&self, segment: &Segment) -> Result<(), Unmade> {
        let epoch = self.volume.forgotten();
        let mut worked = Instant::now();
        let index = build(self.volume.dir(), segment, &mut |records| {
            if records % SLICE == 0 {
                // As long a rest as the work took: sessions come first.
                std::thread::sleep(worked.elapsed().min(MAX_REST));
                worked = Instant::now();
            }
            records % SLICE != 0 || !self.is_stopped()
        })?;
        // Where records were erased in the meantime, what was read of them must not stay.
        match put(self.volume.dir(), segment.first_seq, &index, |rename| self.volume.unless_forgotten(epoch, rename)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Unmade::Stopped),
            done => Ok(done?),
        }
    }

    /// Removes indexes whose segments are gone, and what earlier attempts left behind.
    fn remove_orphans(&self, segments: &[Segment]) {
        let Ok(entries) = std::fs::read_dir(self.volume.dir().join(super::DIRECTORY)) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let first_seq: Option<u64> = stem.and_then(|stem| stem.parse().ok());
            let is_orphan = match path.extension().and_then(|extension| extension.to_str()) {
                Some("idx") => first_seq.is_none_or(|first_seq| !segments.iter().any(|one| one.first_seq == first_seq)),
                Some("tmp") => is_old(&path),
                Some(_) | None => false,
            };
            if is_orphan {
                // It is in nobody's way if it stays.
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    fn is_stopped(&self) -> bool {
        matches!(self.stopped.try_recv(), Ok(()) | Err(TryRecvError::Disconnected))
    }
}

/// Whether nobody can be writing it any more.
fn is_old(path: &Path) -> bool {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.ok().and_then(|modified| modified.elapsed().ok()).is_some_and(|age| age > ABANDONED)
}

/// How often the directory is looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// Bytes written between two looks that are many: some thousand records.
const BUSY_BYTES: u64 = 4 * 1024 * 1024;
/// Finished segments without an index; where there are more, they are made however much is written.
const MOST_WAITING: usize = 4;
/// How long a segment is left alone whose index could not be made.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);
/// Records that are read at one go.
const SLICE: u32 = 512;
const ABANDONED: Duration = Duration::from_secs(3600);
const MAX_REST: Duration = Duration::from_millis(100);
