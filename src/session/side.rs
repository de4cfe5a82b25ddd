//! Connections of pgward's own to an upstream, beside those of its sessions: for the catalogs, second opinions and short-lived
//! roles. They go where the sessions go, and are of no more use when those go elsewhere.

use std::ops::Deref;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::leg::Leg;
use super::places::{Attempt, Said, Unsuited, is_on, share};
use super::upstream::{CANNOT_CONNECT_NOW, Upstream};
use crate::guarded::{Guarded, Watched};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Unsuited(#[from] Unsuited),
    #[error("connecting took too long")]
    Timeout,
}

/// A connection, and the server that it goes to.
#[derive(Debug)]
pub struct SideClient {
    client: Client,
    at: usize,
}

/// What such a connection answers.
pub use tokio_postgres::Row as SideRow;

impl Deref for SideClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl SideClient {
    /// Whether it is still open, and to the server that sessions go to.
    #[must_use]
    pub fn is_usable(&self, upstream: &Upstream) -> bool {
        !self.client.is_closed() && upstream.places().current() == Some(self.at)
    }
}

/// Logs in with the upstream's own credential, over TLS where sessions go over TLS, to the first server that will do.
///
/// # Errors
/// Where none can be reached, or the one that is there refuses.
pub async fn connect(
    upstream: &Upstream,
    application_name: &'static str,
    timeout: Duration,
) -> Result<SideClient, SideError> {
    let places = upstream.places();
    let attempts = places.attempts();
    let share = share(timeout, &attempts);
    let mut last = Unsuited::Nowhere.into();
    for attempt in attempts {
        let connecting = connect_to(upstream, attempt, application_name, share);
        match tokio::time::timeout(share, connecting).await.unwrap_or(Err(SideError::Timeout)) {
            Ok(client) => {
                places.settle(attempt.at);
                return Ok(SideClient { client, at: attempt.at });
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether the server has said no, so that no other is to be asked.
fn is_final(error: &SideError) -> bool {
    match error {
        SideError::Database(error) => error.code().is_some_and(|code| code.code() != CANNOT_CONNECT_NOW),
        SideError::Unsuited(_) | SideError::Timeout => false,
    }
}

async fn connect_to(
    upstream: &Upstream,
    attempt: Attempt,
    application_name: &'static str,
    timeout: Duration,
) -> Result<Client, SideError> {
    let settings = upstream.settings();
    let place = upstream.places().get(attempt.at).ok_or(Unsuited::Nowhere)?;
    let mut config = Config::new();
    config
        .host(&place.host)
        .port(place.port)
        .user(&settings.user)
        .dbname(&settings.database)
        .password(settings.password.expose())
        .application_name(application_name)
        .connect_timeout(timeout);
    match upstream.tls() {
        Some(tls) if place.socket().is_none() => {
            let negotiation = if settings.direct_tls { SslNegotiation::Direct } else { SslNegotiation::Postgres };
            config.ssl_mode(SslMode::Require).ssl_negotiation(negotiation).channel_binding(ChannelBinding::Prefer);
            log_in(
                &config,
                Guarded::new(MakeRustlsConnect::new(tls.as_ref().clone()), settings.proof),
                attempt,
                application_name,
            )
            .await
        }
        Some(_) | None => {
            // Without TLS the library would open the connection itself, and answer whatever it is asked for: it gets one
            // that is watched.
            config.ssl_mode(SslMode::Disable);
            let leg = Leg::open(upstream, attempt.at, timeout).await;
            let (client, connection) = config.connect_raw(Watched::new(leg, settings.proof), NoTls).await?;
            settle(client, connection, attempt, application_name)
        }
    }
}

async fn log_in<T>(config: &Config, tls: T, attempt: Attempt, name: &'static str) -> Result<Client, SideError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    settle(client, connection, attempt, name)
}

/// Has the connection run, if its server will do.
fn settle<S, T>(
    client: Client,
    connection: Connection<S, T>,
    attempt: Attempt,
    name: &'static str,
) -> Result<Client, SideError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let said = Said::by(false, |parameter| connection.parameter(parameter).map(is_on));
    tokio::spawn(run(connection, name));
    attempt.check(said)?;
    Ok(client)
}

/// Drives a connection until its client is dropped or the server ends it.
async fn run<S, T>(connection: Connection<S, T>, name: &'static str)
where
    Connection<S, T>: Future<Output = Result<(), tokio_postgres::Error>>,
{
    if let Err(error) = connection.await {
        tracing::info!(%error, connection = name, "a connection of pgward's own ended");
    }
}
