//! A statement's story as text: who asked for what and why, who agreed, the grant, the session, the statement and what
//! became of it. Whatever others wrote is escaped, so that it cannot drive the terminal.

use crate::audit::{Event, Record, RecordedRelation, RecordedVerdict, Statement, Story};
use crate::cli::output::{escape, escape_cell, time};

/// The story, in the order in which it happened.
pub fn tell(story: &Story) -> String {
    let mut text = String::new();
    events("access", &story.access, &mut text);
    events("session", &story.sessions, &mut text);
    for statement in &story.statements {
        tell_statement(statement, &mut text);
    }
    for record in &story.other {
        tell_other(record, &mut text);
    }
    text
}

/// A line for each record.
fn events(heading: &str, records: &[Record], text: &mut String) {
    if records.is_empty() {
        return;
    }
    begin(heading, text);
    for record in records {
        let (what, said) = event(record);
        let line = format!("{}  #{:<8} {what:<17} {said}", time(record.time), record.seq);
        text.push_str(&format!("  {}\n", escape_cell(line.trim_end())));
    }
}

/// An event in words: what happened, and what is to be known of it.
fn event(record: &Record) -> (String, String) {
    let name = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let detail = || record.detail.clone().unwrap_or_default();
    let mut parts: Vec<String> = Vec::new();
    match record.event {
        Event::RequestFiled => {
            parts.push(format!("{} by {} for scope {}", request(record), name(&record.principal), name(&record.scope)));
            parts.push(detail());
            parts.extend(record.reason.as_ref().map(|reason| format!("\"{reason}\"")));
            parts.extend(record.ticket.as_ref().map(|ticket| format!("ticket {ticket}")));
            parts.extend(record.statement.as_ref().map(|statement| format!("only for: {statement}")));
        }
        Event::RequestApproved
        | Event::RequestDenied
        | Event::RequestWithdrawn
        | Event::RequestEdited
        | Event::RequestExpired => {
            parts.push(request(record));
            if !record.approvers.is_empty() {
                parts.push(format!("by {}", record.approvers.join(", ")));
            }
            parts.extend(record.detail.as_ref().map(|note| format!("\"{note}\"")));
        }
        Event::GrantCreated
        | Event::GrantRevoked
        | Event::BreakGlassOpened
        | Event::ReviewClosed
        | Event::ReviewOverdue
        | Event::GrantEnding
        | Event::GrantExpired => {
            parts.extend(record.grant.as_ref().map(|grant| format!("{grant} of {}", name(&record.principal))));
            parts.push(format!("scope {}", name(&record.scope)));
            parts.push(detail());
            if !record.approvers.is_empty() {
                parts.push(format!("approved by {}", record.approvers.join(", ")));
            }
        }
        Event::SessionOpen => {
            let session = record.session.as_ref().map(ToString::to_string).unwrap_or_default();
            parts.push(format!("{session} of {} on {}", name(&record.principal), name(&record.database)));
            parts.push(format!("from {}{}", name(&record.client_addr), of_region(record.client_region.as_ref())));
            parts.push(format!("to its upstream{}", of_region(record.upstream_region.as_ref())));
            parts.extend(record.application_name.clone());
            parts.push(detail());
        }
        Event::SessionClose
        | Event::SessionKilled
        | Event::Cancel
        | Event::LoginDenied
        | Event::StartupRefused
        | Event::Statement
        | Event::StatementEnd
        | Event::CredentialMinted
        | Event::Message
        | Event::SinkState
        | Event::AccessRefused
        | Event::ConfigReloaded
        | Event::ConfigRefused
        | Event::JournalOpened
        | Event::JournalRecovered
        | Event::JournalClosed
        | Event::RecordsPurged
        | Event::HoldPlaced
        | Event::HoldReleased
        | Event::KeyRotated
        | Event::WitnessSilent
        | Event::WitnessHeard
        | Event::StatementHeld
        | Event::UnusualAccess
        | Event::AccessReleased
        | Event::RetentionRun
        | Event::RetentionRunEnd
        | Event::DataHoldPlaced
        | Event::DataHoldReleased
        | Event::RetentionBatch
        | Event::RetentionBatchEnd
        | Event::ControlLogin
        | Event::ControlLogout
        | Event::NotificationFailed => {
            parts.extend(record.ended_by.map(|ended_by| word(&ended_by)));
            parts.extend(record.sqlstate.clone());
            parts.push(detail());
        }
    }
    if record.verdict == Some(RecordedVerdict::Deny) && is_act(record.event) {
        // Such a record follows that of the act: its detail says why nothing came of it.
        parts.insert(0, "FAILED".to_owned());
    }
    parts.retain(|part| !part.is_empty());
    (record.event.as_str().to_owned(), parts.join(", "))
}

