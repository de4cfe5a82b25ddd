//! What a portal or cursor has given its client so far: limits count over its whole life, not per fetch.

use std::sync::atomic::{AtomicU64, Ordering};

/// Rows and bytes of rows.
#[derive(Debug, Default)]
pub struct Given {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Given {
    /// Counts what one fetch has given.
    pub fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
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
