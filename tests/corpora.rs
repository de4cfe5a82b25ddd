//! What real clients send, against real catalogs: each statement is read, resolved and judged under a grant of everything.
//!
//! A statement is unreadable, unresolved, denied or allowed. `tests/corpora/left.txt` lists every one that is not allowed,
//! with its reason; one that is not listed fails the test, and so does one that is listed and is allowed by now.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/everything.rs"]
mod everything;
#[path = "support/postgres.rs"]
mod postgres;

use std::collections::BTreeMap;
use std::path::Path;

use everything::everything;
use pgward::access::Operation;
use pgward::catalog::{Snapshot, resolve_with};
use pgward::policy::{Context, Verdict, decide};
use pgward::sql::{self, Limits};
use postgres::TestPostgres;
use tokio_postgres::{Client, NoTls};

const CLIENTS: &str = include_str!("corpora/clients.jsonl");
const LEFT: &str = include_str!("corpora/left.txt");

/// Statements by the program that sent them, in the order in which it did.
fn by_source() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in CLIENTS.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = row["sql"].as_str().unwrap().to_owned();
        found.entry(row["src"].as_str().unwrap().to_owned()).or_default().push(text);
    }
    found
}

#[tokio::test]
async fn what_clients_send_is_allowed_under_a_grant_of_everything() {
    let server = TestPostgres::start();
    let admin = connect(&server, "postgres").await;
    let mut found = Vec::new();
    for (source, texts) in by_source() {
        let database = format!("c_{}", source.replace('-', "_"));
        admin.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        server.run_script(&database, &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora/schema.sql"));
        let client = connect(&server, &database).await;
        for text in texts.iter().filter(|text| defines(text)) {
            // What exists already, or rests on what was dropped since, is left out.
            let _ = client.batch_execute(text).await;
        }
        let _ = client.batch_execute("ROLLBACK; RESET ALL").await;
        let snapshot = Snapshot::load(&client).await.unwrap();
        let context = everything(&snapshot, &Operation::ALL);
        for text in &texts {
            if let Err(outcome) = judge(text, &snapshot, &context) {
                found.push(format!("{source}\t{outcome}\t{}", shortened(text)));
            }
        }
    }
    found.sort();
    found.dedup();
    let listed: Vec<&str> = LEFT.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let new: Vec<&String> = found.iter().filter(|line| !listed.contains(&line.as_str())).collect();
    let gone: Vec<&&str> = listed.iter().filter(|line| !found.iter().any(|found| found == **line)).collect();
    let lines = |lines: &[String]| lines.join("\n");
    assert!(
        new.is_empty() && gone.is_empty(),
        "not allowed, and not listed:\n{}\n\nlisted, and allowed by now:\n{}",
        lines(&new.into_iter().cloned().collect::<Vec<_>>()),
        lines(&gone.into_iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()),
    );
}

/// What PostgreSQL understands in a real database, so does pgward: no name in the table of the grammar is left unresolved.
#[tokio::test]
async fn what_postgresql_prepares_is_resolved() {
    let server = TestPostgres::start();
    server.run_script("postgres", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora/grammar.sql"));
    let client = connect(&server, "postgres").await;
    client.batch_execute("SET search_path = public, s; BEGIN; DECLARE cur CURSOR WITH HOLD FOR SELECT a FROM u; DECLARE \"Cur\" CURSOR WITH HOLD FOR SELECT a FROM u; COMMIT").await.unwrap();
    let snapshot = Snapshot::load(&client).await.unwrap();
    let (mut wrong, mut prepared) = (Vec::new(), 0);
    for line in include_str!("corpora/grammar.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let (text, kind) = (row["sql"].as_str().unwrap(), row["kind"].as_str().unwrap());
        let newer = row["since"].as_u64().unwrap() * 10_000 > u64::try_from(snapshot.server_version_num).unwrap();
        if newer || !matches!(kind, "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE") {
            continue;
        }
        if let Err(error) = client.prepare(text).await {
            // Statements are complete here, but for the cursors and prepared statements that some of them name.
            let known = error.as_db_error().is_some_and(|error| matches!(error.code().code(), "42P07"));
            assert!(known, "{text}: {error:?}");
            continue;
        }
        prepared += 1;
        let statements = sql::read(text, &Limits::default()).unwrap();
        if let Err(unresolved) = resolve_with(&snapshot, &statements[0].action, &[]) {
            wrong.push(format!("{text}: {unresolved}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(prepared > 450, "{prepared}");
}

/// Whether a statement makes objects that later ones need.
fn defines(text: &str) -> bool {
    let words = text.trim_start().to_ascii_lowercase();
    let renames = words.contains(" rename ") || words.contains(" drop ");
    (words.starts_with("create ") && !words.starts_with("create database") && !words.starts_with("create role"))
        || (words.starts_with("alter table") && !renames)
        || words.starts_with("do ")
}

fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    text.chars().take(120).collect()
}

/// The first statement that is not allowed, and why.
fn judge(text: &str, snapshot: &Snapshot, context: &Context) -> Result<(), String> {
    let statements = sql::read(text, &Limits::default()).map_err(|unreadable| format!("unreadable\t{unreadable}"))?;
    for statement in statements {
        let resolved = resolve_with(snapshot, &statement.action, &[]);
        if let Err(unresolved) = &resolved {
            return Err(format!("unresolved\t{unresolved}"));
        }
        match decide(&statement, text, &resolved, context) {
            Verdict::Allow(_permit) => {}
            Verdict::Deny(denial) => return Err(format!("denied ({})\t{}", denial.rule.as_str(), denial.message)),
        }
    }
    Ok(())
}

async fn connect(server: &TestPostgres, database: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", database), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
