//! Memory of an idle TLS session with a live grant that has run a statement: a thousand real ones before PostgreSQL, and as
//! many thousands as asked for before an upstream that only looks like one. Every peer is started afresh for it.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::Bench;
use crate::peers::{Name, Peer};
use crate::pgward::Pgward;
use crate::settings::Settings;
use crate::table::{Aim, Figures, Row};
use crate::{cpu, load, pgbouncer, relay, standin};

const REAL: usize = 1000;

pub fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = Vec::new();
    for sessions in [REAL, many(settings)] {
        rows.push(Row::new("5", memory(sessions), "KiB", Aim::AtMost(16.0)));
        rows.push(Row::new("5", waking(sessions), "% of a CPU", Aim::None));
    }
    rows
}

fn memory(sessions: usize) -> String {
    format!("memory of each of {sessions} idle sessions")
}

fn waking(sessions: usize) -> String {
    format!("CPU of {sessions} idle sessions")
}

/// Each session takes two open files of the proxy.
pub fn many(settings: &Settings) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(200) / 2;
    if crate::process::may_open_many() { settings.idle_sessions } else { settings.idle_sessions.min(room) }
}

/// # Errors
/// Where the sessions are not served.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let (stage, settings, server) = (&bench.stage, &bench.settings, &bench.server);
    let wants = |name| settings.peers.contains(&name);
    if wants(Name::Relay) {
        held(bench, figures, &relay::start(stage, server.port, &[])?, REAL)?;
    }
    if wants(Name::PgBouncer) {
        held(bench, figures, &pgbouncer::start(stage, settings, server, &[])?, REAL)?;
    }
    if wants(Name::Pgward) {
        held(bench, figures, &Pgward::start(stage, settings, "pgward-idle", server.port, &[])?.peer, REAL)?;
    }
    let sessions = many(settings);
    if sessions < settings.idle_sessions {
        figures.note(format!("{sessions} sessions, not {}: no more files may be opened here.", settings.idle_sessions));
    }
    let (upstream, _stand_in) = standin::start(stage, server.port)?;
    if wants(Name::Relay) {
        held(bench, figures, &relay::start(stage, upstream, &[])?, sessions)?;
    }
    if wants(Name::Pgward) {
        held(bench, figures, &Pgward::start(stage, settings, "pgward-many", upstream, &[])?.peer, sessions)?;
    }
    Ok(())
}

fn held(bench: &Bench, figures: &mut Figures, peer: &Peer, sessions: usize) -> Result<()> {
    let pid = peer.pid().context("no process")?;
    // What the first connections bring with them is not any session's.
    drop(load::hold(&bench.stage, peer, 4, STATEMENT)?);
    std::thread::sleep(Duration::from_secs(1));
    let before = cpu::memory(pid);
    let holder = load::hold(&bench.stage, peer, sessions, STATEMENT)?;
    std::thread::sleep(Duration::from_secs(3));
    figures.add(&memory(sessions), peer.name, (cpu::memory(pid) - before) / sessions as f64);
    let (used, seconds) = (peer.cpu(), 5);
    std::thread::sleep(Duration::from_secs(seconds));
    figures.add(&waking(sessions), peer.name, (peer.cpu() - used) / 1e9 / seconds as f64 * 100.0);
    drop(holder);
    bench.server.wait_for_quiet()
}

const STATEMENT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 1";
