//! The desk: where access is asked for, decided on, opened in an emergency and reviewed, whoever comes by whatever way. Each act
//! is recorded first, then done; one at a time, so that what was checked before an act is recorded still holds when it is done.

mod actor;
mod analysing;
mod deciding;
mod editing;
mod emergency;
mod error;
mod filing;
mod metrics;
mod recording;

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

pub use actor::Actor;
pub use analysing::{Analyse, NotAnalysed};
pub use error::{DeskError, check_text};
pub use filing::{MAX_TEXT, MAX_TICKET, Wish};
pub use metrics::Metrics;
pub use recording::Recorder;

use crate::access::{AccessRequest, Clock, Grant, Principal, RequestId, Review, Scope};
use crate::audit::Journal;
use crate::store::{GrantBook, SharedStore, StoreError};

/// What the configuration offers now.
pub trait Offers: Send + Sync + std::fmt::Debug {
    fn scope(&self, name: &str) -> Option<Scope>;

    /// Somebody as they are now; `None` where they are no user any more.
    fn standing(&self, principal: &Principal) -> Option<Principal>;
}

/// The parts that the desk works with.
#[derive(Debug)]
pub struct Parts {
    pub store: SharedStore,
    pub grants: Arc<GrantBook>,
    pub journal: Arc<Journal>,
    pub clock: Arc<Clock>,
    pub offers: Arc<dyn Offers>,
    /// Takes the secrets out of a statement's text before it is recorded.
    pub redact: for<'a> fn(&'a str) -> Cow<'a, str>,
    pub metrics: Metrics,
    /// Looks at the statements of requests.
    pub analyst: Arc<dyn Analyse>,
}

/// The desk of one pgward.
#[derive(Debug)]
pub struct Desk {
    parts: Parts,
    turn: Mutex<()>,
}

/// A request, with the grant that came of it and the review that is owed.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub request: AccessRequest,
    pub grant: Option<Grant>,
    pub review: Option<Review>,
}

impl Desk {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, turn: Mutex::new(()) }
    }

    /// Waits for what is done at the desk, and keeps others from it: for acts on grants and sessions.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// A request that somebody may see; one that they may not is as good as none.
    ///
    /// # Errors
    /// [`DeskError::Store`]
    pub async fn request(&self, id: &RequestId, actor: &Actor) -> Result<AccessRequest, DeskError> {
        let mut found = self.parts.store.request(id).await?;
        found.expire(self.parts.clock.now());
        if actor.sees(&found.principal.name, &found.scope) {
            Ok(found)
        } else {
            Err(StoreError::NotFound("request").into())
        }
    }

    /// The newest of somebody's own requests, oldest first, with the grants that came of them.
    ///
    /// # Errors
    /// [`DeskError::Store`]
    pub async fn own_requests(
        &self,
        principal: &Principal,
        most: usize,
    ) -> Result<Vec<(AccessRequest, Option<Grant>)>, DeskError> {
        let name = principal.name.clone();
        let wanted = Box::new(move |of: &str, _: &Scope| of == name);
        Ok(self.parts.store.list_requests(wanted, None, most, self.parts.clock.now()).await?)
    }

    /// How acts are recorded.
    #[must_use]
    pub fn recorder(&self) -> Recorder<'_> {
        Recorder::new(&self.parts)
    }
}
