//! A connection of the library's, over TLS that is verified or on this machine, with its login watched.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Notification};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::either::Either;

use super::{Guarded, Proof, Watched};

/// One server, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Server {
    /// A host, or the directory of a Unix socket.
    pub host: String,
    pub port: u16,
    /// `None` on this machine alone, as the configuration makes sure.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub proof: Proof,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("connecting: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
}

/// A connection that is driven until it is dropped.
#[derive(Debug)]
pub struct Open {
    pub client: Client,
    driver: JoinHandle<()>,
}

impl Open {
    /// Waits until the connection has ended. Cancel safe.
    pub async fn ended(&mut self) {
        // How it ended is told by whatever it was used for.
        let _ = (&mut self.driver).await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Server {
    /// Logs in as `config` says, whose host and TLS mode are set here. Hands on what the server notifies of.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub async fn connect(
        &self,
        mut config: Config,
        notified: impl FnMut(Notification) + Send + 'static,
    ) -> Result<Open, ConnectError> {
        config.host(&self.host).port(self.port);
        match &self.tls {
            Some(tls) => {
                config.ssl_mode(SslMode::Require);
                let connector = MakeRustlsConnect::new(rustls::ClientConfig::clone(tls));
                let (client, connection) = config.connect(Guarded::new(connector, self.proof)).await?;
                Ok(Open { client, driver: tokio::spawn(drive(connection, notified)) })
            }
            None => {
                config.ssl_mode(SslMode::Disable);
                // The library would open the connection itself, and answer whatever it is asked for.
                let stream = Watched::new(self.open().await?, self.proof);
                let (client, connection) = config.connect_raw(stream, NoTls).await?;
                Ok(Open { client, driver: tokio::spawn(drive(connection, notified)) })
            }
        }
    }

    async fn open(&self) -> io::Result<Either<TcpStream, UnixStream>> {
        if self.host.starts_with('/') {
            return UnixStream::connect(format!("{}/.s.PGSQL.{}", self.host, self.port)).await.map(Either::Right);
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(Either::Left(stream))
    }
}

/// Drives a connection to its end; the statement that meets the end reports it.
async fn drive<S, T>(mut connection: Connection<S, T>, mut notified: impl FnMut(Notification))
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        match message {
            AsyncMessage::Notification(notification) => notified(notification),
            AsyncMessage::Notice(notice) => tracing::debug!(message = notice.message(), "a server's notice"),
            other => tracing::debug!(?other, "a server's message"),
        }
    }
}
