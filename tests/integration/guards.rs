//! Guard rails of scopes, as a person at psql and a driver meet them.

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, config};

pub const CASES: &[Case] = &[
    ("guards::bytes", bytes),
    ("guards::a_limit_fails_the_transaction", a_limit_fails_the_transaction),
    ("guards::statement_timeout", statement_timeout),
    ("guards::writes_of_every_row", writes_of_every_row),
    ("guards::a_reason_first", a_reason_first),
    ("guards::what_hides_behind_a_view_is_read_only", what_hides_behind_a_view_is_read_only),
    ("guards::a_writing_grant_comes_and_goes", a_writing_grant_comes_and_goes),
    ("guards::psycopg_says_read_write", psycopg_says_read_write),
    ("guards::they_are_shown", they_are_shown),
];

/// A proxy with a scope `guarded` on the plain database, beside those of all cases.
fn proxy(bench: &Bench, guards: &str, allow: &str) -> Proxy {
    let more = format!(
        "[[scope]]\nname = \"guarded\"\ndatabase = \"plain\"\nrequesters = [\"@dev\"]\napprovers = [\"@dba\"]\n\
         max_duration = \"1h\"\n{guards}\n{allow}"
    );
    Proxy::start(bench, &|setup| config(setup, &Scopes { more: more.clone(), ..Default::default() }))
}

const READS: &str = "[[scope.allow]]\non = [\"public.*\"]\ndo = [\"select\"]\n";
const WRITES: &str = "[[scope.allow]]\non = [\"public.*\"]\ndo = [\"select\", \"insert\", \"update\", \"delete\"]\n\
                      [[scope.allow]]\nfunctions = [\"pg_catalog.pg_sleep\"]\n";

fn bytes(bench: &Bench) {
    let proxy = proxy(bench, "byte_limit = \"100kB\"", READS);
    proxy.grant("alice", "guarded", "30m");
    let alice = proxy.credentials("alice", "plain");
    let (out, err, ok) = proxy.sql(&alice, "SELECT filler FROM public.wide WHERE id <= 90");
    assert!(ok && out.lines().count() == 90, "{err}");
    let (_, err, ok) = proxy.sql(&alice, "SELECT filler FROM public.wide");
    assert!(!ok && err.contains("54000") && err.contains("byte limit of 100kB reached"), "{err}");
    let file = proxy.setup.dir.join("wide.csv");
    let (_, err, ok) = proxy.sql(&alice, &format!(r"\copy public.wide to '{}' csv", file.display()));
    assert!(!ok && err.contains("byte limit of 100kB reached"), "{err}");
    assert!(std::fs::metadata(&file).is_ok_and(|copied| copied.len() <= 100_000));
    let ended = proxy.audit(&["--text", "copy"]).into_iter().chain(proxy.audit(&[]));
    assert!(ended.into_iter().any(|record| record["ended_by"] == "byte_limit"));
}

/// Lines on psql's stdin, one statement each; answers what it printed and the SQLSTATEs of the errors.
fn typed(proxy: &Proxy, lines: &str) -> (Vec<String>, Vec<String>) {
    use std::io::Write;
    use std::process::Stdio;
    let alice = proxy.credentials("alice", "plain");
    let mut psql = proxy.psql_with(&alice);
    psql.args(["-At", "-v", "VERBOSITY=sqlstate"]);
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = psql.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let states = err.lines().map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned());
    (out.lines().map(str::to_owned).collect(), states.collect())
}

fn a_limit_fails_the_transaction(bench: &Bench) {
    let proxy = proxy(bench, "row_limit = 3", WRITES);
    proxy.grant("alice", "guarded", "30m");
    let lines = "BEGIN;\nINSERT INTO public.sink VALUES (-7, 'x');\nSELECT id FROM public.notes;\nSELECT 1;\nCOMMIT;\n";
    let (out, states) = typed(&proxy, lines);
    assert_eq!(states, ["54000", "25P02"], "{out:?}");
    assert_eq!(out.last().unwrap(), "ROLLBACK");
    assert_eq!(bench.postgres.run("plain", "SELECT count(*) FROM public.sink WHERE id = -7"), "0");
}

