//! The program as its users meet it: the real binary, a real PostgreSQL over TLS, real `psql` and drivers.
//! One PostgreSQL serves the whole run; every case that needs a proxy of its own starts one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod support;

mod asking;
mod audit;
mod bad_input;
mod binding;
mod bounds;
mod certificates;
mod clients;
mod control;
mod ddl;
mod denials;
mod ends;
mod faults;
mod guards;
mod held;
mod hosts;
mod judge;
mod lives;
mod login;
mod login_cli;
mod monitoring;
mod opinions;
mod permissions;
mod records;
mod replica_faults;
mod replicas;
mod residency;
mod restarts;
mod retention;
mod roles;
mod servers;
mod statements;
mod tokens;
mod unusual;
mod usage;
mod web;
mod witness;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use support::Bench;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    let bench = Arc::new(Bench::start());
    let conclusion = libtest_mimic::run(&arguments, trials(Some(&bench)));
    drop(bench);
    conclusion.exit_code()
}

type Case = (&'static str, fn(&Bench));

fn trials(bench: Option<&Arc<Bench>>) -> Vec<Trial> {
    let cases: Vec<Case> = [
        asking::CASES,
        held::CASES,
        certificates::CASES,
        clients::CASES,
        denials::CASES,
        ends::CASES,
        audit::CASES,
        control::CASES,
        ddl::CASES,
        bad_input::CASES,
        binding::CASES,
        bounds::CASES,
        faults::CASES,
        guards::CASES,
        hosts::CASES,
        judge::CASES,
        lives::CASES,
        login::CASES,
        login_cli::CASES,
        monitoring::CASES,
        opinions::CASES,
        records::CASES,
        permissions::CASES,
        residency::CASES,
        replicas::CASES,
        replica_faults::CASES,
        restarts::CASES,
        retention::CASES,
        roles::CASES,
        servers::CASES,
        statements::CASES,
        web::CASES,
        tokens::CASES,
        unusual::CASES,
        usage::CASES,
        witness::CASES,
    ]
    .concat();
    cases
        .into_iter()
        .map(|(name, case)| {
            let bench = bench.cloned();
            Trial::test(name, move || run(bench.as_deref(), case))
        })
        .collect()
}

fn run(bench: Option<&Bench>, case: fn(&Bench)) -> Result<(), Failed> {
    let bench = bench.ok_or("no bench")?;
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(bench))).map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
        Failed::from(text.unwrap_or_else(|| "panicked".to_owned()))
    })
}
