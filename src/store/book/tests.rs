//! The grant book against a store that changes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::access::{AccessRequest, Decision, GrantId, NewRequest, Ruling};
use crate::store::SqliteStore;
use crate::store::suite::{person, scope};

struct Bench {
    dir: TempDir,
    store: SharedStore,
    clock: Arc<Clock>,
    book: Arc<GrantBook>,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(SqliteStore::open(&dir.path().join("pgward.db")).unwrap());
        let clock = Arc::new(Clock::default());
        let book = GrantBook::load(Arc::clone(&store), Arc::clone(&clock)).await.unwrap();
        Self { dir, store, clock, book }
    }

    /// A live grant of `principal` on `database`, as made by some other process.
    async fn grant(&self, principal: &str, database: &str) -> Grant {
        let mut scope = scope(1);
        scope.database = database.into();
        let new = NewRequest { reason: "test".into(), duration: Duration::from_secs(1800), ..NewRequest::default() };
        let now = self.clock.now();
        let filed = AccessRequest::file(person(principal, "dev"), scope, new, now).unwrap();
        self.store.file(&filed.clone().into()).await.unwrap();
        let by = person("bob", "dba");
        self.store.decide(&filed.id, &by, Ruling::of(Decision::Approve, None), now).await.unwrap().1.unwrap()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("pgward.db")
    }
}

fn ids(grants: &[Arc<Grant>]) -> Vec<&GrantId> {
    grants.iter().map(|grant| &grant.id).collect()
}

#[tokio::test]
async fn a_subscriber_sees_what_was_there_and_what_comes() {
    let bench = Bench::new().await;
    let first = bench.grant("alice", "shop").await;
    bench.book.refresh().await.unwrap();
    let mut watch = bench.book.subscribe("alice", "shop");
    assert_eq!(ids(&watch.borrow_and_update().grants), [&first.id]);
    let version = watch.borrow().version;

    bench.book.refresh().await.unwrap();
    assert!(!watch.has_changed().unwrap(), "nothing changed, nobody is woken");

    let second = bench.grant("alice", "shop").await;
    bench.book.refresh().await.unwrap();
    assert!(watch.has_changed().unwrap());
    let set = watch.borrow_and_update().clone();
    assert_eq!(ids(&set.grants), [&first.id, &second.id], "newest last");
    assert!(set.version > version);
    assert!(set.revoked.is_empty());
}

#[tokio::test]
async fn only_the_changed_set_grows() {
    let bench = Bench::new().await;
    let mut alice = bench.book.subscribe("alice", "shop");
    let mut elsewhere = bench.book.subscribe("alice", "other");
    let mut carol = bench.book.subscribe("carol", "shop");
    alice.borrow_and_update();
    elsewhere.borrow_and_update();
    carol.borrow_and_update();
    bench.grant("alice", "shop").await;
    bench.book.refresh().await.unwrap();
    assert!(alice.has_changed().unwrap());
    assert!(!elsewhere.has_changed().unwrap());
    assert!(!carol.has_changed().unwrap());
}

#[tokio::test]
async fn a_revoked_grant_says_who_and_why() {
    let bench = Bench::new().await;
    let grant = bench.grant("alice", "shop").await;
    bench.book.refresh().await.unwrap();
    let watch = bench.book.subscribe("alice", "shop");
    let now = bench.clock.now();
    bench.store.revoke(&grant.id, "carol", Some("leak".into()), now).await.unwrap();
    bench.book.refresh().await.unwrap();
    let set = watch.borrow().clone();
    assert!(set.grants.is_empty());
    let revocation = set.revoked[0].revocation.as_ref().unwrap();
    assert_eq!((revocation.by.as_str(), revocation.reason.as_deref()), ("carol", Some("leak")));
    bench.grant("alice", "shop").await;
    bench.book.refresh().await.unwrap();
    assert_eq!(ids(&watch.borrow().revoked), [&grant.id], "still told after the next change");
}

#[tokio::test]
async fn remembers_only_the_newest_revocations() {
    let bench = Bench::new().await;
    let grant = Arc::new(bench.grant("alice", "shop").await);
    let set =
        GrantSet { version: 1, grants: [Arc::clone(&grant)].into(), revoked: vec![Arc::clone(&grant); MAX_REVOKED] };
    let mut newest = (*grant).clone();
    newest.id = GrantId::from_text("gr_newest");
    let next = view::changed_set(&set, Arc::default(), [Arc::new(newest)].iter(), 2).unwrap();
    assert_eq!(next.revoked.len(), MAX_REVOKED);
    assert_eq!(next.revoked.last().unwrap().id.as_str(), "gr_newest");
}

