//! How far each replica's journal has come, by the checkpoints that are published in the store: what a replica says of its own
//! journal later can be held against that, where its end was cut off or its disk put back.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Replicas;
use crate::store::{Published, StoreError};
use crate::tlog::{Checkpoint, CheckpointFile};

/// Between two publications.
const EVERY: Duration = Duration::from_secs(5);

/// What publishes.
#[derive(Debug)]
pub struct Journal {
    pub id: String,
    pub verifier: String,
    pub file: CheckpointFile,
    pub head: watch::Receiver<Option<Checkpoint>>,
}

/// A journal as the store knows it.
#[derive(Clone, Debug)]
pub struct JournalState {
    pub published: Published,
    /// Whether the replica that writes it is there.
    pub is_there: bool,
}

impl Replicas {
    /// Publishes the own journal's newest checkpoint, until `stop`, and then once more.
    pub async fn publish(&self, journal: Journal, stop: CancellationToken) {
        let mut size = None;
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            let newest = journal.head.borrow().as_ref().map(|checkpoint| checkpoint.size);
            if newest.is_some() && newest != size {
                match self.publish_now(&journal).await {
                    Ok(published) => size = published.or(size),
                    Err(error) => tracing::debug!(%error, "the journal's checkpoint could not be published"),
                }
            }
            if stopped {
                return;
            }
        }
    }

    /// Publishes what the journal's file says now.
    async fn publish_now(&self, journal: &Journal) -> Result<Option<u64>, StoreError> {
        let file = journal.file.clone();
        let read = tokio::task::spawn_blocking(move || file.read());
        let read = read.await.map_err(|error| StoreError::Failed(error.to_string()))?;
        let Some((checkpoint, note)) = read.map_err(|error| StoreError::Failed(error.to_string()))? else {
            return Ok(None);
        };
        let published = Published {
            journal: journal.id.clone(),
            place: String::new(),
            replica: self.me().name,
            verifier: journal.verifier.clone(),
            size: checkpoint.size,
            checkpoint: note.to_string(),
            published_ago: Duration::ZERO,
        };
        self.fleet.publish(&published).await?;
        Ok(Some(checkpoint.size))
    }

    /// All journals that were ever published, and whose writers are there.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn journals(&self) -> Result<Vec<JournalState>, StoreError> {
        let published = self.fleet.published().await?;
        let mut there: Vec<String> = self.peers().into_iter().map(|peer| peer.replica.journal).collect();
        there.push(self.me().journal);
        Ok(published
            .into_iter()
            .map(|published| JournalState { is_there: there.contains(&published.journal), published })
            .collect())
    }

    /// The own journal's identity.
    #[must_use]
    pub fn own_journal(&self) -> String {
        self.me().journal
    }
}
