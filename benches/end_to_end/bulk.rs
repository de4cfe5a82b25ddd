//! Much data through one session: COPY out, five million small rows, COPY in. CPU of the proxy per gigabyte and per row.

use anyhow::{Context as _, Result};

use crate::bench::Bench;
use crate::load;
use crate::table::{Aim, Figures, Row};

const OUT: &str = "COPY out, CPU per GB";
const ROWS: &str = "5M small rows, CPU per row";
const ROWS_GB: &str = "5M small rows, CPU per GB";
const IN: &str = "COPY in, CPU per GB";

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("3", OUT, "s", Aim::OfPgBouncer(0.65)),
        Row::new("3", ROWS_GB, "s", Aim::AtMost(0.4)),
        Row::new("3", ROWS, "ns", Aim::AtMost(35.0)),
        Row::new("3", IN, "s", Aim::OfPgBouncer(0.65)),
    ]
}

const IN_BYTES: &str = "500000000";

/// # Errors
/// Where a peer refuses.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    for _ in 0..bench.settings.rounds {
        for (peer, _) in bench.proxies() {
            let spent = |words: &[&str]| -> Result<(f64, serde_json::Value)> {
                let before = peer.cpu();
                let answer = load::run(&bench.stage, peer, words)?;
                std::thread::sleep(std::time::Duration::from_millis(100));
                Ok((peer.cpu() - before, answer))
            };
            let number = |answer: &serde_json::Value, name: &str| {
                answer.get(name).and_then(serde_json::Value::as_f64).context("the client's answer")
            };
            let per_gigabyte =
                |(cpu, answer): &(f64, serde_json::Value)| Ok::<_, anyhow::Error>(cpu / number(answer, "bytes")?);
            let out = spent(&["query", "COPY wide TO STDOUT"])?;
            figures.add(OUT, peer.name, per_gigabyte(&out)?);
            let rows = spent(&["query", "SELECT * FROM rows5m"])?;
            figures.add(ROWS_GB, peer.name, per_gigabyte(&rows)?);
            figures.add(ROWS, peer.name, rows.0 / number(&rows.1, "rows")?);
            let into = spent(&["copy-in", "COPY sink FROM STDIN", IN_BYTES])?;
            figures.add(IN, peer.name, per_gigabyte(&into)?);
            bench.server.sql("bench", "TRUNCATE sink")?;
        }
    }
    Ok(())
}
