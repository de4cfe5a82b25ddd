//! Cancel requests of one session's client, from when they come until somebody takes note.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Whether the client has asked for its statement to be cancelled, and whether that statement is one that is held.
#[derive(Debug, Default)]
pub struct Cancels {
    state: Mutex<State>,
    noted: Notify,
}

#[derive(Debug, Default)]
struct State {
    asked: bool,
    /// pgward itself holds the statement: the upstream runs nothing that could be cancelled, and what it runs next must not be.
    is_held: bool,
}

impl Cancels {
    /// The client has asked. Answers whether the upstream is to be asked in turn.
    pub fn note(&self) -> bool {
        let mut state = self.state();
        state.asked = true;
        let goes_on = !state.is_held;
        drop(state);
        self.noted.notify_waiters();
        goes_on
    }

    /// Whether it has asked, once.
    pub fn take(&self) -> bool {
        std::mem::take(&mut self.state().asked)
    }

    /// A statement is held from here on. What was asked before was meant for what ran before.
    pub fn begin_hold(&self) {
        *self.state() = State { asked: false, is_held: true };
    }

    /// None is held any more. Answers whether it was to be cancelled: what is asked from here on goes to the upstream.
    pub fn end_hold(&self) -> bool {
        std::mem::take(&mut *self.state()).asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it asks, or has asked already, and takes that. Cancel safe.
    pub async fn noted(&self) {
        loop {
            let mut noted = std::pin::pin!(self.noted.notified());
            // Listening before the flag is looked at: what comes in between is heard.
            noted.as_mut().enable();
            if self.take() {
                return;
            }
            noted.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_cancel_request_that_came_before_anybody_waited_is_heard_once() {
        let cancels = Cancels::default();
        cancels.note();
        assert!(cancels.noted().now_or_never().is_some());
        assert!(cancels.noted().now_or_never().is_none(), "it was taken");
    }

    #[test]
    fn a_cancel_request_ends_what_is_held_or_goes_on_and_never_both() {
        let cancels = Cancels::default();
        assert!(cancels.note(), "nothing is held");
        cancels.begin_hold();
        assert!(!cancels.take(), "that was for what ran before");
        assert!(!cancels.note());
        assert!(cancels.end_hold(), "approval came at the same time, and too late");
        assert!(cancels.note());
        assert!(cancels.take());
        cancels.begin_hold();
        assert!(!cancels.end_hold());
    }

    #[test]
    fn who_waits_is_woken_and_who_came_too_late_waits_on() {
        let cancels = Cancels::default();
        let mut first = Box::pin(cancels.noted());
        assert!(first.as_mut().now_or_never().is_none());
        cancels.note();
        assert!(first.as_mut().now_or_never().is_some());
        assert!(!cancels.take());
    }
}
