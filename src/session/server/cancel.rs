//! Cancel requests: passed on where the key is a live session's, as often as one address may send them. Whoever sends one
//! learns nothing.

use std::net::IpAddr;
use std::time::Instant;

use super::Server;
use crate::audit::{Event, Record};
use crate::session::bounds::Bound;
use crate::session::throttle::Network;

impl Server {
    /// Passes a cancel request on, if its key is a live session's.
    pub(super) async fn cancel(&self, address: IpAddr, process: u32, key: &[u8]) {
        let mut record = Record::new(self.parts.clock.now(), Event::Cancel);
        if !self.cancels.count(Network::of(address), Instant::now()) {
            self.parts.metrics.count_bound(Bound::CancelsPerAddress);
            return self.record_refusal(address, record, "not passed on: too many cancel requests").await;
        }
        let Some(entry) = self.parts.registry.by_key(process, key) else {
            return self.record_refusal(address, record, "not passed on: no session has this key").await;
        };
        self.parts.metrics.cancels.inc();
        record.session = Some(entry.id().clone());
        record.principal = Some(entry.principal().to_owned());
        record.database = Some(entry.database().to_owned());
        record.client_addr = Some(address.to_string());
        if let Err(error) = self.parts.journal.record(record).await {
            tracing::error!(%error, "a cancel request is not passed on: it cannot be recorded");
            return;
        }
        if entry.note_cancel() {
            entry.target().cancel().await;
        }
    }
}
