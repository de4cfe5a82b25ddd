//! Cancel requests: passed on where the key is a live session's, as often as one address may send them. Whoever sends one
//! learns nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Server;
use crate::audit::{Event, Record};
use crate::replicas::HandedCancel;
use crate::session::bounds::Bound;
use crate::session::records::hex;
use crate::session::registry::{Entry, replica_of};
use crate::session::throttle::Network;

impl Server {
    /// Passes a cancel request on, if its key is a live session's.
    pub(super) async fn cancel(&self, address: IpAddr, process: u32, key: &[u8]) {
        let record = Record::new(self.parts.clock.now(), Event::Cancel);
        if !self.cancels.count(Network::of(address), Instant::now()) {
            self.parts.metrics.count_bound(Bound::CancelsPerAddress);
            return self.record_refusal(address, record, "not passed on: too many cancel requests").await;
        }
        let Some(entry) = self.parts.registry.by_key(process, key) else {
            if self.hand_on(address, process, key).await {
                return;
            }
            return self.record_refusal(address, record, "not passed on: no session has this key").await;
        };
        self.pass_on(address, entry, record).await;
    }

    /// Passes on what another replica was sent for one of ours. That one has counted it.
    pub async fn take_cancel(&self, cancel: &HandedCancel) -> bool {
        let Some(entry) = unhex(&cancel.key).and_then(|key| self.parts.registry.by_key(cancel.process, &key)) else {
            return false;
        };
        let record = Record::new(self.parts.clock.now(), Event::Cancel);
        self.pass_on(cancel.address, entry, record).await;
        true
    }

    /// Hands a cancel request to the replica that its number names: a load balancer sends it anywhere. Answers whether that took
    /// it: who has taken it records it.
    async fn hand_on(&self, address: IpAddr, process: u32, key: &[u8]) -> bool {
        let Some(replicas) = &self.parts.replicas else { return false };
        let number = replica_of(process);
        let Some(peer) = replicas.peer_of(number).filter(|_| number != replicas.number()) else { return false };
        let cancel = HandedCancel { process, key: hex(key), address };
        match replicas.hand_cancel(&peer, &cancel).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a cancel request could not be handed on");
                false
            }
        }
    }

    async fn pass_on(&self, address: IpAddr, entry: Arc<Entry>, mut record: Record) {
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

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
