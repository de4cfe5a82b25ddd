//! What a new connection costs, and whether a thousand at once are served.

use anyhow::Result;

use crate::bench::Bench;
use crate::load;
use crate::pgbench::{self, Load};
use crate::table::{Aim, Figures, Row};

const EACH: &str = "CPU per new TLS + SCRAM connection (with one statement)";
const SERVED: &str = "of 1,000 connections at once, served";
const SECONDS: &str = "1,000 connections at once, until the last is served";
const STORM: &str = "1,000 connections at once, CPU each";

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("4", EACH, "µs", Aim::AtMost(400.0)),
        Row::new("4", SERVED, "", Aim::AtLeast(1000.0)),
        Row::new("4", SECONDS, "s", Aim::None),
        Row::new("4", STORM, "µs", Aim::None),
    ]
}

/// # Errors
/// Where pgbench fails.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    for _ in 0..bench.settings.rounds {
        for (peer, _) in bench.proxies() {
            pgbench::run(&bench.stage, &bench.server, peer, &Load::transactions("simple", 8, 5).with(&["-C"]))?;
            let before = peer.cpu();
            let load = Load::seconds("simple", 8, bench.settings.seconds).with(&["-C"]);
            let run = pgbench::run(&bench.stage, &bench.server, peer, &load)?;
            figures.add(EACH, peer.name, (peer.cpu() - before) / 1e3 / run.transactions);
        }
    }
    for peer in bench.peers() {
        let before = peer.cpu();
        let answer = load::run(&bench.stage, peer, &["storm", "1000"])?;
        let number = |name: &str| answer.get(name).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        figures.add(SERVED, peer.name, number("served"));
        figures.add(SECONDS, peer.name, number("seconds"));
        if peer.pid().is_some() {
            figures.add(STORM, peer.name, (peer.cpu() - before) / 1e6);
        }
        if let Some(failed) = answer.get("failed").and_then(|value| value.as_str()) {
            figures.note(format!("{}, 1,000 connections at once: {failed}", peer.name.text()));
        }
        bench.server.wait_for_quiet()?;
    }
    Ok(())
}
