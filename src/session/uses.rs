//! The uses of grants that may be used so often: taken from the store before a statement goes, so that sessions, processes and
//! restarts all count together.

use std::sync::Arc;

use crate::access::{Grant, GrantId};
use crate::store::{GrantBook, SharedStore, StoreError};

/// Takes uses.
#[derive(Debug)]
pub struct Uses {
    store: SharedStore,
    grants: Arc<GrantBook>,
}

impl Uses {
    #[must_use]
    pub fn new(store: SharedStore, grants: Arc<GrantBook>) -> Self {
        Self { store, grants }
    }

    /// Takes one; answers whether there was one.
    ///
    /// # Errors
    /// Where the store does not say: then none may be made.
    pub async fn take(&self, grant: &Grant) -> Result<bool, StoreError> {
        let taken = self.store.take_use(&grant.id).await;
        self.tell().await;
        Ok(taken?.is_some())
    }

    /// Gives one back that came to nothing.
    pub async fn give_back(&self, grant: &GrantId) {
        if let Err(error) = self.store.give_back_use(grant).await {
            tracing::warn!(%grant, %error, "a use of a grant counts, though its statement was not sent");
        }
        self.tell().await;
    }

    /// Sessions know at once how many are left: a grant that is used up stands in no other's way.
    async fn tell(&self) {
        if let Err(error) = self.grants.refresh().await {
            tracing::debug!(%error, "sessions are told later how often a grant has been used");
        }
    }
}
