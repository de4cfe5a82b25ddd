//! What the service does by itself, time and again: erasing the records whose time has ended.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::access::Clock;
use crate::audit::Journal;

/// Erases what is due at the start, and then as often as the shortest retention asks for.
pub async fn purge(journal: Arc<Journal>, clock: Arc<Clock>, stop: CancellationToken) {
    let period = journal.purge_period();
    loop {
        match journal.purge(clock.now()).await {
            Ok(purged) if purged.buckets.is_empty() => {}
            Ok(purged) => tracing::info!(buckets = ?purged.buckets, held = purged.held, "records were erased"),
            Err(error) => tracing::error!(%error, "what is due could not be erased"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
    }
}
