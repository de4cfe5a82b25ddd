//! The writing end of the chain: numbers a batch, chains it, writes it with one write(2), and puts everything back as it
//! was if that fails. Knows nothing of tasks or threads; the journal holds it behind a mutex.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::JournalError;
use super::canonical::{MAX_RECORD_BYTES, Phase, Unnumbered};
use super::chain::Head;
use super::medium::{Appendable, Medium};
use super::reserve::Reserve;
use super::segment::{Header, LINE_PREFIX, push_line};
use crate::access::SessionId;

/// Where the chain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) journal_id: String,
    /// Records so far; the last one's `seq`.
    pub(super) records: u64,
    pub(super) head: Head,
}

/// Whether a record may use the last of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It opens or allows something: only with space to spare.
    Opening,
    /// It refuses or ends something: as long as there is any space.
    Ending,
}

/// What became of the writer.
#[derive(Debug)]
enum Health {
    Ready,
    /// The last batch failed and left nothing behind; the next may succeed.
    Failed,
    /// The last batch failed and may have left a piece behind that must be cut first.
    Torn,
    /// What is on disk is not known any more. Only opening it anew, which verifies it, helps.
    Poisoned(String),
    Closed,
}

#[derive(Debug)]
struct Open {
    file: Arc<dyn Appendable>,
    first_seq: u64,
    /// Whole lines, in bytes. Zero: the header is still to be written.
    length: u64,
}

/// The one writer's state.
#[derive(Debug)]
pub(super) struct Appender {
    /// Holds the directory's lock; given up when the journal is closed.
    medium: Option<Box<dyn Medium>>,
    reserve: Reserve,
    segment: Option<Open>,
    segment_bytes: u64,
    position: Position,
    health: Health,
    /// The last `session_seq` of each open session.
    sessions: HashMap<SessionId, u64>,
    /// Segments with bytes that may not be on disk, but for the open one.
    finished: Vec<Arc<dyn Appendable>>,
    /// The batch as it goes to the file, and one record's canonical bytes; kept to be used again.
    batch: Vec<u8>,
    canonical: Vec<u8>,
}

impl Appender {
    /// A writer that goes on at `position`, in the segment that begins with `segment` (its first `seq` and its length).
    pub(super) fn new(
        medium: Box<dyn Medium>,
        reserve: Reserve,
        position: Position,
        segment: Option<(u64, u64)>,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        let segment = match segment {
            Some((first_seq, length)) => Some(Open { file: medium.reopen(first_seq)?, first_seq, length }),
            None => None,
        };
        Ok(Self {
            medium: Some(medium),
            reserve,
            segment,
            segment_bytes,
            position,
            health: Health::Ready,
            sessions: HashMap::new(),
            finished: Vec::new(),
            batch: Vec::new(),
            canonical: Vec::new(),
        })
    }

    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// Appends the records, all or none, and answers the first one's `seq`.
    pub(super) fn append(&mut self, records: &[Unnumbered], class: Class) -> Result<u64, JournalError> {
        self.prepare(class)?;
        match self.try_append(records, class) {
            Ok(first_seq) => {
                self.health = Health::Ready;
                Ok(first_seq)
            }
            Err(error) => {
                if !matches!(self.health, Health::Torn) {
                    self.health = Health::Failed;
                }
                Err(failed(error))
            }
        }
    }

    /// Whether a record that opens something could be appended now. Tries to get there.
    pub(super) fn check(&mut self) -> Result<(), JournalError> {
        self.prepare(Class::Opening)?;
        if let Health::Failed = self.health {
            self.reserve.probe().map_err(failed)?;
            self.health = Health::Ready;
        }
        self.check_file().inspect_err(|error| self.health = Health::Poisoned(error.0.clone()))
    }

    /// Whether the open segment is as it was left. If another hand was at it, what is written there may prove nothing.
    fn check_file(&self) -> Result<(), JournalError> {
        let Some(segment) = &self.segment else { return Ok(()) };
        let length = segment.file.length().map_err(failed)?;
        if length != segment.length {
            let written = segment.length;
            return Err(JournalError(format!("the segment has {length} bytes where {written} were written")));
        }
        Ok(())
    }

    /// The files to bring to disk so that all records up to the returned `seq` are there.
    pub(super) fn unsynced(&mut self) -> (Vec<Arc<dyn Appendable>>, u64) {
        let mut files = std::mem::take(&mut self.finished);
        files.extend(self.segment.as_ref().map(|segment| Arc::clone(&segment.file)));
        (files, self.position.records)
    }

