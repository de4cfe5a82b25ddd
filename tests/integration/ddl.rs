//! Schema changes that are used in the transaction that makes them: by psql, by a driver, in a pipeline; and what somebody
//! might try with them.

use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use crate::Case;
use crate::support::{Bench, Credentials, Proxy, Scopes, config, connect};

pub const CASES: &[Case] = &[
    ("ddl::made_and_used_in_one_transaction", made_and_used),
    ("ddl::what_is_classified_keeps_its_name", renames),
    ("ddl::a_refusal_says_what_to_do_instead", hints),
    ("ddl::under_a_second_opinion", second_opinion),
    ("ddl::sequences_are_made_altered_and_moved", sequences),
    ("ddl::savepoints_and_rollback", savepoints),
    ("ddl::by_the_extended_protocol", extended),
    ("ddl::in_a_pipeline", pipeline),
    ("ddl::what_follows_in_one_message_is_not_guessed", one_message),
    ("ddl::no_rule_is_escaped_by_it", attacks),
    ("ddl::others_change_the_schema_meanwhile", others),
    ("ddl::only_where_the_transaction_can_be_followed", isolation),
    ("ddl::limits_count_on", limits),
    ("ddl::a_cancel_request_hits_the_question", cancelled),
];

/// Two regions: `app` is open to alice, `eu` only to clients that are in eu-west, where she is not.
const SCHEMA: &str = "
CREATE SCHEMA app; CREATE SCHEMA eu; CREATE SCHEMA other;
CREATE TABLE app.orders (id int PRIMARY KEY, note text);
INSERT INTO app.orders SELECT g, 'order ' || g FROM generate_series(1, 20) g;
CREATE TABLE app.old (id int, body text);
INSERT INTO app.old VALUES (1, 'old');
CREATE VIEW app.v AS SELECT id, note FROM app.orders;
CREATE TABLE app.parent (id int, body text) PARTITION BY LIST (id);
CREATE TABLE app.people (id int, ssn text);
INSERT INTO app.people VALUES (1, '123');
CREATE TABLE eu.people (id int, body text);
INSERT INTO eu.people VALUES (1, 'somebody');
CREATE TABLE other.secrets (id int, body text);
INSERT INTO other.secrets VALUES (1, 'hidden');
CREATE SEQUENCE other.hidden;
CREATE DOMAIN other.kind AS int;
CREATE VIEW app.v_eu AS SELECT id, body FROM eu.people;
";

fn proxy(bench: &Bench, name: &str) -> (Proxy, Credentials) {
    proxy_with(bench, name, "")
}

fn proxy_with(bench: &Bench, name: &str, guards: &str) -> (Proxy, Credentials) {
    proxy_set(bench, name, guards, "")
}

fn proxy_set(bench: &Bench, name: &str, guards: &str, database: &str) -> (Proxy, Credentials) {
    bench.postgres.run("postgres", &format!("CREATE DATABASE {name}"));
    bench.postgres.run(name, SCHEMA);
    let proxy = Proxy::start(bench, &|setup| {
        let (port, certs, dir) = (setup.upstream_port, setup.certs.display(), setup.dir.display());
        let more = format!(
            r#"
[[database]]
name = "made"
upstream = "postgresql://pgw_admin@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={certs}/ca.crt"
password_file = "{dir}/admin_password"
region = "us-east"
{database}
[[database.data]]
on = "eu.*"
region = "eu-west"
[[database.data]]
on = "app.people"
columns = ["ssn"]
labels = ["pii"]
[[scope]]
name = "makes"
database = "made"
regions = ["us-east", "eu-west"]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1h"
unfiltered_writes = true
{guards}
[[scope.allow]]
on = ["app.*", "eu.*"]
do = ["select", "insert", "update", "delete", "truncate", "ddl"]
[[scope.allow]]
functions = ["pg_catalog.pg_sleep"]
"#
        );
        config(setup, &Scopes { more, ..Scopes::default() })
            .replace("networks = [\"10.20.0.0/16\"]", "networks = [\"10.20.0.0/16\"]\nclients = [\"eu-west\"]")
    });
    proxy.grant("alice", "makes", "30m");
    let alice = proxy.credentials("alice", "made");
    (proxy, alice)
}

