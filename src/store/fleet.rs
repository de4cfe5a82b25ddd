//! What several replicas on one store know of each other, and share: who is there, who holds which place, who does what only one
//! may do, how far each journal has come.

use std::sync::Arc;
use std::time::Duration;

use crate::access::{ClockReading, SessionId};

use super::StoreError;

/// A replica, as it makes itself known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    pub name: String,
    /// Made anew with each start.
    pub incarnation: String,
    /// The identity of its journal, which one process alone can have open.
    pub journal: String,
    /// Where the others reach its control port.
    pub address: String,
    /// The SHA-256 of the certificate that it shows there, in hex.
    pub certificate: String,
    /// The SHA-256 of the token that it shows to the others, in hex.
    pub token_hash: String,
    pub version: String,
    /// Which configuration it works by.
    pub policy: String,
}

/// Another replica that was seen within its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub replica: Replica,
    /// 1 to 1023: what cancel keys name it by.
    pub number: u32,
    pub seen_ago: Duration,
}

/// How a replica stands with the store.
#[derive(Clone, Debug)]
pub struct Standing {
    pub number: u32,
    /// The store's own time.
    pub clock: ClockReading,
    pub peers: Vec<Peer>,
    /// Those that were there and were not seen within their lease, nor have said that they leave.
    pub absent: Vec<String>,
}

/// The newest checkpoint of a journal that its replica has published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The journal's identity.
    pub journal: String,
    /// Which of its places: the region's, or "".
    pub place: String,
    pub replica: String,
    /// The key that its checkpoints are verified by.
    pub verifier: String,
    /// Records up to it.
    pub size: u64,
    pub checkpoint: String,
    pub published_ago: Duration,
}

/// What only a store that is shared keeps.
#[async_trait::async_trait]
pub trait Fleet: Send + Sync + std::fmt::Debug {
    /// What the store's clock says.
    async fn clock(&self) -> Result<ClockReading, StoreError>;

    /// Makes a replica known. What its earlier incarnations held is nobody's from then on.
    ///
    /// Fails where another one goes by this name.
    async fn join(&self, replica: &Replica, lease: Duration) -> Result<Standing, StoreError>;

    /// Says that the replica is still there, and what it has become. `NotFound` where another has taken its place.
    async fn renew(&self, replica: &Replica) -> Result<Standing, StoreError>;

    /// Says that the replica is there no more, and gives up what it holds.
    async fn leave(&self, incarnation: &str) -> Result<(), StoreError>;

    /// Takes a place for a session, unless the principal has `most` on all replicas that are there.
    async fn take_seat(
        &self,
        incarnation: &str,
        session: &SessionId,
        principal: &str,
        most: usize,
    ) -> Result<bool, StoreError>;

    /// Gives back the places of sessions that have ended.
    async fn give_back_seats(&self, sessions: &[SessionId]) -> Result<(), StoreError>;

    /// Has this replica do a job until `term` has passed, unless another does it. Answers the job's mark.
    async fn hold_job(
        &self,
        name: &str,
        incarnation: &str,
        term: Duration,
    ) -> Result<Option<Option<String>>, StoreError>;

    /// Says how far a job is done. Nothing happens where another does it by now.
    async fn mark_job(&self, name: &str, incarnation: &str, mark: &str) -> Result<(), StoreError>;

    /// Has anybody do a job who comes next.
    async fn give_up_job(&self, name: &str, incarnation: &str) -> Result<(), StoreError>;

    /// Takes the turn of what is done once in a period by whoever comes first.
    async fn take_turn(&self, name: &str, incarnation: &str, every: Duration) -> Result<bool, StoreError>;

    /// Gives back a turn that came to nothing.
    async fn give_back_turn(&self, name: &str, incarnation: &str) -> Result<(), StoreError>;

    /// Keeps a journal's checkpoint, unless a later one is there.
    async fn publish(&self, published: &Published) -> Result<(), StoreError>;

    /// The newest checkpoints of all journals.
    async fn published(&self) -> Result<Vec<Published>, StoreError>;
}

/// A fleet shared by every part.
pub type SharedFleet = Arc<dyn Fleet>;
