//! From the first byte to a startup packet inside TLS. Nothing that was read before TLS is ever read as if it had come
//! through it.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::bulk::Bulk;
use super::records::escaped;
use super::tls::ALPN;
use super::transport::AT_ONCE;
use crate::wire::encode::ClientVisible;
use crate::wire::startup::{self, Packet, Startup};
use crate::wire::{ProtocolError, sqlstate};

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// What a refused client may still send before its connection is dropped.
const LINGER: std::time::Duration = std::time::Duration::from_millis(500);
const MAX_LINGER_READS: usize = 64;
/// Of a startup packet that cannot be read, this much is recorded.
const MAX_SHOWN: usize = 1024;

/// A client inside TLS.
pub type ClientStream = TlsStream<Bulk<TcpStream>>;

/// What a client wants.
#[derive(Debug)]
pub enum Opening {
    Startup { stream: Box<ClientStream>, rest: BytesMut, startup: Startup },
    Cancel { process: u32, key: Vec<u8> },
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("{error}; the packet, what is no text as \\xNN: {shown}")]
    Garbled { error: ProtocolError, shown: String },
    #[error("the TLS handshake failed: {0}")]
    Tls(std::io::Error),
    #[error("closed before a startup packet")]
    Closed,
    #[error("TLS is required")]
    Plaintext,
    #[error("bytes behind SSLRequest")]
    Smuggled,
    #[error("SSLRequest or GSSENCRequest where there can be none")]
    Repeated,
    #[error("direct TLS without ALPN postgresql")]
    Alpn,
    #[error("a load balancer's connection without a PROXY v2 header")]
    Unannounced,
}

/// Negotiates TLS and reads the startup packet.
///
/// # Errors
/// [`HandshakeError`]; the client has been told what it may be told.
pub async fn open(mut tcp: TcpStream, tls: Arc<rustls::ServerConfig>) -> Result<Opening, HandshakeError> {
    let mut first = [0];
    if tcp.peek(&mut first).await? == 0 {
        return Err(HandshakeError::Closed);
    }
    if first == [TLS_HANDSHAKE] {
        let stream = TlsAcceptor::from(tls).accept(Bulk::new(tcp)).await.map_err(tls_error)?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(HandshakeError::Alpn);
        }
        return inside(stream).await;
    }
    let mut buffer = BytesMut::new();
    let mut gss_refused = false;
    loop {
        match read_packet(&mut tcp, &mut buffer).await? {
            Packet::GssEnc if !gss_refused && buffer.is_empty() => {
                gss_refused = true;
                tcp.write_all(b"N").await?;
            }
            Packet::GssEnc => return Err(HandshakeError::Repeated),
            Packet::Cancel { process, key } => return Ok(Opening::Cancel { process, key }),
            Packet::Startup(_) => {
                let error = ClientVisible::fatal(sqlstate::INVALID_AUTHORIZATION, "TLS is required")
                    .hint("Connect with sslmode=verify-full.");
                refuse(&mut tcp, &[], &error).await;
                return Err(HandshakeError::Plaintext);
            }
            // Whoever stands in between may have put them there, to be read as if they had come through TLS.
            Packet::Ssl if !buffer.is_empty() => return Err(HandshakeError::Smuggled),
            Packet::Ssl => {
                tcp.write_all(b"S").await?;
                return inside(TlsAcceptor::from(tls).accept(Bulk::new(tcp)).await.map_err(tls_error)?).await;
            }
        }
    }
}

async fn inside(mut stream: ClientStream) -> Result<Opening, HandshakeError> {
    let mut buffer = BytesMut::new();
    let packet = match read_packet(&mut stream, &mut buffer).await {
        Err(garbled @ (HandshakeError::Protocol(_) | HandshakeError::Garbled { .. })) => {
            let text = match &garbled {
                HandshakeError::Garbled { error, shown: _ } => error.to_string(),
                other => other.to_string(),
            };
            refuse(&mut stream, &[], &ClientVisible::fatal(sqlstate::PROTOCOL_VIOLATION, text)).await;
            return Err(garbled);
        }
        other => other?,
    };
    match packet {
        Packet::Startup(startup) => Ok(Opening::Startup { stream: Box::new(stream), rest: buffer, startup }),
        Packet::Cancel { process, key } => Ok(Opening::Cancel { process, key }),
        Packet::Ssl | Packet::GssEnc => {
            let said = ClientVisible::fatal(sqlstate::PROTOCOL_VIOLATION, "the connection is encrypted already");
            refuse(&mut stream, &[], &said).await;
            Err(HandshakeError::Repeated)
        }
    }
}

async fn read_packet(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<Packet, HandshakeError> {
    loop {
        let packet = buffer.clone();
        match startup::take(buffer) {
            Ok(Some(packet)) => return Ok(packet),
            Ok(None) => {}
            // Who sent it, and as whom, stands in what could not be read.
            Err(error @ ProtocolError::Encoding) => {
                let shown = escaped(packet.get(8..packet.len().min(MAX_SHOWN)).unwrap_or_default());
                return Err(HandshakeError::Garbled { error, shown });
            }
            Err(error) => return Err(error.into()),
        }
        buffer.reserve(AT_ONCE);
        if stream.read_buf(buffer).await? == 0 {
            return Err(HandshakeError::Closed);
        }
    }
}

/// A peer that goes away in the middle has not been refused.
fn tls_error(error: std::io::Error) -> HandshakeError {
    if error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) {
        HandshakeError::Tls(error)
    } else {
        HandshakeError::Io(error)
    }
}

/// Tells a client why it is refused and closes, so that what it still sends does not take the answer from it.
/// `before` is what it has to be told before that.
pub async fn refuse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), before: &[u8], error: &ClientVisible) {
    let told = async {
        stream.write_all(&[before, &error.to_bytes()].concat()).await?;
        stream.shutdown().await?;
        let mut nothing = [0; 1024];
        for _ in 0..MAX_LINGER_READS {
            if stream.read(&mut nothing).await? == 0 {
                break;
            }
        }
        std::io::Result::Ok(())
    };
    // Whether it hears it is the client's affair.
    let _ = tokio::time::timeout(LINGER, told).await;
}
