//! Cancel requests of one session's client, from when they come until somebody takes note.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether the client has asked for its statement to be cancelled.
#[derive(Debug, Default)]
pub struct Cancels {
    asked: AtomicBool,
    noted: Notify,
}

impl Cancels {
    /// It has.
    pub fn note(&self) {
        self.asked.store(true, Ordering::Release);
        self.noted.notify_waiters();
    }

    /// Whether it has, once.
    pub fn take(&self) -> bool {
        self.asked.swap(false, Ordering::AcqRel)
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
    fn who_waits_is_woken_and_who_came_too_late_waits_on() {
        let cancels = Cancels::default();
        let mut first = Box::pin(cancels.noted());
        assert!(first.as_mut().now_or_never().is_none());
        cancels.note();
        assert!(first.as_mut().now_or_never().is_some());
        assert!(!cancels.take());
    }
}
