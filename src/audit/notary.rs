//! The log beside the segments: one thread takes up what was written, and signs a checkpoint each second or 65,536 records.
//! What a checkpoint covers is on disk before it is signed.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::JournalError;
use super::handover::Fresh;
use super::intake::Intake;
use super::journal::Shared;
use super::settling::Settling;
use super::signing::Signing;
use super::syncer::Syncer;
use crate::tlog::{Checkpoint, CheckpointFile};

/// Records that wait for a checkpoint at most, and how long they do.
const RECORDS: u64 = 65_536;
const PERIOD: Duration = Duration::from_secs(1);

/// From so many on, only those are signed for that lie in full tiles.
const MANY: u64 = 2_560;

/// The thread is woken to take up so many.
const TAKEN: u64 = 256;

/// How long the log may fail to take up records before nothing more is allowed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The handle of the thread; the thread ends with it.
#[derive(Debug)]
pub(super) struct Notary {
    bell: Arc<Bell>,
    checkpoint: watch::Receiver<Option<Checkpoint>>,
    /// `None` only while it is dropped.
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told without waiting for it.
#[derive(Debug, Default)]
struct Bell {
    /// The newest record when the thread was last woken to take records up.
    rung: AtomicU64,
    /// A checkpoint is waited for that covers this record.
    wanted: AtomicU64,
    is_over: AtomicBool,
}

/// What the thread works on.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) published: CheckpointFile,
    pub(super) intake: Intake,
    pub(super) signing: Signing,
    /// The journal's own directory.
    pub(super) dir: PathBuf,
}

/// Starts the thread of a journal whose log stands at `checkpoint`.
pub(super) fn run(
    shared: Arc<Shared>,
    syncer: Arc<Syncer>,
    desk: Desk,
    checkpoint: Option<Checkpoint>,
) -> io::Result<Notary> {
    let bell = Arc::new(Bell::default());
    let (sender, checkpoint) = watch::channel(checkpoint);
    let settling = Settling::of(&desk.dir)?;
    let (begun, first) = sync_channel(1);
    let on_bell = Arc::clone(&bell);
    let thread = std::thread::Builder::new().name("journal-log".to_owned()).spawn(move || {
        let mut work = Work::new(shared, syncer, desk, on_bell, sender, settling);
        let first = work.first();
        let is_good = first.is_ok();
        if begun.send(first).is_ok() && is_good {
            work.serve();
        }
    })?;
    // What opened the journal is signed before anything else is recorded: a log that cannot be kept is found out now.
    first.recv().map_err(io::Error::other)?.map_err(io::Error::other)?;
    Ok(Notary { bell, checkpoint, thread: Some(thread) })
}

impl Notary {
    /// Has the thread take up what was written, where it is enough to be worth it.
    pub(super) fn wrote(&self, last_seq: u64) {
        let rung = self.bell.rung.load(Ordering::Relaxed);
        if last_seq >= rung + TAKEN && self.bell.rung.fetch_max(last_seq, Ordering::Relaxed) < last_seq {
            self.wake();
        }
    }

    /// The newest checkpoint, and word of each.
    pub(super) fn checkpoint(&self) -> watch::Receiver<Option<Checkpoint>> {
        self.checkpoint.clone()
    }

