//! Keeps one database's catalog snapshot: checked again when it is older than a second, loaded anew when it changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio_postgres::Statement;

use super::metrics::Metrics;
use super::roles::RoleError;
use super::settings::DatabaseSettings;
use super::side::{self, SideClient, SideError};
use super::tls::TlsError;
use super::upstream::{Upstream, UpstreamError};
use crate::catalog::{LoadError, Snapshot};

/// For one check or load: a catalog that cannot be read in this time is one that cannot be relied on.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The catalogs cannot be read now. The cause is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the catalogs of the database cannot be read")]
pub struct CatalogUnavailable;

/// Why an upstream cannot be used, for whoever checks a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Login(#[from] UpstreamError),
    #[error("its catalogs cannot be read: {0}")]
    Catalogs(#[from] LoadError),
    #[error("its catalogs cannot be read: it took too long")]
    Timeout,
    #[error("the broker cannot be asked what it may do: {0}")]
    Broker(#[from] RoleError),
}

/// Logs in to an upstream as a session would, reads its catalogs, and answers their version.
///
/// # Errors
/// Says which of that failed.
pub async fn reach(settings: &DatabaseSettings) -> Result<u64, Unreachable> {
    let upstream = Upstream::new(Arc::clone(&settings.upstream))?;
    upstream.connect(&[("client_encoding", "UTF8")], TIMEOUT).await?;
    let metrics = Arc::new(Metrics::register(&mut prometheus_client::registry::Registry::default()));
    let keeper = Keeper::new(upstream, TIMEOUT, metrics);
    let mut side = None;
    let asked = tokio::time::timeout(TIMEOUT, keeper.ask(&mut side)).await;
    Ok(asked.map_err(|_| Unreachable::Timeout)??.version)
}

/// A connection of pgward's own to an upstream that no server of sessions is there for.
///
/// # Errors
/// Where it cannot be reached.
pub async fn own_connection_to(
    settings: &DatabaseSettings,
    application_name: &'static str,
) -> Result<SideClient, Unreachable> {
    let upstream = Upstream::new(Arc::clone(&settings.upstream))?;
    let connected = side::connect(&upstream, application_name, TIMEOUT).await;
    Ok(connected.map_err(|error| LoadError::NoServer(error.to_string()))?)
}

/// The snapshot of one database, and the side connection that it is read by.
#[derive(Debug)]
pub struct Keeper {
    upstream: Upstream,
    max_age: Duration,
    metrics: Arc<Metrics>,
    known: ArcSwapOption<Known>,
    /// Held while the catalogs are asked, so that concurrent callers share one question.
    side: Mutex<Option<Side>>,
}

/// A connection that the catalogs are read by.
#[derive(Debug)]
struct Side {
    client: SideClient,
    /// Asks whether they are as they were; prepared when it is first asked.
    question: Option<Statement>,
}

#[derive(Debug)]
struct Known {
    snapshot: Arc<Snapshot>,
    /// When the question was asked whose answer confirmed it.
    checked_at: Instant,
}

impl Keeper {
    #[must_use]
    pub fn new(upstream: Upstream, max_age: Duration, metrics: Arc<Metrics>) -> Self {
        Self { upstream, max_age, metrics, known: ArcSwapOption::empty(), side: Mutex::new(None) }
    }

    /// A snapshot that was true at most `max_age` ago. Cancel safe.
    ///
    /// # Errors
    /// Where the upstream does not say.
    pub async fn current(&self) -> Result<Arc<Snapshot>, CatalogUnavailable> {
        match self.checked_since(Instant::now().checked_sub(self.max_age)) {
            Some(snapshot) => Ok(snapshot),
            None => self.check(Instant::now().checked_sub(self.max_age)).await,
        }
    }

    /// The same, where it is at hand.
    #[must_use]
    pub fn known(&self, now: Instant) -> Option<Arc<Snapshot>> {
        self.checked_since(now.checked_sub(self.max_age))
    }

    /// A snapshot that is true now. Cancel safe.
    ///
    /// # Errors
    /// Where the upstream does not say.
    pub async fn recheck(&self) -> Result<Arc<Snapshot>, CatalogUnavailable> {
        self.check(Some(Instant::now())).await
    }

    /// Has the next caller check, whatever the age: somebody changed the catalogs.
    pub fn forget_check(&self) {
        if let Some(known) = self.known.load_full()
            && let Some(checked_at) = known.checked_at.checked_sub(self.max_age * 2)
        {
            self.known.store(Some(Arc::new(Known { snapshot: Arc::clone(&known.snapshot), checked_at })));
        }
    }

    fn checked_since(&self, since: Option<Instant>) -> Option<Arc<Snapshot>> {
        let known = self.known.load();
        let known = known.as_ref()?;
        since.is_none_or(|since| known.checked_at >= since).then(|| Arc::clone(&known.snapshot))
    }

    async fn check(&self, since: Option<Instant>) -> Result<Arc<Snapshot>, CatalogUnavailable> {
        let mut side = self.side.lock().await;
        // Somebody else may have asked while this caller waited.
        if let Some(snapshot) = self.checked_since(since) {
            return Ok(snapshot);
        }
        // Once more on a new connection: the old one may have been closed long ago.
        for _ in 0..2 {
            let reused = side.is_some();
            // Boxed: most who would ask find the answer there, and should not be as large as the question.
            match tokio::time::timeout(TIMEOUT, Box::pin(self.ask(&mut side))).await {
                Ok(Ok(snapshot)) => return Ok(snapshot),
                Ok(Err(error)) => tracing::warn!(%error, "the catalogs cannot be read"),
                Err(_) => tracing::warn!("reading the catalogs takes too long"),
            }
            *side = None;
            if !reused {
                break;
            }
        }
        self.metrics.upstream_failures.inc();
        Err(CatalogUnavailable)
    }

    async fn ask(&self, side: &mut Option<Side>) -> Result<Arc<Snapshot>, LoadError> {
        let asked_at = Instant::now();
        let Side { client, question } = match side.take().filter(|side| side.client.is_usable(&self.upstream)) {
            Some(open) => side.insert(open),
            None => {
                let connected = side::connect(&self.upstream, "pgward catalogs", TIMEOUT).await;
                let client = connected.map_err(|error| match error {
                    // Without its cause an error of TLS says nothing.
                    SideError::Database(error) => match std::error::Error::source(&error) {
                        Some(cause) if error.as_db_error().is_none() => {
                            LoadError::NoServer(format!("{error}: {cause}"))
                        }
                        Some(_) | None => LoadError::Database(error),
                    },
                    error @ (SideError::Unsuited(_) | SideError::Timeout) => LoadError::NoServer(error.to_string()),
                })?;
                side.insert(Side { client, question: None })
            }
        };
        let known = self.known.load_full();
        if let Some(known) = known
            && {
                let question = match question {
                    Some(question) => question,
                    None => question.insert(Snapshot::prepare_mark(client).await?),
                };
                Snapshot::mark_by(client, question).await? == known.snapshot.version
            }
        {
            let snapshot = Arc::clone(&known.snapshot);
            self.known.store(Some(Arc::new(Known { snapshot: Arc::clone(&snapshot), checked_at: asked_at })));
            return Ok(snapshot);
        }
        let snapshot = Arc::new(Snapshot::load(client).await?);
        self.metrics.catalog_loads.inc();
        self.known.store(Some(Arc::new(Known { snapshot: Arc::clone(&snapshot), checked_at: asked_at })));
        Ok(snapshot)
    }

    /// The newest snapshot, however old; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.known.load().as_ref().map(|known| Arc::clone(&known.snapshot))
    }
}
