//! The writing end of the journal: numbers a batch, seals it, writes it with one write(2) to each directory that it
//! concerns, and puts everything back as it was if that fails. Knows nothing of tasks or threads; the journal holds it behind
//! a mutex.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::JournalError;
use super::canonical::{MAX_RECORD_BYTES, Unnumbered};
use super::frame::{self, OVERHEAD_BYTES};
use super::handover::{Fresh, Handover};
use super::keys::{Bucket, KeyDirectory, OpenBuckets};
use super::medium::Appendable;
use super::numbers::Numbers;
use super::reserve::Reserve;
use super::retention::{Shelf, Stretch};
use super::seal::{KeyId, RecordKey, sha256};
use super::stream::{Layout, Stream};
use crate::access::SessionId;

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
    /// What was written may not be on disk, and never come there. It has to be written anew.
    Doubtful(String),
    /// What is on disk is not known any more. Only opening it anew, which verifies it, helps.
    Poisoned(String),
    Closed,
}

/// Where one shelf's payloads and keys go.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) shelf: Shelf,
    pub(super) keys: KeyDirectory,
    /// `None` where the payloads lie in the journal's own segments.
    pub(super) stream: Option<Stream>,
}

/// The one writer's state.
#[derive(Debug)]
pub(super) struct Appender {
    layout: Layout,
    /// The journal's own directory, with a frame for every record.
    main: Stream,
    /// By shelf.
    places: Vec<Place>,
    buckets: OpenBuckets,
    reserve: Reserve,
    /// Records so far; the last one's `seq`.
    records: u64,
    health: Health,
    /// Why nothing more may be opened or allowed although records could be written: the log does not keep up.
    stalled: Option<String>,
    /// The last `session_seq` of each open session.
    sessions: Sessions,
    /// Ends of statements, which go with what is written next.
    held: Vec<Unnumbered>,
    /// What the log is to take up.
    handover: Handover,
    /// Of the batch that is being written: where the frames begin in the journal's own, and the id of each record's key.
    frames_from: usize,
    key_ids: Vec<KeyId>,
}

/// By the journal's own identifiers, which nobody else makes.
pub(super) type Sessions = HashMap<SessionId, u64, ahash::RandomState>;

