//! A collector of syslog messages: RFC 5424 over TLS, framed as RFC 5425 has it.
//!
//! Neither TCP nor TLS acknowledges what an application has read. So each delivery has a connection of its own: all messages,
//! then close-notify and the end of the stream, and then the collector's own end is waited for. It closes after it has read
//! to the end; one that dies before has the kernel reset the connection, and the messages are sent again.

mod message;

use std::io;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::message::Writer;
use super::receiver::{Delivered, DeliveryError, Receiver};
use super::settings::Syslog;
use crate::audit::Entry;
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For all messages of one delivery.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// From our end of the stream to the collector's.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// For a reset to come back, at least and at most.
const RESET_TIME: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// Written at once.
const PIECE: usize = 256 * 1024;

/// The collector and how it is reached.
pub(super) struct Collector {
    host: String,
    port: u16,
    name: ServerName<'static>,
    connector: TlsConnector,
    writer: Writer,
}

impl Collector {
    pub(super) fn new(settings: &Syslog, journal: String) -> Result<Self, String> {
        let config = tls::client_config_of(&settings.ca, settings.client.as_ref());
        let connector = TlsConnector::from(config.map_err(|error| error.to_string())?);
        let name = ServerName::try_from(settings.host.clone()).map_err(|error| error.to_string())?;
        let writer = Writer::new(settings, journal);
        Ok(Self { host: settings.host.clone(), port: settings.port, name, connector, writer })
    }

    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        self.connector.connect(self.name.clone(), stream).await
    }

    async fn write(&self, stream: &mut TlsStream<TcpStream>, entries: &[Entry]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(PIECE);
        for entry in entries {
            self.writer.frame(entry, &mut bytes)?;
            if bytes.len() >= PIECE {
                stream.write_all(&bytes).await?;
                bytes.clear();
            }
        }
        stream.write_all(&bytes).await?;
        // Sends close-notify, then the end of the stream.
        stream.shutdown().await
    }
}

/// Returns when the collector has ended the stream, too.
async fn confirmed(stream: &mut TlsStream<TcpStream>, round_trip: Duration) -> io::Result<()> {
    let mut nothing = [0; 512];
    loop {
        match stream.read(&mut nothing).await {
            Ok(0) => return Ok(()),
            // RFC 5425 has the collector say nothing; what it says anyway is not looked at.
            Ok(_) => {}
            // It closed without close-notify, as many do.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return not_reset(stream, round_trip).await,
            Err(error) => return Err(error),
        }
    }
}

#[async_trait::async_trait]
impl Receiver for Collector {
    async fn deliver(&mut self, entries: &[Entry]) -> Result<Delivered, DeliveryError> {
        let begun = Instant::now();
        let mut stream = within(CONNECT_TIMEOUT, "connecting", self.connect()).await?;
        // Connecting goes there and back twice at least.
        let round_trip = begun.elapsed();
        within(WRITE_TIMEOUT, "sending", self.write(&mut stream, entries)).await?;
        within(CLOSE_TIMEOUT, "waiting for the collector to end the stream", confirmed(&mut stream, round_trip))
            .await?;
        Ok(Delivered::All)
    }
}

/// Had the collector not read everything, its kernel would answer what comes late with a reset.
async fn not_reset(stream: &TlsStream<TcpStream>, round_trip: Duration) -> io::Result<()> {
    tokio::time::sleep(round_trip.clamp(RESET_TIME.0, RESET_TIME.1)).await;
    match stream.get_ref().0.take_error()? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

async fn within<T>(limit: Duration, what: &str, done: impl Future<Output = io::Result<T>>) -> Result<T, DeliveryError> {
    match timeout(limit, done).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(DeliveryError::Failed(format!("{what}: {error}"))),
        Err(_) => Err(DeliveryError::Failed(format!("{what}: it took too long"))),
    }
}
