//! Accepts clients within bounds, and keeps what all sessions share.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::analysis::AnalysisCache;
use super::catalogs::{CatalogUnavailable, Keeper};
use super::handshake::{self, HandshakeError, Opening};
use super::judge::Database;
use super::judge::second::{self, Explained};
use super::open;
use super::opinions::Opinions;
use super::settings::{DatabaseSettings, Dependencies, SecondOpinion, Settings};
use super::throttle::{Network, Throttle};
use super::tls::TlsError;
use super::upstream::Upstream;
use crate::audit::{Event, Record};
use crate::catalog::Snapshot;
use crate::sql::Limits;

const MINUTE: Duration = Duration::from_secs(60);
/// Cancel requests from one address within a minute.
const MAX_CANCELS: u32 = 300;
/// Records of refused startups from one address within a minute: a stranger must not fill the journal.
const MAX_REFUSAL_RECORDS: u32 = 30;
/// After an accept that failed for want of something, before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For sessions to say goodbye after the drain.
const GOODBYE: Duration = Duration::from_secs(2);

/// The data path's server.
#[derive(Debug)]
pub struct Server {
    pub(super) settings: Settings,
    pub(super) parts: Dependencies,
    pub(super) tasks: TaskTracker,
    /// By address, whoever is tried; and by address and user, so that guessing at one user there locks out no other.
    pub(super) failed_logins: Throttle<Network>,
    pub(super) failed_logins_of_user: Throttle<(Network, String)>,
    refusals: Throttle<Network>,
    cancels: Throttle<Network>,
    databases: Mutex<HashMap<String, Arc<Database>>>,
    connections: Mutex<HashMap<Network, usize>>,
    /// Asks sessions to end when they are quiet.
    pub(super) stopping: CancellationToken,
    /// Ends them.
    pub(super) stop: CancellationToken,
}

impl Server {
    #[must_use]
    pub fn new(settings: Settings, parts: Dependencies) -> Self {
        Self {
            failed_logins: Throttle::new(settings.max_failed_logins, MINUTE),
            failed_logins_of_user: Throttle::new(settings.max_failed_logins_of_user, MINUTE),
            refusals: Throttle::new(MAX_REFUSAL_RECORDS, MINUTE),
            cancels: Throttle::new(MAX_CANCELS, MINUTE),
            databases: Mutex::default(),
            connections: Mutex::default(),
            stopping: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            settings,
            parts,
        }
    }

    /// Serves clients until `shutdown`; then lets statements end for a while, ends the rest, and returns.
    pub async fn run(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        loop {
            // Cancel safe: an accept that is dropped has taken no connection.
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.settings.drain, self.tasks.wait()).await.is_ok() {
            return;
        }
        self.stop.cancel();
        if tokio::time::timeout(GOODBYE, self.tasks.wait()).await.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
    }

    /// The second opinion on the statements of a text; `None` where the database is configured without one.
    pub async fn second_opinion(&self, name: &str, text: &str, snapshot: &Snapshot) -> Option<Vec<Explained>> {
        let settings = self.parts.databases.load().get(name).cloned()?;
        let database = self.database(name, &settings).ok()?;
        if database.opinions.mode == SecondOpinion::Off {
            return None;
        }
        Some(second::explain(&database, text, snapshot).await)
    }

