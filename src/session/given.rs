//! What a portal or cursor has given its client so far: limits count over its whole life, not per fetch.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::access::GrantId;

/// Rows and bytes of rows, and whether they are of a use that was taken.
#[derive(Debug, Default)]
pub struct Given {
    rows: AtomicU64,
    bytes: AtomicU64,
    /// The grant of which it has taken a use.
    begun: OnceLock<GrantId>,
}

impl Given {
    /// Counts what one fetch has given.
    pub fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It has taken a use of a grant: what is read of it later takes no other.
    pub fn begin(&self, grant: &GrantId) {
        // Only the first counts: a portal has one statement.
        let _ = self.begun.set(grant.clone());
    }

    /// The grant of which it has taken a use.
    #[must_use]
    pub fn begun(&self) -> Option<&GrantId> {
        self.begun.get()
    }

    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
