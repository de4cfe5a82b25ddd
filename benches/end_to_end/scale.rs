//! What grows and what does not: the cost of a statement as sessions and grants become many, memory as results, prepared
//! statements and distinct texts do. Sessions end at an upstream that only looks like PostgreSQL.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::peers::{Name, Peer};
use crate::pgward::{Holder, Pgward};
use crate::settings::Settings;
use crate::table::{Aim, Figures, Row};
use crate::{cpu, idle, load, relay, standin};

const SESSIONS: [usize; 4] = [1, 16, 100, 1000];
const ACTIVE: usize = 1000;
const STATEMENT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 1";
const PREPARED: u64 = 1000;

const RESULT: &str = "memory that one session with a long result adds at most";
const OF_PREPARED: &str = "memory of 1,000 prepared statements in one session";
const HALF: &str = "memory that the first half of many distinct statements adds";
const WHOLE: &str = "memory that the second half of many distinct statements adds";

pub fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows: Vec<Row> =
        SESSIONS.iter().map(|sessions| Row::new("scale", active(*sessions), "µs", Aim::None)).collect();
    rows.push(Row::new("scale", beside(settings), "µs", Aim::None));
    for holder in [None, Some(Holder::Others), Some(Holder::Same)] {
        rows.push(Row::new("scale", granted(settings, holder), "µs", Aim::None));
        rows.push(Row::new("scale", at_rest(settings, holder), "% of a CPU", Aim::None));
        rows.push(Row::new("scale", held(settings, holder), "MiB", Aim::None));
    }
    rows.extend([
        Row::new("3", RESULT, "MiB", Aim::AtMost(8.0)),
        Row::new("scale", OF_PREPARED, "KiB", Aim::None),
        Row::new("scale", HALF, "MiB", Aim::None),
        Row::new("scale", WHOLE, "MiB", Aim::None),
    ]);
    rows
}

fn active(sessions: usize) -> String {
    format!("CPU per statement, sessions={sessions}")
}

fn beside(settings: &Settings) -> String {
    format!("CPU per statement, sessions={ACTIVE} beside {} idle ones", idle::many(settings).saturating_sub(ACTIVE))
}

fn grants(settings: &Settings, holder: Option<Holder>) -> String {
    match holder {
        None => "1 live grant".to_owned(),
        Some(Holder::Others) => format!("{} live grants of others", settings.grants),
        Some(Holder::Same) => format!("{} live grants of one's own", settings.grants),
    }
}

fn granted(settings: &Settings, holder: Option<Holder>) -> String {
    format!("CPU per statement, {}", grants(settings, holder))
}

fn at_rest(settings: &Settings, holder: Option<Holder>) -> String {
    format!("CPU at rest, {}", grants(settings, holder))
}

fn held(settings: &Settings, holder: Option<Holder>) -> String {
    format!("memory, {}", grants(settings, holder))
}

/// # Errors
/// Where sessions are refused.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let (stage, settings) = (&bench.stage, &bench.settings);
    let (upstream, _stand_in) = standin::start(stage, bench.server.port)?;
    if settings.peers.contains(&Name::Relay) {
        sessions(bench, figures, &relay::start(stage, upstream, &[])?)?;
    }
    let mut pgward = Pgward::start(stage, settings, "pgward-scale", upstream, &[])?;
    sessions(bench, figures, &pgward.peer)?;
    statements(bench, figures, &pgward.peer)?;
    for holder in [None, Some(Holder::Others), Some(Holder::Same)] {
        pgward.restart_with(holder.map(|holder| (settings.grants, holder)))?;
        let pid = pgward.peer.pid().context("no process")?;
        figures.add(&granted(settings, holder), Name::Pgward, per_statement(bench, &pgward.peer, 16)?);
        std::thread::sleep(Duration::from_secs(2));
        let before = pgward.peer.cpu();
        std::thread::sleep(Duration::from_secs(5));
        figures.add(&at_rest(settings, holder), Name::Pgward, (pgward.peer.cpu() - before) / 5e9 * 100.0);
        figures.add(&held(settings, holder), Name::Pgward, cpu::memory(pid) / 1024.0);
    }
    drop(pgward);
    result(bench, figures)
}

