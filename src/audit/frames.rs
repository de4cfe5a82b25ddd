//! Reads frames from the segments of one directory, in order, over the ends of segments, and goes on when more is written.
//! Opens nothing: keys are the reader's part, and proofs `verify`'s.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::frame::{Frame, PREFIX_BYTES, Prefix};
use super::segment::{Header, MAX_HEADER_BYTES, Segment};

/// A place in a directory's segments, moving forward.
#[derive(Debug)]
pub(super) struct Frames {
    dir: PathBuf,
    /// The frame that is wanted next, or the first one after it.
    next_seq: u64,
    open: Option<Open>,
    body: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    header: Header,
    file: BufReader<File>,
    /// Where the next frame begins.
    offset: u64,
    /// The last frame that was read here.
    last_seq: Option<u64>,
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The first `seq` of its segment, which names the file.
    pub segment: u64,
    pub offset: u64,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// A whole frame, which [`Frames::frame`] shows.
    Frame(Location),
    /// Nothing yet: all segments end here, perhaps in the middle of a frame that is being written.
    End { torn: u64 },
}

/// Why frames cannot be read.
#[derive(Debug)]
pub(super) enum FrameError {
    Io(io::Error),
    /// What stands at this place is no frame.
    Damaged {
        at: Location,
        what: &'static str,
    },
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Frames {
    /// Opens nothing yet.
    pub(super) fn new(dir: &Path, from_seq: u64) -> Self {
        Self { dir: dir.to_owned(), next_seq: from_seq.max(1), open: None, body: Vec::new() }
    }

    /// The `seq` that comes next, if none is missing.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The open segment's header.
    pub(super) fn header(&self) -> Option<&Header> {
        self.open.as_ref().map(|open| &open.header)
    }

    /// Where the next frame of the open segment begins.
    pub(super) fn place(&self) -> Option<Location> {
        self.open.as_ref().map(|open| Location { segment: open.header.first_seq, offset: open.offset })
    }

    /// The frame that was read last.
    pub(super) fn frame(&self) -> Option<Frame<'_>> {
        Frame::parse(&self.body)
    }

