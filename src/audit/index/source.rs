//! The records of one segment and the offsets at which they lie. Whatever is to be known about how a segment is written
//! for making an index, and for reading one record that an index points at, stands here.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::OpenIndex;
use crate::audit::segment::Segment;
use crate::audit::{Entry, Location, ReadError, Reader};

/// Where a record begins, and the bucket whose key it is sealed under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Located {
    pub(super) seq: u64,
    pub(super) offset: u32,
    pub(super) bucket: u32,
}

/// A segment, read from its beginning.
#[derive(Debug)]
pub(super) struct Source {
    reader: Reader,
    first_seq: u64,
    identity: Identity,
}

/// What tells one segment from another that has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) bytes: u64,
    /// CRC-32 of the first line.
    pub(super) header: u32,
}

impl Identity {
    /// That of an open segment.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let mut beginning = [0; 512];
        let mut filled = 0;
        while let Some(rest) = beginning.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        let beginning = beginning.get(..filled).unwrap_or_default();
        let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(Self { bytes: file.metadata()?.len(), header: crc32fast::hash(line) })
    }
}

impl Source {
    /// A finished segment of `dir`. What a region keeps elsewhere is indexed there, so that its words do not leave it.
    pub(super) fn open(dir: &Path, segment: &Segment) -> Result<Self, ReadError> {
        let identity = Identity::of(&File::open(&segment.path)?)?;
        Ok(Self { reader: Reader::new(dir, segment.first_seq), first_seq: segment.first_seq, identity })
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Shows the canonical bytes of the next record that can still be read; `None` at the segment's end.
    pub(super) fn next<T>(&mut self, show: impl FnOnce(Located, &[u8]) -> T) -> Result<Option<T>, ReadError> {
        let first_seq = self.first_seq;
        let shown = self.reader.show_next(|seq, place, bucket, canonical| {
            if place.segment != first_seq {
                return Ok(None);
            }
            let what = || ReadError::Damaged { seq, what: "its segment is too long for an index".to_owned() };
            let offset = u32::try_from(place.offset).map_err(|_| what())?;
            Ok(Some(show(Located { seq, offset, bucket }, canonical)))
        });
        shown?.transpose().map(Option::flatten)
    }

    /// Whether the key of a bucket was found to be destroyed while reading.
    pub(super) fn is_destroyed(&self, bucket: u32) -> bool {
        self.reader.is_destroyed(bucket)
    }
}

/// Reads the record at `offset` of an index's segment; `None` where it can no longer be read because it was erased.
pub(in crate::audit) fn fetch(index: &OpenIndex, reader: &mut Reader, offset: u32) -> Result<Option<Entry>, ReadError> {
    let place = Location { segment: index.header().first_seq, offset: u64::from(offset) };
    reader.read_in(index.segment(), place)
}