/// Lines on psql's stdin, one message each; what it printed, and behind that its errors.
fn typed(proxy: &Proxy, who: &Credentials, lines: &str) -> Vec<String> {
    use std::io::Write;
    use std::process::Stdio;
    let mut psql = proxy.psql_with(who);
    psql.args(["-qAt", "-v", "VERBOSITY=verbose"]);
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = psql.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    out.lines()
        .chain(err.lines())
        .filter(|line| !line.contains("LOCATION:") && !line.contains("HINT:") && !line.trim_start().starts_with('^'))
        .map(str::to_owned)
        .collect()
}

fn errors(said: &[String]) -> Vec<&String> {
    said.iter().filter(|line| line.contains("ERROR:") || line.contains("FATAL:")).collect()
}

fn made_and_used(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_made");
    let said = typed(
        &proxy,
        &alice,
        "BEGIN;
         CREATE TYPE app.mood AS ENUM ('good', 'bad');
         CREATE TABLE app.made (id serial PRIMARY KEY, big bigint GENERATED ALWAYS AS IDENTITY, of app.mood, body text);
         INSERT INTO app.made (of, body) VALUES ('good', 'one'), ('bad', 'two');
         ALTER TABLE app.made ADD COLUMN more int DEFAULT 7;
         UPDATE app.made SET more = more + id WHERE of = 'bad'::app.mood;
         CREATE INDEX made_body ON app.made (lower(body));
         ALTER TABLE app.made ADD CONSTRAINT made_more CHECK (more > 0);
         CREATE TABLE app.child (id int PRIMARY KEY, made int REFERENCES app.made (id) ON DELETE CASCADE);
         INSERT INTO app.child VALUES (1, 1), (2, 2);
         DELETE FROM app.made WHERE id = 1;
         ALTER TABLE app.made RENAME COLUMN body TO text_of_it;
         ALTER TABLE app.made RENAME TO renamed;
         CREATE VIEW app.v_made AS SELECT id, text_of_it, more FROM app.renamed;
         SELECT * FROM app.v_made;
         DROP VIEW app.v_made;
         ALTER TABLE app.renamed ALTER COLUMN text_of_it TYPE varchar(40);
         SELECT text_of_it || '!' FROM app.renamed;
         SELECT count(*) FROM app.child;
         CREATE TABLE app.copied AS SELECT * FROM app.renamed;
         SELECT * INTO app.copied_again FROM app.copied;
         SELECT count(*) FROM app.copied_again;
         \\copy app.renamed (of, text_of_it) from stdin
good\tthree
\\.
         COMMIT;
         SELECT count(*) FROM app.renamed;
         SELECT count(*) FROM app.made;
         DROP TABLE app.copied;
         SELECT count(*) FROM app.copied;\n",
    );
    let told: Vec<&str> = said.iter().map(String::as_str).filter(|line| !line.contains("DETAIL:")).collect();
    let [rows, more, child, again, after, gone, dropped] = told.as_slice() else { panic!("{said:#?}") };
    assert_eq!((*rows, *more, *child, *again, *after), ("2|two|9", "two!", "1", "1", "2"), "{said:#?}");
    assert!(gone.contains("42501") && gone.contains("relation \"app.made\" does not exist"), "{gone}");
    assert!(dropped.contains("relation \"app.copied\" does not exist"), "{dropped}");
}

/// Another name would take data out of its class.
fn renames(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_renames");
    let said = typed(
        &proxy,
        &alice,
        "ALTER TABLE app.people RENAME COLUMN ssn TO plain;
         ALTER TABLE app.people RENAME ssn TO plain;
         ALTER TABLE app.people RENAME TO persons;
         ALTER TABLE app.old RENAME TO people2;
         ALTER TABLE app.people RENAME COLUMN id TO number;
         SELECT ssn, number FROM app.people;
         BEGIN;
         ALTER TABLE app.people ADD COLUMN more int;
         ALTER TABLE app.people RENAME ssn TO plain;\n",
    );
    let refused = errors(&said);
    assert_eq!(refused.len(), 4, "{said:#?}");
    for told in [refused[0], refused[1], refused[3]] {
        assert!(told.contains("42501: permission denied to rename column ssn of table app.people"), "{told}");
    }
    assert!(refused[2].contains("permission denied to rename table app.people"), "{said:#?}");
    assert!(said.contains(&"123|1".to_owned()), "{said:#?}");
}

