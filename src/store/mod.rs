//! Requests, approvals, grants, revocations and credentials, kept; and the watch that tells sessions of changes.

mod book;
mod copy;
mod fleet;
mod postgres;
mod recent;
mod rows;
mod sqlite;
#[cfg(test)]
mod suite;
mod tally;

use std::sync::Arc;

use jiff::Timestamp;

pub use book::{GrantBook, GrantSet};
pub use copy::{Copied, copy};
pub use fleet::{Fleet, Peer, Published, Replica, SharedFleet, Standing};
pub use postgres::{PostgresSettings, PostgresStore, check, migrate};
pub use sqlite::SqliteStore;
pub use tally::Tally;

use crate::access::{
    AccessRequest, Amount, ApprovalRefused, Changes, EditRefused, ExportLimit, Grant, GrantId, Principal, RequestId,
    RequestState, Review, ReviewRefused, Ruling, Scope, WithdrawalRefused,
};
use crate::retention::Hold;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error(transparent)]
    Refused(#[from] ApprovalRefused),
    #[error(transparent)]
    EditRefused(#[from] EditRefused),
    #[error(transparent)]
    ReviewRefused(#[from] ReviewRefused),
    #[error("the request is no longer pending")]
    NotPending,
    #[error("the grant has ended already")]
    GrantEnded,
    /// Locked, corrupt, full, gone: nothing was changed.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl From<WithdrawalRefused> for StoreError {
    fn from(refused: WithdrawalRefused) -> Self {
        match refused {
            WithdrawalRefused::NotOwn => StoreError::NotFound("request of yours"),
            WithdrawalRefused::NotPending(_) => StoreError::NotPending,
        }
    }
}

/// A request as it is filed, with what came of it at once.
#[derive(Clone, Debug)]
pub struct Filing {
    pub request: AccessRequest,
    pub grant: Option<Grant>,
    pub review: Option<Review>,
}

impl From<AccessRequest> for Filing {
    /// One that waits for its approvers.
    fn from(request: AccessRequest) -> Self {
        Self { request, grant: None, review: None }
    }
}

/// A database password that was minted for a principal: only its verifier is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub principal: String,
    pub database: String,
    /// The verifier in the format of `pg_authid.rolpassword`.
    pub verifier: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What may leave now, and what has left or may by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    pub taken: Amount,
    pub total: Amount,
}

/// How far somebody has read what became of the grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantMark(i64);

/// What became of the grants since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantNews {
    /// Every one that is not over: what changed cannot be told, or it is too much.
    All(Vec<Grant>),
    /// Those that were made or revoked, as they are now, oldest change first. Who has run out is not told: that is known.
    Changed(Vec<Grant>),
}

/// Whether a listing is to have what is some principal's under some scope. Asked of every candidate while the store is held:
/// it has to be cheap.
pub type Wanted = Box<dyn Fn(&str, &Scope) -> bool + Send>;

