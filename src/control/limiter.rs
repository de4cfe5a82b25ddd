//! How often one address may fail to authenticate. Counts failures only: who has the right token is never slowed down
//! by somebody else's address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures of one address within [`WINDOW`] after which it has to wait.
pub const MAX_FAILURES: u32 = 10;

/// How long failures count, from the first of them.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered. Beyond it the one that is nearest its window's end is forgotten.
const MAX_ADDRESSES: usize = 4096;

/// Failed authentications by address.
#[derive(Debug, Default)]
pub struct FailureLimiter {
    windows: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    failures: u32,
}

impl Window {
    fn left(&self, now: Instant) -> Duration {
        WINDOW.saturating_sub(now.saturating_duration_since(self.since))
    }
}

impl FailureLimiter {
    /// Seconds that this address has to wait before it is heard again; `None` where it is heard now.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<u64> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.get(&host_of(address))?;
        let left = window.left(now);
        (window.failures >= MAX_FAILURES && !left.is_zero()).then(|| left.as_secs().max(1))
    }

    /// Counts one failure.
    pub fn failed(&self, address: IpAddr, now: Instant) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= MAX_ADDRESSES && !windows.contains_key(&host_of(address)) {
            windows.retain(|_, window| !window.left(now).is_zero());
            if windows.len() >= MAX_ADDRESSES
                && let Some(oldest) = windows.iter().min_by_key(|(_, window)| window.since).map(|(ip, _)| *ip)
            {
                windows.remove(&oldest);
            }
        }
        let window = windows.entry(host_of(address)).or_insert(Window { since: now, failures: 0 });
        if window.left(now).is_zero() {
            *window = Window { since: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

/// One host: an IPv4 address, or the /64 that an IPv6 host may choose its addresses from.
pub fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_attempt_waits_and_only_from_that_address() {
        let limiter = FailureLimiter::default();
        let start = Instant::now();
        let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..MAX_FAILURES {
            assert_eq!(limiter.wait(one, start), None);
            limiter.failed(one, start);
        }
        assert_eq!(limiter.wait(one, start), Some(60));
        assert_eq!(limiter.wait(one, start + Duration::from_secs(45)), Some(15));
        assert_eq!(limiter.wait(one, start + WINDOW), None);
        assert_eq!(limiter.wait(other, start), None);
    }

    #[test]
    fn ipv6_hosts_are_told_apart_by_their_network() {
        let limiter = FailureLimiter::default();
        let now = Instant::now();
        for host in 0..MAX_FAILURES {
            limiter.failed(format!("2001:db8::{host:x}").parse().unwrap(), now);
        }
        assert!(limiter.wait("2001:db8::ffff".parse().unwrap(), now).is_some());
        assert!(limiter.wait("2001:db8:0:1::1".parse().unwrap(), now).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = FailureLimiter::default();
        let now = Instant::now();
        for host in 0..u32::try_from(MAX_ADDRESSES).unwrap() * 2 {
            limiter.failed(IpAddr::V4(host.into()), now);
        }
        assert!(limiter.windows.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
