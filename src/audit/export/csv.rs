//! Records as rows of cells: RFC 4180, safe to open in a spreadsheet.

use std::io::{self, Write};

use super::super::Record;
use super::super::canonical::{self, escape_into};

/// The line of names.
pub(super) fn header() -> String {
    COLUMNS.map(|(name, _)| name).join(",") + "\r\n"
}

type Cell = fn(&Record) -> Option<String>;

/// The columns, in the order of the record's fields.
const COLUMNS: [(&str, Cell); 39] = [
    ("time", |r| Some(r.time.to_string())),
    ("seq", |r| Some(r.seq.to_string())),
    ("event", |r| word(r.event)),
    ("session", |r| r.session.as_ref().map(ToString::to_string)),
    ("session_seq", |r| r.session_seq.map(|n| n.to_string())),
    ("principal", |r| r.principal.clone()),
    ("groups", |r| Some(r.groups.join(" "))),
    ("client_addr", |r| r.client_addr.clone()),
    ("client_region", |r| r.client_region.as_ref().map(ToString::to_string)),
    ("application_name", |r| r.application_name.clone()),
    ("database", |r| r.database.clone()),
    ("upstream_region", |r| r.upstream_region.as_ref().map(ToString::to_string)),
    ("data_region", |r| r.data_region.as_ref().map(ToString::to_string)),
    ("grant", |r| r.grant.as_ref().map(ToString::to_string)),
    ("request", |r| r.request.as_ref().map(ToString::to_string)),
    ("scope", |r| r.scope.clone()),
    ("reason", |r| r.reason.clone()),
    ("ticket", |r| r.ticket.clone()),
    ("approvers", |r| Some(r.approvers.join(" "))),
    ("protocol", |r| r.protocol.and_then(word)),
    ("statement", |r| r.statement.clone()),
    ("redacted", |r| Some(r.redacted.join(" "))),
    ("parameters", |r| r.parameters.as_ref().and_then(json)),
    ("parameter_count", |r| r.parameter_count.map(|n| n.to_string())),
    ("fingerprint", |r| r.fingerprint.clone()),
    ("kind", |r| r.kind.clone()),
    ("relations", |r| if r.relations.is_empty() { None } else { json(&r.relations) }),
    ("verdict", |r| r.verdict.and_then(word)),
    ("rule", |r| r.rule.clone()),
    ("policy_version", |r| r.policy_version.map(|n| n.to_string())),
    ("statement_seq", |r| r.statement_seq.map(|n| n.to_string())),
    ("sqlstate", |r| r.sqlstate.clone()),
    ("command_tag", |r| r.command_tag.clone()),
    ("rows", |r| r.rows.map(|n| n.to_string())),
    ("bytes", |r| r.bytes.map(|n| n.to_string())),
    ("duration_us", |r| r.duration_us.map(|n| n.to_string())),
    ("ended_by", |r| r.ended_by.and_then(word)),
    ("detail", |r| r.detail.clone()),
    ("canonical_sha256", |r| Some(hex(&super::super::seal::sha256(canonical::to_string(r).as_bytes())))),
];

/// Writes one record's line.
pub(super) fn write_row(record: &Record, out: &mut impl Write) -> io::Result<()> {
    let mut row = Vec::with_capacity(1024);
    for (index, (_, cell)) in COLUMNS.iter().enumerate() {
        if index > 0 {
            row.push(b',');
        }
        if let Some(text) = cell(record) {
            push_cell(&text, &mut row)?;
        }
    }
    row.extend_from_slice(b"\r\n");
    out.write_all(&row)
}

fn push_cell(text: &str, row: &mut Vec<u8>) -> io::Result<()> {
    let mut escaped = Vec::with_capacity(text.len());
    escape_into(text, &mut escaped)?;
    // In CSV a quote is doubled, so the backslash that JSON puts before it goes.
    let escaped = String::from_utf8(escaped).map_err(io::Error::other)?.replace("\\\"", "\"");
    let is_formula =
        text.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
            || text.starts_with(['\t', '\r', '\n']);
    let apostrophe = if is_formula { "'" } else { "" };
    row.push(b'"');
    row.extend_from_slice(apostrophe.as_bytes());
    row.extend_from_slice(escaped.replace('"', "\"\"").as_bytes());
    row.push(b'"');
    Ok(())
}

/// The word that serde gives a value of an enum.
fn word(value: impl serde::Serialize) -> Option<String> {
    json(&value).map(|quoted| quoted.trim_matches('"').to_owned())
}

fn json(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
