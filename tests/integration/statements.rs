//! Grants for one statement: which statements they let through, how often, and what their approvers were shown; by psql and by
//! drivers, on a real database.

use tokio_postgres::error::SqlState;

use crate::Case;
use crate::support::{Bench, Credentials, Proxy, Scopes, config, connect};

pub const CASES: &[Case] = &[
    ("statements::its_tokens_say_which_it_is", alike),
    ("statements::two_sessions_share_the_uses", shared_uses),
    ("statements::a_portal_that_is_read_further_is_one_use", portals),
    ("statements::what_is_not_sent_is_not_used", unsent),
    ("statements::it_ends_with_its_grant", ends),
    ("statements::approvers_see_what_it_does", analysed),
    ("statements::what_could_never_run_is_not_asked_for", never),
];

const SCHEMA: &str = "
CREATE SCHEMA app;
CREATE TABLE app.people (id int PRIMARY KEY, name text, email text);
INSERT INTO app.people SELECT n, 'name ' || n, n || '@example.org' FROM generate_series(1, 100) n;
CREATE TABLE app.secrets (id int);
CREATE TABLE app.runs (id int);
ANALYZE;
";

fn proxy(bench: &Bench, name: &str) -> Proxy {
    bench.postgres.run("postgres", &format!("CREATE DATABASE {name}"));
    bench.postgres.run(name, SCHEMA);
    Proxy::start(bench, &|setup| {
        let (port, certs, dir) = (setup.upstream_port, setup.certs.display(), setup.dir.display());
        let more = format!(
            r#"
[[database]]
name = "one"
upstream = "postgresql://pgw_admin@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={certs}/ca.crt"
password_file = "{dir}/admin_password"
region = "us-east"
[[database.data]]
on = "app.people"
columns = ["email"]
labels = ["pii"]
[[scope]]
name = "people"
database = "one"
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1h"
[[scope.allow]]
on = ["app.people", "app.runs"]
do = ["select", "insert", "update", "delete"]
"#
        );
        config(setup, &Scopes { more, ..Scopes::default() })
    })
}

/// A grant for one statement, so often; and credentials.
fn granted(proxy: &Proxy, statement: &str, uses: Option<&str>) -> (String, Credentials) {
    let mut asked =
        vec!["request", "people", "--for", "30m", "--reason", "the tests need it", "--statement", statement];
    asked.extend(uses.iter().flat_map(|uses| ["--uses", uses]));
    let filed = proxy.json("alice", &asked);
    let approved = proxy.json("bob", &["approve", filed["id"].as_str().unwrap()]);
    let grant = approved["grant"]["id"].as_str().unwrap().to_owned();
    (grant, proxy.credentials("alice", "one"))
}

fn uses_left(proxy: &Proxy, grant: &str) -> serde_json::Value {
    let all = proxy.json("alice", &["grants"]);
    all.as_array().unwrap().iter().find(|one| one["id"] == grant).unwrap()["uses_left"].clone()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn alike(bench: &Bench) {
    let proxy = proxy(bench, "one_alike");
    let (_, alice) = granted(&proxy, "SELECT name FROM app.people WHERE id = 7", None);
    for statement in [
        "SELECT name FROM app.people WHERE id = 7",
        "select  name\nfrom APP.people /* why */ where id=7;",
        "BEGIN; SELECT name FROM app.people WHERE id = 7; COMMIT",
        "PREPARE p AS SELECT name FROM app.people WHERE id = 7; EXECUTE p",
    ] {
        let (out, err, ok) = proxy.sql(&alice, statement);
        assert!(ok && out.contains("name 7"), "{statement}: {out}{err}");
    }
    let (out, err, ok) = proxy.sql(&alice, "EXPLAIN SELECT name FROM app.people WHERE id = 7");
    assert!(ok && out.contains("people"), "{out}{err}");
    for statement in [
        "SELECT name FROM app.people WHERE id = 8",
        "SELECT name FROM app.people WHERE id = '7'",
        "SELECT email FROM app.people WHERE id = 7",
        "SELECT name FROM app.people",
        "EXPLAIN ANALYZE SELECT name FROM app.people WHERE id = 7",
        "COPY (SELECT name FROM app.people WHERE id = 7) TO STDOUT",
        "PREPARE p AS SELECT name FROM app.people WHERE id = 8",
        "BEGIN; DECLARE c CURSOR FOR SELECT name FROM app.people WHERE id = 7",
    ] {
        let (_, err, ok) = proxy.sql(&alice, statement);
        assert!(!ok && err.contains("permission denied for this statement"), "{statement}: {err}");
        assert!(err.contains("rule statement-grant"), "{statement}: {err}");
        assert!(err.contains("HINT:  pgward request people --for 30m --reason '…' --statement '…'"), "{err}");
    }

    // What is bound to a parameter is free.
    let (_, alice) = granted(&proxy, "SELECT name FROM app.people WHERE id = $1", None);
    let proxy = &proxy;
    runtime().block_on(async {
        let client = connect(proxy, &alice).await;
        for id in [3_i32, 4] {
            let row = client.query_one("SELECT name FROM app.people WHERE id = $1", &[&id]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), format!("name {id}"));
        }
        let refused = client.query("SELECT name FROM app.people WHERE id = $1 + 0", &[&3_i32]).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    });
}

