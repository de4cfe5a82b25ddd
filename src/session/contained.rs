//! A panic in one session's task is that session's alone, and its records still get their ends.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// The work panicked; what of is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Runs a future to its end, or to its panic. What it borrows must be sound half done: whoever goes on with it ends it.
///
/// It is put in a box of its own: held by value it would take its room twice, in every session's task.
pub fn contained<T>(work: impl Future<Output = T>) -> impl Future<Output = Result<T, Panicked>> {
    let mut work = Box::pin(work);
    std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(Err(Panicked)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        assert_eq!(contained(async { 7 }).await, Ok(7));
        let late = async {
            tokio::task::yield_now().await;
            panic!("as a fault of pgward's own");
        };
        assert_eq!(contained::<()>(late).await, Err(Panicked));
    }
}