    /// Whether a segment was finished and waits to be brought to disk.
    pub(super) fn has_finished_segment(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Takes no more records: a failed fdatasync(2) leaves unknown what the disk holds.
    pub(super) fn poison(&mut self, message: String) {
        self.health = Health::Poisoned(message);
    }

    /// Takes no more records, and lets another writer have the directory.
    pub(super) fn close(&mut self) {
        self.health = Health::Closed;
        self.medium = None;
        self.segment = None;
    }

    /// Sees to it that the file ends with a whole line, and that the reserve stands before anything is opened or allowed.
    fn prepare(&mut self, class: Class) -> Result<(), JournalError> {
        match &self.health {
            Health::Ready | Health::Failed => {}
            Health::Torn => {
                self.cut_tail().map_err(failed)?;
                self.health = Health::Failed;
            }
            Health::Poisoned(why) => return Err(JournalError(why.clone())),
            Health::Closed => return Err(JournalError("it is closed".to_owned())),
        }
        match class {
            Class::Opening => self.reserve.ensure().map_err(failed),
            Class::Ending => Ok(()),
        }
    }

    fn try_append(&mut self, records: &[Unnumbered], class: Class) -> io::Result<u64> {
        match self.append_once(records) {
            Err(error)
                if class == Class::Ending
                    && is_no_space(&error)
                    && !matches!(self.health, Health::Torn)
                    && self.reserve.release() =>
            {
                self.append_once(records)
            }
            done => done,
        }
    }

    fn append_once(&mut self, records: &[Unnumbered]) -> io::Result<u64> {
        // A head, a space, a newline, and twice at most twenty digits in place of one.
        let bytes: usize = records.iter().map(|record| record.len() + LINE_PREFIX + 39).sum();
        let (file, length) = self.segment_for(bytes as u64)?;
        self.batch.clear();
        let first_seq = self.position.records + 1;
        if length == 0 {
            let journal_id = self.position.journal_id.clone();
            let header = Header { journal_id, first_seq, before: self.position.head };
            self.batch.extend_from_slice(header.render().as_bytes());
            self.batch.push(b'\n');
        }
        let mut seq = self.position.records;
        let mut head = self.position.head;
        let mut numbers = Numbers::default();
        for record in records {
            seq += 1;
            self.canonical.clear();
            record.number_into(seq, numbers.next(&self.sessions, record), &mut self.canonical);
            head = head.after(&self.canonical);
            push_line(head, &self.canonical, &mut self.batch);
        }
        let written = self.write(&*file);
        if let Err(error) = written {
            if let Err(cut) = self.cut_tail() {
                self.health = Health::Torn;
                let both = format!("{error}; and the piece that was written could not be cut: {cut}");
                return Err(io::Error::new(error.kind(), both));
            }
            return Err(error);
        }
        if let Some(segment) = &mut self.segment {
            segment.length += self.batch.len() as u64;
        }
        self.position.records = seq;
        self.position.head = head;
        numbers.commit(&mut self.sessions);
        self.shrink();
        Ok(first_seq)
    }

    fn write(&self, file: &dyn Appendable) -> io::Result<()> {
        let written = file.append(&self.batch)?;
        if written == self.batch.len() {
            return Ok(());
        }
        // The kernel takes less than it is given where space ends, or a limit on the file's size.
        let expected = self.batch.len();
        Err(io::Error::new(io::ErrorKind::StorageFull, format!("only {written} of {expected} bytes could be written")))
    }

    /// The segment that takes `bytes` more, and its length: the open one, or a new one.
    fn segment_for(&mut self, bytes: u64) -> io::Result<(Arc<dyn Appendable>, u64)> {
        let next_seq = self.position.records + 1;
        if let Some(segment) = &self.segment
            && (segment.first_seq == next_seq || segment.length + bytes <= self.segment_bytes)
        {
            return Ok((Arc::clone(&segment.file), segment.length));
        }
        let medium = self.medium.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let file = medium.create(next_seq)?;
        let opened = Open { file: Arc::clone(&file), first_seq: next_seq, length: 0 };
        self.finished.extend(self.segment.replace(opened).map(|finished| finished.file));
        Ok((file, 0))
    }

    fn cut_tail(&self) -> io::Result<()> {
        let Some(segment) = &self.segment else { return Ok(()) };
        segment.file.cut(segment.length)?;
        if segment.file.length()? == segment.length {
            Ok(())
        } else {
            Err(io::Error::other("the file did not take the length it was cut to"))
        }
    }

    /// One huge statement must not hold its memory for ever.
    fn shrink(&mut self) {
        if self.batch.capacity() > KEPT_BUFFER_BYTES {
            self.batch = Vec::new();
        }
        if self.canonical.capacity() > KEPT_BUFFER_BYTES {
            self.canonical = Vec::new();
        }
    }
}

/// What a batch changes in the numbering of sessions, once it is written.
#[derive(Default)]
struct Numbers<'a> {
    /// The last number of each session in the batch; `None` where the session ended.
    last: Vec<(&'a SessionId, Option<u64>)>,
}

impl<'a> Numbers<'a> {
    /// The record's `session_seq`: none without a session, or for one that was not opened or has ended.
    fn next(&mut self, sessions: &HashMap<SessionId, u64>, record: &'a Unnumbered) -> Option<u64> {
        let (id, phase) = record.session()?;
        let here = self.last.iter_mut().find(|(session, _)| *session == id);
        let last = here.as_ref().map_or_else(|| sessions.get(id).copied(), |(_, last)| *last);
        let (number, left) = match (phase, last) {
            (Phase::Begins, None) => (1, Some(1)),
            (Phase::Begins | Phase::GoesOn, Some(last)) => (last + 1, Some(last + 1)),
            (Phase::GoesOn, None) => return None,
            (Phase::Ends, last) => (last.unwrap_or_default() + 1, None),
        };
        match here {
            Some(here) => here.1 = left,
            None => self.last.push((id, left)),
        }
        Some(number)
    }

    fn commit(self, sessions: &mut HashMap<SessionId, u64>) {
        for (id, last) in self.last {
            match (sessions.get_mut(id), last) {
                (Some(known), Some(last)) => *known = last,
                (None, Some(last)) => drop(sessions.insert(id.clone(), last)),
                (_, None) => drop(sessions.remove(id)),
            }
        }
    }
}

const KEPT_BUFFER_BYTES: usize = 1024 * 1024;

// One batch is one write(2), which takes at most 2 GiB.
const _: () = assert!(MAX_RECORD_BYTES < 0x7fff_f000);

fn failed(error: io::Error) -> JournalError {
    JournalError(error.to_string())
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
