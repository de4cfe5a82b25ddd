//! The end-to-end benchmark: PostgreSQL, a relay that does nothing, PgBouncer and pgward side by side in one run, and one
//! table of what pgward must reach and does.
//!
//! ```console
//! $ make bench                                  # everything, about 20 minutes
//! $ make bench ROUNDS=1 SECONDS=2               # quick
//! $ make bench PARTS=transactions,latency CLIENTS=16 PROTOCOLS=prepared PEERS=pgbouncer,pgward
//! $ make bench-scale                            # thousands of sessions and grants, gigabytes through one session
//! ```
//!
//! `PIN=none` lets the kernel choose CPUs; `PGWARD_BIN` and `PGBOUNCER` name other programs; `settings.rs` has the rest.
//! Everything that is started ends with this program, and the figures lie in `target/bench/results.json` besides.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark"
)]

mod bench;
mod bulk;
mod calls;
mod client;
mod connections;
mod control;
mod cpu;
mod idle;
mod instructions;
mod latency;
mod library;
mod load;
mod peers;
mod pgbench;
mod pgbouncer;
mod pgward;
mod postgres;
mod process;
mod profile;
mod relay;
mod revoke;
mod scale;
mod settings;
mod standin;
mod table;
mod transactions;

use anyhow::{Result, bail};

use bench::Bench;
use process::Stage;
use settings::Settings;
use table::{Figures, Row};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    match begin() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn begin() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.split_first() {
        None => measure(&Settings::from_environment()?),
        Some((role, rest)) => match role.as_str() {
            "janitor" => {
                process::clean_up(rest[0].as_ref());
                Ok(())
            }
            "relay" => relay::serve(rest),
            "stand-in" => standin::serve(rest),
            "load" => load::work(rest),
            other => bail!("{other} is no role; parts are chosen by PARTS="),
        },
    }
}

fn measure(settings: &Settings) -> Result<()> {
    let stage = Stage::set(settings.cpu)?;
    let mut figures = Figures::default();
    // What the library's benchmarks say needs no server.
    let served = settings.parts.iter().any(|part| !["verdict", "journal"].contains(&part.as_str()));
    let bench = if served { Some(Bench::start(&stage, settings)?) } else { None };
    figures.note(about(settings));
    let measured = parts(settings, bench.as_ref(), &mut figures);
    let rows = rows(settings);
    figures.write(&settings.results, &rows)?;
    println!("{}", figures.table(&rows));
    measured
}

/// What the figures are of: they are to be compared within one run only.
fn about(settings: &Settings) -> String {
    let first_line = |program: &std::path::Path| -> String {
        let output = std::process::Command::new(program).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or("?").to_owned()
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    format!(
        "{} × {}; Linux {}; {}; {}; {} rounds of {} s, {}; load at the start {}.",
        std::thread::available_parallelism().map_or(0, usize::from),
        model.unwrap_or("?"),
        read("/proc/sys/kernel/osrelease").trim(),
        first_line("psql".as_ref()),
        first_line(&settings.pgbouncer),
        settings.rounds,
        settings.seconds,
        settings.cpu.map_or_else(|| "unpinned".to_owned(), |cpu| format!("everything on CPU {cpu}")),
        read("/proc/loadavg").split(' ').next().unwrap_or("?"),
    )
}

/// A part that fails does not keep the others from being measured.
fn parts(settings: &Settings, bench: Option<&Bench>, figures: &mut Figures) -> Result<()> {
    let mut failed = Vec::new();
    for name in &settings.parts {
        let started = std::time::Instant::now();
        eprintln!("{name}");
        if let Err(error) = part(name, settings, bench, figures) {
            figures.note(format!("{name} was not measured to its end: {error:#}"));
            failed.push(name.as_str());
        }
        eprintln!("  {name} took {:.0} s", started.elapsed().as_secs_f64());
    }
    anyhow::ensure!(failed.is_empty(), "not measured to their end: {}", failed.join(", "));
    Ok(())
}

fn part(name: &str, settings: &Settings, bench: Option<&Bench>, figures: &mut Figures) -> Result<()> {
    let Some(bench) = bench.filter(|_| !["verdict", "journal"].contains(&name)) else {
        return if name == "verdict" { library::verdicts(figures) } else { library::journal(settings, figures) };
    };
    match name {
        "transactions" => transactions::measure(bench, figures),
        "calls" => calls::measure(bench, figures),
        "instructions" => instructions::measure(bench, figures),
        "latency" => latency::measure(bench, figures),
        "bulk" => bulk::measure(bench, figures),
        "connections" => connections::measure(bench, figures),
        "idle" => idle::measure(bench, figures),
        "revoke" => revoke::measure(bench, figures),
        "scale" => scale::measure(bench, figures),
        "profile" => profile::measure(bench),
        other => bail!("{other} is no part"),
    }
}

fn rows(settings: &Settings) -> Vec<Row> {
    [
        transactions::rows(settings),
        instructions::rows(settings),
        calls::rows(settings),
        latency::rows(settings),
        bulk::rows(),
        connections::rows(),
        idle::rows(settings),
        library::verdict_rows(),
        library::journal_rows(),
        revoke::rows(),
        scale::rows(settings),
    ]
    .concat()
}
