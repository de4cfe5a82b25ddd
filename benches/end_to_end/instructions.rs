//! Instructions of the proxy in user mode per transaction, counted by callgrind: two runs under it, one twice as long as
//! the other, and the difference. What a connection costs is in both and falls out.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::bench::Bench;
use crate::peers::{Name, Peer};
use crate::pgbench::{self, Load};
use crate::pgward::Pgward;
use crate::process::Stage;
use crate::settings::Settings;
use crate::table::{Aim, Figures, Row};
use crate::{pgbouncer, relay};

const CLIENTS: u32 = 16;
/// Of each client in the shorter run.
const EACH: u32 = 60;

pub fn rows(settings: &Settings) -> Vec<Row> {
    settings.protocols.iter().map(|protocol| Row::new("1", key(protocol), "", Aim::AtMost(20_000.0))).collect()
}

fn key(protocol: &str) -> String {
    format!("user instructions per {protocol} transaction, c={CLIENTS}")
}

/// # Errors
/// Where a peer does not run under callgrind.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        figures.note("Instructions are not counted: valgrind is not there.");
        return Ok(());
    }
    // A machine that pretends to be another one is slow enough: it may have every CPU.
    let stage = bench.stage.unpinned();
    let wrapper = wrapper(&stage);
    let peers = &bench.settings.peers;
    for peer in peers {
        let counted = match peer {
            Name::Direct => continue,
            Name::Relay => count(bench, &stage, &relay::start(&stage, bench.server.port, &wrapper)?),
            Name::PgBouncer => {
                count(bench, &stage, &pgbouncer::start(&stage, &bench.settings, &bench.server, &wrapper)?)
            }
            Name::Pgward => {
                let pgward = Pgward::start(&stage, &bench.settings, "pgward-counted", bench.server.port, &wrapper)?;
                count(bench, &stage, &pgward.peer)
            }
        };
        for (protocol, instructions) in counted? {
            figures.add(&key(&protocol), *peer, instructions);
        }
    }
    Ok(())
}

fn wrapper(stage: &Stage) -> Vec<String> {
    let out = stage.path("pg").join("callgrind.%p");
    let out = format!("--callgrind-out-file={}", out.display());
    ["valgrind", "--tool=callgrind", "--quiet", &prefix(stage), &out].map(str::to_owned).to_vec()
}

/// Where valgrind and those who speak to it meet.
fn prefix(stage: &Stage) -> String {
    format!("--vgdb-prefix={}", stage.path("pg").join("vgdb").display())
}

fn count(bench: &Bench, stage: &Stage, peer: &Peer) -> Result<Vec<(String, f64)>> {
    let pid = peer.pid().context("no process")?;
    let out = stage.path("pg").join(format!("callgrind.{pid}"));
    let mut counted = Vec::new();
    for protocol in &bench.settings.protocols {
        let run = |each: u32| -> Result<f64> {
            pgbench::run(stage, &bench.server, peer, &Load::transactions(protocol, CLIENTS, each))?;
            std::thread::sleep(Duration::from_millis(500));
            dump(stage, peer.name, pid, &out)
        };
        run(EACH)?;
        let (shorter, longer) = (run(EACH)?, run(2 * EACH)?);
        counted.push((protocol.clone(), (longer - shorter) / f64::from(CLIENTS * EACH)));
    }
    Ok(counted)
}

/// Has callgrind write what it counted since it was last asked, and reads that.
fn dump(stage: &Stage, peer: Name, pid: u32, out: &Path) -> Result<f64> {
    let before = dumps(out);
    // Whoever asks must be the user that the program runs as.
    let mut command = if peer == Name::PgBouncer { stage.unprivileged("timeout") } else { stage.command("timeout") };
    command.args(["60", "vgdb", &prefix(stage), &format!("--pid={pid}"), "dump"]);
    let output = command.output().context("vgdb")?;
    for _ in 0..100 {
        if let Some(newest) = dumps(out).into_iter().find(|path| !before.contains(path)) {
            let text = std::fs::read_to_string(&newest)?;
            let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
            if let Some(line) = line {
                return Ok(line.trim().parse()?);
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!(
        "callgrind wrote nothing: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn dumps(out: &Path) -> Vec<std::path::PathBuf> {
    let prefix = format!("{}.", out.file_name().unwrap_or_default().to_string_lossy());
    let entries = std::fs::read_dir(out.parent().unwrap_or(out)).into_iter().flatten().flatten();
    let named =
        |path: &std::path::PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    entries.map(|entry| entry.path()).filter(named).collect()
}
