//! Running pgbench against a peer and reading what it prints.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::peers::Peer;
use crate::postgres::Postgres;
use crate::process::Stage;

/// What one run said.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub transactions: f64,
    pub per_second: f64,
}

/// How pgbench is to run.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    pub protocol: &'a str,
    pub clients: u32,
    /// `-T 4`, `-t 100`, and whatever else.
    pub flags: Vec<String>,
}

impl<'a> Load<'a> {
    pub fn seconds(protocol: &'a str, clients: u32, seconds: u32) -> Self {
        Self { protocol, clients, flags: vec!["-T".to_owned(), seconds.to_string()] }
    }

    pub fn transactions(protocol: &'a str, clients: u32, each: u32) -> Self {
        Self { protocol, clients, flags: vec!["-t".to_owned(), each.to_string()] }
    }

    pub fn with(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }
}

/// # Errors
/// Where pgbench fails; with what it said.
pub fn run(stage: &Stage, server: &Postgres, peer: &Peer, load: &Load<'_>) -> Result<Run> {
    let mut command = peer.client(stage, &server.tool("pgbench"));
    let threads = load.clients.min(2).to_string();
    command.args(["-n", "-S", "-M", load.protocol, "-c", &load.clients.to_string(), "-j", &threads]);
    command.args(&load.flags).arg(&peer.database);
    let text = stage.run(command).with_context(|| format!("through {}", peer.name.text()))?;
    // The last records are written, and their CPU counted, a moment after the last client has gone.
    std::thread::sleep(Duration::from_millis(100));
    let number = |before: &str| -> Option<f64> {
        let rest = text.split_once(before)?.1.trim_start();
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    Ok(Run {
        transactions: number("actually processed:").with_context(|| text.clone())?,
        per_second: number("tps =").unwrap_or(f64::NAN),
    })
}
