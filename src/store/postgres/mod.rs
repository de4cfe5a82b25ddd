//! The store in a PostgreSQL database, for several replicas: every method is one transaction, and of two that change the same
//! thing at once one is done and the other is told.

mod credentials;
mod data_holds;
mod exports;
mod fleet;
mod grants;
mod listing;
mod news;
mod parameters;
mod pool;
mod requests;
mod reviews;
mod tables;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::pool::PostgresSettings;
pub(in crate::store) use self::pool::single;
use self::pool::{Connections, Hint, snapshot};
use self::requests::Versioned;
pub use self::tables::{check, migrate};
use super::recent::Recent;
use super::rows::scopes::Scopes;
use super::{Credential, Filing, GrantMark, GrantNews, Reserved, Store, StoreError, Tally, Wanted};
use crate::access::{
    AccessRequest, Amount, Changes, ExportLimit, Grant, GrantId, Principal, RequestId, RequestState, Review, Ruling,
};
use crate::retention::Hold;

/// How often a change is tried again that somebody else's came before. Each time somebody gets on.
const TRIES: usize = 20;

/// The store in a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    connections: Arc<Connections>,
    recent: Recent,
    scopes: Scopes,
    hint: Hint,
    _listening: DropGuard,
}

impl PostgresStore {
    /// Connects, brings the tables up to date where it may, and begins to listen.
    ///
    /// # Errors
    /// Where the server cannot be reached, or the tables are not what this program works on.
    pub async fn open(settings: PostgresSettings) -> Result<Self, StoreError> {
        Self::open_for(settings, None).await
    }

    /// The same, for work that may take so long.
    pub(super) async fn open_for(settings: PostgresSettings, limit: Option<Duration>) -> Result<Self, StoreError> {
        let connections = Arc::new(Connections::new(settings, limit)?);
        let mut first = connections.get().await?;
        tables::ready(&mut first.client).await?;
        drop(first);
        let (hint, stop) = (Hint::default(), CancellationToken::new());
        tokio::spawn(listen(Arc::clone(&connections), Arc::clone(&hint), stop.clone()));
        Ok(Self {
            connections,
            recent: Recent::default(),
            scopes: Scopes::default(),
            hint,
            _listening: stop.drop_guard(),
        })
    }

    /// Changes a request as it was read, and reads it again where somebody else has changed it meanwhile.
    async fn change<T>(
        &self,
        id: &RequestId,
        change: impl Fn(&mut AccessRequest) -> Result<T, StoreError> + Sync,
        grant_of: impl Fn(&T) -> Option<&Grant> + Sync,
        decides: bool,
    ) -> Result<(AccessRequest, T), StoreError> {
        let mut open = self.connections.get().await?;
        for _ in 0..TRIES {
            let tx = open.client.transaction().await?;
            let mut read = requests::by_id(&tx, id).await?;
            let answer = change(&mut read.request)?;
            if !requests::replace(&tx, &read).await? {
                tx.rollback().await?;
                continue;
            }
            if let Some(approval) = read.request.approvals.last().filter(|_| decides) {
                requests::insert_approval(&tx, id, approval).await?;
            }
            if let Some(grant) = grant_of(&answer) {
                grants::insert(&tx, grant).await?;
            }
            tx.commit().await?;
            let Versioned { request, .. } = read;
            return Ok((request, answer));
        }
        Err(StoreError::Failed("others change this request all the time; try again".to_owned()))
    }
}

