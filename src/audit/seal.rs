//! Sealing payloads: one key per record, derived from the key of its bucket, so that destroying the bucket's key makes all
//! its texts unreadable at once, while a single record's key can be given away or kept without the others'. Pure.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes that sealing adds.
pub(super) const TAG_BYTES: usize = 16;

/// The key of a bucket: of all records of one kind, region and stretch of time.
#[derive(Clone)]
pub(super) struct BucketKey(Zeroizing<[u8; 32]>);

/// The key of one record's payload.
#[derive(Clone)]
pub struct RecordKey(Zeroizing<[u8; 32]>);

/// A commitment to a record's key: with the sealed payload's digest it leaves one text that the payload can open to.
pub(super) type KeyId = [u8; 32];

impl BucketKey {
    /// A key that nobody has seen.
    pub(super) fn generate() -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *key).map_err(|_| SealError::NoRandomness)?;
        Ok(Self(key))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|key| Self(Zeroizing::new(key)))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of record `seq`. One way: it tells nothing of the bucket's key or of any other record's.
    pub(super) fn record_key(&self, seq: u64) -> RecordKey {
        let mut input = [0; RECORD.len() + 32 + 8];
        concatenate(&mut input, &[RECORD, &*self.0, &seq.to_be_bytes()]);
        let key = RecordKey(Zeroizing::new(sha256(&input)));
        input.zeroize();
        key
    }
}

impl RecordKey {
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|key| Self(Zeroizing::new(key)))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn id(&self) -> KeyId {
        let mut input = [0; KEY_ID.len() + 32];
        concatenate(&mut input, &[KEY_ID, &*self.0]);
        let id = sha256(&input);
        input.zeroize();
        id
    }

    /// Seals what stands in `out` from `start` on, and appends the tag.
    pub(super) fn seal(&self, seq: u64, bucket: u32, out: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        let payload = out.get_mut(start..).unwrap_or_default();
        let tag = self.cipher()?.seal_in_place_separate_tag(nonce(), binding(seq, bucket), payload);
        out.extend_from_slice(tag.map_err(|_| SealError::Refused)?.as_ref());
        Ok(())
    }

    /// The payload, opened in place; `None` where it is not what was sealed under this key for this record.
    pub(super) fn open<'a>(&self, seq: u64, bucket: u32, sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let opened = self.cipher().ok()?.open_in_place(nonce(), binding(seq, bucket), sealed);
        opened.ok().map(|payload| &*payload)
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        UnboundKey::new(&AES_256_GCM, &*self.0).map(LessSafeKey::new).map_err(|_| SealError::Refused)
    }
}

/// A payload could not be sealed, so its record cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    #[error("the payload could not be sealed")]
    Refused,
}

impl From<SealError> for std::io::Error {
    fn from(error: SealError) -> Self {
        Self::other(error)
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    // SHA-256 gives 32 bytes, so the lengths agree.
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Each key seals one payload, so the nonce may stay the same.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// What a sealed payload is bound to: it cannot be passed off as another record's.
fn binding(seq: u64, bucket: u32) -> Aad<[u8; 12]> {
    let mut bytes = [0; 12];
    concatenate(&mut bytes, &[&seq.to_be_bytes(), &bucket.to_be_bytes()]);
    Aad::from(bytes)
}

/// Fills `out` with the parts, whose lengths add up to its own.
fn concatenate(out: &mut [u8], parts: &[&[u8]]) {
    let bytes = parts.iter().flat_map(|part| part.iter());
    for (place, byte) in out.iter_mut().zip(bytes) {
        *place = *byte;
    }
}

const RECORD: &[u8] = b"pgward record\0";
const KEY_ID: &[u8] = b"pgward key id\0";

impl fmt::Debug for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BucketKey(…)")
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_payload_opens_for_its_record_alone() {
        let bucket = BucketKey::generate().unwrap();
        let mut sealed = b"head".to_vec();
        sealed.extend_from_slice(b"{\"seq\":7}");
        bucket.record_key(7).seal(7, 3, &mut sealed, 4).unwrap();
        assert_eq!(sealed.len(), 4 + 9 + TAG_BYTES);
        assert_ne!(&sealed[4..13], b"{\"seq\":7}");
        let open = |key: &RecordKey, seq, bucket| {
            let mut copy = sealed[4..].to_vec();
            key.open(seq, bucket, &mut copy).map(<[u8]>::to_vec)
        };
        assert_eq!(open(&bucket.record_key(7), 7, 3).unwrap(), b"{\"seq\":7}");
        assert!(open(&bucket.record_key(8), 7, 3).is_none());
        assert!(open(&bucket.record_key(7), 8, 3).is_none());
        assert!(open(&bucket.record_key(7), 7, 4).is_none());
        assert!(open(&BucketKey::generate().unwrap().record_key(7), 7, 3).is_none());
    }

    #[test]
    fn keys_are_what_the_format_says() {
        let bucket = BucketKey(Zeroizing::new([9; 32]));
        let mut input = b"pgward record\0".to_vec();
        input.extend_from_slice(&[9; 32]);
        input.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(bucket.record_key(5).as_bytes(), &sha256(&input));
        let mut input = b"pgward key id\0".to_vec();
        input.extend_from_slice(bucket.record_key(5).as_bytes());
        assert_eq!(bucket.record_key(5).id(), sha256(&input));
    }
}
