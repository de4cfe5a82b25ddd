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
        let bytes = read(dir, name).await?;
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
        let journal = self.journal.id();
        let mut position = self.file.read(&journal).unwrap_or_else(|| Position::none(&journal));
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
        self.log(archiver, position).await?;
        // Of the open segment nothing is owed.
        self.progress.passed(*self.journal.head().borrow());
        Ok(())
    }

    /// The tiles that are new since the last round, then the checkpoint that they prove.
    async fn log(&self, archiver: &Archiver, position: &mut Position) -> Result<(), ArchiveError> {
        let dir = &self.journal.settings().dir;
        let Ok(checkpoint) = read(dir, "checkpoint").await else { return Ok(()) };
        let Some(size) = tree_size(&checkpoint) else { return Ok(()) };
        let before = position.leaves.unwrap_or_default();
        // A partial tile is worth little and changes each second: one full tile of entries is what a round waits for.
        if size >> 8 == before >> 8 && position.leaves.is_some() {
            return Ok(());
        }
        for name in plan::tiles(before, size) {
            archiver.put(dir, &name).await?;
        }
        for (name, bytes) in [("log.vkey", read(dir, "log.vkey").await.ok()), ("checkpoint", Some(checkpoint))] {
            let Some(bytes) = bytes else { continue };
            overwrite(&*archiver.store, &archive_name(&archiver.prefix, name), bytes).await?;
        }
        position.leaves = Some(size);
        self.keep(position).await;
        Ok(())
    }
}
