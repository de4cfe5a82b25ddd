//! A stream that reads much at once while much comes, however little its reader asks for: TLS asks for four KiB at a time, which
//! is a system call for each quarter of a record. While little comes it reads as asked, and holds no buffer.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once while much comes.
const AHEAD: usize = 64 * 1024;
/// Reads in a row that took all that they could, before more is read than was asked for.
const MANY: u8 = 4;
/// What is less than this is no bulk.
const LITTLE: usize = 4 * 1024;

/// A stream with what was read ahead of its reader.
pub struct Bulk<S> {
    stream: S,
    ahead: Option<Ahead>,
    /// Reads in a row that filled what they were given.
    full: u8,
}

/// Bytes that were read and not asked for yet.
struct Ahead {
    bytes: Box<[u8]>,
    from: usize,
    to: usize,
}

impl<S> Bulk<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: None, full: 0 }
    }
}

impl<S: AsyncRead + Unpin> Bulk<S> {
    /// Fills the buffer; where nothing is there to fill it with, it is given back.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = vec![0; AHEAD].into_boxed_slice();
        let mut space = ReadBuf::new(&mut bytes);
        if Pin::new(&mut self.stream).poll_read(cx, &mut space)?.is_pending() {
            // Not again at each look: the next read has to show first that much comes.
            self.full = MANY - 1;
            return Poll::Pending;
        }
        let to = space.filled().len();
        self.full = if to < LITTLE { 0 } else { self.full };
        self.ahead = Some(Ahead { bytes, from: 0, to });
        Poll::Ready(Ok(()))
    }
}

impl Ahead {
    fn read(&mut self, buf: &mut ReadBuf<'_>) {
        let there = self.bytes.get(self.from..self.to).unwrap_or_default();
        let taken = there.len().min(buf.remaining());
        buf.put_slice(there.get(..taken).unwrap_or_default());
        self.from += taken;
    }

    fn is_read(&self) -> bool {
        self.from >= self.to
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bulk<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_none() && self.full < MANY {
            let (before, room) = (buf.filled().len(), buf.remaining());
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let read = buf.filled().len() - before;
            self.full = if read == room && read >= LITTLE { self.full + 1 } else { 0 };
            return Poll::Ready(Ok(()));
        }
        if self.ahead.is_none() {
            ready!(self.poll_fill(cx))?;
        }
        if let Some(ahead) = &mut self.ahead {
            ahead.read(buf);
        }
        self.ahead.take_if(|ahead| ahead.is_read());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bulk<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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
        f.debug_struct("Bulk").field("ahead", &self.ahead.is_some()).finish_non_exhaustive()
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
            was_ahead |= bulk.ahead.is_some();
            received.extend_from_slice(&piece[..read]);
        }
        sender.await.unwrap();
        assert!(received == expected && was_ahead);
        assert!(bulk.ahead.is_none(), "what is read to its end holds nothing");
    }

    #[tokio::test]
    async fn little_is_read_as_it_is_asked_for() {
        let (mut near, far) = tokio::io::duplex(200_000);
        let mut bulk = Bulk::new(far);
        let mut piece = [0; 4096];
        for _ in 0..20 {
            near.write_all(&[7; 300]).await.unwrap();
            assert_eq!(bulk.read(&mut piece).await.unwrap(), 300);
            assert!(bulk.ahead.is_none());
        }
    }
}
