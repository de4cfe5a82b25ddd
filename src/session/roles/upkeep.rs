//! No role outlives what it is for: a session's goes with the session, a grant's with the grant, all of them with the
//! process, and what was left over when it is found.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::broker::Broker;
use super::{Provision, removal};
use crate::access::{Grant, GrantId};

/// How soon after its end a grant's role is gone.
const LOOK: Duration = Duration::from_secs(1);
/// Between looks for roles that nobody removed.
const REAP: Duration = Duration::from_secs(15);
/// Before the tries to remove a session's role; after the last one it is left to the reaper.
const TRIES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];
/// For all roles to be removed when the process stops.
const FAREWELL: Duration = Duration::from_secs(4);

impl Provision {
    /// Stops: removes every role that is left, as far as that takes no longer than a moment.
    pub async fn close(&self) {
        self.tasks.close();
        let left = tokio::time::timeout(FAREWELL, async {
            self.tasks.wait().await;
            let grants: Vec<String> = self.roles().grants.drain().map(|(_, lent)| lent.role).collect();
            for role in grants {
                self.remove(&role).await;
            }
        });
        if left.await.is_err() {
            tracing::warn!(
                database = self.broker.database(),
                "short-lived roles are left for the next start to remove"
            );
        }
    }

    /// Removes a session's role in the background.
    pub(super) fn remove_soon(self: Arc<Self>, role: String) {
        let tasks = self.tasks.clone();
        tasks.spawn(async move {
            for pause in TRIES {
                tokio::time::sleep(pause).await;
                if self.remove(&role).await {
                    break;
                }
            }
            self.roles().sessions.remove(&role);
        });
    }

    /// Answers whether the role is gone.
    pub(super) async fn remove(&self, role: &str) -> bool {
        match removal::remove(&self.sweeper, role).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(role, %error, "a short-lived role cannot be removed yet");
                false
            }
        }
    }

    /// Removes the roles of grants that are over, and now and then what nobody removed.
    async fn maintain(&self) {
        let over: Vec<GrantId> = {
            let roles = self.roles();
            roles.grants.values().filter(|lent| self.is_over(&lent.grant)).map(|lent| lent.grant.id.clone()).collect()
        };
        for id in over {
            let lent = self.roles().grants.remove(&id);
            if let Some(lent) = lent {
                self.remove(&lent.role).await;
            }
        }
        let is_due = self.roles().reaped_at.is_none_or(|at| at.elapsed() >= REAP);
        if is_due {
            self.roles().reaped_at = Some(Instant::now());
            let reaped = self.reap().await;
            let failed_before = std::mem::replace(&mut self.roles().reaping_fails, reaped.is_err());
            if let Err(error) = reaped
                && !failed_before
            {
                tracing::warn!(database = self.broker.database(), %error, "cannot look for roles that are left over");
            }
        }
    }

    fn is_over(&self, grant: &Grant) -> bool {
        let set = Arc::clone(&self.grants.subscribe(&grant.principal, &grant.scope.database).borrow());
        let is_open = set.grants.iter().any(|open| open.id == grant.id && open.revocation.is_none());
        !is_open || self.clock.now() >= grant.expires_at
    }
}

impl Drop for Provision {
    /// Nobody makes sessions of it any more: the configuration has changed. The grants' roles go with it.
    fn drop(&mut self) {
        let roles = std::mem::take(self.roles.get_mut().unwrap_or_else(PoisonError::into_inner));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if roles.grants.is_empty() {
            return;
        }
        let sweeper = Broker::new(self.upstream.clone(), self.broker.process());
        runtime.spawn(async move {
            for lent in roles.grants.into_values() {
                if let Err(error) = removal::remove(&sweeper, &lent.role).await {
                    tracing::warn!(role = lent.role, %error, "a short-lived role is left for the next start to remove");
                }
            }
        });
    }
}

/// Keeps roles from outliving what they are for, until nobody needs the provision any more.
pub(super) async fn keep(provision: Weak<Provision>) {
    loop {
        match provision.upgrade() {
            Some(provision) => provision.maintain().await,
            None => return,
        }
        tokio::time::sleep(LOOK).await;
    }
}
