//! Instructions that a part takes, counted by callgrind: the same on every machine and under any load, so that two builds
//! can be told apart by a fraction of a percent. `cargo bench --bench instructions` prints a line for each part; give an
//! earlier run's file as `BASELINE=` to see what changed (they lie in `target/bench/instructions.json`).
//!
//! Each part runs in a process of its own, so many times and twice as many; the difference is what it takes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]

#[path = "support/work.rs"]
mod work;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use pgward::sql::{self, Limits};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTS: [(&str, u32); 6] = [
    ("a row of 80 bytes, found", 2),
    ("a prepared transaction's messages, taken", 20),
    ("a statement of pgbench, read", 200),
    ("a ten-line join, read", 20),
    ("a client's proof, checked", 20),
    ("a verifier, derived", 1),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [part, times] = arguments.as_slice() {
        run(part, times.parse()?);
        return Ok(());
    }
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("valgrind is not there: nothing is counted");
        return Ok(());
    }
    let before: BTreeMap<String, f64> = match std::env::var_os("BASELINE") {
        Some(path) => serde_json::from_str(&std::fs::read_to_string(path)?)?,
        None => BTreeMap::new(),
    };
    let mut counted = BTreeMap::new();
    for (part, times) in PARTS {
        let each = (count(part, 2 * times)? - count(part, times)?) / f64::from(times) / units(part);
        let change = before.get(part).map(|before| format!("  {:+.2} %", (each / before - 1.0) * 100.0));
        println!("{each:12.1}  {part}{}", change.unwrap_or_default());
        counted.insert(part.to_owned(), each);
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench/instructions.json");
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    Ok(std::fs::write(path, serde_json::to_string_pretty(&counted)? + "\n")?)
}

/// How many there are in one run.
fn units(part: &str) -> f64 {
    match part {
        "a row of 80 bytes, found" => work::count(&work::rows(80, 64 * 1024)) as f64,
        "a prepared transaction's messages, taken" => 64.0,
        _ => 1.0,
    }
}

fn run(part: &str, times: u32) {
    let rows = work::rows(80, 64 * 1024);
    let messages = work::prepared_transactions(64);
    let scram = work::Scram::new();
    for _ in 0..times {
        match part {
            "a row of 80 bytes, found" => _ = black_box(work::count(black_box(&rows))),
            "a prepared transaction's messages, taken" => _ = black_box(work::take(black_box(messages.clone()))),
            "a statement of pgbench, read" => read(work::STATEMENTS[0].1),
            "a ten-line join, read" => read(work::STATEMENTS[1].1),
            "a client's proof, checked" => drop(black_box(scram.check())),
            _ => drop(black_box(scram.derive())),
        }
    }
}

fn read(text: &str) {
    drop(black_box(sql::read(black_box(text), &Limits::default())));
}

fn count(part: &str, times: u32) -> Result<f64> {
    let out = std::env::temp_dir().join(format!("pgward-instructions-{}", std::process::id()));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", out.display()));
    let status = command.arg(std::env::current_exe()?).args([part, &times.to_string()]).status()?;
    anyhow::ensure!(status.success(), "{part} under callgrind");
    let text = std::fs::read_to_string(&out)?;
    std::fs::remove_file(&out)?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ")).context("callgrind's totals")?;
    Ok(line.trim().parse()?)
}
