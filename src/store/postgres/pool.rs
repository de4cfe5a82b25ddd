//! Connections to the store's server: a handful, kept open, each checked before it is lent.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Pool, PoolError, RecycleError, RecycleResult, Timeouts};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, IsolationLevel, Notification, Transaction};

use crate::access::Secret;
use crate::guarded::{ConnectError, Open, Server};
use crate::store::StoreError;

/// For one server of the store to be connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a caller waits for one thing that it asks, connecting included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of one replica, beside the one that listens.
const CONNECTIONS: usize = 8;

/// Where the store is, and who pgward is there.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// At least one; the first that takes writes is used.
    pub servers: Vec<Server>,
    pub user: String,
    pub database: String,
    pub password: Option<Secret>,
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    settings: PostgresSettings,
}

impl Connector {
    pub(super) fn new(settings: PostgresSettings) -> Self {
        Self { settings }
    }

    /// Connects to the first server that takes writes.
    pub(super) async fn connect(
        &self,
        notified: impl FnMut(Notification) + Clone + Send + 'static,
    ) -> Result<Open, StoreError> {
        let mut failed = StoreError::Failed("no server is named".to_owned());
        // The last of them is to be reached in time, too.
        let number = u32::try_from(self.settings.servers.len().max(1)).unwrap_or(u32::MAX);
        let each = CONNECT_TIMEOUT.min(TIMEOUT * 9 / 10 / number);
        for server in &self.settings.servers {
            let connecting = self.connect_to(server, notified.clone());
            match tokio::time::timeout(each, connecting).await {
                Ok(Ok(open)) => return Ok(open),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = StoreError::Failed(format!("{}:{} does not answer", server.host, server.port)),
            }
        }
        Err(failed)
    }

    async fn connect_to(
        &self,
        server: &Server,
        notified: impl FnMut(Notification) + Send + 'static,
    ) -> Result<Open, StoreError> {
        let mut config = Config::new();
        config.user(&self.settings.user).dbname(&self.settings.database).application_name("pgward store");
        config.keepalives_idle(Duration::from_secs(5)).tcp_user_timeout(Duration::from_secs(10));
        if let Some(password) = &self.settings.password {
            config.password(password.expose());
        }
        let open = server.connect(config, notified).await?;
        open.client.batch_execute(SETTINGS).await?;
        let row = open.client.query_one("SELECT pg_catalog.pg_is_in_recovery()", &[]).await?;
        if row.try_get(0)? {
            return Err(StoreError::Failed(format!(
                "{}:{} is a standby, which takes no writes",
                server.host, server.port
            )));
        }
        Ok(open)
    }
}

/// No statement here is long, and none may wait for somebody who died in the middle of a transaction.
const SETTINGS: &str = "SET search_path = pgward, pg_temp; SET statement_timeout = '4s'; SET lock_timeout = '3s'; \
     SET idle_in_transaction_session_timeout = '5s'; \
     SELECT pg_catalog.set_config('synchronous_commit', 'on', false) \
     WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";

impl managed::Manager for Connector {
    type Type = Open;
    type Error = StoreError;

    async fn create(&self) -> Result<Open, StoreError> {
        self.connect(|_| {}).await
    }

    async fn recycle(&self, open: &mut Open, _: &Metrics) -> RecycleResult<StoreError> {
        if open.client.is_closed() { Err(RecycleError::message("the connection has ended")) } else { Ok(()) }
    }
}

/// The connections.
#[derive(Debug)]
pub(super) struct Connections(Pool<Connector>, Duration);

impl Connections {
    /// Each thing that is asked has so long.
    pub(super) fn new(settings: PostgresSettings, limit: Option<Duration>) -> Result<Self, StoreError> {
        let timeouts = Timeouts { wait: Some(TIMEOUT), create: Some(TIMEOUT), recycle: Some(TIMEOUT) };
        let pool = Pool::builder(Connector::new(settings)).max_size(CONNECTIONS).timeouts(timeouts);
        let pool = pool.runtime(Runtime::Tokio1).build();
        pool.map(|pool| Self(pool, limit.unwrap_or(TIMEOUT))).map_err(|error| StoreError::Failed(error.to_string()))
    }

    pub(super) fn connector(&self) -> &Connector {
        self.0.manager()
    }

    pub(super) async fn get(&self) -> Result<managed::Object<Connector>, StoreError> {
        self.0.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => StoreError::Failed("the store's server did not answer in time".to_owned()),
            other => StoreError::Failed(other.to_string()),
        })
    }

    /// Lets go of those that wait: their server may be one that takes no more writes.
    pub(super) fn forget(&self) {
        self.0.retain(|_, _| false);
    }

    /// Has `work` done in time.
    pub(super) async fn timed<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let late = |_| Err(StoreError::Failed("the store's server did not answer in time".to_owned()));
        tokio::time::timeout(self.1, work).await.unwrap_or_else(late)
    }
}

/// One view of everything, for several questions.
pub(super) async fn snapshot(open: &mut Open) -> Result<Transaction<'_>, StoreError> {
    Ok(open.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?)
}

impl From<ConnectError> for StoreError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Io(_) => StoreError::Failed(format!("the store's server cannot be reached ({error})")),
            ConnectError::Database(error) => error.into(),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        // The server's DETAIL may quote a row: its message and SQLSTATE are enough.
        StoreError::Failed(match (error.as_db_error(), std::error::Error::source(&error)) {
            (Some(said), _) if *said.code() == SqlState::INSUFFICIENT_PRIVILEGE => {
                format!("the store's role may not do that ({})", said.message())
            }
            (Some(said), _) => format!("the store's server said {}: {}", said.code().code(), said.message()),
            (None, Some(source)) => format!("the store's server: {error}: {source}"),
            (None, None) => format!("the store's server: {error}"),
        })
    }
}

/// Whether it is a row that is there already.
pub(super) fn is_duplicate(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// Told by the server that there may be news.
pub(super) type Hint = Arc<tokio::sync::Notify>;

/// One connection, for work that takes its time.
pub(in crate::store) async fn single(settings: PostgresSettings) -> Result<Open, StoreError> {
    let open = Connector::new(settings).connect(|_| {}).await?;
    open.client.batch_execute("SET statement_timeout = '10min'").await?;
    Ok(open)
}
