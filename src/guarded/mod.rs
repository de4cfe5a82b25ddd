//! What a server may ask of a connection whose login is not our own code: SCRAM or nothing. A library that is asked for the
//! password in clear, or for its MD5, answers; here the connection ends before it has heard the question.

mod connect;
mod watch;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

pub use connect::{ConnectError, Open, Server};
pub use watch::Proof;
use watch::Watch;

/// Connects as `T` does, and watches the login.
#[derive(Clone, Debug)]
pub struct Guarded<T> {
    inner: T,
    proof: Proof,
}

impl<T> Guarded<T> {
    pub fn new(inner: T, proof: Proof) -> Self {
        Self { inner, proof }
    }
}

impl<T> MakeTlsConnect<Socket> for Guarded<T>
where
    T: MakeTlsConnect<Socket>,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send + 'static,
{
    type Stream = Watched<T::Stream>;
    type TlsConnect = Guarded<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        let proof = self.proof;
        self.inner.make_tls_connect(domain).map(|inner| Guarded { inner, proof })
    }
}

impl<S, T> TlsConnect<S> for Guarded<T>
where
    T: TlsConnect<S>,
    T::Future: Send + 'static,
{
    type Stream = Watched<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let (connecting, proof) = (self.inner.connect(stream), self.proof);
        Box::pin(async move { connecting.await.map(|stream| Watched::new(stream, proof)) })
    }
}

/// A stream whose first messages are looked at.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    login: Watch,
}

impl<S> Watched<S> {
    pub fn new(stream: S, proof: Proof) -> Self {
        Self { stream, login: Watch::new(proof) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled
            && let Err(refused) = self.login.look(buf.filled().get(before..).unwrap_or_default())
        {
            buf.set_filled(before);
            // The library says of this only that it cannot communicate.
            tracing::error!("{refused}");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, refused)));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Watched<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}
