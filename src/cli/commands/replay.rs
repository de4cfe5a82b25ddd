//! A session as psql would have shown it, without the rows. What psql does not tell, such as times, stands in comments,
//! dim on a terminal; what was recorded is escaped, so that it cannot drive the terminal.

use std::io::{self, IsTerminal as _};

use super::story::{milliseconds, parameters};
use crate::audit::{Replay, Step};
use crate::cli::args::Format;
use crate::cli::failure::Failure;
use crate::cli::output::{self, escape, escape_cell, time};

pub fn print(format: Format, replay: &Replay) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(replay),
        Format::Table => {
            let is_dim = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            output::print(&Page { text: String::new(), is_dim }.of(replay))
        }
    }
}

struct Page {
    text: String,
    is_dim: bool,
}

impl Page {
    fn of(mut self, replay: &Replay) -> String {
        self.comment(&heading(replay));
        if replay.truncated {
            self.comment("the statements before these are left out: find them with `pgward audit search --session`");
        }
        for step in &replay.steps {
            self.step(step);
        }
        self.comment(&ending(replay));
        self.text
    }

    fn step(&mut self, step: &Step) {
        let took = step.duration_us.map(|duration| format!(", {}", milliseconds(duration))).unwrap_or_default();
        self.comment(&format!("#{} at {}{took}", step.seq, time(step.time)));
        if let (Some(prompt), Some(statement)) = (&step.prompt, &step.statement) {
            self.text.push_str(&prompted(prompt, statement));
        }
        if let Some(values) = &step.parameters {
            self.comment(&format!("\\bind {}", parameters(values)));
        }
        for line in &step.output {
            self.text.push_str(&escape(line));
            self.text.push('\n');
        }
        for note in &step.notes {
            self.comment(note);
        }
    }

    fn comment(&mut self, comment: &str) {
        let comment = format!("-- {}", escape_cell(comment));
        self.text.push_str(&if self.is_dim {
            format!("\u{1b}[2m{comment}\u{1b}[0m\n")
        } else {
            format!("{comment}\n")
        });
    }
}

/// A statement behind its prompt, and each further line behind the prompt of a line that goes on.
fn prompted(prompt: &str, statement: &str) -> String {
    let going_on = match prompt.rfind('=') {
        Some(at) => format!("{}-{}", prompt.get(..at).unwrap_or_default(), prompt.get(at + 1..).unwrap_or_default()),
        None => prompt.to_owned(),
    };
    let (prompt, going_on) = (escape_cell(prompt), escape_cell(&going_on));
    let mut text = String::new();
    for (number, line) in terminated(statement).lines().enumerate() {
        let prompt = if number == 0 { &prompt } else { &going_on };
        text.push_str(&format!("{prompt} {}\n", escape(line)));
    }
    text
}

/// The statement with the semicolon that ends it for psql, which must not stand in a comment.
fn terminated(statement: &str) -> String {
    let trimmed = statement.trim_end();
    let last_line = trimmed.lines().next_back().unwrap_or_default();
    match trimmed {
        whole if whole.ends_with(';') => whole.to_owned(),
        whole if last_line.contains("--") => format!("{whole}\n;"),
        whole => format!("{whole};"),
    }
}

fn heading(replay: &Replay) -> String {
    let part = |before: &str, value: &Option<String>| value.as_ref().map(|value| format!(" {before}{value}"));
    let opened = replay.opened.map(|opened| format!(", opened {}", time(opened)));
    [
        Some(format!("session {}", replay.session)),
        part("of ", &replay.principal),
        part("on ", &replay.database),
        part("from ", &replay.client_addr),
        part("in region ", &replay.client_region),
        part("with ", &replay.application_name),
        opened,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn ending(replay: &Replay) -> String {
    let Some(closed) = replay.closed else { return "no end is recorded: it is open, or was cut off".to_owned() };
    let by = replay.ended_by.and_then(|ended_by| serde_json::to_value(ended_by).ok());
    let by = by.as_ref().and_then(|word| word.as_str()).map(|word| format!(": {}", word.replace('_', " ")));
    let detail = replay.detail.as_ref().map(|detail| format!(", {detail}"));
    format!("closed {}{}{}", time(closed), by.unwrap_or_default(), detail.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_is_shown_as_psql_shows_it_and_cannot_drive_the_terminal() {
        let at = "2026-11-22T10:00:00Z";
        let replay: Replay = serde_json::from_value(json!({
            "session": "se_1", "principal": "alice", "database": "shop", "client_addr": "10.0.0.1:5",
            "client_region": "us", "application_name": "psql", "opened": at, "closed": at,
            "ended_by": "client_disconnect", "detail": null, "truncated": false,
            "steps": [
                { "seq": 2, "time": at, "event": "statement", "prompt": "shop=>", "statement": "begin",
                  "output": ["BEGIN"], "duration_us": 1500 },
                { "seq": 4, "time": at, "event": "statement", "prompt": "shop=*>",
                  "statement": "select \u{1b}[31m\nfrom orders -- all", "parameters": ["a", null],
                  "output": ["(3 rows)"], "notes": ["evil\n\u{9b}note"] },
                { "seq": 6, "time": at, "event": "cancel", "notes": ["cancel"] },
            ],
        }))
        .unwrap();
        let expected = "\
-- session se_1 of alice on shop from 10.0.0.1:5 in region us with psql, opened 2026-11-22 10:00:00Z
-- #2 at 2026-11-22 10:00:00Z, 1.500 ms
shop=> begin;
BEGIN
-- #4 at 2026-11-22 10:00:00Z
shop=*> select \\u{1b}[31m
shop-*> from orders -- all
shop-*> ;
-- \\bind $1 = 'a', $2 = NULL
(3 rows)
-- evil\\n\\u{9b}note
-- #6 at 2026-11-22 10:00:00Z
-- cancel
-- closed 2026-11-22 10:00:00Z: client disconnect
";
        assert_eq!(Page { text: String::new(), is_dim: false }.of(&replay), expected);
        let dim = Page { text: String::new(), is_dim: true }.of(&replay);
        assert!(
            dim.starts_with("\u{1b}[2m-- session se_1") && dim.contains("\u{1b}[0m\nshop=> begin;\nBEGIN\n"),
            "{dim}"
        );
    }
}
