//! A stream that reads much at once while much comes, however little its reader asks for: TLS asks for four KiB at a time, which
//! is a system call for each quarter of a record. While little comes it reads as asked, and holds no buffer.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Bytes that are read at once while much comes.
const AHEAD: usize = 64 * 1024;
/// Reads in a row that took all that they could, before more is read than was asked for.
const MANY: u8 = 4;
/// What is less than this is no bulk.
const LITTLE: usize = 4 * 1024;

/// A stream with what was read ahead of its reader.
pub struct Bulk<S> {
    stream: S,
    /// Bytes that were read and not asked for yet; without room for any while there are none.
    ahead: BytesMut,
    /// Reads in a row that filled what they were given.
    full: u8,
    /// Bytes that the stream has taken.
    written: u64,
}

impl<S> Bulk<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: BytesMut::new(), full: 0, written: 0 }
    }

    /// Bytes that the stream has taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }
}

impl<S: AsyncRead + Unpin> Bulk<S> {
    /// Reads as much as there is; where nothing is there, no room is kept for it.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Not cleared first: what is read is written once.
        let mut ahead = BytesMut::with_capacity(AHEAD);
        let Poll::Ready(read) = poll_read_buf(Pin::new(&mut self.stream), cx, &mut ahead)? else {
            // Not again at each look: the next read has to show first that much comes.
            self.full = MANY - 1;
            return Poll::Pending;
        };
        self.full = if read < LITTLE { 0 } else { self.full };
        self.ahead = ahead;
        Poll::Ready(Ok(()))
    }

    /// Hands on what was read ahead.
    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let taken = self.ahead.len().min(buf.remaining());
        buf.put_slice(self.ahead.get(..taken).unwrap_or_default());
        self.ahead.advance(taken);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bulk<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && self.full < MANY {
            let (before, room) = (buf.filled().len(), buf.remaining());
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let read = buf.filled().len() - before;
            self.full = if read == room && read >= LITTLE { self.full + 1 } else { 0 };
            return Poll::Ready(Ok(()));
        }
        if self.ahead.is_empty() {
            ready!(self.poll_fill(cx))?;
        }
        self.take(buf);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bulk<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for Bulk<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk").field("ahead", &!self.ahead.is_empty()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn every_byte_arrives_once_and_in_order() {
        let (mut near, far) = tokio::io::duplex(200_000);
        let mut bulk = Bulk::new(far);
        let sent: Vec<u8> = (0..700_000_u32).map(|number| (number % 251).to_le_bytes()[0]).collect();
        let expected = sent.clone();
        let sender = tokio::spawn(async move {
            for (index, chunk) in sent.chunks(30_011).enumerate() {
                near.write_all(chunk).await.unwrap();
                if index % 5 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        let (mut received, mut was_ahead) = (Vec::new(), false);
        let mut piece = [0; 4096];
        loop {
            let read = bulk.read(&mut piece).await.unwrap();
            if read == 0 {
                break;
            }
            was_ahead |= !bulk.ahead.is_empty();
            received.extend_from_slice(&piece[..read]);
        }
        sender.await.unwrap();
        assert!(received == expected && was_ahead);
        assert!(bulk.ahead.capacity() == 0, "what is read to its end holds nothing");
    }

    #[tokio::test]
    async fn little_is_read_as_it_is_asked_for() {
        let (mut near, far) = tokio::io::duplex(200_000);
        let mut bulk = Bulk::new(far);
        let mut piece = [0; 4096];
        for _ in 0..20 {
            near.write_all(&[7; 300]).await.unwrap();
            assert_eq!(bulk.read(&mut piece).await.unwrap(), 300);
            assert!(bulk.ahead.capacity() == 0);
        }
    }
}
