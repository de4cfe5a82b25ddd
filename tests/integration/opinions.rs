//! The second opinion as users meet it: PostgreSQL is asked once, a disagreement denies, and where an opinion is required
//! nothing passes without one.

use std::process::Command;

use crate::Case;
use crate::support::{Bench, Credentials, Proxy, Scopes, config};

pub const CASES: &[Case] = &[
    ("opinions::asked_once_and_kept", asked_once_and_kept),
    ("opinions::a_disagreement_denies", disagreement_denies),
    ("opinions::what_a_change_of_the_catalogs_explains_passes", change_of_the_catalogs),
    ("opinions::without_the_privilege_temporary", without_the_privilege_temporary),
    ("opinions::on_a_standby", on_a_standby),
    ("opinions::every_kind_of_statement_where_one_is_required", every_kind_of_statement),
    ("opinions::a_lock_is_not_waited_for", lock_is_not_waited_for),
    ("opinions::a_lost_connection_is_made_anew", lost_connection_is_made_anew),
];

/// A database of its own, `name`, under the logical name "plain", with a second opinion of that `mode`.
fn proxy(bench: &Bench, name: &str, mode: &str) -> (Proxy, Credentials) {
    bench.postgres.run("postgres", &format!("CREATE DATABASE {name}"));
    bench.postgres.run(name, include_str!("support/plain.sql"));
    proxy_of(bench, mode, &|text| text.replace("/plain?", &format!("/{name}?")))
}

fn proxy_of(bench: &Bench, mode: &str, change: &dyn Fn(String) -> String) -> (Proxy, Credentials) {
    let database = format!("second_opinion = \"{mode}\"");
    let proxy = Proxy::start(bench, &|setup| {
        change(config(setup, &Scopes { database: database.clone(), ..Scopes::default() }))
    });
    proxy.grant("alice", "plain-write", "30m");
    let alice = proxy.credentials("alice", "plain");
    (proxy, alice)
}

/// How often a statement was asked about: the server logs every question with the statement in it.
fn questions(bench: &Bench, part: &str) -> usize {
    let log = bench.postgres.log();
    let mut asked = log.split("BEGIN ATOMIC").skip(1);
    asked.by_ref().filter(|question| question.split(";END").next().is_some_and(|body| body.contains(part))).count()
}

fn metrics(proxy: &Proxy) -> String {
    let output = Command::new("/usr/bin/python3")
        .args(["-c", FETCH, &format!("https://localhost:{}/metrics", proxy.setup.control_port)])
        .arg(proxy.setup.certs.join("ca.crt"))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const FETCH: &str = "import ssl, sys, urllib.request as u\n\
    print(u.urlopen(sys.argv[1], context=ssl.create_default_context(cafile=sys.argv[2])).read().decode())";

fn counted(proxy: &Proxy, result: &str, reason: &str) -> u64 {
    let line = format!("pgward_second_opinions_total{{result=\"{result}\",reason=\"{reason}\"}} ");
    metrics(proxy).lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |number| number.parse().unwrap())
}

fn asked_once_and_kept(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "asked_once", "on");
    for _ in 0..3 {
        let (out, err, ok) = proxy.sql(&alice, "SELECT body FROM notes WHERE id = 3 /* asked once */");
        assert!(ok && out == "note 3", "{out} {err}");
    }
    assert_eq!(questions(bench, "asked once"), 1, "three sessions, one question");
    assert_eq!((counted(&proxy, "agree", ""), counted(&proxy, "disagree", "")), (1, 0));
    assert!(!proxy.sql(&alice, "SELECT rolpassword FROM pg_authid /* never asked */").2);
    assert_eq!(questions(bench, "never asked"), 0, "what no grant allows is not asked about");
    bench.postgres.run("asked_once", "CREATE TABLE another ()");
    assert!(proxy.sql(&alice, "SELECT body FROM notes WHERE id = 3 /* asked once */").2);
    assert_eq!(questions(bench, "asked once"), 2, "other catalogs, another question");
    let left = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'pgward%'";
    assert_eq!(bench.postgres.run("asked_once", left), "0");
}

