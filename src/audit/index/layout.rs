//! An index's file: numbers little endian, every part with a CRC-32.
//!
//! ```text
//! "pgward-index 1\n" 0   u32 length of the header   u32 its CRC   header
//! offsets     u32 for each record: where it begins in the segment. Records are counted from 0 in the order of the segment
//! partners    u32 for each record: of a statement its end, of an end its statement; NONE where that is not in here
//! postings    for each list: u32 CRC, then a Roaring bitmap of records
//! trigrams    sorted: u32 three bytes of text in lower case, u64 slot
//! terms       an fst map: key → slot
//! ```
//! A slot names a list: the top bit set and one record's number, or 32 bits offset among the postings and 31 bits length.
//! Offsets and partners are read in blocks of [`BLOCK`] records, trigrams in groups of [`GROUP`].

use super::Useless;
use super::source::Identity;

/// Records in a block.
pub(super) const BLOCK: usize = 1024;
/// Trigrams in a group.
pub(super) const GROUP: usize = 64;
pub(super) const TRIGRAM_BYTES: usize = 12;
pub(super) const NONE: u32 = u32::MAX;
pub(super) const MAGIC: &[u8; 16] = b"pgward-index 1\n\0";
/// Bytes before the header.
pub(super) const PREAMBLE: usize = 24;
/// The longest header: that of a segment whose every record is one byte would not be longer.
pub(super) const MAX_HEADER: usize = 64 * 1024 * 1024;

/// What is known of an index before anything is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) first_seq: u64,
    pub(super) segment: Identity,
    pub(super) blocks: Vec<Block>,
    pub(super) groups: Vec<Group>,
    /// Where the records' numbers leave `seq`s out: from this record on, they go on from this `seq`.
    pub(super) runs: Vec<(u32, u64)>,
    /// The buckets whose keys its records are sealed under, and whether that key was destroyed already, so that only
    /// records that are held were left.
    pub(super) buckets: Vec<(u32, bool)>,
    pub(super) records: u32,
    pub(super) trigrams: u32,
    pub(super) postings_bytes: u64,
    pub(super) terms_bytes: u32,
    pub(super) terms_crc: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Times of its records, in microseconds since 1970: not after the earliest, not before the latest.
    pub(super) earliest: i64,
    pub(super) latest: i64,
    pub(super) offsets_crc: u32,
    pub(super) partners_crc: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) first: u32,
    pub(super) crc: u32,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for number in [self.first_seq, self.segment.bytes, self.postings_bytes] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        let lengths = [self.blocks.len(), self.groups.len(), self.runs.len(), self.buckets.len()];
        let lengths = lengths.map(|length| length as u32);
        let numbers = [self.segment.header, self.records, self.trigrams, self.terms_bytes, self.terms_crc];
        for number in numbers.into_iter().chain(lengths) {
            body.extend_from_slice(&number.to_le_bytes());
        }
        for block in &self.blocks {
            body.extend_from_slice(&block.earliest.to_le_bytes());
            body.extend_from_slice(&block.latest.to_le_bytes());
            body.extend_from_slice(&block.offsets_crc.to_le_bytes());
            body.extend_from_slice(&block.partners_crc.to_le_bytes());
        }
        for group in &self.groups {
            body.extend_from_slice(&group.first.to_le_bytes());
            body.extend_from_slice(&group.crc.to_le_bytes());
        }
        for (record, seq) in &self.runs {
            body.extend_from_slice(&record.to_le_bytes());
            body.extend_from_slice(&seq.to_le_bytes());
        }
        for (bucket, was_destroyed) in &self.buckets {
            body.extend_from_slice(&bucket.to_le_bytes());
            body.extend_from_slice(&u32::from(*was_destroyed).to_le_bytes());
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads what [`Self::encode`] wrote behind the preamble.
    pub(super) fn decode(body: &[u8]) -> Result<Self, Useless> {
        let mut rest = Numbers(body);
        let [first_seq, bytes, postings_bytes] = [rest.long()?, rest.long()?, rest.long()?];
        let segment = Identity { bytes, header: rest.word()? };
        let [records, trigrams, terms_bytes, terms_crc] = [rest.word()?, rest.word()?, rest.word()?, rest.word()?];
        let [blocks, groups, runs, buckets] = [rest.word()?, rest.word()?, rest.word()?, rest.word()?];
        let header = Self {
            first_seq,
            segment,
            blocks: rest.list(blocks, |rest| {
                Ok(Block {
                    earliest: rest.long()?.cast_signed(),
                    latest: rest.long()?.cast_signed(),
                    offsets_crc: rest.word()?,
                    partners_crc: rest.word()?,
                })
            })?,
            groups: rest.list(groups, |rest| Ok(Group { first: rest.word()?, crc: rest.word()? }))?,
            runs: rest.list(runs, |rest| Ok((rest.word()?, rest.long()?)))?,
            buckets: rest.list(buckets, |rest| Ok((rest.word()?, rest.word()? != 0)))?,
            records,
            trigrams,
            postings_bytes,
            terms_bytes,
            terms_crc,
        };
        if rest.0.is_empty() { Ok(header) } else { Err(Useless::Damaged("its header is longer than it says")) }
    }

    /// The `seq` of a record.
    pub(super) fn seq_of(&self, record: u32) -> Option<u64> {
        let run = self.runs.partition_point(|(first, _)| *first <= record).checked_sub(1)?;
        let (first, seq) = self.runs.get(run)?;
        (record < self.records).then(|| seq + u64::from(record - first))
    }

    /// The record with this `seq`, if it is in here.
    pub(super) fn record_of(&self, seq: u64) -> Option<u32> {
        let run = self.runs.partition_point(|(_, first)| *first <= seq).checked_sub(1)?;
        let (first, first_seq) = self.runs.get(run)?;
        let record = first.checked_add(u32::try_from(seq - first_seq).ok()?)?;
        let next = self.runs.get(run + 1).map_or(self.records, |(next, _)| *next);
        (record < next).then_some(record)
    }

    /// Where each part begins, in the order of the file.
    pub(super) fn places(&self, header_bytes: u64) -> Places {
        let records = u64::from(self.records) * 4;
        let offsets = PREAMBLE as u64 + header_bytes;
        let partners = offsets + records;
        let postings = partners + records;
        let trigrams = postings + self.postings_bytes;
        let terms = trigrams + u64::from(self.trigrams) * TRIGRAM_BYTES as u64;
        Places { offsets, partners, postings, trigrams, terms }
    }

    /// About so many bytes of memory.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.blocks.len() * 24 + (self.groups.len() + self.buckets.len()) * 8 + self.runs.len() * 16
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) offsets: u64,
    pub(super) partners: u64,
    pub(super) postings: u64,
    pub(super) trigrams: u64,
    pub(super) terms: u64,
}

