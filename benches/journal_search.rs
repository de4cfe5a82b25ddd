//! How long it takes to find something in a large journal. Writes one with realistic variety and prints what searches cost.
//!
//! `PGWARD_BENCH_RECORDS` says how many records (default 1,000,000); `PGWARD_BENCH_DIR` where, so that a journal that is
//! there already is searched again instead of being written anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use pgward::access::{GrantId, Operation, Region, RequestId, SessionId};
use pgward::audit::{
    Durability, EndedBy, Event, Filter, Finder, Journal, Protocol, Record, RecordedRelation, RecordedVerdict, Settings,
    index,
};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let count: u64 = std::env::var("PGWARD_BENCH_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let kept = std::env::var_os("PGWARD_BENCH_DIR").map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let dir = kept.unwrap_or_else(|| temporary.path().join("audit"));
    let end =
        START.parse::<Timestamp>().unwrap() + SignedDuration::from_micros((count * MICROS_A_RECORD).cast_signed());
    if dir.join("lock").exists() {
        println!("{}: a journal is there already", dir.display());
    } else {
        write(&dir, count);
    }
    let started = Instant::now();
    let made = index::bring_up_to_date(&dir).unwrap();
    let (journal, indexes) = (bytes_in(&dir), bytes_in(&dir.join("index")));
    println!("{made} indexes were missing and made in {:.1?}", started.elapsed());
    println!("journal {} MiB, indexes {} MiB\n", journal >> 20, indexes >> 20);
    measure(&dir, end);
}

fn measure(dir: &Path, end: Timestamp) {
    let some = |text: &str| Some(text.to_owned());
    let of = Filter { limit: Some(100), ..Filter::default() };
    let ago = |minutes: i64| Some(end - SignedDuration::from_mins(minutes));
    let start = START.parse::<Timestamp>().unwrap();
    let middle = start + SignedDuration::from_millis((end.as_millisecond() - start.as_millisecond()) / 2);
    let searches = [
        ("rare principal", Filter { principal: some("mallory"), ..of.clone() }),
        ("one grant", Filter { grant: some("gr_7"), ..of.clone() }),
        ("no such session", Filter { session: some("se_none"), ..of.clone() }),
        (
            "relation, an hour in the middle",
            Filter {
                relation: some("public.t17"),
                since: Some(middle - SignedDuration::from_mins(30)),
                until: Some(middle + SignedDuration::from_mins(30)),
                ..of.clone()
            },
        ),
        ("column", Filter { column: some("public.customers.ssn"), ..of.clone() }),
        ("denied in the last hour", Filter { verdict: Some(RecordedVerdict::Deny), since: ago(60), ..of.clone() }),
        ("rare text", Filter { text: some("needle in the haystack"), ..of.clone() }),
        ("text that is nowhere", Filter { text: some("drop database shop"), ..of.clone() }),
        ("common text", Filter { text: some("where o.customer_id ="), ..of.clone() }),
        ("rows > 100000", Filter { rows: Some(">100000".parse().unwrap()), ..of.clone() }),
        (
            "rows > 1000 of one relation",
            Filter {
                rows: Some(">1000".parse().unwrap()),
                relation: some("public.t3"),
                event: Some(Event::Statement),
                ..of.clone()
            },
        ),
        ("region", Filter { region: some("ap"), ..of.clone() }),
        ("sqlstate 57014 by a principal", Filter { sqlstate: some("57014"), principal: some("user12"), ..of.clone() }),
        ("the newest ten", Filter { limit: Some(10), ..of.clone() }),
        ("10,000 of a principal", Filter { principal: some("user12"), limit: Some(10_000), ..of }),
    ];
    println!("{:<34} {:>7} {:>12} {:>12}", "search", "found", "first", "again");
    for (name, filter) in searches {
        // Nothing of the indexes is in the process's memory; much of the files may be in the system's.
        let finder = Finder::new(dir);
        let (found, first) = timed(&finder, &filter);
        let (_, again) = timed(&finder, &filter);
        println!("{name:<34} {found:>7} {first:>12.1?} {again:>12.1?}");
    }
}

fn timed(finder: &Finder, filter: &Filter) -> (usize, Duration) {
    let started = Instant::now();
    let found = finder.search(filter, |_| true).unwrap().len();
    (found, started.elapsed())
}

fn write(dir: &Path, count: u64) {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let journal = Journal::open(Settings::new(dir.to_owned(), Durability::Written)).unwrap();
    let mut world = World { random: 42, time: START.parse().unwrap(), records: Vec::new(), next: 2 };
    while world.next < count {
        world.session();
        if world.records.len() > 2000 {
            runtime.block_on(journal.record_all(std::mem::take(&mut world.records))).unwrap();
        }
    }
    runtime.block_on(journal.record_all(std::mem::take(&mut world.records))).unwrap();
    println!("{} records written in {:.1?}", world.next, started.elapsed());
    runtime.block_on(journal.close()).unwrap();
    drop::<Arc<Journal>>(journal);
}

struct World {
    random: u64,
    time: Timestamp,
    records: Vec<Record>,
    next: u64,
}

impl World {
    fn below(&mut self, bound: u64) -> u64 {
        // Steele and Vigna's SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn push(&mut self, mut record: Record) -> u64 {
        self.time += SignedDuration::from_micros(MICROS_A_RECORD.cast_signed());
        record.time = self.time;
        self.records.push(record);
        self.next += 1;
        self.next - 1
    }

