//! The second opinion: what PostgreSQL says to the same statement when a role with exactly the grant's privileges asks.
//! Nothing lasts: every statement stands in a transaction that is never committed, behind a savepoint of its own.

use std::path::Path;

use crate::wire::{Answer, Connection, Message};

/// One statement, and how PostgreSQL is to be asked about it.
#[derive(Clone, Debug)]
pub struct Case {
    pub text: String,
    pub probe: Probe,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// By EXPLAIN: privileges are checked when the executor starts.
    Explain,
    /// By running it.
    Run,
    /// COPY … FROM STDIN, which is then failed.
    CopyFrom,
    /// By running it and then this, which asks about what was prepared.
    Prepared(String),
}

impl Case {
    pub fn explained(text: String) -> Self {
        Self { text, probe: Probe::Explain }
    }

    pub fn run(text: String) -> Self {
        Self { text, probe: Probe::Run }
    }

    /// The query or write in it, where there is one.
    pub fn inner(&self) -> Option<&str> {
        Some(match &self.probe {
            Probe::Explain => self.text.as_str(),
            Probe::CopyFrom => return None,
            Probe::Prepared(_) => self.text.split_once(" AS ")?.1,
            Probe::Run => {
                let text = self.text.trim_start();
                if let Some(query) = text.strip_prefix("COPY (") {
                    query.rsplit_once(") TO ")?.0
                } else if let Some(explained) = text.strip_prefix("EXPLAIN ") {
                    let options = ["ANALYZE ", "VERBOSE ", "(COSTS OFF) ", "(ANALYZE, TIMING OFF) ", "(FORMAT json) "];
                    options.iter().find_map(|option| explained.strip_prefix(option)).unwrap_or(explained)
                } else if text.starts_with("DECLARE ") {
                    text.split_once(" FOR ")?.1
                } else if text.starts_with("CREATE ") {
                    text.split_once(" AS ")?.1.trim_end_matches(" WITH NO DATA")
                } else {
                    text
                }
            }
        })
    }

    /// The messages that ask about it.
    fn messages(&self, running: bool) -> Vec<Message> {
        let query = |text: String| Message::Query(text);
        // A query may join everything with everything: that it began to run is enough.
        let patience = if running || self.probe == Probe::Run { "; SET LOCAL statement_timeout = '100ms'" } else { "" };
        let start = query(format!("ROLLBACK TO SAVEPOINT clean{patience}"));
        match &self.probe {
            Probe::Explain if !running => vec![start, query(format!("EXPLAIN {}", self.text))],
            // Prepared statements outlive the transaction.
            Probe::Explain | Probe::Run if self.text.to_ascii_uppercase().contains("EXECUTE") => {
                vec![start, query("DEALLOCATE ALL".to_owned()), query(self.text.clone())]
            }
            Probe::Explain | Probe::Run => vec![start, query(self.text.clone())],
            Probe::CopyFrom => vec![start, query(self.text.clone()), Message::CopyFail],
            Probe::Prepared(then) => {
                vec![start, query("DEALLOCATE ALL".to_owned()), query(self.text.clone()), query(then.clone())]
            }
        }
    }
}

/// What PostgreSQL says.
#[derive(Clone, Debug, PartialEq)]
pub enum Opinion {
    Allows,
    /// 42501.
    Refuses(String),
    /// Anything else: nothing was read and nothing was written.
    Fails,
}

pub struct Oracle {
    connection: Connection,
}

/// Messages for one round trip: their size is bounded by the socket's buffer.
const BATCH_BYTES: usize = 60_000;

impl Oracle {
    pub fn open(directory: &Path, port: u16, role: &str) -> Self {
        let mut connection = Connection::open(directory, port, role, "shop");
        connection.run("SET statement_timeout = '2s'");
        connection.run("SET jit = off");
        connection.run("SET lock_timeout = '1s'");
        connection.run("BEGIN");
        connection.run("SAVEPOINT clean");
        Self { connection }
    }

    /// One opinion for each case. `running` runs what is otherwise explained.
    pub fn ask(&mut self, cases: &[&Case], running: bool) -> Vec<Opinion> {
        let mut opinions = Vec::with_capacity(cases.len());
        let (mut batch, mut size, mut counts) = (Vec::new(), 0, Vec::new());
        for case in cases {
            let messages = case.messages(running);
            if size + case.text.len() > BATCH_BYTES || counts.len() >= 64 {
                self.round(&mut batch, &mut counts, &mut opinions);
                size = 0;
            }
            size += case.text.len() + 100;
            counts.push(messages.iter().filter(|message| matches!(message, Message::Query(_))).count());
            batch.extend(messages);
        }
        self.round(&mut batch, &mut counts, &mut opinions);
        opinions
    }

    /// PostgreSQL's plan for one case.
    pub fn plan(&mut self, case: &Case) -> Option<String> {
        let clean = || Message::Query("ROLLBACK TO SAVEPOINT clean".to_owned());
        let explain = Message::Query(format!("EXPLAIN (VERBOSE, COSTS OFF) {}", case.inner()?));
        let answer = self.connection.ask(&[clean(), explain, clean()]).swap_remove(1);
        let line = |row: Vec<Option<String>>| row.into_iter().flatten().collect::<String>();
        answer.error.is_none().then(|| answer.rows.into_iter().map(line).collect::<Vec<_>>().join("\n"))
    }

    fn round(&mut self, batch: &mut Vec<Message>, counts: &mut Vec<usize>, opinions: &mut Vec<Opinion>) {
        // No lock is kept while somebody else asks.
        batch.push(Message::Query("ROLLBACK TO SAVEPOINT clean".to_owned()));
        let mut answers = self.connection.ask(batch).into_iter();
        for count in counts.drain(..) {
            let own: Vec<Answer> = answers.by_ref().take(count).collect();
            assert_ne!(own[0].state, b'I', "the transaction was left");
            opinions.push(opinion(&own));
        }
        batch.clear();
    }
}

/// The first error decides.
fn opinion(answers: &[Answer]) -> Opinion {
    match answers.iter().find_map(|answer| answer.error.clone()) {
        None => Opinion::Allows,
        Some((sqlstate, message)) if sqlstate == "42501" => Opinion::Refuses(message),
        // The test itself fails a COPY that was let through.
        Some((sqlstate, message)) if sqlstate == "57014" && message.contains("COPY from stdin failed") => {
            Opinion::Allows
        }
        Some(_) => Opinion::Fails,
    }
}
