//! What people read in psql when they meet a bound that the configuration sets; each edge by itself is in `tests/hostile/bounds`.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::Case;
use crate::support::{Bench, Credentials, Proxy, Scopes, config, wait_until};

pub const CASES: &[Case] = &[
    ("bounds::too_many_connections_in_psql", too_many_connections_in_psql),
    ("bounds::too_much_for_one_session_in_psql", too_much_for_one_session_in_psql),
];

fn bounded(bench: &Bench, lines: &str) -> (Proxy, Credentials) {
    let scopes = Scopes { proxy: lines.to_owned(), ..Scopes::default() };
    let proxy = Proxy::start(bench, &|setup| config(setup, &scopes));
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    (proxy, alice)
}

/// A psql that is logged in and waits for its user.
fn waiting(proxy: &Proxy, user: &Credentials) -> Child {
    let before = sessions(proxy);
    let child =
        proxy.psql_with(user).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("psql is logged in", Duration::from_secs(20), || sessions(proxy) > before);
    child
}

fn sessions(proxy: &Proxy) -> usize {
    proxy.json("bob", &["sessions"]).as_array().map_or(0, Vec::len)
}

fn too_many_connections_in_psql(bench: &Bench) {
    let (proxy, alice) = bounded(bench, "max_connections_per_address = 3\nmax_connections_per_principal = 2");
    let mut first = waiting(&proxy, &alice);
    let mut second = waiting(&proxy, &alice);
    let (_, err, ok) = proxy.sql(&alice, "SELECT 1");
    assert!(!ok && err.contains("FATAL:  too many connections for user \"alice\""), "{err}");
    assert!(err.contains("DETAIL:  There are 2, as many as max_connections_per_principal allows."), "{err}");
    assert!(err.contains("HINT:  Close connections that are not needed, or try again later."), "{err}");
    let held = crate::support::raw::plain(&proxy);
    let (_, err, ok) = proxy.sql(&alice, "SELECT 1");
    assert!(!ok && err.contains("FATAL:  too many connections from this address"), "{err}");
    assert!(err.contains("DETAIL:  There are as many as max_connections_per_address allows."), "{err}");
    let counted = proxy.metrics();
    for line in [
        "pgward_bound_refusals_total{bound=\"max_connections_per_principal\"} 1",
        "pgward_bound_refusals_total{bound=\"max_connections_per_address\"} 1",
        "pgward_connections_refused_total 2",
    ] {
        assert!(counted.contains(line), "{line}\n{counted}");
    }
    drop(held);
    first.kill().unwrap();
    first.wait().unwrap();
    wait_until("the next gets in", Duration::from_secs(20), || proxy.sql(&alice, "SELECT 42").0 == "42");
    second.kill().unwrap();
    second.wait().unwrap();
}

fn too_much_for_one_session_in_psql(bench: &Bench) {
    let (proxy, alice) = bounded(bench, "max_message_bytes = 65536\nmax_prepared_statements = 1\nmax_portals = 1");
    let (_, err, ok) = proxy.sql(&alice, "PREPARE a AS SELECT 1; PREPARE b AS SELECT 1");
    assert!(!ok && err.contains("ERROR:  54000: too many prepared statements"), "{err}");
    assert!(err.contains("HINT:  DEALLOCATE those that are no longer needed"), "{err}");
    let (_, err, ok) = proxy.sql(&alice, "BEGIN; DECLARE a CURSOR FOR SELECT 1; DECLARE b CURSOR FOR SELECT 1");
    assert!(!ok && err.contains("ERROR:  54000: too many portals and cursors"), "{err}");
    // Far longer than what is read at once: the error is heard all the same.
    let long = proxy.setup.dir.join("long.sql");
    std::fs::write(&long, format!("SELECT length('{}');\n", "x".repeat(5_000_000))).unwrap();
    let output = proxy.psql_with(&alice).args(["-v", "VERBOSITY=verbose", "-f"]).arg(&long).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("FATAL:  54000: message of ") && err.contains("over the limit of 65536"), "{err}");
    assert!(err.contains("HINT:  Send less at once, or load data with COPY"), "{err}");
}