fn shared_uses(bench: &Bench) {
    const RUN: &str = "INSERT INTO app.runs VALUES (1)";
    let proxy = proxy(bench, "one_shared");
    let (grant, alice) = granted(&proxy, RUN, Some("5"));
    assert_eq!(uses_left(&proxy, &grant), 5);
    let proxy = &proxy;
    let (ran, refused) = runtime().block_on(async {
        let (one, two) = (connect(proxy, &alice).await, connect(proxy, &alice).await);
        let (mut ran, mut refused) = (0, Vec::new());
        for _ in 0..5 {
            // The simple protocol here, the extended one there, at once.
            let (first, second) = tokio::join!(one.batch_execute(RUN), two.execute(RUN, &[]));
            for answer in [first, second.map(|_| ())] {
                match answer {
                    Ok(()) => ran += 1,
                    Err(error) => refused.push(error.as_db_error().unwrap().clone()),
                }
            }
        }
        // What stands around it is no use of it.
        one.batch_execute("BEGIN; COMMIT").await.unwrap();
        (ran, refused)
    });
    assert_eq!((ran, refused.len()), (5, 5), "{refused:?}");
    for error in refused {
        assert_eq!(error.code(), &SqlState::INSUFFICIENT_PRIVILEGE);
        let detail = error.detail().unwrap();
        assert!(detail.contains("its 5 uses are used up") && detail.contains("rule statement-grant"), "{detail}");
        assert_eq!(error.hint(), Some("pgward request people --for 30m --reason '…' --statement '…'"));
    }
    assert_eq!(bench.postgres.run("one_shared", "SELECT count(*) FROM app.runs").trim(), "5");
    assert_eq!(uses_left(proxy, &grant), 0);
    let (out, err, ok) = proxy.sql(&alice, "SHOW pgward.grants");
    assert!(ok && out.trim().ends_with("INSERT INTO app.runs VALUES (1)|0"), "{out}{err}");
    // Another grant for the same statement, and it runs on.
    granted(proxy, RUN, Some("1"));
    let (_, err, ok) = proxy.sql(&alice, RUN);
    assert!(ok, "{err}");
    let (_, err, ok) = proxy.sql(&alice, RUN);
    assert!(!ok && err.contains("its one use is used up"), "{err}");
}

