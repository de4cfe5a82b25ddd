//! A refused statement as a client sees it: what the error says, and that transactions stay PostgreSQL's own.

use crate::Case;
use crate::support::Bench;

pub const CASES: &[Case] = &[
    ("denials::message_detail_and_hint", message_detail_and_hint),
    ("denials::unreadable_is_another_error", unreadable_is_another_error),
    ("denials::a_transaction_fails_as_on_postgresql", transaction_fails_as_on_postgresql),
    ("denials::one_denied_statement_denies_its_message", one_denied_statement_denies_its_message),
    ("denials::a_savepoint_in_front_of_a_denied_statement_is_set", savepoint_in_front_of_a_denied_statement),
    ("denials::grants_are_never_mixed", grants_are_never_mixed),
    ("denials::row_limit", row_limit),
    ("denials::show_and_reason", show_and_reason),
];

fn message_detail_and_hint(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let (_, err, ok) = proxy.sql(&alice, "DELETE FROM public.notes");
    assert!(!ok);
    for part in ["42501", "notes", "DETAIL:", "HINT:", "pgward request plain-write"] {
        assert!(err.contains(part), "no `{part}` in: {err}");
    }
    assert_eq!(bench.postgres.run("plain", "SELECT count(*) FROM public.notes"), "10");
    let denied = proxy.audit(&["--verdict", "deny"]);
    let last = denied.last().unwrap();
    assert_eq!(last["statement"], "DELETE FROM public.notes");
    assert_eq!(last["rule"], "scope");
}

fn unreadable_is_another_error(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let (_, err, ok) = proxy.sql(&alice, "SELEC 1");
    assert!(!ok && err.contains("0A000"), "{err}");
    let (out, _, ok) = proxy.sql(&alice, "SELECT 1");
    assert!(ok && out == "1");
}

fn transaction_fails_as_on_postgresql(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-write", "30m");
    let alice = proxy.credentials("alice", "plain");
    let steps = "BEGIN;\nINSERT INTO public.sink VALUES (-1, 'lost');\nSAVEPOINT s;\nCREATE TABLE public.nope (a int);\n\
                 SELECT 1;\nROLLBACK TO s;\nSELECT 'after savepoint';\nDROP TABLE public.sink;\nCOMMIT;\nSELECT 'idle';\n";
    let output = {
        use std::io::Write;
        let mut psql = proxy.psql_with(&alice);
        psql.args(["-At", "-v", "VERBOSITY=sqlstate"]).stdin(std::process::Stdio::piped());
        let mut child = psql.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(steps.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines, ["BEGIN", "INSERT 0 1", "SAVEPOINT", "ROLLBACK", "after savepoint", "ROLLBACK", "idle"], "{err}");
    let states: Vec<_> = err.lines().map(|line| line.rsplit(' ').next().unwrap_or_default()).collect();
    assert_eq!(states, ["42501", "25P02", "42501"], "{err}");
    assert_eq!(bench.postgres.run("plain", "SELECT count(*) FROM public.sink WHERE id = -1"), "0");
}

fn one_denied_statement_denies_its_message(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-write", "30m");
    let alice = proxy.credentials("alice", "plain");
    let (out, err, ok) =
        proxy.sql(&alice, "INSERT INTO public.sink VALUES (-2, 'x'); DROP TABLE public.notes; SELECT 1");
    assert!(!ok && err.contains("42501"), "{out} {err}");
    assert_eq!(bench.postgres.run("plain", "SELECT count(*) FROM public.sink WHERE id = -2"), "0");
}

/// psqlODBC sends a savepoint with every statement, and rolls back to it when that fails.
fn savepoint_in_front_of_a_denied_statement(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-write", "30m");
    let alice = proxy.credentials("alice", "plain");
    let steps = [
        "BEGIN",
        "INSERT INTO public.sink VALUES (-3, 'kept')",
        r#"SAVEPOINT "My ""S"; /* a second */ SAVEPOINT t -- in front
           ; INSERT INTO public.sink VALUES (-4, 'refused with it'); DROP TABLE public.notes; SAVEPOINT u"#,
        "ROLLBACK TO t",
        r#"ROLLBACK TO "My ""S""#,
        "COMMIT",
    ];
    let mut psql = proxy.psql_with(&alice);
    psql.args(["-At", "-v", "VERBOSITY=sqlstate"]);
    for step in steps {
        psql.args(["-c", step]);
    }
    let output = psql.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines, ["BEGIN", "INSERT 0 1", "SAVEPOINT", "SAVEPOINT", "ROLLBACK", "ROLLBACK", "COMMIT"], "{err}");
    assert_eq!(err.trim_end(), "ERROR:  42501");
    let kept = bench.postgres.run("plain", "DELETE FROM public.sink WHERE id IN (-3, -4) RETURNING id");
    assert_eq!(kept, "-3", "and nothing else");
    let set = proxy.audit(&["--text", "SAVEPOINT", "--verdict", "allow"]);
    assert_eq!(set.iter().filter(|record| record["event"] == "statement").count(), 2, "{set:?}");
    let (_, err, ok) = proxy.sql(&alice, "SAVEPOINT s; DROP TABLE public.notes");
    assert!(!ok && err.contains("42501"), "outside of a block, too: {err}");
}