/// An event trigger makes PostgreSQL look names up elsewhere while it is asked: what it says then is not what we found.
fn disagreement_denies(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "disagreeing", "on");
    bench.postgres.run(
        "disagreeing",
        "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.notes (id int, body text);
        CREATE FUNCTION elsewhere.look() RETURNS event_trigger LANGUAGE plpgsql AS
          $$BEGIN PERFORM pg_catalog.set_config('search_path', 'elsewhere, public', true); END$$;
        CREATE EVENT TRIGGER look ON ddl_command_start WHEN TAG IN ('CREATE FUNCTION') EXECUTE FUNCTION elsewhere.look()",
    );
    let (out, err, ok) = proxy.sql(&alice, "SELECT body FROM notes");
    assert!(!ok && out.is_empty(), "{out}");
    for part in
        ["42501", "PostgreSQL reads this statement otherwise", "relation elsewhere.notes", "second-opinion", "HINT"]
    {
        assert!(err.contains(part), "no `{part}` in: {err}");
    }
    let (out, err, ok) = proxy.sql(&alice, "SELECT body FROM public.notes WHERE id = 1");
    assert!(ok && out == "note 1", "where both agree it passes: {err}");
    let denied = proxy.audit(&["--verdict", "deny"]);
    let last = denied.last().unwrap();
    assert_eq!((&last["rule"], &last["statement"]), (&"second-opinion".into(), &"SELECT body FROM notes".into()));
    assert_eq!(counted(&proxy, "disagree", ""), 1);
    let explained = proxy.json("alice", &["explain", "plain", "--user", "alice", "SELECT body FROM notes"]);
    assert_eq!((&explained["verdict"], &explained["rule"]), (&"deny".into(), &"second-opinion".into()), "{explained}");
    let explained = proxy.json("alice", &["explain", "plain", "--user", "alice", "SELECT body FROM public.notes"]);
    assert_eq!(explained["verdict"], "allow", "{explained}");
    assert!(explained["steps"].to_string().contains("PostgreSQL says that it touches nothing else"), "{explained}");
    assert!(!bench.postgres.log().contains("disagreeing|LOG:  statement: SELECT body FROM notes"));
}

/// A table that takes the place of another: the session's catalogs are a moment old when PostgreSQL is asked.
fn change_of_the_catalogs(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "changing", "required");
    let mut session = proxy.psql_with(&alice);
    session.args(["-At", "-v", "ON_ERROR_STOP=1"]);
    for round in 0..5 {
        session.args(["-c", &format!("SELECT count(body) FROM notes /* {round} */")]);
        session.args([
            "-c",
            &format!(
                "\\! {} -c 'ALTER TABLE notes RENAME TO old{round}; CREATE TABLE notes (id int, body text)'",
                psql(bench)
            ),
        ]);
    }
    let output = session.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout);
    let counts: Vec<&str> = lines.lines().filter(|line| line.parse::<u32>().is_ok()).collect();
    assert_eq!(counts, ["10", "0", "0", "0", "0"]);
}

/// psql as the superuser on database "changing", for a shell.
fn psql(bench: &Bench) -> String {
    let (port, dir) = (bench.postgres.port, bench.postgres.dir.display());
    format!(
        "PGPASSWORD=pgw_admin_pw PGSSLMODE=prefer PGSSLROOTCERT= psql -Xq -h {dir} -p {port} -U pgw_admin -d changing"
    )
}

