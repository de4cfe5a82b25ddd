//! The policy world: each sample case through the proxy on a superuser backend, compared with a direct session.

use std::process::Command;

use crate::Case;
use crate::support::Bench;

pub const CASES: &[Case] = &[("judge::policy_world", policy_world)];

/// The judge drops and re-creates database `shop`: it runs on a PostgreSQL of its own.
fn policy_world(_shared: &Bench) {
    let bench = Bench::start();
    let proxy = bench.proxy();
    proxy.grant("alice", "world", "2h");
    let alice = proxy.credentials("alice", "shop");
    let output = Command::new("/usr/bin/python3")
        .arg(crate::support::root().join("tests/world/judge.py"))
        .args(["judge", "--admin-port", &bench.postgres.port.to_string(), "--cafile"])
        .arg(bench.certs.join("ca.crt"))
        .args(["--host", "localhost", "--port", &proxy.setup.port.to_string()])
        .args(["--user", &alice.user, "--password", &alice.password, "--db", "shop"])
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
}
