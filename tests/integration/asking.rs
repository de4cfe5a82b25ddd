//! Asking for access from the SQL session itself, and statements that are held until somebody approves: by psql and by drivers.

use std::time::{Duration, Instant};

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use crate::Case;
use crate::support::{Bench, Credentials, Proxy, Scopes, client_tls, config, connect};

pub const CASES: &[Case] = &[
    ("asking::a_request_is_filed_by_call", by_call),
    ("asking::what_is_wrong_with_a_call_is_told", wrong_calls),
    ("asking::by_the_extended_protocol", extended_call),
    ("asking::nothing_is_asked_for_in_a_failed_transaction", failed_call),
    ("asking::a_denial_names_both_commands", both_commands),
    ("asking::a_held_statement_returns_its_rows", held_and_approved),
    ("asking::a_held_statement_of_a_driver", held_extended),
    ("asking::a_denied_one_is_refused_with_the_note", held_and_denied),
    ("asking::nobody_waits_for_ever", held_too_long),
    ("asking::a_cancel_request_ends_the_wait", held_and_cancelled),
    ("asking::who_leaves_takes_the_request_back", held_and_left),
    ("asking::only_what_a_grant_would_help_is_held", not_held),
];

const SCHEMA: &str = "
CREATE SCHEMA app;
CREATE TABLE app.open (id int); INSERT INTO app.open VALUES (1);
CREATE TABLE app.notes (id int, body text); INSERT INTO app.notes VALUES (1, 'one'), (2, 'two');
CREATE TABLE app.slow (id int); INSERT INTO app.slow VALUES (7);
CREATE TABLE app.life (body text); INSERT INTO app.life VALUES ('here');
CREATE TABLE app.glass (body text); INSERT INTO app.glass VALUES ('in the cupboard');
CREATE TABLE app.booked (id int); INSERT INTO app.booked VALUES (9);
CREATE TABLE app.secrets (id int);
";

pub(super) fn proxy(bench: &Bench, name: &str) -> (Proxy, Credentials) {
    bench.postgres.run("postgres", &format!("CREATE DATABASE {name}"));
    bench.postgres.run(name, SCHEMA);
    let proxy = Proxy::start(bench, &|setup| {
        let (port, certs, dir) = (setup.upstream_port, setup.certs.display(), setup.dir.display());
        let scope = |name: &str, table: &str, more: &str| {
            format!(
                "[[scope]]\nname = \"{name}\"\ndatabase = \"ask\"\nrequesters = [\"@dev\"]\napprovers = [\"@dba\"]\n\
                 max_duration = \"1h\"\n{more}\n[[scope.allow]]\non = [\"app.{table}\"]\ndo = [\"select\", \"insert\"]\n"
            )
        };
        let more = format!(
            r#"
[[database]]
name = "ask"
upstream = "postgresql://pgw_admin@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={certs}/ca.crt"
password_file = "{dir}/admin_password"
region = "us-east"
{}{}{}{}{}{}"#,
            scope("open", "open", ""),
            scope("life", "life", ""),
            scope(
                "glass",
                "glass",
                "[scope.break_glass]\nwho = [\"@dev\"]\nmax_duration = \"1h\"\nalert = [\"@dba\"]\n"
            ),
            scope("booked", "booked", "hold = \"30s\"\nrequire_ticket = true"),
            scope("notes", "notes", "hold = \"30s\""),
            scope("slow", "slow", "hold = \"2s\""),
        );
        config(setup, &Scopes { more, ..Scopes::default() })
    });
    proxy.grant("alice", "open", "30m");
    let alice = proxy.credentials("alice", "ask");
    (proxy, alice)
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(super) fn rows(messages: &[SimpleQueryMessage]) -> Vec<Vec<String>> {
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|cell| row.get(cell).unwrap_or_default().to_owned()).collect())
        }
        _other => None,
    };
    messages.iter().filter_map(row).collect()
}