    /// A session of a person or a program: opened, used, closed; now and then a grant before it.
    fn session(&mut self) {
        let who = match self.below(3000) {
            0 => "mallory".to_owned(),
            _ => format!("user{}", self.below(200)),
        };
        let mut base = Record::new(self.time, Event::SessionOpen);
        let grant = self.below(2000).min(self.below(2000));
        base.principal = Some(who);
        base.groups = vec!["dev".to_owned()];
        base.session = Some(SessionId::from_text(format!("se_{:016x}{:016x}", self.below(u64::MAX), self.next)));
        base.client_addr = Some(format!("10.20.{}.{}:{}", self.below(256), self.below(256), 1024 + self.below(60000)));
        base.client_region = Some(Region::new(["us", "us", "us", "eu"][self.below(4) as usize]));
        base.upstream_region = Some(Region::new(if self.below(500) == 0 { "ap" } else { "us" }));
        base.application_name = Some(["psql", "billing", "DBeaver", "pgbench"][self.below(4) as usize].to_owned());
        base.database = Some("shop".to_owned());
        base.grant = Some(GrantId::from_text(format!("gr_{grant}")));
        base.request = Some(RequestId::from_text(format!("req_{grant}")));
        base.reason = Some(format!("INC-{grant}: totals look wrong"));
        base.approvers = vec!["bob".to_owned()];
        if self.below(20) == 0 {
            self.push(Record { event: Event::GrantCreated, session: None, ..base.clone() });
        }
        self.push(base.clone());
        for _ in 0..1 + self.below(60) {
            self.statement(&base);
        }
        self.push(Record { event: Event::SessionClose, ..base });
    }

    fn statement(&mut self, base: &Record) {
        let table = self.below(40).min(self.below(40));
        let id = self.below(1_000_000);
        let other = self.below(100);
        let (kind, text, columns): (&str, String, &[&str]) = match self.below(100) {
            0..40 => (
                "SELECT",
                format!("SELECT id, name, amount FROM public.t{table} WHERE id = {id}"),
                &["id", "name", "amount"],
            ),
            40..60 => (
                "SELECT",
                format!(
                    "SELECT o.id, o.total, c.name FROM public.orders o JOIN public.t{table} c ON c.id = o.id WHERE o.customer_id = {id} ORDER BY o.id DESC LIMIT {other}"
                ),
                &["id", "total", "name", "customer_id"],
            ),
            60..75 => (
                "UPDATE",
                format!("UPDATE public.t{table} SET name = 'customer {id}', changed = now() WHERE id = {id}"),
                &["id", "name", "changed"],
            ),
            75..85 => (
                "INSERT",
                format!("INSERT INTO public.t{table} (id, name, email) VALUES ({id}, 'n{id}', 'n{id}@example.org')"),
                &["id", "name", "email"],
            ),
            85..95 => (
                "SELECT",
                format!(
                    "SELECT count(*) FROM public.t{table} WHERE created > '2026-0{}-1{}'",
                    1 + other % 9,
                    other % 10
                ),
                &["created"],
            ),
            95..98 => ("BEGIN", "BEGIN".to_owned(), &[]),
            _ => (
                "SELECT",
                format!(
                    "SELECT s.a{other}, s.b{table} FROM public.t{table} s /* report {id} */ GROUP BY 1, 2 HAVING sum(s.b{table}) > {id}"
                ),
                &["a", "b"],
            ),
        };
        let text = if self.below(200_000) == 0 { format!("{text} -- needle in the haystack") } else { text };
        let mut record = Record { event: Event::Statement, ..base.clone() };
        let relation = RecordedRelation {
            name: format!("public.t{table}"),
            operation: Operation::Select,
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
        };
        record.relations = if columns.is_empty() { Vec::new() } else { vec![relation] };
        if self.below(50_000) == 0 {
            record.relations = vec![RecordedRelation {
                name: "public.customers".to_owned(),
                operation: Operation::Select,
                columns: vec!["id".to_owned(), "ssn".to_owned()],
            }];
        }
        record.kind = Some(kind.to_owned());
        record.fingerprint = Some(format!("{:032x}", u128::from(table) << 64 | u128::from(text.len() as u64)));
        record.statement = Some(text);
        record.protocol = Some(Protocol::Simple);
        record.policy_version = Some(3);
        if self.below(1000) == 0 {
            record.verdict = Some(RecordedVerdict::Deny);
            record.rule = Some("relation".to_owned());
            record.detail = Some(format!("permission denied for table t{table}: the grant does not name it"));
            self.push(record);
            return;
        }
        record.verdict = Some(RecordedVerdict::Allow);
        let seq = self.push(record);
        let mut end = Record { event: Event::StatementEnd, grant: None, request: None, reason: None, ..base.clone() };
        end.approvers = Vec::new();
        end.statement_seq = Some(seq);
        let size = self.below(18);
        end.rows = Some(if self.below(1000) == 0 { self.below(1 << size) * 10 } else { self.below(30) });
        end.bytes = end.rows.map(|rows| rows * 57);
        end.duration_us = Some(300 + self.below(5000));
        end.ended_by = Some(EndedBy::Completed);
        end.command_tag = Some(format!("{kind} 1"));
        if self.below(500) == 0 {
            end.sqlstate = Some(["57014", "22012", "23505"][self.below(3) as usize].to_owned());
            end.ended_by = Some(EndedBy::Error);
        }
        self.push(end);
    }
}

fn bytes_in(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().flatten().filter_map(|entry| entry.metadata().ok());
    files.filter(|metadata| metadata.is_file()).map(|metadata| metadata.len()).sum()
}

const START: &str = "2026-11-15T00:00:00Z";
/// Fifty million records in a week.
const MICROS_A_RECORD: u64 = 7 * 24 * 3600 * 1_000_000 / 50_000_000;