fn statement_timeout(bench: &Bench) {
    let proxy = proxy(bench, "statement_timeout = \"1s\"", WRITES);
    proxy.grant("alice", "guarded", "30m");
    let alice = proxy.credentials("alice", "plain");
    // The client's own setting does not lift it.
    let psql = proxy.psql_with(&alice).args(["-c", "SET statement_timeout = 0", "-c", "SELECT pg_sleep(60)"]).output();
    let err = String::from_utf8(psql.unwrap().stderr).unwrap();
    assert!(err.contains("canceling statement due to statement timeout: scope \"guarded\" allows 1s"), "{err}");
    let ended = proxy.audit(&[]);
    assert!(ended.iter().any(|record| record["ended_by"] == "timeout" && record["sqlstate"] == "57014"), "{ended:?}");
}

fn writes_of_every_row(bench: &Bench) {
    let proxy = proxy(bench, "", WRITES);
    proxy.grant("alice", "guarded", "30m");
    let alice = proxy.credentials("alice", "plain");
    let (_, err, ok) = proxy.sql(&alice, "DELETE FROM public.notes");
    assert!(!ok && err.contains("42501") && err.contains("DELETE of every row of public.notes"), "{err}");
    assert!(err.contains("HINT:  Add a WHERE clause"), "{err}");
    assert_eq!(bench.postgres.run("plain", "SELECT count(*) FROM public.notes"), "10");
    let (out, err, ok) = proxy.sql(&alice, "UPDATE public.sink SET body = 'x' WHERE id = -77");
    assert!(ok && out == "UPDATE 0", "{out} {err}");
    let denied = proxy.audit(&["--verdict", "deny"]);
    assert_eq!(denied.last().unwrap()["rule"], "guard");
}

fn a_reason_first(bench: &Bench) {
    let proxy = proxy(bench, "require_reason = true", READS);
    for empty in ["", "  "] {
        let filed = proxy.cli("alice", &["request", "guarded", "--for", "10m", "--reason", empty]);
        let said = String::from_utf8_lossy(&filed.stderr).into_owned();
        assert!(!filed.status.success() && said.contains("reason"), "{said}");
    }
    proxy.grant("alice", "guarded", "30m");
    let lines = "SELECT count(*) FROM public.notes;\nBEGIN;\nSET pgward.reason = 'INC-1';\nSELECT 'one' FROM public.notes \
                 WHERE id = 1;\nROLLBACK;\nSELECT count(*) FROM public.notes;\nSET pgward.reason = 'INC-2';\n\
                 SELECT 'two' FROM public.notes WHERE id = 1;\n\\d public.notes\n";
    let (out, states) = typed(&proxy, lines);
    assert_eq!(states, ["42501", "42501"], "{out:?}");
    assert!(out.contains(&"one".to_owned()) && out.contains(&"two".to_owned()), "{out:?}");
    let reason = |text: &str| proxy.audit(&["--text", text]).into_iter().find(|one| one["verdict"] == "allow").unwrap();
    assert_eq!(reason("'one'")["reason"], "INC-1");
    assert_eq!(reason("'two'")["reason"], "INC-2");
}

fn what_hides_behind_a_view_is_read_only(bench: &Bench) {
    let named = format!("{READS}[[scope.allow]]\nfunctions = [\"public.leak\"]\n");
    let guarded = proxy(bench, "read_only = true", &named);
    guarded.grant("alice", "guarded", "30m");
    let alice = guarded.credentials("alice", "plain");
    for hidden in ["SELECT leaked FROM public.v_leaky WHERE id = 1", "SELECT public.leak()"] {
        let (_, err, ok) = guarded.sql(&alice, hidden);
        assert!(!ok && err.contains("25006"), "{hidden}: {err}");
    }
    assert_eq!(bench.postgres.run("plain", "SELECT count(*) FROM public.leaks"), "0");
    let (_, err, ok) = guarded.sql(&alice, "BEGIN READ WRITE");
    assert!(!ok && err.contains("42501"), "{err}");
    let (out, err, ok) = guarded.sql(&alice, "SHOW default_transaction_read_only");
    assert!(ok && out == "on", "{out} {err}");

    // The same statement where the scope lets its functions write.
    let open = proxy(bench, "read_only = false", &named);
    open.grant("alice", "guarded", "30m");
    let alice = open.credentials("alice", "plain");
    let (out, err, ok) = open.sql(&alice, "SELECT leaked FROM public.v_leaky WHERE id = 1");
    assert!(ok && out == "1", "{err}");
    assert_eq!(bench.postgres.run("plain", "DELETE FROM public.leaks RETURNING id"), "1");
}

