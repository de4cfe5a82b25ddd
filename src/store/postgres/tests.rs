//! The store's suite on PostgreSQL, and what only several replicas do: act at once, be of several versions, have few rights.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../../tests/support/postgres.rs"]
mod server;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::access::{ApprovalRefused, Decision, SessionId};
use crate::guarded::{Proof, Server};
use crate::store::fleet::{Fleet as _, Published, Replica};
use crate::store::suite::{self, after, approve, noon, person, request};

/// One server for all of these. It is stopped by its guard when the tests have ended.
static SERVER: LazyLock<server::TestPostgres> = LazyLock::new(server::TestPostgres::start);

fn settings(user: &str, database: &str) -> PostgresSettings {
    let host = SERVER.socket_directory().display().to_string();
    PostgresSettings {
        servers: vec![Server { host, port: SERVER.port, tls: None, proof: Proof::Optional }],
        user: user.to_owned(),
        database: database.to_owned(),
        password: None,
    }
}

async fn run(database: &str, sql: &str) -> Vec<tokio_postgres::SimpleQueryMessage> {
    let (client, connection) =
        tokio_postgres::connect(&SERVER.dsn("postgres", database), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.simple_query(sql).await.unwrap()
}

/// An empty database of its own.
async fn place() -> PostgresSettings {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("store{}", NEXT.fetch_add(1, Ordering::Relaxed));
    run("postgres", &format!("CREATE DATABASE {name}")).await;
    settings("postgres", &name)
}

async fn open(settings: &PostgresSettings) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::open(settings.clone()).await.unwrap())
}

