//! What is measured inside the library, by the benchmarks beside this one: what a verdict costs, and what the journal does
//! with 64 writers. They are run, and what they say is taken into the table.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::peers::Name;
use crate::settings::Settings;
use crate::table::{Aim, Figures, Row};

/// The row, and criterion's group and function.
const VERDICTS: [(&str, &str, &str, f64); 4] = [
    ("verdict, statement seen before, as text", "a ten-line join seen before", "as text", 300.0),
    ("verdict, prepared statement", "a ten-line join seen before", "as prepared statement", 300.0),
    ("verdict, only the literals are new", "only literals are new", "a short SELECT", 300.0),
    ("first sight of a ten-line join", "first sight of a ten-line join", "read, resolve, decide", 150_000.0),
];
const GROUP: &str = "synced: records a second, 64 writers over one";
const SYNCED: [(&str, &str); 2] =
    [("1", "synced: records a second, one writer"), ("64", "synced: records a second, 64 writers")];
const WRITTEN: [(usize, &str); 2] =
    [(3, "written: CPU per record, 64 writers, on the path"), (4, "written: CPU per record, 64 writers, behind it")];

pub fn verdict_rows() -> Vec<Row> {
    VERDICTS.into_iter().map(|(key, _, _, most)| Row::new("6", key, "ns", Aim::AtMost(most))).collect()
}

pub fn journal_rows() -> Vec<Row> {
    let mut rows = vec![Row::new("7", GROUP, "times", Aim::AtLeast(5.0))];
    rows.extend(SYNCED.map(|(_, key)| Row::new("7", key, "", Aim::None)));
    rows.extend(WRITTEN.map(|(_, key)| Row::new("7", key, "ns", Aim::None)));
    rows
}

/// # Errors
/// Where the benchmark fails.
pub fn verdicts(figures: &mut Figures) -> Result<()> {
    cargo(&["--bench", "verdict", "--", "--noplot", "--warm-up-time", "1", "--measurement-time", "2"], "2")?;
    let mut found = Vec::new();
    collect(&target().join("criterion"), &mut found);
    for (key, group, function, _) in VERDICTS {
        let of_row = |(name, _): &&(String, f64)| *name == format!("{group}/{function}");
        match found.iter().find(of_row) {
            Some((_, nanoseconds)) => figures.add(key, Name::Pgward, *nanoseconds),
            None => figures.note(format!("{key}: nothing measures {group}/{function}.")),
        }
    }
    Ok(())
}

/// # Errors
/// Where the benchmark fails.
pub fn journal(settings: &Settings, figures: &mut Figures) -> Result<()> {
    let printed = cargo(&["--bench", "journal"], &settings.seconds.to_string())?;
    let line = |durability: &str, writers: &str| -> Option<Vec<f64>> {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let found =
            printed.lines().map(words).find(|words| words.starts_with(&[durability.to_owned(), writers.to_owned()]))?;
        Some(found.iter().map(|word| word.parse().unwrap_or(f64::NAN)).collect())
    };
    let mut rates = Vec::new();
    for (writers, key) in SYNCED {
        let rate = line("synced", writers).with_context(|| printed.clone())?[2];
        figures.add(key, Name::Pgward, rate);
        rates.push(rate);
    }
    figures.add(GROUP, Name::Pgward, rates[1] / rates[0]);
    let written = line("written", "64").with_context(|| printed.clone())?;
    for (column, key) in WRITTEN {
        figures.add(key, Name::Pgward, written[column]);
    }
    Ok(())
}

fn cargo(words: &[&str], seconds: &str) -> Result<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["bench", "--quiet", "--locked"]).args(words).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.env("PGWARD_BENCH_SECONDS", seconds).output()?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn target() -> PathBuf {
    let directory = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    directory.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"))
}

/// Names and medians in nanoseconds that criterion wrote last.
fn collect(directory: &Path, found: &mut Vec<(String, f64)>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        let read = |name: &str| -> Option<Value> {
            serde_json::from_str(&std::fs::read_to_string(path.join(name)).ok()?).ok()
        };
        if path.ends_with("new")
            && let (Some(what), Some(estimates)) = (read("benchmark.json"), read("estimates.json"))
            && let (Some(name), Some(median)) = (
                what.get("full_id").and_then(Value::as_str),
                estimates.pointer("/median/point_estimate").and_then(Value::as_f64),
            )
        {
            found.push((name.to_owned(), median));
        } else {
            collect(&path, found);
        }
    }
}