#[tokio::test]
async fn senders_without_receivers_are_dropped_and_versions_never_repeat() {
    let bench = Bench::new().await;
    let version = bench.book.subscribe("alice", "shop").borrow().version;
    bench.book.view().drop_unwatched();
    assert_eq!(bench.book.view().watched(), 0);
    assert!(bench.book.subscribe("alice", "shop").borrow().version > version);
}

#[tokio::test]
async fn a_failing_store_keeps_the_view_and_ages_it() {
    let bench = Bench::new().await;
    let grant = bench.grant("alice", "shop").await;
    bench.book.refresh().await.unwrap();
    let watch = bench.book.subscribe("alice", "shop");
    let asked = bench.book.last_success();
    let away = bench.dir.path().join("away");
    std::fs::rename(bench.file(), &away).unwrap();
    bench.book.refresh().await.unwrap_err();
    assert_eq!(ids(&watch.borrow().grants), [&grant.id]);
    assert_eq!(bench.book.last_success(), asked);
    assert!(bench.book.is_fresh(Duration::from_secs(3600)));
    assert!(!bench.book.is_fresh(Duration::ZERO));
    std::fs::rename(&away, bench.file()).unwrap();
    bench.book.refresh().await.unwrap();
    assert!(bench.book.last_success() > asked);
}

#[tokio::test]
async fn the_loop_finds_what_others_did_and_ends_when_told() {
    let bench = Bench::new().await;
    let mut watch = bench.book.subscribe("alice", "shop");
    watch.borrow_and_update();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(Arc::clone(&bench.book).run(Duration::from_millis(5), shutdown.clone()));
    let grant = bench.grant("alice", "shop").await;
    watch.changed().await.unwrap();
    assert_eq!(ids(&watch.borrow().grants), [&grant.id]);
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn what_did_not_change_stays_the_same_set() {
    let bench = Bench::new().await;
    bench.grant("alice", "shop").await;
    bench.book.refresh().await.unwrap();
    let alice = bench.book.subscribe("alice", "shop");
    let before = Arc::clone(&alice.borrow());
    let grant = bench.grant("carol", "shop").await;
    bench.book.refresh().await.unwrap();
    assert!(Arc::ptr_eq(&before, &alice.borrow()));
    // Read whole again, because somebody edited the tables: what is as it was still stays.
    edit(&bench, "UPDATE grants SET reason = 'edited' WHERE principal = 'carol'");
    bench.book.refresh().await.unwrap();
    assert!(Arc::ptr_eq(&before, &alice.borrow()));
    let carol = bench.book.subscribe("carol", "shop");
    assert_eq!((&carol.borrow().grants[0].id, carol.borrow().grants[0].reason.as_str()), (&grant.id, "edited"));
}

#[tokio::test]
async fn edits_by_hand_count_too() {
    let bench = Bench::new().await;
    let first = bench.grant("alice", "shop").await;
    let second = bench.grant("alice", "shop").await;
    bench.book.refresh().await.unwrap();
    let watch = bench.book.subscribe("alice", "shop");
    edit(&bench, &format!("DELETE FROM grants WHERE id = '{}'", second.id));
    bench.book.refresh().await.unwrap();
    assert_eq!(ids(&watch.borrow().grants), [&first.id]);
    bench.store.revoke(&first.id, "carol", None, bench.clock.now()).await.unwrap();
    bench.book.refresh().await.unwrap();
    assert!(watch.borrow().grants.is_empty());
    edit(&bench, "DELETE FROM revocations");
    bench.book.refresh().await.unwrap();
    assert_eq!(ids(&watch.borrow().grants), [&first.id]);
    // Who has lost sight of what changed reads everything.
    edit(&bench, "UPDATE grants SET expires_at = 1; DELETE FROM grant_changes");
    bench.book.refresh().await.unwrap();
    assert!(watch.borrow().grants.is_empty());
}

#[tokio::test]
async fn a_grant_that_has_run_out_is_let_go() {
    let bench = Bench::new().await;
    let grant = bench.grant("alice", "shop").await;
    bench.book.refresh().await.unwrap();
    let watch = bench.book.subscribe("alice", "shop");
    bench.book.view().run_out(grant.expires_at, false);
    assert!(watch.borrow().grants.is_empty() && watch.borrow().revoked.is_empty());
}

fn edit(bench: &Bench, sql: &str) {
    rusqlite::Connection::open(bench.file()).unwrap().execute_batch(sql).unwrap();
}
