//! The log beside the segments: one thread takes up what was written, and signs a checkpoint each second or 1,000 records.
//! What a checkpoint covers is on disk before it is signed.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::JournalError;
use super::intake::Intake;
use super::journal::Shared;
use super::signing::Signing;
use super::syncer::Syncer;
use crate::tlog::{Checkpoint, CheckpointFile};

/// Records that wait for a checkpoint at most, and how long they do.
const RECORDS: u64 = 1000;
const PERIOD: Duration = Duration::from_secs(1);

/// How long the log may fail to take up records before nothing more is allowed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The handle of the thread; the thread ends with it.
#[derive(Debug)]
pub(super) struct Notary {
    /// `None` only while it is dropped.
    wake: Option<SyncSender<()>>,
    /// The size of the newest checkpoint that was asked for.
    asked: AtomicU64,
    checkpoint: watch::Receiver<Option<Checkpoint>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works on.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) published: CheckpointFile,
    pub(super) intake: Intake,
    pub(super) signing: Signing,
}

/// Starts the thread of a journal whose log stands at `checkpoint`.
pub(super) fn run(
    shared: Arc<Shared>,
    syncer: Arc<Syncer>,
    desk: Desk,
    checkpoint: Option<Checkpoint>,
) -> io::Result<Notary> {
    let (wake, woken) = sync_channel(1);
    let asked = AtomicU64::new(checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size));
    let (sender, checkpoint) = watch::channel(checkpoint);
    let mut work = Work { shared, syncer, desk, told: sender, failing: None };
    let (begun, first) = sync_channel(1);
    let thread = std::thread::Builder::new().name("journal-log".to_owned()).spawn(move || {
        let first = work.round();
        let is_good = first.is_ok();
        if begun.send(first).is_ok() && is_good {
            work.serve(&woken);
        }
    })?;
    // What opened the journal is signed before anything else is recorded: a log that cannot be kept is found out now.
    first.recv().map_err(io::Error::other)?.map_err(io::Error::other)?;
    Ok(Notary { wake: Some(wake), asked, checkpoint, thread: Some(thread) })
}

impl Notary {
    /// Asks for a checkpoint where enough records wait for one.
    pub(super) fn wrote(&self, last_seq: u64) {
        let asked = self.asked.load(Ordering::Relaxed);
        if last_seq >= asked + RECORDS && self.asked.fetch_max(last_seq, Ordering::Relaxed) < last_seq {
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
        self.wake();
        let covered = |checkpoint: &Option<Checkpoint>| checkpoint.as_ref().is_some_and(|it| it.size >= seq);
        let reached = tokio::time::timeout(PATIENCE, checkpoint.wait_for(covered)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(JournalError("the log did not take up all records".to_owned())),
        }
    }

    fn wake(&self) {
        if let Some(wake) = &self.wake {
            // Full: a round that will see our records is already asked for. Closed: the journal is.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Notary {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    shared: Arc<Shared>,
    syncer: Arc<Syncer>,
    desk: Desk,
    told: watch::Sender<Option<Checkpoint>>,
    failing: Option<Instant>,
}

impl Work {
    fn serve(mut self, woken: &Receiver<()>) {
        loop {
            match woken.recv_timeout(PERIOD) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            match self.round() {
                Ok(()) => {
                    if self.failing.take().is_some() {
                        self.shared.appender().stall(None);
                    }
                }
                Err(why) => self.failed(why),
            }
        }
    }

    /// Takes up what is new, and signs for it.
    fn round(&mut self) -> Result<(), String> {
        let records = self.shared.appender().records();
        if self.told.borrow().as_ref().map_or(0, |checkpoint| checkpoint.size) >= records {
            return Ok(());
        }
        block_on(self.syncer.bring_to_disk(records)).map_err(|error| error.0)?;
        self.desk.intake.take_up_to(records)?;
        let tiles = self.desk.intake.tiles();
        let says = |error: io::Error| error.to_string();
        tiles.flush(true).map_err(says)?;
        let checkpoint = Checkpoint { origin: self.desk.signing.origin(), size: tiles.size(), root: tiles.root() };
        let note = self.desk.signing.sign(&checkpoint)?;
        // On disk with its name: a machine that stops must not leave half a checkpoint, nor a key that signed none.
        self.desk.published.put(&note, true).map_err(|error| error.to_string())?;
        self.desk.signing.published(&self.desk.published, &checkpoint)?;
        tiles.tidy().map_err(says)?;
        self.told.send_replace(Some(checkpoint));
        Ok(())
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

/// Waits for `future` on this thread, which belongs to no runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
