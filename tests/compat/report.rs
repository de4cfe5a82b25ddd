//! What a run of everything leaves: target/compat/results.json, and docs/clients.md made of it.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::client::Run;
use crate::compare::{Judged, Outcome};
use crate::manifest::{self, Client};
use crate::support::root;

/// One client's part of the results.
#[derive(Debug, serde::Serialize)]
struct Entry {
    name: String,
    title: String,
    language: String,
    /// Nothing where the client is not installed.
    version: Option<String>,
    libpq: Option<String>,
    /// What its grant had besides, and why.
    besides: Option<String>,
    steps: Vec<Judged>,
}

#[derive(Debug, Default)]
pub struct Results {
    entries: Vec<Entry>,
}

impl Results {
    pub fn missing(&mut self, client: Client) {
        let Client { name, title, language, also, .. } = client;
        let besides = also.map(|also| also.why);
        self.entries.push(Entry { name, title, language, version: None, libpq: None, besides, steps: Vec::new() });
    }

    pub fn ran(&mut self, client: Client, run: Run, steps: Vec<Judged>) {
        let Client { name, title, language, also, .. } = client;
        let besides = also.map(|also| also.why);
        let (version, libpq) = (Some(run.version), run.libpq);
        self.entries.push(Entry { name, title, language, version, libpq, besides, steps });
    }
}

/// The table's columns, and which steps stand in each.
const COLUMNS: [(&str, &[&str]); 11] = [
    ("connect", &["connect_"]),
    ("queries", &["simple", "types", "extended", "prepared", "reset"]),
    ("pipelines, batches", &["pipeline", "batch"]),
    ("COPY", &["copy_", "failed_copy_"]),
    ("cursors", &["cursor"]),
    ("cancel", &["cancel"]),
    ("errors", &["error_"]),
    ("refusals", &["denied", "listen"]),
    ("transactions", &["transaction", "failed_transaction"]),
    ("end of a grant", &["notice", "end", "after_end", "reconnect"]),
    ("its own", &["own_"]),
];

/// Writes the results; the table only of a run of all.
pub fn write(results: &Results, complete: bool) {
    let mut entries: Vec<&Entry> = results.entries.iter().collect();
    entries.sort_by_key(|entry| entry.title.to_lowercase());
    let home = manifest::home();
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("results.json"), serde_json::to_string_pretty(&entries).unwrap()).unwrap();
    if complete {
        std::fs::write(table(), page(&entries)).unwrap();
    }
}

fn table() -> PathBuf {
    root().join("docs/clients.md")
}

/// A client that is added has to be run with the others once, so that the table tells of it.
pub fn names_every_client() -> Result<(), String> {
    let text = std::fs::read_to_string(table()).map_err(|error| format!("docs/clients.md: {error}"))?;
    let missing: Vec<String> = manifest::all()
        .into_iter()
        .map(|client| client.title)
        .filter(|title| !text.contains(&format!("| {title} |")))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("docs/clients.md says nothing of {}: run `make compat`", missing.join(", ")))
}

fn page(entries: &[&Entry]) -> String {
    let mut text = include_str!("page.md").to_owned();
    write!(text, "| client | version | libpq |").unwrap();
    for (title, _) in COLUMNS {
        write!(text, " {title} |").unwrap();
    }
    write!(text, "\n| --- | --- | --- |{}\n", " --- |".repeat(COLUMNS.len())).unwrap();
    for entry in entries {
        let version = entry.version.as_deref().unwrap_or("not installed");
        write!(text, "| {} | {version} | {} |", entry.title, entry.libpq.as_deref().unwrap_or("–")).unwrap();
        for (_, prefixes) in COLUMNS {
            write!(text, " {} |", cell(entry, prefixes)).unwrap();
        }
        text.push('\n');
    }
    text.push_str(include_str!("ends.md"));
    for entry in entries.iter().filter(|entry| entry.version.is_some()) {
        writeln!(text, "| {} | {} | {} | {} |", entry.title, shown(entry), told(entry), ended(entry)).unwrap();
    }
    text.push_str("\n## Differences and gaps\n");
    for entry in entries {
        notes(&mut text, entry);
    }
    text
}

