//! Whether a client can tell pgward from PostgreSQL, but for what is refused: scripts by chance are spoken through pgward and,
//! with the refused steps replaced by ones that fail, to the server itself. Every answer has to be the same, and what is in
//! the tables afterwards. `docs/soak-and-model.md` says what is spoken and what is excepted.
//!
//! `PGWARD_MODEL_SCRIPTS` and `PGWARD_MODEL_SEED` say how many and which; `PGWARD_MODEL_WORKERS` how many at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_debug_implementations,
    dead_code
)]

#[path = "../session/bench.rs"]
mod bench;
mod found;
mod generate;
mod play;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../complete/random.rs"]
mod random;
mod reduce;
mod step;
mod texts;
mod walk;
mod wire;
mod worker;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use postgres::TestPostgres;
use wire::Wire;
use worker::Seeds;

/// Where the program under test has panicked, on whatever thread.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> ExitCode {
    let trial = Trial::test("model::a_client_cannot_tell", a_client_cannot_tell);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn a_client_cannot_tell() -> Result<(), Failed> {
    let number = |name: &str, or| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(or);
    let (scripts, first) = (number("PGWARD_MODEL_SCRIPTS", 400), number("PGWARD_MODEL_SEED", 1));
    let workers = number("PGWARD_MODEL_WORKERS", 4).min(scripts);
    watch_for_panics();
    let postgres = Arc::new(TestPostgres::start());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let failures: Vec<String> = runtime.block_on(async {
        make_databases(&postgres, workers).await;
        let works = (0..workers).map(|index| {
            let seeds = Seeds { first: first + index, end: first + scripts, step: workers };
            worker::work(Arc::clone(&postgres), index as usize, seeds)
        });
        let found = worker::work_on_found(Arc::clone(&postgres)).await;
        [found, futures_util::future::join_all(works).await.concat()].concat()
    });
    let panics = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
    println!("{scripts} scripts from seed {first}: {} differences, {} panics", failures.len(), panics.len());
    if failures.is_empty() && panics.is_empty() {
        return Ok(());
    }
    let log = std::fs::read_to_string(postgres.socket_directory().join("log")).unwrap_or_default();
    let grave = |line: &&str| ["PANIC", "terminated by signal", "too many"].iter().any(|word| line.contains(word));
    println!("of the server's log: {:?}", log.lines().filter(grave).collect::<Vec<_>>());
    Err(format!("{}\npanics: {panics:?}", failures.join("\n\n")).into())
}

async fn make_databases(postgres: &TestPostgres, workers: u64) {
    let mut admin = Wire::plain(postgres, "postgres").await;
    admin.run("CREATE DATABASE model").await;
    let mut model = Wire::plain(postgres, "model").await;
    model.run(texts::SCHEMA).await;
    drop(model);
    // Copies have the same numbers for the same tables: RowDescription tells them.
    for number in 0..workers {
        for side in ["guarded", "plain"] {
            let mut tries = 0;
            while !admin.tries(&format!("CREATE DATABASE {side}{number} TEMPLATE model")).await {
                // The connection that filled it may not be gone yet.
                tries += 1;
                assert!(tries < 100, "the template stays in use");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

/// A panic of a session is caught there: it would go unseen.
fn watch_for_panics() {
    let former = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if let Some(place) = info.location().filter(|place| place.file().starts_with("src/")) {
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(place.to_string());
        }
        former(info);
    }));
}
