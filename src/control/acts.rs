//! Acts on the store and the sessions: recorded first, then done, and done to their end whatever becomes of the
//! connection that asked for them.

use std::sync::Arc;

use super::auth::Caller;
use super::problem::Problem;
use super::server::Shared;
use crate::audit::{Event, Record, RecordedVerdict};

/// Acts that may be under way at once. Beyond it callers are asked to come again.
const MAX_ACTS: usize = 64;

impl Shared {
    /// Runs an act in a task of its own: a caller who goes away, or whose time is up, does not stop it half done.
    ///
    /// # Errors
    /// What the act answers; 503 where too many are under way.
    pub async fn act<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        if self.acts.len() >= MAX_ACTS {
            return Err(Problem::unavailable("too many acts are under way", "try again in a moment"));
        }
        match self.acts.spawn(act).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%error, "an act did not come to its end");
                Err(Problem::internal())
            }
        }
    }

    /// A record of an act of `caller`, about themselves until it says otherwise.
    pub fn record_by(&self, event: Event, caller: &Caller) -> Record {
        self.desk.recorder().by(event, &caller.actor())
    }

    /// Records that an act which the journal already names did not take effect, and passes the cause on.
    pub async fn failed<E: Into<Problem>>(&self, record: &Record, error: E) -> Problem {
        let problem: Problem = error.into();
        let mut record = record.clone();
        record.time = self.clock.now();
        record.verdict = Some(RecordedVerdict::Deny);
        record.detail = Some(format!("did not take effect: {}", problem.detail));
        if let Err(error) = self.journal.record(record).await {
            tracing::error!(%error, "the failure of an act could not be recorded");
        }
        problem
    }
}
