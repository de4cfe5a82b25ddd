//! The segments of one directory as they are written: a batch of frames goes to the open segment in one write(2), and what
//! could not be written whole is cut again.

use std::io;
use std::sync::Arc;

use super::medium::{Appendable, Medium};
use super::segment::Header;

/// The writing end of one directory.
#[derive(Debug)]
pub(super) struct Stream {
    /// Holds the directory's lock; given up when the journal is closed.
    medium: Option<Box<dyn Medium>>,
    open: Option<Open>,
    /// Frames that go to the file next; kept to be used again.
    batch: Vec<u8>,
    /// The open segment has bytes that may not be on disk.
    unsynced: bool,
    /// Segments from this one on were handed out to be brought to disk, and nobody said yet that they are there.
    doubtful_from: Option<u64>,
    /// Segments with such bytes, but for the open one.
    finished: Vec<(u64, Arc<dyn Appendable>)>,
}

#[derive(Debug)]
struct Open {
    file: Arc<dyn Appendable>,
    first_seq: u64,
    /// Whole frames and the header, in bytes. Zero: the header is still to be written.
    length: u64,
}

/// How a journal's segments are begun.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) journal_id: String,
    pub(super) segment_bytes: u64,
}

impl Stream {
    /// Goes on in the segment that begins with `segment` (its first `seq` and its length).
    pub(super) fn new(medium: Box<dyn Medium>, segment: Option<(u64, u64)>) -> io::Result<Self> {
        let open = match segment {
            Some((first_seq, length)) => Some(Open { file: medium.reopen(first_seq)?, first_seq, length }),
            None => None,
        };
        Ok(Self {
            medium: Some(medium),
            open,
            batch: Vec::new(),
            unsynced: true,
            doubtful_from: None,
            finished: Vec::new(),
        })
    }

    /// Begins a batch of about `bytes` whose first record is `seq`, in a new segment where the open one is full.
    pub(super) fn begin(&mut self, layout: &Layout, seq: u64, bytes: u64) -> io::Result<()> {
        self.batch.clear();
        let takes = |open: &Open| match open.length {
            0 => open.first_seq == seq,
            length => length + bytes <= layout.segment_bytes,
        };
        if !self.open.as_ref().is_some_and(takes) {
            let medium = self.medium.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            // A batch that failed left an empty segment behind that now begins with another record.
            if let Some(empty) = self.open.take_if(|open| open.length == 0) {
                medium.remove(empty.first_seq)?;
            }
            let opened = Open { file: medium.create(seq)?, first_seq: seq, length: 0 };
            if let Some(finished) = self.open.replace(opened).filter(|_| self.unsynced) {
                self.finished.push((finished.first_seq, finished.file));
            }
            self.unsynced = false;
        }
        if self.open.as_ref().is_some_and(|open| open.length == 0) {
            let header = Header { journal_id: layout.journal_id.clone(), first_seq: seq };
            self.batch.extend_from_slice(header.render().as_bytes());
        }
        Ok(())
    }

    /// Where the frames of the batch are put.
    pub(super) fn batch(&mut self) -> &mut Vec<u8> {
        &mut self.batch
    }

    /// Writes the batch. It counts only once it is [kept](Self::keep).
    pub(super) fn write(&self) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let written = open.file.append(&self.batch)?;
        if written == self.batch.len() {
            return Ok(());
        }
        // The kernel takes less than it is given where space ends, or a limit on the file's size.
        let expected = self.batch.len();
        Err(io::Error::new(io::ErrorKind::StorageFull, format!("only {written} of {expected} bytes could be written")))
    }

    /// Counts the batch as written.
    pub(super) fn keep(&mut self) {
        if let Some(open) = &mut self.open {
            open.length += self.batch.len() as u64;
        }
        self.unsynced |= !self.batch.is_empty();
        self.batch.clear();
        // One huge statement must not hold its memory for ever.
        if self.batch.capacity() > KEPT_BUFFER_BYTES {
            self.batch = Vec::new();
        }
    }

    /// Sees to it that the file ends with what was kept.
    pub(super) fn cut_tail(&self) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        if open.file.length()? == open.length {
            return Ok(());
        }
        open.file.cut(open.length)?;
        if open.file.length()? == open.length {
            Ok(())
        } else {
            Err(io::Error::other("the file did not take the length it was cut to"))
        }
    }

    /// Whether the open segment is as it was left. If another hand was at it, what is written there may prove nothing.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(open) = &self.open else { return Ok(()) };
        let length = open.file.length().map_err(|error| error.to_string())?;
        if length == open.length {
            return Ok(());
        }
        let written = open.length;
        Err(format!("the segment has {length} bytes where {written} were written"))
    }

    /// The files to bring to disk so that all that was kept is there. Whoever asks brings them there, and then
    /// [says so](Self::confirm).
    pub(super) fn unsynced(&mut self) -> Vec<Arc<dyn Appendable>> {
        let finished = std::mem::take(&mut self.finished);
        let first = finished.first().map(|(first_seq, _)| *first_seq);
        let mut files: Vec<_> = finished.into_iter().map(|(_, file)| file).collect();
        let open = self.open.as_ref().filter(|_| std::mem::take(&mut self.unsynced));
        files.extend(open.map(|open| Arc::clone(&open.file)));
        self.doubtful_from = self.doubtful_from.or(first).or(open.map(|open| open.first_seq));
        files
    }

    /// What was handed out is on disk.
    pub(super) fn confirm(&mut self) {
        self.doubtful_from = None;
    }

    /// Writes the segments that may not be on disk anew, from what can be read of them, and brings that there. After a
    /// failed fdatasync(2) the kernel may call pages clean that never arrived: only other ones can be trusted.
    pub(super) fn heal(&mut self) -> io::Result<()> {
        let finished = self.finished.first().map(|(first_seq, _)| *first_seq);
        let open = self.open.as_ref().filter(|open| self.unsynced && open.length > 0).map(|open| open.first_seq);
        let from = self.doubtful_from.or(finished).or(open);
        let (Some(medium), Some(from)) = (&self.medium, from) else { return Ok(()) };
        for first_seq in medium.segments()?.into_iter().filter(|first_seq| *first_seq >= from) {
            match self.open.as_mut().filter(|open| open.first_seq == first_seq) {
                Some(open) => open.file = medium.rewrite(first_seq, Some(open.length))?,
                None => drop(medium.rewrite(first_seq, None)?),
            }
        }
        self.finished.clear();
        self.unsynced = false;
        self.confirm();
        Ok(())
    }

    /// Whether a segment was finished and waits to be brought to disk.
    pub(super) fn has_finished_segment(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Lets another writer have the directory.
    pub(super) fn close(&mut self) {
        self.medium = None;
        self.open = None;
    }
}

const KEPT_BUFFER_BYTES: usize = 1024 * 1024;
