//! The journal as a whole, on real files and on disks that fill up and break.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod disk;
mod finding;
mod reading;
mod tamper;
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
    Settings { dir: dir.to_owned(), durability }
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

/// The lines of the one segment in `dir`, header first, with their newlines.
fn lines(dir: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(only_segment(dir)).unwrap();
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn only_segment(dir: &Path) -> std::path::PathBuf {
    let segments = segment::Segment::list(dir).unwrap();
    assert_eq!(segments.len(), 1);
    segments[0].path.clone()
}

fn good(records: u64) -> Report {
    Report { ok: true, records, first_bad: None, problem: None }
}

/// Writes a journal of these records as they are, with a good chain: what a writer with a fault could leave.
fn write_raw(dir: &Path, records: Vec<Record>) {
    let before = Head::genesis("raw");
    let header = segment::Header { journal_id: "raw".to_owned(), first_seq: 1, before };
    let mut bytes = format!("{}\n", header.render()).into_bytes();
    let mut head = before;
    for (record, seq) in records.into_iter().zip(1..) {
        let canonical = canonical::to_string(&Record { seq, ..record });
        head = head.after(canonical.as_bytes());
        segment::push_line(head, canonical.as_bytes(), &mut bytes);
    }
    std::fs::write(segment::Segment::of(dir, 1).path, bytes).unwrap();
}
