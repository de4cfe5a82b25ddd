//! Reads an index: its header first, and of the rest only what is asked for, each part checked by its checksum.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use fst::Map;
use jiff::Timestamp;
use roaring::RoaringBitmap;

use super::layout::{BLOCK, GROUP, Header, MAGIC, MAX_HEADER, NONE, PREAMBLE, Places, Slot, TRIGRAM_BYTES};
use super::source::Identity;
use super::{Useless, path};
use crate::audit::segment::Segment;

/// The keys of an index and where their lists lie.
pub(super) type Terms = Map<Vec<u8>>;

/// One index and its segment, open for one search.
#[derive(Debug)]
pub(in crate::audit) struct OpenIndex {
    file: File,
    segment: File,
    header: Arc<Header>,
    places: Places,
    terms: Option<Arc<Terms>>,
    /// The blocks of offsets and of partners that were read last.
    offsets: Option<(usize, Vec<u8>)>,
    partners: Option<(usize, Vec<u8>)>,
}

/// What tells one file from another that takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u64, u64, i64, i64);

impl OpenIndex {
    /// The index of `segment`, where there is one that was made of it.
    pub(super) fn open(dir: &Path, segment: &Segment) -> Result<Self, Useless> {
        let (file, _) = open_file(dir, segment.first_seq)?;
        let header = read_header(&file)?;
        Self::with(file, segment, Arc::new(header), None)
    }

    /// The same, with the parts that were kept from an earlier search.
    pub(super) fn with(
        file: File,
        segment: &Segment,
        header: Arc<Header>,
        terms: Option<Arc<Terms>>,
    ) -> Result<Self, Useless> {
        let first_seq = segment.first_seq;
        let segment = File::open(&segment.path)?;
        if header.first_seq != first_seq || header.segment != Identity::of(&segment)? {
            return Err(Useless::Stale);
        }
        let blocks = (header.records as usize).div_ceil(BLOCK);
        let groups = (header.trigrams as usize).div_ceil(GROUP);
        if header.blocks.len() != blocks || header.groups.len() != groups {
            return Err(Useless::Damaged("its header does not count what it holds"));
        }
        let header_bytes = file.metadata()?.len().saturating_sub(PREAMBLE as u64);
        // What lies behind the header has a known length, so the header has one too.
        let behind = header.places(0).terms - PREAMBLE as u64 + u64::from(header.terms_bytes);
        let header_bytes = header_bytes.checked_sub(behind).ok_or(Useless::Damaged("it is shorter than it says"))?;
        let places = header.places(header_bytes);
        Ok(Self { file, segment, header, places, terms, offsets: None, partners: None })
    }

    pub(super) fn header(&self) -> &Arc<Header> {
        &self.header
    }

    pub(super) fn terms(&self) -> Option<&Arc<Terms>> {
        self.terms.as_ref()
    }

    pub(super) fn set_terms(&mut self, terms: Arc<Terms>) {
        self.terms = Some(terms);
    }

    /// Reads the keys.
    pub(super) fn read_terms(&self) -> Result<Terms, Useless> {
        let bytes = self.read(self.places.terms, self.header.terms_bytes as usize)?;
        if crc32fast::hash(&bytes) != self.header.terms_crc {
            return Err(Useless::Damaged("its terms have another checksum"));
        }
        Map::new(bytes).map_err(|_| Useless::Damaged("its terms are no map"))
    }

    /// The segment that it is of.
    pub(super) fn segment(&self) -> &File {
        &self.segment
    }

