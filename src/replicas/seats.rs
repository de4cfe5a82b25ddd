//! Places of sessions, counted over all replicas in the store. One is taken before a session begins, and given back when it has
//! ended: not at once, so that nobody waits for the store to leave.

use std::sync::{Arc, Mutex, PoisonError};

use super::Replicas;
use crate::access::SessionId;
use crate::store::StoreError;

/// A session's place.
#[derive(Debug)]
#[must_use]
pub struct Seat {
    replicas: Arc<Replicas>,
    session: SessionId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.replicas.ended.add(self.session.clone());
    }
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoSeat {
    #[error("the principal has as many sessions as may be, on all replicas together")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sessions whose places are to be given back.
#[derive(Debug, Default)]
pub(super) struct Ended {
    sessions: Mutex<Vec<SessionId>>,
    told: tokio::sync::Notify,
}

impl Ended {
    fn add(&self, session: SessionId) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        self.told.notify_one();
    }

    fn take(&self) -> Vec<SessionId> {
        std::mem::take(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Replicas {
    /// Takes a place for a session.
    ///
    /// # Errors
    /// Where there is none, or the store does not say.
    pub async fn take_seat(
        self: &Arc<Self>,
        session: &SessionId,
        principal: &str,
        most: usize,
    ) -> Result<Seat, NoSeat> {
        // First: what ended here must not stand in the way of what begins here.
        self.give_back_ended().await;
        // A place that was taken by a call whose answer got lost is given back, too.
        let seat = Seat { replicas: Arc::clone(self), session: session.clone() };
        let incarnation = self.me().incarnation;
        if self.fleet.take_seat(&incarnation, session, principal, most).await? {
            return Ok(seat);
        }
        // One that has just ended at another replica may not be given back yet.
        tokio::time::sleep(TOGETHER * 2).await;
        match self.fleet.take_seat(&incarnation, session, principal, most).await? {
            true => Ok(seat),
            false => Err(NoSeat::Full),
        }
    }

    /// Gives back what has ended.
    pub(super) async fn give_back_ended(&self) {
        let ended = self.ended.take();
        if ended.is_empty() {
            return;
        }
        if let Err(error) = self.fleet.give_back_seats(&ended).await {
            tracing::debug!(%error, "places of ended sessions could not be given back: it is tried again");
            ended.into_iter().for_each(|session| self.ended.add(session));
        }
    }

    /// Gives back places soon after they were left, until `stop`.
    pub async fn keep_giving_back(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.ended.told.notified() => {}
            }
            // Those that end together go together; and where the store does not answer it is not asked all the time.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TOGETHER) => {}
            }
            self.give_back_ended().await;
        }
    }
}

const TOGETHER: std::time::Duration = std::time::Duration::from_millis(100);