/// What an append has written, with the ends that waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    /// The `seq` of the first record that was given.
    pub(super) first_seq: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Appender {
    /// A writer that goes on after `records`.
    pub(super) fn new(
        layout: Layout,
        main: Stream,
        places: Vec<Place>,
        buckets: OpenBuckets,
        reserve: Reserve,
        records: u64,
        handover: Handover,
    ) -> Self {
        let (health, sessions, key_ids) = (Health::Ready, Sessions::default(), Vec::new());
        let frames_from = 0;
        let stalled = None;
        Self {
            layout,
            main,
            places,
            buckets,
            reserve,
            records,
            health,
            stalled,
            sessions,
            held: Vec::new(),
            handover,
            frames_from,
            key_ids,
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Takes what was written since this was called last and is still in memory, and answers how many records there are.
    pub(super) fn take_fresh(&mut self, empty: Fresh) -> (Vec<Fresh>, u64) {
        (self.handover.take(empty), self.records)
    }

    /// Keeps the end of a statement to go with what is written next. Answers how many wait.
    pub(super) fn hold(&mut self, end: Unnumbered) -> usize {
        self.held.push(end);
        self.held.len()
    }

    /// Appends the ends that wait, and behind them the records, all or none of these. They are taken, unless that fails.
    pub(super) fn append(&mut self, records: &mut Vec<Unnumbered>, class: Class) -> Result<Appended, JournalError> {
        let mut batch = std::mem::take(&mut self.held);
        let ends = batch.len();
        batch.append(records);
        let appended = match self.append_batch(&batch, class) {
            Ok(appended) => Ok(Appended { first_seq: appended.first_seq + ends as u64, ..appended }),
            Err(error) if ends == 0 => Err(error),
            Err(_) => self.append_apart(&batch, ends, class),
        };
        if appended.is_err() {
            records.extend(batch.drain(ends..));
        }
        batch.clear();
        self.held = batch;
        appended
    }

    /// Where ends and records could not be written together: each end by itself, so that one whose region's disk fails takes no
    /// other with it, and then the records.
    fn append_apart(&mut self, batch: &[Unnumbered], ends: usize, class: Class) -> Result<Appended, JournalError> {
        let (ends, records) = batch.split_at_checked(ends).unwrap_or_default();
        let mut also = (0, 0);
        for end in ends {
            match self.append_batch(std::slice::from_ref(end), Class::Ending) {
                Ok(appended) => also = (also.0 + appended.records, also.1 + appended.bytes),
                Err(error) => tracing::error!(%error, "the end of a statement could not be recorded"),
            }
        }
        let appended = self.append_batch(records, class)?;
        Ok(Appended { records: appended.records + also.0, bytes: appended.bytes + also.1, ..appended })
    }

    fn append_batch(&mut self, records: &[Unnumbered], class: Class) -> Result<Appended, JournalError> {
        let bytes = records.iter().map(|record| record.len() as u64).sum();
        let appended = |first_seq| Appended { first_seq, records: records.len() as u64, bytes };
        if records.is_empty() {
            return Ok(appended(self.records + 1));
        }
        self.prepare(class)?;
        match self.try_append(records, class) {
            Ok(first_seq) => {
                self.health = Health::Ready;
                Ok(appended(first_seq))
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
        let checked = self.streams().try_for_each(|stream| stream.check());
        checked.map_err(|why| {
            self.health = Health::Poisoned(why.clone());
            JournalError(why)
        })
    }

    /// The files to bring to disk so that all records up to the returned `seq` are there.
    pub(super) fn unsynced(&mut self) -> (Vec<Arc<dyn Appendable>>, u64) {
        let files = self.streams().flat_map(Stream::unsynced).collect();
        (files, self.records)
    }

    /// Whether a segment was finished and waits to be brought to disk.
    pub(super) fn has_finished_segment(&self) -> bool {
        self.main.has_finished_segment()
    }

    /// What [`Self::unsynced`] handed out is on disk.
    pub(super) fn confirm(&mut self) {
        self.streams().for_each(Stream::confirm);
    }

    /// Takes no more records: a failed fdatasync(2) leaves unknown what the disk holds.
    pub(super) fn doubt(&mut self, message: String) {
        match self.health {
            Health::Ready | Health::Failed | Health::Torn | Health::Doubtful(_) => {
                self.health = Health::Doubtful(message);
            }
            Health::Poisoned(_) | Health::Closed => {}
        }
    }

    /// Writes anew what may not be on disk; records can be made again then. Answers the last record's `seq`.
    pub(super) fn heal(&mut self) -> io::Result<u64> {
        if matches!(self.health, Health::Doubtful(_)) {
            self.streams().try_for_each(Stream::heal)?;
            self.health = Health::Torn;
        }
        Ok(self.records)
    }

    /// Opens and allows nothing more until the log keeps up again.
    pub(super) fn stall(&mut self, why: Option<String>) {
        self.stalled = why;
    }

    /// Takes no more records; answers the last one's `seq`.
    pub(super) fn stop(&mut self) -> u64 {
        self.health = Health::Closed;
        self.records
    }

    /// Lets another writer have the directories.
    pub(super) fn close(&mut self) {
        self.streams().for_each(Stream::close);
    }

    /// Seals nothing more under the keys of these buckets: they are about to be destroyed.
    pub(super) fn forget_buckets(&mut self, numbers: &[u32]) {
        self.buckets.forget(numbers);
    }

    /// Sees to it that the files end with a whole frame, and that the reserve stands before anything is opened or allowed.
    fn prepare(&mut self, class: Class) -> Result<(), JournalError> {
        match &self.health {
            Health::Ready | Health::Failed => {}
            Health::Torn => {
                self.cut_tails().map_err(failed)?;
                self.health = Health::Failed;
            }
            Health::Doubtful(why) | Health::Poisoned(why) => return Err(JournalError(why.clone())),
            Health::Closed => return Err(JournalError("it is closed".to_owned())),
        }
        match (class, &self.stalled) {
            (Class::Opening, Some(why)) => Err(JournalError(why.clone())),
            (Class::Opening, None) => self.reserve.ensure().map_err(failed),
            (Class::Ending, _) => Ok(()),
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
        let first_seq = self.records + 1;
        let mut numbers = Numbers::default();
        let built = self.build(records, first_seq, &mut numbers);
        // The payloads that are kept elsewhere come first: the journal's frame says that they are there.
        let written = built.and_then(|()| {
            self.places.iter().filter_map(|place| place.stream.as_ref()).try_for_each(Stream::write)?;
            self.main.write()
        });
        if let Err(error) = written {
            if let Err(cut) = self.cut_tails() {
                self.health = Health::Torn;
                let both = format!("{error}; and the piece that was written could not be cut: {cut}");
                return Err(io::Error::new(error.kind(), both));
            }
            return Err(error);
        }
        let frames = self.main.batch().get(self.frames_from..).unwrap_or_default();
        self.handover.add(first_seq, frames, &self.key_ids);
        self.streams().for_each(Stream::keep);
        self.records += records.len() as u64;
        numbers.commit(&mut self.sessions);
        Ok(first_seq)
    }

    /// Puts the records' frames into the batches of the streams.
    fn build<'a>(&mut self, records: &'a [Unnumbered], first_seq: u64, numbers: &mut Numbers<'a>) -> io::Result<()> {
        self.begin(records, first_seq)?;
        self.key_ids.clear();
        self.frames_from = self.main.batch().len();
        for (record, seq) in records.iter().zip(first_seq..) {
            let session_seq = numbers.next(&self.sessions, record);
            let (bucket, key) = self.key_for(record, seq)?;
            let elsewhere = self.places.get_mut(record.shelf()).and_then(|place| place.stream.as_mut());
            let is_elsewhere = elsewhere.is_some();
            let out = elsewhere.map_or_else(|| self.main.batch(), Stream::batch);
            let start = frame::begin(true, seq, bucket, out);
            let payload = out.len();
            record.number_into(seq, session_seq, out);
            key.seal(seq, bucket, out, payload)?;
            frame::end(start, out);
            let key_id = key.id();
            self.key_ids.push(key_id);
            if is_elsewhere {
                let digest = sha256(out.get(payload..).unwrap_or_default());
                let main = self.main.batch();
                let start = frame::begin(false, seq, bucket, main);
                main.extend_from_slice(&digest);
                main.extend_from_slice(&key_id);
                frame::end(start, main);
            }
        }
        Ok(())
    }

    /// Begins the batch of every stream that a record goes to; the others' batches are left empty.
    fn begin(&mut self, records: &[Unnumbered], first_seq: u64) -> io::Result<()> {
        self.streams().for_each(|stream| stream.batch().clear());
        // Two numbers of at most twenty digits stand where one digit stands now.
        let bytes = |record: &Unnumbered| (record.len() + OVERHEAD_BYTES + 38) as u64;
        for (index, place) in self.places.iter_mut().enumerate() {
            let Some(stream) = &mut place.stream else { continue };
            let mut here = records.iter().zip(first_seq..).filter(|(record, _)| record.shelf() == index).peekable();
            if let Some((_, seq)) = here.peek().copied() {
                stream.begin(&self.layout, seq, here.map(|(record, _)| bytes(record)).sum())?;
            }
        }
        self.main.begin(&self.layout, first_seq, records.iter().map(bytes).sum())
    }

    /// The bucket that a record belongs to, and the record's own key. Makes the bucket if it is a new stretch's first record.
    fn key_for(&mut self, record: &Unnumbered, seq: u64) -> io::Result<(u32, RecordKey)> {
        let (shelf, kind, time) = (record.shelf(), record.kind(), record.time());
        let place = self.places.get(shelf).ok_or(io::ErrorKind::NotFound)?;
        self.buckets.choose(shelf, kind, time, seq, |number| {
            let stretch = Stretch::holding(time, place.shelf.retention.of(kind));
            let bucket = Bucket::new(number, place.shelf.region.clone(), kind, stretch)?;
            place.keys.write(&bucket)?;
            Ok(bucket)
        })
    }

    fn cut_tails(&mut self) -> io::Result<()> {
        self.streams().try_for_each(|stream| stream.cut_tail())
    }

    fn streams(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.places.iter_mut().filter_map(|place| place.stream.as_mut()).chain([&mut self.main])
    }
}

// One batch is one write(2), which takes at most 2 GiB.
const _: () = assert!(MAX_RECORD_BYTES < 0x7fff_f000);

fn failed(error: io::Error) -> JournalError {
    JournalError(error.to_string())
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
