//! One look a second for all sessions at what no session can wait for by itself: a wall clock that was set forward, and a store
//! that answers no more. Idle sessions so sleep until something happens.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::access::Clock;
use crate::store::GrantBook;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Wall time that is so much ahead of what has passed was set.
const AHEAD: SignedDuration = SignedDuration::from_millis(100);

/// What the looks have found. It changes only where sessions must look again themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How often the clock was set forward.
    pub jumps: u64,
    /// Whether the store has not answered for longer than live sessions may outlast it.
    pub store_lost: bool,
    /// Nobody looks any more: what a look would find is not known.
    pub blind: bool,
}

/// The looks, and those who are told.
#[derive(Debug)]
pub struct Pulse {
    book: Arc<GrantBook>,
    lease: Duration,
    clock: Arc<Clock>,
    found: watch::Sender<Found>,
}

impl Pulse {
    #[must_use]
    pub fn new(book: Arc<GrantBook>, lease: Duration, clock: Arc<Clock>) -> Arc<Self> {
        Arc::new(Self { book, lease, clock, found: watch::Sender::new(Found::default()) })
    }

    /// Tells of what is found from now on. To be asked for before what has been found already is looked at.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Found> {
        self.found.subscribe()
    }

    /// Whether grants can be relied on now.
    #[must_use]
    pub fn is_store_fresh(&self) -> bool {
        self.book.is_fresh(self.lease)
    }

    /// Looks until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let _blind = Blind(&self);
        let mut steady = Steady::new(self.clock.now(), Instant::now());
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel safe: nothing is held between looks.
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let jumped = steady.has_jumped(self.clock.now(), Instant::now());
            let store_lost = !self.is_store_fresh();
            self.found.send_if_modified(|found| {
                let next = Found { jumps: found.jumps + u64::from(jumped), store_lost, blind: false };
                let changed = *found != next;
                *found = next;
                changed
            });
        }
    }
}

/// However the looks end, sessions that still live are told.
struct Blind<'a>(&'a Pulse);

impl Drop for Blind<'_> {
    fn drop(&mut self) {
        self.0.found.send_modify(|found| found.blind = true);
    }
}

/// Wall time as it must be if nobody sets it.
struct Steady {
    wall: Timestamp,
    at: Instant,
}

impl Steady {
    fn new(wall: Timestamp, at: Instant) -> Self {
        Self { wall, at }
    }

    /// Whether the wall's time is ahead; it then counts from here. What it gains little by little adds up.
    fn has_jumped(&mut self, wall: Timestamp, at: Instant) -> bool {
        let passed = SignedDuration::try_from(at.duration_since(self.at)).unwrap_or(SignedDuration::MAX);
        let jumped = wall.duration_since(self.wall) > passed.saturating_add(AHEAD);
        if jumped {
            *self = Self::new(wall, at);
        }
        jumped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_forward_is_told_once() {
        let (wall, at) = (Timestamp::UNIX_EPOCH, Instant::now());
        let mut steady = Steady::new(wall, at);
        let mut look = |wall_ms: i64, passed_ms: u64| {
            steady.has_jumped(wall + SignedDuration::from_millis(wall_ms), at + Duration::from_millis(passed_ms))
        };
        assert!(!look(1_000, 1_000));
        assert!(!look(2_090, 2_000));
        // Slowly gained is gained too.
        assert!(look(3_110, 3_000));
        assert!(!look(4_110, 4_000));
        assert!(look(3_604_110, 5_000));
        assert!(!look(3_605_110, 6_000));
    }
}