fn failure(result: Result<impl std::fmt::Debug, StoreError>) -> String {
    match result {
        Err(StoreError::Failed(said)) => said,
        other => unreachable!("not a failure: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn does_what_a_store_must() {
    suite::run(open(&place().await).await).await;
}

/// With the rights of `privileges.sql` alone, on tables that belong to somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_only_work_on_the_tables_is_enough() {
    let owner = place().await;
    run("postgres", "CREATE ROLE worker LOGIN").await;
    let worker = settings("worker", &owner.database);
    assert!(failure(PostgresStore::open(worker.clone()).await).contains("pgward store migrate"));
    migrate(owner.clone(), Some("worker")).await.unwrap();
    let store = open(&worker).await;
    suite::run(Arc::clone(&store) as super::super::SharedStore).await;
    for forbidden in [
        "DELETE FROM decisions",
        "UPDATE grants SET expires_at = 0",
        "DELETE FROM revocations",
        "UPDATE requests SET scope = '{}'",
        "UPDATE replicas SET seen_at = now(); DROP TABLE seats",
        "CREATE TABLE mine ()",
    ] {
        let open = store.connections.get().await.unwrap();
        let refused = open.client.batch_execute(forbidden).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "42501", "{forbidden}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_once_make_the_tables_once() {
    let place = place().await;
    let opened = [(); 4].map(|()| tokio::spawn(PostgresStore::open(place.clone())));
    for opened in opened {
        opened.await.unwrap().unwrap().ping().await.unwrap();
    }
}

/// A replica that is older than the tables goes on, until they say that it cannot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_replica_works_on_newer_tables() {
    let place = place().await;
    drop(open(&place).await);
    let newer = "SET search_path = pgward;
         ALTER TABLE requests ADD COLUMN later text; ALTER TABLE grants ADD COLUMN later text NOT NULL DEFAULT '';
         CREATE TABLE later (); INSERT INTO refinery_schema_history VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')";
    run(&place.database, newer).await;
    suite::run(open(&place).await).await;
    run(&place.database, "UPDATE pgward.compatible SET since = 99").await;
    assert!(failure(PostgresStore::open(place).await).contains("upgrade it"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_an_approval_a_withdrawal_an_edit_and_an_expiry_at_once_one_wins() {
    let place = place().await;
    let stores = [open(&place).await, open(&place).await, open(&place).await];
    for round in 0..30 {
        let filed = request(1);
        stores[0].file(&filed.clone().into()).await.unwrap();
        let id = filed.id.clone();
        let approvals = ["bob", "carol"].into_iter().zip(&stores).map(|(by, store)| {
            let (store, id) = (Arc::clone(store), id.clone());
            tokio::spawn(async move { approve(&*store, &id, by, after(1)).await.is_ok() })
        });
        let approvals: Vec<_> = approvals.collect();
        let (store, id) = (Arc::clone(&stores[2]), filed.id.clone());
        let other = tokio::spawn(async move {
            if round % 2 == 0 {
                store.withdraw(&id, &person("alice", "dev"), after(1)).await.is_ok()
            } else {
                // A listing a day later writes down that it has run out.
                suite::requests(&*store, after(25 * 3600)).await;
                store.request(&id).await.unwrap().state == RequestState::Expired
            }
        });
        let mut won = usize::from(other.await.unwrap());
        for approval in approvals {
            won += usize::from(approval.await.unwrap());
        }
        assert_eq!(won, 1, "round {round}");
        let made = stores[1].grant_of_request(&filed.id).await.unwrap();
        let state = stores[1].request(&filed.id).await.unwrap().state;
        assert_eq!(made.is_some(), state == RequestState::Approved);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_revoke_at_once_one_is_named() {
    let place = place().await;
    let stores = [open(&place).await, open(&place).await];
    for _ in 0..20 {
        let filed = request(1);
        stores[0].file(&filed.clone().into()).await.unwrap();
        let grant = approve(&*stores[0], &filed.id, "bob", noon()).await.unwrap().1.unwrap();
        let tries = ["carol", "dave"].into_iter().zip(&stores).map(|(by, store)| {
            let (store, id) = (Arc::clone(store), grant.id.clone());
            tokio::spawn(async move { store.revoke(&id, by, None, after(1)).await })
        });
        let mut won = Vec::new();
        for attempt in tries.collect::<Vec<_>>() {
            match attempt.await.unwrap() {
                Ok(grant) => won.push(grant),
                Err(error) => assert!(matches!(error, StoreError::GrantEnded), "{error}"),
            }
        }
        assert_eq!(won, [stores[0].grant(&grant.id).await.unwrap()]);
    }
}

/// Positions are read in the order of the commits: whoever reads while many write misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_misses_no_change_of_many_writers() {
    let place = place().await;
    let stores = [open(&place).await, open(&place).await, open(&place).await];
    let (mut mark, _) = stores[0].grant_news(None, noon()).await.unwrap();
    let writers = [0, 1].map(|at| {
        let store = Arc::clone(&stores[at]);
        tokio::spawn(async move {
            let mut made = Vec::new();
            for _ in 0..60 {
                let filed = request(1);
                store.file(&filed.clone().into()).await.unwrap();
                made.push(approve(&*store, &filed.id, "bob", noon()).await.unwrap().1.unwrap().id);
                // One that comes to nothing takes no position.
                assert!(matches!(approve(&*store, &filed.id, "eve", noon()).await, Err(StoreError::Refused(_))));
            }
            made
        })
    });
    let mut told = Vec::new();
    let mut read = async |told: &mut Vec<GrantId>| {
        let (next, news) = stores[2].grant_news(Some(mark), noon()).await.unwrap();
        mark = next;
        match news {
            GrantNews::Changed(changed) => told.extend(changed.into_iter().map(|grant| grant.id)),
            GrantNews::All(_) => panic!("nothing was taken out"),
        }
    };
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        read(&mut told).await;
    }
    read(&mut told).await;
    for writer in writers {
        let made = writer.await.unwrap();
        assert!(made.iter().all(|id| told.contains(id)), "{} of {}", told.len(), made.len());
    }
    assert_eq!(told.len(), 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_elsewhere_is_hinted_at() {
    let place = place().await;
    let (here, there) = (open(&place).await, open(&place).await);
    // The first hint is that one listens now.
    here.hinted().await;
    let filed = request(1);
    there.file(&filed.clone().into()).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(200), here.hinted()).await;
    assert!(nothing.is_err(), "a request changes no grant");
    approve(&*there, &filed.id, "bob", noon()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), here.hinted()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_are_made_again() {
    let place = place().await;
    let store = open(&place).await;
    store.hinted().await;
    let filed = request(1);
    store.file(&filed.clone().into()).await.unwrap();
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        place.database
    );
    run("postgres", &cut).await;
    tokio::time::timeout(Duration::from_secs(5), store.hinted()).await.unwrap();
    assert_eq!(store.request(&filed.id).await.unwrap(), filed);
    let made = store.decide(&filed.id, &person("bob", "dba"), Ruling::of(Decision::Approve, None), noon()).await;
    made.unwrap();
    let again = approve(&*store, &filed.id, "carol", noon()).await;
    assert!(matches!(again, Err(StoreError::Refused(ApprovalRefused::NotPending(_)))));
}

fn replica(name: &str, incarnation: &str) -> Replica {
    Replica {
        name: name.into(),
        incarnation: incarnation.into(),
        journal: format!("journal of {name}"),
        address: "localhost:6443".into(),
        certificate: "00".into(),
        token_hash: format!("sha256:{incarnation}"),
        version: "1".into(),
        policy: "p".into(),
    }
}

const LEASE: Duration = Duration::from_millis(800);

async fn lapse() {
    tokio::time::sleep(LEASE + Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_know_each_other_for_a_lease() {
    let store = open(&place().await).await;
    let (a, b) = (replica("a", "a1"), replica("b", "b1"));
    let first = store.join(&a, LEASE).await.unwrap();
    let second = store.join(&b, LEASE).await.unwrap();
    assert_eq!((first.number, second.number, first.peers.len()), (1, 2, 0));
    assert_eq!(second.peers[0].replica, a);
    // By the same name with another journal: another one, as long as this one is there.
    let other = Replica { journal: "another".into(), ..replica("a", "a2") };
    assert!(failure(store.join(&other, LEASE).await).contains("by the name \"a\""));
    // With the same journal it is the same, started anew; its number stays, and what it was is there no more.
    let again = store.join(&replica("a", "a3"), LEASE).await.unwrap();
    assert_eq!(again.number, 1);
    assert!(matches!(store.renew(&a).await, Err(StoreError::NotFound(_))));
    lapse().await;
    assert_eq!(store.renew(&b).await.unwrap().peers, []);
    assert_eq!(store.join(&other, LEASE).await.unwrap().number, 1, "whose lease is over gives up the name");
    store.leave("b1").await.unwrap();
    assert_eq!(store.renew(&other.clone()).await.unwrap().peers, []);
    let clock = store.clock().await.unwrap();
    assert!(clock.said.duration_since(Timestamp::now()).abs() < jiff::SignedDuration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn places_are_counted_over_all_replicas_that_are_there() {
    let store = open(&place().await).await;
    for name in ["a", "b"] {
        store.join(&replica(name, name), LEASE).await.unwrap();
    }
    let tries = (0..20).map(|number| {
        let (store, session) = (Arc::clone(&store), SessionId::from_text(format!("se_{number}")));
        let incarnation = if number % 2 == 0 { "a" } else { "b" };
        tokio::spawn(
            async move { store.take_seat(incarnation, &session, "alice", 6).await.unwrap().then_some(session) },
        )
    });
    let mut taken = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        taken.extend(attempt.await.unwrap());
    }
    assert_eq!(taken.len(), 6, "however many try at once");
    let session = SessionId::from_text("se_of_bob");
    assert!(store.take_seat("a", &session, "bob", 1).await.unwrap(), "each has places of their own");
    store.give_back_seats(&taken[..1]).await.unwrap();
    assert!(store.take_seat("a", &SessionId::from_text("se_x"), "alice", 6).await.unwrap());
    assert!(!store.take_seat("a", &SessionId::from_text("se_y"), "alice", 6).await.unwrap());
    lapse().await;
    store.renew(&replica("a", "a")).await.unwrap();
    assert!(store.take_seat("a", &SessionId::from_text("se_z"), "alice", 6).await.unwrap(), "b is not there any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_one_replicas_and_a_turn_is_taken_once() {
    let store = open(&place().await).await;
    assert_eq!(store.hold_job("lapses", "a", LEASE).await.unwrap(), Some(None));
    assert_eq!(store.hold_job("lapses", "b", LEASE).await.unwrap(), None);
    store.mark_job("lapses", "a", "so far").await.unwrap();
    store.mark_job("lapses", "b", "not mine").await.unwrap();
    assert_eq!(store.hold_job("lapses", "a", LEASE).await.unwrap(), Some(Some("so far".to_owned())));
    lapse().await;
    assert_eq!(store.hold_job("lapses", "b", LEASE).await.unwrap(), Some(Some("so far".to_owned())));
    store.give_up_job("lapses", "a").await.unwrap();
    assert_eq!(store.hold_job("lapses", "a", LEASE).await.unwrap(), None, "only who has it gives it up");
    store.give_up_job("lapses", "b").await.unwrap();
    assert!(store.hold_job("lapses", "a", LEASE).await.unwrap().is_some());

    let hour = Duration::from_secs(3600);
    assert!(store.take_turn("orders", "a", hour).await.unwrap());
    assert!(!store.take_turn("orders", "b", hour).await.unwrap());
    assert!(store.take_turn("orders", "b", Duration::ZERO).await.unwrap());
    store.give_back_turn("orders", "b").await.unwrap();
    assert!(store.take_turn("orders", "a", hour).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_checkpoint_gives_way_to_later_ones_alone() {
    let store = open(&place().await).await;
    let published = |size: u64| Published {
        journal: "j".into(),
        place: String::new(),
        replica: "a".into(),
        verifier: "v".into(),
        size,
        checkpoint: format!("at {size}"),
        published_ago: Duration::ZERO,
    };
    for size in [5, 9, 7] {
        store.publish(&published(size)).await.unwrap();
    }
    let all = store.published().await.unwrap();
    assert_eq!((all.len(), all[0].size, all[0].checkpoint.as_str()), (1, 9, "at 9"));
}
