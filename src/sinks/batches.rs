//! Reads the journal in pieces that fit into one delivery.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::audit::{Entry, ReadError, Subscription};

/// The records of one delivery are gathered no longer than this.
const LINGER: Duration = Duration::from_millis(200);
/// Records of one read, and after long ones.
const PIECE: usize = 16;
/// A read this long, on average, is followed by reads of one record each.
const LONG: usize = 64 * 1024;

/// The journal from some record on.
#[derive(Debug)]
pub(super) struct Batches {
    subscription: Subscription,
    records: usize,
    bytes: usize,
    piece: usize,
}

impl Batches {
    /// At most `records` at once, and no more once there are `bytes`.
    pub(super) fn new(subscription: Subscription, records: usize, bytes: usize) -> Self {
        Self { subscription, records, bytes, piece: PIECE }
    }

    /// Waits for a record, then gathers what follows; nothing at the journal's end. Not cancel safe: what was gathered is
    /// lost to this reader.
    pub(super) async fn next(&mut self) -> Result<Vec<Entry>, ReadError> {
        let mut gathered = self.read(self.records).await?;
        let until = Instant::now() + LINGER;
        let mut bytes = size(&gathered);
        while !gathered.is_empty() && gathered.len() < self.records && bytes < self.bytes {
            // A read that is given up is done again by the next one.
            match timeout_at(until, self.read(self.records - gathered.len())).await {
                Ok(Ok(more)) if more.is_empty() => break,
                Ok(Ok(more)) => {
                    bytes += size(&more);
                    gathered.extend(more);
                }
                // What came before it is good; the next call meets the error again.
                Ok(Err(_)) | Err(_) => break,
            }
        }
        Ok(gathered)
    }

    async fn read(&mut self, most: usize) -> Result<Vec<Entry>, ReadError> {
        let read = self.subscription.next(most.min(self.piece)).await?;
        self.piece = if size(&read) > LONG * read.len() { 1 } else { PIECE };
        Ok(read)
    }
}

pub(super) fn size(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.canonical.len()).sum()
}
