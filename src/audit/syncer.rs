//! Group commit: one thread brings to disk what everybody wrote, and wakes all who wait for it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::JournalError;
use super::journal::Shared;

/// The handle of the thread; the thread ends with it.
#[derive(Debug)]
pub(super) struct Syncer {
    /// `None` only while it is dropped.
    wake: Option<SyncSender<()>>,
    synced: watch::Receiver<Synced>,
    thread: Option<JoinHandle<()>>,
}

/// What is known to be on disk.
#[derive(Clone, Debug, Default)]
struct Synced {
    /// All records up to this one.
    seq: u64,
    /// Nothing after `seq` is known to be on disk, until it was written anew.
    failed: Option<String>,
}

/// Starts the thread of a journal whose records up to `seq` need no waiting for.
pub(super) fn run(shared: Arc<Shared>, seq: u64) -> io::Result<Syncer> {
    // One place is enough: whoever finds it taken is served by the round that has not begun.
    let (wake, woken) = sync_channel(1);
    let (sender, synced) = watch::channel(Synced { seq, failed: None });
    let thread =
        std::thread::Builder::new().name("journal-sync".to_owned()).spawn(move || serve(&shared, &woken, &sender))?;
    Ok(Syncer { wake: Some(wake), synced, thread: Some(thread) })
}

impl Syncer {
    /// Has the thread do a round soon.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // Full: a round that will see our records is already asked for. Closed: waiting says so.
            let _ = wake.try_send(());
        }
    }

    /// Returns when all records up to `seq` are on disk. Cancel safe.
    pub(super) async fn bring_to_disk(&self, seq: u64) -> Result<(), JournalError> {
        let mut synced = self.synced.clone();
        self.wake();
        let reached = synced.wait_for(|synced| synced.seq >= seq || synced.failed.is_some()).await;
        match reached {
            Ok(synced) if synced.seq >= seq => Ok(()),
            Ok(synced) => Err(JournalError(synced.failed.clone().unwrap_or_default())),
            Err(_) => Err(JournalError("the thread that brings records to disk has ended".to_owned())),
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How often the files are looked at when nothing else is to be done.
const CHECK_PERIOD: Duration = Duration::from_secs(1);

fn serve(shared: &Shared, woken: &Receiver<()>, synced: &watch::Sender<Synced>) {
    let mut checked = Instant::now();
    loop {
        let is_asked = match woken.recv_timeout(CHECK_PERIOD) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if checked.elapsed() >= CHECK_PERIOD {
            heal(shared, synced);
            // Finds out when space is back, and when another hand was at the files; both show in `healthy`.
            let _ = shared.appender().check();
            checked = Instant::now();
        }
        if !is_asked {
            continue;
        }
        if synced.borrow().failed.is_some() {
            continue;
        }
        let (files, seq) = shared.appender().unsynced();
        match files.iter().try_for_each(|file| file.sync()) {
            Ok(()) => {
                shared.counters.synced();
                shared.appender().confirm();
                synced.send_modify(|synced| synced.seq = seq);
            }
            Err(error) => {
                // After a failed fdatasync(2) the kernel may call lost pages clean: nothing more can be promised.
                let message = format!("records could not be brought to disk: {error}");
                tracing::error!("{message}");
                shared.appender().doubt(message.clone());
                shared.counters.failed();
                synced.send_modify(|synced| synced.failed = Some(message));
            }
        }
    }
}

/// Tries to have on disk what once failed to come there.
fn heal(shared: &Shared, synced: &watch::Sender<Synced>) {
    if synced.borrow().failed.is_none() {
        return;
    }
    match shared.appender().heal() {
        Ok(seq) => {
            tracing::info!("what could not be brought to disk was written anew and is there");
            synced.send_modify(|synced| *synced = Synced { seq, failed: None });
        }
        Err(error) => tracing::warn!(%error, "what could not be brought to disk could not be written anew either"),
    }
}
