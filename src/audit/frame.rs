//! One record's bytes in a segment, and the entry by which the log knows it. Pure.
//!
//! ```text
//! u32 length  u32 CRC-32  |  u8 place  u64 seq  u32 bucket  sealed payload            (place 1: here)
//!                         |  u8 place  u64 seq  u32 bucket  SHA-256 of it  key id     (place 2: kept elsewhere)
//! ```
//!
//! Integers are big endian; length and CRC are over what stands right of the bar. The CRC tells a frame that was written
//! whole from one that was not; that a frame was not changed is proved by the log alone.

use super::canonical::MAX_RECORD_BYTES;
use super::seal::{KeyId, TAG_BYTES};

/// Length and CRC.
pub(super) const PREFIX_BYTES: usize = 8;
/// Place, seq and bucket.
const HEAD_BYTES: usize = 13;
const DIGEST_BYTES: usize = 64;

/// The longest frame after its prefix: the longest record with its numbers.
pub(super) const MAX_BODY_BYTES: usize = HEAD_BYTES + MAX_RECORD_BYTES + 64 + TAG_BYTES;

/// Bytes that a frame adds to a payload.
pub(super) const OVERHEAD_BYTES: usize = PREFIX_BYTES + HEAD_BYTES + TAG_BYTES;

/// One whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) seq: u64,
    pub(super) bucket: u32,
    pub(super) content: Content<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// The sealed payload.
    Here(&'a [u8]),
    /// The payload lies in the directory of a region.
    Elsewhere { digest: [u8; 32], key_id: KeyId },
}

impl<'a> Frame<'a> {
    /// Reads a frame's body, whose CRC was checked.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (place, rest) = body.split_first()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (bucket, rest) = rest.split_first_chunk()?;
        let content = match place {
            1 if rest.len() >= TAG_BYTES => Content::Here(rest),
            2 => {
                let (digest, key_id) = rest.split_first_chunk()?;
                Content::Elsewhere { digest: *digest, key_id: key_id.try_into().ok()? }
            }
            _ => return None,
        };
        Some(Self { seq: u64::from_be_bytes(*seq), bucket: u32::from_be_bytes(*bucket), content })
    }
}

/// The two numbers before a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) length: usize,
    pub(super) crc: u32,
}

impl Prefix {
    /// `None` where no frame has such a length.
    pub(super) fn parse(bytes: [u8; PREFIX_BYTES]) -> Option<Self> {
        let (length, crc) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let crc = u32::from_be_bytes(crc.try_into().ok()?);
        (HEAD_BYTES..=MAX_BODY_BYTES).contains(&length).then_some(Self { length, crc })
    }

    pub(super) fn fits(self, body: &[u8]) -> bool {
        body.len() == self.length && crc32fast::hash(body) == self.crc
    }
}

/// Begins a frame at the end of `out`; what its place asks for is appended next, then [`end`].
pub(super) fn begin(is_here: bool, seq: u64, bucket: u32, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    out.push(if is_here { 1 } else { 2 });
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&bucket.to_be_bytes());
    start
}

/// Fills in the length and CRC of the frame that began at `start`.
pub(super) fn end(start: usize, out: &mut [u8]) {
    let Some((prefix, body)) = out.get_mut(start..).and_then(|frame| frame.split_first_chunk_mut()) else { return };
    // Not longer than MAX_BODY_BYTES, which fits.
    let length = u32::try_from(body.len()).unwrap_or_default();
    let crc = crc32fast::hash(body);
    *prefix = (u64::from(length) << 32 | u64::from(crc)).to_be_bytes();
}

/// Bytes of an [`entry`].
pub(super) const ENTRY_BYTES: usize = 1 + 8 + 4 + DIGEST_BYTES;

/// What the log holds of a record: a commitment to its payload, which says nothing once the key is gone.
pub(super) fn entry(seq: u64, bucket: u32, digest: &[u8; 32], key_id: &KeyId) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    let (seq, bucket) = (seq.to_be_bytes(), bucket.to_be_bytes());
    let parts: [&[u8]; 5] = [&[ENTRY_VERSION], &seq, &bucket, digest, key_id];
    for (place, byte) in entry.iter_mut().zip(parts.into_iter().flatten()) {
        *place = *byte;
    }
    entry
}

const ENTRY_VERSION: u8 = 1;

/// An entry, read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) bucket: u32,
    pub(super) digest: [u8; 32],
    pub(super) key_id: KeyId,
}

impl Entry {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[ENTRY_VERSION])?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (bucket, rest) = rest.split_first_chunk()?;
        let (digest, key_id) = rest.split_first_chunk()?;
        Some(Self {
            seq: u64::from_be_bytes(*seq),
            bucket: u32::from_be_bytes(*bucket),
            digest: *digest,
            key_id: key_id.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn frames_and_entries_are_read_as_they_were_written() {
        let mut bytes = b"before".to_vec();
        let start = begin(true, 42, 7, &mut bytes);
        bytes.extend_from_slice(&[5; 20]);
        end(start, &mut bytes);
        let prefix = Prefix::parse(bytes[6..14].try_into().unwrap()).unwrap();
        assert!(prefix.fits(&bytes[14..]));
        let frame = Frame { seq: 42, bucket: 7, content: Content::Here(&[5; 20]) };
        assert_eq!(Frame::parse(&bytes[14..]), Some(frame));
        let written = entry(42, 7, &[1; 32], &[2; 32]);
        assert_eq!(Entry::parse(&written), Some(Entry { seq: 42, bucket: 7, digest: [1; 32], key_id: [2; 32] }));
        assert_eq!(Entry::parse(&written[..76]), None);
    }

    #[test]
    fn every_changed_byte_of_a_frame_shows() {
        let mut bytes = Vec::new();
        let start = begin(true, 1, 1, &mut bytes);
        bytes.extend_from_slice(b"sixteen bytes or more of it");
        end(start, &mut bytes);
        let is_whole =
            |bytes: &[u8]| Prefix::parse(bytes[..8].try_into().unwrap()).is_some_and(|prefix| prefix.fits(&bytes[8..]));
        assert!(is_whole(&bytes));
        for at in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                assert!(!is_whole(&changed), "byte {at}");
            }
        }
    }
}
