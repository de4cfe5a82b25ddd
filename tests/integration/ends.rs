//! The end of a grant, in every state a session can be in: within one second, said to the client, gone upstream.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Case;
use crate::support::{Bench, Proxy, signal, wait_until};

pub const CASES: &[Case] = &[
    ("ends::revoked_while_sleeping", revoked_while_sleeping),
    ("ends::revoked_while_idle", revoked_while_idle),
    ("ends::revoked_in_a_transaction", revoked_in_a_transaction),
    ("ends::revoked_during_copy_out_of_a_gigabyte", revoked_during_copy_out),
    ("ends::revoked_during_copy_in", revoked_during_copy_in),
    ("ends::revoked_with_the_client_stopped", revoked_with_the_client_stopped),
    ("ends::revoked_with_a_suspended_portal", revoked_with_a_suspended_portal),
    ("ends::expired_in_mid_query", expired_in_mid_query),
    ("ends::a_grant_that_comes_counts_at_once", grant_that_comes_counts_at_once),
    ("ends::one_of_two_grants_ends", one_of_two_grants_ends),
    ("ends::killed_by_an_admin", killed_by_an_admin),
    ("ends::sigterm_says_so", sigterm_says_so),
    ("ends::notice_before_the_end", notice_before_the_end),
];

/// The most that may pass between the revocation's answer and the backend's end.
const LIMIT: Duration = Duration::from_secs(1);

/// `psql` in the background under a name of its own, its output kept.
fn background(proxy: &Proxy, name: &str, arguments: &[&str]) -> Child {
    let mut psql = proxy.psql("alice", "plain");
    psql.env("PGAPPNAME", name).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for_state(bench: &Bench, name: &str, state: &str) {
    let sql =
        format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND state LIKE '{state}'");
    wait_until(name, Duration::from_secs(15), || bench.postgres.run("postgres", &sql) == "1");
}

/// Revokes, and checks that backend and session are gone within [`LIMIT`] of the answer.
fn revoke_and_check(bench: &Bench, proxy: &Proxy, grant: &str, name: &str) {
    assert_eq!(bench.postgres.backends(name), 1, "one backend before");
    proxy.revoke(grant);
    let answered = Instant::now();
    wait_until("the backend is gone", LIMIT, || bench.postgres.backends(name) == 0);
    let left = LIMIT.saturating_sub(answered.elapsed());
    wait_until("the session is gone", left, || proxy.json("bob", &["sessions"]).as_array().unwrap().is_empty());
}

fn says_revoked(child: Child, grant: &str) {
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("FATAL") && err.contains(grant) && err.contains("revoked"), "{err}");
}

fn revoked_while_sleeping(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-read", "30m");
    let child = background(&proxy, "r-sleep", &["-c", "SELECT pg_sleep(60)"]);
    wait_for_state(bench, "r-sleep", "active");
    revoke_and_check(bench, &proxy, &grant, "r-sleep");
    says_revoked(child, &grant);
    let ends = proxy.audit(&["--text", "pg_sleep"]);
    assert!(ends.iter().any(|record| record["grant"] == grant.as_str()), "{ends:?}");
    let ended: Vec<_> = proxy.audit(&[]).into_iter().filter(|r| r["ended_by"] == "grant_revoked").collect();
    assert!(!ended.is_empty(), "the journal says how it ended");
    let (_, err, ok) = proxy.sql(&proxy.credentials("alice", "plain"), "SELECT 1");
    assert!(!ok && err.contains("no live grant for \"alice\" on \"plain\"") && err.contains("pgward request"), "{err}");
}

fn revoked_while_idle(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-read", "30m");
    let mut child = proxy.psql("alice", "plain");
    child.env("PGAPPNAME", "r-idle").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    wait_for_state(bench, "r-idle", "%");
    revoke_and_check(bench, &proxy, &grant, "r-idle");
    use std::io::Write;
    let _ = child.stdin.take().unwrap().write_all(b"SELECT 1;\n");
    says_revoked(child, &grant);
}

fn revoked_in_a_transaction(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-write", "30m");
    let child = background(
        &proxy,
        "r-tx",
        &["-c", "BEGIN", "-c", "INSERT INTO public.sink VALUES (-7, 'x')", "-c", "SELECT pg_sleep(60)"],
    );
    wait_for_state(bench, "r-tx", "active");
    std::thread::sleep(Duration::from_millis(200));
    revoke_and_check(bench, &proxy, &grant, "r-tx");
    says_revoked(child, &grant);
    assert_eq!(bench.postgres.run("plain", "SELECT count(*) FROM public.sink WHERE id = -7"), "0");
}

fn revoked_during_copy_out(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-read", "30m");
    let copy = "COPY (SELECT w.* FROM public.wide w, generate_series(1, 50)) TO STDOUT";
    let child = background(&proxy, "r-copy-out", &["-o", "/dev/null", "-c", copy]);
    wait_for_state(bench, "r-copy-out", "active");
    std::thread::sleep(Duration::from_millis(300));
    revoke_and_check(bench, &proxy, &grant, "r-copy-out");
    says_revoked(child, &grant);
}