fn is_act(event: Event) -> bool {
    !matches!(event, Event::Statement | Event::LoginDenied | Event::StartupRefused)
}

fn request(record: &Record) -> String {
    record.request.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn of_region(region: Option<&crate::access::Region>) -> String {
    region.map(|region| format!(" in region {region}")).unwrap_or_default()
}

fn tell_statement(Statement { statement, end }: &Statement, text: &mut String) {
    begin(&format!("statement #{} at {}", statement.seq, time(statement.time)), text);
    let said = statement.statement.as_deref().unwrap_or_default();
    text.push_str(&format!("\n    {}\n\n", escape(said).replace('\n', "\n    ")));
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let value = escape(&value).replace('\n', "\n               ");
            text.push_str(&format!("  {name:<11}  {value}\n"));
        }
    };
    line("parameters", statement.parameters.as_deref().map(parameters));
    let by = statement.protocol.map(|protocol| format!("{} protocol", word(&protocol)));
    line("kind", joined([statement.kind.clone(), by], ", "));
    line("touches", Some(touches(&statement.relations)));
    line("verdict", Some(verdict(statement)));
    line("reason", statement.reason.as_ref().map(|reason| format!("\"{reason}\"")));
    line("ticket", statement.ticket.clone());
    line("approved by", Some(statement.approvers.join(", ")));
    line("result", Some(result(statement, end.as_ref())));
    line("by", Some(who(statement)));
    line("fingerprint", statement.fingerprint.clone());
}

fn verdict(statement: &Record) -> String {
    let version = statement.policy_version.map(|version| format!("policy version {version}"));
    let rest = match statement.verdict {
        Some(RecordedVerdict::Allow) => {
            let grant = statement.grant.as_ref().map(|grant| format!("allowed by grant {grant}"));
            joined([grant, statement.scope.as_ref().map(|scope| format!("scope {scope}")), version], ", ")
        }
        Some(RecordedVerdict::Deny) => {
            let rule = statement.rule.as_ref().map(|rule| format!("REFUSED by rule {rule}"));
            let why = joined([rule, version], ", ");
            joined([why, statement.detail.clone()], "\n")
        }
        None => None,
    };
    rest.unwrap_or_else(|| "none".to_owned())
}

fn result(statement: &Record, end: Option<&Record>) -> String {
    let Some(end) = end else {
        return match statement.verdict {
            Some(RecordedVerdict::Deny) => "it was not run".to_owned(),
            Some(RecordedVerdict::Allow) | None => "no end is recorded: it still runs, or was cut off".to_owned(),
        };
    };
    let parts = [
        end.command_tag.clone(),
        end.sqlstate.as_ref().map(|state| format!("SQLSTATE {state}")),
        end.ended_by.map(|ended_by| word(&ended_by)),
        end.rows.map(|rows| if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }),
        end.bytes.map(|bytes| format!("{bytes} bytes")),
        end.duration_us.map(milliseconds),
        end.detail.clone(),
    ];
    format!("{} (#{})", joined(parts, ", ").unwrap_or_default(), end.seq)
}

fn who(statement: &Record) -> String {
    let parts = [
        statement.principal.clone(),
        statement.database.as_ref().map(|database| format!("on {database}")),
        statement
            .client_addr
            .as_ref()
            .map(|addr| format!("from {addr}{}", of_region(statement.client_region.as_ref()))),
        statement.application_name.as_ref().map(|name| format!("with {name}")),
        statement.session.as_ref().map(|session| format!("in session {session}")),
    ];
    joined(parts, " ").unwrap_or_default()
}

