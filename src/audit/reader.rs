//! Reads records from the files, in order, over the ends of segments, and goes on when more is written. A payload that a
//! region keeps is read from there; one whose key was destroyed is passed over. Needs neither the writer nor its lock, and
//! proves nothing: that is `verify`'s part.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::Record;
use super::canonical;
use super::frame::{Content, Frame, PREFIX_BYTES, Prefix};
use super::frames::{FrameError, Frames, Location, Step};
use super::keys::KeyReader;
use super::segment::Segment;

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

/// Where a journal's files lie: its own directory, and those of the regions that keep their records themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    pub main: PathBuf,
    pub regions: Vec<PathBuf>,
}

impl From<&Path> for Places {
    fn from(main: &Path) -> Self {
        Self { main: main.to_owned(), regions: Vec::new() }
    }
}

impl From<&Self> for Places {
    fn from(places: &Self) -> Self {
        places.clone()
    }
}

impl From<&PathBuf> for Places {
    fn from(main: &PathBuf) -> Self {
        Self::from(main.as_path())
    }
}

/// A place in the journal, moving forward.
#[derive(Debug)]
pub struct Reader {
    places: Places,
    frames: Frames,
    /// Where the record that was read last lies, in the journal's own directory.
    last: Option<Location>,
    keys: KeyReader,
    regions: Vec<Regional>,
}

/// The reading end of a region's directory.
#[derive(Debug)]
struct Regional {
    frames: Frames,
    keys: KeyReader,
    /// The number of the frame that was read last, zero where there is none, and the one it was looked for from: between
    /// the two the directory has nothing.
    at: u64,
    from: u64,
}

impl Reader {
    /// A reader whose first record is `from_seq`, or the oldest that is kept. Opens nothing yet.
    #[must_use]
    pub fn new(places: impl Into<Places>, from_seq: u64) -> Self {
        let places = places.into();
        let regions = places.regions.iter();
        Self {
            frames: Frames::new(&places.main, from_seq),
            last: None,
            keys: KeyReader::of(&places.main),
            regions: regions.map(|dir| Regional::new(dir, from_seq)).collect(),
            places,
        }
    }

