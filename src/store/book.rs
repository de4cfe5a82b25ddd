//! The live view of grants that sessions wait on: what the store holds, in memory, told as it changes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{SharedStore, StoreError};
use crate::access::{Clock, Grant, GrantId};

/// Revoked grants that one [`GrantSet`] remembers; the oldest go first.
const MAX_REVOKED: usize = 64;

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
    /// Held from reading the store to taking what it said into the view, so that an old answer cannot overwrite a newer.
    refreshing: tokio::sync::Mutex<()>,
}

impl GrantBook {
    /// Reads the open grants from the store.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn load(store: SharedStore, clock: Arc<Clock>) -> Result<Arc<Self>, StoreError> {
        let view = Mutex::new(View::new(Instant::now()));
        let book = Arc::new(Self { store, clock, view, refreshing: tokio::sync::Mutex::new(()) });
        book.refresh().await?;
        Ok(book)
    }

    /// Reads the store again and tells every session whose grants changed. To be called after each change, before its
    /// author is answered, and now and then for changes made elsewhere.
    ///
    /// # Errors
    /// Where the store does not answer; the view then stays as it was.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _turn = self.refreshing.lock().await;
        self.view().drop_unwatched();
        let asked_at = Instant::now();
        let now = self.clock.now();
        let open = self.store.open_grants(now).await?;
        let mut revoked = Vec::new();
        let ended_early = self.view().ended_early(&open, now);
        for id in ended_early {
            // Why a grant ended is worth telling; that it ended holds even if the reason cannot be read.
            match self.store.grant(&id).await {
                Ok(grant) if grant.revocation.is_some() => revoked.push(Arc::new(grant)),
                Ok(_) => {}
                Err(error) => tracing::warn!(grant = %id, %error, "cannot read why a grant ended"),
            }
        }
        self.view().take(open, revoked, asked_at);
        Ok(())
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
            }
            // Cancel safe: a refresh that is dropped leaves the view as it was.
            let refreshed = tokio::select! {
                () = shutdown.cancelled() => return,
                refreshed = self.refresh() => refreshed,
            };
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
        self.view().last_success
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

/// Whose grants, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    principal: String,
    database: String,
}

impl Key {
    fn new(principal: &str, database: &str) -> Self {
        Self { principal: principal.to_owned(), database: database.to_owned() }
    }

    fn of(grant: &Grant) -> Self {
        Self::new(&grant.principal, &grant.scope.database)
    }
}

/// What the store said last, and who waits for what it says next.
#[derive(Debug)]
struct View {
    open: HashMap<Key, Vec<Arc<Grant>>>,
    /// Senders exist only where somebody listens; [`View::drop_unwatched`] sees to that.
    watched: HashMap<Key, watch::Sender<Arc<GrantSet>>>,
    /// One counter for all sets: a set that is dropped and made anew never repeats a version.
    version: u64,
    last_success: Instant,
}

impl View {
    fn new(last_success: Instant) -> Self {
        Self { open: HashMap::new(), watched: HashMap::new(), version: 0, last_success }
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn subscribe(&mut self, key: Key) -> watch::Receiver<Arc<GrantSet>> {
        if let Some(sender) = self.watched.get(&key) {
            return sender.subscribe();
        }
        let version = self.next_version();
        let grants = self.open.get(&key).map(|open| open.as_slice().into()).unwrap_or_default();
        let (sender, receiver) = watch::channel(Arc::new(GrantSet { version, grants, revoked: Vec::new() }));
        self.watched.insert(key, sender);
        receiver
    }

    fn drop_unwatched(&mut self) {
        self.watched.retain(|_, sender| sender.receiver_count() > 0);
    }

    /// Grants that a session may hold and that are over before their time.
    fn ended_early(&self, open: &[Grant], now: Timestamp) -> Vec<GrantId> {
        let still: HashSet<&GrantId> = open.iter().map(|grant| &grant.id).collect();
        let watched = self.watched.keys().filter_map(|key| self.open.get(key)).flatten();
        let ended = watched.filter(|grant| !still.contains(&grant.id) && grant.expires_at > now);
        ended.map(|grant| grant.id.clone()).collect()
    }

    fn take(&mut self, open: Vec<Grant>, revoked: Vec<Arc<Grant>>, asked_at: Instant) {
        let mut by_key: HashMap<Key, Vec<Arc<Grant>>> = HashMap::new();
        for grant in open {
            by_key.entry(Key::of(&grant)).or_default().push(Arc::new(grant));
        }
        self.open = by_key;
        self.last_success = asked_at;
        for (key, sender) in &self.watched {
            let grants = self.open.get(key).map(Vec::as_slice).unwrap_or_default();
            let newly_revoked = revoked.iter().filter(|grant| Key::of(grant) == *key);
            let version = self.version + 1;
            let changed = sender.send_if_modified(|set| match changed_set(set, grants, newly_revoked, version) {
                Some(next) => {
                    *set = Arc::new(next);
                    true
                }
                None => false,
            });
            if changed {
                self.version = version;
            }
        }
    }
}

/// The set after a refresh, if it differs.
fn changed_set<'a>(
    set: &GrantSet,
    grants: &[Arc<Grant>],
    newly_revoked: impl Iterator<Item = &'a Arc<Grant>>,
    version: u64,
) -> Option<GrantSet> {
    if *set.grants == *grants {
        return None;
    }
    let mut revoked = set.revoked.clone();
    revoked.extend(newly_revoked.cloned());
    let surplus = revoked.len().saturating_sub(MAX_REVOKED);
    revoked.drain(..surplus);
    Some(GrantSet { version, grants: grants.into(), revoked })
}

#[cfg(test)]
mod tests;
