//! What a store has to do for how many replicas: each polls, says that it is there, opens and ends sessions, and hears of every
//! change. `PGWARD_REPLICAS=1,3,10,100` and `PGWARD_SECONDS` make it a measurement; without them it is a small one, and what is
//! tested is that everybody hears of everything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

#[path = "support/postgres.rs"]
mod postgres;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pgward::access::{
    AccessRequest, Decision, Grant, GrantId, Guards, NewRequest, ObjectPattern, Operation, OperationSet, Principal,
    Privilege, Region, Rules, Ruling, Scope, SessionId, Subject,
};
use pgward::guarded::{Proof, Server};
use pgward::store::{Filing, Fleet as _, GrantNews, PostgresSettings, PostgresStore, Replica, Store as _};
use postgres::TestPostgres;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

/// Sessions that each replica opens a second.
const SESSIONS: u64 = 20;
/// Between two changes of grants, on all replicas together.
const CHANGES: Duration = Duration::from_millis(250);
const LEASE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_hears_of_every_change() {
    let sizes = std::env::var("PGWARD_REPLICAS").unwrap_or_else(|_| "1,3".to_owned());
    let seconds = std::env::var("PGWARD_SECONDS").map_or(2, |text| text.parse().unwrap());
    let server = TestPostgres::start_wide(1_200);
    println!("replicas  load      tx/s  of one   CPU ms/s  of one  connections  WAL KiB/s  heard p50   p99   longest");
    for size in sizes.split(',').map(|size| size.parse::<usize>().unwrap()) {
        for busy in [false, true] {
            measure(&server, size, Duration::from_secs(seconds), busy).await;
        }
    }
}

/// What is measured of one store.
struct Counts {
    transactions: i64,
    wal: i64,
    cpu: Duration,
    connections: i64,
}

async fn measure(server: &TestPostgres, size: usize, time: Duration, busy: bool) {
    let database = format!("scale_{size}_{busy}");
    run(server, "postgres", &format!("CREATE DATABASE {database}")).await;
    let settings = PostgresSettings {
        servers: vec![Server {
            host: server.socket_directory().display().to_string(),
            port: server.port,
            tls: None,
            proof: Proof::Optional,
        }],
        user: "postgres".to_owned(),
        database: database.clone(),
        password: None,
    };
    let (stop, heard) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
    let revoked: Arc<Mutex<Vec<(GrantId, Instant)>>> = Arc::default();
    let sessions = Arc::new(AtomicU64::new(0));
    let mut stores = Vec::new();
    for number in 0..size {
        let store = Arc::new(PostgresStore::open(settings.clone()).await.unwrap());
        let me = replica(number);
        store.join(&me, LEASE).await.unwrap();
        stores.push((store, me));
    }
    let mut tasks = Vec::new();
    for (store, me) in &stores {
        tasks.push(tokio::spawn(listen(Arc::clone(store), Arc::clone(&heard), Arc::clone(&revoked), stop.clone())));
        tasks.push(tokio::spawn(beat(Arc::clone(store), me.clone(), stop.clone())));
        if busy {
            tasks.push(tokio::spawn(open_sessions(Arc::clone(store), me.clone(), Arc::clone(&sessions), stop.clone())));
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, begun) = (counts(server, &database).await, Instant::now());
    let mut changes = 0_usize;
    while begun.elapsed() < time {
        if busy {
            change(&stores[changes % size].0, &stores[(changes + 1) % size].0, &revoked).await;
            changes += 1;
        }
        tokio::time::sleep(CHANGES).await;
    }
    let (after, took) = (counts(server, &database).await, begun.elapsed());
    // Time for the last to be heard of.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
    let mut heard = heard.lock().unwrap().clone();
    heard.sort();
    assert_eq!(heard.len(), changes * size, "every replica hears of every revocation once");
    let rate = |count: i64| count as f64 / took.as_secs_f64();
    let cpu = (after.cpu - before.cpu).as_secs_f64() * 1000.0 / took.as_secs_f64();
    let transactions = rate(after.transactions - before.transactions);
    let quantile = |part: usize| {
        heard.get((heard.len() * part / 100).min(heard.len().saturating_sub(1))).map_or(Duration::ZERO, |d| *d)
    };
    println!(
        "{size:8}  {:6} {transactions:8.1} {:7.1} {cpu:10.1} {:7.2} {:12} {:10.1}  {:9.1?} {:.1?} {:.1?}",
        if busy { "busy" } else { "idle" },
        transactions / size as f64,
        cpu / size as f64,
        after.connections,
        rate(after.wal - before.wal) / 1024.0,
        quantile(50),
        quantile(99),
        quantile(100),
    );
}

/// Reads what has changed when it is hinted at, and once a second.
async fn listen(
    store: Arc<PostgresStore>,
    heard: Arc<Mutex<Vec<Duration>>>,
    revoked: Arc<Mutex<Vec<(GrantId, Instant)>>>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let (mut mark, _) = store.grant_news(None, Timestamp::now()).await.unwrap();
    let mut known: Vec<GrantId> = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = store.hinted() => {}
        }
        let (next, news) = store.grant_news(Some(mark), Timestamp::now()).await.unwrap();
        mark = next;
        let GrantNews::Changed(changed) = news else { continue };
        for grant in changed.iter().filter(|grant| grant.revocation.is_some() && !known.contains(&grant.id)) {
            let at = revoked.lock().unwrap().iter().find(|(id, _)| *id == grant.id).map(|(_, at)| *at);
            heard.lock().unwrap().push(at.unwrap().elapsed());
        }
        known.extend(changed.into_iter().filter(|grant| grant.revocation.is_some()).map(|grant| grant.id));
    }
}

