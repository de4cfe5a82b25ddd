//! `permissions`: who reaches data without pgward.

use std::fmt::Write as _;

use crate::cli::args::{Format, PermissionsArguments};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::permissions::{PermissionsQuestion, Report};
use crate::standing::{Access, Reached};

pub async fn permissions(client: &Client, format: Format, arguments: PermissionsArguments) -> Result<(), Failure> {
    let PermissionsArguments { database, days, since, all, sql, scope } = arguments;
    let question = PermissionsQuestion { days, all, since };
    let report: Report = client.get(&["databases", &database, "permissions"], &question).await?;
    if sql {
        return output::print(&report.sql);
    }
    if scope {
        return output::print(&report.scopes);
    }
    match format {
        Format::Json => output::json(&report),
        Format::Table => output::print(&text(&report)),
    }
}

fn text(report: &Report) -> String {
    let mut said = format!("Who reaches {} without pgward ({})\n", report.database, report.made_at);
    if !report.everywhere.is_empty() {
        said.push_str("\nEverything, whatever its table says:\n");
        for one in &report.everywhere {
            let own = if one.is_pgward { ": pgward itself" } else { "" };
            let _ = writeln!(said, "  {}{own}\n    {}", one.role, one.path);
        }
    }
    for reached in &report.relations {
        relation(&mut said, reached, report.days);
    }
    if report.relations.is_empty() {
        said.push_str("\nNo table is classified by [[database.data]]: --all shows every one.\n");
    }
    if !report.future.is_empty() {
        said.push_str("\nYet to come:\n");
        for one in &report.future {
            let _ = writeln!(said, "  {one}");
        }
    }
    said.push_str("\nWho may log in from where (pg_hba.conf):\n");
    match &report.logins.unreadable {
        Some(why) => {
            let _ = writeln!(said, "  {why}");
        }
        None => {
            for rule in &report.logins.rules {
                let (databases, users) = (rule.databases.join(","), rule.users.join(","));
                let warning = rule.warning.as_ref().map_or_else(String::new, |warning| format!("  <- {warning}"));
                let (line, kind, address, method) = (rule.line, &rule.kind, &rule.address, &rule.method);
                let _ = writeln!(said, "  {line}: {kind} {databases} {users} {address} {method}{warning}");
            }
        }
    }
    if let Some(changes) = &report.changes {
        let _ = writeln!(said, "\nSince {}:", changes.since);
        for (sign, lines) in [("+", &changes.appeared), ("-", &changes.gone)] {
            for (role, relation, path) in lines {
                let _ = writeln!(said, "  {sign} {role} {relation}: {path}");
            }
        }
        if changes.appeared.is_empty() && changes.gone.is_empty() {
            said.push_str("  nothing is different\n");
        }
    }
    said.push_str("\nWhat would close it: --sql. The scopes that would replace it: --scope.\n");
    said
}

fn relation(said: &mut String, reached: &Reached, days: u32) {
    let columns = reached.columns.as_ref().map_or_else(String::new, |columns| format!(" ({})", columns.join(", ")));
    let labels = if reached.labels.is_empty() { String::new() } else { format!(" [{}]", reached.labels.join(", ")) };
    let _ = writeln!(said, "\n{}{columns}{labels}", reached.relation);
    let used = &reached.used;
    let through = match used.statements {
        0 => format!("not used through pgward in {days} days"),
        count => {
            let count = output::counted(count, "statement", "statements");
            format!("{count} through pgward in {days} days, by {}", used.principals.join(", "))
        }
    };
    let scans =
        used.scans.map_or_else(String::new, |scans| format!("; PostgreSQL counts {scans} scans, whoever made them"));
    let _ = writeln!(said, "  {through}{scans}");
    for one in &reached.access {
        access(said, one);
    }
    if reached.access.is_empty() {
        said.push_str("  nobody but those above\n");
    }
}

fn access(said: &mut String, one: &Access) {
    let own = if one.is_pgward { " (pgward itself)" } else { "" };
    let columns = if one.columns.is_empty() { String::new() } else { format!(" ({})", one.columns.join(", ")) };
    let what =
        if one.privileges.is_empty() { String::new() } else { format!(" {}{columns}", one.privileges.join(", ")) };
    let some = if one.some_rows { "; row security shows some rows only" } else { "" };
    let possible = if one.possible { "; possible, not certain" } else { "" };
    let _ = writeln!(said, "  {}{own}:{what}\n    {}{some}{possible}", one.role, one.path);
}