fn revoked_during_copy_in(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-write", "30m");
    let mut psql = proxy.psql("alice", "plain");
    psql.env("PGAPPNAME", "r-copy-in").args(["-c", r"\copy public.sink from pstdin"]);
    let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_state(bench, "r-copy-in", "active");
    use std::io::Write;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"-9\tsome\n").unwrap();
    revoke_and_check(bench, &proxy, &grant, "r-copy-in");
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert_eq!(bench.postgres.run("plain", "SELECT count(*) FROM public.sink WHERE id = -9"), "0");
}

fn revoked_with_the_client_stopped(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-read", "30m");
    let copy = "COPY (SELECT w.* FROM public.wide w, generate_series(1, 50)) TO STDOUT";
    let mut child = background(&proxy, "r-stopped", &["-o", "/dev/null", "-c", copy]);
    wait_for_state(bench, "r-stopped", "active");
    signal("STOP", child.id());
    std::thread::sleep(Duration::from_millis(500));
    revoke_and_check(bench, &proxy, &grant, "r-stopped");
    signal("CONT", child.id());
    assert!(!child.wait().unwrap().success());
}

fn revoked_with_a_suspended_portal(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-read", "30m");
    let mut alice = proxy.credentials("alice", "plain");
    alice.database = "plain".into();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = crate::support::connect(&proxy, &alice).await;
        client.batch_execute("SET application_name = 'r-portal'").await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let portal = transaction.bind("SELECT id FROM public.wide", &[]).await.unwrap();
        assert_eq!(transaction.query_portal(&portal, 3).await.unwrap().len(), 3);
        tokio::task::block_in_place(|| revoke_and_check(bench, &proxy, &grant, "r-portal"));
        let end = transaction.query_portal(&portal, 3).await.unwrap_err();
        assert!(end.is_closed() || end.code().is_some_and(|code| code.code() == "57P01"), "{end:?}");
    });
}

fn expired_in_mid_query(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-read", "4s");
    let begun = Instant::now();
    let child = background(&proxy, "r-expired", &["-c", "SELECT pg_sleep(60)"]);
    wait_for_state(bench, "r-expired", "active");
    wait_until("the backend is gone", Duration::from_secs(6), || bench.postgres.backends("r-expired") == 0);
    assert!(begun.elapsed() < Duration::from_secs(5) + LIMIT, "{:?}", begun.elapsed());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("FATAL") && err.contains(&grant) && err.contains("expired"), "{err}");
}

fn grant_that_comes_counts_at_once(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = crate::support::connect(&proxy, &alice).await;
        let insert = "INSERT INTO public.sink VALUES (-11, 'now')";
        assert!(client.batch_execute(insert).await.is_err());
        let second = tokio::task::block_in_place(|| proxy.grant("alice", "plain-write", "30m"));
        client.batch_execute(insert).await.unwrap();
        tokio::task::block_in_place(|| proxy.revoke(&second));
        let refused = client.batch_execute(insert).await.unwrap_err();
        assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{refused:?}");
        client.batch_execute("SELECT 1").await.unwrap();
    });
    bench.postgres.run("plain", "DELETE FROM public.sink WHERE id = -11");
}

fn one_of_two_grants_ends(bench: &Bench) {
    let proxy = bench.proxy();
    let sleeping = proxy.grant("alice", "plain-read", "30m");
    let child = background(&proxy, "r-two", &["-At", "-c", "SELECT pg_sleep(60)", "-c", "SELECT 'alive'"]);
    wait_for_state(bench, "r-two", "active");
    proxy.grant("alice", "plain-write", "30m");
    proxy.revoke(&sleeping);
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("alive"), "the session lives by its other grant: {out} {err}");
    assert!(err.contains(&sleeping), "the statement ended with its own: {err}");
}

fn killed_by_an_admin(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let child = background(&proxy, "r-killed", &["-c", "SELECT pg_sleep(60)"]);
    wait_for_state(bench, "r-killed", "active");
    let sessions = proxy.json("bob", &["sessions"]);
    let id = sessions[0]["id"].as_str().unwrap();
    assert!(proxy.cli("bob", &["kill", id]).status.success());
    wait_until("the backend is gone", LIMIT, || bench.postgres.backends("r-killed") == 0);
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("FATAL"));
}

fn sigterm_says_so(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let child = background(&proxy, "r-term", &["-c", "SELECT pg_sleep(60)"]);
    wait_for_state(bench, "r-term", "active");
    proxy.signal("TERM");
    wait_until("the process is gone", Duration::from_secs(30), || !proxy.is_running());
    wait_until("the backend is gone", LIMIT, || bench.postgres.backends("r-term") == 0);
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("FATAL"), "{}", String::from_utf8_lossy(&output.stderr));
}

fn notice_before_the_end(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-read", "62s");
    let child = background(&proxy, "r-notice", &["-c", "SELECT pg_sleep(5)", "-c", "SELECT 1"]);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("NOTICE") && err.contains(&grant), "{err}");
}