    /// The `seq` of the record that comes next.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.frames.next_seq()
    }

    /// Where the record that was read last lies.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        self.last
    }

    /// The bucket of the record that was read last.
    pub(super) fn bucket(&self) -> Option<u32> {
        self.frames.frame().map(|frame| frame.bucket)
    }

    /// Whether a bucket's key was found to be destroyed.
    pub(super) fn is_destroyed(&self, bucket: u32) -> bool {
        self.keys.is_destroyed(bucket)
    }

    /// The next record that can be read; `None` where the journal ends now. A frame that is still being written does not
    /// count yet, and a later call finds it whole.
    ///
    /// # Errors
    /// Where files cannot be read or do not hold records.
    pub fn read(&mut self) -> Result<Option<Entry>, ReadError> {
        self.read_if(|_| true)
    }

    /// The next record that `wanted` cannot rule out by its canonical bytes alone; the others are not even parsed.
    pub(super) fn read_if(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Entry>, ReadError> {
        loop {
            let seq = self.frames.next_seq();
            match self.frames.advance().map_err(|error| damaged(seq, error))? {
                Step::Frame(at) => self.last = Some(at),
                Step::End { .. } => return Ok(None),
            }
            let Some((seq, canonical)) = self.open_frame()? else { continue };
            if wanted(canonical) {
                let canonical = canonical.to_vec();
                return entry(seq, canonical).map(Some);
            }
        }
    }

    /// Shows the number, the place, the bucket and the canonical bytes of the next record that can be read.
    pub(super) fn show_next<T>(
        &mut self,
        show: impl FnOnce(u64, Location, u32, &[u8]) -> T,
    ) -> Result<Option<T>, ReadError> {
        loop {
            let seq = self.frames.next_seq();
            let at = match self.frames.advance().map_err(|error| damaged(seq, error))? {
                Step::Frame(at) => at,
                Step::End { .. } => return Ok(None),
            };
            self.last = Some(at);
            let bucket = self.bucket().unwrap_or_default();
            if let Some((seq, canonical)) = self.open_frame()? {
                return Ok(Some(show(seq, at, bucket, canonical)));
            }
        }
    }

    /// The record at `place`; `None` where it cannot be read any more.
    ///
    /// # Errors
    /// Where there is none, or files cannot be read.
    pub fn read_at(&mut self, place: Location) -> Result<Option<Entry>, ReadError> {
        let file = match File::open(Segment::of(&self.places.main, place.segment).path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        self.read_in(&file, place)
    }

    /// The same, of a segment that is open already.
    pub(super) fn read_in(&mut self, segment: &File, place: Location) -> Result<Option<Entry>, ReadError> {
        read_frame_at(segment, place, self.frames.body_mut())?;
        match self.open_frame()? {
            Some((seq, canonical)) => {
                let canonical = canonical.to_vec();
                entry(seq, canonical).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Opens the payload of a frame whose body was read by somebody else, in place; `None` where it cannot be read here.
    pub(super) fn open_body<'a>(&mut self, body: &'a mut [u8]) -> Result<Option<(u64, &'a [u8])>, ReadError> {
        let Some(Frame { seq, bucket, content: Content::Here(sealed) }) = Frame::parse(body) else { return Ok(None) };
        let length = sealed.len();
        open_payload(&mut self.keys, seq, bucket, body, length)
    }

    /// Forgets what was read ahead: of that, the writer may have cut what it could not write whole.
    pub(super) fn forget_ahead(&mut self) -> io::Result<()> {
        self.frames.forget_ahead()?;
        self.regions.iter_mut().try_for_each(|region| region.frames.forget_ahead())
    }

    /// Opens the payload of the frame that was read last; `None` where its key is gone, or it is kept where this reader
    /// does not look.
    fn open_frame(&mut self) -> Result<Option<(u64, &[u8])>, ReadError> {
        let Some(frame) = self.frames.frame() else { return Ok(None) };
        let (seq, bucket) = (frame.seq, frame.bucket);
        match frame.content {
            Content::Here(sealed) => {
                let length = sealed.len();
                open_payload(&mut self.keys, seq, bucket, self.frames.body_mut(), length)
            }
            Content::Elsewhere { .. } => {
                for region in &mut self.regions {
                    if region.find(seq)? {
                        return region.open(seq, bucket);
                    }
                }
                Ok(None)
            }
        }
    }
}

impl Regional {
    fn new(dir: &Path, from_seq: u64) -> Self {
        Self { frames: Frames::new(dir, from_seq), keys: KeyReader::of(dir), at: 0, from: 0 }
    }

    /// Goes to the frame of record `seq`; false where the directory has none.
    fn find(&mut self, seq: u64) -> Result<bool, ReadError> {
        if self.at != 0 && (self.from..=self.at).contains(&seq) {
            return Ok(self.at == seq);
        }
        if self.frames.next_seq() > seq {
            // Single records are asked for in any order.
            self.frames.restart(seq);
        }
        self.frames.skip_to(seq);
        match self.frames.advance().map_err(|error| damaged(seq, error))? {
            Step::Frame(_) => self.at = self.frames.frame().map_or(0, |frame| frame.seq),
            Step::End { .. } => self.at = 0,
        }
        self.from = seq;
        Ok(self.at == seq)
    }

    fn open(&mut self, seq: u64, bucket: u32) -> Result<Option<(u64, &[u8])>, ReadError> {
        let length = match self.frames.frame().map(|frame| frame.content) {
            Some(Content::Here(sealed)) => sealed.len(),
            Some(Content::Elsewhere { .. }) | None => return Ok(None),
        };
        // Opened in place, so that it is not there to be opened again.
        self.at = 0;
        open_payload(&mut self.keys, seq, bucket, self.frames.body_mut(), length)
    }
}

fn open_payload<'a>(
    keys: &mut KeyReader,
    seq: u64,
    bucket: u32,
    body: &'a mut [u8],
    length: usize,
) -> Result<Option<(u64, &'a [u8])>, ReadError> {
    let Some(key) = keys.record_key(bucket, seq)? else { return Ok(None) };
    let start = body.len().saturating_sub(length);
    let opened = key.open(seq, bucket, body.get_mut(start..).unwrap_or_default());
    let what = || ReadError::Damaged { seq, what: "its payload is not what was sealed".to_owned() };
    opened.map(|canonical| Some((seq, canonical))).ok_or_else(what)
}

/// Reads the one frame at `place` into `body`.
fn read_frame_at(file: &File, place: Location, body: &mut Vec<u8>) -> Result<(), ReadError> {
    let what = || ReadError::Damaged { seq: place.segment, what: format!("there is no frame at {}", place.offset) };
    let mut prefix = [0; PREFIX_BYTES];
    file.read_exact_at(&mut prefix, place.offset)?;
    let prefix = Prefix::parse(prefix).ok_or_else(what)?;
    body.resize(prefix.length, 0);
    file.read_exact_at(body, place.offset + PREFIX_BYTES as u64)?;
    if prefix.fits(body) && Frame::parse(body).is_some() { Ok(()) } else { Err(what()) }
}

pub(super) fn entry(seq: u64, canonical: Vec<u8>) -> Result<Entry, ReadError> {
    let damaged = |what: String| ReadError::Damaged { seq, what };
    let record = canonical::parse(&canonical).map_err(|error| damaged(error.to_string()))?;
    if record.seq != seq {
        return Err(damaged(format!("it says that it is record {}", record.seq)));
    }
    Ok(Entry { record, canonical })
}

fn damaged(seq: u64, error: FrameError) -> ReadError {
    match error {
        FrameError::Io(error) => ReadError::Io(error),
        FrameError::Damaged { at: _, what } => ReadError::Damaged { seq, what: what.to_owned() },
    }
}
