//! What an auditor relies on, through the library's public face alone: a journal that was touched is not good any more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pgward::access::SessionId;
use pgward::audit::{
    Durability, Event, Filter, Journal, Record, RecordedVerdict, Settings, search, verify, verify_up_to,
};

fn settings(dir: &Path) -> Settings {
    Settings { dir: dir.to_owned(), durability: Durability::Synced }
}

fn denied(session: &str, text: &str) -> Record {
    let mut record = Record::new(Timestamp::now(), Event::Statement);
    record.session = Some(SessionId::from_text(session));
    record.principal = Some("alice".to_owned());
    record.statement = Some(text.to_owned());
    record.verdict = Some(RecordedVerdict::Deny);
    record
}

/// A closed journal with twenty refused statements.
async fn journal(dir: &Path) -> PathBuf {
    let journal = Journal::open(settings(dir)).unwrap();
    for number in 0..20 {
        journal.record(denied("se_1", &format!("select {number} -- \u{202e}\n"))).await.unwrap();
    }
    journal.close().await.unwrap();
    let mut files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "log")).unwrap()
}

#[tokio::test]
async fn an_edit_with_a_text_editor_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let segment = journal(dir.path()).await;
    let report = verify(dir.path());
    assert_eq!((report.ok, report.records, report.first_bad), (true, 22, None));
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replace("select 7 ", "select 8 ")).unwrap();
    let report = verify(dir.path());
    // The opening is record 1, `select 0` record 2.
    assert_eq!((report.ok, report.records, report.first_bad), (false, 8, Some(9)));
    assert!(Journal::open(settings(dir.path())).is_err());
}

#[tokio::test]
async fn a_journal_that_was_written_anew_does_not_have_the_kept_head() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path()).await;
    let opened = Journal::open(settings(dir.path())).unwrap();
    let kept = opened.position();
    drop(opened);
    assert!(verify_up_to(dir.path(), Some(kept)).ok);
    let other = tempfile::tempdir().unwrap();
    journal(other.path()).await;
    drop(Journal::open(settings(other.path())).unwrap());
    assert!(verify(other.path()).ok);
    assert!(!verify_up_to(other.path(), Some(kept)).ok);
}

#[tokio::test]
async fn what_clients_sent_cannot_leave_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let segment = journal(dir.path()).await;
    let text = fs::read_to_string(&segment).unwrap();
    // A header, the opening, twenty statements, the end.
    assert_eq!(text.lines().count(), 23);
    assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)));
    let found =
        search(dir.path(), &Filter { text: Some("SELECT 19".to_owned()), ..Filter::default() }, |_| true).unwrap();
    assert_eq!(found[0].record.statement.as_deref(), Some("select 19 -- \u{202e}\n"));
}
