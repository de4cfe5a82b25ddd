//! The journal held against the server's log.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use pgward::audit::{EndedBy, Event, Reader, Record, RecordedVerdict};

use crate::MARK;
use crate::server_log::Key;

/// Every record of the journal in `dir`.
pub fn records(dir: &Path) -> Vec<Record> {
    let mut reader = Reader::new(dir, 1);
    std::iter::from_fn(|| reader.read().unwrap()).map(|entry| entry.record).collect()
}

/// What the comparison found.
#[derive(Debug, Default)]
pub struct Outcome {
    on_server: usize,
    recorded: usize,
    completed: usize,
    denied: usize,
    sessions: usize,
    unfinished: usize,
    /// On the server without a record.
    unrecorded: Vec<String>,
    /// Completed by its record, and not on the server.
    invented: Vec<String>,
    /// Refused, and yet on the server.
    leaked: Vec<String>,
    /// Without an end in a session that was closed.
    endless: Vec<String>,
}

pub fn compare(records: &[Record], server: &HashMap<Key, usize>) -> Outcome {
    let mut outcome = Outcome { on_server: server.values().sum(), ..Outcome::default() };
    let ended: HashMap<u64, Option<EndedBy>> = records
        .iter()
        .filter(|record| record.event == Event::StatementEnd)
        .filter_map(|record| Some((record.statement_seq?, record.ended_by)))
        .collect();
    let closed: HashSet<_> =
        records.iter().filter(|r| r.event == Event::SessionClose).filter_map(|r| r.session.clone()).collect();
    outcome.sessions = records.iter().filter(|record| record.event == Event::SessionOpen).count();
    let (mut allowed, mut completed) = (HashMap::<Key, usize>::new(), HashMap::<Key, usize>::new());
    for record in records.iter().filter(|record| record.event == Event::Statement) {
        let Some(key) = key(record) else { continue };
        if record.verdict != Some(RecordedVerdict::Allow) {
            outcome.denied += 1;
            if server.contains_key(&key) {
                outcome.leaked.push(format!("{key:?}"));
            }
            continue;
        }
        let end = ended.get(&record.seq);
        if end.is_none() {
            outcome.unfinished += 1;
            if record.session.as_ref().is_some_and(|session| closed.contains(session)) {
                outcome.endless.push(format!("{key:?}"));
            }
        }
        // The server does not log that it prepares a statement.
        if record.kind.as_deref() == Some("PARSE") {
            continue;
        }
        outcome.recorded += 1;
        if end == Some(&Some(EndedBy::Completed)) {
            outcome.completed += 1;
            *completed.entry(key.clone()).or_default() += 1;
        }
        *allowed.entry(key).or_default() += 1;
    }
    outcome.unrecorded = more(server, &allowed);
    outcome.invented = more(&completed, server);
    outcome
}

/// What there is more of in the first than in the second.
fn more(first: &HashMap<Key, usize>, second: &HashMap<Key, usize>) -> Vec<String> {
    let count = |key| second.get(key).copied().unwrap_or_default();
    let surplus = first.iter().filter(|(key, many)| **many > count(key));
    surplus.map(|(key, many)| format!("{many} > {}: {key:?}", count(key))).collect()
}

fn key(record: &Record) -> Option<Key> {
    let application = record.application_name.as_deref().filter(|name| name.starts_with(MARK))?;
    let value = |value: &Option<String>| match value {
        Some(value) => format!("'{}'", value.replace('\'', "''")),
        None => "NULL".to_owned(),
    };
    let values = record.parameters.iter().flatten().enumerate();
    let values: Vec<String> = values.map(|(index, text)| format!("${} = {}", index + 1, value(text))).collect();
    Some(Key::new(application, record.statement.as_deref().unwrap_or_default(), values.join(", ")))
}

/// A comparison that finds nothing where something is missing proves nothing.
pub fn finds_what_is_missing() {
    let record = |seq, event, text: &str, verdict| {
        let mut record = Record::new(jiff::Timestamp::UNIX_EPOCH, event);
        record.seq = seq;
        record.application_name = Some(format!("{MARK}x"));
        record.statement = Some(text.to_owned());
        record.verdict = verdict;
        record
    };
    let mut end = record(5, Event::StatementEnd, "", None);
    (end.statement_seq, end.ended_by) = (Some(2), Some(EndedBy::Completed));
    let records = [
        record(1, Event::Statement, "SELECT 1", Some(RecordedVerdict::Allow)),
        record(2, Event::Statement, "SELECT 2", Some(RecordedVerdict::Allow)),
        record(3, Event::Statement, "SELECT 3", Some(RecordedVerdict::Deny)),
        end,
    ];
    let log = "t [1] cmp-x|LOG:  statement: SELECT 1; SELECT 3\nt [1] cmp-x|LOG:  execute a: SELECT $1\n\
               t [1] cmp-x|DETAIL:  parameters: $1 = '1'\nt [1] other|LOG:  statement: SELECT 9\n";
    let outcome = compare(&records, &crate::server_log::statements(log));
    assert_eq!(outcome.on_server, 3, "{outcome:?}");
    assert_eq!((outcome.unrecorded.len(), outcome.invented.len(), outcome.leaked.len()), (2, 1, 1), "{outcome:?}");
    assert!(outcome.unrecorded.iter().any(|found| found.contains("$1 = '1'")), "{outcome:?}");
}

impl Outcome {
    pub fn check(&self, statements: usize, kills: usize) {
        for (what, found) in [
            ("on the server without a record", &self.unrecorded),
            ("completed by its record, and not on the server", &self.invented),
            ("refused, and yet on the server", &self.leaked),
            ("without an end in a session that was closed", &self.endless),
        ] {
            assert!(found.is_empty(), "{} {what}: {:#?}", found.len(), &found[..found.len().min(10)]);
        }
        // What was killed on its way counts as sent and may have reached nobody.
        let least = statements / 2;
        assert!(self.on_server >= least, "{} of {statements} statements reached the server", self.on_server);
        assert!(self.completed >= least && self.denied > 0, "{self}");
        assert!(kills > 0 || self.unfinished == 0, "{self}");
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} statements on the server; {} allowed records, {} completed, {} without an end; {} denied; {} sessions; \
             {} unrecorded, {} invented, {} leaked",
            self.on_server,
            self.recorded,
            self.completed,
            self.unfinished,
            self.denied,
            self.sessions,
            self.unrecorded.len(),
            self.invented.len(),
            self.leaked.len()
        )
    }
}
