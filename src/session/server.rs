//! Accepts clients within bounds, and keeps what all sessions share.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::Instant as Deadline;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::analysis::AnalysisCache;
use super::balancer::{self, Origin};
use super::catalogs::{CatalogUnavailable, Keeper};
use super::exports::Ledger;
use super::handshake::{self, HandshakeError, Opening};
use super::judge::Database;
use super::judge::second::{self, Explained};
use super::open;
use super::opinions::Opinions;
use super::pulse::Pulse;
use super::refusals;
use super::registry::Registry;
use super::roles::Provision;
use super::routes;
use super::settings::{DatabaseSettings, Dependencies, SecondOpinion, Settings};
use super::throttle::{Network, Throttle};
use super::tls::TlsError;
use super::upstream::Upstream;
use crate::access::{Allowance, Grant};
use crate::audit::{Event, Record, Turns};
use crate::catalog::Snapshot;
use crate::policy::Exported;
use crate::sql::Limits;
use crate::store::StoreError;
use crate::wire::encode::ClientVisible;
use crate::wire::sqlstate;

const MINUTE: Duration = Duration::from_secs(60);
/// Cancel requests from one address within a minute.
const MAX_CANCELS: u32 = 300;
/// After an accept that failed for want of something, before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted; the kernel takes less where `net.core.somaxconn` is lower.
const BACKLOG: i32 = 8_192;
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
    pub(super) ledger: Arc<Ledger>,
    pub(super) refusals: Allowance<Network>,
    /// What sessions of one thread record together.
    pub(super) turns: Turns,
    pub(super) pulse: Arc<Pulse>,
    cancels: Throttle<Network>,
    databases: Mutex<HashMap<String, Arc<Database>>>,
    /// Where sessions run, in turns; where [`Server::run`] itself does, if there are none.
    lanes: Vec<Handle>,
    next_lane: AtomicUsize,
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
            ledger: Arc::new(Ledger::new(Arc::clone(&parts.store))),
            refusals: Allowance::new(refusals::MOST),
            turns: Turns::new(Arc::clone(&parts.journal)),
            pulse: Pulse::new(Arc::clone(&parts.grants), settings.store_lease, Arc::clone(&parts.clock)),
            cancels: Throttle::new(MAX_CANCELS, MINUTE),
            databases: Mutex::default(),
            lanes: Vec::new(),
            next_lane: AtomicUsize::new(0),
            connections: Mutex::default(),
            stopping: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            settings,
            parts,
        }
    }

    /// Has sessions run on these runtimes, each on one.
    #[must_use]
    pub fn on(mut self, lanes: Vec<Handle>) -> Self {
        self.lanes = lanes;
        self
    }

    /// Serves clients until `shutdown`; then lets statements end for a while, ends the rest, and returns.
    pub async fn run(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        self.begin_provisions();
        // Looks for as long as there is a session.
        let pulse_stop = CancellationToken::new();
        let _pulse_stop = pulse_stop.clone().drop_guard();
        tokio::spawn(Arc::clone(&self.pulse).run(pulse_stop));
        self.accept(listener, shutdown).await;
        self.stopping.cancel();
        self.tasks.close();
        self.drain().await;
        self.ledger.give_back().await;
        self.end_provisions().await;
    }

    /// Accepts until `shutdown`, on the first lane.
    async fn accept(self: &Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        let Some(lane) = self.lanes.first() else { return Arc::clone(self).accept_here(listener, shutdown).await };
        let server = Arc::clone(self);
        let moved = listener.into_std();
        let accepting = lane.spawn(async move {
            match moved.and_then(TcpListener::from_std) {
                Ok(listener) => server.accept_here(listener, shutdown).await,
                Err(error) => tracing::error!(%error, "the listener cannot be moved to its thread"),
            }
        });
        if let Err(error) = accepting.await {
            tracing::error!(%error, "accepting connections ended badly");
        }
    }

    async fn accept_here(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        prepare(&listener);
        loop {
            // Cancel safe: an accept that is dropped has taken no connection.
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
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
    }

    async fn drain(&self) {
        if tokio::time::timeout(self.settings.drain, self.tasks.wait()).await.is_ok() {
            return;
        }
        self.stop.cancel();
        if tokio::time::timeout(GOODBYE, self.tasks.wait()).await.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
    }

    /// Has the databases that make roles remove what an earlier process left there, before anybody asks for a session.
    fn begin_provisions(&self) {
        for (name, settings) in self.parts.databases.load().iter().filter(|(_, settings)| settings.roles.is_some()) {
            if let Err(error) = self.database(settings) {
                tracing::error!(database = %name, %error, "the upstream's TLS settings cannot be used");
            }
        }
    }

    async fn end_provisions(&self) {
        let databases: Vec<Arc<Database>> = {
            let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
            databases.drain().map(|(_, database)| database).collect()
        };
        let roles = databases.iter().filter_map(|database| database.roles.clone());
        let mut closing: tokio::task::JoinSet<()> = roles.map(|roles| async move { roles.close().await }).collect();
        while closing.join_next().await.is_some() {}
    }

    /// The second opinion on the statements of a text; `None` where the database is configured without one.
    pub async fn second_opinion(&self, name: &str, text: &str, snapshot: &Snapshot) -> Option<Vec<Explained>> {
        let settings = routes::find(&self.parts.databases.load(), name)?;
        let database = self.database(&settings).ok()?;
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
        let settings = routes::find(&self.parts.databases.load(), name)?;
        match self.database(&settings) {
            Ok(database) => Some(database.catalogs.recheck().await),
            Err(error) => {
                tracing::error!(database = %name, %error, "the upstream's TLS settings cannot be used");
                Some(Err(CatalogUnavailable))
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Behind a load balancer the client's address, and with it the bound by address, is known only once it is told.
        let is_balancer = self.parts.balancers.load().include(peer.ip());
        let place = if is_balancer { None } else { Place::take(self, peer.ip()) };
        if self.tasks.len() >= self.settings.max_connections || (place.is_none() && !is_balancer) {
            self.parts.metrics.refused_connections.inc();
            self.refused_at_once(peer.ip(), "too many connections");
            return;
        }
        let server = Arc::clone(self);
        let deadline = tokio::time::Instant::now() + server.settings.handshake_timeout;
        let serving = move |stream| async move {
            let served = match place {
                // Held to the end of the session.
                Some(_place) => server.serve(stream, Origin { address: peer, is_local: false }, deadline).await,
                None => Box::pin(server.serve_behind(stream, peer, deadline)).await,
            };
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "no session");
            }
        };
        match self.lanes.as_slice() {
            [] | [_] => drop(self.tasks.spawn(serving(stream))),
            lanes => {
                let turn = self.next_lane.fetch_add(1, Ordering::Relaxed) % lanes.len();
                let Some(lane) = lanes.get(turn) else { return };
                // Each lane waits for its own sockets.
                let moved = stream.into_std();
                self.tasks.spawn_on(
                    async move {
                        match moved.and_then(TcpStream::from_std) {
                            Ok(stream) => serving(stream).await,
                            Err(error) => tracing::warn!(%peer, %error, "a connection cannot be moved to its thread"),
                        }
                    },
                    lane,
                );
            }
        }
    }

    /// Serves a connection of a load balancer, for the client that it names.
    async fn serve_behind(
        self: &Arc<Self>,
        mut stream: TcpStream,
        peer: SocketAddr,
        deadline: Deadline,
    ) -> Result<(), HandshakeError> {
        let told = tokio::select! {
            () = self.stopping.cancelled() => return Ok(()),
            told = tokio::time::timeout_at(deadline, balancer::read(&mut stream, peer)) => told,
        };
        let from = match told {
            Ok(Ok(from)) => from,
            Ok(Err(error @ (HandshakeError::Closed | HandshakeError::Io(_)))) => return Err(error),
            Ok(Err(error)) => {
                self.refused(peer.ip(), &error.to_string()).await;
                return Err(error);
            }
            Err(_) => {
                self.refused(peer.ip(), "the PROXY header took too long").await;
                return Ok(());
            }
        };
        let Some(_place) = Place::take(self, from.address.ip()) else {
            self.parts.metrics.refused_connections.inc();
            self.refused(from.address.ip(), "too many connections").await;
            return Ok(());
        };
        self.serve(stream, from, deadline).await
    }

    /// Serves a client to its end.
    async fn serve(
        self: &Arc<Self>,
        stream: TcpStream,
        from: Origin,
        deadline: Deadline,
    ) -> Result<(), HandshakeError> {
        // Boxed, as all that comes before the session itself: the task holds it no longer than it takes.
        if let Some(arrival) = Box::pin(self.receive(stream, from, deadline)).await? {
            open::serve(self, arrival, deadline).await;
        }
        Ok(())
    }

    /// A client that has said who it wants to be; `None` where nothing more is to be done for it.
    async fn receive(
        self: &Arc<Self>,
        stream: TcpStream,
        from: Origin,
        deadline: Deadline,
    ) -> Result<Option<Box<open::Arrival>>, HandshakeError> {
        let tls = self.parts.tls.load_full();
        let address = from.address;
        let opening = Box::pin(tokio::time::timeout_at(deadline, handshake::open(stream, Arc::clone(&tls.config))));
        let opened = tokio::select! {
            () = self.stopping.cancelled() => return Ok(None),
            opened = opening => opened,
        };
        match opened {
            Err(_) => self.refused(address.ip(), "the handshake took too long").await,
            Ok(Err(error @ (HandshakeError::Closed | HandshakeError::Io(_)))) => return Err(error),
            Ok(Err(error)) => self.refused(address.ip(), &error.to_string()).await,
            Ok(Ok(Opening::Startup { mut stream, .. })) if from.is_local => {
                let text = "a load balancer's own connection gets no session";
                self.refused(address.ip(), text).await;
                let said = ClientVisible::fatal(sqlstate::INVALID_AUTHORIZATION, text);
                handshake::refuse(&mut stream, &[], &said).await;
            }
            Ok(Ok(Opening::Cancel { .. })) if from.is_local => {
                self.refused(address.ip(), "a load balancer's own connection cancels nothing").await;
            }
            Ok(Ok(Opening::Cancel { process, key })) => self.cancel(address.ip(), process, &key).await,
            Ok(Ok(Opening::Startup { stream, rest, startup })) => {
                let binding = tls.binding(stream.get_ref().1.server_name());
                let arrival = open::Arrival::new(stream, rest, startup, address, binding);
                return Ok(Some(Box::new(arrival)));
            }
        }
        Ok(None)
    }

    /// Passes a cancel request on, if its key is a live session's. Whoever sent it learns nothing.
    async fn cancel(&self, address: IpAddr, process: u32, key: &[u8]) {
        let mut record = Record::new(self.parts.clock.now(), Event::Cancel);
        if !self.cancels.count(Network::of(address), Instant::now()) {
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
        entry.note_cancel();
        entry.target().cancel().await;
    }

    /// Ends the sessions of clients whose certificates are not accepted any more: after a change of what is.
    pub fn end_unaccepted(&self) {
        let tls = self.parts.tls.load_full();
        self.parts.registry.end_unaccepted(|chain| tls.accepts(chain));
    }

    /// What has left its region under these grants.
    ///
    /// # Errors
    /// Where the store does not say.
    pub async fn exported(&self, grants: &[Arc<Grant>]) -> Result<Arc<Exported>, StoreError> {
        self.ledger.exported(grants).await
    }

    /// What the sessions of an upstream share; made anew where its settings are no longer the same.
    pub(super) fn database(&self, settings: &Arc<DatabaseSettings>) -> Result<Arc<Database>, TlsError> {
        let name = settings.route.as_str();
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = databases.get(name).filter(|known| Arc::ptr_eq(&known.settings, settings)) {
            return Ok(Arc::clone(known));
        }
        let upstream = Upstream::new(Arc::clone(&settings.upstream))?;
        let metrics = Arc::clone(&self.parts.metrics);
        let roles = settings.roles.map(|roles| {
            let (grants, clock) = (Arc::clone(&self.parts.grants), Arc::clone(&self.parts.clock));
            Provision::start(upstream.clone(), roles, grants, clock)
        });
        let analyses = AnalysisCache::new(Limits::default(), self.settings.analysis_timeout);
        let analyses = match settings.second_opinion {
            SecondOpinion::Off => analyses,
            // PostgreSQL is asked about each text.
            SecondOpinion::On | SecondOpinion::Required => analyses.letter_by_letter(),
        };
        let database = Arc::new(Database {
            settings: Arc::clone(settings),
            roles,
            catalogs: Keeper::new(upstream.clone(), self.settings.catalog_max_age, Arc::clone(&metrics)),
            opinions: Opinions::new(settings.second_opinion, upstream.clone(), Arc::clone(&metrics)),
            analyses,
            upstream,
        });
        if database.upstream.places().are_several() {
            tokio::spawn(follow(Arc::clone(&self.parts.registry), Arc::downgrade(&database)));
        }
        databases.insert(name.to_owned(), Arc::clone(&database));
        Ok(database)
    }
}

/// Ends the sessions that are on a server that is no longer in use, whenever another one is.
async fn follow(registry: Arc<Registry>, database: Weak<Database>) {
    let Some(places) = database.upgrade().map(|database| Arc::clone(database.upstream.places())) else { return };
    let mut changes = places.subscribe();
    let places = Arc::downgrade(&places);
    while changes.changed().await.is_ok() {
        let (Some(places), Some(current)) = (places.upgrade(), *changes.borrow_and_update()) else { return };
        // What was read of the other server says nothing of this one.
        if let Some(database) = database.upgrade() {
            database.catalogs.forget_check();
        }
        registry.end_elsewhere(&places, current);
    }
}

/// One connection's place among those that are allowed from one address.
#[derive(Debug)]
struct Place {
    server: Arc<Server>,
    network: Network,
}

impl Place {
    fn take(server: &Arc<Server>, address: IpAddr) -> Option<Self> {
        let network = Network::of(address);
        let mut connections = server.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let of_network = connections.entry(network).or_insert(0);
        if *of_network >= server.settings.max_per_address {
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

/// What accepted connections take over from their listener: nothing waits to be sent together with more, and the kernel notices a
/// client that is gone without a word. And a storm of clients finds room to wait.
fn prepare(listener: &TcpListener) {
    let keep = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    let socket = socket2::SockRef::from(listener);
    let prepared = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keep))
        .and_then(|()| socket.listen(BACKLOG));
    // No reason to refuse anybody.
    if let Err(error) = prepared {
        tracing::warn!(%error, "the listener keeps its defaults");
    }
}
