//! Connections of pgward's own to an upstream, beside those of its sessions: for the catalogs, second opinions and short-lived roles.

use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::guarded::{Guarded, Leg, Watched};
use super::upstream::Upstream;

/// Logs in with the upstream's own credential, over TLS where sessions go over TLS.
///
/// # Errors
/// Where the upstream cannot be reached or refuses.
pub async fn connect(
    upstream: &Upstream,
    application_name: &'static str,
    timeout: Duration,
) -> Result<Client, tokio_postgres::Error> {
    let settings = upstream.settings();
    let mut config = Config::new();
    config
        .host(&settings.host)
        .port(settings.port)
        .user(&settings.user)
        .dbname(&settings.database)
        .password(settings.password.expose())
        .application_name(application_name)
        .connect_timeout(timeout);
    match upstream.tls() {
        Some(tls) if !settings.host.starts_with('/') => {
            config.ssl_mode(SslMode::Require).channel_binding(ChannelBinding::Prefer);
            let (client, connection) = config.connect(Guarded(MakeRustlsConnect::new(tls.as_ref().clone()))).await?;
            tokio::spawn(run(connection, application_name));
            Ok(client)
        }
        Some(_) | None => {
            // Without TLS the library would open the connection itself, and answer whatever it is asked for: it gets one
            // that is watched.
            config.ssl_mode(SslMode::Disable);
            let leg = Leg::open(upstream, timeout).await;
            let (client, connection) = config.connect_raw(Watched::new(leg), NoTls).await?;
            tokio::spawn(run(connection, application_name));
            Ok(client)
        }
    }
}

/// Drives a connection until its client is dropped or the server ends it.
async fn run(connection: impl Future<Output = Result<(), tokio_postgres::Error>>, name: &'static str) {
    if let Err(error) = connection.await {
        tracing::info!(%error, connection = name, "a connection of pgward's own ended");
    }
}