/// Durable state. Every method is one transaction: it is done whole or not at all, and what it answers is what is stored.
#[async_trait::async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    async fn file(&self, filing: &Filing) -> Result<(), StoreError>;

    /// Changes a pending request ([`AccessRequest::edit`]).
    async fn edit(
        &self,
        id: &RequestId,
        by: &Principal,
        changes: Changes,
        now: Timestamp,
    ) -> Result<AccessRequest, StoreError>;

    async fn request(&self, id: &RequestId) -> Result<AccessRequest, StoreError>;

    /// The newest `most` of the requests that are wanted, with the grants that came of them, oldest first; in this state at
    /// `now`, or in any.
    async fn list_requests(
        &self,
        wanted: Wanted,
        state: Option<RequestState>,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<(AccessRequest, Option<Grant>)>, StoreError>;

    /// How many requests of a principal's are pending at `now`.
    async fn pending_requests(&self, principal: &str, now: Timestamp) -> Result<usize, StoreError>;

    /// Takes one decision ([`AccessRequest::decide`]) and stores the grant that comes of it.
    async fn decide(
        &self,
        id: &RequestId,
        by: &Principal,
        ruling: Ruling,
        now: Timestamp,
    ) -> Result<(AccessRequest, Option<Grant>), StoreError>;

    /// Withdraws a pending request of `by`.
    async fn withdraw(&self, id: &RequestId, by: &Principal, now: Timestamp) -> Result<AccessRequest, StoreError>;

    /// The newest `most` of the reviews of wanted grants, oldest first: those that are open, or all.
    async fn reviews(&self, wanted: Wanted, open_only: bool, most: usize) -> Result<Vec<(Review, Grant)>, StoreError>;

    /// Closes the review of a grant ([`Review::close`]).
    async fn close_review(
        &self,
        grant: &GrantId,
        by: &Principal,
        note: &str,
        now: Timestamp,
    ) -> Result<(Review, Grant), StoreError>;

    async fn grant(&self, id: &GrantId) -> Result<Grant, StoreError>;

    /// The grant that came of a request, where one did.
    async fn grant_of_request(&self, id: &RequestId) -> Result<Option<Grant>, StoreError>;

    /// The newest `most` of the grants that are wanted, oldest first: those that are not over at `open_at` (live ones and
    /// those still to come), or all.
    async fn list_grants(
        &self,
        wanted: Wanted,
        open_at: Option<Timestamp>,
        most: usize,
    ) -> Result<Vec<Grant>, StoreError>;

    /// What became of the grants since a mark, and the mark to ask with next. Costs what has changed, not what there is.
    async fn grant_news(&self, since: Option<GrantMark>, now: Timestamp) -> Result<(GrantMark, GrantNews), StoreError>;

    /// Waits until somebody may have changed a grant: a hint, which may come for nothing or not at all. Cancel safe.
    async fn hinted(&self) {
        std::future::pending().await
    }

    async fn revoke(&self, id: &GrantId, by: &str, reason: Option<String>, now: Timestamp)
    -> Result<Grant, StoreError>;

    /// Stores a minted credential; drops the principal's expired ones, and the oldest beyond [`MAX_CREDENTIALS`].
    async fn add_credential(&self, credential: &Credential) -> Result<(), StoreError>;

    /// The principal's credentials on the database that are good at `now`, newest first. One that another process has stored
    /// may be missing for a second.
    async fn credentials(&self, principal: &str, database: &str, now: Timestamp)
    -> Result<Vec<Credential>, StoreError>;

    /// Takes as much of `wanted` as `limit` leaves of what may leave a region by `rule` under a grant. What is taken counts
    /// as having left until it is given back, whatever becomes of the process that took it.
    async fn reserve_export(
        &self,
        grant: &GrantId,
        rule: &str,
        wanted: Amount,
        limit: ExportLimit,
    ) -> Result<Reserved, StoreError>;

    /// Gives back what was taken and not used.
    async fn release_export(&self, grant: &GrantId, rule: &str, unused: Amount) -> Result<(), StoreError>;

    /// What counts as having left under a grant, by rule.
    async fn exported(&self, grant: &GrantId) -> Result<Vec<(String, Amount)>, StoreError>;

    /// Takes one use of a grant that may be used so often; answers how many are left then, or `None` where none was. No two
    /// take the same one, and a use that was taken stays so, whatever becomes of the process that took it.
    async fn take_use(&self, grant: &GrantId) -> Result<Option<u32>, StoreError>;

    /// Gives back a use that was taken and came to nothing.
    async fn give_back_use(&self, grant: &GrantId) -> Result<(), StoreError>;

    /// Stores a legal hold on rows of a database.
    async fn place_data_hold(&self, hold: &Hold) -> Result<(), StoreError>;

    /// The holds that stand on rows of a database, or of any, oldest first.
    async fn data_holds(&self, database: Option<&str>) -> Result<Vec<Hold>, StoreError>;

    /// Ends a hold that stands; answers what it held.
    async fn release_data_hold(&self, id: &str, now: Timestamp) -> Result<Hold, StoreError>;

    /// The latest instant at which anything that is stored was done: the floor of a clock after a restart.
    async fn latest_instant(&self) -> Result<Option<Timestamp>, StoreError>;

    /// How much of everything there is at `now`.
    async fn tally(&self, now: Timestamp) -> Result<Tally, StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Live credentials that one principal may hold on one database.
pub const MAX_CREDENTIALS: usize = 8;

/// A store shared by every part.
pub type SharedStore = Arc<dyn Store>;
