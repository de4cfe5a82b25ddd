//! How often something may be written down for each of many parties, and how often it happened beyond that: what strangers do
//! must leave a trace, and must not fill the journal.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many in each window, by key.
#[derive(Debug)]
pub struct Allowance<K> {
    most: u32,
    counts: Mutex<HashMap<K, Count>>,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    happened: u32,
}

impl<K: Eq + Hash> Allowance<K> {
    /// `most` within [`WINDOW`].
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { most, counts: Mutex::default() }
    }

    /// Counts one happening. Where it is to be written down, answers how many of the window before were not.
    pub fn take(&self, key: K, now: Instant) -> Option<u32> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_KEYS && !counts.contains_key(&key) {
            counts.retain(|_, count| now.duration_since(count.since) < WINDOW);
            if counts.len() >= MAX_KEYS {
                counts.clear();
            }
        }
        let count = counts.entry(key).or_insert(Count { since: now, happened: 0 });
        let mut missed = 0;
        if now.duration_since(count.since) >= WINDOW {
            missed = count.happened.saturating_sub(self.most);
            *count = Count { since: now, happened: 0 };
        }
        count.happened = count.happened.saturating_add(1);
        (count.happened <= self.most).then_some(missed)
    }
}

/// How long happenings count, from the first of them.
const WINDOW: Duration = Duration::from_secs(60);
/// Keys that are remembered.
const MAX_KEYS: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_written_down_and_the_rest_is_counted() {
        let (allowance, now) = (Allowance::new(3), Instant::now());
        let taken: Vec<_> = (0..5).map(|_| allowance.take("one", now)).collect();
        assert_eq!(taken, [Some(0), Some(0), Some(0), None, None]);
        assert_eq!(allowance.take("other", now), Some(0));
        assert_eq!(allowance.take("one", now + WINDOW), Some(2));
    }

    #[test]
    fn memory_is_bounded() {
        let (allowance, now) = (Allowance::new(1), Instant::now());
        for key in 0..MAX_KEYS * 2 {
            allowance.take(key, now);
        }
        assert!(allowance.counts.lock().unwrap_or_else(PoisonError::into_inner).len() <= MAX_KEYS);
    }
}
