//! What a record costs: on the path of the data, in the threads behind it, and when it is verified. Prints CPU time per
//! record with each durability at 1, 16 and 64 writers, as each does what a session does: a record before and one after.
//!
//! `PGWARD_BENCH_SECONDS` says how long each case runs (default 3).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a benchmark")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pgward::access::{GrantId, Operation, Region, RequestId, SessionId};
use pgward::audit::{
    Durability, EndedBy, Event, Journal, Protocol, Record, RecordedRelation, RecordedVerdict, Settings, index, verify,
};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let seconds = std::env::var("PGWARD_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3.0);
    println!("                               CPU ns/record:                 behind it:");
    println!("durability  writers  records/s       data path       sum       log   to disk   indexes   bytes/record");
    for durability in [Durability::Written, Durability::Synced] {
        for writers in [1, 16, 64] {
            write(durability, writers, Duration::from_secs_f64(seconds));
        }
    }
}

fn write(durability: Durability, writers: usize, time: Duration) {
    // A real file system, and nothing that a commit could take along.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(writers.min(2))
        .thread_name("data-path")
        .enable_all()
        .build()
        .unwrap();
    let journal = {
        let _guard = runtime.enter();
        let settings = Settings {
            signing_key: dir.path().join("signing.key"),
            ..Settings::new(dir.path().join("audit"), durability)
        };
        Journal::open(settings).unwrap()
    };
    let (before, started) = (cpu(), Instant::now());
    runtime.block_on(async {
        let tasks: Vec<_> =
            (0..writers).map(|writer| tokio::spawn(session(Arc::clone(&journal), writer, started + time))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let elapsed = started.elapsed();
    runtime.block_on(journal.close()).unwrap();
    let after = cpu();
    let counters = journal.counters();
    drop(journal);
    let indexed = indexed(&dir.path().join("audit"), after.index - before.index);
    let per = |nanoseconds: f64| nanoseconds / counters.records as f64;
    let (log, disk) = (per(after.log - before.log), per(after.disk - before.disk));
    println!(
        "{:10}  {writers:7}  {:9.0}  {:14.0}  {:8.0}  {log:8.0}  {disk:8.0}  {indexed:8.0}   {:12.0}",
        format!("{durability:?}").to_lowercase(),
        counters.records as f64 / elapsed.as_secs_f64(),
        per(after.data_path - before.data_path),
        log + disk + indexed,
        per(counters.bytes as f64),
    );
    if durability == Durability::Written && writers == 1 {
        verified(&dir.path().join("audit"));
    }
}

async fn session(journal: Arc<Journal>, writer: usize, until: Instant) {
    let mut statement = statement(writer);
    let mut end = end(writer);
    while Instant::now() < until {
        for _ in 0..16 {
            statement.time = Timestamp::now();
            let seq = journal.record(statement.clone()).await.unwrap();
            end.time = Timestamp::now();
            end.statement_seq = Some(seq);
            journal.record(end.clone()).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
}

/// What the index costs a record, of segments that are full: those that the journal's own thread had no time for are made now.
fn indexed(dir: &Path, spent: f64) -> f64 {
    let before = spent_here();
    index::bring_up_to_date(dir).unwrap();
    let names = std::fs::read_dir(dir).unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let first = |name: String| name.strip_prefix("journal-")?.strip_suffix(".log")?.parse().ok();
    let records: u64 = names.filter_map(first).max().unwrap_or(1) - 1;
    if records == 0 { 0.0 } else { (spent + spent_here() - before) / records as f64 }
}

fn spent_here() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn verified(dir: &Path) {
    let before = spent_here();
    let report = verify(dir);
    assert!(report.ok, "{report:?}");
    println!("  verified: {:.0} records per second of CPU", report.records as f64 / (spent_here() - before) * 1e9);
}

fn base(writer: usize, event: Event) -> Record {
    let mut record = Record::new(Timestamp::now(), event);
    record.session = Some(SessionId::from_text(format!("se_019354f0c6a47{writer:03}")));
    record.principal = Some("alice".to_owned());
    record.groups = vec!["dev".to_owned()];
    record.client_addr = Some("127.0.0.1:50412".to_owned());
    record.client_region = Some(Region::new("us"));
    record.application_name = Some("pgbench".to_owned());
    record.database = Some("shop".to_owned());
    record.upstream_region = Some(Region::new("us"));
    record.grant = Some(GrantId::from_text("gr_019354f0c6a4"));
    record
}

fn statement(writer: usize) -> Record {
    let mut record = base(writer, Event::Statement);
    record.request = Some(RequestId::from_text("req_019354f0c6a4"));
    record.scope = Some("orders-read".to_owned());
    record.reason = Some("daily report".to_owned());
    record.approvers = vec!["bob".to_owned()];
    record.protocol = Some(Protocol::Extended);
    record.statement = Some("SELECT abalance FROM pgbench_accounts WHERE aid = $1".to_owned());
    record.parameters = Some(vec![Some("48213".to_owned())]);
    record.fingerprint = Some("5f0c9d1f2a7b3c44".to_owned());
    record.kind = Some("SELECT".to_owned());
    record.relations = vec![RecordedRelation {
        name: "public.pgbench_accounts".to_owned(),
        operation: Operation::Select,
        columns: vec!["abalance".to_owned(), "aid".to_owned()],
    }];
    record.verdict = Some(RecordedVerdict::Allow);
    record.policy_version = Some(3);
    record
}

fn end(writer: usize) -> Record {
    let mut record = base(writer, Event::StatementEnd);
    record.command_tag = Some("SELECT 1".to_owned());
    record.rows = Some(1);
    record.bytes = Some(14);
    record.duration_us = Some(87);
    record.ended_by = Some(EndedBy::Completed);
    record
}

/// Nanoseconds of CPU that threads have used.
#[derive(Default)]
struct Cpu {
    data_path: f64,
    log: f64,
    disk: f64,
    index: f64,
}

fn cpu() -> Cpu {
    let mut used = Cpu::default();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(name) = std::fs::read_to_string(task.path().join("comm")) else { continue };
        let Ok(spent) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
        let spent: f64 = spent.split(' ').next().unwrap().parse().unwrap();
        match name.trim() {
            "data-path" => used.data_path += spent,
            "journal-log" => used.log += spent,
            "journal-sync" | "journal-tiles" => used.disk += spent,
            "journal-index" => used.index += spent,
            _ => {}
        }
    }
    used
}
