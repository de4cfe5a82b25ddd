//! Reads records from the files, in order, over the ends of segments, and goes on when more is written.
//! Needs neither the writer nor its lock, and checks no chain: that is `verify`'s part.

use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::Record;
use super::canonical;
use super::segment::{self, LINE_PREFIX, Line, Segment, split_line};

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the journal cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The files do not hold what they should here; verifying tells more.
    #[error("record {seq} of the journal is damaged: {what}")]
    Damaged { seq: u64, what: String },
}

/// One record as it lies in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub record: Record,
    /// The record's canonical bytes: one line of JSON without its newline.
    pub canonical: Vec<u8>,
}

/// A place in the journal, moving forward.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    next_seq: u64,
    open: Option<OpenSegment>,
    line: Vec<u8>,
}

#[derive(Debug)]
struct OpenSegment {
    first_seq: u64,
    file: BufReader<File>,
}

impl Reader {
    /// A reader whose first record is `from_seq`, or the oldest that is kept. Opens nothing yet.
    #[must_use]
    pub fn new(dir: &Path, from_seq: u64) -> Self {
        Self { dir: dir.to_owned(), next_seq: from_seq.max(1), open: None, line: Vec::new() }
    }

    /// The `seq` of the record that comes next.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The next record; `None` where the journal ends now. A line that is still being written does not count yet, and a
    /// later call finds it whole.
    ///
    /// # Errors
    /// Where files cannot be read or do not hold records.
    pub fn read(&mut self) -> Result<Option<Entry>, ReadError> {
        self.read_if(|_| true)
    }

    /// The next record that `wanted` cannot rule out by its canonical bytes alone; the others are not even parsed.
    pub(super) fn read_if(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Entry>, ReadError> {
        let Some(mut seq) = self.advance()? else { return Ok(None) };
        while !wanted(self.line.get(LINE_PREFIX..).unwrap_or_default()) {
            let Some(next) = self.advance()? else { return Ok(None) };
            seq = next;
        }
        let damaged = |what: &str| ReadError::Damaged { seq, what: what.to_owned() };
        let canonical = split_line(&self.line).ok_or_else(|| damaged("its line has no head"))?.1;
        let record = canonical::parse(canonical).map_err(|error| damaged(&error.to_string()))?;
        if record.seq != seq {
            return Err(damaged(&format!("it says that it is record {}", record.seq)));
        }
        Ok(Some(Entry { record, canonical: canonical.to_vec() }))
    }

    /// Forgets what was read ahead: of that, the writer may have cut what it could not write whole.
    pub(super) fn forget_ahead(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let place = open.file.stream_position()?;
        // Seeking from the start empties the buffer, even when it goes to where the reader stands.
        open.file.seek(SeekFrom::Start(place)).map(drop)
    }

    /// Reads the next whole line, and answers its `seq`.
    fn advance(&mut self) -> Result<Option<u64>, ReadError> {
        loop {
            if self.open.is_none() && !self.open_at_next()? {
                return Ok(None);
            }
            if self.read_line()? {
                self.next_seq += 1;
                return Ok(Some(self.next_seq - 1));
            }
            // The end of this segment: the next one is there once it has a record, and then this one grows no more.
            let first_seq = self.open.as_ref().map(|open| open.first_seq);
            if first_seq == Some(self.next_seq) || !Segment::of(&self.dir, self.next_seq).path.exists() {
                return Ok(None);
            }
            if self.read_line()? {
                self.next_seq += 1;
                return Ok(Some(self.next_seq - 1));
            }
            self.open = None;
        }
    }

    /// Reads one whole line; false where there is none yet, with the place unchanged.
    fn read_line(&mut self) -> Result<bool, ReadError> {
        let Some(open) = &mut self.open else { return Ok(false) };
        match segment::read_line(&mut open.file, &mut self.line)? {
            Line::Whole => Ok(true),
            Line::End => Ok(false),
            Line::TooLong => Err(ReadError::Damaged { seq: self.next_seq, what: "its line is too long".to_owned() }),
            Line::Torn(bytes) => {
                // The writer may cut this piece again and write another, so nothing of it is kept.
                open.file.seek(SeekFrom::Current(-i64::try_from(bytes).unwrap_or(i64::MAX)))?;
                Ok(false)
            }
        }
    }

    /// Opens the segment that holds `next_seq`, at that record; false where it is not there yet.
    fn open_at_next(&mut self) -> Result<bool, ReadError> {
        let segments = Segment::list(&self.dir)?;
        let holding = segments.iter().rev().find(|segment| segment.first_seq <= self.next_seq);
        let Some(segment) = holding.or(segments.first()) else { return Ok(false) };
        self.next_seq = self.next_seq.max(segment.first_seq);
        let file = BufReader::with_capacity(BUFFER_BYTES, File::open(&segment.path)?);
        self.open = Some(OpenSegment { first_seq: segment.first_seq, file });
        // The header, then the records before the wanted one.
        for _ in segment.first_seq..=self.next_seq {
            if !self.read_line()? {
                self.open = None;
                return Ok(false);
            }
        }
        Ok(true)
    }
}

const BUFFER_BYTES: usize = 256 * 1024;
