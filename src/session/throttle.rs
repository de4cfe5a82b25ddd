//! Counts what strangers may do only so often: failed logins and cancel requests, by address, so that one who guesses
//! locks out nobody but themselves.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keys that are remembered at once; when there are more, the oldest are forgotten.
const MAX_KEYS: usize = 20_000;

/// The part of an address that one party holds: an IPv4 address, an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(u128);

impl Network {
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u128::from(u32::from(address))),
            IpAddr::V6(address) => Self(u128::from(address) & !u128::from(u64::MAX)),
        }
    }
}

/// At most so many events for each key in each window.
#[derive(Debug)]
pub struct Throttle<K> {
    most: u32,
    window: Duration,
    counts: Mutex<HashMap<K, (Instant, u32)>>,
}

impl<K: Eq + Hash> Throttle<K> {
    #[must_use]
    pub fn new(most: u32, window: Duration) -> Self {
        Self { most, window, counts: Mutex::default() }
    }

    /// Whether the key has had its share.
    pub fn is_over(&self, key: &K, now: Instant) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(key).is_some_and(|(since, count)| now.duration_since(*since) < self.window && *count >= self.most)
    }

    /// Counts one event, and answers whether it was within the key's share.
    pub fn count(&self, key: K, now: Instant) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_KEYS && !counts.contains_key(&key) {
            counts.retain(|_, (since, _)| now.duration_since(*since) < self.window);
            if counts.len() >= MAX_KEYS {
                counts.clear();
            }
        }
        let (since, count) = counts.entry(key).or_insert((now, 0));
        if now.duration_since(*since) >= self.window {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= self.most
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_has_its_share_of_each_window() {
        let throttle = Throttle::new(2, Duration::from_secs(60));
        let start = Instant::now();
        assert!(throttle.count("a", start) && throttle.count("a", start));
        assert!(throttle.is_over(&"a", start) && !throttle.is_over(&"b", start));
        assert!(!throttle.count("a", start));
        let later = start + Duration::from_secs(61);
        assert!(!throttle.is_over(&"a", later) && throttle.count("a", later));
    }

    #[test]
    fn an_ipv6_party_is_a_64() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.2"), network("10.0.0.1"));
    }
}