fn grants_are_never_mixed(bench: &Bench) {
    let proxy = crate::support::Proxy::start(bench, &|setup| {
        let more = r#"
[[scope]]
name = "notes-only"
database = "plain"
regions = ["us-east"]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1h"
[[scope.allow]]
on = ["public.notes"]
do = ["select"]
[[scope]]
name = "sink-only"
database = "plain"
regions = ["us-east"]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1h"
[[scope.allow]]
on = ["public.sink"]
do = ["select"]
"#;
        crate::support::config(setup, &crate::support::Scopes { more: more.into(), ..Default::default() })
    });
    proxy.grant("alice", "notes-only", "30m");
    proxy.grant("alice", "sink-only", "30m");
    let alice = proxy.credentials("alice", "plain");
    for allowed in ["SELECT count(*) FROM public.notes", "SELECT count(*) FROM public.sink"] {
        let (_, err, ok) = proxy.sql(&alice, allowed);
        assert!(ok, "{err}");
    }
    let (_, err, ok) = proxy.sql(&alice, "SELECT count(*) FROM public.notes, public.sink");
    assert!(!ok && err.contains("42501"), "{err}");
}

fn row_limit(bench: &Bench) {
    let proxy = bench.proxy();
    let filed = proxy.json("alice", &["request", "plain-two", "--for", "10m", "--reason", "a look"]);
    let id = filed["id"].as_str().unwrap();
    assert_eq!(proxy.json("bob", &["approve", id])["state"], "pending");
    assert_eq!(proxy.json("carol", &["approve", id])["state"], "approved");
    let alice = proxy.credentials("alice", "plain");
    let (out, err, ok) = proxy.sql(&alice, "SELECT id FROM public.notes WHERE id <= 5");
    assert!(ok && out.lines().count() == 5, "{err}");
    let (out, err, ok) = proxy.sql(&alice, "SELECT id FROM public.notes");
    assert!(!ok && err.contains("limit"), "{out} {err}");
    let (out, _, ok) = proxy.sql(&alice, "SELECT 'alive'");
    assert!(ok && out == "alive");
}

fn show_and_reason(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let (out, err, ok) = proxy.sql(&alice, "SHOW pgward.grants");
    assert!(ok && out.contains(&grant), "{out} {err}");
    let (out, err, ok) = proxy.sql(&alice, "SHOW pgward.session");
    assert!(ok && out.contains("se_"), "{out} {err}");
    let psql = proxy
        .psql_with(&alice)
        .args(["-c", "SET pgward.reason = 'INC-4711'", "-c", "SELECT 'with a reason'"])
        .output()
        .unwrap();
    assert!(psql.status.success(), "{}", String::from_utf8_lossy(&psql.stderr));
    let found = proxy.audit(&["--text", "with a reason"]);
    assert!(found.iter().any(|record| record["reason"] == "INC-4711"), "{found:?}");
}