    /// The records that can lie in a span of time; `None` where all can.
    pub(in crate::audit) fn within(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> Option<RoaringBitmap> {
        let micros = |time: Timestamp| i64::try_from(time.as_nanosecond().div_euclid(1000)).unwrap_or(i64::MIN);
        let (since, until) = (since.map(micros), until.map(micros));
        let can = |block: &super::layout::Block| {
            since.is_none_or(|since| block.latest >= since) && until.is_none_or(|until| block.earliest <= until)
        };
        if self.header.blocks.iter().all(can) {
            return None;
        }
        let mut records = RoaringBitmap::new();
        for (index, _) in self.header.blocks.iter().enumerate().filter(|(_, block)| can(block)) {
            let first = u32::try_from(index * BLOCK).unwrap_or(NONE);
            let end = first.saturating_add(BLOCK as u32).min(self.header.records);
            records.insert_range(first..end);
        }
        Some(records)
    }

    pub(in crate::audit) fn all(&self) -> RoaringBitmap {
        let mut records = RoaringBitmap::new();
        records.insert_range(0..self.header.records);
        records
    }

    /// Whether records of any of these buckets are in here.
    pub(in crate::audit) fn speaks_of(&self, buckets: &[u32]) -> bool {
        self.header.buckets.iter().any(|(bucket, _)| buckets.contains(bucket))
    }

    pub(in crate::audit) fn seq_of(&self, record: u32) -> Option<u64> {
        self.header.seq_of(record)
    }

    pub(in crate::audit) fn record_of(&self, seq: u64) -> Option<u32> {
        self.header.record_of(seq)
    }

    /// Where the list of a key lies.
    pub(in crate::audit) fn slot(&self, key: &[u8]) -> Option<Slot> {
        self.terms.as_ref()?.get(key).map(Slot::unpack)
    }

    /// Where the list of a trigram lies.
    pub(in crate::audit) fn trigram_slot(&self, trigram: u32) -> Result<Option<Slot>, Useless> {
        let groups = &self.header.groups;
        let Some(index) = groups.partition_point(|group| group.first <= trigram).checked_sub(1) else {
            return Ok(None);
        };
        let Some(group) = groups.get(index) else { return Ok(None) };
        let length = (self.header.trigrams as usize - index * GROUP).min(GROUP) * TRIGRAM_BYTES;
        let bytes = self.read(self.places.trigrams + (index * GROUP * TRIGRAM_BYTES) as u64, length)?;
        if crc32fast::hash(&bytes) != group.crc {
            return Err(Useless::Damaged("its trigrams have another checksum"));
        }
        let (entries, _) = bytes.as_chunks::<TRIGRAM_BYTES>();
        let found = entries.iter().find_map(|entry| {
            let (known, slot) = entry.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*known) == trigram).then_some(u64::from_le_bytes(slot.try_into().ok()?))
        });
        Ok(found.map(Slot::unpack))
    }

    /// The records in a list.
    pub(in crate::audit) fn list(&self, slot: Slot) -> Result<RoaringBitmap, Useless> {
        match slot {
            Slot::One(record) => Ok(RoaringBitmap::from_iter([record])),
            Slot::List { offset, bytes } => {
                if u64::from(offset) + u64::from(bytes) > self.header.postings_bytes {
                    return Err(Useless::Damaged("a list lies outside of it"));
                }
                let bytes = self.read(self.places.postings + u64::from(offset), bytes as usize)?;
                let (crc, list) = bytes.split_first_chunk().ok_or(Useless::Damaged("a list is too short"))?;
                if crc32fast::hash(list) != u32::from_le_bytes(*crc) {
                    return Err(Useless::Damaged("a list has another checksum"));
                }
                RoaringBitmap::deserialize_from(list).map_err(|_| Useless::Damaged("a list cannot be read"))
            }
        }
    }

    /// Where a record begins in the segment.
    pub(in crate::audit) fn offset(&mut self, record: u32) -> Result<u32, Useless> {
        let place = self.places.offsets;
        let crc = |header: &Header, index: usize| header.blocks.get(index).map(|block| block.offsets_crc);
        let mut kept = self.offsets.take();
        let number = self.number(&mut kept, place, record, crc);
        self.offsets = kept;
        number
    }

    /// Of a statement the record of its end, of an end that of its statement, where that is in the same segment.
    pub(in crate::audit) fn partner(&mut self, record: u32) -> Result<Option<u32>, Useless> {
        let place = self.places.partners;
        let crc = |header: &Header, index: usize| header.blocks.get(index).map(|block| block.partners_crc);
        let mut kept = self.partners.take();
        let number = self.number(&mut kept, place, record, crc);
        self.partners = kept;
        number.map(|number| Some(number).filter(|number| *number != NONE))
    }

    fn number(
        &self,
        kept: &mut Option<(usize, Vec<u8>)>,
        place: u64,
        record: u32,
        crc: impl Fn(&Header, usize) -> Option<u32>,
    ) -> Result<u32, Useless> {
        let index = record as usize / BLOCK;
        if kept.as_ref().is_none_or(|(block, _)| *block != index) {
            let length = (self.header.records as usize).saturating_sub(index * BLOCK).min(BLOCK) * 4;
            let bytes = self.read(place + (index * BLOCK * 4) as u64, length)?;
            if Some(crc32fast::hash(&bytes)) != crc(&self.header, index) {
                return Err(Useless::Damaged("its places have another checksum"));
            }
            *kept = Some((index, bytes));
        }
        let (numbers, _) = kept.as_ref().map(|(_, bytes)| bytes.as_chunks::<4>()).unwrap_or_default();
        let number = numbers.get(record as usize % BLOCK).ok_or(Useless::Damaged("a list names no record"))?;
        Ok(u32::from_le_bytes(*number))
    }

    fn read(&self, place: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, place)?;
        Ok(bytes)
    }
}

pub(super) fn open_file(dir: &Path, first_seq: u64) -> Result<(File, Stamp), Useless> {
    let file = File::open(path(dir, first_seq))?;
    let metadata = file.metadata()?;
    let stamp = Stamp(metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    Ok((file, stamp))
}

pub(super) fn read_header(file: &File) -> Result<Header, Useless> {
    let mut preamble = [0; PREAMBLE];
    file.read_exact_at(&mut preamble, 0)?;
    let (magic, rest) = preamble.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(Useless::Damaged("it is none of this version"));
    }
    let (words, _) = rest.as_chunks::<4>();
    let [length, crc] = words else { return Err(Useless::Damaged("its beginning is too short")) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_HEADER || length as u64 > file.metadata()?.len() {
        return Err(Useless::Damaged("its header is longer than the file"));
    }
    let mut body = vec![0; length];
    file.read_exact_at(&mut body, PREAMBLE as u64)?;
    if crc32fast::hash(&body) != u32::from_le_bytes(*crc) {
        return Err(Useless::Damaged("its header has another checksum"));
    }
    Header::decode(&body)
}
