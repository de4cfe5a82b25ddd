//! `audit`: reading the journal through the control port, and proving it, with a server or without.

use serde_json::{Value, json};

use crate::audit::{Entry, Record, RecordedVerdict, Report};
use crate::cli::args::{AuditCommand, ExportFormat, Format, Options, SearchArguments};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::server::Target;
use crate::control::api::{AuditFilter, VerdictWord, Verification};

pub async fn run(options: &Options, command: AuditCommand) -> Result<(), Failure> {
    let client = || Client::new(Target::resolve(options)?);
    match command {
        AuditCommand::Search(search) => lines(&client()?, &["audit", "search"], search).await,
        AuditCommand::Tail(search) => lines(&client()?, &["audit", "tail"], search).await,
        AuditCommand::Show { record } => show(&client()?, options.output, &record).await,
        AuditCommand::Verify { dir: Some(dir) } => {
            let report = crate::audit::verify(&dir);
            let Report { ok, records, first_bad, problem, .. } = report;
            proved(options.output, &Verification { ok, records, first_bad, detail: problem })
        }
        AuditCommand::Verify { dir: None } => {
            proved(options.output, &client()?.get_slowly(&["audit", "verify"]).await?)
        }
        AuditCommand::Export { search, format, dir: Some(dir) } => export_files(&dir, search, format),
        AuditCommand::Export { search, format, dir: None } => export(&client()?, search, format).await,
    }
}

/// Each record on its line as it comes: nothing is held back, so that `| head` and `| jq` work on any length.
async fn lines(client: &Client, path: &[&str], search: SearchArguments) -> Result<(), Failure> {
    let limit = search.limit;
    let print = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        output::print(&(output::ascii_controls(&line) + "\n"))
    };
    let more = client.lines(path, &filter(search), print).await?;
    tell_of_more(more, limit);
    Ok(())
}

/// Who asked for so many knows that there may be more; who asked for all has to be told.
fn tell_of_more(more: bool, limit: Option<usize>) {
    if more && limit.is_none() {
        output::notice("warning: these are only the newest records that were found");
        output::hint("narrow the search with --since and --until, or ask for more with --limit");
    }
}

async fn export(client: &Client, search: SearchArguments, format: ExportFormat) -> Result<(), Failure> {
    let mut entries = Vec::new();
    let keep = |line: &[u8]| {
        let record: Record = serde_json::from_slice(line)?;
        entries.push(Entry { record, canonical: line.to_vec() });
        Ok(())
    };
    let limit = search.limit;
    let more = client.lines(&["audit", "search"], &filter(search), keep).await?;
    tell_of_more(more, limit);
    let mut stdout = std::io::stdout().lock();
    Ok(crate::audit::export(&entries, form(format), &mut stdout)?)
}

/// Reads the files, so that nothing needs to run; without a limit, one record at a time.
fn export_files(dir: &std::path::Path, search: SearchArguments, format: ExportFormat) -> Result<(), Failure> {
    let failed = |error: crate::audit::ReadError| {
        Failure::new(format!("{}: {error}", dir.display()), "give the journal's own folder, audit.dir in proxy.toml")
    };
    let filter = file_filter(search);
    let format = form(format);
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    if filter.limit.is_some() {
        let entries = crate::audit::search(dir, &filter, |_| true).map_err(failed)?;
        crate::audit::export(&entries, format, &mut stdout)?;
    } else {
        crate::audit::begin_export(format, &mut stdout)?;
        let mut reader = crate::audit::Reader::new(dir, 1);
        while let Some(entry) = reader.read().map_err(failed)? {
            if filter.matches(&entry.record) {
                crate::audit::export_one(&entry, format, &mut stdout)?;
            }
        }
    }
    Ok(std::io::Write::flush(&mut stdout)?)
}

fn form(format: ExportFormat) -> crate::audit::Format {
    match format {
        ExportFormat::Csv => crate::audit::Format::Csv,
        ExportFormat::Jsonl => crate::audit::Format::JsonLines,
        ExportFormat::Ocsf => crate::audit::Format::Ocsf,
    }
}

