//! Restarts under load, the listening sockets held by somebody else meanwhile.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Case;
use crate::support::{Bench, binary, root};

pub const CASES: &[Case] = &[("restarts::nobody_is_refused_while_somebody_else_holds_the_sockets", handed_over)];

const RESTARTS: usize = 3;

fn handed_over(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    proxy.stop();
    let (dir, setup) = (&proxy.setup.dir, &proxy.setup);
    let mut holder = Command::new("python3")
        .arg(root().join("tests/integration/holder.py"))
        .args([binary(), &dir.join("proxy.toml"), &dir.join("serve.log")])
        .args([setup.port.to_string(), setup.control_port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "started");
    assert!(proxy.cli("alice", &["grants"]).status.success(), "{}", proxy.log());

    let over = AtomicBool::new(false);
    let (ran, failed) = (Mutex::new(0_usize), Mutex::new(Vec::new()));
    let stdin = std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let (out, err, ok) = proxy.sql(&alice, "SELECT 4711");
                    match ok && out.trim() == "4711" {
                        true => *ran.lock().unwrap() += 1,
                        false => failed.lock().unwrap().push(err),
                    }
                }
            });
        }
        let mut stdin = holder.stdin.take().unwrap();
        for _ in 0..RESTARTS {
            std::thread::sleep(Duration::from_millis(700));
            // One that runs when the end is announced comes to its own.
            let running = threads.spawn(|| proxy.sql(&alice, "SELECT pg_sleep(1)"));
            std::thread::sleep(Duration::from_millis(400));
            stdin.write_all(b"restart\n").unwrap();
            assert_eq!(said.next().unwrap().unwrap(), "restarted");
            let (_, err, ok) = running.join().unwrap();
            assert!(ok, "{err}");
        }
        std::thread::sleep(Duration::from_millis(700));
        over.store(true, Ordering::Relaxed);
        stdin
    });
    // Only now: the sockets go with it.
    drop(stdin);
    let (ran, failed) = (ran.into_inner().unwrap(), failed.into_inner().unwrap());
    println!("{ran} sessions through {RESTARTS} restarts, {} failed", failed.len());
    // Nobody finds the door shut, and whoever is logging in when the end comes runs what they came for.
    assert!(failed.is_empty() && ran > RESTARTS * 3, "{ran} ran, {failed:#?}");
    assert!(holder.wait().unwrap().success());
    proxy.crash_and_restart();
    let recorded =
        proxy.audit(&["--event", "statement", "--text", "4711", "--verdict", "allow", "--limit", "100000"]).len();
    assert!(recorded >= ran, "{recorded} recorded, {ran} ran");
}
