//! The grants that are not over, in memory, and who waits for changes of which. A change costs what it changes: what nobody
//! touched stays the very same set.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{GrantSet, MAX_REVOKED};
use crate::access::{Grant, GrantId, GrantState};

/// Whose grants, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    principal: String,
    database: String,
}

impl Key {
    pub(super) fn new(principal: &str, database: &str) -> Self {
        Self { principal: principal.to_owned(), database: database.to_owned() }
    }

    fn of(grant: &Grant) -> Self {
        Self::new(&grant.principal, &grant.scope.database)
    }
}

type Grants = Arc<[Arc<Grant>]>;

/// What the store said, and who waits for what it says next.
#[derive(Debug, Default)]
pub(super) struct View {
    open: HashMap<Key, Grants>,
    /// Senders exist only where somebody listens; [`View::drop_unwatched`] sees to that.
    watched: HashMap<Key, watch::Sender<Arc<GrantSet>>>,
    /// One counter for all sets: a set that is dropped and made anew never repeats a version.
    version: u64,
}

impl View {
    pub(super) fn subscribe(&mut self, key: Key) -> watch::Receiver<Arc<GrantSet>> {
        if let Some(sender) = self.watched.get(&key) {
            return sender.subscribe();
        }
        self.version += 1;
        let grants = self.open.get(&key).cloned().unwrap_or_default();
        let set = GrantSet { version: self.version, grants, revoked: Vec::new() };
        let (sender, receiver) = watch::channel(Arc::new(set));
        self.watched.insert(key, sender);
        receiver
    }

    pub(super) fn drop_unwatched(&mut self) {
        self.watched.retain(|_, sender| sender.receiver_count() > 0);
    }

    #[cfg(test)]
    pub(super) fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Takes everything in anew.
    pub(super) fn take_all(&mut self, open: Vec<Grant>, revoked: &[Arc<Grant>]) {
        let mut by_key: HashMap<Key, Vec<Arc<Grant>>> = HashMap::new();
        for grant in open {
            by_key.entry(Key::of(&grant)).or_default().push(Arc::new(grant));
        }
        let mut before = std::mem::take(&mut self.open);
        for (key, grants) in by_key {
            let same = before.remove(&key).filter(|before| **before == *grants);
            self.open.insert(key, same.unwrap_or_else(|| grants.into()));
        }
        let keys: Vec<Key> = self.watched.keys().cloned().collect();
        keys.iter().for_each(|key| self.tell(key, revoked));
    }

    /// Takes in what has changed.
    pub(super) fn take(&mut self, changed: Vec<Grant>, now: Timestamp) {
        for grant in changed {
            let (key, grant) = (Key::of(&grant), Arc::new(grant));
            let before = self.open.get(&key).cloned().unwrap_or_default();
            let was_held = before.iter().any(|held| held.id == grant.id);
            // Each in its place: who tries them begins with the oldest.
            let place = before.iter().position(|held| held.id == grant.id).unwrap_or(before.len());
            let mut grants: Vec<_> = before.iter().filter(|held| held.id != grant.id).cloned().collect();
            let revoked = match grant.state_at(now) {
                GrantState::Pending | GrantState::Live => {
                    grants.insert(place, grant);
                    None
                }
                GrantState::Revoked => Some(grant).filter(|_| was_held),
                GrantState::Expired => None,
            };
            self.hold(&key, grants);
            self.tell(&key, revoked.as_slice());
        }
    }

    /// Lets go of what has run out: of what somebody waits for, or of everything.
    pub(super) fn run_out(&mut self, now: Timestamp, everything: bool) {
        let is_over = |grants: &Grants| grants.iter().any(|grant| grant.expires_at <= now);
        let keys: Vec<Key> = if everything {
            self.open.iter().filter(|(_, grants)| is_over(grants)).map(|(key, _)| key.clone()).collect()
        } else {
            let over = self.watched.keys().filter(|key| self.open.get(key).is_some_and(is_over));
            over.cloned().collect()
        };
        for key in keys {
            let grants = self.open.get(&key).cloned().unwrap_or_default();
            self.hold(&key, grants.iter().filter(|grant| grant.expires_at > now).cloned().collect());
            self.tell(&key, &[]);
        }
    }

    /// Grants that a session may hold and that are over before their time.
    pub(super) fn ended_early(&self, open: &[Grant], now: Timestamp) -> Vec<GrantId> {
        let still: HashSet<&GrantId> = open.iter().map(|grant| &grant.id).collect();
        let watched = self.watched.keys().filter_map(|key| self.open.get(key)).flat_map(|grants| grants.iter());
        let ended = watched.filter(|grant| !still.contains(&grant.id) && grant.expires_at > now);
        ended.map(|grant| grant.id.clone()).collect()
    }

    fn hold(&mut self, key: &Key, grants: Vec<Arc<Grant>>) {
        if grants.is_empty() {
            self.open.remove(key);
        } else {
            self.open.insert(key.clone(), grants.into());
        }
    }

    /// Tells those who wait for these grants, if they changed.
    fn tell(&mut self, key: &Key, revoked: &[Arc<Grant>]) {
        let Some(sender) = self.watched.get(key) else { return };
        let grants = self.open.get(key).cloned().unwrap_or_default();
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

/// The set after a change, if it differs.
pub(super) fn changed_set<'a>(
    set: &GrantSet,
    grants: Grants,
    newly_revoked: impl Iterator<Item = &'a Arc<Grant>>,
    version: u64,
) -> Option<GrantSet> {
    if Arc::ptr_eq(&set.grants, &grants) || *set.grants == *grants {
        return None;
    }
    let mut revoked = set.revoked.clone();
    revoked.extend(newly_revoked.cloned());
    let surplus = revoked.len().saturating_sub(MAX_REVOKED);
    revoked.drain(..surplus);
    Some(GrantSet { version, grants, revoked })
}