fn file_filter(search: SearchArguments) -> crate::audit::Filter {
    crate::audit::Filter {
        principal: search.principal,
        database: search.database,
        grant: search.grant,
        session: search.session,
        request: None,
        relation: search.relation,
        verdict: search.verdict.map(|verdict| match verdict {
            VerdictWord::Allow => RecordedVerdict::Allow,
            VerdictWord::Deny => RecordedVerdict::Deny,
        }),
        event: None,
        text: search.text,
        since: search.since,
        until: search.until,
        limit: search.limit,
    }
}

async fn show(client: &Client, format: Format, record: &str) -> Result<(), Failure> {
    let story: Value = client.get_slowly(&["audit", "records", record]).await?;
    match format {
        Format::Json => output::json(&story),
        Format::Table => output::print(&tell(&story)),
    }
}

/// The story as text: a heading for each part, a paragraph for each record, a line for each of its fields.
fn tell(story: &Value) -> String {
    let mut text = String::new();
    for (heading, part) in [("access", "access"), ("session", "sessions"), ("statement", "statements"), ("", "other")] {
        for entry in story.get(part).and_then(Value::as_array).into_iter().flatten() {
            match entry.get("statement").filter(|statement| statement.is_object()) {
                Some(statement) => {
                    paragraph(heading, statement, &mut text);
                    if let Some(end) = entry.get("end").filter(|end| end.is_object()) {
                        paragraph("its end", end, &mut text);
                    }
                }
                None => paragraph(heading, entry, &mut text),
            }
        }
    }
    text
}

fn paragraph(heading: &str, record: &Value, text: &mut String) {
    let word = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if !text.is_empty() {
        text.push('\n');
    }
    let seq = record.get("seq").and_then(Value::as_u64).unwrap_or_default();
    text.push_str(&output::escape_cell(&format!("#{seq} {} {} {heading}", word("time"), word("event"))));
    text.push('\n');
    for (name, value) in record.as_object().into_iter().flatten() {
        if matches!(name.as_str(), "seq" | "time" | "event") {
            continue;
        }
        let value = match value {
            Value::String(value) => value.clone(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        let value = output::escape(&value).replace('\n', "\n                    ");
        text.push_str(&format!("  {:<16}  {value}\n", output::escape_cell(name)));
    }
}

/// Exit code 1 where the journal is not whole: the answer is printed all the same.
fn proved(format: Format, found: &Verification) -> Result<(), Failure> {
    match format {
        Format::Json => {
            output::json(&json!({ "ok": found.ok, "records": found.records, "first_bad": found.first_bad }))?
        }
        Format::Table if found.ok => output::say(&format!("the journal is whole: {} records", found.records))?,
        Format::Table => {}
    }
    if found.ok {
        return Ok(());
    }
    let what = found.detail.as_deref().unwrap_or("it is not as it was written");
    let message = match found.first_bad {
        Some(seq) => format!("the journal is not whole: record {seq}: {what}"),
        None => format!("the journal cannot be proved: {what}"),
    };
    Err(Failure::new(message, "keep the files as they are, and compare them with a copy kept elsewhere"))
}

fn filter(search: SearchArguments) -> AuditFilter {
    AuditFilter {
        principal: search.principal,
        database: search.database,
        grant: search.grant,
        session: search.session,
        relation: search.relation,
        verdict: search.verdict,
        text: search.text,
        since: search.since,
        until: search.until,
        limit: search.limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_told_in_order_and_cannot_drive_the_terminal() {
        let story = json!({
            "access": [{ "time": "t1", "seq": 1, "event": "grant_created", "reason": "because" }],
            "sessions": [],
            "statements": [{
                "statement": { "time": "t2", "seq": 2, "event": "statement", "statement": "select\n\u{1b}[31m1" },
                "end": { "time": "t3", "seq": 3, "event": "statement_end", "rows": 1 },
            }],
            "other": [],
        });
        let text = tell(&story);
        let expected = "#1 t1 grant_created access\n  reason            because\n\n#2 t2 statement statement\n  \
                        statement         select\n                    \\u{1b}[31m1\n\n#3 t3 statement_end its end\n  \
                        rows              1\n";
        assert_eq!(text, expected);
    }
}
