//! The stream to an upstream, whatever it runs over, and messages read and written whole while a leg is set up.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::wire::{Frame, ProtocolError, frame};

/// A connected stream.
#[derive(Debug)]
pub enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// Closed, with nothing more to read or write.
    Gone(tokio::io::Empty),
}

impl Transport {
    /// Closes the connection at once. A reset tells the server that nobody reads any more: it then gives up at its next
    /// answer, and does not go on to what it was sent before.
    pub fn abort(&mut self) {
        // Without the option the close is an orderly one, which is all that is left then.
        let _ = match &*self {
            Transport::Tcp(stream) => stream.set_zero_linger(),
            Transport::Tls(stream) => stream.get_ref().0.set_zero_linger(),
            Transport::Unix(_) | Transport::Gone(_) => Ok(()),
        };
        *self = Transport::Gone(tokio::io::empty());
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Tcp($stream) => $call,
            Transport::Unix($stream) => $call,
            Transport::Tls($stream) => $call,
            Transport::Gone($stream) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("the connection was closed")]
    Closed,
}

/// Read at once while a leg is set up: what comes in one packet is read in one go.
pub const AT_ONCE: usize = 4 * 1024;

/// Reads one whole message of at most `limit` bytes. What was read of the next one stays in `buffer`.
///
/// # Errors
/// [`ReadError`] where none comes. Cancel safe: what was read stays in `buffer`.
pub async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    limit: usize,
) -> Result<Frame, ReadError> {
    loop {
        if let Some(frame) = frame::take(buffer, limit)? {
            return Ok(frame);
        }
        buffer.reserve(AT_ONCE);
        if stream.read_buf(buffer).await? == 0 {
            return Err(ReadError::Closed);
        }
    }
}
