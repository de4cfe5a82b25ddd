//! The records of one segment and the offsets at which they lie. Whatever is to be known about how a segment is written
//! for making an index, and for reading one record that an index points at, stands here.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt as _;

use crate::audit::segment::{Line, Segment, read_line, split_line};
use crate::audit::{Entry, ReadError, Record, canonical};

/// A record and where it begins.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) offset: u32,
    pub(super) record: Record,
}

/// A segment, read from its beginning.
#[derive(Debug)]
pub(super) struct Source {
    reader: BufReader<File>,
    offset: u64,
    line: Vec<u8>,
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
    pub(super) fn open(segment: &Segment) -> Result<Self, ReadError> {
        let file = File::open(&segment.path)?;
        let identity = Identity::of(&file)?;
        let mut source =
            Self { reader: BufReader::with_capacity(BUFFER_BYTES, file), offset: 0, line: Vec::new(), identity };
        if !source.advance(segment.first_seq)? {
            return Err(damaged(segment.first_seq, "its segment has no header"));
        }
        Ok(source)
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// The next record that can still be read; `None` at the segment's end. `seq` is where an error is said to lie.
    pub(super) fn next(&mut self, seq: u64) -> Result<Option<Located>, ReadError> {
        let offset = u32::try_from(self.offset).map_err(|_| damaged(seq, "its segment is too long for an index"))?;
        if !self.advance(seq)? {
            return Ok(None);
        }
        let record = parse(&self.line).map_err(|what| damaged(seq, &what))?;
        Ok(Some(Located { offset, record }))
    }

    fn advance(&mut self, seq: u64) -> Result<bool, ReadError> {
        match read_line(&mut self.reader, &mut self.line)? {
            Line::Whole => {
                self.offset += self.line.len() as u64 + 1;
                Ok(true)
            }
            Line::End => Ok(false),
            Line::Torn(_) | Line::TooLong => Err(damaged(seq, "its line is not whole")),
        }
    }
}

/// Reads the record at `offset` of a segment; `None` where it can no longer be read because it was erased.
pub(in crate::audit) fn fetch(segment: &File, offset: u32) -> Result<Option<Entry>, ReadError> {
    let offset = u64::from(offset);
    let mut line = vec![0; FIRST_READ];
    let mut filled = 0;
    loop {
        let rest = line.get_mut(filled..).unwrap_or_default();
        let read = segment.read_at(rest, offset + filled as u64)?;
        let fresh = line.get(filled..filled + read).unwrap_or_default();
        if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
            line.truncate(filled + end);
            break;
        }
        filled += read;
        if read == 0 {
            return Err(damaged(0, "its line is not whole"));
        }
        if filled == line.len() {
            line.resize(filled.saturating_mul(4).min(canonical::MAX_RECORD_BYTES + 1024), 0);
        }
    }
    let record = parse(&line).map_err(|what| damaged(0, &what))?;
    let canonical = split_line(&line).map(|(_, canonical)| canonical.to_vec()).unwrap_or_default();
    Ok(Some(Entry { record, canonical }))
}

fn parse(line: &[u8]) -> Result<Record, String> {
    let (_, canonical) = split_line(line).ok_or_else(|| "its line has no head".to_owned())?;
    canonical::parse(canonical).map_err(|error| error.to_string())
}

fn damaged(seq: u64, what: &str) -> ReadError {
    ReadError::Damaged { seq, what: what.to_owned() }
}

const BUFFER_BYTES: usize = 256 * 1024;
/// Nearly every record fits.
const FIRST_READ: usize = 2048;
