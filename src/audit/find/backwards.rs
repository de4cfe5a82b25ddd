//! Reads a segment from its end: what is asked for most is new, and where enough is found the rest stays sealed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::audit::frame::Prefix;
use crate::audit::frames::{FrameError, Frames, Location, Step};
use crate::audit::reader::entry;
use crate::audit::segment::Segment;
use crate::audit::{Entry, ReadError, Reader};

/// The frames of a segment, from the last to the first.
#[derive(Debug)]
pub(super) struct Backwards {
    file: File,
    reader: Reader,
    /// Where the frames begin that are still to be read, and where the last of them ends.
    offsets: Vec<u64>,
    end: u64,
    /// The bytes that were read last, and where they begin.
    bytes: Vec<u8>,
    start: u64,
}

impl Backwards {
    /// The frames of one segment below record `end`; `None` where there are none. All are checked, none is opened.
    pub(super) fn open(dir: &Path, first_seq: u64, end: u64) -> Result<Option<Self>, ReadError> {
        let mut frames = Frames::new(dir, first_seq);
        let mut offsets = Vec::new();
        let mut behind = 0;
        loop {
            let seq = frames.next_seq();
            let damaged = |error: FrameError| match error {
                FrameError::Io(error) => ReadError::Io(error),
                FrameError::Damaged { at: _, what } => ReadError::Damaged { seq, what: what.to_owned() },
            };
            let Step::Frame(Location { segment, offset }) = frames.advance().map_err(damaged)? else { break };
            let is_here = segment == first_seq && frames.frame().is_some_and(|frame| frame.seq < end);
            let Some(after) = frames.place().filter(|_| is_here) else { break };
            offsets.push(offset);
            behind = after.offset;
        }
        if offsets.is_empty() {
            return Ok(None);
        }
        let file = File::open(Segment::of(dir, first_seq).path)?;
        let reader = Reader::new(dir, first_seq);
        Ok(Some(Self { file, reader, offsets, end: behind, bytes: Vec::new(), start: behind }))
    }

    /// The next record towards the beginning that can be read and that `wanted` does not rule out.
    pub(super) fn read_if(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Entry>, ReadError> {
        while let Some(offset) = self.offsets.pop() {
            if offset < self.start {
                self.fill(offset)?;
            }
            let place = |at: u64| usize::try_from(at.saturating_sub(self.start)).unwrap_or(usize::MAX);
            let frame = self.bytes.get_mut(place(offset)..place(self.end)).unwrap_or_default();
            self.end = offset;
            let (prefix, body) = frame.split_first_chunk_mut().ok_or_else(|| changed(offset))?;
            // The writer may have cut what it could not write whole, and have written something else.
            if !Prefix::parse(*prefix).is_some_and(|prefix| prefix.fits(body)) {
                return Err(changed(offset));
            }
            if let Some((seq, canonical)) = self.reader.open_body(body)?
                && wanted(canonical)
            {
                return entry(seq, canonical.to_vec()).map(Some);
            }
        }
        Ok(None)
    }

    /// Reads the frame at `offset`, and as many before it as make a good piece.
    fn fill(&mut self, offset: u64) -> Result<(), ReadError> {
        let enough = self.end.saturating_sub(PIECE_BYTES);
        let first = self.offsets.partition_point(|offset| *offset < enough);
        self.start = self.offsets.get(first).copied().unwrap_or(offset);
        let length = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        self.bytes.resize(length, 0);
        self.file.read_exact_at(&mut self.bytes, self.start)?;
        Ok(())
    }
}

fn changed(offset: u64) -> ReadError {
    ReadError::Io(io::Error::other(format!(
        "the frame at {offset} of the open segment changed while it was read; try again"
    )))
}

/// Bytes that are read at a time; a longer frame is read alone.
const PIECE_BYTES: u64 = 1024 * 1024;
