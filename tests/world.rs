//! The policy world: a real PostgreSQL with granted and forbidden data, and statements that must be let through or
//! refused under one grant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/policy.rs"]
mod policy;
#[path = "support/postgres.rs"]
mod postgres;

use std::path::Path;

use pgward::catalog::{Columns, Effect, Snapshot, TouchedRelation, resolve, resolve_with};
use pgward::policy::{Context, Verdict, decide};
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
async fn parameters_may_be_of_any_type_that_the_client_declares() {
    let server = TestPostgres::start();
    server.run_script("postgres", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world.sql"));
    // What an ordinary login sees of the catalogs is enough.
    let (client, connection) =
        tokio_postgres::connect(&server.dsn("grant_oracle", "shop"), NoTls).await.expect("a login");
    tokio::spawn(connection);
    let shop = Snapshot::load(&client).await.expect("a snapshot");
    let check = |text: &str, declared: Option<&[u32]>, expected: bool| {
        let statements = sql::read(text, &Limits::default()).expect(text);
        let action = &statements[0].action;
        let footprint = match declared {
            None => resolve(&shop, action).expect(text),
            Some(declared) => resolve_with(&shop, action, declared).expect(text),
        };
        let builtin = footprint.functions.iter().all(|function| function.builtin);
        assert_eq!(builtin, expected, "{text} {declared:?}");
    };
    // A bound value is read in by its declared type's functions, used or not: a domain's check runs.
    let row = client.query_one("SELECT oid FROM pg_type WHERE typname = 'traced_int'", &[]).await.expect("a domain");
    check("SELECT 1", Some(&[row.get(0)]), false);
    check("SELECT $1::text", Some(&[row.get(0)]), false);
    check("SELECT upper($1)", None, false);
    check("SELECT upper($1)", Some(&[]), true);
    check("SELECT upper($1)", Some(&[0]), true);
    check("SELECT upper($1)", Some(&[25]), true);
    check("SELECT upper($1)", Some(&[23]), false);
    check("SELECT $1::int, upper($1)", Some(&[]), false);
    check("SELECT upper($1), $2::int", Some(&[0, 23]), true);
    check("SELECT $1 + 1", None, true);
    check("PREPARE q AS SELECT upper($1)", None, true);
    check("PREPARE q(int) AS SELECT upper($1)", None, false);
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

#[tokio::test]
async fn statements_touch_what_postgresql_says_they_touch() {
    let server = TestPostgres::start();
    server.run_script("postgres", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world.sql"));
    let more = "CREATE TABLE parent (id int PRIMARY KEY, note text);
        CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
        CREATE TABLE grandchild (child int REFERENCES child ON DELETE SET NULL)";
    connect(&server, "shop").await.batch_execute(more).await.unwrap();
    let shop = snapshot(&server, "shop").await;
    let check = |text: &str, expected: &[&str]| {
        let statements = sql::read(text, &Limits::default()).expect(text);
        let footprint = resolve(&shop, &statements[0].action).expect(text);
        let mut found: Vec<String> = footprint.relations.iter().map(shown).collect();
        found.sort();
        assert_eq!(found, expected, "{text}");
    };
    check("SELECT 1", &[]);
    check("SELECT count(*) FROM orders", &["select public.orders()"]);
    check("SELECT o.id FROM orders o WHERE status = 'x' ORDER BY amount", &["select public.orders(amount,id,status)"]);
    check("SELECT p FROM products p", &["select public.products(*)"]);
    check("SELECT id AS note FROM orders ORDER BY note", &["select public.orders(id)"]);
    check("SELECT id AS note FROM orders GROUP BY note, id", &["select public.orders(id,note)"]);
    check(
        "SELECT c.name FROM customers c JOIN orders o ON o.customer_id = c.id",
        &[
            "select public.customers(id,name)",
            "select public.customers_archive(id,name) child",
            "select public.orders(customer_id)",
        ],
    );
    check("SELECT id FROM ONLY customers", &["select public.customers(id)"]);
    check(
        "SELECT id FROM v_contacts",
        &[
            "select public.customers(email,id) through",
            "select public.customers_archive(email,id) child through",
            "select public.v_contacts(id)",
        ],
    );
    check(
        "SELECT body FROM events",
        &["select eu.events_eu(body) child", "select public.events(body)", "select public.events_us(body) child"],
    );
    check("WITH payroll AS (SELECT 1 AS id) SELECT id FROM payroll", &[]);
    check("WITH payroll AS (SELECT id FROM payroll) SELECT id FROM payroll", &["select public.payroll(id)"]);
    check(
        "INSERT INTO logbook (at) SELECT status FROM orders RETURNING id",
        &["insert public.logbook(at)", "select public.logbook(id)", "select public.orders(status)"],
    );
    check("UPDATE orders SET note = 'x' WHERE id = 1", &["select public.orders(id)", "update public.orders(note)"]);
    check("DELETE FROM orders", &["delete public.orders()"]);
    check(
        "INSERT INTO events SELECT 1",
        &[
            "insert eu.events_eu(body,id,region) child",
            "insert public.events(body,id,region)",
            "insert public.events_us(body,id,region) child",
        ],
    );
    check("COPY products TO STDOUT", &["select public.products(attrs,id,name,price,tags)"]);
    check("SELECT 1 FROM orders FOR UPDATE", &["select public.orders()", "update public.orders()"]);
    check("UPDATE parent SET note = 'x'", &["update public.parent(note)"]);
    check("UPDATE parent SET id = 1", &["update public.child(parent)", "update public.parent(id)"]);
    check(
        "DELETE FROM parent",
        &["delete public.child()", "delete public.parent()", "update public.grandchild(child)"],
    );
    check("DROP TABLE payroll", &["ddl public.payroll()"]);
    check("CREATE TABLE fresh (a int)", &["ddl public.fresh()"]);
}

#[tokio::test]
async fn what_postgresql_asks_of_the_invoker_is_in_the_footprint() {
    let server = TestPostgres::start();
    server.run_script("postgres", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world.sql"));
    let more = "CREATE VIEW v_owned AS SELECT id, note FROM orders;
        CREATE VIEW v_invoker WITH (security_invoker) AS SELECT id, note FROM orders;
        CREATE VIEW v_over AS SELECT id FROM v_invoker;
        CREATE VIEW v_rows AS SELECT o.id, o AS row FROM orders o;
        CREATE TYPE hr.grade AS ENUM ('a', 'b');
        CREATE COLLATION hr.plain FROM \"C\"";
    connect(&server, "shop").await.batch_execute(more).await.unwrap();
    let shop = snapshot(&server, "shop").await;
    let footprint = |text: &str| {
        let statements = sql::read(text, &Limits::default()).expect(text);
        resolve(&shop, &statements[0].action).expect(text)
    };
    let check = |text: &str, expected: &[&str]| {
        let mut found: Vec<String> = footprint(text).relations.iter().map(shown).collect();
        found.sort();
        assert_eq!(found, expected, "{text}");
    };
    check("SELECT id FROM v_owned", &["select public.orders(id,note) through", "select public.v_owned(id)"]);
    // What lies behind a view with security_invoker is the invoker's, also behind another view.
    check("SELECT id FROM v_invoker", &["select public.orders(id,note)", "select public.v_invoker(id)"]);
    check(
        "SELECT id FROM v_over",
        &["select public.orders(id,note)", "select public.v_invoker(id) through", "select public.v_over(id)"],
    );
    // Of a whole row in a definition the dependencies tell nothing.
    check("SELECT id FROM v_rows", &["select public.orders(*) through", "select public.v_rows(id)"]);
    check("LOCK TABLE products IN SHARE MODE", &["update public.products(*)"]);
    check("TRUNCATE products", &["truncate public.products()"]);
    check("TRUNCATE products RESTART IDENTITY", &["ddl public.products()", "truncate public.products()"]);
    check("INSERT INTO products VALUES (1, 'x')", &["insert public.products(id,name)"]);
    check("INSERT INTO payroll VALUES ((NULL::payroll).*)", &["insert public.payroll(amount,emp_name,id)"]);
    check("SELECT name(p) FROM products p", &["select public.products(*)"]);
    check("SELECT id AS x FROM products ORDER BY x USING <", &["select public.products(id)"]);
    check("SELECT id AS price FROM products ORDER BY price USING <", &["select public.products(id,price)"]);
    // Rows are locked of what FROM reads, not of what conditions ask.
    check(
        "SELECT id FROM products WHERE EXISTS (SELECT FROM payroll) FOR UPDATE",
        &["select public.payroll()", "select public.products(id)", "update public.products()"],
    );
    check(
        "SELECT id FROM (SELECT id FROM products) p FOR UPDATE",
        &["select public.products(id)", "update public.products()"],
    );
    let names_hr = |text: &str| footprint(text).effects.contains(&Effect::NamesSchema { schema: "hr".to_owned() });
    for text in [
        "SELECT 'a'::hr.grade",
        "SELECT hr.grade('a')",
        "SELECT NULL::hr.salaries",
        "SELECT note COLLATE hr.plain FROM orders",
        "SELECT * FROM jsonb_to_recordset('[]') AS t(g hr.grade)",
    ] {
        assert!(names_hr(text), "{text}");
    }
    assert!(!names_hr("SELECT NULL::public.orders, 1::pg_catalog.int8, note COLLATE pg_catalog.\"C\" FROM orders"));
}

/// One line for one use of one relation.
fn shown(touched: &TouchedRelation) -> String {
    let columns = match &touched.columns {
        Columns::None => String::new(),
        Columns::Named(names) => names.join(","),
        Columns::WholeRow => "*".to_owned(),
    };
    let child = if touched.child_of.is_some() { " child" } else { "" };
    let through = if touched.through.is_some() { " through" } else { "" };
    format!("{} {}.{}({columns}){child}{through}", touched.operation, touched.schema, touched.name)
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
    let eu = policy::lies_in("eu.*", "eu-west");
    policy::context(snapshot, &["us-east"], policy::world_grant(), vec![eu])
}

async fn snapshot(server: &TestPostgres, database: &str) -> Snapshot {
    Snapshot::load(&connect(server, database).await).await.unwrap()
}

async fn connect(server: &TestPostgres, database: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", database), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
