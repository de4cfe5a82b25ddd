//! `scopes suggest`, `report`: what the journal says of use.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use crate::cli::args::{Format, ReportCommand, ScopesCommand};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::usage::{ResidencyQuestion, ResidencyReport, ScopesQuestion, ScopesReport, page};

pub async fn suggest(client: &Client, format: Format, command: ScopesCommand) -> Result<(), Failure> {
    let ScopesCommand::Suggest { days, scope, toml } = command;
    let report: ScopesReport = client.get(&["reports", "scopes"], &ScopesQuestion { days, scope }).await?;
    if toml {
        return output::print(&suggestions(&report));
    }
    if format == Format::Json {
        return output::json(&report);
    }
    let scopes = report.scopes.iter().map(|one| {
        let said = one.never.clone().unwrap_or_else(|| match one.unused.as_slice() {
            [] => "all of it used".to_owned(),
            unused => format!("not used: {}", unused.join("; ")),
        });
        let longest = format!("{} of {} s", one.longest_use_seconds, one.max_duration_seconds);
        let counts = [one.requests, one.grants, one.grants_used, one.statements].map(|count| count.to_string());
        let mut row = vec![one.scope.clone(), one.database.clone()];
        row.extend(counts);
        row.extend([longest, said]);
        row
    });
    let headers = ["scope", "database", "requests", "grants", "used", "statements", "longest", ""];
    output::table("scopes", &headers, scopes.collect())?;
    let grants = report.grants.iter().filter(|one| one.privileges_used < one.privileges).map(|one| {
        let part = format!("{} of {}", one.privileges_used, one.privileges);
        let time = format!("{} of {} s", one.used_seconds, one.window_seconds);
        vec![one.grant.clone(), one.scope.clone(), one.principal.clone(), one.statements.to_string(), part, time]
    });
    let grants: Vec<_> = grants.collect();
    if !grants.is_empty() {
        output::say("")?;
        output::table("grants", &["grant", "scope", "principal", "statements", "privileges", "time"], grants)?;
    }
    for one in &report.refused {
        let who: Vec<&str> = one.principals.iter().map(String::as_str).collect();
        let (operation, relation, rule) = (&one.operation, &one.relation, &one.rule);
        output::say(&format!(
            "refused {} times: {operation} on {relation} of {} ({rule}), to {}",
            one.statements,
            one.database,
            who.join(", ")
        ))?;
    }
    report.notes.iter().for_each(|note| output::notice(note));
    output::hint("the narrowest scopes that what ran would have needed: pgward scopes suggest --toml");
    Ok(())
}

fn suggestions(report: &ScopesReport) -> String {
    let mut toml = String::new();
    for one in &report.scopes {
        match (&one.suggestion, &one.never) {
            (Some(allow), _) => {
                let head = "in place of its [[scope.allow]]; its other keys stay";
                toml.push_str(&format!("# scope {}: {head}\n{allow}\n", one.scope.replace('\n', " ")));
            }
            (None, never) => {
                let why = never.as_deref().unwrap_or("what ran needs no privilege");
                toml.push_str(&format!("# scope {}: {why} in {} days\n\n", one.scope.replace('\n', " "), report.days));
            }
        }
    }
    toml
}

pub async fn report(client: &Client, format: Format, command: ReportCommand) -> Result<(), Failure> {
    let ReportCommand::Residency { database, since, until, html } = command;
    let question = ResidencyQuestion { database, since, until, format: None };
    let report: ResidencyReport = client.get(&["reports", "residency"], &question).await?;
    if let Some(file) = html {
        let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", file.display()), "name another file");
        // It names people: for whoever asked for it, until they hand it on.
        let mut options = std::fs::OpenOptions::new();
        let mut written = options.write(true).create(true).truncate(true).mode(0o600).open(&file).map_err(failed)?;
        written.write_all(page(&report).as_bytes()).map_err(failed)?;
        return output::say(&format!("written to {}", file.display()));
    }
    if format == Format::Json {
        return output::json(&report);
    }
    let rows = report.relations.iter().map(|one| {
        let left: u64 = one.exported.values().map(|figure| figure.statements).sum();
        let counts =
            [one.allowed.statements, one.allowed.rows, left, one.refused.statements].map(|count| count.to_string());
        let mut row = vec![one.database.clone(), one.relation.clone(), one.region.clone()];
        row.extend(counts);
        row
    });
    let headers = ["database", "relation", "region", "statements", "rows", "from elsewhere", "refused"];
    output::table("classified tables", &headers, rows.collect())?;
    output::hint("the whole of it, with the records of each figure: -o json, or --html FILE");
    Ok(())
}
