//! Every client that people point at PostgreSQL, run twice: directly, and through pgward. What it says must be the same both
//! times, but for the few steps that pgward refuses or ends on purpose.
//!
//! `cargo test --test compat` runs the clients that install in seconds; `COMPAT=all` runs all, and writes docs/clients.md;
//! `COMPAT=asyncpg,jdbc` runs those.
//! A client that is not installed is reported as ignored, and is a failure where `COMPAT_REQUIRE=1`. `COMPAT_INSTALL=1`
//! installs them first. README.md beside this file says how a client is added.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod client;
mod compare;
mod install;
mod manifest;
mod report;
mod rig;
#[allow(dead_code, reason = "the integration tests' support has more than is needed here")]
#[path = "../integration/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};
use manifest::Client;
use report::Results;
use rig::Rig;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most of the time is spent waiting for a grant to end.
    arguments.test_threads.get_or_insert(4);
    let chosen = std::env::var("COMPAT").unwrap_or_default();
    let everything = chosen == "all";
    let is_chosen = |client: &Client| match chosen.as_str() {
        "" => client.fast,
        "all" => true,
        names => names.split(',').any(|name| name == client.name),
    };
    let clients: Vec<Client> = manifest::all().into_iter().filter(is_chosen).collect();
    if flag("COMPAT_INSTALL") {
        install::install(&clients);
    }
    let clients: Vec<Client> = clients.into_iter().filter(|client| is_wanted(&arguments, client)).collect();
    let (present, missing): (Vec<Client>, Vec<Client>) = clients.into_iter().partition(Client::is_installed);
    let rig = (!arguments.list && !present.is_empty()).then(|| Arc::new(Rig::start(&present)));
    let results = Arc::new(Mutex::new(Results::default()));
    let mut trials = vec![
        Trial::test("compat::a_difference_is_found", || compare::finds_differences().map_err(Failed::from)),
        // A run of everything writes it.
        Trial::test("compat::every_client_is_in_the_table", || report::names_every_client().map_err(Failed::from))
            .with_ignored_flag(everything),
    ];
    trials.extend(missing.into_iter().map(|client| not_installed(client, &results)));
    trials.extend(present.into_iter().map(|client| trial(client, rig.clone(), Arc::clone(&results))));
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(rig);
    if !chosen.is_empty() && !arguments.list {
        report::write(&results.lock().unwrap(), everything && arguments.filter.is_none() && arguments.skip.is_empty());
    }
    conclusion.exit_code()
}

/// Whether an environment variable says 1.
fn flag(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| value == "1")
}

fn is_wanted(arguments: &Arguments, client: &Client) -> bool {
    let name = client.trial();
    let asked = match &arguments.filter {
        Some(filter) if arguments.exact => name == *filter,
        Some(filter) => name.contains(filter.as_str()),
        None => true,
    };
    asked && !arguments.skip.iter().any(|skipped| name.contains(skipped.as_str()))
}

fn not_installed(client: Client, results: &Mutex<Results>) -> Trial {
    let required = flag("COMPAT_REQUIRE");
    let (name, text) = (client.trial(), format!("{} is not installed: {}", client.title, client.present));
    results.lock().unwrap().missing(client);
    Trial::test(name, move || Err(Failed::from(text))).with_ignored_flag(!required)
}

fn trial(client: Client, rig: Option<Arc<Rig>>, results: Arc<Mutex<Results>>) -> Trial {
    Trial::test(client.trial(), move || {
        let rig = rig.ok_or("no servers")?;
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client::run(&client, &rig)));
        let run = run.map_err(|cause| {
            let text = cause.downcast_ref::<String>().cloned();
            let text = text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
            Failed::from(text.unwrap_or_else(|| "panicked".to_owned()))
        })?;
        let judged = compare::judge(&client, &run);
        let wrong = compare::complaints(&judged);
        results.lock().unwrap().ran(client, run, judged);
        if wrong.is_empty() { Ok(()) } else { Err(Failed::from(wrong)) }
    })
}
