//! The live view of grants that sessions wait on: what the store holds, in memory, told as it changes.

mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::view::{Key, View};
use super::{GrantMark, GrantNews, SharedStore, StoreError};
use crate::access::{Clock, Grant};

/// Revoked grants that one [`GrantSet`] remembers; the oldest go first.
const MAX_REVOKED: usize = 64;
/// Grants that nobody waits for and that have run out are let go of this often.
const SWEEP: Duration = Duration::from_secs(60);

/// The grants of one principal on one database that are not over, newest last.
#[derive(Clone, Debug, Default)]
pub struct GrantSet {
    /// Grows with every change of any of these grants.
    pub version: u64,
    pub grants: Arc<[Arc<Grant>]>,
    /// Grants that ended by revocation since the process began and that a session may still hold, so that it can say
    /// who ended them and why.
    pub revoked: Vec<Arc<Grant>>,
}

/// All open grants, by principal and database.
///
/// While the store does not answer, the last view stays: live sessions keep the grants that they have, to the end of the
/// lease that [`GrantBook::is_fresh`] measures, and grants run out by the clock all the same.
#[derive(Debug)]
pub struct GrantBook {
    store: SharedStore,
    clock: Arc<Clock>,
    view: Mutex<View>,
    /// When the store was last asked and answered.
    last_success: Mutex<Instant>,
    /// Held from reading the store to taking what it said into the view, so that an old answer cannot overwrite a newer.
    reading: tokio::sync::Mutex<Reading>,
}

/// How far the store has been read.
#[derive(Debug)]
struct Reading {
    mark: Option<GrantMark>,
    swept_at: Instant,
}

impl GrantBook {
    /// Reads the open grants from the store.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn load(store: SharedStore, clock: Arc<Clock>) -> Result<Arc<Self>, StoreError> {
        let now = Instant::now();
        let book = Arc::new(Self {
            store,
            clock,
            view: Mutex::default(),
            last_success: Mutex::new(now),
            reading: tokio::sync::Mutex::new(Reading { mark: None, swept_at: now }),
        });
        book.refresh().await?;
        Ok(book)
    }

    /// Reads what has changed in the store and tells every session whose grants that are. To be called after each change, before its
    /// author is answered, and now and then for changes made elsewhere.
    ///
    /// # Errors
    /// Where the store does not answer; the view then stays as it was.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let mut reading = self.reading.lock().await;
        let (asked_at, now) = (Instant::now(), self.clock.now());
        let sweep = reading.swept_at.elapsed() >= SWEEP;
        // Now and then all of it, whatever the marks say: a clock that went back or a store that was put back leaves no trace in them.
        let (mark, news) = self.store.grant_news(reading.mark.filter(|_| !sweep), now).await?;
        match news {
            GrantNews::Changed(changed) => self.view().take(changed, now),
            GrantNews::All(open) => {
                let revoked = self.ended_early(&open, now).await;
                self.view().take_all(open, &revoked);
            }
        }
        reading.mark = Some(mark);
        if sweep {
            reading.swept_at = Instant::now();
        }
        self.view().run_out(now, sweep);
        *self.last_success.lock().unwrap_or_else(PoisonError::into_inner) = asked_at;
        Ok(())
    }

    /// Of the grants that sessions may hold, those that were revoked, with who did it and why.
    async fn ended_early(&self, open: &[Grant], now: jiff::Timestamp) -> Vec<Arc<Grant>> {
        let mut revoked = Vec::new();
        let ended_early = self.view().ended_early(open, now);
        for id in ended_early {
            // Why a grant ended is worth telling; that it ended holds even if the reason cannot be read.
            match self.store.grant(&id).await {
                Ok(grant) if grant.revocation.is_some() => revoked.push(Arc::new(grant)),
                Ok(_) => {}
                Err(error) => tracing::warn!(grant = %id, %error, "cannot read why a grant ended"),
            }
        }
        revoked
    }

    /// Refreshes at each `every`, until `shutdown`.
    pub async fn run(self: Arc<Self>, every: Duration, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
                () = self.store.hinted() => {}
            }
            // Cancel safe: a refresh that is dropped leaves the view as it was.
            let refreshed = tokio::select! {
                () = shutdown.cancelled() => return,
                refreshed = self.refresh() => refreshed,
            };
            self.view().drop_unwatched();
            match &refreshed {
                Ok(()) if failing => tracing::info!("the grant store answers again"),
                Ok(()) => {}
                Err(error) if !failing => tracing::error!(%error, "the grant store does not answer"),
                Err(_) => {}
            }
            failing = refreshed.is_err();
        }
    }

    /// Watches the grants of one principal on one database.
    #[must_use]
    pub fn subscribe(&self, principal: &str, database: &str) -> watch::Receiver<Arc<GrantSet>> {
        self.view().subscribe(Key::new(principal, database))
    }

    /// When the store was last asked and answered.
    #[must_use]
    pub fn last_success(&self) -> Instant {
        *self.last_success.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the view is no older than `max_age`. Where it is not, no session may begin, and those that live end.
    #[must_use]
    pub fn is_fresh(&self, max_age: Duration) -> bool {
        self.last_success().elapsed() <= max_age
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
