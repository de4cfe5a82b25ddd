//! `audit`: reading the journal through the control port, and proving it, with a server or without.

use std::path::Path;

use serde_json::json;

use super::{holds, replay, story};
use crate::access::SessionId;
use crate::audit::{Entry, Finder, Record, Report, Selector, Story};
use crate::cli::args::{AuditCommand, ExportFormat, Format, Options, SearchArguments};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::server::Target;
use crate::control::api::{AuditFilter, JournalState, JournalVerification, Verification};

pub async fn run(options: &Options, command: AuditCommand) -> Result<(), Failure> {
    let client = async || Client::new(Target::resolve(options).await?);
    match command {
        AuditCommand::Search { search, dir: Some(dir) } => search_offline(&dir, search),
        AuditCommand::Search { search, dir: None } => {
            let limit = search.limit;
            let more = lines(&client().await?, &["audit", "search"], &filter(search)).await?;
            tell_of_more(more, limit);
            Ok(())
        }
        AuditCommand::Tail { search, lines: last, follow: _ } => {
            let filter = AuditFilter { last, ..filter(search) };
            lines(&client().await?, &["audit", "tail"], &filter).await.map(drop)
        }
        AuditCommand::Show { record, dir: Some(dir) } => {
            let found = Finder::new(&dir).story(&Selector::parse(&record), |_| true)?;
            if found.is_empty() {
                return Err(nothing(&record));
            }
            show(options.output, &found)
        }
        AuditCommand::Show { record, dir: None } => {
            show(options.output, &client().await?.get_slowly(&["audit", "records", &record]).await?)
        }
        AuditCommand::Replay { session, dir: Some(dir) } => {
            let found = Finder::new(&dir).replay(&SessionId::from_text(session.as_str()), |_| true)?;
            replay::print(options.output, &found.ok_or_else(|| nothing(&session))?)
        }
        AuditCommand::Replay { session, dir: None } => {
            let found = client().await?.get_slowly(&["audit", "sessions", &session, "replay"]).await?;
            replay::print(options.output, &found)
        }
        AuditCommand::Prove(arguments) => super::proof::prove(options, arguments).await,
        AuditCommand::Verify(arguments) => match (&arguments.bundle, &arguments.dir) {
            (Some(bundle), _) => super::proof::verify_bundle(options, bundle, &arguments),
            (None, Some(dir)) => {
                let report = super::proof::verify_dir(dir, &arguments)?;
                if report.erased + report.unread > 0 {
                    output::notice(&format!("{} records are erased, {} were not read", report.erased, report.unread));
                }
                let Report { ok, records, first_bad, problem, .. } = report;
                proved(options.output, &Verification { ok, records, first_bad, detail: problem, journals: Vec::new() })
            }
            (None, None) if !arguments.vkeys.is_empty() => Err(Failure::new(
                "--vkey says whose journal or proof it must be, and there is none to read",
                "give a directory with --dir, or a proof with --bundle",
            )),
            (None, None) => proved(options.output, &client().await?.get_slowly(&["audit", "verify"]).await?),
        },
        AuditCommand::Key(arguments) => super::signing::run(options, &arguments),
        AuditCommand::Hold(command) => holds::hold(&client().await?, options.output, command).await,
        AuditCommand::Purge => holds::purge(&client().await?, options.output).await,
        AuditCommand::Export { search, format, dir: Some(dir) } => export_files(&dir, search, format),
        AuditCommand::Export { search, format, dir: None } => export(&client().await?, search, format).await,
    }
}

/// Each record on its line as it comes: nothing is held back, so that `| head` and `| jq` work on any length. Answers
/// whether there are more.
async fn lines(client: &Client, path: &[&str], filter: &AuditFilter) -> Result<bool, Failure> {
    client.lines(path, filter, print_record).await
}

fn print_record(line: &[u8]) -> Result<(), Failure> {
    let line = String::from_utf8_lossy(line);
    output::print(&(output::ascii_controls(&line) + "\n"))
}

/// Whoever can read the files may see all that is in them.
fn search_offline(dir: &Path, search: SearchArguments) -> Result<(), Failure> {
    let filter = filter(search).read().map_err(|what| Failure::new(what, "see `pgward audit search --help`"))?;
    let found = Finder::new(dir).search(&filter, |_| true)?;
    found.iter().try_for_each(|entry| print_record(&entry.canonical))
}

fn nothing(what: &str) -> Failure {
    Failure::new(
        format!("the journal holds no \"{}\"", what.escape_debug()),
        "find records with `pgward audit search`; name one by its seq, its session, or its fingerprint",
    )
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
    let filter = filter(search).read().map_err(|error| Failure::new(error, "look at `pgward audit export --help`"))?;
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

fn show(format: Format, story: &Story) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(story),
        Format::Table => output::print(&story::tell(story)),
    }
}

/// Exit code 1 where the journal is not whole: the answer is printed all the same.
fn proved(format: Format, found: &Verification) -> Result<(), Failure> {
    match format {
        Format::Json => {
            let answer = match found.journals.as_slice() {
                [] => json!({ "ok": found.ok, "records": found.records, "first_bad": found.first_bad }),
                journals => json!({
                    "ok": found.ok,
                    "records": found.records,
                    "first_bad": found.first_bad,
                    "journals": journals,
                }),
            };
            output::json(&answer)?
        }
        Format::Table if !found.journals.is_empty() => journals(&found.journals)?,
        Format::Table if found.ok => output::say(&format!("the journal is whole: {} records", found.records))?,
        Format::Table => {}
    }
    if found.ok {
        return Ok(());
    }
    if found.first_bad.is_none() && !found.journals.is_empty() {
        let wrong = found.journals.iter().filter(|one| one.state != JournalState::Whole);
        let wrong: Vec<String> = wrong
            .map(|one| format!("{}: {}", one.replica, one.detail.as_deref().unwrap_or("it is not whole")))
            .collect();
        return Err(Failure::new(
            format!("not every journal is whole: {}", wrong.join("; ")),
            "verify a journal whose replica is gone with --dir; docs/replicas.md says how one is retired",
        ));
    }
    let what = found.detail.as_deref().unwrap_or("it is not as it was written");
    let message = match found.first_bad {
        Some(seq) => format!("the journal is not whole: record {seq}: {what}"),
        None => format!("the journal cannot be proved: {what}"),
    };
    Err(Failure::new(message, "keep the files as they are, and compare them with a copy kept elsewhere"))
}

fn journals(all: &[JournalVerification]) -> Result<(), Failure> {
    let rows = all.iter().map(|one| {
        let state = match one.state {
            JournalState::Whole => "whole",
            JournalState::Bad => "bad",
            JournalState::Behind => "behind",
            JournalState::Missing => "missing",
        };
        let detail = one.detail.clone().unwrap_or_default();
        vec![one.replica.clone(), state.to_owned(), one.records.to_string(), one.published.to_string(), detail]
    });
    output::table("journals", &["replica", "journal is", "records", "published", ""], rows.collect())
}

pub(super) fn filter(search: SearchArguments) -> AuditFilter {
    AuditFilter {
        principal: search.principal,
        database: search.database,
        grant: search.grant,
        session: search.session,
        request: search.request,
        relation: search.relation,
        column: search.column,
        kind: search.kind,
        region: search.region,
        event: search.event,
        rows: search.rows,
        fingerprint: search.fingerprint,
        rule: search.rule,
        sqlstate: search.sqlstate,
        verdict: search.verdict,
        text: search.text,
        since: search.since,
        until: search.until,
        limit: search.limit,
        last: None,
    }
}
