//! The policy world: each case through the proxy on a superuser backend, compared with a direct session.

use std::process::Command;

use crate::Case;
use crate::support::Bench;

pub const CASES: &[Case] = &[("judge::policy_world", policy_world), ("judge::wide_policy_world", wide_policy_world)];

fn policy_world(_shared: &Bench) {
    judge("sample.jsonl", 1);
}

/// Many more cases of the same kinds. To be quick about it, the database is looked at after several of them.
fn wide_policy_world(_shared: &Bench) {
    judge("wide.jsonl", 50);
}

/// The judge drops and re-creates database `shop`: it runs on a PostgreSQL of its own.
fn judge(cases: &str, every: u32) {
    let bench = Bench::start();
    let proxy = bench.proxy();
    proxy.grant("alice", "world", "2h");
    let alice = proxy.credentials("alice", "shop");
    let world = crate::support::root().join("tests/world");
    let output = Command::new("/usr/bin/python3")
        .arg(world.join("judge.py"))
        .args(["judge", "--admin-port", &bench.postgres.port.to_string(), "--every", &every.to_string()])
        .arg("--cases")
        .arg(world.join(cases))
        .arg("--cafile")
        .arg(bench.certs.join("ca.crt"))
        .args(["--host", "localhost", "--port", &proxy.setup.port.to_string()])
        .args(["--user", &alice.user, "--db", "shop"])
        // A password may begin with a hyphen.
        .arg(format!("--password={}", alice.password))
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
}
