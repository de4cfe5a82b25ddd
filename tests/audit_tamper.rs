//! What an auditor relies on, through the library's public face alone: a journal that was touched is not good any more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pgward::access::SessionId;
use pgward::audit::{
    Durability, Event, Expected, Filter, Journal, Record, RecordedVerdict, Settings, search, verify, verify_against,
};

fn settings(dir: &Path) -> Settings {
    Settings { signing_key: dir.join("signing.key"), ..Settings::new(dir.to_owned(), Durability::Synced) }
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
async fn an_edit_of_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let segment = journal(dir.path()).await;
    let report = verify(dir.path());
    assert_eq!((report.ok, report.records, report.signed, report.first_bad), (true, 22, 22, None));
    let bytes = fs::read(&segment).unwrap();
    let mut named = Vec::new();
    for at in (0..bytes.len()).step_by(97) {
        let mut edited = bytes.clone();
        edited[at] ^= 4;
        fs::write(&segment, edited).unwrap();
        let report = verify(dir.path());
        assert!(!report.ok && report.first_bad == Some(report.records + 1), "byte {at}: {report:?}");
        named.push(report.first_bad.unwrap());
        assert!(Journal::open(settings(dir.path())).is_err());
    }
    assert!(named.is_sorted() && named.first() == Some(&1) && *named.last().unwrap() > 20, "{named:?}");
}

#[tokio::test]
async fn a_journal_that_was_written_anew_is_not_the_one_that_was_seen() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path()).await;
    let opened = Journal::open(settings(dir.path())).unwrap();
    let checkpoint = opened.checkpoint().borrow().clone();
    let seen = Expected { verifier: Some(opened.verifier().clone()), checkpoint, records: 23, keys: true };
    drop(opened);
    assert!(verify_against(dir.path(), &seen).ok);
    // Somebody who has the key writes it anew.
    let other = tempfile::tempdir().unwrap();
    fs::copy(dir.path().join("signing.key"), other.path().join("signing.key")).unwrap();
    journal(other.path()).await;
    drop(Journal::open(settings(other.path())).unwrap());
    assert!(verify(other.path()).ok);
    let report = verify_against(other.path(), &seen);
    assert!(!report.ok && report.problem.unwrap().contains("written anew"));
}

#[tokio::test]
async fn what_clients_sent_is_not_on_the_disk_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let segment = journal(dir.path()).await;
    let bytes = fs::read(&segment).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"select" || window == b"alice\""));
    let found =
        search(dir.path(), &Filter { text: Some("SELECT 19".to_owned()), ..Filter::default() }, |_| true).unwrap();
    assert_eq!(found[0].record.statement.as_deref(), Some("select 19 -- \u{202e}\n"));
    assert!(String::from_utf8(found[0].canonical.clone()).unwrap().chars().all(|c| (' '..='~').contains(&c)));
}