    /// The bytes of the frame that was read last, to be opened in place.
    pub(super) fn body_mut(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    /// Wants nothing below `seq` any more.
    pub(super) fn skip_to(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// Begins anew at `seq`.
    pub(super) fn restart(&mut self, seq: u64) {
        self.open = None;
        self.next_seq = seq.max(1);
    }

    /// Forgets what was read ahead: of that, the writer may have cut what it could not write whole.
    pub(super) fn forget_ahead(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        // Seeking from the start empties the buffer, even when it goes to where the reader stands.
        open.file.seek(SeekFrom::Start(open.offset)).map(drop)
    }

    /// Reads the next whole frame whose `seq` is not below the wanted one.
    pub(super) fn advance(&mut self) -> Result<Step, FrameError> {
        loop {
            if self.open.is_none() && !self.open_at_next()? {
                return Ok(Step::End { torn: 0 });
            }
            match self.read_frame()? {
                Step::Frame(at) => match self.take(at)? {
                    true => return Ok(Step::Frame(at)),
                    false => continue,
                },
                Step::End { .. } if self.was_replaced()? => self.open = None,
                Step::End { torn } => {
                    let Some(following) = self.following()? else { return Ok(Step::End { torn }) };
                    // This one grows no more, but may have grown since it was read.
                    match self.read_frame()? {
                        Step::Frame(at) => match self.take(at)? {
                            true => return Ok(Step::Frame(at)),
                            false => continue,
                        },
                        Step::End { torn: 0 } => {
                            self.next_seq = self.next_seq.max(following.first_seq);
                            self.open = None;
                        }
                        Step::End { torn: _ } => {
                            let at = self.place().unwrap_or(Location { segment: 0, offset: 0 });
                            return Err(FrameError::Damaged { at, what: "its segment ends in the middle of it" });
                        }
                    }
                }
            }
        }
    }

    /// Whether the frame that was just read is wanted. Numbers only rise.
    fn take(&mut self, at: Location) -> Result<bool, FrameError> {
        let damaged = |what| FrameError::Damaged { at, what };
        let seq = Frame::parse(&self.body).ok_or_else(|| damaged("it is no frame"))?.seq;
        let Some(open) = &mut self.open else { return Ok(false) };
        let is_first = open.last_seq.is_none() && at.offset == open.header.render().len() as u64;
        if open.last_seq.is_some_and(|last| seq <= last) || (is_first && seq != open.header.first_seq) {
            return Err(damaged("its number does not follow the one before"));
        }
        open.last_seq = Some(seq);
        if seq < self.next_seq {
            return Ok(false);
        }
        self.next_seq = seq + 1;
        Ok(true)
    }

    /// Reads one frame of the open segment; where there is none yet, the place stays unchanged.
    fn read_frame(&mut self) -> Result<Step, FrameError> {
        let Some(open) = &mut self.open else { return Ok(Step::End { torn: 0 }) };
        let at = Location { segment: open.header.first_seq, offset: open.offset };
        let mut prefix = [0; PREFIX_BYTES];
        let read = read_up_to(&mut open.file, &mut prefix)?;
        if read == 0 {
            return Ok(Step::End { torn: 0 });
        }
        if read < PREFIX_BYTES {
            open.file.seek(SeekFrom::Start(open.offset))?;
            return Ok(Step::End { torn: read as u64 });
        }
        let parsed = Prefix::parse(prefix).ok_or(FrameError::Damaged { at, what: "no frame has its length" })?;
        self.body.resize(parsed.length, 0);
        let read = read_up_to(&mut open.file, &mut self.body)?;
        if read < parsed.length {
            open.file.seek(SeekFrom::Start(open.offset))?;
            return Ok(Step::End { torn: (PREFIX_BYTES + read) as u64 });
        }
        if !parsed.fits(&self.body) {
            return Err(FrameError::Damaged { at, what: "its checksum does not hold" });
        }
        open.offset += (PREFIX_BYTES + parsed.length) as u64;
        Ok(Step::Frame(at))
    }

    /// Whether another file stands in the open one's place: what could not be brought to disk was written anew.
    fn was_replaced(&self) -> io::Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        match std::fs::metadata(Segment::of(&self.dir, open.header.first_seq).path) {
            Ok(there) => Ok(there.ino() != open.file.get_ref().metadata()?.ino()),
            // Removed: what is open can still be read to its end.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The segment after the open one.
    fn following(&self) -> io::Result<Option<Segment>> {
        let Some(open) = &self.open else { return Ok(None) };
        let segments = Segment::list(&self.dir)?;
        Ok(segments.into_iter().find(|segment| segment.first_seq > open.header.first_seq))
    }

    /// Opens the segment that holds `next_seq`, or the first one after it; false where there is none yet.
    fn open_at_next(&mut self) -> Result<bool, FrameError> {
        let segments = Segment::list(&self.dir)?;
        let holding = segments.iter().rev().find(|segment| segment.first_seq <= self.next_seq);
        match holding.or(segments.first()) {
            Some(segment) => self.open_segment(segment),
            None => Ok(false),
        }
    }

    fn open_segment(&mut self, segment: &Segment) -> Result<bool, FrameError> {
        let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(&segment.path)?);
        let mut line = Vec::new();
        (&mut file).take(MAX_HEADER_BYTES).read_until(b'\n', &mut line)?;
        let is_last = || Segment::list(&self.dir).is_ok_and(|all| all.last() == Some(segment));
        if line.last() != Some(&b'\n') && (line.len() as u64) < MAX_HEADER_BYTES && is_last() {
            return Ok(false);
        }
        let header = Header::parse(&line).filter(|header| header.first_seq == segment.first_seq);
        let at = Location { segment: segment.first_seq, offset: 0 };
        let header = header.ok_or(FrameError::Damaged { at, what: "the header of its segment is damaged" })?;
        self.open = Some(Open { offset: line.len() as u64, header, file, last_seq: None });
        Ok(true)
    }
}

/// Fills as much of `out` as the file holds.
fn read_up_to(file: &mut BufReader<File>, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

const BUFFER_BYTES: usize = 256 * 1024;
