//! System calls of the proxy per transaction, counted by `perf stat` where perf is there and may count them.

use std::process::{Command, Stdio};

use anyhow::Result;
use rustix::process::Signal;

use crate::bench::Bench;
use crate::pgbench::{self, Load};
use crate::settings::Settings;
use crate::table::{Aim, Figures, Row};

pub fn rows(settings: &Settings) -> Vec<Row> {
    let rows = settings.protocols.iter().flat_map(|protocol| {
        settings.clients.iter().map(|clients| Row::new("1", key(protocol, *clients), "", Aim::AtMost(4.5)))
    });
    rows.collect()
}

fn key(protocol: &str, clients: u32) -> String {
    format!("system calls per {protocol} transaction, c={clients}")
}

/// # Errors
/// Where pgbench fails.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    if !may_count() {
        figures.note("System calls are not counted: perf is not there, or may not count raw_syscalls:sys_enter.");
        return Ok(());
    }
    for clients in &bench.settings.clients {
        for protocol in &bench.settings.protocols {
            for (peer, pid) in bench.proxies() {
                let log = bench.stage.path("calls");
                let mut command = Command::new("perf");
                command.args(["stat", "-x,", "-e", EVENT, "-p", &pid.to_string(), "-o"]).arg(&log);
                let perf = bench.stage.start("perf", command, Signal::INT)?;
                std::thread::sleep(std::time::Duration::from_millis(500));
                let load = Load::transactions(protocol, *clients, 1000);
                let run = pgbench::run(&bench.stage, &bench.server, peer, &load)?;
                perf.end();
                if let Some(calls) = counted(&std::fs::read_to_string(&log)?) {
                    figures.add(&key(protocol, *clients), peer.name, calls / run.transactions);
                }
            }
        }
    }
    Ok(())
}

const EVENT: &str = "raw_syscalls:sys_enter";

fn may_count() -> bool {
    let mut command = Command::new("perf");
    command.args(["stat", "-x,", "-e", EVENT, "--", "sleep", "0.1"]).stderr(Stdio::piped());
    let counted_some = |output: std::process::Output| counted(&String::from_utf8_lossy(&output.stderr)).is_some();
    command.output().is_ok_and(counted_some)
}

fn counted(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains(EVENT))?;
    line.split(',').next()?.parse().ok()
}