/// Listens for hints until `stop`. When they were missed, a poll finds what they were about.
async fn listen(connections: Arc<Connections>, hint: Hint, stop: CancellationToken) {
    let again = Duration::from_secs(1);
    loop {
        let told = Arc::clone(&hint);
        let listening = async {
            let mut open = connections.connector().connect(move |_| told.notify_one()).await?;
            open.client.batch_execute("SET idle_session_timeout = 0").await.ok();
            open.client.batch_execute("LISTEN pgward_grants").await?;
            // What came before is not told.
            hint.notify_one();
            open.ended().await;
            Ok::<(), StoreError>(())
        };
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = listening => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "nobody tells of changes in the store: they are found by looking");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(again) => {}
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn file(&self, filing: &Filing) -> Result<(), StoreError> {
        let done = async {
            let mut open = self.connections.get().await?;
            let tx = open.client.transaction().await?;
            requests::insert(&tx, &filing.request).await?;
            if let Some(grant) = &filing.grant {
                grants::insert(&tx, grant).await?;
            }
            if let Some(review) = &filing.review {
                reviews::insert(&tx, review).await?;
            }
            Ok(tx.commit().await?)
        };
        self.connections.timed(done).await
    }

    async fn edit(
        &self,
        id: &RequestId,
        by: &Principal,
        changes: Changes,
        now: Timestamp,
    ) -> Result<AccessRequest, StoreError> {
        let edit = |request: &mut AccessRequest| Ok(request.edit(by, changes.clone(), now)?);
        let edited = self.connections.timed(self.change(id, edit, |_| None, false)).await?;
        Ok(edited.0)
    }

    async fn request(&self, id: &RequestId) -> Result<AccessRequest, StoreError> {
        let read = async {
            let mut open = self.connections.get().await?;
            let tx = snapshot(&mut open).await?;
            Ok(requests::by_id(&tx, id).await?.request)
        };
        self.connections.timed(read).await
    }

    async fn list_requests(
        &self,
        wanted: Wanted,
        state: Option<RequestState>,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<(AccessRequest, Option<Grant>)>, StoreError> {
        let listed = async {
            let mut open = self.connections.get().await?;
            if let Err(error) = requests::expire_stale(&open.client, now).await {
                // The listing marks them by itself; what cannot be written down now is written down by the next.
                tracing::debug!(%error, "cannot store which requests have run out");
            }
            let tx = snapshot(&mut open).await?;
            listing::requests(&tx, wanted, state, most, now, &self.scopes).await
        };
        self.connections.timed(listed).await
    }

    async fn pending_requests(&self, principal: &str, now: Timestamp) -> Result<usize, StoreError> {
        let counted = async {
            let open = self.connections.get().await?;
            requests::pending_of(&open.client, principal, now).await
        };
        self.connections.timed(counted).await
    }

    async fn decide(
        &self,
        id: &RequestId,
        by: &Principal,
        ruling: Ruling,
        now: Timestamp,
    ) -> Result<(AccessRequest, Option<Grant>), StoreError> {
        let decide = |request: &mut AccessRequest| Ok(request.decide(by, ruling.clone(), now)?);
        self.connections.timed(self.change(id, decide, Option::as_ref, true)).await
    }

    async fn withdraw(&self, id: &RequestId, by: &Principal, now: Timestamp) -> Result<AccessRequest, StoreError> {
        let withdraw = |request: &mut AccessRequest| Ok(request.withdraw(by, now)?);
        let withdrawn = self.connections.timed(self.change(id, withdraw, |()| None, false)).await?;
        Ok(withdrawn.0)
    }

    async fn reviews(&self, wanted: Wanted, open_only: bool, most: usize) -> Result<Vec<(Review, Grant)>, StoreError> {
        let listed = async {
            let mut open = self.connections.get().await?;
            let tx = snapshot(&mut open).await?;
            listing::reviews(&tx, wanted, open_only, most).await
        };
        self.connections.timed(listed).await
    }

    async fn close_review(
        &self,
        grant: &GrantId,
        by: &Principal,
        note: &str,
        now: Timestamp,
    ) -> Result<(Review, Grant), StoreError> {
        let closed = async {
            let mut open = self.connections.get().await?;
            for _ in 0..TRIES {
                let tx = open.client.transaction().await?;
                if let Some(closed) = reviews::close(&tx, grant, by, note, now).await? {
                    tx.commit().await?;
                    return Ok(closed);
                }
            }
            Err(StoreError::Failed("the review cannot be closed".to_owned()))
        };
        self.connections.timed(closed).await
    }

    async fn grant(&self, id: &GrantId) -> Result<Grant, StoreError> {
        let read = async {
            let open = self.connections.get().await?;
            grants::by_id(&open.client, id).await
        };
        self.connections.timed(read).await
    }

    async fn grant_of_request(&self, id: &RequestId) -> Result<Option<Grant>, StoreError> {
        let read = async {
            let open = self.connections.get().await?;
            grants::of_request(&open.client, id).await
        };
        self.connections.timed(read).await
    }

    async fn list_grants(
        &self,
        wanted: Wanted,
        open_at: Option<Timestamp>,
        most: usize,
    ) -> Result<Vec<Grant>, StoreError> {
        let listed = async {
            let mut open = self.connections.get().await?;
            let tx = snapshot(&mut open).await?;
            match open_at {
                Some(now) => listing::open_grants(&tx, wanted, now, most, &self.scopes).await,
                None => listing::all_grants(&tx, wanted, most, &self.scopes).await,
            }
        };
        self.connections.timed(listed).await
    }

    async fn grant_news(&self, since: Option<GrantMark>, now: Timestamp) -> Result<(GrantMark, GrantNews), StoreError> {
        let read = async {
            let mut open = self.connections.get().await?;
            if let Some(GrantMark(since)) = since {
                // The usual answer, that nothing has changed, in one round trip; and what is positioned so far is committed.
                let newest = news::newest(&open.client).await?;
                if newest == since {
                    return Ok((news::mark(newest), GrantNews::Changed(Vec::new())));
                }
                if let Some(changed) = news::changed(&open.client, since, newest, &self.scopes).await? {
                    return Ok((news::mark(newest), GrantNews::Changed(changed)));
                }
            }
            let tx = snapshot(&mut open).await?;
            let newest = news::newest(&tx).await?;
            Ok((news::mark(newest), news::open(&tx, now, &self.scopes).await?))
        };
        self.connections.timed(read).await
    }

    async fn hinted(&self) {
        self.hint.notified().await;
    }

    async fn revoke(
        &self,
        id: &GrantId,
        by: &str,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<Grant, StoreError> {
        let revoked = async {
            let mut open = self.connections.get().await?;
            let tx = open.client.transaction().await?;
            let revoked = grants::revoke(&tx, id, by, reason, now).await?;
            tx.commit().await?;
            Ok(revoked)
        };
        self.connections.timed(revoked).await
    }

    async fn add_credential(&self, credential: &Credential) -> Result<(), StoreError> {
        let added = async {
            let mut open = self.connections.get().await?;
            let tx = open.client.transaction().await?;
            credentials::add(&tx, credential).await?;
            Ok(tx.commit().await?)
        };
        let added = self.connections.timed(added).await;
        // Also where it failed: what became of it then is not known.
        self.recent.minted(&credential.principal);
        added
    }

    async fn credentials(
        &self,
        principal: &str,
        database: &str,
        now: Timestamp,
    ) -> Result<Vec<Credential>, StoreError> {
        let key = (principal.to_owned(), database.to_owned());
        let reading = match self.recent.find(&key, now) {
            Ok(found) => return Ok(found),
            Err(reading) => reading,
        };
        let read = async {
            let open = self.connections.get().await?;
            credentials::good_at(&open.client, principal, database, now).await
        };
        let found = self.connections.timed(read).await?;
        self.recent.remember(key, reading, now, &found);
        Ok(found)
    }

    async fn reserve_export(
        &self,
        grant: &GrantId,
        rule: &str,
        wanted: Amount,
        limit: ExportLimit,
    ) -> Result<Reserved, StoreError> {
        let reserved = async {
            let mut open = self.connections.get().await?;
            let tx = open.client.transaction().await?;
            let reserved = exports::reserve(&tx, grant, rule, wanted, limit).await?;
            tx.commit().await?;
            Ok(reserved)
        };
        self.connections.timed(reserved).await
    }

    async fn release_export(&self, grant: &GrantId, rule: &str, unused: Amount) -> Result<(), StoreError> {
        let released = async {
            let mut open = self.connections.get().await?;
            let tx = open.client.transaction().await?;
            exports::release(&tx, grant, rule, unused).await?;
            Ok(tx.commit().await?)
        };
        self.connections.timed(released).await
    }

    async fn exported(&self, grant: &GrantId) -> Result<Vec<(String, Amount)>, StoreError> {
        let read = async {
            let open = self.connections.get().await?;
            exports::of_grant(&open.client, grant).await
        };
        self.connections.timed(read).await
    }

    async fn take_use(&self, grant: &GrantId) -> Result<Option<u32>, StoreError> {
        let taken = async {
            let mut open = self.connections.get().await?;
            let tx = open.client.transaction().await?;
            let left = grants::take_use(&tx, grant).await?;
            tx.commit().await?;
            Ok(left)
        };
        self.connections.timed(taken).await
    }

    async fn give_back_use(&self, grant: &GrantId) -> Result<(), StoreError> {
        let given = async {
            let open = self.connections.get().await?;
            grants::give_back_use(&open.client, grant).await
        };
        self.connections.timed(given).await
    }

    async fn place_data_hold(&self, hold: &Hold) -> Result<(), StoreError> {
        let placed = async {
            let open = self.connections.get().await?;
            data_holds::place(&open.client, hold).await
        };
        self.connections.timed(placed).await
    }

    async fn data_holds(&self, database: Option<&str>) -> Result<Vec<Hold>, StoreError> {
        let read = async {
            let open = self.connections.get().await?;
            data_holds::standing(&open.client, database).await
        };
        self.connections.timed(read).await
    }

    async fn release_data_hold(&self, id: &str, now: Timestamp) -> Result<Hold, StoreError> {
        let released = async {
            let open = self.connections.get().await?;
            data_holds::release(&open.client, id, now).await
        };
        self.connections.timed(released).await
    }

    async fn latest_instant(&self) -> Result<Option<Timestamp>, StoreError> {
        let read = async {
            let open = self.connections.get().await?;
            tally::latest_instant(&open.client).await
        };
        self.connections.timed(read).await
    }

    async fn tally(&self, now: Timestamp) -> Result<Tally, StoreError> {
        let counted = async {
            let open = self.connections.get().await?;
            tally::at(&open.client, now).await
        };
        self.connections.timed(counted).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let pinged = async {
            let open = self.connections.get().await?;
            open.client.query_typed_one("SELECT since FROM compatible", &[]).await?;
            Ok(())
        };
        self.connections.timed(pinged).await
    }
}

#[cfg(test)]
mod tests;