/// A list of records: where it lies, or the one record that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) enum Slot {
    One(u32),
    List { offset: u32, bytes: u32 },
}

impl Slot {
    const ONE: u64 = 1 << 63;

    pub(super) fn pack(self) -> u64 {
        match self {
            Self::One(record) => Self::ONE | u64::from(record),
            Self::List { offset, bytes } => u64::from(offset) << 31 | u64::from(bytes),
        }
    }

    pub(super) fn unpack(packed: u64) -> Self {
        let low = |bits: u32| u32::try_from(packed & ((1 << bits) - 1)).unwrap_or_default();
        if packed & Self::ONE != 0 {
            return Self::One(low(32));
        }
        Self::List { offset: u32::try_from(packed >> 31).unwrap_or_default(), bytes: low(31) }
    }

    /// What reading it costs.
    pub(in crate::audit) fn bytes(self) -> u32 {
        match self {
            Self::One(_) => 0,
            Self::List { bytes, .. } => bytes,
        }
    }
}

/// Bytes that are read number by number.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn word(&mut self) -> Result<u32, Useless> {
        let (number, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*number))
    }

    fn long(&mut self) -> Result<u64, Useless> {
        let (number, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    fn list<T>(&mut self, length: u32, one: impl Fn(&mut Self) -> Result<T, Useless>) -> Result<Vec<T>, Useless> {
        // Every element takes eight bytes at least: no length that the bytes do not bear out is allocated.
        let length = length as usize;
        if length > self.0.len() / 8 {
            return Err(SHORT);
        }
        (0..length).map(|_| one(self)).collect()
    }
}

const SHORT: Useless = Useless::Damaged("its header ends too early");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn header() -> Header {
        Header {
            first_seq: 100,
            segment: Identity { bytes: 4711, header: 7 },
            blocks: vec![Block { earliest: -5, latest: 9, offsets_crc: 1, partners_crc: 2 }],
            groups: vec![Group { first: 3, crc: 4 }, Group { first: 5, crc: 6 }],
            runs: vec![(0, 100), (3, 110), (4, 200)],
            buckets: vec![(1, false), (9, true)],
            records: 6,
            trigrams: 65,
            postings_bytes: 12,
            terms_bytes: 13,
            terms_crc: 14,
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_not_a_byte_shorter() {
        let bytes = header().encode();
        let body = bytes.get(PREAMBLE..).unwrap();
        assert_eq!(Header::decode(body).unwrap(), header());
        for end in 0..body.len() {
            assert!(Header::decode(body.get(..end).unwrap()).is_err(), "{end}");
        }
    }

    #[test]
    fn numbers_of_records_leave_gaps_out() {
        let header = header();
        for (record, seq) in [(0, 100), (2, 102), (3, 110), (4, 200), (5, 201)] {
            assert_eq!(header.seq_of(record), Some(seq));
            assert_eq!(header.record_of(seq), Some(record));
        }
        for seq in [0, 99, 103, 109, 111, 199, 202, u64::MAX] {
            assert_eq!(header.record_of(seq), None, "{seq}");
        }
        assert_eq!(header.seq_of(6), None);
    }

    #[test]
    fn slots_survive_packing() {
        for slot in [
            Slot::One(0),
            Slot::One(u32::MAX),
            Slot::List { offset: 0, bytes: 1 },
            Slot::List { offset: u32::MAX, bytes: u32::MAX >> 1 },
        ] {
            assert_eq!(Slot::unpack(slot.pack()), slot);
        }
    }
}