    /// Returns when a checkpoint covers record `seq`. Cancel safe.
    pub(super) async fn bring_to_log(&self, seq: u64) -> Result<(), JournalError> {
        let mut checkpoint = self.checkpoint.clone();
        self.bell.wanted.fetch_max(seq, Ordering::Release);
        self.wake();
        let covered = |checkpoint: &Option<Checkpoint>| checkpoint.as_ref().is_some_and(|it| it.size >= seq);
        let reached = tokio::time::timeout(PATIENCE, checkpoint.wait_for(covered)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(JournalError("the log did not take up all records".to_owned())),
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Notary {
    fn drop(&mut self) {
        self.bell.is_over.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A checkpoint whose records are being brought to disk.
struct Pending {
    checkpoint: Checkpoint,
    on_disk: Pin<Box<dyn Future<Output = Result<(), JournalError>> + Send>>,
}

struct Work {
    shared: Arc<Shared>,
    syncer: Arc<Syncer>,
    desk: Desk,
    bell: Arc<Bell>,
    told: watch::Sender<Option<Checkpoint>>,
    /// Wakes this thread.
    waker: Waker,
    settling: Settling,
    /// To be filled by the writer while what it left is taken up.
    spare: Fresh,
    pending: Option<Pending>,
    /// When the last checkpoint was begun.
    begun: Instant,
    failing: Option<Instant>,
}

impl Work {
    fn new(
        shared: Arc<Shared>,
        syncer: Arc<Syncer>,
        desk: Desk,
        bell: Arc<Bell>,
        told: watch::Sender<Option<Checkpoint>>,
        settling: Settling,
    ) -> Self {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let (spare, begun) = (Fresh::default(), Instant::now());
        Self { shared, syncer, desk, bell, told, waker, settling, spare, pending: None, begun, failing: None }
    }

    /// Signs for what there is.
    fn first(&mut self) -> Result<(), String> {
        let records = self.shared.appender().records();
        self.bell.wanted.fetch_max(records, Ordering::Relaxed);
        while self.signed() < records {
            self.round()?;
            if self.signed() < records {
                std::thread::park();
            }
        }
        Ok(())
    }

    fn serve(mut self) {
        while !self.bell.is_over.load(Ordering::Acquire) {
            match self.round() {
                Ok(()) => {
                    if self.failing.take().is_some() {
                        self.shared.appender().stall(None);
                    }
                    std::thread::park_timeout(self.rest());
                }
                Err(why) => {
                    self.failed(why);
                    self.pause();
                }
            }
        }
        self.settling.end(self.signed());
    }

    /// How long nothing is to be done, unless this thread is woken.
    fn rest(&mut self) -> Duration {
        let size = self.desk.intake.tiles().size();
        match self.pending {
            Some(_) => PERIOD,
            None if self.is_due(size) => Duration::ZERO,
            None if size > self.signed() => PERIOD.saturating_sub(self.begun.elapsed()),
            None => PERIOD,
        }
    }

    /// Writers go on waking this thread while the log fails.
    fn pause(&self) {
        let failed = Instant::now();
        while failed.elapsed() < PERIOD && !self.bell.is_over.load(Ordering::Acquire) {
            std::thread::park_timeout(PERIOD.saturating_sub(failed.elapsed()));
        }
    }

    /// Takes up what is new; signs for it where that is due and all of it is on disk.
    fn round(&mut self) -> Result<(), String> {
        let records = self.take_up()?;
        if self.pending.is_none() && self.is_due(records) {
            self.begin();
        }
        let mut context = Context::from_waker(&self.waker);
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        match pending.on_disk.as_mut().poll(&mut context) {
            Poll::Ready(Ok(())) => self.sign(pending.checkpoint),
            Poll::Ready(Err(error)) => Err(error.0),
            Poll::Pending => {
                self.pending = Some(pending);
                Ok(())
            }
        }
    }

    /// Takes up all that was written, and answers how many records there are.
    fn take_up(&mut self) -> Result<u64, String> {
        let (fresh, records) = self.shared.appender().take_fresh(std::mem::take(&mut self.spare));
        let intake = &mut self.desk.intake;
        for piece in fresh {
            intake.take_fresh(&piece)?;
            self.spare = piece.emptied();
        }
        intake.take_up_to(records)?;
        intake.tiles().keep_safe(self.shared.beyond_remaking.load(Ordering::Acquire));
        intake.tiles().flush_full().map_err(|error| error.to_string())?;
        Ok(records)
    }

    fn is_due(&self, records: u64) -> bool {
        let signed = self.signed();
        let is_wanted = self.bell.wanted.load(Ordering::Acquire) > signed;
        records > signed && (is_wanted || records - signed >= RECORDS || self.begun.elapsed() >= PERIOD)
    }

    /// Begins a checkpoint of all that was taken up.
    fn begin(&mut self) {
        self.begun = Instant::now();
        let (signed, wanted) = (self.signed(), self.bell.wanted.load(Ordering::Acquire));
        let tiles = self.desk.intake.tiles();
        // Where much comes, the few records after the last full tile can wait for the next one: to make and remove partial
        // tiles costs more than all else.
        let is_enough = |(size, _): &(u64, _)| *size >= signed + MANY && *size >= wanted;
        let (size, root) = match tiles.mark_full().filter(is_enough) {
            Some(marked) => marked,
            None => tiles.mark(),
        };
        let checkpoint = Checkpoint { origin: self.desk.signing.origin(), size, root };
        let syncer = Arc::clone(&self.syncer);
        let on_disk = Box::pin(async move { syncer.bring_to_disk(size).await });
        self.pending = Some(Pending { checkpoint, on_disk });
    }

    /// Signs a checkpoint whose records are on disk.
    fn sign(&mut self, checkpoint: Checkpoint) -> Result<(), String> {
        let says = |error: io::Error| error.to_string();
        let tiles = self.desk.intake.tiles();
        // Not brought to disk but where keys are gone: what is lost of the others is made again of the records, which are.
        tiles.keep_safe(self.shared.beyond_remaking.load(Ordering::Acquire));
        tiles.flush(false).map_err(says)?;
        let note = self.desk.signing.sign(&checkpoint)?;
        // On disk with its name: a machine that stops must not leave half a checkpoint, nor a key that signed none.
        self.desk.published.put(&note, true).map_err(|error| error.to_string())?;
        self.desk.signing.published(&self.desk.published, &checkpoint)?;
        tiles.tidy().map_err(says)?;
        self.settling.advance(checkpoint.size);
        self.told.send_replace(Some(checkpoint));
        Ok(())
    }

    /// The size of the newest checkpoint.
    fn signed(&self) -> u64 {
        self.told.borrow().as_ref().map_or(0, |checkpoint| checkpoint.size)
    }

    /// Records that no checkpoint covers prove nothing: when that lasts, nothing more is allowed.
    fn failed(&mut self, why: String) {
        let since = *self.failing.get_or_insert_with(Instant::now);
        let message = format!("the log cannot take up records: {why}");
        tracing::error!("{message}");
        self.shared.counters.failed();
        if since.elapsed() >= PATIENCE {
            self.shared.appender().stall(Some(message));
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