fn hints(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_hints");
    for (statement, hint) in [
        ("DROP TABLE app.orders CASCADE", "Drop what depends on it first, by name; then this needs no CASCADE."),
        (
            "CREATE TABLE app.made (id int); SELECT * FROM app.made",
            "Send it in a message of its own, after the answer to that statement.",
        ),
        ("ALTER TABLE app.people RENAME ssn TO x", "Who runs pgward has to change [[database.data]] first."),
    ] {
        runtime().block_on(async {
            let client = connect(&proxy, &alice).await;
            let refused = client.simple_query(statement).await.unwrap_err();
            assert_eq!(refused.as_db_error().unwrap().hint(), Some(hint), "{statement}: {refused:?}");
        });
    }
}

/// PostgreSQL's own opinion of a statement is of what is committed: where it is required, nothing goes without it.
fn second_opinion(bench: &Bench) {
    let made = "BEGIN;
         CREATE TABLE app.made (id int, body text);
         INSERT INTO app.made VALUES (1, 'x');
         ALTER TABLE app.made RENAME COLUMN body TO word;
         SELECT id, word FROM app.made;
         COMMIT;
         SELECT count(*) FROM app.made;
         SELECT * FROM other.secrets;\n";
    let (proxy, alice) = proxy_set(bench, "ddl_opinion", "", "second_opinion = \"on\"");
    let said = typed(&proxy, &alice, made);
    assert_eq!(said[..2], ["1|x", "1"], "{said:#?}");
    assert!(errors(&said).len() == 1 && errors(&said)[0].contains("other.secrets"), "{said:#?}");
    let (proxy, alice) = proxy_set(bench, "ddl_required", "", "second_opinion = \"required\"");
    let said = typed(&proxy, &alice, made);
    assert!(errors(&said)[0].contains("42501: permission denied: PostgreSQL could not be asked"), "{said:#?}");
    assert!(errors(&said).iter().any(|told| told.contains("relation \"app.made\" does not exist")), "{said:#?}");
}

/// `ddl` on what a sequence is, on where it goes, and on the table that it belongs to.
fn sequences(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_sequences");
    let said = typed(
        &proxy,
        &alice,
        "CREATE SEQUENCE IF NOT EXISTS app.counter AS bigint START WITH 10 INCREMENT BY -1 MINVALUE -5 MAXVALUE 10 CACHE 2 CYCLE;
         ALTER SEQUENCE app.counter OWNED BY app.orders.id NO CYCLE;
         ALTER SEQUENCE IF EXISTS app.counter RENAME TO numbers;
         ALTER SEQUENCE app.numbers AS smallint RESTART WITH 3;
         BEGIN;
         CREATE UNLOGGED SEQUENCE app.passing;
         ALTER SEQUENCE app.passing INCREMENT 5;
         CREATE TABLE app.counted (id int DEFAULT nextval('app.passing'), body text);
         DROP SEQUENCE app.passing CASCADE;
         ROLLBACK;\n",
    );
    let refused = "42501: permission denied for CASCADE on app.passing";
    assert!(errors(&said).iter().all(|line| line.contains(refused) || line.contains("nextval")), "{said:#?}");
    let settled = "SELECT concat_ws(' ', sequencename, data_type, start_value, increment_by, min_value, max_value, cycle, cache_size)
                   FROM pg_sequences WHERE schemaname = 'app'";
    assert_eq!(bench.postgres.run("ddl_sequences", settled), "numbers smallint 10 -1 -5 10 f 2");
    let owner = "SELECT refobjid::regclass FROM pg_depend WHERE objid = 'app.numbers'::regclass AND deptype = 'a'";
    assert_eq!(bench.postgres.run("ddl_sequences", owner), "app.orders");
    for (sql, why) in [
        ("CREATE SEQUENCE other.mine", "sequence other.mine"),
        ("CREATE SEQUENCE app.mine OWNED BY other.secrets.id", "table other.secrets"),
        ("ALTER SEQUENCE app.numbers OWNED BY other.secrets.id", "table other.secrets"),
        ("ALTER SEQUENCE app.numbers SET SCHEMA other", "sequence other.numbers"),
        ("ALTER SEQUENCE other.hidden RESTART", "sequence other.hidden"),
        ("ALTER SEQUENCE other.hidden SET SCHEMA app", "sequence other.hidden"),
        ("CREATE TEMP SEQUENCE numbers", "temporary objects"),
        ("ALTER SEQUENCE app.numbers OWNER TO postgres", "ALTER SEQUENCE"),
        ("CREATE SEQUENCE app.mine AS other.kind", "schema other"),
    ] {
        let (out, err, ok) = proxy.sql(&alice, sql);
        assert!(!ok && err.contains("permission denied for") && err.contains(why), "{sql}: {out} {err}");
    }
    let left =
        "SELECT string_agg(format('%s.%s', schemaname, sequencename), ' ' ORDER BY schemaname) FROM pg_sequences";
    assert_eq!(bench.postgres.run("ddl_sequences", left), "app.numbers other.hidden");
    let (out, err, ok) = proxy.sql(&alice, "DROP SEQUENCE app.numbers");
    assert!(ok, "{out} {err}");
}

