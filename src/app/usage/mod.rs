//! Reads the journal for what was used: of scopes, and of classified data.

mod residency;
mod scopes;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use crate::access::{Clock, Region, RegionNetworks};
use crate::audit::Journal;
use crate::control::usage::{ResidencyQuestion, ResidencyReport, ScopesQuestion, ScopesReport, Usage, UsageError};
use crate::session::{self, DatabaseSettings};
use crate::store::SharedStore;

/// Reports that are counted at once: each reads much of the journal.
pub const REPORTS: usize = 2;
/// Days, where nobody says how many.
const DAYS: u32 = 90;
const MOST_DAYS: u32 = 3_660;

/// Makes the reports.
#[derive(Debug)]
pub struct Counted {
    pub store: SharedStore,
    pub journal: Arc<Journal>,
    pub clock: Arc<Clock>,
    pub sessions: Arc<session::Server>,
    pub databases: Arc<ArcSwap<HashMap<String, Arc<DatabaseSettings>>>>,
    pub networks: Arc<ArcSwap<RegionNetworks>>,
    /// The regions whose records are kept elsewhere, or shorter.
    pub regions: Vec<Region>,
    pub places: Semaphore,
}

impl Counted {
    fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, UsageError> {
        self.places.try_acquire().map_err(|_| UsageError::Unavailable(format!("{REPORTS} reports are being counted")))
    }

    fn days_ago(&self, days: u32) -> Timestamp {
        let ago = SignedDuration::from_hours(i64::from(days) * 24);
        self.clock.now().checked_sub(ago).unwrap_or(Timestamp::MIN)
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> UsageError {
    UsageError::Unavailable(format!("the journal cannot be read: {error}"))
}

#[async_trait::async_trait]
impl Usage for Counted {
    async fn scopes(&self, question: ScopesQuestion) -> Result<ScopesReport, UsageError> {
        let _place = self.place()?;
        self.count_scopes(question).await
    }

    async fn residency(&self, question: ResidencyQuestion) -> Result<ResidencyReport, UsageError> {
        let _place = self.place()?;
        self.count_residency(question).await
    }
}
