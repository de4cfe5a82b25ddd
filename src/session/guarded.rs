//! What a server may ask of a connection whose login is not our own code: SCRAM or nothing. A library that is asked for the
//! password in clear, or for its MD5, answers; here the connection ends before it has heard the question.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use super::transport::Transport;
use super::upstream::{Upstream, UpstreamError};

/// Connects as `T` does, and watches the login.
#[derive(Clone, Debug)]
pub struct Guarded<T>(pub T);

impl<T> MakeTlsConnect<Socket> for Guarded<T>
where
    T: MakeTlsConnect<Socket>,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send + 'static,
{
    type Stream = Watched<T::Stream>;
    type TlsConnect = Guarded<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        self.0.make_tls_connect(domain).map(Guarded)
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
        let connecting = self.0.connect(stream);
        Box::pin(async move { connecting.await.map(|stream| Watched { stream, login: Login::default() }) })
    }
}

/// A stream whose first messages are looked at.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    login: Login,
}

impl<S> Watched<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, login: Login::default() }
    }
}

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

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled
            && let Err(method) = self.login.look(buf.filled().get(before..).unwrap_or_default())
        {
            buf.set_filled(before);
            let refused = format!("the server asks for authentication by method {method}, which is refused");
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

/// How far a login has come: the messages up to AuthenticationOk, however they are cut.
#[derive(Debug, Default)]
struct Login {
    /// The beginning of a message: its type, its length, and what kind of authentication it is.
    head: Vec<u8>,
    /// Bytes of the message that are still to come.
    left: usize,
    over: bool,
}

impl Login {
    /// Takes what has come.
    ///
    /// # Errors
    /// The method that is asked for, where it is none that is answered. The message is not whole before that is known.
    fn look(&mut self, mut bytes: &[u8]) -> Result<(), u32> {
        while !self.over {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else { return Ok(()) };
            self.head.push(*byte);
            bytes = rest;
            self.head_grew()?;
        }
        Ok(())
    }

    fn head_grew(&mut self) -> Result<(), u32> {
        let (length, seen) = match self.head.as_slice() {
            [b'R', a, b, c, d, e, f, g, h] => {
                match u32::from_be_bytes([*e, *f, *g, *h]) {
                    OK => self.over = true,
                    SASL | SASL_CONTINUE | SASL_FINAL => {}
                    other => return Err(other),
                }
                (u32::from_be_bytes([*a, *b, *c, *d]), 8)
            }
            [tag, a, b, c, d] if *tag != b'R' => (u32::from_be_bytes([*a, *b, *c, *d]), 4),
            _ => return Ok(()),
        };
        self.left = (length as usize).saturating_sub(seen);
        self.head.clear();
        Ok(())
    }
}

const OK: u32 = 0;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap_or_default().to_be_bytes();
        [&[tag][..], &length, body].concat()
    }

    fn authentication(method: u32, rest: &[u8]) -> Vec<u8> {
        message(b'R', &[&method.to_be_bytes()[..], rest].concat())
    }

    #[test]
    fn scram_passes_and_what_follows_the_login_is_not_looked_at() {
        let login = [
            message(b'N', b"a notice\0"),
            authentication(SASL, b"SCRAM-SHA-256\0\0"),
            authentication(SASL_CONTINUE, b"r=x"),
            authentication(SASL_FINAL, b"v=x"),
            authentication(OK, b""),
            authentication(3, b""),
        ]
        .concat();
        for size in 1..login.len() {
            let mut watch = Login::default();
            assert!(login.chunks(size).all(|piece| watch.look(piece) == Ok(())), "{size}");
            assert!(watch.over);
        }
    }

    #[test]
    fn a_question_for_the_password_is_found_before_it_is_whole_however_it_is_cut() {
        for method in [2, 3, 5, 6, 7, 9, u32::MAX] {
            let asked = [message(b'N', b"R\0\0\0\x08\0\0\0\0"), authentication(method, b"")].concat();
            for size in 1..=asked.len() {
                let mut watch = Login::default();
                let refused = asked.chunks(size).position(|piece| watch.look(piece) == Err(method));
                assert_eq!(refused, Some((asked.len() - 1) / size), "with its last byte: {method} {size}");
            }
        }
    }
}
