//! Peers that attack: clients that break the protocol or bend it, and servers that lie. Each case asserts that the attack is
//! refused or comes to nothing, that the journal knows of it, that nobody else notices, and that nothing of pgward panicked.
//! One PostgreSQL serves the whole run; each case has a server of sessions of its own in front of it.
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
mod bounds;
mod cursors;
mod evil;
mod login;
mod messages;
mod opening;
mod pipelines;
#[path = "../support/postgres.rs"]
mod postgres;
mod server_login;
mod server_replies;
mod texts;
mod world;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use postgres::TestPostgres;
use world::{Case, World};

/// Where the program under test has panicked, on whatever thread.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let cases: Vec<Case> = [
        opening::CASES,
        login::CASES,
        messages::CASES,
        pipelines::CASES,
        texts::CASES,
        cursors::CASES,
        server_login::CASES,
        server_replies::CASES,
        bounds::connections::CASES,
        bounds::logins::CASES,
        bounds::sessions::CASES,
        bounds::reading::CASES,
    ]
    .concat();
    if arguments.list {
        let trials = cases.iter().map(|(name, _)| Trial::test(*name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    watch_for_panics();
    let postgres = Arc::new(TestPostgres::start());
    runtime().block_on(bench::fill(&postgres));
    let trials = cases.into_iter().map(|(name, case)| {
        let world = World { postgres: Arc::clone(&postgres) };
        Trial::test(name, move || run(world, case))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    drop(postgres);
    conclusion.exit_code()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn run(world: World, case: fn(World) -> world::Running) -> Result<(), Failed> {
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let limit = std::time::Duration::from_secs(60);
        let ran = runtime().block_on(async move { tokio::time::timeout(limit, case(world)).await });
        assert!(ran.is_ok(), "takes longer than {limit:?}");
    }));
    let panics = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
    if !panics.is_empty() {
        return Err(format!("pgward panicked: {panics:?}").into());
    }
    ran.map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
        Failed::from(text.unwrap_or_else(|| "panicked".to_owned()))
    })
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
