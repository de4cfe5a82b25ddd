//! The time that grants are measured by: the wall clock, made unable to go back.

use std::sync::Mutex;
use std::time::Instant;

use jiff::Timestamp;

/// Wall time that never runs backwards: a wall clock set back does not lengthen a grant, one set forward ends it.
#[derive(Debug)]
pub struct Clock {
    last: Mutex<(Timestamp, Instant)>,
}

impl Clock {
    /// A clock that starts at the wall's time, or at `floor` if that is later: the latest instant that storage knows of,
    /// so that a restart with a clock set back does not lengthen a grant either.
    #[must_use]
    pub fn starting_at(floor: Option<Timestamp>) -> Self {
        let now = Timestamp::now();
        Self { last: Mutex::new((floor.map_or(now, |floor| floor.max(now)), Instant::now())) }
    }

    /// Now: the wall's time, or the last answer plus the monotonic time since, whichever is later.
    pub fn now(&self) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let instant = Instant::now();
        let steady = last.0.saturating_add(instant - last.1).unwrap_or(Timestamp::MAX);
        let now = steady.max(Timestamp::now());
        *last = (now, instant);
        now
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::starting_at(None)
    }
}
