//! What grows and what does not: the cost of a statement as sessions and grants become many, memory as results, prepared
//! statements and distinct texts do. Sessions end at an upstream that only looks like PostgreSQL.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::control::Control;
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
/// Parts of the many distinct statements: what is kept is kept in the first, and the others add nothing to it.
const DISTINCT: [[&str; 3]; 4] = [
    [
        "distinct statements, 1st quarter: statements",
        "distinct statements, 1st quarter: CPU of each",
        "distinct statements, 1st quarter: memory added",
    ],
    [
        "distinct statements, 2nd quarter: statements",
        "distinct statements, 2nd quarter: CPU of each",
        "distinct statements, 2nd quarter: memory added",
    ],
    [
        "distinct statements, 3rd quarter: statements",
        "distinct statements, 3rd quarter: CPU of each",
        "distinct statements, 3rd quarter: memory added",
    ],
    [
        "distinct statements, 4th quarter: statements",
        "distinct statements, 4th quarter: CPU of each",
        "distinct statements, 4th quarter: memory added",
    ],
];

pub fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows: Vec<Row> =
        SESSIONS.iter().map(|sessions| Row::new("scale", active(*sessions), "µs", Aim::None)).collect();
    rows.push(Row::new("scale", beside(settings), "µs", Aim::None));
    for live in lives(settings) {
        for (what, unit) in OF_GRANTS {
            rows.push(Row::new("scale", format!("{what}, {}", live.text()), unit, Aim::None));
        }
    }
    rows.extend([Row::new("3", RESULT, "MiB", Aim::AtMost(8.0)), Row::new("scale", OF_PREPARED, "KiB", Aim::None)]);
    for [statements, each, added] in DISTINCT {
        rows.push(Row::new("scale", statements, "", Aim::None));
        rows.push(Row::new("scale", each, "µs", Aim::None));
        rows.push(Row::new("scale", added, "MiB", Aim::None));
    }
    rows
}

fn active(sessions: usize) -> String {
    format!("CPU per statement, sessions={sessions}")
}

fn beside(settings: &Settings) -> String {
    format!("CPU per statement, sessions={ACTIVE} beside {} idle ones", idle::many(settings).saturating_sub(ACTIVE))
}

/// What is measured with so many live grants.
const OF_GRANTS: [(&str, &str); 6] = [
    ("CPU per statement", "µs"),
    ("CPU per new statement", "µs"),
    ("CPU at rest", "% of a CPU"),
    ("memory", "MiB"),
    ("connecting, authenticating, one statement", "ms"),
    ("grants listed in", "ms"),
];

/// How many live grants there are, and whose.
#[derive(Clone, Copy)]
struct Live {
    grants: usize,
    holder: Option<Holder>,
}

impl Live {
    fn text(self) -> String {
        match self.holder {
            None => "1 live grant".to_owned(),
            Some(Holder::Others) => format!("{} live grants of others", self.grants),
            Some(Holder::Same) => format!("{} live grants of one's own", self.grants),
        }
    }
}

fn lives(settings: &Settings) -> Vec<Live> {
    let mut lives = vec![Live { grants: 1, holder: None }];
    for holder in [Holder::Others, Holder::Same] {
        for grants in [settings.grants / 100, settings.grants] {
            lives.push(Live { grants, holder: Some(holder) });
        }
    }
    lives
}

/// # Errors
/// Where sessions are refused.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    let (stage, settings) = (&bench.stage, &bench.settings);
    let (upstream, _stand_in) = standin::start(stage, bench.server.port)?;
    if settings.peers.contains(&Name::Relay) {
        sessions(bench, figures, &relay::start(stage, upstream, &[])?)?;
    }
    let pgward = Pgward::start(stage, settings, "pgward-scale", upstream, &[])?;
    sessions(bench, figures, &pgward.peer)?;
    drop(pgward);
    // A process that has given no memory back yet, out of which statements would be kept for nothing.
    let pgward = Pgward::start(stage, settings, "pgward-statements", upstream, &[])?;
    statements(bench, figures, &pgward.peer)?;
    drop(pgward);
    // With a journal of its own: indexes of what was written above are made when it is quiet, and would be counted here.
    let mut pgward = Pgward::start(stage, settings, "pgward-grants", upstream, &[])?;
    for live in lives(settings) {
        pgward.restart_with(live.holder.map(|holder| (live.grants, holder)))?;
        for ((what, _), figure) in OF_GRANTS.iter().zip(with_grants(bench, &pgward)?) {
            figures.add(&format!("{what}, {}", live.text()), Name::Pgward, figure);
        }
    }
    drop(pgward);
    result(bench, figures)
}

/// The figures of [`OF_GRANTS`].
fn with_grants(bench: &Bench, pgward: &Pgward) -> Result<[f64; 6]> {
    const NEW: u64 = 2_000;
    let peer = &pgward.peer;
    let pid = peer.pid().context("no process")?;
    let each = per_statement(bench, peer, 16)?;
    let before = peer.cpu();
    load::run(&bench.stage, peer, &["distinct", &NEW.to_string(), "0", "60"])?;
    let new = (peer.cpu() - before) / 1e3 / NEW as f64;
    let started = Instant::now();
    load::run(&bench.stage, peer, &["query", STATEMENT])?;
    let connected = started.elapsed();
    // Indexes of what was written are made once the journal is quiet.
    std::thread::sleep(Duration::from_secs(15));
    let before = peer.cpu();
    std::thread::sleep(Duration::from_secs(5));
    let rest = (peer.cpu() - before) / 5e9 * 100.0;
    let memory = cpu::memory(pid) / 1024.0;
    Ok([each, new, rest, memory, connected.as_secs_f64() * 1e3, listed(pgward)?])
}

/// Milliseconds until the grants that alice may see are listed, by a connection that stands.
fn listed(pgward: &Pgward) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let control = Control::new(pgward)?;
        control.get(&pgward.alice, "/sessions").await?;
        let started = Instant::now();
        control.get(&pgward.alice, "/grants").await?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    })
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
    let quarters = DISTINCT.len() as u64;
    let (most, seconds) = (bench.settings.distinct_statements / quarters, bench.settings.distinct_seconds / quarters);
    let mut first = 0;
    for [count, each, added] in DISTINCT {
        let (cpu, memory) = (peer.cpu(), cpu::memory(pid));
        let words = ["distinct", &most.to_string(), &first.to_string(), &seconds.to_string()];
        let answer = load::run(&bench.stage, peer, &words)?;
        let statements = answer.get("statements").and_then(Value::as_u64).context("no statements")?;
        figures.add(count, peer.name, statements as f64);
        figures.add(each, peer.name, (peer.cpu() - cpu) / 1e3 / statements as f64);
        // What is written behind the data path is written by then.
        std::thread::sleep(Duration::from_secs(2));
        figures.add(added, peer.name, (cpu::memory(pid) - memory) / 1024.0);
        first += statements;
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