fn sessions(bench: &Bench, figures: &mut Figures, peer: &Peer) -> Result<()> {
    for sessions in SESSIONS {
        figures.add(&active(sessions), peer.name, per_statement(bench, peer, sessions)?);
    }
    let idle = idle::many(&bench.settings).saturating_sub(ACTIVE);
    let holder = load::hold(&bench.stage, peer, idle, "")?;
    figures.add(&beside(&bench.settings), peer.name, per_statement(bench, peer, ACTIVE)?);
    drop(holder);
    Ok(())
}

/// Microseconds.
fn per_statement(bench: &Bench, peer: &Peer, sessions: usize) -> Result<f64> {
    let (count, seconds) = (sessions.to_string(), bench.settings.seconds.to_string());
    let mut job = Held::start(bench, peer, &["rounds", &count, &seconds, STATEMENT])?;
    let before = peer.cpu();
    let answer = job.finish()?;
    let statements = answer.get("statements").and_then(Value::as_f64).context("no statements")?;
    ensure!(statements > 0.0, "no statement was answered");
    Ok((peer.cpu() - before) / 1e3 / statements)
}

fn statements(bench: &Bench, figures: &mut Figures, peer: &Peer) -> Result<()> {
    let pid = peer.pid().context("no process")?;
    load::run(&bench.stage, peer, &["prepare", "10"])?;
    let before = cpu::memory(pid);
    let mut job = Held::start(bench, peer, &["prepare", &PREPARED.to_string()])?;
    std::thread::sleep(Duration::from_secs(1));
    figures.add(OF_PREPARED, peer.name, cpu::memory(pid) - before);
    job.finish()?;
    let mut before = cpu::memory(pid);
    for (half, key) in [(0, HALF), (1, WHOLE)] {
        let count = bench.settings.distinct_statements / 2;
        load::run(&bench.stage, peer, &["distinct", &count.to_string(), &(half * count).to_string()])?;
        std::thread::sleep(Duration::from_secs(2));
        let now = cpu::memory(pid);
        figures.add(key, peer.name, (now - before) / 1024.0);
        before = now;
    }
    Ok(())
}

/// Gigabytes through one session, from PostgreSQL itself.
fn result(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let times = bench.settings.gigabytes * 2;
    let text = format!("SELECT w.filler FROM wide AS w, generate_series(1, {times})");
    for (peer, pid) in bench.proxies() {
        load::run(&bench.stage, peer, &["query", "SELECT 1"])?;
        let before = cpu::memory(pid);
        let done = AtomicBool::new(false);
        let most = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut most = 0.0_f64;
                while !done.load(Ordering::Relaxed) {
                    most = most.max(cpu::memory(pid));
                    std::thread::sleep(Duration::from_millis(100));
                }
                most
            });
            let answer = load::run(&bench.stage, peer, &["query", &text]);
            done.store(true, Ordering::Relaxed);
            let most = watch.join().unwrap_or(f64::NAN);
            answer.map(|_| most)
        })?;
        figures.add(RESULT, peer.name, (most - before) / 1024.0);
    }
    Ok(())
}

/// A job of the client that has its sessions, and goes on when it is told to.
struct Held {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Held {
    fn start(bench: &Bench, peer: &Peer, words: &[&str]) -> Result<Self> {
        let mut command = load::job(&bench.stage, peer, words)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        ensure!(line.contains("held"), "{words:?} through {}: no sessions", peer.name.text());
        Ok(Self { child, output })
    }

    fn finish(&mut self) -> Result<Value> {
        if let Some(mut input) = self.child.stdin.take() {
            input.write_all(b"\n")?;
        }
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        self.child.wait()?;
        serde_json::from_str(&line).with_context(|| line.clone())
    }
}
