//! One write for all that wants recording at the same time. Sessions that one runtime serves leave their allowed statements here
//! and wait; once everything that is ready to run there has run, one write(2) takes what came together, with the ends of
//! statements that wait for it. Each session's statements are recorded all or none, whatever becomes of its neighbours'.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use atomic_waker::AtomicWaker;
use tokio::runtime::{Handle, Id};

use super::appender::Class;
use super::canonical::Unnumbered;
use super::draft::{Allowed, EndDraft};
use super::{Journal, JournalError, Receipt, Unsettled};
use crate::policy::Permit;

/// What waits beyond this is written at once.
const MAX_RECORDS: usize = 256;
/// Bytes of records; likewise.
const MAX_BYTES: usize = 256 * 1024;

/// The turns of all runtimes that serve sessions.
#[derive(Debug)]
pub struct Turns {
    journal: Arc<Journal>,
    by_runtime: Mutex<HashMap<Id, Arc<Turn>>>,
}

impl Turns {
    #[must_use]
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { journal, by_runtime: Mutex::default() }
    }

    /// The one of the runtime that the caller runs on.
    #[must_use]
    pub fn here(&self) -> Arc<Turn> {
        let mut turns = self.by_runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let turn =
            turns.entry(Handle::current().id()).or_insert_with(|| Arc::new(Turn::new(Arc::clone(&self.journal))));
        Arc::clone(turn)
    }
}

/// What the sessions of one runtime want recorded.
#[derive(Debug)]
pub struct Turn {
    journal: Arc<Journal>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<Unnumbered>,
    bytes: usize,
    /// Whose they are, in order, and how many.
    seats: Vec<(Arc<Seat>, usize)>,
    /// Somebody sees to it that they are written.
    is_rung: bool,
}

/// A session's place in the turns: it waits for one thing at a time.
#[derive(Debug, Default)]
pub struct Seat {
    state: Mutex<State>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Free,
    Waiting,
    /// With the first record's `seq`.
    Written(u64),
    Failed(JournalError),
}

impl Seat {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: State) {
        *self.state() = state;
        self.waker.wake();
    }

    /// What became of it, once that is known; the place is free then.
    fn take(&self) -> Option<Result<u64, JournalError>> {
        let mut state = self.state();
        match std::mem::take(&mut *state) {
            State::Written(first_seq) => Some(Ok(first_seq)),
            State::Failed(error) => Some(Err(error)),
            same @ (State::Free | State::Waiting) => {
                *state = same;
                None
            }
        }
    }
}

/// Permitted statements that wait to be written.
#[derive(Debug)]
#[must_use = "what waits is to be waited for"]
pub struct Joined {
    permits: Vec<Permit>,
}

impl Turn {
    fn new(journal: Arc<Journal>) -> Self {
        Self { journal, waiting: Mutex::default() }
    }

    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Leaves permitted statements to be written with what else comes.
    pub fn join(self: &Arc<Self>, seat: &Arc<Seat>, items: Vec<Allowed>) -> Joined {
        let mut permits = Vec::with_capacity(items.len());
        let mut waiting = self.waiting();
        let count = items.len();
        for Allowed { permit, unnumbered } in items {
            permits.push(permit);
            waiting.bytes += unnumbered.len();
            waiting.records.push(unnumbered);
        }
        *seat.state() = State::Waiting;
        waiting.seats.push((Arc::clone(seat), count));
        if waiting.records.len() >= MAX_RECORDS || waiting.bytes >= MAX_BYTES {
            self.write_waiting(&mut waiting);
        } else {
            self.ring(&mut waiting);
        }
        Joined { permits }
    }

    /// Returns once they are written. Where it is dropped before, [`Self::leave`] says what became of them.
    ///
    /// # Errors
    /// Where not all of them could be written; then none may pass.
    pub async fn written(&self, seat: &Seat, joined: Joined) -> Result<Unsettled, JournalError> {
        let taken = std::future::poll_fn(|cx| {
            seat.waker.register(cx.waker());
            seat.take().map_or(Poll::Pending, Poll::Ready)
        });
        let first_seq = taken.await?;
        let receipts = joined.permits.into_iter().zip(first_seq..);
        Ok(Unsettled::new(receipts.map(|(permit, seq)| Receipt::new(permit, seq)).collect()))
    }

    /// Waits no more. What was not written yet never will be; of what was, answers the first `seq`.
    pub fn leave(&self, seat: &Arc<Seat>) -> Option<u64> {
        let mut waiting = self.waiting();
        let mut from = 0;
        for (index, (whose, count)) in waiting.seats.iter().enumerate() {
            let until = from + count;
            if Arc::ptr_eq(whose, seat) {
                waiting.seats.remove(index);
                let bytes: usize = waiting.records.drain(from..until).map(|record| record.len()).sum();
                waiting.bytes -= bytes;
                break;
            }
            from = until;
        }
        let first_seq = seat.take().and_then(Result::ok);
        *seat.state() = State::Free;
        first_seq
    }

    /// Records how a statement ended: with what is written next, at the latest at the end of this turn.
    ///
    /// # Errors
    /// Where it cannot be recorded.
    pub fn end(self: &Arc<Self>, draft: &EndDraft<'_>) -> Result<(), JournalError> {
        if self.journal.end(draft)? {
            self.ring(&mut self.waiting());
        }
        Ok(())
    }

    /// Sees to it that somebody writes when whatever is ready to run has run: tasks run in the order in which they were woken.
    fn ring(self: &Arc<Self>, waiting: &mut Waiting) {
        if !waiting.is_rung {
            waiting.is_rung = true;
            let turn = Arc::clone(self);
            tokio::spawn(async move { turn.write() });
        }
    }

    fn write(&self) {
        let mut waiting = self.waiting();
        waiting.is_rung = false;
        self.write_waiting(&mut waiting);
    }

    /// Writes what waits, and wakes everybody. Whoever [leaves](Self::leave) meanwhile waits for it.
    fn write_waiting(&self, waiting: &mut Waiting) {
        // Records and those whose they are go together, whatever happens here: nobody gets another's receipt.
        let (mut records, mut seats) = (std::mem::take(&mut waiting.records), std::mem::take(&mut waiting.seats));
        waiting.bytes = 0;
        match self.journal.write_together(&mut records, Class::Opening) {
            Ok(mut seq) => {
                for (seat, count) in seats.drain(..) {
                    seat.tell(State::Written(seq));
                    seq += count as u64;
                }
            }
            Err(_) => {
                for (seat, count) in seats.drain(..) {
                    let mut own = records.drain(..count).collect();
                    let written = self.journal.write_together(&mut own, Class::Opening);
                    seat.tell(written.map_or_else(State::Failed, State::Written));
                }
            }
        }
        // Their room is used again.
        records.clear();
        (waiting.records, waiting.seats) = (records, seats);
    }

    /// Every change to it is complete when the guard goes, so a poisoned mutex guards sound state.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
