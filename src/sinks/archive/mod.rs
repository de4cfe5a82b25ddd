//! An archive of the journal in object storage: its closed segments, and the log that proves them, as the files are. Records are
//! sealed in them, and no key goes along.

mod place;
mod plan;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use tokio::time::sleep;

use self::place::{Put, archive_name, overwrite, put_if_absent};
use self::plan::{Plan, tree_size};
use super::backoff::Backoff;
use super::position::Position;
use super::runner::Runner;
use super::settings::Archive;

/// How often the journal is looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// Where the files go.
pub(super) struct Archiver {
    store: Arc<dyn ObjectStore>,
    /// Before every name, the journal's id in it: journals may share a bucket.
    prefix: String,
}

/// Why the archive is not as far as the journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    #[error("{0}")]
    Store(String),
    #[error("{0} is in the archive already, and is not the same: it is left as it is")]
    Different(String),
}

impl Archiver {
    pub(super) fn new(settings: &Archive, journal: &str) -> Result<Self, String> {
        let store = place::open(&settings.place)?;
        let prefix = settings.prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { journal.to_owned() } else { format!("{prefix}/{journal}") };
        Ok(Self { store, prefix })
    }

    async fn put(&self, dir: &Path, name: &str) -> Result<(), ArchiveError> {
        self.put_bytes(name, read(dir, name).await?).await
    }

    async fn put_bytes(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        match put_if_absent(&*self.store, &archive_name(&self.prefix, name), bytes).await? {
            Put::Stored | Put::Same => Ok(()),
            Put::Different => Err(ArchiveError::Different(name.to_owned())),
        }
    }
}

async fn read(dir: &Path, name: &str) -> Result<Bytes, ArchiveError> {
    let read = tokio::fs::read(dir.join(name)).await;
    read.map(Bytes::from).map_err(|error| ArchiveError::File(name.to_owned(), error))
}

impl Runner {
    /// Archives until it is stopped.
    pub(super) async fn archive(self, archiver: Archiver) {
        let journal = self.journal.id().to_owned();
        let mut position = self.file.read(&journal).unwrap_or_else(|| Position::none(&journal));
        if position.seq > self.journal.last_seq() {
            // What is there already is left as it is, so beginning anew costs time alone.
            tracing::warn!(sink = %self.settings.name, seq = position.seq, "the position is beyond the journal's end: beginning anew");
            position = Position::none(&journal);
        }
        self.progress.begin(position.seq);
        let mut backoff = Backoff::default();
        loop {
            let round = tokio::select! {
                () = self.stop.cancelled() => return,
                round = self.round(&archiver, &mut position) => round,
            };
            let pause = match round {
                Ok(()) => {
                    backoff.reset();
                    PERIOD
                }
                Err(error) => {
                    tracing::warn!(sink = %self.settings.name, %error, "the archive could not be continued");
                    self.progress.failed(error.to_string());
                    backoff.next()
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Brings everything that is closed into the archive.
    async fn round(&self, archiver: &Archiver, position: &mut Position) -> Result<(), ArchiveError> {
        let dir = &self.journal.settings().dir;
        let plan = Plan::of(dir, position.seq).map_err(|error| ArchiveError::File("the journal".to_owned(), error))?;
        let mut missing = plan.missing;
        for segment in &plan.segments {
            archiver.put(dir, &segment.name).await?;
            self.progress.acknowledged(usize::try_from(segment.last + 1 - segment.first).unwrap_or(usize::MAX));
            position.seq = segment.last;
            self.keep(position).await;
            self.progress.passed(segment.last);
            self.progress.missed(std::mem::take(&mut missing));
        }
        self.log(archiver, position, !plan.segments.is_empty()).await?;
        // Of the open segment nothing is owed.
        self.progress.passed(*self.journal.head().borrow());
        Ok(())
    }

    /// The tiles that are new since the last round, then the checkpoint that they prove. Where nothing was closed it waits for
    /// a full tile: a partial one is worth little, and changes each second.
    async fn log(&self, archiver: &Archiver, position: &mut Position, is_due: bool) -> Result<(), ArchiveError> {
        let dir = &self.journal.settings().dir;
        let before = position.leaves.unwrap_or_default();
        let Some(log) = Log::read(dir, before).await? else { return Ok(()) };
        if log.size >> 8 == before >> 8 && position.leaves.is_some() && !is_due {
            return Ok(());
        }
        for name in &log.full {
            archiver.put(dir, name).await?;
        }
        for (name, bytes) in log.partial {
            archiver.put_bytes(&name, bytes).await?;
        }
        for (name, bytes) in [("log.vkey", read(dir, "log.vkey").await.ok()), ("checkpoint", Some(log.checkpoint))] {
            let Some(bytes) = bytes else { continue };
            overwrite(&*archiver.store, &archive_name(&archiver.prefix, name), bytes).await?;
        }
        position.leaves = Some(log.size);
        self.keep(position).await;
        Ok(())
    }
}

/// A checkpoint and what is new in the tree that it is of. Partial tiles are read at once: the journal removes them when it has
/// made the next ones.
struct Log {
    checkpoint: Bytes,
    size: u64,
    full: Vec<String>,
    partial: Vec<(String, Bytes)>,
}

impl Log {
    /// `None` where there is no log.
    async fn read(dir: &Path, before: u64) -> Result<Option<Self>, ArchiveError> {
        let mut last = None;
        for _ in 0..TRIES {
            let Ok(checkpoint) = read(dir, "checkpoint").await else { return Ok(None) };
            let Some(size) = tree_size(&checkpoint) else { return Ok(None) };
            let (partial, full): (Vec<_>, Vec<_>) = plan::tiles(before, size).partition(|name| name.contains(".p/"));
            match read_all(dir, partial).await {
                Ok(partial) => return Ok(Some(Self { checkpoint, size, full, partial })),
                // There is a newer checkpoint by now.
                Err(error) => last = Some(error),
            }
        }
        last.map_or(Ok(None), Err)
    }
}

/// A checkpoint that is newer each time it is read is given up for this round.
const TRIES: usize = 5;

async fn read_all(dir: &Path, names: Vec<String>) -> Result<Vec<(String, Bytes)>, ArchiveError> {
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        let bytes = read(dir, &name).await?;
        all.push((name, bytes));
    }
    Ok(all)
}
