//! PostgreSQL's own opinion of a statement against ours: they agree on everything that is let through, and nothing of a
//! statement runs when PostgreSQL is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/postgres.rs"]
mod postgres;

use std::path::Path;

use pgward::catalog::opinion::{AskError, Depth, Parameters, Question, ask, compare, prepare_connection};
use pgward::catalog::{Snapshot, resolve};
use pgward::sql::{self, Limits};
use postgres::TestPostgres;
use tokio_postgres::{Client, NoTls};

async fn connect(dsn: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
#[ignore]
async fn scratch() {
    let dsn = std::env::var("OPINION_DSN").unwrap();
    let client = connect(&dsn).await;
    let snapshot = Snapshot::load(&client).await.unwrap();
    let side = connect(&dsn).await;
    prepare_connection(&side, &snapshot.search_path).await.unwrap().unwrap();
    let (mut agreed, mut errs, mut diffs, mut none, mut unres) = (0, 0, 0, 0, 0);
    let mut spent = std::time::Duration::ZERO;
    for file in std::env::var("OPINION_FILES").unwrap().split(',') {
        let text = std::fs::read_to_string(file).unwrap();
        let mut texts: Vec<String> = Vec::new();
        if file.ends_with(".txt") {
            texts.extend(text.split("\n----\n").map(str::to_owned));
        } else {
            for line in text.lines() {
                let v: serde_json::Value = serde_json::from_str(line).unwrap();
                if let Some(s) = v.as_str() {
                    texts.push(s.to_owned());
                    continue;
                }
                if let Some(s) = v["sql"].as_str() {
                    texts.push(s.to_owned());
                }
                for step in v["session"].as_array().into_iter().flatten() {
                    match step {
                        serde_json::Value::String(s) => texts.push(s.clone()),
                        step => match &step["sql"] {
                            serde_json::Value::String(s) => texts.push(s.clone()),
                            serde_json::Value::Array(a) => {
                                texts.extend(a.iter().map(|t| t.as_str().unwrap().to_owned()))
                            }
                            _ => {}
                        },
                    }
                }
            }
        }
        for text in texts {
            let Ok(statements) = sql::read(&text, &Limits::default()) else { continue };
            for statement in statements {
                let Some(range) = statement.query.clone() else {
                    none += 1;
                    continue;
                };
                let Ok(footprint) = resolve(&snapshot, &statement.action) else {
                    unres += 1;
                    continue;
                };
                let question = Question { text: &text[range], parameters: Parameters::Declared(&[]) };
                let t = std::time::Instant::now();
                let answer = ask(&side, &snapshot, question).await;
                spent += t.elapsed();
                match answer {
                    Ok(opinion) => {
                        let d = compare(&snapshot, &footprint, &opinion, Depth::Full);
                        if d.is_empty() {
                            agreed += 1
                        } else {
                            diffs += 1;
                            println!(
                                "DIFF {:?}\n   {}",
                                d.iter().map(ToString::to_string).collect::<Vec<_>>(),
                                question.text.replace('\n', " ").chars().take(600).collect::<String>()
                            );
                        }
                    }
                    Err(e) => {
                        errs += 1;
                        println!(
                            "ERR {e}\n   {}",
                            question.text.replace('\n', " ").chars().take(300).collect::<String>()
                        );
                    }
                }
            }
        }
    }
    println!(
        "agreed {agreed} diffs {diffs} errs {errs} none {none} unresolved {unres}; {:?} each",
        spent / (agreed + diffs + errs).max(1)
    );
}
