//! Asking: nothing runs, nothing is left behind, no text leaves the body that it is put in.

use pgward::catalog::opinion::{AskError, Parameters, Question, ask};

use super::{Bench, connect};

/// Everything that a statement could change, or leave behind.
const STATE: &str = "
SELECT concat_ws(' ', (SELECT count(*) FROM pg_largeobject_metadata), (SELECT is_called FROM counted),
 (SELECT count(*) FROM pairs), (SELECT count(*) FROM logbook), (SELECT count(*) FROM pg_proc),
 (SELECT count(*) FROM pg_class WHERE relpersistence <> 't'), (SELECT count(*) FROM pg_depend),
 (SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND locktype = 'relation'))";

#[tokio::test]
async fn nothing_of_a_statement_runs() {
    let bench = Bench::start().await;
    bench.ask("SELECT 1", &[]).await.unwrap();
    let before = bench.row(STATE).await;
    for text in [
        "SELECT pg_sleep(3600)",
        "SELECT lo_create(0)",
        "SELECT nextval('counted')",
        "SELECT boom(1)",
        "SELECT boom(1) FROM orders WHERE boom(2) = 3 LIMIT boom(4)",
        "SELECT 1::raising, '1'::raising, CAST($1 AS raising)",
        "INSERT INTO pairs (id) VALUES (1)",
        "INSERT INTO pairs (id, d) VALUES (1, 1), (2, $1)",
        "WITH w AS (INSERT INTO logbook (at) VALUES ('x') RETURNING id) SELECT id FROM w",
        "UPDATE pairs SET a = boom(1)",
        "DELETE FROM logbook",
        "SELECT set_config('search_path', 'hr', false), pg_terminate_backend(pg_backend_pid())",
        "SELECT run_sql('DELETE FROM logbook')",
        "SELECT id FROM orders FOR UPDATE",
        "SELECT 1 / 0, 'abc'::text::int",
    ] {
        let asked = bench.ask(text, &[]).await;
        assert!(asked.is_ok(), "{text}: {asked:?}");
    }
    assert_eq!(bench.row(STATE).await, before);
    let left =
        bench.side.query("SELECT name FROM pg_prepared_statements WHERE name LIKE 'pgward%'", &[]).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn no_text_leaves_the_body() {
    let bench = Bench::start().await;
    bench.ask("SELECT 1", &[]).await.unwrap();
    let before = bench.row(STATE).await;
    for text in [
        "SELECT 1; END; DROP TABLE pairs; --",
        "SELECT 1; END; DROP TABLE pairs; BEGIN; SELECT 1",
        "SELECT 1; END",
        "SELECT 1\n;END;\nCREATE TABLE pwned ();",
        "SELECT 1; COMMIT",
        "SELECT 1; END $$ LANGUAGE sql",
        "SELECT 1 /*",
        "SELECT 'a",
        "SELECT $$",
        "SELECT \"a",
        "SELECT (1",
        "DROP TABLE pairs",
        "TRUNCATE pairs",
        "CREATE TABLE pwned ()",
        "SELECT 1 INTO pwned",
        "DO 'BEGIN DELETE FROM logbook; END'",
        "SET search_path = hr",
        "SELECT $1; END; DROP TABLE pairs",
        "SELECT $1::int; DROP TABLE pairs",
        "",
        "RETURN 1; END",
    ] {
        let asked = bench.ask(text, &[]).await;
        assert!(asked.is_err(), "{text}: {asked:?}");
    }
    assert_eq!(bench.row(STATE).await, before);
    assert!(bench.ask("SELECT 1", &[]).await.is_ok(), "the connection goes on");
}

/// A text that PostgreSQL cuts in two where we see one statement: what the second half touches is told.
#[tokio::test]
async fn a_second_statement_is_seen() {
    let bench = Bench::start().await;
    let footprint = bench.footprint(&super::one("SELECT 1"), None);
    let opinion = bench.ask("SELECT 1; SELECT emp_name FROM payroll", &[]).await.unwrap();
    let differences = bench.compared(&footprint, &opinion);
    let expected = ["2 statements", "relation public.payroll", "select on public.payroll"];
    assert_eq!(differences.iter().filter(|d| expected.contains(&d.as_str())).count(), 3, "{differences:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_says_why() {
    let bench = Bench::start().await;
    let odd: u32 = bench.side.query_one("SELECT 'public.\"Odd\"'::regtype::oid", &[]).await.unwrap().get(0);
    let many: Vec<String> = (1..=101).map(|number| format!("${number}")).collect();
    let many = format!("SELECT {}", many.join(", "));
    assert!(matches!(bench.ask(&many, &[odd; 101]).await, Err(AskError::Parameters)));
    let long = format!("SELECT '{}'", "x".repeat(300_000));
    assert!(matches!(bench.ask(&long, &[]).await, Err(AskError::Size)));
    assert!(matches!(bench.ask("SELECT $1", &[4_000_000_000]).await, Err(AskError::Type(4_000_000_000))));
    let refused = bench.ask("SELECT nothing FROM orders", &[]).await;
    assert!(matches!(&refused, Err(AskError::Refused { sqlstate, .. }) if sqlstate == "42703"), "{refused:?}");
    let text = "SELECT emp_name FROM payroll";
    let other = connect(&bench.server).await;
    other.batch_execute("BEGIN; LOCK TABLE payroll").await.unwrap();
    assert!(matches!(bench.ask(text, &[]).await, Err(AskError::Lock)));
    assert!(bench.ask("SELECT id FROM orders", &[]).await.is_ok(), "what is not locked can be asked about");
    other.batch_execute("ROLLBACK").await.unwrap();
    assert!(bench.ask(text, &[]).await.is_ok());
}

/// A question goes to the server under the search path of the sessions, and its types by names that mean them anywhere.
#[tokio::test]
async fn types_are_named_in_full() {
    let bench = Bench::start().await;
    let oid: u32 =
        bench.side.query_one("SELECT 'hr.\"Odd \"\"type\"'::regtype::oid", &[]).await.map_or(0, |row| row.get(0));
    assert_eq!(oid, 0, "not there yet");
    let client = connect(&bench.server).await;
    client.batch_execute("CREATE TYPE hr.\"Odd \"\"type\" AS ENUM ('a')").await.unwrap();
    let oid: u32 = client.query_one("SELECT 'hr.\"Odd \"\"type\"'::regtype::oid", &[]).await.unwrap().get(0);
    let shop = pgward::catalog::Snapshot::load(&client).await.unwrap();
    let question = Question { text: "SELECT $1, $2", parameters: Parameters::Declared(&[oid, 0]) };
    ask(&bench.side, &shop, question).await.unwrap();
}
