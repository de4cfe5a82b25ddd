//! A client that can stop anywhere: logs in by itself and says the bytes that it is told to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pgward::wire::{encode, frame};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::Work;
use crate::support::Credentials;

const LIMIT: Duration = Duration::from_secs(10);

pub type Tried<T> = Result<T, Box<dyn std::error::Error>>;

pub struct Raw {
    pub stream: TlsStream<TcpStream>,
    input: BytesMut,
    pub key: Vec<u8>,
}

/// A connection from an address of the attackers' own, so that what they are refused for hits nobody else.
pub async fn connect(work: &Work, host: u8) -> Tried<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 9, host), 0)))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, work.proxy.setup.port));
    Ok(tokio::time::timeout(LIMIT, socket.connect(address)).await??)
}

pub async fn tls(work: &Work, host: u8) -> Tried<TlsStream<TcpStream>> {
    let mut tcp = connect(work, host).await?;
    tcp.write_all(&encode::ssl_request()).await?;
    if tcp.read_u8().await? != b'S' {
        return Err("no TLS".into());
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(work.proxy.setup.certs.join("ca.crt"))?)?;
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    Ok(tokio::time::timeout(LIMIT, connector.connect(ServerName::try_from("localhost")?, tcp)).await??)
}

impl Raw {
    /// To ReadyForQuery, or to the error that there is.
    pub async fn log_in(work: &Work, credentials: &Credentials, kind: &str) -> Tried<Self> {
        let stream = tls(work, 1).await?;
        let mut raw = Self { stream, input: BytesMut::new(), key: Vec::new() };
        let name = work.name(kind);
        let parameters =
            [("user", credentials.user.as_str()), ("database", &credentials.database), ("application_name", &name)];
        raw.send(&encode::startup(0, &parameters)).await?;
        raw.until(b"R").await?;
        let mut scram = ScramSha256::new(credentials.password.as_bytes(), ChannelBinding::unsupported());
        raw.send(&encode::sasl_initial_response("SCRAM-SHA-256", scram.message())).await?;
        let challenge = raw.until(b"R").await?;
        scram.update(challenge.get(4..).unwrap_or_default())?;
        raw.send(&encode::sasl_response(scram.message())).await?;
        let last = raw.until(b"R").await?;
        scram.finish(last.get(4..).unwrap_or_default())?;
        raw.key = raw.until(b"K").await?;
        raw.until(b"Z").await?;
        Ok(raw)
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Tried<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads to the next message of this type, and answers its body.
    pub async fn until(&mut self, tags: &[u8]) -> Tried<Vec<u8>> {
        loop {
            while let Some(frame) = frame::take(&mut self.input, 1 << 24)? {
                if tags.contains(&frame.tag()) {
                    return Ok(frame.body().to_vec());
                }
                if frame.tag() == b'E' {
                    return Err(String::from_utf8_lossy(frame.body()).into());
                }
            }
            if tokio::time::timeout(LIMIT, self.stream.read_buf(&mut self.input)).await?? == 0 {
                return Err("closed".into());
            }
        }
    }

    /// Whether the server ends it within `limit`.
    pub async fn is_ended(&mut self, limit: Duration) -> bool {
        let mut chunk = [0; 4096];
        let ends = async { while !matches!(self.stream.read(&mut chunk).await, Ok(0) | Err(_)) {} };
        tokio::time::timeout(limit, ends).await.is_ok()
    }
}
