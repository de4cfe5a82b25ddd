//! What psql prints of a statement's result, told from its records, and where a transaction stands by then.

use super::conditions;
use crate::audit::{EndedBy, Record, RecordedVerdict};

/// Where a session's transaction stands, as far as the records tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transaction {
    Idle,
    InBlock,
    Failed,
}

impl Transaction {
    /// psql's prompt.
    pub(super) fn prompt(self, database: &str) -> String {
        let mark = match self {
            Self::Idle => "",
            Self::InBlock => "*",
            Self::Failed => "!",
        };
        format!("{database}={mark}>")
    }

    /// Where it stands after a statement.
    pub(super) fn after(self, statement: &Record, end: Option<&Record>) -> Self {
        let kind = statement.kind.as_deref().unwrap_or_default();
        if is_refused(statement) || end.is_some_and(has_failed) {
            // A COMMIT that fails ends the block all the same.
            return match self {
                Self::Idle => Self::Idle,
                Self::InBlock | Self::Failed if kind == "COMMIT" && !is_refused(statement) => Self::Idle,
                Self::InBlock | Self::Failed => Self::Failed,
            };
        }
        if !end.is_some_and(|end| end.ended_by == Some(EndedBy::Completed)) {
            return self;
        }
        let text = statement.statement.as_deref().unwrap_or_default().to_ascii_uppercase();
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let chains = text.contains("CHAIN") && !words.clone().any(|word| word == "NO");
        match kind {
            "BEGIN" | "START TRANSACTION" => Self::InBlock,
            // That of a savepoint has the same kind and the same tag.
            "ROLLBACK" if words.any(|word| word == "TO") => Self::InBlock,
            "COMMIT" | "ROLLBACK" if chains => Self::InBlock,
            "COMMIT" | "ROLLBACK" | "PREPARE TRANSACTION" => Self::Idle,
            _ => self,
        }
    }
}

fn is_refused(statement: &Record) -> bool {
    statement.verdict == Some(RecordedVerdict::Deny)
}

fn has_failed(end: &Record) -> bool {
    end.sqlstate.is_some() || end.ended_by == Some(EndedBy::Error)
}

/// What psql would have printed, but for the rows.
pub(super) fn output(statement: &Record, end: Option<&Record>) -> Vec<String> {
    if is_refused(statement) {
        let said = statement.detail.as_deref().unwrap_or("refused by pgward");
        let rule = statement.rule.as_ref().map(|rule| format!("DETAIL:  refused by rule {rule}"));
        return std::iter::once(format!("ERROR:  {said}")).chain(rule).collect();
    }
    let Some(end) = end else { return Vec::new() };
    if let Some(state) = &end.sqlstate {
        return vec![format!("ERROR:  {}", conditions::named(state))];
    }
    match &end.command_tag {
        Some(tag) => result(tag, end.rows.unwrap_or_default(), end.bytes.unwrap_or_default()),
        None => Vec::new(),
    }
}

/// What psql prints below a result: the number of rows where there are rows to show, the command's tag otherwise, both
/// where a command that changes rows also returns some.
fn result(tag: &str, rows: u64, bytes: u64) -> Vec<String> {
    let counted = || if rows == 1 { "(1 row)".to_owned() } else { format!("({rows} rows)") };
    match tag.split(' ').next().unwrap_or_default() {
        "SELECT" | "FETCH" | "SHOW" | "EXPLAIN" => vec![counted()],
        // Bytes of rows went to the client: RETURNING.
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "CALL" if bytes > 0 => {
            vec![counted(), String::new(), tag.to_owned()]
        }
        _ => vec![tag.to_owned()],
    }
}

/// What psql does not tell: why a statement ended other than by itself.
pub(super) fn notes(statement: &Record, end: Option<&Record>) -> Vec<String> {
    let mut notes = Vec::new();
    if statement.kind.as_deref() == Some("PARSE") {
        notes.push("prepared, not run".to_owned());
    }
    match end.map(|end| (end.ended_by, end.rows, end.bytes)) {
        None if is_refused(statement) => {}
        None => notes.push("no end is recorded: it still runs, or was cut off".to_owned()),
        Some((Some(ended_by), rows, bytes)) => {
            if let Some(why) = why(ended_by) {
                let so_far = match (rows, bytes) {
                    (Some(rows), Some(bytes)) if bytes > 0 => format!(", after {rows} rows"),
                    _ => String::new(),
                };
                notes.push(format!("{why}{so_far}"));
            }
        }
        Some((None, ..)) => {}
    }
    notes
}

