//! The connection that pgward's own questions to a database are asked over where there is no TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::Transport;
use super::upstream::{Upstream, UpstreamError};

/// A connection without TLS. Where there is none, whoever uses it learns why: the library takes streams, not failures.
#[derive(Debug)]
pub enum Leg {
    Open(Transport),
    Failed(Option<io::Error>),
}

impl Leg {
    pub async fn open(upstream: &Upstream, at: usize, timeout: Duration) -> Self {
        match tokio::time::timeout(timeout, upstream.reach(at)).await {
            Ok(Ok(transport)) => Leg::Open(transport),
            Ok(Err(UpstreamError::Connect(error))) => Leg::Failed(Some(error)),
            Ok(Err(error)) => Leg::Failed(Some(io::Error::other(error))),
            Err(_) => Leg::Failed(Some(io::ErrorKind::TimedOut.into())),
        }
    }

    fn transport(&mut self) -> io::Result<Pin<&mut Transport>> {
        match self {
            Leg::Open(transport) => Ok(Pin::new(transport)),
            Leg::Failed(error) => Err(error.take().unwrap_or_else(|| io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Leg {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.transport()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Leg {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.transport()?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport()?.poll_shutdown(cx)
    }
}