fn without_the_privilege_temporary(bench: &Bench) {
    bench.postgres.run("postgres", "CREATE ROLE narrow LOGIN PASSWORD 'pgw_admin_pw'");
    bench.postgres.run("postgres", "CREATE DATABASE untemporary");
    bench.postgres.run("untemporary", include_str!("support/plain.sql"));
    bench.postgres.run("untemporary", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO narrow");
    bench.postgres.run("untemporary", "REVOKE TEMPORARY ON DATABASE untemporary FROM PUBLIC");
    let narrow = |text: String| text.replace("pgw_admin@", "narrow@").replace("/plain?", "/untemporary?");
    let (proxy, alice) = proxy_of(bench, "on", &narrow);
    let (out, err, ok) = proxy.sql(&alice, "SELECT count(*) FROM notes");
    assert!(ok && out == "10", "without it, wall one decides: {err}");
    assert_eq!(counted(&proxy, "unasked", "temporary"), 1);
    drop(proxy);
    let (proxy, alice) = proxy_of(bench, "required", &narrow);
    let (out, err, ok) = proxy.sql(&alice, "SELECT count(*) FROM notes");
    assert!(!ok && out.is_empty(), "{out}");
    for part in ["42501", "could not be asked", "TEMPORARY", "second-opinion", "GRANT TEMPORARY ON DATABASE"] {
        assert!(err.contains(part), "no `{part}` in: {err}");
    }
    let (out, _, ok) = proxy.sql(&alice, "SHOW pgward.session");
    assert!(ok && out.contains("se_"), "what touches no relation goes on: {out}");
    assert_eq!(proxy.audit(&["--verdict", "deny"]).last().unwrap()["rule"], "second-opinion");
    bench.postgres.run("untemporary", "GRANT TEMPORARY ON DATABASE untemporary TO narrow");
    crate::support::wait_until("it is asked again", std::time::Duration::from_secs(60), || {
        proxy.sql(&alice, "SELECT count(*) FROM notes").2
    });
}

fn on_a_standby(bench: &Bench) {
    let dir = tempfile::Builder::new().prefix("pgws").tempdir_in("/tmp").unwrap();
    let standby = bench.postgres.standby(&dir.path().join("pg"));
    assert_eq!(standby.run("plain", "SELECT pg_is_in_recovery()"), "t");
    let primary = bench.postgres.port.to_string();
    let moved = |text: String| text.replace(&format!("localhost:{primary}"), &format!("localhost:{}", standby.port));
    let (proxy, alice) = proxy_of(bench, "on", &moved);
    let (out, err, ok) = proxy.sql(&alice, "SELECT count(*) FROM notes");
    assert!(ok && out == "10", "{err}");
    assert_eq!(counted(&proxy, "unasked", "standby"), 1);
    drop(proxy);
    let (proxy, alice) = proxy_of(bench, "required", &moved);
    let (_, err, ok) = proxy.sql(&alice, "SELECT count(*) FROM notes");
    assert!(!ok && err.contains("could not be asked") && err.contains("standby"), "{err}");
}

fn every_kind_of_statement(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "required_kinds", "required");
    for allowed in [
        "SELECT body FROM notes",
        "SHOW search_path",
        "SET application_name = 'x'",
        "BEGIN; SELECT count(*) FROM notes; SAVEPOINT a; ROLLBACK TO a; COMMIT",
        "EXPLAIN SELECT body FROM notes",
        "EXPLAIN (ANALYZE, VERBOSE) SELECT body FROM notes",
        "PREPARE q (int) AS SELECT body FROM notes WHERE id = $1; EXECUTE q(1); EXPLAIN EXECUTE q(2); DEALLOCATE q",
        "PREPARE q AS SELECT body FROM notes WHERE id = $1; EXECUTE q(1)",
        "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT body FROM notes; FETCH 2 FROM c; CLOSE c; COMMIT",
        "COPY notes TO STDOUT",
        "COPY notes (id, body) TO STDOUT",
        "COPY (SELECT body FROM notes) TO STDOUT",
        "BEGIN; LOCK TABLE notes IN ACCESS SHARE MODE; COMMIT",
        "TRUNCATE sink",
        "INSERT INTO sink VALUES (1, 'x') RETURNING id",
        "WITH d AS (DELETE FROM sink WHERE id > 0 RETURNING *) SELECT count(*) FROM d",
        "UPDATE sink SET body = 'y' WHERE id = 1",
        "MERGE INTO sink s USING notes n ON n.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (n.id)",
        "DISCARD ALL",
        "SELECT count(*) FROM pg_catalog.pg_class",
        "",
    ] {
        let (_, err, ok) = proxy.sql(&alice, allowed);
        assert!(ok, "{allowed}: {err}");
    }
    for part in ["body FROM notes WHERE id = $1", "DELETE FROM sink", "FROM ONLY \"notes\" AS r0", "MERGE INTO sink"] {
        assert!(questions(bench, part) > 0, "{part}");
    }
    for (refused, why) in [
        ("SELECT missing FROM notes", "missing"),
        ("SELECT 'x'::int FROM notes", "invalid input syntax for type integer"),
        ("COPY sink FROM STDIN WHERE id > 1", "cannot be asked about"),
    ] {
        let (_, err, ok) = proxy.sql(&alice, refused);
        assert!(!ok && err.contains(why), "{refused}: {err}");
    }
    assert_eq!(counted(&proxy, "unasked", "kind"), 1);
    let meta = proxy
        .psql_with(&alice)
        .args(["-v", "ON_ERROR_STOP=1", "-c", "\\d notes", "-c", "\\df", "-c", "\\l"])
        .output()
        .unwrap();
    assert!(meta.status.success(), "{}", String::from_utf8_lossy(&meta.stderr));
    let mut copy = proxy.psql_with(&alice);
    copy.args(["-v", "ON_ERROR_STOP=1", "-c", "\\copy sink (id, body) FROM PROGRAM 'printf \"7\\tseven\\n\"'"]);
    let copied = copy.output().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    assert_eq!(
        bench.postgres.run("required_kinds", "SELECT body FROM sink WHERE id = 7 AND body IS NOT NULL"),
        "seven"
    );
}

fn lock_is_not_waited_for(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "locked", "required");
    // The session's own lock: nobody could release it while the statement waits.
    let (out, err, ok) = proxy.sql(&alice, "BEGIN; TRUNCATE sink; SELECT count(*) FROM sink; COMMIT");
    assert!(ok && out.contains('0'), "judged before any of it runs: {out} {err}");
    let session = proxy
        .psql_with(&alice)
        .args(["-c", "BEGIN", "-c", "LOCK TABLE notes", "-c", "SELECT count(id) FROM notes"])
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&session.stderr);
    assert!(err.contains("could not be asked") && err.contains("lock") && err.contains("Try again"), "{err}");
    assert!(proxy.sql(&alice, "SELECT count(id) FROM notes").2, "not kept");
}

fn lost_connection_is_made_anew(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "lost", "required");
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'pgward second opinion' AND datname = 'lost'";
    for round in 0..3 {
        let (out, err, ok) = proxy.sql(&alice, &format!("SELECT id FROM notes WHERE id = {round} + 1"));
        assert!(ok && out == (round + 1).to_string(), "{err}");
        assert_eq!(bench.postgres.run("lost", end), "1", "one connection, kept between questions");
    }
}
