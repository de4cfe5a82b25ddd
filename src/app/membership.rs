//! What a replica does for as long as it runs: it stays known to the others, gives back places, publishes how far its journal has
//! come, and reads its configuration again where another works by a newer one.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::control::Cancels;
use crate::replicas::{HandedCancel, Journal, Replicas};
use crate::session;

/// Those tasks; none where there is one pgward alone.
pub struct Membership {
    replicas: Option<Arc<Replicas>>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Membership {
    pub fn begin(parts: &Parts) -> Self {
        let stop = CancellationToken::new();
        let Some(replicas) = parts.replicas.clone() else { return Self { replicas: None, stop, tasks: Vec::new() } };
        let journal = Journal {
            id: parts.journal.id().to_owned(),
            verifier: parts.journal.verifier().to_string(),
            file: parts.journal.published().clone(),
            head: parts.journal.checkpoint(),
        };
        let publishing = {
            let (replicas, stop) = (Arc::clone(&replicas), stop.clone());
            tokio::spawn(async move { replicas.publish(journal, stop).await })
        };
        let known = tokio::spawn(Arc::clone(&replicas).run(stop.clone()));
        let giving = tokio::spawn(Arc::clone(&replicas).keep_giving_back(stop.clone()));
        Self { replicas: Some(replicas), stop, tasks: vec![known, giving, publishing] }
    }

    /// To be called when the journal is closed, and so tells its last checkpoint.
    pub async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part ended badly");
            }
        }
        if let Some(replicas) = self.replicas {
            replicas.leave().await;
        }
    }
}

#[async_trait::async_trait]
impl Cancels for session::Server {
    async fn take_cancel(&self, cancel: &HandedCancel) -> bool {
        session::Server::take_cancel(self, cancel).await
    }
}
