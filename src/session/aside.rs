//! A future that rarely has anything to say, beside a loop that is polled all the time: it is looked at only when it was woken
//! itself, so that what it waits for costs the loop next to nothing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use atomic_waker::AtomicWaker;

/// A future with a wake-up of its own.
pub struct Aside<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Whether the future was woken, and who is to be woken then.
struct Bell {
    rung: AtomicBool,
    owner: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // First the flag: the owner must find it set, whenever it looks.
        self.rung.store(true, Ordering::Release);
        self.owner.wake();
    }
}

impl<F: Future> Aside<F> {
    #[must_use]
    pub fn new(future: F) -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), owner: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&bell));
        Self { future: Box::pin(future), bell, waker }
    }
}

impl<F: Future> Future for Aside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Registered before the flag is read: a bell that is rung in between wakes the owner once more.
        self.bell.owner.register(cx.waker());
        if !self.bell.rung.load(Ordering::Acquire) || !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let Self { future, waker, .. } = &mut *self;
        future.as_mut().poll(&mut Context::from_waker(waker))
    }
}

impl<F> fmt::Debug for Aside<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_looked_at_when_it_was_woken_and_not_before() {
        let looks = Arc::new(AtomicUsize::new(0));
        let (sender, mut receiver) = oneshot::channel();
        let seen = Arc::clone(&looks);
        let mut aside = Aside::new(std::future::poll_fn(move |cx| {
            seen.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut receiver).poll(cx)
        }));
        for _ in 0..10 {
            // Other work wakes the task again and again.
            tokio::select! {
                biased;
                _ = &mut aside => {}
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            let _ = sender.send(7);
        });
        assert_eq!(aside.await, Ok(7));
        assert_eq!(looks.load(Ordering::Relaxed), 2);
    }
}