    /// The catalogs of a database as they are now; `None` where there is no such database.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub async fn catalogs(&self, name: &str) -> Option<Result<Arc<Snapshot>, CatalogUnavailable>> {
        let settings = self.parts.databases.load().get(name).cloned()?;
        match self.database(name, &settings) {
            Ok(database) => Some(database.catalogs.recheck().await),
            Err(error) => {
                tracing::error!(database = %name, %error, "the upstream's TLS settings cannot be used");
                Some(Err(CatalogUnavailable))
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let Some(place) = Place::take(self, address.ip()) else {
            self.parts.metrics.refused_connections.inc();
            return;
        };
        let server = Arc::clone(self);
        self.tasks.spawn(async move {
            // Held to the end of the session.
            let _place = place;
            if let Err(error) = server.serve(stream, address).await {
                tracing::debug!(%address, %error, "no session");
            }
        });
    }

    async fn serve(self: &Arc<Self>, stream: TcpStream, address: SocketAddr) -> Result<(), HandshakeError> {
        stream.set_nodelay(true)?;
        keep_alive(&stream);
        let tls = self.parts.tls.load_full();
        let deadline = tokio::time::Instant::now() + self.settings.handshake_timeout;
        let opened = tokio::select! {
            () = self.stopping.cancelled() => return Ok(()),
            opened = tokio::time::timeout_at(deadline, handshake::open(stream, Arc::clone(&tls.config))) => opened,
        };
        match opened {
            Err(_) => self.refused(address.ip(), "the handshake took too long").await,
            Ok(Err(error @ (HandshakeError::Closed | HandshakeError::Io(_)))) => return Err(error),
            Ok(Err(error)) => self.refused(address.ip(), &error.to_string()).await,
            Ok(Ok(Opening::Cancel { process, key })) => self.cancel(address.ip(), process, &key).await,
            Ok(Ok(Opening::Startup { stream, rest, startup })) => {
                let arrival = open::Arrival { stream, rest, startup, address, binding: tls.binding.clone() };
                open::serve(self, arrival, deadline).await;
            }
        }
        Ok(())
    }

    /// Passes a cancel request on, if its key is a live session's. Whoever sent it learns nothing.
    async fn cancel(&self, address: IpAddr, process: u32, key: &[u8]) {
        if !self.cancels.count(Network::of(address), Instant::now()) {
            return;
        }
        let Some(entry) = self.parts.registry.by_key(process, key) else { return };
        self.parts.metrics.cancels.inc();
        let mut record = Record::new(self.parts.clock.now(), Event::Cancel);
        record.session = Some(entry.id().clone());
        record.principal = Some(entry.principal().to_owned());
        record.database = Some(entry.database().to_owned());
        record.client_addr = Some(address.to_string());
        if let Err(error) = self.parts.journal.record(record).await {
            tracing::error!(%error, "a cancel request is not passed on: it cannot be recorded");
            return;
        }
        entry.note_cancel();
        entry.target().cancel().await;
    }

    /// Records that a client got no session, as often as its address may be heard of.
    pub(super) async fn refused(&self, address: IpAddr, why: &str) {
        if !self.refusals.count(Network::of(address), Instant::now()) {
            return;
        }
        let mut record = Record::new(self.parts.clock.now(), Event::StartupRefused);
        record.client_addr = Some(address.to_string());
        record.client_region = self.parts.region_networks.load().region_of(address).cloned();
        record.detail = Some(why.to_owned());
        if let Err(error) = self.parts.journal.record(record).await {
            tracing::error!(%error, "a refused startup could not be recorded");
        }
    }

    /// What the sessions of a database share; made anew where its settings are no longer the same.
    pub(super) fn database(&self, name: &str, settings: &Arc<DatabaseSettings>) -> Result<Arc<Database>, TlsError> {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = databases.get(name).filter(|known| Arc::ptr_eq(&known.settings, settings)) {
            return Ok(Arc::clone(known));
        }
        let upstream = Upstream::new(Arc::clone(&settings.upstream))?;
        let metrics = Arc::clone(&self.parts.metrics);
        let database = Arc::new(Database {
            settings: Arc::clone(settings),
            catalogs: Keeper::new(upstream.clone(), self.settings.catalog_max_age, Arc::clone(&metrics)),
            opinions: Opinions::new(settings.second_opinion, upstream.clone(), Arc::clone(&metrics)),
            analyses: AnalysisCache::new(Limits::default(), self.settings.analysis_timeout),
            upstream,
        });
        databases.insert(name.to_owned(), Arc::clone(&database));
        Ok(database)
    }
}

/// One connection's place among those that are allowed.
#[derive(Debug)]
struct Place {
    server: Arc<Server>,
    network: Network,
}

impl Place {
    fn take(server: &Arc<Server>, address: IpAddr) -> Option<Self> {
        let network = Network::of(address);
        let mut connections = server.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = server.tasks.len();
        let of_network = connections.entry(network).or_insert(0);
        if all >= server.settings.max_connections || *of_network >= server.settings.max_per_address {
            if *of_network == 0 {
                connections.remove(&network);
            }
            return None;
        }
        *of_network += 1;
        Some(Self { server: Arc::clone(server), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.server.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = connections.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.network);
            }
        }
    }
}

/// Has the kernel notice a client that is gone without a word. That it cannot is no reason to refuse one.
fn keep_alive(stream: &TcpStream) {
    let keep = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_keepalive(&keep) {
        tracing::debug!(%error, "keepalive cannot be set");
    }
}
