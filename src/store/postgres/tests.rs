//! The store's suite on PostgreSQL, and what only several replicas do: act at once, be of several versions, have few rights.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../../tests/support/postgres.rs"]
mod server;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::access::{ApprovalRefused, Decision};
use crate::guarded::{Proof, Server};
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
