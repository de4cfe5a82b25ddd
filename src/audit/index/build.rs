//! Makes the index of one finished segment. Memory is bounded by what a segment can hold and by [`MAX_POSTINGS`].

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use roaring::RoaringBitmap;

use super::gather::Gathered;
use super::layout::{BLOCK, Block, GROUP, Group, Header, MAGIC, PREAMBLE, Slot};
use super::source::Source;
use super::{DIRECTORY, OpenIndex, path};
use crate::audit::ReadError;
use crate::audit::keys::KeyDirectory;
use crate::audit::segment::Segment;

/// Why an index was not made.
#[derive(Debug, thiserror::Error)]
pub(in crate::audit) enum Unmade {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it cannot be put in order: {0}")]
    Terms(#[from] fst::Error),
    #[error("it is longer than an index can be")]
    TooLong,
    /// The caller had it stop.
    #[error("it was given up")]
    Stopped,
}

/// Makes the indexes of the finished segments in `dir` that have no good one; answers how many it made. A running pgward
/// does so by itself.
///
/// # Errors
/// Where a segment cannot be read, or an index not written.
pub fn bring_up_to_date(dir: &Path) -> Result<usize, io::Error> {
    let segments = Segment::list(dir)?;
    let finished = segments.split_last().map(|(_, finished)| finished).unwrap_or_default();
    let mut made = 0;
    for segment in finished.iter().rev().filter(|segment| !is_good(dir, segment)) {
        let index = build(dir, segment, &mut |_| true).map_err(io::Error::other)?;
        put(dir, segment.first_seq, &index, |rename| rename())?;
        made += 1;
    }
    Ok(made)
}

/// Whether a segment has an index that was made of it. Its lists are checked when they are read.
pub(super) fn is_good(dir: &Path, segment: &Segment) -> bool {
    OpenIndex::open(dir, segment).is_ok_and(|index| index.read_terms().is_ok() && !speaks_of_erased(dir, &index))
}

/// Whether a bucket's key was destroyed since the index was made.
fn speaks_of_erased(dir: &Path, index: &OpenIndex) -> bool {
    let keys = KeyDirectory::of(dir);
    let is_erased =
        |number: u32| !keys.read(number).is_ok_and(|bucket| bucket.is_some_and(|bucket| bucket.key().is_some()));
    index.header().buckets.iter().any(|(number, was_destroyed)| !was_destroyed && is_erased(*number))
}

/// Makes the index of a segment, as the bytes of its file. `go_on` is asked after each record, and told how many there are.
pub(super) fn build(dir: &Path, segment: &Segment, go_on: &mut dyn FnMut(u32) -> bool) -> Result<Vec<u8>, Unmade> {
    let mut source = Source::open(dir, segment)?;
    let mut gathered = Gathered::new(segment.first_seq, source.identity());
    while let Some(taken) = source.next(|place, canonical| gathered.take(place, canonical))? {
        taken?;
        if !go_on(gathered.records()) {
            return Err(Unmade::Stopped);
        }
    }
    gathered.finish(|bucket| source.is_destroyed(bucket))
}

/// Puts an index into its place, whole or not at all. The last step, to give it its name, is left to `last` to take.
pub(super) fn put(
    dir: &Path,
    first_seq: u64,
    index: &[u8],
    last: impl FnOnce(&dyn Fn() -> io::Result<()>) -> io::Result<()>,
) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir.join(DIRECTORY)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let place = path(dir, first_seq);
    let unfinished = place.with_extension(format!("{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(index)?;
        // A name must not stand for bytes that a power cut took; the checksums would tell, but all would be made again.
        file.sync_data()?;
        last(&|| std::fs::rename(&unfinished, &place))
    })();
    if written.is_err() {
        // What is left of it is in nobody's way, and the next one to be made has the same name.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

impl Gathered {
    fn finish(self, is_destroyed: impl Fn(u32) -> bool) -> Result<Vec<u8>, Unmade> {
        let mut postings = Postings::default();
        let mut builder = fst::MapBuilder::memory();
        for (key, list) in self.terms.finish() {
            builder.insert(key, postings.push(list)?.pack())?;
        }
        let terms = builder.into_inner()?;
        let trigrams = self.texts.finish();
        let mut table = Vec::new();
        let mut groups = Vec::new();
        let mut trigram_count = 0;
        let mut start = 0;
        for (trigram, list) in trigrams {
            if trigram_count % GROUP as u32 == 0 {
                close_group(&mut groups, &table, &mut start);
                groups.push(Group { first: trigram, crc: 0 });
            }
            table.extend_from_slice(&trigram.to_le_bytes());
            table.extend_from_slice(&postings.push(list)?.pack().to_le_bytes());
            trigram_count += 1;
        }
        close_group(&mut groups, &table, &mut start);

        let (offsets, partners) = (little_endian(&self.offsets), little_endian(&self.partners));
        let header = Header {
            first_seq: self.first_seq,
            segment: self.segment,
            blocks: blocks(&self.times, &offsets, &partners),
            groups,
            runs: self.runs,
            buckets: self.buckets.into_iter().map(|bucket| (bucket, is_destroyed(bucket))).collect(),
            records: u32::try_from(self.offsets.len()).map_err(|_| Unmade::TooLong)?,
            trigrams: trigram_count,
            postings_bytes: postings.bytes.len() as u64,
            terms_bytes: u32::try_from(terms.len()).map_err(|_| Unmade::TooLong)?,
            terms_crc: crc32fast::hash(&terms),
        };
        Ok([header.encode(), offsets, partners, postings.bytes, table, terms].concat())
    }
}

#[derive(Default)]
struct Postings {
    bytes: Vec<u8>,
}

impl Postings {
    fn push(&mut self, mut list: RoaringBitmap) -> Result<Slot, Unmade> {
        if list.len() == 1
            && let Some(only) = list.min()
        {
            return Ok(Slot::One(only));
        }
        list.optimize();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        list.serialize_into(&mut self.bytes)?;
        let crc = crc32fast::hash(self.bytes.get(start + 4..).unwrap_or_default());
        if let Some(place) = self.bytes.get_mut(start..start + 4) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        let offset = u32::try_from(start).map_err(|_| Unmade::TooLong)?;
        let bytes = u32::try_from(self.bytes.len() - start).ok().filter(|bytes| *bytes < 1 << 31);
        Ok(Slot::List { offset, bytes: bytes.ok_or(Unmade::TooLong)? })
    }
}

fn close_group(groups: &mut [Group], table: &[u8], start: &mut usize) {
    if let Some(group) = groups.last_mut() {
        group.crc = crc32fast::hash(table.get(*start..).unwrap_or_default());
    }
    *start = table.len();
}

fn blocks(times: &[(i64, i64)], offsets: &[u8], partners: &[u8]) -> Vec<Block> {
    let parts = times.chunks(BLOCK).zip(offsets.chunks(BLOCK * 4)).zip(partners.chunks(BLOCK * 4));
    parts
        .map(|((times, offsets), partners)| Block {
            earliest: times.iter().map(|(floor, _)| *floor).min().unwrap_or(i64::MIN),
            latest: times.iter().map(|(_, ceiling)| *ceiling).max().unwrap_or(i64::MAX),
            offsets_crc: crc32fast::hash(offsets),
            partners_crc: crc32fast::hash(partners),
        })
        .collect()
}

fn little_endian(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

const _: () = assert!(PREAMBLE == MAGIC.len() + 8);
