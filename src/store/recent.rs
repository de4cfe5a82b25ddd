//! Credentials that were read a moment ago: a hundred connections of one application ask for the same ones within a second, and
//! each answer of the database file costs a change of threads.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::store::Credential;

/// What another process mints counts here no later than this. What this process mints counts at once.
const AGE: Duration = Duration::from_secs(1);
/// Principals and databases that are remembered at once.
const MOST: usize = 4_096;

/// By principal and database.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: HashMap<(String, String), Known>,
    /// Grows with everything that is minted, so that what was read before that is not remembered after it.
    minted: u64,
}

#[derive(Debug)]
struct Known {
    read_at: Instant,
    /// The instant that they were asked for: those that had run out by then are not among them.
    asked_for: Timestamp,
    credentials: Vec<Credential>,
}

/// From before a reading to after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    begun: Instant,
    minted: u64,
}

impl Recent {
    /// What is good at `now`, if it was read a moment ago; otherwise what [`Self::remember`] wants to be told.
    pub(super) fn find(&self, key: &(String, String), now: Timestamp) -> Result<Vec<Credential>, Reading> {
        let state = self.state();
        let begun = Instant::now();
        let known = state.known.get(key);
        match known.filter(|known| begun.duration_since(known.read_at) < AGE && known.asked_for <= now) {
            Some(known) => Ok(known.credentials.iter().filter(|one| one.expires_at > now).cloned().collect()),
            None => Err(Reading { begun, minted: state.minted }),
        }
    }

    pub(super) fn remember(&self, key: (String, String), reading: Reading, now: Timestamp, found: &[Credential]) {
        let mut state = self.state();
        if state.minted != reading.minted {
            return;
        }
        if state.known.len() >= MOST {
            state.known.retain(|_, known| known.read_at.elapsed() < AGE);
            if state.known.len() >= MOST {
                state.known.clear();
            }
        }
        let known = Known { read_at: reading.begun, asked_for: now, credentials: found.to_vec() };
        state.known.insert(key, known);
    }

    /// To be told once a new one is stored.
    pub(super) fn minted(&self, principal: &str) {
        let mut state = self.state();
        state.minted += 1;
        // On every database: those that ran out went on all of them.
        state.known.retain(|(of, _), _| of != principal);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn key() -> (String, String) {
        ("alice".to_owned(), "shop".to_owned())
    }

    fn credential(expires_at: Timestamp) -> Credential {
        let (principal, database) = key();
        Credential { principal, database, verifier: "v".to_owned(), created_at: Timestamp::UNIX_EPOCH, expires_at }
    }

    #[test]
    fn what_runs_out_is_gone_and_what_had_run_out_is_read_again() {
        let (recent, now) = (Recent::default(), Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1));
        let reading = recent.find(&key(), now).unwrap_err();
        let found = [credential(now + SignedDuration::from_secs(1)), credential(now + SignedDuration::from_secs(9))];
        recent.remember(key(), reading, now, &found);
        assert_eq!(recent.find(&key(), now).unwrap(), found);
        assert_eq!(recent.find(&key(), now + SignedDuration::from_secs(1)).unwrap(), found[1..]);
        assert!(recent.find(&key(), now - SignedDuration::from_secs(1)).is_err());
    }

    #[test]
    fn what_was_read_before_a_minting_is_not_remembered() {
        let (recent, now) = (Recent::default(), Timestamp::UNIX_EPOCH);
        let before = recent.find(&key(), now).unwrap_err();
        recent.minted("alice");
        recent.remember(key(), before, now, &[]);
        let again = recent.find(&key(), now).unwrap_err();
        recent.remember(key(), again, now, &[]);
        assert_eq!(recent.find(&key(), now).unwrap(), []);
        recent.minted("alice");
        assert!(recent.find(&key(), now).is_err());
    }
}
