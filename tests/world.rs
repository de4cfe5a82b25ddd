//! The policy world: a real PostgreSQL with granted and forbidden data, and statements that must be let through or
//! refused under one grant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/postgres.rs"]
mod postgres;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pgward::access::{
    Grant, GrantId, ObjectPattern, Operation, OperationSet, Privilege, Region, RequestId, Scope, Subject,
};
use pgward::catalog::{Snapshot, resolve};
use pgward::policy::{Context, DataClass, DatabasePolicy, Verdict, decide};
use pgward::sql::{self, Limits};
use postgres::TestPostgres;
use tokio_postgres::{Client, NoTls};

#[tokio::test]
async fn every_case_of_the_world_gets_its_verdict() {
    let server = TestPostgres::start();
    server.run_script("postgres", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world.sql"));
    let admin = connect(&server, "postgres").await;
    let shop = snapshot(&server, "shop").await;
    let mut wrong = Vec::new();
    for line in include_str!("world/sample.jsonl").lines().chain(include_str!("world/more.jsonl").lines()) {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let verdict = match case["setup"].as_array() {
            None => judge(&case, &shop),
            Some(setup) => {
                admin.batch_execute("CREATE DATABASE varied TEMPLATE shop").await.unwrap();
                let varied = {
                    let client = connect(&server, "varied").await;
                    for text in setup {
                        client.batch_execute(text.as_str().unwrap()).await.unwrap();
                    }
                    Snapshot::load(&client).await.unwrap()
                };
                let verdict = judge(&case, &varied);
                admin.batch_execute("DROP DATABASE varied WITH (FORCE)").await.unwrap();
                verdict
            }
        };
        let expected = case["expect"].as_str().unwrap();
        if verdict.is_ok() != (expected == "allow") {
            wrong.push(format!("{}: expected {expected}: {verdict:?}: {}", case["id"], case["session"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_schema_change_shows_in_the_mark() {
    let server = TestPostgres::start();
    let client = connect(&server, "postgres").await;
    let mut last = Snapshot::mark(&client).await.unwrap();
    assert_eq!(Snapshot::mark(&client).await.unwrap(), last, "nothing changed");
    for change in [
        "CREATE TABLE t (a int)",
        "ALTER TABLE t RENAME a TO b",
        "CREATE VIEW v AS SELECT b FROM t",
        "CREATE OR REPLACE VIEW v AS SELECT b + 1 AS b FROM t",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE c () INHERITS (t)",
        "CREATE SCHEMA s",
        "ALTER TABLE t SET SCHEMA s",
        "DROP VIEW v",
    ] {
        client.batch_execute(change).await.unwrap();
        let mark = Snapshot::mark(&client).await.unwrap();
        assert_ne!(mark, last, "{change}");
        last = mark;
    }
    client.batch_execute("CREATE TEMP TABLE passing (a int)").await.unwrap();
    assert_eq!(Snapshot::load(&client).await.unwrap().version, Snapshot::mark(&client).await.unwrap());
}

/// Every statement of every message has to be allowed; the first that is not says why.
fn judge(case: &serde_json::Value, snapshot: &Snapshot) -> Result<(), String> {
    let context = context(snapshot);
    for step in case["session"].as_array().unwrap() {
        let texts: Vec<&str> = match step {
            serde_json::Value::String(text) => vec![text],
            step => match &step["sql"] {
                serde_json::Value::String(text) => vec![text],
                serde_json::Value::Array(texts) => texts.iter().map(|text| text.as_str().unwrap()).collect(),
                _ => Vec::new(),
            },
        };
        for text in texts {
            let statements = sql::read(text, &Limits::default()).map_err(|unreadable| format!("{unreadable:?}"))?;
            for statement in statements {
                let resolved = resolve(snapshot, &statement.action);
                match decide(&statement, text, &resolved, &context) {
                    Verdict::Allow(_permit) => {}
                    Verdict::Deny(denial) => return Err(format!("{denial:?}")),
                }
            }
        }
    }
    Ok(())
}

fn context(snapshot: &Snapshot) -> Context {
    let select = |on: &[&str], columns: Option<&[&str]>| Privilege {
        on: on.iter().map(|on| ObjectPattern::parse(on).unwrap()).collect(),
        columns: columns.map(|names| names.iter().map(ToString::to_string).collect()),
        operations: OperationSet::of(&[Operation::Select]),
        functions: Vec::new(),
    };
    let scope = Scope {
        name: "shop-read".to_owned(),
        database: "shop".to_owned(),
        regions: vec![Region::new("us-east")],
        requesters: vec![Subject::User("alice".to_owned())],
        approvers: vec![Subject::User("bob".to_owned())],
        approvals: 1,
        max_duration: Duration::from_secs(3600),
        row_limit: None,
        allow: vec![
            select(&["public.orders", "public.products", "public.v_orders"], None),
            select(&["public.customers"], Some(&["id", "name", "country"])),
        ],
    };
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let grant = Grant {
        id: GrantId::generate(),
        request: RequestId::generate(),
        principal: "alice".to_owned(),
        scope,
        statement: None,
        reason: "test".to_owned(),
        ticket: None,
        approvers: vec!["bob".to_owned()],
        not_before: now,
        expires_at: now + Duration::from_secs(3600),
        revocation: None,
    };
    let eu = DataClass {
        on: ObjectPattern::parse("eu.*").unwrap(),
        columns: None,
        region: Some(Region::new("eu-west")),
        clients: None,
        labels: Vec::new(),
    };
    Context {
        database: Arc::new(DatabasePolicy { name: "shop".to_owned(), region: Region::new("us-east"), data: vec![eu] }),
        principal: "alice".to_owned(),
        client_region: Some(Region::new("us-east")),
        grants: vec![Arc::new(grant)],
        now,
        search_paths: snapshot.search_paths(),
        requestable: Vec::new(),
    }
}

async fn snapshot(server: &TestPostgres, database: &str) -> Snapshot {
    Snapshot::load(&connect(server, database).await).await.unwrap()
}

async fn connect(server: &TestPostgres, database: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", database), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
