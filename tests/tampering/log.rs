//! A closed journal to be tampered with, taken apart.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pgward::access::SessionId;
use pgward::audit::{Durability, Event, Journal, Record, RecordedVerdict, Settings};
use pgward::tlog::Verifier;

pub struct Log {
    _holder: tempfile::TempDir,
    dir: PathBuf,
    pub verifier: Verifier,
    pub records: u64,
    pub segments: Vec<Segment>,
}

/// A header or a frame.
pub struct Piece {
    /// The header speaks for the first record.
    pub seq: u64,
    pub bytes: Vec<u8>,
}

pub struct Segment {
    pub path: PathBuf,
    pub pieces: Vec<Piece>,
}

impl Log {
    pub fn make(records: u64) -> Self {
        let holder = tempfile::tempdir().unwrap();
        let dir = holder.path().join("audit");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let verifier = runtime.block_on(fill(&dir, records));
        let mut segments: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        segments.sort();
        let segments: Vec<Segment> = segments.into_iter().map(take_apart).collect();
        let records = segments.last().unwrap().pieces.last().unwrap().seq;
        Self { _holder: holder, dir, verifier, records, segments }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every file that the journal rests on.
    pub fn files(&self) -> Vec<PathBuf> {
        let (mut folders, mut files) = (vec![self.dir.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                // An index is derived; the lock is empty; the reserve is a megabyte of one byte; who is given the log's
                // verifier key asks nobody else for it. How far tiles are on disk, and the file that the next checkpoint is written
                // into, are the writer's own.
                let others = ["lock", "reserve", "log.vkey", "index", "tiles.settled", "checkpoint.new"];
                let is_proof = !others.iter().any(|name| path.ends_with(name));
                if path.is_dir() && is_proof {
                    folders.push(path);
                } else if path.is_file() && is_proof {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }

    /// The record that a byte of a segment belongs to; `None` for other files.
    pub fn record_at(&self, file: &Path, place: usize) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| segment.path == file)?;
        let mut end = 0;
        segment.pieces.iter().find_map(|piece| {
            end += piece.bytes.len();
            (place < end).then_some(piece.seq)
        })
    }
}

async fn fill(dir: &Path, records: u64) -> Verifier {
    let journal = Journal::open(Settings::new(dir.to_owned(), Durability::Written)).unwrap();
    for number in 1..records.saturating_sub(1) {
        let mut record = Record::new(Timestamp::now(), Event::Statement);
        record.session = Some(SessionId::from_text(format!("se_{}", number % 7)));
        record.statement = Some(format!("select {number}"));
        record.verdict = Some(RecordedVerdict::Deny);
        journal.record(record).await.unwrap();
    }
    journal.close().await.unwrap();
    journal.verifier().clone()
}

fn take_apart(path: PathBuf) -> Segment {
    let bytes = fs::read(&path).unwrap();
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let first = std::str::from_utf8(&bytes[..header]).unwrap().trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    let mut pieces = vec![Piece { seq: first, bytes: bytes[..header].to_vec() }];
    let mut rest = &bytes[header..];
    while let Some((length, _)) = rest.split_first_chunk::<4>() {
        let (frame, after) = rest.split_at(8 + usize::try_from(u32::from_be_bytes(*length)).unwrap());
        pieces.push(Piece { seq: u64::from_be_bytes(frame[9..17].try_into().unwrap()), bytes: frame.to_vec() });
        rest = after;
    }
    Segment { path, pieces }
}