fn a_writing_grant_comes_and_goes(bench: &Bench) {
    let proxy = proxy(bench, "", READS);
    proxy.grant("alice", "guarded", "30m");
    let alice = proxy.credentials("alice", "plain");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = crate::support::connect(&proxy, &alice).await;
        let state = async |sql: &str| match client.batch_execute(sql).await {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()),
        };
        let insert = "INSERT INTO public.sink VALUES (-8, 'x')";
        assert_eq!(state(insert).await, "42501");
        let writing = proxy.grant("alice", "plain-write", "30m");
        assert_eq!(state(insert).await, "fine");
        assert_eq!(state("BEGIN READ WRITE; DELETE FROM public.sink WHERE id = -8").await, "fine");
        proxy.revoke(&writing);
        assert_eq!(state("SELECT count(*) FROM public.notes").await, "42501", "the transaction may write");
        assert_eq!(state("ROLLBACK").await, "fine");
        let shown = client.query_one("SHOW transaction_read_only", &[]).await.unwrap();
        assert_eq!(shown.get::<_, String>(0), "on");
        assert_eq!(state("SELECT count(*) FROM public.notes").await, "fine");
    });
    assert_eq!(bench.postgres.run("plain", "DELETE FROM public.sink WHERE id = -8 RETURNING id"), "-8");
}

fn psycopg_says_read_write(bench: &Bench) {
    let proxy = proxy(bench, "", READS);
    let script = |lines: &str| format!("import psycopg\nfrom psycopg import errors\n{lines}");
    let run = |lines: &str| {
        let alice = proxy.credentials("alice", "plain");
        let output = proxy.client("/usr/bin/python3", &alice).arg("-c").arg(script(lines)).output().unwrap();
        assert!(output.status.success(), "{lines}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let reading = proxy.grant("alice", "guarded", "30m");
    run(
        "with psycopg.connect() as c:\n    c.read_only = True\n    c.execute('SELECT count(*) FROM public.notes')\n    \
         c.commit()\n    c.read_only = False\n    try:\n        c.execute('SELECT 1')\n        raise SystemExit('wrote')\n    \
         except errors.InsufficientPrivilege:\n        c.rollback()\n",
    );
    proxy.revoke(&reading);
    proxy.grant("alice", "plain-write", "30m");
    run("with psycopg.connect() as c:\n    for mode in (True, False, None):\n        c.read_only = mode\n        \
         assert c.execute('SHOW transaction_read_only').fetchone() == ('on' if mode else 'off',)\n        c.commit()\n    \
         c.autocommit = True\n    for words in ('READ ONLY', 'READ WRITE', 'ISOLATION LEVEL READ COMMITTED'):\n        \
         c.execute('SET SESSION CHARACTERISTICS AS TRANSACTION ' + words)\n    \
         c.execute(\"INSERT INTO public.sink VALUES (-9, 'x')\")\n    c.execute('DISCARD ALL')\n    \
         c.execute('DELETE FROM public.sink WHERE id = -9')\n");
}

fn they_are_shown(bench: &Bench) {
    let guards = "row_limit = 7\nbyte_limit = \"10MB\"\nstatement_timeout = \"30s\"\nrequire_reason = true";
    let proxy = proxy(bench, guards, READS);
    let scopes = proxy.json("alice", &["scopes"]);
    let guarded = scopes.as_array().unwrap().iter().find(|scope| scope["name"] == "guarded").unwrap().clone();
    assert_eq!(guarded["byte_limit"], 10_000_000);
    assert_eq!(guarded["statement_timeout_seconds"], 30);
    assert_eq!((&guarded["require_reason"], &guarded["read_only"]), (&true.into(), &true.into()));
    assert_eq!(guarded["unfiltered_writes"], false);
    proxy.grant("alice", "guarded", "30m");
    let alice = proxy.credentials("alice", "plain");
    let (out, err, ok) = proxy.sql(&alice, "SHOW pgward.grants");
    assert!(
        ok && out.ends_with("read only, at most 7 rows, at most 10MB, at most 30s, needs a reason||"),
        "{out} {err}"
    );
}
