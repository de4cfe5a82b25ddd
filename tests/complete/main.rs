//! The proof that the journal is complete: mixed clients run statements through a pgward that is killed at random moments and
//! started again; then the server's own log of statements is held against the journal.
//!
//! What reached the server has a record; what a record says was completed is in the server's log; what was refused is not.
//! `PGWARD_COMPLETE_STATEMENTS` and `PGWARD_COMPLETE_KILLS` make the run longer; `PGWARD_COMPLETE_DURABILITY` is `synced` unless it
//! says `written`.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod compare;
mod drivers;
mod programs;
mod random;
mod server_log;
#[path = "../integration/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use random::Random;
use support::{Bench, Credentials, Proxy, Scopes, config, wait_until};

/// Every session of the run says this first in its application_name.
pub const MARK: &str = "cmp-";
/// Threads that run clients; one kind of client each, in turn.
const WORKERS: usize = 6;

fn main() -> ExitCode {
    let finds = Trial::test("complete::what_is_missing_is_found", || {
        compare::finds_what_is_missing();
        Ok(())
    });
    let trial = Trial::test("complete::the_journal_and_the_servers_log_agree", || {
        std::panic::catch_unwind(the_journal_and_the_servers_log_agree).map_err(|cause| {
            let text = cause.downcast_ref::<String>().cloned();
            text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default().into()
        })
    });
    libtest_mimic::run(&Arguments::from_args(), vec![finds, trial]).exit_code()
}

/// What a client needs to know.
#[derive(Debug)]
pub struct Work {
    pub proxy: Proxy,
    pub alice: Credentials,
    /// Statements that were sent, about.
    sent: AtomicUsize,
    target: usize,
    runs: AtomicUsize,
}

impl Work {
    /// A name for one run of a client, and a mark that is in each of its statements.
    pub fn name(&self, kind: &str) -> String {
        format!("{MARK}{kind}-{}", self.runs.fetch_add(1, Ordering::Relaxed))
    }

    /// Transactions of one run of pgbench: a long comparison is made of long runs.
    pub fn transactions(&self) -> usize {
        (self.target / 500).clamp(20, 400)
    }

    pub fn count(&self, statements: usize) {
        self.sent.fetch_add(statements, Ordering::Relaxed);
    }

    fn is_done(&self) -> bool {
        self.sent.load(Ordering::Relaxed) >= self.target
    }
}

fn the_journal_and_the_servers_log_agree() {
    let number = |name: &str, or| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(or);
    let (statements, kills) = (number("PGWARD_COMPLETE_STATEMENTS", 3_000), number("PGWARD_COMPLETE_KILLS", 3));
    let bench = Bench::start();
    // The bench is terse; what is compared are the values, too.
    bench.postgres.run("postgres", "ALTER ROLE pgw_admin SET log_error_verbosity = 'default'");
    bench.postgres.run("postgres", "ALTER ROLE pgw_admin SET timezone = 'UTC'");
    let durability = std::env::var("PGWARD_COMPLETE_DURABILITY").unwrap_or_else(|_| "synced".to_owned());
    let proxy = Proxy::start(&bench, &|setup| {
        config(setup, &Scopes::default()).replace("/audit\"\n", &format!("/audit\"\ndurability = \"{durability}\"\n"))
    });
    proxy.grant("alice", "plain-write", "8h");
    let alice = proxy.credentials("alice", "plain");
    let (sent, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = Arc::new(Work { proxy, alice, sent, target: statements, runs });
    let workers: Vec<_> = (0..WORKERS)
        .map(|index| {
            let work = Arc::clone(&work);
            std::thread::spawn(move || run_clients(&work, index))
        })
        .collect();
    let mut random = Random::new(0x5eed);
    for kill in 1..=kills {
        let after = statements * kill / (kills + 1);
        wait_until("the clients go on", Duration::from_secs(600), || work.sent.load(Ordering::Relaxed) >= after);
        std::thread::sleep(Duration::from_millis(random.below(300) as u64));
        work.proxy.crash_and_restart();
    }
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    settle(&bench);
    let verified = support::binary();
    let dir = work.proxy.setup.dir.join("audit");
    let report = std::process::Command::new(verified).args(["audit", "verify", "--dir"]).arg(&dir).output().unwrap();
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    let outcome = compare::compare(&compare::records(&dir), &server_log::statements(&bench.postgres.log()));
    println!("{kills} kills; {outcome}");
    outcome.check(statements, kills);
}

/// Waits until the server has finished what the run asked of it.
fn settle(bench: &Bench) {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '{MARK}%'");
    wait_until("the sessions end", Duration::from_secs(60), || bench.postgres.run("postgres", &sql) == "0");
}

fn run_clients(work: &Work, index: usize) {
    let mut random = Random::new(index as u64 + 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    while !work.is_done() {
        match index % 4 {
            0 => programs::psql(work, &mut random),
            1 => programs::pgbench(work, &mut random),
            2 => runtime.block_on(drivers::tokio_postgres(work, &mut random)),
            _ => match random.below(4) {
                0 => programs::cancelled(work),
                1 => programs::copies(work),
                2 => programs::killed(work),
                _ => runtime.block_on(drivers::tokio_postgres(work, &mut random)),
            },
        }
    }
}
