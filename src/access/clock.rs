//! The time that grants are measured by: a store's own clock where it has one, else the wall clock; made unable to go back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// Time that never runs backwards: a clock set back does not lengthen a grant, one set forward ends it.
///
/// Where several replicas share a store, its clock decides: what the wall of any of them says is only looked at to tell how
/// far off it is.
#[derive(Debug)]
pub struct Clock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Timestamp,
    at: Instant,
    /// By how much we are ahead of the reference: given back by going slower, so that time does not go back.
    ahead: SignedDuration,
    reference: Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference {
    Wall,
    Told,
}

/// What a reference said, and between which instants.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub asked: Instant,
    pub said: Timestamp,
    pub answered: Instant,
}

impl Clock {
    /// A clock that starts at the wall's time, or at `floor` if that is later: the latest instant that storage knows of,
    /// so that a restart with a clock set back does not lengthen a grant either.
    #[must_use]
    pub fn starting_at(floor: Option<Timestamp>) -> Self {
        let now = Timestamp::now();
        Self::new(floor.map_or(now, |floor| floor.max(now)), Instant::now(), Reference::Wall)
    }

    /// A clock that goes by what it is told, from now on and for ever; never before `floor`.
    #[must_use]
    pub fn told(reading: Reading, floor: Option<Timestamp>) -> Self {
        let said = floor.map_or(reading.said, |floor| floor.max(reading.said));
        Self::new(said, reading.answered, Reference::Told)
    }

    fn new(last: Timestamp, at: Instant, reference: Reference) -> Self {
        Self { state: Mutex::new(State { last, at, ahead: SignedDuration::ZERO, reference }) }
    }

    /// Now: the reference's time, or the last answer plus the monotonic time since, whichever is later.
    pub fn now(&self) -> Timestamp {
        self.state().now(Instant::now())
    }

    /// Goes by what the reference says. Answers how far the wall is ahead of it, for those who watch over clocks.
    pub fn learn(&self, reading: Reading) -> SignedDuration {
        let wall = Timestamp::now();
        let mut state = self.state();
        let now = state.now(Instant::now());
        let since = |then: Instant| SignedDuration::try_from(state.at - then).unwrap_or(SignedDuration::ZERO);
        // It is at least that late there, and at most so late.
        let (least, most) = (later(reading.said, since(reading.answered)), later(reading.said, since(reading.asked)));
        state.last = now.max(least);
        state.ahead = now.duration_since(most).max(SignedDuration::ZERO);
        wall.duration_since(later(least, most.duration_since(least) / 2))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn now(&mut self, instant: Instant) -> Timestamp {
        let passed =
            SignedDuration::try_from(instant.saturating_duration_since(self.at)).unwrap_or(SignedDuration::MAX);
        let given_back = self.ahead.min(passed / SLOWER);
        self.ahead -= given_back;
        let steady = later(self.last, passed - given_back);
        let now = match self.reference {
            Reference::Wall => steady.max(Timestamp::now()),
            Reference::Told => steady,
        };
        (self.last, self.at) = (now, instant.max(self.at));
        now
    }
}

fn later(instant: Timestamp, by: SignedDuration) -> Timestamp {
    instant.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// A clock that is ahead goes slower by one part in so many.
const SLOWER: i32 = 10;

impl Default for Clock {
    fn default() -> Self {
        Self::starting_at(None)
    }
}
