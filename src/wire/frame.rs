//! Framing: one byte of type, four of length, a body. Lengths are judged before anything is allocated for them.

use bytes::{Bytes, BytesMut};

use super::ProtocolError;

/// Bytes before a body.
pub const HEADER_LENGTH: usize = 5;

/// Type and length of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub tag: u8,
    /// Bytes of body behind the header.
    pub body: usize,
}

impl Header {
    /// Bytes of the whole message.
    #[must_use]
    pub fn total(self) -> usize {
        self.body + HEADER_LENGTH
    }
}

/// Reads the header at the front of `buffer`; `None` where it is not all there yet.
///
/// # Errors
/// [`ProtocolError::Length`] where the length cannot be one.
pub fn header(buffer: &[u8]) -> Result<Option<Header>, ProtocolError> {
    let Some(bytes) = buffer.first_chunk::<HEADER_LENGTH>() else { return Ok(None) };
    let [tag, a, b, c, d] = *bytes;
    let length = i32::from_be_bytes([a, b, c, d]);
    let body = length.checked_sub(4).and_then(|body| usize::try_from(body).ok()).ok_or(ProtocolError::Length)?;
    Ok(Some(Header { tag, body }))
}

/// One whole message as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    tag: u8,
    bytes: Bytes,
}

impl Frame {
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.tag
    }

    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER_LENGTH..).unwrap_or_default()
    }

    /// Header and body.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// Splits one whole message off the front of `buffer`; `None` where it is not all there yet.
///
/// # Errors
/// Where the length is invalid, or over `limit` bytes of body.
pub fn take(buffer: &mut BytesMut, limit: usize) -> Result<Option<Frame>, ProtocolError> {
    let Some(header) = header(buffer)? else { return Ok(None) };
    if header.body > limit {
        return Err(ProtocolError::TooLong(header.body, limit));
    }
    if buffer.len() < header.total() {
        return Ok(None);
    }
    Ok(Some(Frame { tag: header.tag, bytes: buffer.split_to(header.total()).freeze() }))
}

/// Counts the whole rows (DataRow, CopyData) at the front of `buffer`, and answers their bytes besides. Only headers are looked
/// at; what follows the last of them, a piece of a row too, is left to others.
#[must_use]
pub fn rows(buffer: &[u8]) -> (u64, usize) {
    let (mut rest, mut rows) = (buffer, 0);
    while let Some([b'D' | b'd', a, b, c, d]) = rest.first_chunk() {
        // The sign of a length that cannot be one makes it longer than any buffer.
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let next = rest.get(length.saturating_add(1)..).filter(|_| length >= 4);
        let Some(next) = next else { break };
        (rest, rows) = (next, rows + 1);
    }
    (rows, buffer.len() - rest.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend(i32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn lengths_are_refused_before_allocation() {
        for length in [i32::MIN, -1, 0, 1, 2, 3] {
            let mut bytes = vec![b'Q'];
            bytes.extend(length.to_be_bytes());
            assert_eq!(header(&bytes), Err(ProtocolError::Length), "{length}");
        }
        let mut buffer = BytesMut::from(&[b'Q', 0x7f, 0xff, 0xff, 0xff][..]);
        assert_eq!(take(&mut buffer, 1000), Err(ProtocolError::TooLong(0x7fff_fffb, 1000)));
        assert_eq!(header(b"GET /").unwrap().unwrap().tag, b'G');
    }

    #[test]
    fn whole_rows_at_the_front_are_counted() {
        let stream = [message(b'D', b"one"), message(b'd', b""), message(b'D', b"three")].concat();
        assert_eq!(rows(&stream), (3, stream.len()));
        for cut in [1, 4, 6] {
            assert_eq!(rows(&stream[..stream.len() - cut]), (2, 13), "a piece of a row waits");
        }
        assert_eq!(rows(&[stream.clone(), message(b'C', b"SELECT 3\0")].concat()), (3, stream.len()));
        assert_eq!(rows(b""), (0, 0));
        for length in [i32::MIN, -1, 0, 3] {
            let bytes = [&b"D"[..], &length.to_be_bytes(), b"xxxx"].concat();
            assert_eq!(rows(&bytes), (0, 0), "{length} is no length");
        }
    }

    proptest! {
        #[test]
        fn any_split_of_the_stream_frames_alike(
            bodies in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            cuts in prop::collection::vec(1usize..17, 1..60),
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
            let mut buffer = BytesMut::new();
            let mut frames = Vec::new();
            let mut rest = &stream[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let at = (*cuts.next().unwrap()).min(rest.len());
                buffer.extend_from_slice(&rest[..at]);
                rest = &rest[at..];
                while let Some(frame) = take(&mut buffer, 1 << 20).unwrap() {
                    frames.push((frame.tag(), frame.body().to_vec()));
                }
            }
            prop_assert_eq!(frames, bodies);
            prop_assert!(buffer.is_empty());
        }
    }
}