fn portals(bench: &Bench) {
    const READ: &str = "SELECT id FROM app.people ORDER BY id";
    let proxy = proxy(bench, "one_portals");
    let (grant, alice) = granted(&proxy, READ, Some("2"));
    let proxy = &proxy;
    runtime().block_on(async {
        let mut client = connect(proxy, &alice).await;
        let prepared = client.prepare(READ).await.unwrap();
        assert_eq!(tokio::task::block_in_place(|| uses_left(proxy, &grant)), 2, "to prepare is not to run");
        let transaction = client.transaction().await.unwrap();
        let portal = transaction.bind(&prepared, &[]).await.unwrap();
        let mut read = 0;
        for _ in 0..4 {
            read += transaction.query_portal(&portal, 25).await.unwrap().len();
        }
        assert_eq!(read, 100);
        assert_eq!(tokio::task::block_in_place(|| uses_left(proxy, &grant)), 1);
        // The last use, read to its end though none is left.
        let portal = transaction.bind(&prepared, &[]).await.unwrap();
        assert_eq!(transaction.query_portal(&portal, 50).await.unwrap().len(), 50);
        assert_eq!(tokio::task::block_in_place(|| uses_left(proxy, &grant)), 0);
        assert_eq!(transaction.query_portal(&portal, 50).await.unwrap().len(), 50);
        let refused = transaction.bind(&prepared, &[]).await.err().unwrap();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    });
}

fn unsent(bench: &Bench) {
    const RUN: &str = "INSERT INTO app.runs VALUES (1)";
    let proxy = proxy(bench, "one_unsent");
    let (grant, alice) = granted(&proxy, RUN, Some("2"));
    // Three in one message where two may be: none goes, and none is used.
    let (_, err, ok) = proxy.sql(&alice, &format!("{RUN}; {RUN}; {RUN}"));
    assert!(!ok && err.contains("used up"), "{err}");
    assert_eq!(bench.postgres.run("one_unsent", "SELECT count(*) FROM app.runs").trim(), "0");
    assert_eq!(uses_left(&proxy, &grant), 2);
    let (_, _, ok) = proxy.sql(&alice, &format!("{RUN}; SELECT 1 FROM app.secrets"));
    assert!(!ok);
    assert_eq!(uses_left(&proxy, &grant), 2);
    // What the database refuses was sent: it counts.
    bench.postgres.run("one_unsent", "ALTER TABLE app.runs ADD CHECK (id > 1)");
    let (_, err, ok) = proxy.sql(&alice, RUN);
    assert!(!ok && err.contains("violates check constraint"), "{err}");
    assert_eq!(uses_left(&proxy, &grant), 1);
}

fn ends(bench: &Bench) {
    const READ: &str = "SELECT name FROM app.people WHERE id = 7";
    let proxy = proxy(bench, "one_ends");
    let (grant, alice) = granted(&proxy, READ, Some("10"));
    let (_, err, ok) = proxy.sql(&alice, READ);
    assert!(ok, "{err}");
    proxy.revoke(&grant);
    let (_, err, ok) = proxy.sql(&alice, READ);
    assert!(!ok && err.contains("no live grant"), "{err}");
    assert_eq!(proxy.json("bob", &["grants", "--all"]).as_array().unwrap()[0]["uses_left"], 9);
    // Its uses do not prolong its window.
    let filed = ["request", "people", "--for", "1s", "--reason", "a moment", "--statement", READ, "--uses", "10"];
    let filed = proxy.json("alice", &filed);
    proxy.json("bob", &["approve", filed["id"].as_str().unwrap()]);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let (_, err, ok) = proxy.sql(&alice, READ);
    assert!(!ok && err.contains("no live grant"), "{err}");
}

fn file(proxy: &Proxy, statement: &str) -> serde_json::Value {
    let asked = ["request", "people", "--for", "30m", "--reason", "the tests need it", "--statement", statement];
    let filed = proxy.json("alice", &asked);
    proxy.json("bob", &["requests", filed["id"].as_str().unwrap()])
}