fn savepoints(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_savepoints");
    let said = typed(
        &proxy,
        &alice,
        "BEGIN;
         SAVEPOINT one;
         CREATE TABLE app.made (id int);
         SAVEPOINT two;
         ALTER TABLE app.made ADD COLUMN body text;
         INSERT INTO app.made VALUES (1, 'x');
         ROLLBACK TO two;
         SELECT body FROM app.made;
         SELECT 'aborted' FROM app.made;
         ROLLBACK TO two;
         INSERT INTO app.made VALUES (2);
         SELECT 1 / 0;
         SELECT * FROM app.nowhere;
         ROLLBACK TO two;
         SELECT count(*) FROM app.made;
         ROLLBACK TO one;
         SELECT * FROM app.made;
         ROLLBACK;
         SELECT * FROM app.made;
         BEGIN; DROP TABLE app.old; ROLLBACK;
         SELECT body FROM app.old;\n",
    );
    let expected = [
        "0",
        "old",
        "ERROR:  42501: column \"body\" does not exist",
        "ERROR:  25P02: current transaction is aborted",
        "ERROR:  22012: division by zero",
        "ERROR:  25P02: current transaction is aborted",
        "ERROR:  42501: relation \"app.made\" does not exist",
        "ERROR:  42501: relation \"app.made\" does not exist",
    ];
    let told: Vec<&String> = said.iter().filter(|line| !line.contains("DETAIL:") && !line.contains("LINE ")).collect();
    assert_eq!(told.len(), expected.len(), "{said:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.contains(expected), "no `{expected}` in `{told}`: {said:#?}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn extended(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_extended");
    runtime().block_on(async {
        let mut client = connect(&proxy, &alice).await;
        let before = client.prepare("SELECT id FROM app.v ORDER BY id LIMIT 1").await.unwrap();
        let transaction = client.transaction().await.unwrap();
        transaction.execute("CREATE TABLE app.made (id int, body text)", &[]).await.unwrap();
        let insert = transaction.prepare("INSERT INTO app.made VALUES ($1, $2)").await.unwrap();
        for id in 0..5_i32 {
            transaction.execute(&insert, &[&id, &"x"]).await.unwrap();
        }
        transaction.execute("ALTER TABLE app.made ADD COLUMN more int DEFAULT 3", &[]).await.unwrap();
        transaction.execute(&insert, &[&5_i32, &"y"]).await.unwrap();
        let row = transaction.query_one("SELECT sum(more), count(*) FROM app.made", &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (18, 6));
        // What was prepared before means the view as it is now.
        transaction
            .batch_execute("CREATE OR REPLACE VIEW app.v AS SELECT id, body AS note FROM app.made")
            .await
            .unwrap();
        assert_eq!(transaction.query_one(&before, &[]).await.unwrap().get::<_, i32>(0), 0);
        transaction.rollback().await.unwrap();
        assert_eq!(client.query_one(&before, &[]).await.unwrap().get::<_, i32>(0), 1);
        let gone = client.execute(&insert, &[&1_i32, &"x"]).await.unwrap_err();
        assert_eq!(gone.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{gone:?}");
        // Nothing of what pgward asks stays in the session.
        let transaction = client.transaction().await.unwrap();
        transaction.batch_execute("CREATE TABLE app.made (id int)").await.unwrap();
        let names = transaction.query("SELECT name FROM pg_catalog.pg_prepared_statements", &[]).await.unwrap();
        assert!(names.iter().all(|row| !row.get::<_, String>(0).contains("pgward")), "{names:?}");
        let cursors = transaction.query("SELECT name FROM pg_catalog.pg_cursors", &[]).await.unwrap();
        assert!(cursors.iter().all(|row| !row.get::<_, String>(0).contains("pgward")), "{cursors:?}");
        transaction.commit().await.unwrap();
        assert_eq!(client.query("SELECT * FROM app.made", &[]).await.unwrap().len(), 0);
    });
}

fn pipeline(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_pipeline");
    runtime().block_on(async {
        let client = connect(&proxy, &alice).await;
        // All of them are on their way before the first is answered.
        let (begun, made, altered, filled, read, done, after) = tokio::join!(
            client.batch_execute("BEGIN"),
            client.batch_execute("CREATE TABLE app.made (id int)"),
            client.batch_execute("ALTER TABLE app.made ADD COLUMN body text"),
            client.batch_execute("INSERT INTO app.made VALUES (1, 'x')"),
            client.simple_query("SELECT body FROM app.made"),
            client.batch_execute("ROLLBACK"),
            client.simple_query("SELECT body FROM app.made"),
        );
        begun.and(made).and(altered).and(filled).and(done).unwrap();
        let body = read.unwrap().iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        assert_eq!(body.as_deref(), Some("x"));
        assert_eq!(after.unwrap_err().code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    });
}

/// What stands behind a schema change in one message was judged before it ran.
fn one_message(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_message");
    for sql in [
        "BEGIN; CREATE OR REPLACE VIEW app.v AS SELECT id, body AS note FROM app.old; SELECT * FROM app.v",
        "ALTER TABLE app.orders RENAME TO was; ALTER TABLE app.old RENAME TO orders; SELECT * FROM app.orders",
        "DROP VIEW app.v; CREATE TABLE app.copy AS SELECT * FROM app.v",
        "BEGIN; ALTER TABLE app.old RENAME COLUMN body TO text; ROLLBACK; SELECT id FROM app.orders",
    ] {
        let (out, err, ok) = proxy.sql(&alice, sql);
        assert!(!ok && err.contains("42501") && err.contains("not settled yet"), "{sql}: {out} {err}");
    }
    // What has nothing to do with it passes, as does a list of schema changes.
    let (out, err, ok) = proxy.sql(
        &alice,
        "CREATE TABLE app.one (id int); CREATE TABLE app.two (id int); ALTER TABLE app.old ADD COLUMN more int; \
         SELECT count(*) FROM app.orders",
    );
    assert!(ok && out.ends_with("20"), "{out} {err}");
    let said = typed(
        &proxy,
        &alice,
        "BEGIN;
         CREATE OR REPLACE VIEW app.v AS SELECT id, 'mine'::text AS note FROM app.one;
         SELECT count(*) FROM app.v;
         ROLLBACK\\; SELECT count(*) FROM app.v;
         ROLLBACK;
         SELECT count(*) FROM app.v;\n",
    );
    let shown = said.iter().filter(|line| !line.contains("DETAIL:") && !line.contains("WARNING:"));
    let [mine, committed, refused] = shown.collect::<Vec<_>>()[..] else { panic!("{said:#?}") };
    assert!(mine == "0" && committed == "20" && refused.contains("not settled yet"), "{said:#?}");
}

fn attacks(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_attacks");
    let made = "BEGIN; CREATE TABLE app.made (id int, body text);\n";
    for attempt in [
        // Another name for what may not be read.
        "CREATE VIEW app.w AS SELECT * FROM eu.people;",
        "CREATE VIEW app.w AS SELECT * FROM other.secrets;",
        "CREATE TABLE app.copy AS SELECT * FROM app.v_eu;",
        "SELECT * FROM app.v_eu;",
        "ALTER TABLE eu.people RENAME TO persons;",
        "ALTER TABLE eu.people SET SCHEMA app;",
        "ALTER TABLE other.secrets SET SCHEMA app;",
        "ALTER TABLE app.parent ATTACH PARTITION eu.people FOR VALUES IN (1);",
        "ALTER TABLE app.parent ATTACH PARTITION other.secrets FOR VALUES IN (1);",
        "ALTER TABLE eu.people INHERIT app.made;",
        "ALTER TABLE other.secrets INHERIT app.made;",
        "CREATE TABLE app.child () INHERITS (eu.people);",
        "CREATE TABLE app.grown (LIKE eu.people INCLUDING ALL);",
        "ALTER SCHEMA eu RENAME TO app2;",
        "ALTER TABLE app.made RENAME TO other.made;",
        // What lies elsewhere, into what was just made.
        "INSERT INTO app.made SELECT * FROM eu.people;",
        "INSERT INTO app.made SELECT * FROM other.secrets;",
        "SELECT * INTO app.more FROM other.secrets;",
        // The same name, and something else behind it.
        "DROP VIEW app.v; CREATE VIEW app.v AS SELECT id, body AS note FROM eu.people;",
        "CREATE TEMP TABLE pg_class (oid oid);",
        "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
        "CREATE OPERATOR app.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = pg_catalog.oideq);",
        "ALTER TABLE app.nowhere RENAME TO made2;",
    ] {
        let said = typed(&proxy, &alice, &format!("{made}{attempt}\nSELECT 'reached';\n"));
        let first = errors(&said).first().map(|line| line.as_str()).unwrap_or_default().to_owned();
        assert!(first.contains("42501") || first.contains("0A000"), "{attempt}: {said:#?}");
        assert!(!said.iter().any(|line| line == "reached"), "{attempt}: {said:#?}");
    }
    // A view made in the transaction counts for what it reads then, not for what it read before.
    let said = typed(
        &proxy,
        &alice,
        "BEGIN; CREATE VIEW app.w AS SELECT id FROM app.old;
         ALTER TABLE app.old RENAME TO was; 
         SELECT id FROM app.w;
         DROP TABLE app.orders CASCADE;\n",
    );
    assert!(said.iter().any(|line| line == "1"), "{said:#?}");
    assert!(errors(&said).len() == 1 && errors(&said)[0].contains("42501"), "{said:#?}");
}

/// Others may change what a name means while the transaction is open.
fn others(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_others");
    runtime().block_on(async {
        let client = connect(&proxy, &alice).await;
        client.batch_execute("BEGIN; CREATE TABLE app.made (id int)").await.unwrap();
        client.batch_execute("INSERT INTO app.made VALUES (1)").await.unwrap();
        bench.postgres.run("ddl_others", "CREATE OR REPLACE VIEW app.v AS SELECT id, body AS note FROM eu.people");
        // As soon as with any other session: once the committed catalogs are looked at again.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let refused = client.simple_query("SELECT id FROM app.v").await.unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("eu.people"), "{refused:?}");
    });
}

fn isolation(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_isolation");
    let said = typed(
        &proxy,
        &alice,
        "BEGIN ISOLATION LEVEL REPEATABLE READ;
         CREATE TABLE app.made (id int);
         INSERT INTO app.made VALUES (1);
         ROLLBACK;
         SELECT count(*) FROM app.orders;\n",
    );
    assert!(errors(&said).len() == 1 && errors(&said)[0].contains("REPEATABLE READ"), "{said:#?}");
    assert!(said.iter().any(|line| line == "20"), "{said:#?}");
}

fn limits(bench: &Bench) {
    let (proxy, alice) = proxy_with(bench, "ddl_limits", "row_limit = 5\nstatement_timeout = \"20s\"");
    let said = typed(
        &proxy,
        &alice,
        "BEGIN;
         CREATE TABLE app.made AS SELECT * FROM app.orders;
         SELECT id FROM app.made WHERE id <= 5;
         SELECT id FROM app.made;
         ROLLBACK;
         SELECT 'after';\n",
    );
    assert!(errors(&said).len() == 1 && errors(&said)[0].contains("row limit of 5 reached"), "{said:#?}");
    assert!(said.iter().any(|line| line == "after"), "{said:#?}");
    let records = proxy.audit(&["--text", "pg_catalog.pg_class"]);
    assert!(records.is_empty(), "pgward's own questions are nobody's statements: {records:#?}");
}

/// However often, and whenever: an error or none, and the session goes on.
fn cancelled(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ddl_cancelled");
    runtime().block_on(async {
        let client = connect(&proxy, &alice).await;
        let token = client.cancel_token();
        let mut hit = 0;
        for round in 0..400_u64 {
            // Forty of them; on a busy machine more, until one has hit.
            if round >= 40 && hit > 0 {
                break;
            }
            client.batch_execute("BEGIN; CREATE TABLE app.made (id int)").await.unwrap();
            let statement = client.batch_execute("INSERT INTO app.made VALUES (1)");
            let cancel = async {
                tokio::time::sleep(Duration::from_micros(round % 40 * 500)).await;
                let _ = token.cancel_query(crate::support::client_tls(&proxy)).await;
            };
            let (done, ()) = tokio::join!(statement, cancel);
            if let Err(error) = done {
                hit += 1;
                assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
            }
            // One that came late hits one of these.
            while client.batch_execute("ROLLBACK").await.is_err() {}
            let _ = client.batch_execute("SELECT pg_catalog.pg_sleep(0.02)").await;
        }
        assert!(hit > 0, "none was hit");
        client.batch_execute("BEGIN; CREATE TABLE app.made (id int)").await.unwrap();
        client.batch_execute("INSERT INTO app.made VALUES (1)").await.unwrap();
    });
}