fn why(ended_by: EndedBy) -> Option<&'static str> {
    Some(match ended_by {
        EndedBy::Completed | EndedBy::Error | EndedBy::Denied => return None,
        EndedBy::Skipped => "skipped: an earlier statement of the same batch failed",
        EndedBy::ClientCancel => "cancelled by the client",
        EndedBy::ClientDisconnect => "the client went away",
        EndedBy::UpstreamDisconnect => "the server went away",
        EndedBy::GrantExpired => "cancelled: its grant expired",
        EndedBy::GrantRevoked => "cancelled: its grant was revoked",
        EndedBy::Killed => "cancelled: the session was killed",
        EndedBy::RowLimit => "cancelled at the row limit",
        EndedBy::ByteLimit => "cancelled at the byte limit",
        EndedBy::Export => "cancelled at the export limit",
        EndedBy::Shutdown => "cancelled: pgward shut down",
        EndedBy::ProtocolViolation => "the protocol was broken",
        EndedBy::Timeout => "cancelled at its time limit",
        EndedBy::Fault => "ended by a fault of pgward's own",
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::audit::Event;

    fn said(kind: &str, text: &str) -> Record {
        let mut record = Record::new(Timestamp::UNIX_EPOCH, Event::Statement);
        record.kind = Some(kind.to_owned());
        record.statement = Some(text.to_owned());
        record.verdict = Some(RecordedVerdict::Allow);
        record
    }

    fn ended(sqlstate: Option<&str>) -> Record {
        let mut record = Record::new(Timestamp::UNIX_EPOCH, Event::StatementEnd);
        record.sqlstate = sqlstate.map(str::to_owned);
        record.ended_by = Some(if sqlstate.is_some() { EndedBy::Error } else { EndedBy::Completed });
        record
    }

    #[test]
    fn a_transaction_is_followed() {
        use Transaction::{Failed, Idle, InBlock};
        let mut now = Idle;
        let mut step = |kind: &str, text: &str, state: Option<&str>, expected: Transaction| {
            now = now.after(&said(kind, text), Some(&ended(state)));
            assert_eq!(now, expected, "{text}");
        };
        step("SELECT", "select 1/0", Some("22012"), Idle);
        step("BEGIN", "begin", None, InBlock);
        step("SAVEPOINT", "savepoint a", None, InBlock);
        step("SELECT", "select 1/0", Some("22012"), Failed);
        step("SELECT", "select 1", Some("25P02"), Failed);
        step("ROLLBACK", "rollback to savepoint a", None, InBlock);
        step("COMMIT", "commit and chain", None, InBlock);
        step("COMMIT", "commit and no chain", None, Idle);
        step("START TRANSACTION", "start transaction", None, InBlock);
        step("COMMIT", "commit", Some("23503"), Idle);
        step("BEGIN", "begin", None, InBlock);
        let mut refused = said("SELECT", "select secret");
        refused.verdict = Some(RecordedVerdict::Deny);
        assert_eq!(InBlock.after(&refused, None), Failed);
        step("ROLLBACK", "rollback", None, Idle);
    }

    #[test]
    fn results_are_shown_as_psql_shows_them() {
        let check = |tag: &str, rows: u64, bytes: u64, expected: &[&str]| {
            assert_eq!(result(tag, rows, bytes), expected, "{tag}");
        };
        check("SELECT 3", 3, 90, &["(3 rows)"]);
        check("SELECT 1", 1, 9, &["(1 row)"]);
        check("SELECT 0", 0, 0, &["(0 rows)"]);
        check("SHOW", 1, 9, &["(1 row)"]);
        check("UPDATE 3", 3, 0, &["UPDATE 3"]);
        check("INSERT 0 1", 1, 12, &["(1 row)", "", "INSERT 0 1"]);
        check("COPY 5", 5, 100, &["COPY 5"]);
        check("BEGIN", 0, 0, &["BEGIN"]);
    }
}
