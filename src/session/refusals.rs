//! Records of clients that get no session, and of cancel requests: each kind once per happening, bounded by address, so that a
//! stranger cannot fill the journal. What is not recorded by itself is counted, and the next record from there says how many.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::parameters::Requested;
use super::routes;
use super::server::Server;
use super::throttle::Network;
use crate::audit::{Event, Record};
use crate::wire::startup::Startup;

/// Records from one address within a minute.
pub(super) const MOST: u32 = 30;
/// Of a name that somebody without a session claims, this much is recorded.
const MAX_NAME: usize = 256;

impl Server {
    /// Records that a client got no session, as often as its address may be heard of.
    pub(super) async fn refused(&self, address: IpAddr, why: &str) {
        self.record_refusal(address, Record::new(self.parts.clock.now(), Event::StartupRefused), why).await;
    }

    /// The same where nobody can wait for it.
    pub(super) fn refused_at_once(self: &Arc<Self>, address: IpAddr, why: &'static str) {
        let record = Record::new(self.parts.clock.now(), Event::StartupRefused);
        let Some(record) = self.admit_refusal(address, record, why) else { return };
        let server = Arc::clone(self);
        self.tasks.spawn(async move { server.write_refusal(record).await });
    }

    /// Records that a client's startup packet was refused, as far as it says who it was.
    pub(super) async fn refused_startup(&self, address: SocketAddr, startup: &Startup, why: &str) {
        let value =
            |name: &str| startup.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| shown(value));
        let mut record = Record::new(self.parts.clock.now(), Event::StartupRefused);
        record.principal = value("user");
        record.database = value("database").or_else(|| value("user"));
        record.application_name = value("application_name");
        self.record_refusal(address.ip(), record, why).await;
    }

    /// A record of a login that came to nothing.
    pub(super) fn login_denied(&self, address: SocketAddr, requested: &Requested, why: &str, sqlstate: &str) -> Record {
        let mut record = Record::new(self.parts.clock.now(), Event::LoginDenied);
        record.principal = Some(shown(&requested.user));
        let databases = self.parts.databases.load();
        let asked = requested.database.as_str();
        record.database = Some(shown(routes::logical(&databases, asked).unwrap_or(asked)));
        record.client_addr = Some(address.to_string());
        record.client_region = self.parts.region_networks.load().region_of(address.ip()).cloned();
        record.application_name = Some(requested.application_name.clone()).filter(|name| !name.is_empty());
        record.sqlstate = Some(sqlstate.to_owned());
        record.detail = Some(why.to_owned());
        record
    }

    /// Records something about a stranger, as often as their address may be heard of.
    pub(super) async fn record_refusal(&self, address: IpAddr, record: Record, why: &str) {
        if let Some(record) = self.admit_refusal(address, record, why) {
            self.write_refusal(record).await;
        }
    }

    fn admit_refusal(&self, address: IpAddr, mut record: Record, why: &str) -> Option<Record> {
        let missed = self.refusals.take(Network::of(address), Instant::now())?;
        record.client_addr.get_or_insert_with(|| address.to_string());
        record.client_region = self.parts.region_networks.load().region_of(address).cloned();
        record.detail = Some(match missed {
            0 => why.to_owned(),
            missed => format!("{why}; {missed} more from this address were not recorded"),
        });
        Some(record)
    }

    async fn write_refusal(&self, record: Record) {
        if let Err(error) = self.parts.journal.record(record).await {
            tracing::error!(%error, "a refusal could not be recorded");
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}
