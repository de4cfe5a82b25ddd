//! The server's own log: which statements it ran, for whom, with which values.

use std::collections::HashMap;

use crate::MARK;

/// One statement of one client: its application_name, its text and its bind values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub application: String,
    pub text: String,
    pub values: String,
}

impl Key {
    pub fn new(application: &str, text: &str, values: String) -> Self {
        let text = text.trim().trim_end_matches(';').trim_end().to_owned();
        Self { application: application.to_owned(), text, values }
    }
}

/// How often the server ran each statement of the run's clients.
pub fn statements(log: &str) -> HashMap<Key, usize> {
    let mut counts = HashMap::new();
    let mut add = |entry: Option<(String, String, String)>| {
        let Some((application, text, values)) = entry else { return };
        // One simple message is one line, however many statements it holds; the clients part them by "; ".
        for part in text.split("; ") {
            *counts.entry(Key::new(&application, part, values.clone())).or_insert(0) += 1;
        }
    };
    let mut entry: Option<(String, String, String)> = None;
    for line in log.lines() {
        if let Some(more) = line.strip_prefix('\t') {
            if let Some((_, text, values)) = &mut entry {
                let last = if values.is_empty() { text } else { values };
                last.push('\n');
                last.push_str(more);
            }
            continue;
        }
        let said = line.split_once("] ").and_then(|(_, said)| said.split_once('|'));
        let Some((application, said)) = said.filter(|(application, _)| application.starts_with(MARK)) else {
            add(entry.take());
            continue;
        };
        if let Some(values) = said.strip_prefix("DETAIL:  ") {
            if let Some(((_, _, known), (_, values))) = entry.as_mut().zip(values.split_once("arameters: ")) {
                *known = values.to_owned();
            }
            continue;
        }
        add(entry.take());
        entry = statement(said).map(|text| (application.to_owned(), text.to_owned(), String::new()));
    }
    add(entry);
    counts
}

fn statement(said: &str) -> Option<&str> {
    let logged = said.strip_prefix("LOG:  ")?;
    if let Some(text) = logged.strip_prefix("statement: ") {
        return Some(text);
    }
    let (name, text) = logged.strip_prefix("execute ")?.split_once(": ")?;
    // What pgward asks by itself between a session's transactions.
    (name != "pgward_own").then_some(text)
}
