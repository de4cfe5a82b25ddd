//! The store's suite on SQLite, and files that are corrupt, locked or gone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::access::Decision;
use crate::store::suite::{self, after, approve, noon, person, request};

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var/pgward.db");
    (dir, path)
}

fn failure(result: Result<impl std::fmt::Debug, StoreError>) -> String {
    match result {
        Err(StoreError::Failed(said)) => said,
        other => unreachable!("not a failure: {other:?}"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn does_what_a_store_must() {
    let (_dir, path) = place();
    suite::run(Arc::new(SqliteStore::open(&path).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_approve_at_once() {
    let (_dir, path) = place();
    let stores = [(); 2].map(|()| Arc::new(SqliteStore::open(&path).unwrap()));
    for _ in 0..20 {
        let filed = request(2);
        stores[0].file(&filed.clone().into()).await.unwrap();
        approve(&*stores[0], &filed.id, "bob", noon()).await.unwrap();
        let tasks = [(0, "carol"), (1, "dave")].map(|(at, by)| {
            let (store, id) = (Arc::clone(&stores[at]), filed.id.clone());
            tokio::spawn(async move { approve(&*store, &id, by, after(1)).await.is_ok() })
        });
        let mut won = 0;
        for task in tasks {
            won += usize::from(task.await.unwrap());
        }
        assert_eq!(won, 1);
    }
    assert_eq!(suite::grants(&*stores[1]).await.len(), 20);
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    let (decided, grant) = approve(&store, &filed.id, "bob", noon()).await.unwrap();
    let revoked = store.revoke(&grant.unwrap().id, "bob", Some("done".into()), after(1)).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.request(&filed.id).await.unwrap(), decided);
    assert_eq!(suite::grants(&store).await, [revoked]);
    assert_eq!(store.latest_instant().await.unwrap(), Some(after(1)));
}

#[tokio::test]
async fn files_are_private() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    store.file(&request(1).into()).await.unwrap();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_extension("db-wal")), 0o600);
    drop(store);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(SqliteStore::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn damaged_files_are_refused_and_left_alone() {
    let (_dir, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    let sound = fs::read(&path).unwrap();
    let mut torn = sound.clone();
    torn.truncate(sound.len() / 2);
    let mut smeared = sound.clone();
    smeared[4096..8192].fill(0xAA);
    for (bytes, said) in [
        (b"this is no database at all, only some text".repeat(100), "file is not a database"),
        (Vec::new(), "is empty"),
        (torn, "is damaged"),
        (smeared, "is damaged"),
    ] {
        fs::write(&path, &bytes).unwrap();
        let error = failure(SqliteStore::open(&path));
        assert!(error.contains(said), "{error}");
        assert!(error.contains("pgward.db"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "the file is as it was");
    }
}

#[tokio::test]
async fn other_databases_are_refused() {
    let (_dir, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (id INTEGER)").unwrap();
    assert!(failure(SqliteStore::open(&path)).contains("not one of pgward"));
}

#[tokio::test]
async fn a_newer_file_is_refused() {
    let (_dir, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 VALUES (900, 'later', '2030-01-01T00:00:00Z', '1')";
    rusqlite::Connection::open(&path).unwrap().execute_batch(newer).unwrap();
    assert!(failure(SqliteStore::open(&path)).contains("brought up to date"));
}

#[tokio::test]
async fn a_locked_file_fails_the_call_and_changes_nothing() {
    let (_dir, path) = place();
    let store = SqliteStore::open_with(&path, Duration::ZERO).unwrap();
    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = failure(approve(&store, &filed.id, "bob", noon()).await);
    assert!(error.contains("locked by another process"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.request(&filed.id).await.unwrap(), filed);
    assert!(approve(&store, &filed.id, "bob", noon()).await.unwrap().1.is_some());
}

#[tokio::test]
async fn a_full_file_fails_the_call_and_changes_nothing() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let pages: i64 = {
        let mut file = store.file.lock().await;
        let tx = file.begin(TransactionBehavior::Deferred).unwrap();
        let pages = tx.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        pages
    };
    assert!(pages > 1);
    let mut large = request(1);
    large.reason = "x".repeat(100_000);
    let error = failure(store.file(&large.clone().into()).await);
    assert!(error.contains("no space is left"), "{error}");
    assert_eq!(suite::requests(&store, noon()).await, []);
}

#[tokio::test]
async fn a_file_that_is_gone_or_replaced_fails_every_call() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let away = path.with_extension("away");
    fs::rename(&path, &away).unwrap();
    assert!(failure(store.ping().await).contains("is gone"));
    fs::write(&path, "").unwrap();
    assert!(failure(store.file(&request(1).into()).await).contains("was replaced"));
    fs::rename(&away, &path).unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_log_without_its_database_is_no_place_for_a_new_one() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    store.file(&request(1).into()).await.unwrap();
    fs::remove_file(&path).unwrap();
    assert!(failure(SqliteStore::open(&path)).contains("is gone, though its log"));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_reader_is_not_held_up_by_a_writer() {
    let (_dir, path) = place();
    let store = SqliteStore::open_with(&path, Duration::ZERO).unwrap();
    store.file(&request(1).into()).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store.list_grants(suite::everything(), Some(noon()), 500).await.unwrap(), []);
    let listed = suite::requests(&store, after(7 * 24 * 3600)).await;
    assert_eq!(listed[0].state, crate::access::RequestState::Expired, "told, though it cannot be stored now");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("var"), "a file").unwrap();
    let error = failure(SqliteStore::open(&dir.path().join("var/pgward.db")));
    assert!(error.contains("the directory") && error.contains("var"), "{error}");
}

#[tokio::test]
async fn a_row_that_was_tampered_with_is_an_error() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("UPDATE requests SET scope = '{}'").unwrap();
    assert!(failure(store.request(&filed.id).await).contains("a row of the database is damaged"));
    assert!(
        failure(store.decide(&filed.id, &person("bob", "dba"), Ruling::of(Decision::Approve, None), noon()).await)
            .contains("damaged")
    );
}
