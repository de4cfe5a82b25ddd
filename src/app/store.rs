//! The store that the configuration names, opened; and the clock that goes with it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::settings::proof;
use crate::access::Clock;
use crate::config::{PasswordSource, SslMode, StoreLocation, UpstreamHost, UpstreamUrl, store_at};
use crate::guarded::Server;
use crate::store::{Fleet as _, PostgresSettings, PostgresStore, SharedFleet, SharedStore, SqliteStore, Store as _};
use crate::tls;

/// The store, and what only a shared one is.
pub struct Opened {
    pub store: SharedStore,
    pub fleet: Option<SharedFleet>,
    pub clock: Arc<Clock>,
}

/// Opens it. Where several replicas share it, its clock is theirs.
///
/// # Errors
/// Where it cannot be opened.
pub async fn open(location: &StoreLocation) -> anyhow::Result<Opened> {
    match location {
        StoreLocation::Sqlite(path) => {
            let store = SqliteStore::open(path).with_context(|| format!("store {}", path.display()))?;
            let clock = Arc::new(Clock::starting_at(store.latest_instant().await?));
            Ok(Opened { store: Arc::new(store), fleet: None, clock })
        }
        StoreLocation::Postgresql { url, password } => {
            let store = PostgresStore::open(database(url, password)?).await.context("the store")?;
            let store = Arc::new(store);
            let (said, latest) = (store.clock().await?, store.latest_instant().await?);
            let clock = Clock::told(said, latest);
            Ok(Opened { fleet: Some(Arc::clone(&store) as SharedFleet), store, clock: Arc::new(clock) })
        }
    }
}

/// Whether it can be reached and worked on; a file is looked at when it is opened.
///
/// # Errors
/// Says what keeps a replica from working on it.
pub async fn check(location: &StoreLocation) -> anyhow::Result<()> {
    match location {
        StoreLocation::Sqlite(_) => Ok(()),
        StoreLocation::Postgresql { url, password } => {
            crate::store::check(database(url, password)?).await.context("the store cannot be used")
        }
    }
}

/// Where the database is, with what it takes to get in.
///
/// # Errors
/// Where the password or the authority cannot be read.
pub fn database(url: &UpstreamUrl, password: &PasswordSource) -> anyhow::Result<PostgresSettings> {
    let tls = match (url.sslmode, &url.sslrootcert) {
        (SslMode::VerifyFull, Some(ca)) => Some(tls::client_config_of(&tls::PemFile::read(ca)?, None)?),
        (SslMode::VerifyFull | SslMode::VerifyCa | SslMode::Require | SslMode::Disable, _) => None,
    };
    let servers = url.places.iter().map(|place| match &place.host {
        UpstreamHost::Tcp(host) => Server { host: host.clone(), port: place.port, tls: tls.clone(), proof: proof(url) },
        UpstreamHost::Unix(directory) => {
            Server { host: directory.display().to_string(), port: place.port, tls: None, proof: proof(url) }
        }
    });
    Ok(PostgresSettings {
        servers: servers.collect(),
        user: url.user.clone(),
        database: url.database.clone(),
        password: password.read().map_err(|error| anyhow::anyhow!("the store: {error}"))?,
    })
}

/// Brings the tables of a store in a database up to date, and lets `role` work on them.
///
/// # Errors
/// Where that cannot be done.
pub async fn migrate(url: &str, password_file: Option<&Path>, role: Option<&str>) -> anyhow::Result<()> {
    match store_at(url, password_file).map_err(anyhow::Error::msg)? {
        StoreLocation::Postgresql { url, password } => {
            Ok(crate::store::migrate(database(&url, &password)?, role).await?)
        }
        StoreLocation::Sqlite(_) => anyhow::bail!("a file is brought up to date by `pgward serve` itself"),
    }
}

/// Moves an installation from a file to a database.
///
/// # Errors
/// Where that cannot be done; nothing is copied then.
pub async fn copy(from: &str, to: &str, password_file: Option<&Path>) -> anyhow::Result<crate::store::Copied> {
    let from = store_at(from, None).map_err(anyhow::Error::msg)?;
    let to = store_at(to, password_file).map_err(anyhow::Error::msg)?;
    match (from, to) {
        (StoreLocation::Sqlite(path), StoreLocation::Postgresql { url, password }) => {
            if !path.exists() {
                anyhow::bail!("there is no file {}", path.display());
            }
            Ok(crate::store::copy(&path, database(&url, &password)?).await?)
        }
        _ => anyhow::bail!("a store is copied from sqlite://… to postgresql://…"),
    }
}
