//! A client that takes nothing of what waits for it: after a while its session is ended, so that its backend and what it holds are
//! free for others. One that reads slowly is left alone.

use std::time::{Duration, Instant};

/// Looks in the time that a client is given.
const LOOKS: u32 = 4;

/// Since when a client has taken nothing.
#[derive(Clone, Copy, Debug)]
pub struct Unread {
    timeout: Duration,
    /// What it had taken when last looked at.
    taken: u64,
    since: Option<Instant>,
}

impl Unread {
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, taken: 0, since: None }
    }

    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Between two looks.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.timeout / LOOKS
    }

    /// Looks at whether something waits for the client, and at how many bytes it has taken in all. Answers whether it has had its
    /// time.
    pub fn is_over(&mut self, waits: bool, taken: u64, now: Instant) -> bool {
        let is_stalled = waits && self.taken == taken;
        self.taken = taken;
        if !is_stalled {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        now.duration_since(since) >= self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_takes_nothing_for_so_long_is_over() {
        let mut unread = Unread::new(Duration::from_secs(60));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        // Nothing waits for it.
        assert!(!unread.is_over(false, 10, at(0)) && !unread.is_over(false, 10, at(500)));
        // It takes one byte a minute.
        for minute in 0..20 {
            assert!(!unread.is_over(true, 11 + minute, at(500 + 60 * minute)));
        }
        assert!(!unread.is_over(true, 30, at(2_000)));
        assert!(!unread.is_over(true, 30, at(2_059)));
        assert!(unread.is_over(true, 30, at(2_060)));
        assert!(!unread.is_over(true, 31, at(2_061)), "it has taken something after all");
    }
}
