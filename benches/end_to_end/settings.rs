//! What to measure and for how long: read from the environment, so that `make bench ROUNDS=1 SECONDS=2` works.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::peers::Name;

/// Every part, in the order in which they run.
pub const PARTS: [&str; 12] = [
    "transactions",
    "calls",
    "instructions",
    "latency",
    "bulk",
    "connections",
    "idle",
    "verdict",
    "journal",
    "revoke",
    "scale",
    "profile",
];

/// Parts that take long, or much memory, and run only when they are named.
const ON_DEMAND: [&str; 2] = ["scale", "profile"];

#[derive(Clone, Debug)]
pub struct Settings {
    pub parts: Vec<String>,
    pub peers: Vec<Name>,
    pub protocols: Vec<String>,
    pub clients: Vec<u32>,
    pub rounds: u32,
    /// Of each run of pgbench.
    pub seconds: u32,
    /// The one CPU that everything runs on; none: wherever the kernel puts it.
    pub cpu: Option<usize>,
    /// pgbench's scale: 100,000 accounts each.
    pub scale: u32,
    /// Idle sessions against the stand-in upstream.
    pub idle_sessions: usize,
    /// Distinct statements in the test of bounded caches.
    pub distinct_statements: u64,
    /// They end after this long, however many are still to come.
    pub distinct_seconds: u64,
    /// Gigabytes through one session in the test of flat memory.
    pub gigabytes: u64,
    /// Live grants in the test of their cost.
    pub grants: usize,
    pub pgward: PathBuf,
    pub pgbouncer: PathBuf,
    /// Where the results are written as JSON.
    pub results: PathBuf,
}

impl Settings {
    /// # Errors
    /// Where a variable holds something that is no choice.
    pub fn from_environment() -> Result<Self> {
        let parts = list("PARTS").unwrap_or_else(|| {
            PARTS.iter().filter(|part| !ON_DEMAND.contains(part)).map(|part| (*part).to_owned()).collect()
        });
        for part in &parts {
            if !PARTS.contains(&part.as_str()) {
                bail!("PARTS: {part} is none of {}", PARTS.join(", "));
            }
        }
        let peers = match list("PEERS") {
            Some(names) => names.iter().map(|name| Name::from_text(name)).collect::<Result<_>>()?,
            None => Name::ALL.to_vec(),
        };
        let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        Ok(Self {
            parts,
            peers,
            protocols: list("PROTOCOLS")
                .unwrap_or_else(|| ["simple", "extended", "prepared"].map(str::to_owned).to_vec()),
            clients: match list("CLIENTS") {
                Some(counts) => counts.iter().map(|count| number("CLIENTS", count)).collect::<Result<_>>()?,
                None => vec![16, 64],
            },
            rounds: value("ROUNDS", 3)?,
            seconds: value("SECONDS", 4)?,
            cpu: match variable("PIN").as_deref() {
                Some("none") => None,
                Some(cpu) => Some(number("PIN", cpu)?),
                None => Some(last_cpu()),
            },
            scale: value("SCALE", 20)?,
            idle_sessions: value("IDLE_SESSIONS", 10_000)?,
            distinct_statements: value("DISTINCT_STATEMENTS", 10_000_000)?,
            distinct_seconds: value("DISTINCT_SECONDS", 600)?,
            gigabytes: value("GIGABYTES", 10)?,
            grants: value("GRANTS", 100_000)?,
            pgward: variable("PGWARD_BIN").map_or_else(|| env!("CARGO_BIN_EXE_pgward").into(), PathBuf::from),
            pgbouncer: variable("PGBOUNCER").unwrap_or_else(|| "/usr/sbin/pgbouncer".to_owned()).into(),
            results: variable("RESULTS").map_or_else(|| target.join("results.json"), PathBuf::from),
        })
    }

    pub fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|chosen| chosen == part)
    }
}

/// A variable as it is, or with `BENCH_` before it: some shells keep names such as SECONDS for themselves.
fn variable(name: &str) -> Option<String> {
    [format!("BENCH_{name}"), name.to_owned()]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|text| !text.is_empty())
}

fn list(name: &str) -> Option<Vec<String>> {
    variable(name).map(|text| text.split([',', ' ']).filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

fn value<T: std::str::FromStr>(name: &str, default: T) -> Result<T> {
    variable(name).map_or(Ok(default), |text| number(name, &text))
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T> {
    text.replace('_', "").parse().ok().with_context(|| format!("{name}: {text} is no number"))
}

fn last_cpu() -> usize {
    std::thread::available_parallelism().map_or(0, |count| count.get() - 1)
}
