//! One side of a session: its stream, what was read of it and not yet handled, what is to be written to it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::handshake::ClientStream;
use super::transport::Transport;

/// Read at once while little comes: on the stack, so that an idle session holds no buffer.
const SMALL_READ: usize = 4 * 1024;
/// Pieces handed to one write.
const MAX_SLICES: usize = 16;

/// A stream with its buffers. The input is bounded by who handles it, the output by [`Peer::is_full`].
#[derive(Debug)]
pub struct Peer<S> {
    stream: S,
    pub input: BytesMut,
    output: VecDeque<Bytes>,
    output_length: usize,
    unflushed: bool,
    ended: bool,
    busy: bool,
    room: Room,
    high_water: usize,
}

/// Room for reading while much comes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// A read is not begun with less.
    least: usize,
    /// Where there is less, so much is made.
    made: usize,
}

impl Room {
    /// For a client: what is handled together and a TLS record more, made once; one read gives a record of 16 KiB at most.
    pub const OF_CLIENT: Self = Self { least: 16 * 1024, made: 80 * 1024 };
    /// For an upstream: what it says goes on with every read.
    pub const OF_UPSTREAM: Self = Self { least: 32 * 1024, made: 32 * 1024 };
}

/// Output to an upstream beyond which nothing more is read from the client.
pub const HIGH_WATER: usize = 256 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// With so much output that may wait before no more should be made.
    pub fn new(stream: S, input: BytesMut, room: Room, high_water: usize) -> Self {
        let output = VecDeque::new();
        Self { stream, input, output, output_length: 0, unflushed: false, ended: false, busy: false, room, high_water }
    }

    /// Queues bytes for writing.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.output_length += bytes.len();
            self.output.push_back(bytes);
        }
    }

    /// Whether so much waits to be written that no more should be made.
    pub fn is_full(&self) -> bool {
        self.output_length >= self.high_water
    }

    pub fn has_output(&self) -> bool {
        self.output_length > 0 || self.unflushed
    }

    /// Whether much came with the last read.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether the other side has closed its half.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Gives the input's memory back, where nothing is in it.
    pub fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.output.shrink_to(4);
        }
    }

    /// Writes what waits. Ready when all of it is out and flushed. Nothing is lost where it is polled no further.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.output_length > 0 {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.output) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            let slices = slices.get(..count).unwrap_or_default();
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.consume(written);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once into the input. Ready with the number of bytes; zero is the end of the stream. What was read is in
    /// the input whatever happens next.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = if self.busy {
            ready!(self.poll_read_much(cx))?
        } else {
            let mut space = [MaybeUninit::uninit(); SMALL_READ];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            self.input.extend_from_slice(buffer.filled());
            buffer.filled().len()
        };
        self.busy = read >= SMALL_READ;
        self.ended = read == 0;
        Poll::Ready(Ok(read))
    }

    /// Reads into the input itself. Room is made once for what is handled together: making more of it moves what is there.
    fn poll_read_much(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < self.room.least {
            self.input.reserve(self.room.made);
        }
        let polled = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input);
        if polled.is_pending() && self.input.is_empty() {
            // What came is handled, and nothing more is there: this may be the last for hours.
            self.input = BytesMut::new();
        }
        polled
    }

    /// Writes what waits and closes the stream, for as long as the caller cares to wait.
    ///
    /// # Errors
    /// Where the other side is gone.
    pub async fn finish(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_write(cx)).await?;
        std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await
    }

    /// Writes what waits, and reads and forgets so many bytes that the other side is about to send, for as long as it goes on
    /// sending: never so long without any.
    pub async fn tell_and_take(&mut self, mut rest: usize, pause: Duration) {
        let mut space = [MaybeUninit::uninit(); SMALL_READ];
        while rest > 0 {
            let mut buffer = ReadBuf::uninit(&mut space);
            let read = std::future::poll_fn(|cx| {
                // Whoever does not read yet may still be sending.
                let _ = self.poll_write(cx)?;
                Pin::new(&mut self.stream).poll_read(cx, &mut buffer)
            });
            let read = tokio::time::timeout(pause, read).await;
            if !matches!(read, Ok(Ok(()))) || buffer.filled().is_empty() {
                return;
            }
            rest = rest.saturating_sub(buffer.filled().len());
        }
    }

    /// Forgets what waits to be written. Answers whether the other side has only seen whole pushes: if not, nothing
    /// more can be said to it.
    pub fn discard_output(&mut self) -> bool {
        let was_whole = self.output.is_empty();
        self.output.clear();
        self.output_length = 0;
        was_whole
    }

    fn consume(&mut self, mut written: usize) {
        self.output_length = self.output_length.saturating_sub(written);
        while let Some(front) = self.output.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.output.pop_front();
        }
    }
}

/// A client's connection.
pub trait ToClient: AsyncRead + AsyncWrite + Unpin {
    /// Bytes that it has taken in all.
    fn taken(&self) -> u64;
}

impl ToClient for Box<ClientStream> {
    fn taken(&self) -> u64 {
        self.get_ref().0.written()
    }
}

impl<S: ToClient> Peer<S> {
    /// Bytes that the client's connection has taken in all.
    pub fn taken(&self) -> u64 {
        self.stream.taken()
    }
}

impl Peer<Transport> {
    /// Closes the connection at once, whatever was under way.
    pub fn abort(&mut self) {
        self.discard_output();
        self.stream.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, DuplexStream};

    use super::*;

    /// What is read, as far as it is there.
    async fn read_on(peer: &mut Peer<DuplexStream>, room: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while let Poll::Ready(bytes) = poll_fn(|cx| Poll::Ready(peer.poll_read(cx))).await {
            assert_ne!(bytes.unwrap(), 0);
            if peer.input.len() >= room {
                read.extend_from_slice(&peer.input.split());
                peer.shrink();
            }
        }
        read.extend_from_slice(&peer.input.split());
        peer.shrink();
        read
    }

    #[tokio::test]
    async fn a_session_that_waits_holds_no_input_however_much_it_has_read() {
        for room in [Room::OF_CLIENT, Room::OF_UPSTREAM] {
            let (mut near, far) = tokio::io::duplex(1 << 20);
            let mut peer = Peer::new(far, BytesMut::new(), room, HIGH_WATER);
            let sent: Vec<u8> = (0..250_000_u32).flat_map(u32::to_le_bytes).collect();
            near.write_all(&sent).await.unwrap();
            let read = read_on(&mut peer, 64 * 1024).await;
            assert!(read == sent && peer.is_busy());
            // It looks once more, since much came before: nothing is there, and no room stays.
            assert!(poll_fn(|cx| Poll::Ready(peer.poll_read(cx))).await.is_pending());
            assert_eq!(peer.input.capacity(), 0);
            near.write_all(b"little").await.unwrap();
            assert_eq!(read_on(&mut peer, usize::MAX).await, b"little");
            assert!(!peer.is_busy() && peer.input.capacity() == 0);
        }
    }
}