/// The only request that is pending, once there is one.
pub(super) fn pending(proxy: &Proxy) -> serde_json::Value {
    let begun = Instant::now();
    loop {
        let found = proxy.json("bob", &["requests", "--state", "pending"]);
        if let Some(request) = found.as_array().unwrap().first() {
            return request.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "no request was filed");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The state of a request, once it is this.
fn becomes(proxy: &Proxy, request: &str, state: &str) {
    let begun = Instant::now();
    loop {
        let all = proxy.json("bob", &["requests"]);
        let found = all.as_array().unwrap().iter().find(|found| found["id"] == request).unwrap()["state"].clone();
        if found == state {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "request {request} is {found}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn by_call(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_call");
    let (out, err, ok) = proxy.sql(&alice, "CALL pgward.request('notes', '30 minutes', 'INC-4711')");
    assert!(ok, "{err}");
    let filed: Vec<&str> = out.trim().split('|').collect();
    let request = pending(&proxy);
    assert_eq!(filed, [request["id"].as_str().unwrap(), "pending", "", "1 of @dba"]);
    assert_eq!((&request["duration_seconds"], &request["ticket"]), (&1800.into(), &"INC-4711".into()));
    let (out, _, _) = proxy.sql(&alice, "SHOW pgward.requests");
    assert!(out.contains("|notes|pending|30m|") && out.trim().ends_with("|1 of @dba|INC-4711"), "{out}");
    proxy.cli("bob", &["approve", filed[0]]);
    let (out, _, ok) = proxy.sql(&alice, "SELECT body FROM app.notes ORDER BY id");
    assert!(ok && out.trim() == "one\ntwo", "{out}");
    let records = proxy.audit(&["--event", "request_filed"]);
    assert!(records.iter().any(|record| record["request"] == filed[0] && record["client_addr"].is_string()));
    let asked = proxy.audit(&["--text", "CALL pgward.request"]);
    assert_eq!(asked[0]["verdict"], "allow", "the statement has a record of its own");
    let ended = proxy.audit(&["--event", "statement_end"]);
    assert!(ended.iter().any(|record| record["command_tag"] == "CALL"), "{ended:?}");
}

fn wrong_calls(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_wrong");
    for (call, said) in [
        ("CALL pgward.request('notes', '30 minutes')", "needs a scope, a duration and a reason"),
        ("CALL pgward.request('notes', 'soon', 'why')", "\"soon\" is not a duration"),
        ("CALL pgward.request('nowhere', '30m', 'why')", "there is no scope \"nowhere\""),
        ("CALL pgward.request('notes', '3 hours', 'why')", "at most"),
        ("CALL pgward.request('notes', '30m', current_user)", "must be string constants or parameters"),
        ("CALL pgward.request('notes', '30m', $1)", "there is no parameter $1"),
        ("CALL pgward.request('notes', '30m', 'why', scope => 'open')", "an argument twice"),
        ("CALL pgward.request('a', '30m', 'why', 'T', 'more')", "takes scope, duration, reason and ticket"),
        ("CALL pgward.grant_me('all')", "there is no procedure pgward.grant_me"),
        ("SELECT 1; CALL pgward.request('notes', '30m', 'why')", "must be sent alone"),
    ] {
        let (_, err, ok) = proxy.sql(&alice, call);
        assert!(!ok && err.contains("ERROR") && err.contains(said), "{call}: {err}");
    }
    assert_eq!(proxy.json("bob", &["requests", "--state", "pending"]).as_array().unwrap().len(), 0);
    let named = "CALL pgward.request(reason => 'named', duration => '5m', scope => 'notes', ticket => 'T-9')";
    let (_, err, ok) = proxy.sql(&alice, named);
    assert!(ok, "{err}");
    assert_eq!(pending(&proxy)["ticket"], "T-9");
}

fn extended_call(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_extended");
    let filed = || proxy.json("bob", &["requests", "--state", "pending"]).as_array().unwrap().len();
    runtime().block_on(async {
        let client = connect(&proxy, &alice).await;
        let call = client.prepare("CALL pgward.request('notes', $2, reason => $1)").await.unwrap();
        assert_eq!((call.params().len(), call.columns().len()), (2, 4));
        assert_eq!(tokio::task::block_in_place(filed), 0, "what is only prepared asks nothing");
        for reason in ["by a driver", "once more"] {
            let told = client.query_one(&call, &[&reason, &"10 minutes"]).await.unwrap();
            assert_eq!((told.get::<_, &str>("state"), told.get::<_, &str>("needs")), ("pending", "1 of @dba"));
            let id: &str = told.get("request");
            assert!(id.starts_with("req_"), "{told:?}");
        }
        let wrong = client.query(&call, &[&"why", &"soon"]).await.unwrap_err();
        assert!(wrong.as_db_error().unwrap().message().contains("\"soon\" is not a duration"), "{wrong:?}");
        let missing = client.query(&call, &[&None::<&str>, &"5m"]).await.unwrap_err();
        assert!(missing.as_db_error().unwrap().message().contains("needs a scope, a duration"), "{missing:?}");
        let typed = "CALL pgward.request('notes'::text, interval '10 minutes', 'typed')";
        assert_eq!(client.query_one(typed, &[]).await.unwrap().get::<_, &str>("state"), "pending");
        let shown = client.query("SHOW pgward.requests", &[]).await.unwrap();
        let reasons: Vec<&str> = shown.iter().map(|row| row.get("reason")).collect();
        assert_eq!(reasons, ["the tests need it", "by a driver", "once more", "typed"], "oldest first");
        assert_eq!(client.query("SELECT id FROM app.open", &[]).await.unwrap().len(), 1, "the session goes on");
    });
    assert_eq!(filed(), 3);
}

fn failed_call(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_failed");
    runtime().block_on(async {
        let client = connect(&proxy, &alice).await;
        let call = client.prepare("CALL pgward.request('notes', '5m', 'why')").await.unwrap();
        client.batch_execute("BEGIN").await.unwrap();
        // All three are on their way before the first is answered: the desk hears of none.
        let (failed, simple, prepared) = tokio::join!(
            client.simple_query("SELECT 1 / 0"),
            client.simple_query("CALL pgward.request('notes', '5m', 'why')"),
            client.query(&call, &[]),
        );
        assert_eq!(failed.unwrap_err().code(), Some(&SqlState::DIVISION_BY_ZERO));
        assert_eq!(simple.unwrap_err().code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
        assert_eq!(prepared.unwrap_err().code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(rows(&client.simple_query("SELECT id FROM app.open").await.unwrap()), [["1"]]);
    });
    assert_eq!(proxy.json("bob", &["requests", "--state", "pending"]).as_array().unwrap().len(), 0);
}

fn both_commands(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_hint");
    // Nobody waits for what is not alone in its message, so the refusal comes at once.
    let (_, err, ok) = proxy.sql(&alice, "SELECT 1; SELECT * FROM app.notes");
    assert!(!ok && err.contains("HINT:  pgward request notes --for 30m --reason '…'\n"), "{err}");
    let pasted = err.lines().find(|line| line.starts_with("CALL ")).unwrap();
    let (out, err, ok) = proxy.sql(&alice, pasted);
    assert!(ok && out.contains("|pending|"), "{out}{err}");
}

fn held_and_approved(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_held");
    std::thread::scope(|scope| {
        let psql = scope.spawn(|| proxy.sql(&alice, "SELECT body FROM app.notes ORDER BY id"));
        let request = pending(&proxy);
        assert_eq!(request["statement"], "SELECT body FROM app.notes ORDER BY id");
        assert!(proxy.metrics().contains("\npgward_statements_held 1"));
        let sessions = proxy.json("bob", &["sessions"]);
        assert_eq!(sessions.as_array().unwrap().len(), 1);
        proxy.cli("bob", &["approve", request["id"].as_str().unwrap()]);
        let (out, err, ok) = psql.join().unwrap();
        assert!(ok && out.trim() == "one\ntwo", "{out}{err}");
        assert!(err.contains("approval was asked for: request req_"), "{err}");
        assert!(err.contains("it needs 1 of @dba"), "{err}");
    });
    let held = proxy.audit(&["--event", "statement_held"]);
    assert_eq!((held.len(), &held[0]["rule"]), (1, &"scope".into()));
    // What was approved was that statement alone.
    let (_, err, ok) = proxy.sql(&alice, "SELECT 1 FROM app.secrets");
    assert!(!ok && err.contains("permission denied"), "{err}");
    assert!(proxy.metrics().contains("\npgward_statements_held 0"));
}

fn held_extended(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_driver");
    let proxy = &proxy;
    runtime().block_on(async {
        let client = connect(proxy, &alice).await;
        client.batch_execute("BEGIN").await.unwrap();
        let asked = async {
            let by: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[&2_i32];
            // The three of them are on their way at once: the one in the middle is held.
            let (before, held, behind) = tokio::join!(
                client.query("SELECT id FROM app.open", &[]),
                client.query("SELECT body FROM app.notes WHERE id = $1", by),
                client.query("SELECT id + 1 FROM app.open", &[]),
            );
            (before.unwrap(), held.unwrap(), behind.unwrap())
        };
        let (answers, ()) = tokio::join!(asked, async {
            let request = tokio::task::block_in_place(|| pending(proxy));
            tokio::task::block_in_place(|| proxy.cli("bob", &["approve", request["id"].as_str().unwrap()]));
        });
        let (before, held, behind) = answers;
        assert_eq!(before[0].get::<_, i32>(0), 1);
        assert_eq!(held[0].get::<_, &str>(0), "two");
        assert_eq!(behind[0].get::<_, i32>(0), 2);
        client.batch_execute("COMMIT").await.unwrap();
    });
}

fn held_and_denied(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_denied");
    let proxy = &proxy;
    runtime().block_on(async {
        let client = connect(proxy, &alice).await;
        client.batch_execute("BEGIN").await.unwrap();
        let (refused, ()) = tokio::join!(client.simple_query("SELECT * FROM app.notes"), async {
            let request = tokio::task::block_in_place(|| pending(proxy));
            let id = request["id"].as_str().unwrap();
            tokio::task::block_in_place(|| proxy.cli("bob", &["deny", id, "--note", "use the report"]));
        });
        let refused = refused.unwrap_err();
        let said = refused.as_db_error().unwrap();
        assert_eq!(said.code(), &SqlState::INSUFFICIENT_PRIVILEGE);
        assert!(said.detail().unwrap().contains("bob denied it: use the report"), "{said:?}");
        let failed = client.simple_query("SELECT id FROM app.open").await.unwrap_err();
        assert_eq!(failed.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION), "as after any error");
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(rows(&client.simple_query("SELECT id FROM app.open").await.unwrap()), [["1"]]);
    });
}

fn held_too_long(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_late");
    let (_, err, ok) = proxy.sql(&alice, "SELECT * FROM app.slow");
    assert!(!ok && err.contains("permission denied for table app.slow"), "{err}");
    assert!(err.contains("nobody decided within 2s"), "{err}");
    let all = proxy.json("bob", &["requests"]);
    let request = all.as_array().unwrap().iter().find(|request| request["scope"] == "slow").unwrap();
    becomes(&proxy, request["id"].as_str().unwrap(), "withdrawn");
}

fn held_and_cancelled(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_cancel");
    let proxy = &proxy;
    let id = runtime().block_on(async {
        let client = connect(proxy, &alice).await;
        let token = client.cancel_token();
        let (refused, id) = tokio::join!(client.simple_query("SELECT * FROM app.notes"), async {
            let request = tokio::task::block_in_place(|| pending(proxy));
            token.cancel_query(client_tls(proxy)).await.unwrap();
            request["id"].as_str().unwrap().to_owned()
        });
        assert_eq!(refused.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
        assert_eq!(rows(&client.simple_query("SELECT id FROM app.open").await.unwrap()), [["1"]]);
        id
    });
    becomes(proxy, &id, "withdrawn");
}

fn held_and_left(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_left");
    let mut psql = proxy.psql_with(&alice);
    psql.args(["-c", "SELECT * FROM app.notes"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut psql = psql.spawn().unwrap();
    let request = pending(&proxy);
    psql.kill().unwrap();
    psql.wait().unwrap();
    becomes(&proxy, request["id"].as_str().unwrap(), "withdrawn");
    let begun = Instant::now();
    while !proxy.json("bob", &["sessions"]).as_array().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the session stays");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(proxy.metrics().contains("\npgward_statements_held 0"));
}

fn not_held(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_not");
    for (statement, said) in [
        ("SELECT * FROM app.secrets", "permission denied for table app.secrets"),
        ("DELETE FROM app.notes", "permission denied for table app.notes"),
        ("SELECT * FROM app.nowhere", "does not exist"),
        ("SELECT pg_read_file('/etc/passwd')", "permission denied for function"),
        ("SELECT 1; SELECT * FROM app.notes", "permission denied for table app.notes"),
    ] {
        let (_, err, ok) = proxy.sql(&alice, statement);
        assert!(!ok && err.contains(said) && !err.contains("NOTICE"), "{statement}: {err}");
    }
    assert_eq!(proxy.json("bob", &["requests", "--state", "pending"]).as_array().unwrap().len(), 0);
}