fn touches(relations: &[RecordedRelation]) -> String {
    let lines = relations.iter().map(|relation| {
        let columns =
            if relation.columns.is_empty() { String::new() } else { format!(" ({})", relation.columns.join(", ")) };
        format!("{} {}{columns}", word(&relation.operation), relation.name)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Bind values as psql would have them.
pub(super) fn parameters(values: &[Option<String>]) -> String {
    let quoted = |value: &Option<String>| match value {
        Some(value) => format!("'{}'", value.replace('\'', "''")),
        None => "NULL".to_owned(),
    };
    values
        .iter()
        .zip(1..)
        .map(|(value, number)| format!("${number} = {}", quoted(value)))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) fn milliseconds(microseconds: u64) -> String {
    format!("{}.{:03} ms", microseconds / 1000, microseconds % 1000)
}

/// A record that is neither: its fields, a line for each.
fn tell_other(record: &Record, text: &mut String) {
    begin(&format!("#{} at {}, {}", record.seq, time(record.time), record.event.as_str()), text);
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(record) else { return };
    for (name, value) in fields.iter().filter(|(name, _)| !matches!(name.as_str(), "seq" | "time" | "event")) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let value = escape(&value).replace('\n', "\n                    ");
        text.push_str(&format!("  {:<16}  {value}\n", escape_cell(name)));
    }
}

fn begin(heading: &str, text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&escape_cell(heading));
    text.push('\n');
}

fn joined<const N: usize>(parts: [Option<String>; N], between: &str) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    Some(parts.join(between)).filter(|text| !text.is_empty())
}

/// The word that records have for a value.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn record(json: serde_json::Value) -> Record {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_story_is_told_in_order_and_cannot_drive_the_terminal() {
        let at = "2026-11-22T10:00:00Z";
        let story = Story {
            access: vec![
                record(serde_json::json!({ "time": at, "seq": 1, "event": "request_filed", "request": "req_1",
                    "principal": "alice", "scope": "orders-read", "reason": "wrong\n\u{1b}[31mtotals",
                    "ticket": "INC-1", "detail": "for 1800 seconds" })),
                record(serde_json::json!({ "time": at, "seq": 2, "event": "request_approved", "request": "req_1",
                    "principal": "alice", "approvers": ["bob"], "detail": "fine" })),
                record(serde_json::json!({ "time": at, "seq": 3, "event": "grant_created", "request": "req_1",
                    "principal": "alice", "grant": "gr_1", "scope": "orders-read", "approvers": ["bob"],
                    "detail": "from a until b" })),
            ],
            sessions: vec![record(
                serde_json::json!({ "time": at, "seq": 4, "event": "session_open", "session": "se_1",
                "principal": "alice", "database": "shop", "client_addr": "10.0.0.1:5", "client_region": "us",
                "upstream_region": "us", "application_name": "psql" }),
            )],
            statements: vec![Statement {
                statement: record(serde_json::json!({ "time": at, "seq": 5, "event": "statement",
                    "statement": "select\n\u{1b}[31m1", "verdict": "allow", "grant": "gr_1", "scope": "orders-read",
                    "kind": "SELECT", "protocol": "extended", "parameters": ["it's", null], "relations": [
                        { "name": "public.orders", "operation": "select", "columns": ["id"] }] })),
                end: Some(record(serde_json::json!({ "time": at, "seq": 6, "event": "statement_end", "rows": 1,
                    "command_tag": "SELECT 1", "ended_by": "completed", "duration_us": 1234 }))),
            }],
            other: Vec::new(),
        };
        let expected = "\
access
  2026-11-22 10:00:00Z  #1        request_filed     req_1 by alice for scope orders-read, for 1800 seconds, \"wrong\\n\\u{1b}[31mtotals\", ticket INC-1
  2026-11-22 10:00:00Z  #2        request_approved  req_1, by bob, \"fine\"
  2026-11-22 10:00:00Z  #3        grant_created     gr_1 of alice, scope orders-read, from a until b, approved by bob

session
  2026-11-22 10:00:00Z  #4        session_open      se_1 of alice on shop, from 10.0.0.1:5 in region us, to its upstream in region us, psql

statement #5 at 2026-11-22 10:00:00Z

    select
    \\u{1b}[31m1

  parameters   $1 = 'it''s', $2 = NULL
  kind         SELECT, extended protocol
  touches      select public.orders (id)
  verdict      allowed by grant gr_1, scope orders-read
  result       SELECT 1, completed, 1 row, 1.234 ms (#6)
";
        assert_eq!(tell(&story), expected);
    }

    #[test]
    fn a_refusal_says_by_what() {
        let refused = record(serde_json::json!({ "time": "2026-11-22T10:00:00Z", "seq": 5, "event": "statement",
            "statement": "select secret", "verdict": "deny", "rule": "relation", "detail": "permission denied: x" }));
        let story = Story { statements: vec![Statement { statement: refused, end: None }], ..Story::default() };
        let text = tell(&story);
        assert!(
            text.contains("  verdict      REFUSED by rule relation\n               permission denied: x\n"),
            "{text}"
        );
        assert!(text.contains("  result       it was not run\n"), "{text}");
    }
}
