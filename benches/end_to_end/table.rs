//! What was measured, and the one table it becomes: a row for each target, whether it is reached said plainly.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::peers::Name;

/// Every figure of a run, by row and peer.
#[derive(Debug, Default)]
pub struct Figures {
    samples: BTreeMap<(String, Name), Vec<f64>>,
    /// Said below the table.
    notes: Vec<String>,
}

/// What a row must reach.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    AtMost(f64),
    AtLeast(f64),
    /// So much of PgBouncer's figure of the same run.
    OfPgBouncer(f64),
    /// Shown, held to nothing.
    None,
}

/// One line of the table: what it is called, its unit, the number of the target, and what it must reach.
#[derive(Clone, Debug)]
pub struct Row {
    pub target: &'static str,
    pub key: String,
    pub unit: &'static str,
    pub aim: Aim,
}

impl Row {
    pub fn new(target: &'static str, key: impl Into<String>, unit: &'static str, aim: Aim) -> Self {
        Self { target, key: key.into(), unit, aim }
    }
}

impl Figures {
    pub fn add(&mut self, key: &str, peer: Name, value: f64) {
        eprintln!("  {key}, {}: {}", peer.text(), shown(Some(value)));
        self.samples.entry((key.to_owned(), peer)).or_default().push(value);
    }

    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("  {text}");
        self.notes.push(text);
    }

    pub fn median(&self, key: &str, peer: Name) -> Option<f64> {
        let mut samples = self.samples.get(&(key.to_owned(), peer))?.clone();
        samples.sort_by(f64::total_cmp);
        match samples.len() {
            0 => None,
            count if count % 2 == 1 => Some(samples[count / 2]),
            count => Some(f64::midpoint(samples[count / 2 - 1], samples[count / 2])),
        }
    }

    /// The rows of which something was measured, in Markdown.
    pub fn table(&self, rows: &[Row]) -> String {
        let mut lines = vec![HEAD.map(str::to_owned).to_vec()];
        lines.extend(rows.iter().filter_map(|row| self.line(row)));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            text += &padded(line, &widths);
            if number == 0 {
                text += &padded(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>(), &widths);
            }
        }
        for note in &self.notes {
            text += &format!("\n{note}");
        }
        text
    }

    fn line(&self, row: &Row) -> Option<Vec<String>> {
        let figure = |peer| self.median(&row.key, peer);
        let ours = figure(Name::Pgward)?;
        let ratio = |peer| figure(peer).filter(|other| *other > 0.0).map(|other| ours / other);
        let (aim, reached) = match row.aim {
            // What is less than nothing is noise, and reaches nothing.
            Aim::AtMost(most) => (format!("≤ {}", shown(Some(most))), (ours >= 0.0).then_some(ours <= most)),
            Aim::AtLeast(least) => (format!("≥ {}", shown(Some(least))), Some(ours >= least)),
            Aim::OfPgBouncer(share) => {
                (format!("≤ {share} × PgBouncer"), ratio(Name::PgBouncer).map(|ratio| ratio <= share))
            }
            Aim::None => (String::new(), None),
        };
        let said = match (row.aim, reached) {
            (Aim::None, _) => "",
            (_, None) => "not comparable",
            (_, Some(true)) => "reached",
            (_, Some(false)) => "**missed**",
        };
        Some(vec![
            row.target.to_owned(),
            format!("{}, {}", row.key, row.unit),
            shown(figure(Name::Direct)),
            shown(figure(Name::Relay)),
            shown(figure(Name::PgBouncer)),
            shown(Some(ours)),
            shown(ratio(Name::PgBouncer)),
            shown(ratio(Name::Relay)),
            aim,
            said.to_owned(),
        ])
    }

    /// Every sample and median as JSON.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path, rows: &[Row]) -> Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let figures: Vec<_> = self
            .samples
            .iter()
            .map(|((key, peer), samples)| {
                let unit = rows.iter().find(|row| row.key == *key).map(|row| row.unit);
                json!({ "row": key, "unit": unit, "peer": peer.text(), "median": self.median(key, *peer), "samples": samples })
            })
            .collect();
        let document = json!({ "time": jiff::Timestamp::now().to_string(), "figures": figures, "notes": self.notes });
        Ok(std::fs::write(path, serde_json::to_string_pretty(&document)? + "\n")?)
    }
}

const HEAD: [&str; 10] =
    ["target", "what", "direct", "relay", "PgBouncer", "pgward", "of PgBouncer", "of relay", "must be", "is"];

fn padded(cells: &[String], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// Three figures that count.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() >= 10_000.0 => format!("{:.0}", value),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