fn analysed(bench: &Bench) {
    let proxy = proxy(bench, "one_analysed");
    let request = file(&proxy, "SELECT upper(name), email FROM app.people WHERE id < 51");
    let analysis = &request["analysis"];
    assert_eq!(analysis["kind"], "SELECT");
    let touched = &analysis["relations"][0];
    assert_eq!((&touched["name"], &touched["operation"]), (&"app.people".into(), &"select".into()));
    for column in ["id", "name", "email"] {
        assert!(touched["columns"].as_array().unwrap().contains(&column.into()), "{touched}");
    }
    assert!(analysis["functions"].as_array().unwrap().contains(&"pg_catalog.upper".into()), "{analysis}");
    assert_eq!((&analysis["labels"], &analysis["regions"]), (&["pii"].into(), &["us-east"].into()));
    assert_eq!(analysis["refused"], serde_json::Value::Null);
    let estimate = &analysis["estimate"];
    // The planner's word, not a count.
    let about = |rows: &serde_json::Value, right: u64| rows.as_u64().unwrap().abs_diff(right) <= right / 5;
    assert!(about(&estimate["rows"], 50), "{estimate}");
    assert!(estimate["cost"].as_u64().unwrap() > 0);
    assert!(estimate["plan"][0].as_str().unwrap().contains("on people (rows="), "{estimate}");
    let shown = proxy.cli("bob", &["requests", request["id"].as_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("estimate:  ") && shown.contains(" rows, cost ") && shown.contains("labels:    pii"),
        "{shown}"
    );
    assert!(shown.contains("touches:   select on app.people ("), "{shown}");

    // Parameters stay free; what writes is planned, not run.
    let request = file(&proxy, "SELECT name FROM app.people WHERE id = $1 AND name <> $2");
    assert_eq!(request["analysis"]["estimate"]["rows"], 1, "{request}");
    assert_eq!(request["analysis"]["labels"], serde_json::json!([]));
    let request = file(&proxy, "DELETE FROM app.people WHERE id <= 20");
    assert!(about(&request["analysis"]["estimate"]["rows"], 20), "{request}");
    assert_eq!(request["analysis"]["labels"], serde_json::json!(["pii"]), "what is removed is touched");
    let plan = request["analysis"]["estimate"]["plan"][0].as_str().unwrap();
    assert!(plan.starts_with("Delete on people"), "{plan}");
    assert_eq!(bench.postgres.run("one_analysed", "SELECT count(*) FROM app.people").trim(), "100");
    // A failure to estimate is shown, and stands in nobody's way.
    let request = file(&proxy, "SELECT name FROM app.people WHERE id = 1 / 0");
    assert_eq!(request["analysis"]["no_estimate"], "PostgreSQL says: division by zero", "{request}");

    // Another statement is looked at anew, and what was approved of the old one is void.
    let id = request["id"].as_str().unwrap();
    proxy.json("alice", &["edit", id, "--statement", "SELECT id FROM app.people WHERE id = 3"]);
    let edited = proxy.json("bob", &["requests", id]);
    assert_eq!(edited["analysis"]["estimate"]["rows"], 1, "{edited}");
    assert_eq!(edited["analysis"]["relations"][0]["columns"], serde_json::json!(["id"]));
    let stale = proxy.cli("bob", &["approve", id, "--digest", request["digest"].as_str().unwrap()]);
    assert!(!stale.status.success());
}

fn never(bench: &Bench) {
    let proxy = proxy(bench, "one_never");
    for (statement, said) in [
        ("SELECT * FROM app.secrets", "permission denied for table app.secrets"),
        ("TRUNCATE app.people", "permission denied for table app.people"),
        ("SELECT * FROM app.nowhere", "does not exist"),
        ("SELECT pg_read_file('/etc/passwd')", "permission denied for function"),
        ("SELECT 1; SELECT 2", "a request is for one statement; this text holds 2"),
        ("SELECT FROM WHERE", "it could not be read"),
        ("SELECT id FROM app.people WHERE name = 'postgresql://me:geheim@db/x'", "it holds a secret"),
    ] {
        let asked = ["request", "people", "--for", "30m", "--reason", "the tests need it", "--statement", statement];
        let refused = proxy.cli("alice", &asked);
        let err = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && err.contains(said), "{statement}: {err}");
        assert!(err.contains("could not run under this scope"), "{statement}: {err}");
        assert!(!err.contains("geheim"), "{err}");
    }
    assert_eq!(proxy.json("alice", &["requests"]).as_array().unwrap().len(), 0);
    assert!(!std::fs::read_to_string(proxy.log()).unwrap_or_default().contains("geheim"));
}
