//! The journal as a whole, on real files and on disks that fill up and break.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod apart;
mod disk;
mod finding;
mod keeping;
mod reading;
mod tamper;
mod turn;
mod writing;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::journal::Tuning;
use super::medium::Directory;
use super::*;
use crate::access::{GrantId, Operation, SessionId};
use crate::policy::Permit;

fn settings(dir: &Path, durability: Durability) -> Settings {
    Settings { signing_key: dir.join("signing.key"), ..Settings::new(dir.to_owned(), durability) }
}

fn open(dir: &Path) -> Arc<Journal> {
    Journal::open(settings(dir, Durability::Written)).unwrap()
}

/// A journal whose segments are so small that there are many.
fn open_small(dir: &Path) -> Arc<Journal> {
    let tuning = Tuning { segment_bytes: 4096, ..Tuning::default() };
    let medium = Directory::lock(dir).unwrap();
    Journal::open_on(settings(dir, Durability::Written), Box::new(medium), tuning).unwrap()
}

fn event(event: Event) -> Record {
    Record::new(Timestamp::UNIX_EPOCH, event)
}

fn permit() -> Permit {
    Permit::for_test(GrantId::from_text("gr_1"), Some(10))
}

/// Record `number` of session `session`.
fn of_session(session: &str, number: u64, what: Event) -> Record {
    let mut record = event(what);
    record.session = Some(SessionId::from_text(session));
    record.session_seq = Some(number);
    record.principal = Some("alice".to_owned());
    record.database = Some("shop".to_owned());
    record
}

fn statement(session: &str, number: u64, text: &str) -> Record {
    let mut record = of_session(session, number, Event::Statement);
    record.statement = Some(text.to_owned());
    record.fingerprint = Some(format!("fp{}", text.len()));
    record.verdict = Some(RecordedVerdict::Allow);
    record.relations = vec![RecordedRelation {
        name: "public.orders".to_owned(),
        operation: Operation::Select,
        columns: vec!["id".to_owned()],
    }];
    record
}

fn end(session: &str, number: u64, statement_seq: u64) -> Record {
    let mut record = of_session(session, number, Event::StatementEnd);
    record.statement_seq = Some(statement_seq);
    record.rows = Some(1);
    record.ended_by = Some(EndedBy::Completed);
    record
}

/// Writes sessions with statements until the journal holds `records` records.
async fn fill(journal: &Journal, records: u64) {
    let mut session = 0;
    while *journal.head().borrow() < records {
        session += 1;
        let id = format!("se_{session}");
        let mut number = 0;
        let mut next = || {
            number += 1;
            number
        };
        let left = || records - *journal.head().borrow();
        journal.record(of_session(&id, next(), Event::SessionOpen)).await.unwrap();
        for _ in 0..3 {
            if left() < 2 {
                break;
            }
            let text = format!("select id from orders where id = {session}");
            let receipts = journal.admit(vec![(permit(), statement(&id, next(), &text))]).await.unwrap();
            journal.record(end(&id, next(), receipts[0].seq())).await.unwrap();
        }
        if left() > 0 {
            journal.record(of_session(&id, next(), Event::SessionClose)).await.unwrap();
        }
    }
}

/// The pieces of the one segment in `dir`: its header, then its frames.
fn pieces(dir: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(only_segment(dir)).unwrap();
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (header, mut rest) = bytes.split_at(header);
    let mut pieces = vec![header.to_vec()];
    while let Some(prefix) = rest.first_chunk() {
        let length = frame::PREFIX_BYTES + frame::Prefix::parse(*prefix).unwrap().length;
        let (piece, after) = rest.split_at(length);
        pieces.push(piece.to_vec());
        rest = after;
    }
    assert!(rest.is_empty());
    pieces
}

fn only_segment(dir: &Path) -> std::path::PathBuf {
    let segments = segment::Segment::list(dir).unwrap();
    assert_eq!(segments.len(), 1);
    segments[0].path.clone()
}

/// What a report says of a journal's soundness, apart from what it counts.
fn brief(report: Report) -> Report {
    Report { signed: 0, erased: 0, unread: 0, ..report }
}

fn verify(places: impl Into<Places>) -> Report {
    brief(super::verify(places))
}

fn good(records: u64) -> Report {
    Report { ok: true, records, ..Report::default() }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Writes a journal of these records as they are, signed: what a writer with a fault could leave.
fn write_raw(dir: &Path, records: Vec<Record>) {
    let journal_id = "0123456789abcdef0123456789abcdef".to_owned();
    let directory = keys::KeyDirectory::of(dir);
    let stretch = retention::Stretch::holding(Timestamp::UNIX_EPOCH, std::time::Duration::MAX);
    let bucket = keys::Bucket::new(1, None, Kind::Statement, stretch).unwrap();
    directory.write(&bucket).unwrap();
    let mut bytes = segment::Header { journal_id: journal_id.clone(), first_seq: 1 }.render().into_bytes();
    let mut tiles = crate::tlog::TileWriter::open(dir, 0).unwrap();
    for (mut record, seq) in records.into_iter().zip(1..) {
        record.seq = seq;
        if record.event == Event::JournalOpened {
            record.detail = Some(format!("journal {journal_id}"));
        }
        let key = bucket.record_key(seq).unwrap();
        let start = frame::begin(true, seq, 1, &mut bytes);
        let payload = bytes.len();
        bytes.extend_from_slice(canonical::to_string(&record).as_bytes());
        key.seal(seq, 1, &mut bytes, payload).unwrap();
        frame::end(start, &mut bytes);
        tiles.push(&frame::entry(seq, 1, &seal::sha256(&bytes[payload..]), &key.id()));
    }
    std::fs::write(segment::Segment::of(dir, 1).path, bytes).unwrap();
    tiles.flush(false).unwrap();
    let signing = signing::Signing::load(&dir.join("signing.key"), "raw", false).unwrap();
    let (origin, size, root) = (signing.origin(), tiles.size(), tiles.root());
    let note = signing.sign(&crate::tlog::Checkpoint { origin, size, root }).unwrap();
    crate::tlog::CheckpointFile::of(dir).put(&note, false).unwrap();
    signing::name_verifier(dir, &signing.verifier()).unwrap();
}
