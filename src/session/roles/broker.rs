//! A connection that makes or removes short-lived roles: used by one caller at a time, opened anew when it is lost. While it lives it holds an advisory lock that tells every pgward of the database that this one does.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::names::Process;
use crate::session::places::Unsuited;
use crate::session::side::{self, SideClient, SideError};
use crate::session::upstream::Upstream;

/// For one turn at the connection, the wait for it left out: what takes longer is given up, with the connection.
const TURN: Duration = Duration::from_secs(8);
/// For a connection that was kept to say that it is still there.
const PING: Duration = Duration::from_secs(2);
/// The first key of pgward's advisory locks; the second is the process's, or 0 for changes of privileges.
pub const LOCKS: i32 = 0x7067_7764;
/// How often a change is tried that others' changes of the same catalog rows get in the way of.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(40);

/// Why a role could not be made, changed or removed. For the log.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    #[error("{}", said(.0))]
    Database(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Unsuited(#[from] Unsuited),
    #[error("the role's connection took too long")]
    Timeout,
    #[error("the random source failed")]
    Random,
    #[error("the catalogs of the database are not known yet")]
    NoCatalogs,
    #[error("\"$user\" in the search_path names a schema of the broker's: give the broker another search_path")]
    SearchPath,
    #[error("the broker may pass on no privilege of the grant's scope")]
    NothingToGive,
}

impl From<SideError> for RoleError {
    fn from(error: SideError) -> Self {
        match error {
            SideError::Database(error) => Self::Database(error),
            SideError::Unsuited(error) => Self::Unsuited(error),
            SideError::Timeout => Self::Timeout,
        }
    }
}

/// PostgreSQL's own words, which tokio-postgres keeps out of its short ones.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        None => error.to_string(),
        Some(database) => {
            let detail = database.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
            format!("{} {}{detail}", database.code().code(), database.message())
        }
    }
}

/// The broker's connection to one database.
#[derive(Debug)]
pub struct Broker {
    upstream: Upstream,
    process: Process,
    connection: Mutex<Option<SideClient>>,
}

/// A turn at the connection. Where it is dropped before [`Turn::done`], the connection is dropped with it: nobody knows
/// what state it is in.
#[derive(Debug)]
pub struct Turn<'b> {
    place: MutexGuard<'b, Option<SideClient>>,
    client: SideClient,
}

impl Turn<'_> {
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Keeps the connection for the next turn.
    pub fn done(self) {
        let Self { mut place, client } = self;
        *place = Some(client).filter(|client| !client.is_closed());
    }
}

impl Broker {
    #[must_use]
    pub fn new(upstream: Upstream, process: Process) -> Self {
        Self { upstream, process, connection: Mutex::new(None) }
    }

    #[must_use]
    pub fn process(&self) -> Process {
        self.process
    }

    /// The upstream's name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.upstream.settings().database
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// Where no connection can be made.
    pub async fn turn(&self) -> Result<Turn<'_>, RoleError> {
        let mut place = self.connection.lock().await;
        let kept = match place.take() {
            Some(client) if client.is_usable(&self.upstream) && answers(&client).await => Some(client),
            Some(_) | None => None,
        };
        let client = match kept {
            Some(client) => client,
            None => match tokio::time::timeout(TURN, self.connect()).await {
                Ok(connected) => connected?,
                Err(_) => return Err(RoleError::Timeout),
            },
        };
        Ok(Turn { place, client })
    }

    /// Runs statements as one transaction.
    ///
    /// # Errors
    /// Where one of them fails; then none has happened.
    pub async fn run(&self, statements: &[String]) -> Result<(), RoleError> {
        let turn = self.turn().await?;
        let result = together(turn.client(), statements).await;
        if !matches!(result, Err(RoleError::Timeout)) {
            turn.done();
        }
        result
    }

    async fn connect(&self) -> Result<SideClient, RoleError> {
        let client = side::connect(&self.upstream, "pgward broker", TURN).await?;
        client
            .batch_execute(
                "SET search_path = pg_catalog; SET lock_timeout = '4s'; SET statement_timeout = '7s'; \
                 SET client_min_messages = error; SET standard_conforming_strings = on",
            )
            .await?;
        // A session's lock: it goes with the connection, however the process ends. Shared, for it has two of them.
        let key = i32::from_be_bytes(self.process.lock_key().to_be_bytes());
        client.query_one("SELECT pg_advisory_lock_shared($1, $2)", &[&LOCKS, &key]).await?;
        Ok(client)
    }
}

/// Whether a connection that was kept is still good: one round trip, so that nobody's session fails by a restart.
async fn answers(client: &Client) -> bool {
    let asked = tokio::time::timeout(PING, client.simple_query(""));
    !client.is_closed() && matches!(asked.await, Ok(Ok(_)))
}

/// Runs statements in one message and so in one transaction, again where another transaction came in between.
///
/// # Errors
/// Where one of them fails; then none has happened.
pub async fn together(client: &Client, statements: &[String]) -> Result<(), RoleError> {
    let text = statements.join(";\n");
    for attempt in 1.. {
        match tokio::time::timeout(TURN, client.batch_execute(&text)).await {
            Err(_) => return Err(RoleError::Timeout),
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if attempt < ATTEMPTS && is_passing(&error) => tokio::time::sleep(PAUSE).await,
            Ok(Err(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Two transactions that change one ACL or one membership: PostgreSQL fails one of them instead of having it wait.
fn is_passing(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else { return false };
    let concurrently = error.as_db_error().is_some_and(|error| error.message().contains("concurrently"));
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
        || (*code == SqlState::INTERNAL_ERROR && concurrently)
}

/// Keeps two pgwards of one database from changing the same ACLs at a time; held to the end of the transaction.
#[must_use]
pub fn one_at_a_time() -> String {
    format!("SELECT pg_catalog.pg_advisory_xact_lock({LOCKS}, 0)")
}
