//! The store in one SQLite file, for one machine: every method is one transaction on one connection, off the reactor.

mod credentials;
mod data_holds;
mod exports;
mod file;
mod grants;
mod listing;
mod news;
mod requests;
mod reviews;
mod tally;
mod uses;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Transaction, TransactionBehavior};
use tokio::sync::Mutex;

use self::file::DatabaseFile;
use super::recent::Recent;
use super::rows::scopes::Scopes;
use super::{Credential, Filing, GrantMark, GrantNews, Reserved, Store, StoreError, Tally, Wanted};
use crate::access::{
    AccessRequest, Amount, Changes, ExportLimit, Grant, GrantId, Principal, RequestId, RequestState, Review, Ruling,
};
use crate::retention::Hold;

/// How long a transaction waits for a lock that another process holds on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a caller waits for its turn on the connection; the queue is bounded by it.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// The store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    file: Arc<Mutex<DatabaseFile>>,
    recent: Recent,
    scopes: Arc<Scopes>,
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it (mode 0600, its directory 0700) where there is none, and brings its tables up
    /// to date. Blocks; to be called at start.
    ///
    /// # Errors
    /// Where the file is damaged, empty, not pgward's, newer than this program, locked, or out of reach. A file that cannot
    /// be read is never replaced.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, BUSY_TIMEOUT)
    }

    fn open_with(path: &Path, busy_timeout: Duration) -> Result<Self, StoreError> {
        let file = DatabaseFile::open(path, busy_timeout)?;
        Ok(Self { file: Arc::new(Mutex::new(file)), recent: Recent::default(), scopes: Arc::default() })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transaction(TransactionBehavior::Deferred, work).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transaction(TransactionBehavior::Immediate, work).await
    }

    /// Runs `work` in one transaction: committed where it answers well, rolled back where it does not. Once begun it runs to
    /// its end, though the caller be gone.
    async fn transaction<T: Send + 'static>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.file).lock_owned());
        let mut file =
            turn.await.map_err(|_| StoreError::Failed("too much work waits for the database file".to_owned()))?;
        let done = tokio::task::spawn_blocking(move || {
            let transaction = file.begin(behavior)?;
            let answer = work(&transaction)?;
            transaction.commit()?;
            Ok(answer)
        });
        done.await.unwrap_or_else(|_| Err(StoreError::Failed("the database task ended early".to_owned())))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn file(&self, filing: &Filing) -> Result<(), StoreError> {
        let Filing { request, grant, review } = filing.clone();
        self.write(move |tx| {
            requests::insert(tx, &request)?;
            grant.iter().try_for_each(|grant| grants::insert(tx, grant))?;
            review.iter().try_for_each(|review| reviews::insert(tx, review))
        })
        .await
    }

    async fn edit(
        &self,
        id: &RequestId,
        by: &Principal,
        changes: Changes,
        now: Timestamp,
    ) -> Result<AccessRequest, StoreError> {
        let (id, by) = (id.clone(), by.clone());
        self.write(move |tx| {
            let mut request = requests::by_id(tx, &id)?;
            request.edit(&by, changes, now)?;
            requests::replace(tx, &request)?;
            Ok(request)
        })
        .await
    }

    async fn request(&self, id: &RequestId) -> Result<AccessRequest, StoreError> {
        let id = id.clone();
        self.read(move |tx| requests::by_id(tx, &id)).await
    }

    async fn list_requests(
        &self,
        wanted: Wanted,
        state: Option<RequestState>,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<(AccessRequest, Option<Grant>)>, StoreError> {
        if let Err(error) = self.expire_stale(now).await {
            // The listing marks them by itself; what cannot be written down now is written down by the next.
            tracing::debug!(%error, "cannot store which requests have run out");
        }
        let scopes = Arc::clone(&self.scopes);
        self.read(move |tx| listing::requests(tx, &wanted, state, most, now, &scopes)).await
    }

    async fn pending_requests(&self, principal: &str, now: Timestamp) -> Result<usize, StoreError> {
        let principal = principal.to_owned();
        self.read(move |tx| requests::pending_of(tx, &principal, now)).await
    }

    async fn decide(
        &self,
        id: &RequestId,
        by: &Principal,
        ruling: Ruling,
        now: Timestamp,
    ) -> Result<(AccessRequest, Option<Grant>), StoreError> {
        let (id, by) = (id.clone(), by.clone());
        self.write(move |tx| {
            let mut request = requests::by_id(tx, &id)?;
            let grant = request.decide(&by, ruling, now)?;
            requests::insert_last_approval(tx, &request)?;
            requests::set_state(tx, &request)?;
            if let Some(grant) = &grant {
                grants::insert(tx, grant)?;
            }
            Ok((request, grant))
        })
        .await
    }

    async fn withdraw(&self, id: &RequestId, by: &Principal, now: Timestamp) -> Result<AccessRequest, StoreError> {
        let (id, by) = (id.clone(), by.clone());
        self.write(move |tx| {
            let mut request = requests::by_id(tx, &id)?;
            request.withdraw(&by, now)?;
            requests::set_state(tx, &request)?;
            Ok(request)
        })
        .await
    }

    async fn reviews(&self, wanted: Wanted, open_only: bool, most: usize) -> Result<Vec<(Review, Grant)>, StoreError> {
        self.read(move |tx| reviews::list(tx, &wanted, open_only, most)).await
    }

    async fn close_review(
        &self,
        grant: &GrantId,
        by: &Principal,
        note: &str,
        now: Timestamp,
    ) -> Result<(Review, Grant), StoreError> {
        let (grant, by, note) = (grant.clone(), by.clone(), note.to_owned());
        self.write(move |tx| reviews::close(tx, &grant, &by, &note, now)).await
    }

    async fn grant(&self, id: &GrantId) -> Result<Grant, StoreError> {
        let id = id.clone();
        self.read(move |tx| grants::by_id(tx, &id)).await
    }

    async fn grant_of_request(&self, id: &RequestId) -> Result<Option<Grant>, StoreError> {
        let id = id.clone();
        self.read(move |tx| grants::of_request(tx, &id)).await
    }

    async fn list_grants(
        &self,
        wanted: Wanted,
        open_at: Option<Timestamp>,
        most: usize,
    ) -> Result<Vec<Grant>, StoreError> {
        let scopes = Arc::clone(&self.scopes);
        self.read(move |tx| match open_at {
            Some(now) => listing::open_grants(tx, &wanted, now, most, &scopes),
            None => listing::all_grants(tx, &wanted, most, &scopes),
        })
        .await
    }

    async fn grant_news(&self, since: Option<GrantMark>, now: Timestamp) -> Result<(GrantMark, GrantNews), StoreError> {
        let scopes = Arc::clone(&self.scopes);
        self.read(move |tx| news::since(tx, since, now, &scopes)).await
    }

    async fn revoke(
        &self,
        id: &GrantId,
        by: &str,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<Grant, StoreError> {
        let (id, by) = (id.clone(), by.to_owned());
        self.write(move |tx| grants::revoke(tx, &id, by, reason, now)).await
    }

    async fn add_credential(&self, credential: &Credential) -> Result<(), StoreError> {
        let (principal, credential) = (credential.principal.clone(), credential.clone());
        let added = self.write(move |tx| credentials::add(tx, &credential)).await;
        // Also where it failed: what became of it then is not known.
        self.recent.minted(&principal);
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
        let (principal, database) = key.clone();
        let found = self.read(move |tx| credentials::good_at(tx, &principal, &database, now)).await?;
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
        let (grant, rule) = (grant.clone(), rule.to_owned());
        self.write(move |tx| exports::reserve(tx, &grant, &rule, wanted, limit)).await
    }

    async fn release_export(&self, grant: &GrantId, rule: &str, unused: Amount) -> Result<(), StoreError> {
        let (grant, rule) = (grant.clone(), rule.to_owned());
        self.write(move |tx| exports::release(tx, &grant, &rule, unused)).await
    }

    async fn exported(&self, grant: &GrantId) -> Result<Vec<(String, Amount)>, StoreError> {
        let grant = grant.clone();
        self.read(move |tx| exports::of_grant(tx, &grant)).await
    }

    async fn take_use(&self, grant: &GrantId) -> Result<Option<u32>, StoreError> {
        let grant = grant.clone();
        self.write(move |tx| uses::take(tx, &grant)).await
    }

    async fn give_back_use(&self, grant: &GrantId) -> Result<(), StoreError> {
        let grant = grant.clone();
        self.write(move |tx| uses::give_back(tx, &grant)).await
    }

    async fn place_data_hold(&self, hold: &Hold) -> Result<(), StoreError> {
        let hold = hold.clone();
        self.write(move |tx| data_holds::place(tx, &hold)).await
    }

    async fn data_holds(&self, database: Option<&str>) -> Result<Vec<Hold>, StoreError> {
        let database = database.map(str::to_owned);
        self.read(move |tx| data_holds::standing(tx, database.as_deref())).await
    }

    async fn release_data_hold(&self, id: &str, now: Timestamp) -> Result<Hold, StoreError> {
        let id = id.to_owned();
        self.write(move |tx| data_holds::release(tx, &id, now)).await
    }

    async fn latest_instant(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(tally::latest_instant).await
    }

    async fn tally(&self, now: Timestamp) -> Result<Tally, StoreError> {
        self.read(move |tx| tally::at(tx, now)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|tx| {
            tx.query_row("SELECT count(*) FROM refinery_schema_history", [], |_| Ok(()))?;
            Ok(())
        })
        .await
    }
}

impl SqliteStore {
    /// Writes down which pending requests have run out, where there are any: a listing else takes no write lock.
    async fn expire_stale(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.read(move |tx| requests::any_stale(tx, now)).await? {
            self.write(move |tx| requests::expire_stale(tx, now)).await?;
        }
        Ok(())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let said = error.to_string();
        StoreError::Failed(match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                format!("the database file is locked by another process ({said})")
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                format!("the database file is damaged ({said})")
            }
            Some(ErrorCode::DiskFull) => format!("no space is left for the database file ({said})"),
            Some(ErrorCode::ReadOnly) => format!("the database file cannot be written ({said})"),
            _ => said,
        })
    }
}

#[cfg(test)]
mod tests;
