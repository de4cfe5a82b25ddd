//! Connections to an upstream besides the sessions' own: for the catalogs, and for second opinions.

use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, SslMode as ClientSslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::upstream::Upstream;

/// Logs in as the upstream's account, under `name` in `pg_stat_activity`.
///
/// # Errors
/// Where the upstream cannot be reached or refuses the login.
pub async fn connect(upstream: &Upstream, name: &str, timeout: Duration) -> Result<Client, tokio_postgres::Error> {
    let settings = upstream.settings();
    let mut config = Config::new();
    config
        .host(&settings.host)
        .port(settings.port)
        .user(&settings.user)
        .dbname(&settings.database)
        .password(settings.password.expose())
        .application_name(name)
        .connect_timeout(timeout);
    match upstream.tls() {
        Some(tls) if !settings.host.starts_with('/') => {
            config.ssl_mode(ClientSslMode::Require).channel_binding(ChannelBinding::Prefer);
            let (client, connection) = config.connect(MakeRustlsConnect::new(tls.as_ref().clone())).await?;
            tokio::spawn(run(connection));
            Ok(client)
        }
        Some(_) | None => {
            config.ssl_mode(ClientSslMode::Disable);
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(run(connection));
            Ok(client)
        }
    }
}

/// Drives a connection until its client is dropped or the server ends it.
async fn run(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::info!(%error, "a side connection ended");
    }
}
