//! Whether pgward stays as it was: clients of all kinds, and all kinds of harm done to them and to it, for as long as is asked
//! for; then everybody leaves, and nothing of them may be left. `docs/soak-and-model.md` says what is done and how it is judged.
//!
//! `SOAK_MINUTES` says how long, 20 seconds unless it does; `PGWARD_TEST_BINARY` names the program.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod attacks;
#[path = "../complete/drivers.rs"]
mod drivers;
mod outsiders;
#[path = "../complete/programs.rs"]
mod programs;
#[path = "../complete/random.rs"]
mod random;
mod raw;
mod samples;
#[path = "../integration/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use random::Random;
use samples::Samples;
use support::{Bench, Credentials, Proxy, Scopes, config};

/// Every session of the soak begins its application_name with this.
pub const MARK: &str = "soak-";

fn main() -> ExitCode {
    let trial = Trial::test("soak::nothing_is_left", || {
        std::panic::catch_unwind(nothing_is_left).map_err(|cause| {
            let text = cause.downcast_ref::<String>().cloned();
            let text = text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
            Failed::from(text.unwrap_or_else(|| "panicked".to_owned()))
        })
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// What everybody needs to know.
#[derive(Debug)]
pub struct Work {
    pub bench: Bench,
    pub proxy: Proxy,
    pub alice: Credentials,
    pub erin: Credentials,
    end: Instant,
    /// Statements that were sent, about, and what was done besides.
    sent: AtomicUsize,
    runs: AtomicUsize,
    pub harm: AtomicUsize,
}

impl Work {
    /// A name for one run of a client, and a mark that is in each of its statements.
    pub fn name(&self, kind: &str) -> String {
        format!("{MARK}{kind}-{}", self.runs.fetch_add(1, Ordering::Relaxed))
    }

    /// Transactions of one run of pgbench.
    pub fn transactions(&self) -> usize {
        40
    }

    pub fn count(&self, statements: usize) {
        self.sent.fetch_add(statements, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// Waits so long, or until it is all over.
    pub fn pause(&self, pause: Duration) {
        let until = (Instant::now() + pause).min(self.end);
        while Instant::now() < until {
            std::thread::sleep((until - Instant::now()).min(Duration::from_millis(200)));
        }
    }
}

fn nothing_is_left() {
    let minutes: Option<f64> = std::env::var("SOAK_MINUTES").ok().and_then(|text| text.parse().ok());
    let length = Duration::from_secs_f64(minutes.map_or(20.0, |minutes| minutes * 60.0));
    let bench = Bench::start();
    let proxy = Proxy::start(&bench, &|setup| {
        let scopes = Scopes { proxy: "handshake_timeout = \"5s\"\n".to_owned(), ..Scopes::default() };
        config(setup, &scopes)
    });
    proxy.grant("alice", "plain-write", "8h");
    let (alice, erin) = (proxy.credentials("alice", "plain"), proxy.credentials("erin", "plain"));
    let work = Work {
        bench,
        proxy,
        alice,
        erin,
        end: Instant::now() + length,
        sent: AtomicUsize::new(0),
        runs: AtomicUsize::new(0),
        harm: AtomicUsize::new(0),
    };
    warm_up(&work);
    let before = samples::settled(&work, None);
    let work = Arc::new(Work { end: Instant::now() + length, ..work });
    println!("{}\n{before}", samples::HEADER);
    let samples = run(&work, length, before);
    let after = samples::settled(&work, Some(before));
    println!("{after}");
    let (sent, harm) = (work.sent.load(Ordering::Relaxed), work.harm.load(Ordering::Relaxed));
    println!("{} s, about {sent} statements, {harm} acts of harm", length.as_secs());
    after.check_nothing_is_left(&before);
    samples.check_memory(length);
    check_journal(&work);
    check_log(&work.proxy.log());
}

/// Everything that is made once is made before the first look: catalogs, caches, threads.
fn warm_up(work: &Work) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut random = Random::new(1);
    for _ in 0..4 {
        runtime.block_on(drivers::tokio_postgres(work, &mut random));
    }
    let grant = work.proxy.grant("erin", "plain-read", "1h");
    work.proxy.revoke(&grant);
    work.proxy.metrics();
}

/// Has everybody do what they do until the end, and looks on.
fn run(work: &Arc<Work>, length: Duration, first: samples::Sample) -> Samples {
    type Act = fn(&Work, &mut Random);
    let actors: &[(Act, u64)] = &[
        (clients, 400),
        (clients, 400),
        (clients, 400),
        (programs_of_postgresql, 4_000),
        (attacks::strangers, 400),
        (attacks::users, 500),
        (attacks::slow_reader, 1_000),
        (attacks::slow_reader, 3_000),
        (outsiders::kills, 3_000),
        (outsiders::grants, 6_000),
        (outsiders::reloads, 15_000),
        (outsiders::changes_tables, 7_000),
    ];
    let threads: Vec<_> = actors
        .iter()
        .enumerate()
        .map(|(index, (act, pause))| {
            let (work, act) = (Arc::clone(work), *act);
            let pause = Duration::from_millis(*pause);
            std::thread::spawn(move || {
                let mut random = Random::new(index as u64 + 1);
                while !work.is_over() {
                    act(&work, &mut random);
                    work.pause(pause / 2 + pause * u32::try_from(random.below(100)).unwrap() / 100);
                }
            })
        })
        .collect();
    let mut samples = Samples::new(first);
    let every = Duration::from_secs(10).min(length / 8);
    while !work.is_over() {
        work.pause(every);
        println!("{}", samples.push(samples::sample(work)));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    samples
}

fn clients(work: &Work, random: &mut Random) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(drivers::tokio_postgres(work, random));
}

fn programs_of_postgresql(work: &Work, random: &mut Random) {
    match random.below(5) {
        0 => programs::psql(work, random),
        1 => programs::pgbench(work, random),
        2 => programs::cancelled(work),
        3 => programs::copies(work),
        _ => programs::killed(work),
    }
}

fn check_journal(work: &Work) {
    let dir = work.proxy.setup.dir.join("audit");
    let verified = std::process::Command::new(support::binary()).args(["audit", "verify", "--dir"]).arg(&dir).output();
    let verified = verified.unwrap();
    println!("{}", String::from_utf8_lossy(&verified.stdout).trim_end());
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// What is logged as an error is one of pgward's: clients, servers and people who err are no more than warned of.
fn check_log(log: &str) {
    let is_bad = |line: &&str| line.contains(" ERROR ") || line.contains("panicked");
    let bad: Vec<&str> = log.lines().filter(is_bad).take(10).collect();
    assert!(bad.is_empty(), "in the log: {}", bad.join("\n"));
}