async fn beat(store: Arc<PostgresStore>, me: Replica, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LEASE / 10);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        store.renew(&me).await.unwrap();
    }
}

async fn open_sessions(store: Arc<PostgresStore>, me: Replica, opened: Arc<AtomicU64>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(SESSIONS).unwrap());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut ended = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let session = SessionId::generate();
        let number = opened.fetch_add(1, Ordering::Relaxed);
        assert!(store.take_seat(&me.incarnation, &session, &format!("user{}", number % 50), 100_000).await.unwrap());
        ended.push(session);
        // As a replica does: those that end together go together.
        if ended.len() >= 4 {
            store.give_back_seats(&std::mem::take(&mut ended)).await.unwrap();
        }
    }
}

/// A grant that is made at one replica and revoked at another.
async fn change(one: &PostgresStore, other: &PostgresStore, revoked: &Mutex<Vec<(GrantId, Instant)>>) {
    let grant = granted(one).await;
    revoked.lock().unwrap().push((grant.id.clone(), Instant::now()));
    other.revoke(&grant.id, "bob", None, Timestamp::now()).await.unwrap();
}

async fn granted(store: &PostgresStore) -> Grant {
    let person = |name: &str, group: &str| Principal { name: name.into(), groups: vec![group.into()], region: None };
    let scope = Scope {
        name: "orders-read".into(),
        database: "shop".into(),
        regions: vec![Region::new("us")],
        requesters: vec![Subject::Group("dev".into())],
        approvers: vec![Subject::Group("dba".into())],
        approvals: 1,
        max_duration: Duration::from_secs(3600),
        guards: Guards::default(),
        rules: Rules::default(),
        allow: vec![Privilege {
            on: vec![ObjectPattern::parse("public.orders").unwrap()],
            columns: None,
            operations: OperationSet::of(&[Operation::Select]),
            functions: vec![],
        }],
    };
    let now = Timestamp::now();
    let new = NewRequest { reason: "scale".into(), duration: Duration::from_secs(600), ..NewRequest::default() };
    let request = AccessRequest::file(person("alice", "dev"), scope, new, now).unwrap();
    store.file(&Filing::from(request.clone())).await.unwrap();
    let ruling = Ruling::of(Decision::Approve, None);
    store.decide(&request.id, &person("bob", "dba"), ruling, now).await.unwrap().1.unwrap()
}

fn replica(number: usize) -> Replica {
    Replica {
        name: format!("r{number}"),
        incarnation: format!("i{number}"),
        journal: format!("j{number}"),
        address: "localhost:1".into(),
        certificate: String::new(),
        token_hash: String::new(),
        version: String::new(),
        policy: String::new(),
    }
}

async fn run(server: &TestPostgres, database: &str, sql: &str) -> Vec<tokio_postgres::SimpleQueryMessage> {
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", database), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.simple_query(sql).await.unwrap()
}

async fn counts(server: &TestPostgres, database: &str) -> Counts {
    // Statistics of a backend are told within a second of its being idle.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let query = format!(
        "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}'),
                (pg_current_wal_lsn() - '0/0')::int8,
                (SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}')"
    );
    let rows = run(server, "postgres", &query).await;
    let row = rows.iter().find_map(|row| match row {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let number = |at: usize| row.unwrap().get(at).unwrap().parse::<i64>().unwrap();
    Counts { transactions: number(0), wal: number(1), cpu: cpu_of(server), connections: number(2) }
}

/// Of all processes of the server that there are, and those that have ended.
fn cpu_of(server: &TestPostgres) -> Duration {
    let pid = std::fs::read_to_string(server.socket_directory().join("data/postmaster.pid")).unwrap();
    let postmaster: u32 = pid.lines().next().unwrap().parse().unwrap();
    let mut ticks = 0_u64;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        let is_own = entry.file_name().to_str() == Some(postmaster.to_string().as_str());
        if is_own {
            ticks += number(11) + number(12) + number(13) + number(14);
        } else if number(1) == u64::from(postmaster) {
            ticks += number(11) + number(12);
        }
    }
    Duration::from_millis(ticks * 10)
}