fn cell(entry: &Entry, prefixes: &[&str]) -> String {
    let outcomes: Vec<Outcome> = entry
        .steps
        .iter()
        .filter(|judged| prefixes.iter().any(|prefix| judged.step.starts_with(prefix)))
        .map(|judged| judged.outcome)
        .filter(|outcome| *outcome != Outcome::Skipped)
        .collect();
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    match (outcomes.len(), count(Outcome::Wrong), count(Outcome::Explained)) {
        (0, _, _) => "–".to_owned(),
        (all, 0, 0) => format!("✓ {all}"),
        (all, 0, explained) => format!("✓ {} ≠ {explained}", all - explained),
        (all, wrong, _) => format!("✗ {wrong} of {all}"),
    }
}

fn error<'a>(entry: &'a Entry, step: &str, field: &str) -> Option<&'a str> {
    let judged = entry.steps.iter().find(|judged| judged.step == step)?;
    judged.through.as_ref()?.error.as_ref()?.get(field)?.as_deref().filter(|text| !text.is_empty())
}

/// What a program sees of a refusal.
fn shown(entry: &Entry) -> String {
    let fields = [("sqlstate", "SQLSTATE"), ("message", "message"), ("detail", "DETAIL"), ("hint", "HINT")];
    let seen: Vec<&str> =
        fields.iter().filter(|(field, _)| error(entry, "denied", field).is_some()).map(|(_, title)| *title).collect();
    if seen.is_empty() { "–".to_owned() } else { seen.join(", ") }
}

fn told(entry: &Entry) -> &str {
    match entry.steps.iter().find(|judged| judged.step == "notice").map(|judged| judged.outcome) {
        Some(Outcome::Intended) => "yes",
        Some(Outcome::Wrong) => "✗",
        Some(Outcome::Same | Outcome::Explained | Outcome::Skipped) | None => "not shown",
    }
}

fn ended(entry: &Entry) -> String {
    if error(entry, "end", "message").or_else(|| error(entry, "end", "class")).is_none() {
        return "–".to_owned();
    }
    let message = error(entry, "end", "message").unwrap_or_default();
    let class = error(entry, "end", "class").map(|class| format!("`{class}` ")).unwrap_or_default();
    let state = error(entry, "end", "sqlstate").map(|state| format!("{state} ")).unwrap_or_default();
    let message = message.lines().next().unwrap_or_default().replace('|', "\\|");
    let message = without_identifiers(&message);
    format!("{class}{state}{message}").trim_end().to_owned()
}

/// Grants' identifiers are new in every run, and the page is not to change for that.
fn without_identifiers(text: &str) -> String {
    let words = text.split(' ').map(|word| if word.starts_with("gr_") { "gr_…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn notes(text: &mut String, entry: &Entry) {
    let Some(version) = &entry.version else {
        write!(text, "\n**{}**: not installed.\n", entry.title).unwrap();
        return;
    };
    let of = |outcome| entry.steps.iter().filter(move |judged| judged.outcome == outcome);
    if [Outcome::Wrong, Outcome::Explained, Outcome::Skipped].into_iter().all(|outcome| of(outcome).count() == 0)
        && entry.besides.is_none()
    {
        return;
    }
    write!(text, "\n**{} {version}**\n", entry.title).unwrap();
    if let Some(besides) = &entry.besides {
        writeln!(text, "- its grant had more: {besides}").unwrap();
    }
    for judged in of(Outcome::Wrong) {
        writeln!(text, "- `{}` is wrong: {}", judged.step, judged.why).unwrap();
    }
    for (why, steps) in by_reason(of(Outcome::Explained)) {
        writeln!(text, "- otherwise: {}: {why}", steps.join(", ")).unwrap();
    }
    for (why, steps) in by_reason(of(Outcome::Skipped)) {
        writeln!(text, "- not asked: {} ({why})", steps.join(", ")).unwrap();
    }
}

/// Steps for which the same is said, together.
fn by_reason<'a>(all: impl Iterator<Item = &'a Judged>) -> Vec<(&'a str, Vec<String>)> {
    let mut found: Vec<(&str, Vec<String>)> = Vec::new();
    for judged in all {
        let step = format!("`{}`", judged.step.trim_start_matches("own_try "));
        match found.iter_mut().find(|(why, _)| *why == judged.why) {
            Some((_, steps)) => steps.push(step),
            None => found.push((&judged.why, vec![step])),
        }
    }
    found
}
