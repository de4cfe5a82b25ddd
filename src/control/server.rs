//! The control port as one part: what it is given, what its handlers share.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::browser::Browsers;
use super::departures::Departures;
use super::limiter::FailureLimiter;
use super::permissions::Permissions;
use super::refusals::Refusals;
use super::retention::Retention;
use super::usage::Usage;
use super::{Directory, Explain, Metrics, listener};
use crate::access::{Clock, SessionId};
use crate::audit::Journal;
use crate::desk::Desk;
use crate::replicas::{HandedCancel, Replicas};
use crate::session::{Registry, SessionInfo};
use crate::store::{GrantBook, SharedStore};

/// How the control port behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The certificate and key; ALPN is set here.
    pub tls: Arc<rustls::ServerConfig>,
    /// How long a minted database password is good.
    pub credential_ttl: Duration,
    /// Time for a TLS handshake, and for a request's head to arrive.
    pub handshake_timeout: Duration,
    /// How long a connection may last on which no valid token was shown.
    pub stranger_timeout: Duration,
    /// Time for one call until its answer begins.
    pub call_timeout: Duration,
    /// Time that open calls have to end at a shutdown.
    pub drain_timeout: Duration,
    /// Connections at once, and of one address.
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    /// Cancelled once the process is about to stop: it is not ready from then on, and serves those who are there.
    pub leaving: CancellationToken,
    /// How old what is known of the store may be.
    pub store_lease: Duration,
}

impl Settings {
    /// The usual bounds.
    #[must_use]
    pub fn new(tls: Arc<rustls::ServerConfig>) -> Self {
        Self {
            tls,
            credential_ttl: Duration::from_secs(12 * 3600),
            handshake_timeout: Duration::from_secs(10),
            stranger_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            max_connections: 512,
            max_connections_per_address: 128,
            leaving: CancellationToken::new(),
            store_lease: Duration::from_secs(30),
        }
    }
}

/// Makes the verifier of a user's password, in the format of `pg_authid.rolpassword`: with the salt and iterations of the
/// last argument, another verifier of the same user, where there is one; the handshake names one salt before it knows
/// which password the client holds. Arguments: user, password, other verifier.
pub type DeriveVerifier = Arc<dyn Fn(&str, &str, Option<&str>) -> Result<String, String> + Send + Sync>;

/// The live sessions, to be listed and ended.
pub trait Sessions: Send + Sync + std::fmt::Debug {
    /// Every live session, oldest first.
    fn list(&self) -> Vec<SessionInfo>;

    /// Ends a session, its running statement cancelled. Answers whether there was one.
    fn kill(&self, id: &SessionId, by: &str, reason: Option<&str>) -> bool;

    /// The principals whose statements do not run, and why.
    fn held(&self) -> Vec<(String, Arc<str>)>;

    /// Lets this one's run again.
    fn release(&self, principal: &str) -> bool;
}

impl Sessions for Registry {
    fn list(&self) -> Vec<SessionInfo> {
        self.list()
    }

    fn kill(&self, id: &SessionId, by: &str, reason: Option<&str>) -> bool {
        self.kill(id, by, reason)
    }

    fn held(&self) -> Vec<(String, Arc<str>)> {
        self.holds().list()
    }

    fn release(&self, principal: &str) -> bool {
        self.holds().release(principal)
    }
}

/// Takes cancel requests for sessions of this replica.
#[async_trait::async_trait]
pub trait Cancels: Send + Sync + std::fmt::Debug {
    /// Answers whether there is such a session.
    async fn take_cancel(&self, cancel: &HandedCancel) -> bool;
}

/// The parts that the control port works with.
#[derive(Clone)]
pub struct Dependencies {
    pub store: SharedStore,
    pub grants: Arc<GrantBook>,
    pub journal: Arc<Journal>,
    pub clock: Arc<Clock>,
    pub sessions: Arc<dyn Sessions>,
    /// The other replicas, where the store is one that several share.
    pub replicas: Option<Arc<Replicas>>,
    /// Who takes cancel requests that others were sent.
    pub cancels: Arc<dyn Cancels>,
    /// Swapped when the configuration is read again.
    pub directory: Arc<ArcSwap<Directory>>,
    pub explainer: Arc<dyn Explain>,
    /// Where access is asked for and decided on.
    pub desk: Arc<Desk>,
    /// Who deals with rows past their time.
    pub retention: Arc<dyn Retention>,
    /// Who asks databases for standing access.
    pub permissions: Arc<dyn Permissions>,
    /// Who reads the journal for reports.
    pub usage: Arc<dyn Usage>,
    pub derive_verifier: DeriveVerifier,
    /// What `/metrics` shows.
    pub registry: Arc<prometheus_client::registry::Registry>,
    /// What the control port itself counts there.
    pub metrics: Metrics,
}

impl std::fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dependencies").finish_non_exhaustive()
    }
}

/// What every handler sees.
#[derive(Debug)]
pub struct Shared {
    pub settings: Settings,
    pub parts: Dependencies,
    pub limiter: FailureLimiter,
    pub refusals: Refusals,
    pub browsers: Browsers,
    pub departures: Departures,
    pub acts: TaskTracker,
    /// Answers that are sent as they are found.
    pub streams: TaskTracker,
    /// Statements that are judged at once.
    pub judges: Semaphore,
    /// Readers of the journal at once, its provers, and its followers.
    pub readers: Arc<Semaphore>,
    pub provers: Arc<Semaphore>,
    pub followers: Arc<Semaphore>,
    /// Ends the answers that would never end by themselves.
    pub stop: CancellationToken,
}

impl std::ops::Deref for Shared {
    type Target = Dependencies;

    fn deref(&self) -> &Dependencies {
        &self.parts
    }
}

/// The control port.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    #[must_use]
    pub fn new(settings: Settings, dependencies: Dependencies) -> Self {
        let shared = Shared {
            settings,
            parts: dependencies,
            limiter: FailureLimiter::default(),
            refusals: Refusals::default(),
            browsers: Browsers::default(),
            departures: Departures::default(),
            acts: TaskTracker::new(),
            streams: TaskTracker::new(),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            judges: Semaphore::new(MAX_JUDGES),
            provers: Arc::new(Semaphore::new(MAX_PROVERS)),
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
            stop: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves until `stop` is cancelled, then lets open calls end within the drain time. Acts that were begun are
    /// waited for: none is left half done.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        listener::run(&self.shared, listener, &stop).await;
        self.shared.streams.close();
        self.shared.acts.close();
        if tokio::time::timeout(self.shared.settings.drain_timeout, self.shared.acts.wait()).await.is_err() {
            tracing::error!("acts on the control port did not end in time");
        }
    }
}

/// Searches and stories at once: each holds what it found in memory.
const MAX_READERS: usize = 4;
/// Verifications at once: each reads the whole journal.
const MAX_PROVERS: usize = 1;
/// Statements that are explained at once: reading one costs time.
const MAX_JUDGES: usize = 4;
/// Callers that follow the journal at once.
const MAX_FOLLOWERS: usize = 32;
