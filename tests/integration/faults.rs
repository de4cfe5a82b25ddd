//! What breaks around pgward: the upstream, the store, the disk. Refused clearly, nothing lost, back by itself.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, config, wait_until};

pub const CASES: &[Case] = &[
    ("faults::upstream_down", upstream_down),
    ("faults::upstream_that_says_nothing", upstream_that_says_nothing),
    ("faults::upstream_with_another_certificate", upstream_with_another_certificate),
    ("faults::store_corrupt_or_locked", store_corrupt_or_locked),
    ("faults::journal_disk_full", journal_disk_full),
    ("faults::a_journal_disk_that_fails", journal_disk_that_fails),
    ("faults::a_second_process_on_the_same_journal", second_process_on_the_same_journal),
    ("faults::a_wall_clock_set_back", wall_clock_set_back),
];

fn with_upstream(bench: &Bench, host: &str, port: u16) -> Proxy {
    let proxy = Proxy::start(bench, &|setup| {
        config(setup, &Scopes::default())
            .replace(&format!("localhost:{}/plain", setup.upstream_port), &format!("{host}:{port}/plain"))
    });
    proxy.grant("alice", "plain-read", "30m");
    proxy
}

fn upstream_down(bench: &Bench) {
    let proxy = with_upstream(bench, "localhost", crate::support::free_port());
    let (_, err, ok) = proxy.sql(&proxy.credentials("alice", "plain"), "SELECT 1");
    assert!(!ok && err.contains("FATAL") && err.contains("cannot be reached"), "{err}");
    proxy.grant("alice", "world", "30m");
    let (_, err, ok) = proxy.sql(&proxy.credentials("alice", "shop"), "SELECT count(*) FROM public.orders");
    assert!(ok, "the other database is untouched: {err}");
}

fn upstream_that_says_nothing(bench: &Bench) {
    let deaf = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let proxy = with_upstream(bench, "localhost", deaf.local_addr().unwrap().port());
    proxy.grant("alice", "world", "30m");
    let plain = proxy.credentials("alice", "plain");
    let hanging =
        proxy.psql_with(&plain).args(["-c", "SELECT 1"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let (_, err, ok) = proxy.sql(&proxy.credentials("alice", "shop"), "SELECT count(*) FROM public.orders");
    assert!(ok, "another database is served meanwhile: {err}");
    let output = hanging.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("cannot be reached"), "{err}");
    drop(deaf);
}

fn upstream_with_another_certificate(bench: &Bench) {
    let proxy = Proxy::start(bench, &|setup| {
        let other = setup.dir.join("othercerts");
        assert!(Command::new(crate::support::binary()).arg("dev-certs").arg(&other).output().unwrap().status.success());
        config(setup, &Scopes::default())
            .replace(&format!("sslrootcert={}", setup.certs.display()), &format!("sslrootcert={}", other.display()))
    });
    proxy.grant("alice", "plain-read", "30m");
    let (_, err, ok) = proxy.sql(&proxy.credentials("alice", "plain"), "SELECT 1");
    assert!(!ok && err.contains("cannot be reached"), "{err}");
    assert!(!err.contains("pgw_admin"), "nothing of the upstream's account: {err}");
}

fn store_corrupt_or_locked(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    assert!(proxy.sql(&alice, "SELECT 1").2);
    let lock = lock(&proxy.setup.dir.join("pgward.db"));
    let refused = proxy.cli("alice", &["request", "plain-read", "--for", "5m", "--reason", "x"]);
    assert_eq!(refused.status.code(), Some(1));
    let err = String::from_utf8_lossy(&refused.stderr);
    assert!(err.contains("store"), "{err}");
    unlock(lock);
    wait_until("the store answers again", Duration::from_secs(10), || {
        proxy.cli("alice", &["request", "plain-read", "--for", "5m", "--reason", "x"]).status.success()
    });

    let dir = tempfile::tempdir().unwrap();
    let corrupt = dir.path().join("corrupt.db");
    std::fs::write(&corrupt, vec![0x5a; 8192]).unwrap();
    let text = std::fs::read_to_string(proxy.setup.dir.join("proxy.toml")).unwrap();
    let database = format!("sqlite://{}/pgward.db", proxy.setup.dir.display());
    let audit = format!("dir = \"{}/audit\"", proxy.setup.dir.display());
    let moved = on_other_ports(&proxy, &text);
    let changed = moved
        .replace(&database, &format!("sqlite://{}", corrupt.display()))
        .replace(&audit, &format!("dir = \"{}/audit\"", dir.path().display()));
    let (code, err) = serve_once(dir.path(), &changed);
    assert!(code == Some(1) && err.contains("corrupt.db"), "{code:?} {err}");
    assert_eq!(std::fs::read(&corrupt).unwrap(), vec![0x5a; 8192], "left as it was");
}

/// Keeps every other writer from a SQLite file, until [`unlock`].
pub fn lock(file: &Path) -> Child {
    use std::io::Read;
    let lock = Command::new("/usr/bin/python3")
        .args(["-c", HOLD_LOCK])
        .arg(file)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut lock = lock.unwrap();
    lock.stdout.as_mut().unwrap().read_exact(&mut [0; 2]).unwrap();
    lock
}

pub fn unlock(mut lock: Child) {
    drop(lock.stdin.take());
    lock.wait().unwrap();
}

const HOLD_LOCK: &str = "import sqlite3, sys\n\
    c = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
    c.execute('BEGIN EXCLUSIVE')\n\
    print('x', flush=True)\n\
    sys.stdin.read()";

/// The configuration of a second process beside `proxy`.
fn on_other_ports(proxy: &Proxy, text: &str) -> String {
    let (port, control) = (crate::support::free_port(), crate::support::free_port());
    text.replace(&format!("127.0.0.1:{}\"", proxy.setup.port), &format!("127.0.0.1:{port}\""))
        .replace(&format!("127.0.0.1:{}\"", proxy.setup.control_port), &format!("127.0.0.1:{control}\""))
}

/// Runs `pgward serve` to its end on a configuration that cannot work.
fn serve_once(dir: &Path, text: &str) -> (Option<i32>, String) {
    let file = dir.join("proxy.toml");
    std::fs::write(&file, text).unwrap();
    let output = Command::new("timeout")
        .arg("20")
        .arg(crate::support::binary())
        .args(["serve", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The journal on a file system of its own that fills up: nothing passes unrecorded, and it goes on when space returns.
/// EIO and a read-only file system: nothing passes unrecorded, nothing crashes, and it goes on by itself afterwards.
fn journal_disk_that_fails(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    proxy.on_a_failing_disk();
    let passes = || proxy.sql(&alice, "SELECT body FROM public.notes WHERE id = 1").2;
    assert!(passes());
    // EIO is 5, EROFS 30, EDQUOT 122.
    for fault in ["write 5", "all 5", "all 30", "write 30", "write 122", "sync 5"] {
        proxy.fault(Some(fault));
        // A failing fdatasync shows when the next checkpoint is to be signed.
        wait_until("statements are refused", Duration::from_secs(10), || !passes());
        let (_, err, ok) = proxy.sql(&alice, "SELECT body FROM public.notes WHERE id = 2");
        assert!(!ok && err.contains("record"), "{fault}: {err}");
        assert!(proxy.is_running(), "{fault}: {}", proxy.log());
        proxy.fault(None);
        wait_until("it goes on by itself", Duration::from_secs(20), passes);
    }
    assert_eq!(proxy.json("bob", &["audit", "verify"])["ok"], true);
    let statements = proxy.audit(&["--text", "WHERE id = 2"]);
    assert!(statements.iter().all(|record| record["verdict"] != "allow"), "{statements:?}");
}

fn journal_disk_full(bench: &Bench) {
    let small = tempfile::Builder::new().prefix("pgwfull").tempdir_in("/tmp").unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(small.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("journal_disk_full: no right to mount a small file system here: not run");
        return;
    }
    let unmount = Unmount(small.path());
    let proxy = Proxy::start(bench, &|setup| {
        let audit = format!("dir = \"{}/audit\"", setup.dir.display());
        config(setup, &Scopes::default()).replace(&audit, &format!("dir = \"{}/audit\"", small.path().display()))
    });
    proxy.grant("alice", "plain-write", "30m");
    let alice = proxy.credentials("alice", "plain");
    assert!(proxy.sql(&alice, "INSERT INTO public.sink VALUES (-20, 'before')").2);
    let filler = small.path().join("filler");
    let _ =
        Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).output().unwrap();
    let refused = (0..200).find_map(|n| {
        let (_, err, ok) =
            proxy.sql(&alice, &format!("INSERT INTO public.sink VALUES (-21, 'full {n} {}')", "x".repeat(2000)));
        (!ok).then_some(err)
    });
    let refused = refused.expect("a full disk refuses statements");
    assert!(refused.contains("recorded") || refused.contains("journal"), "{refused}");
    let recorded = proxy.audit(&["--text", "full", "--limit", "1000"]);
    let allowed = recorded.iter().filter(|r| r["event"] == "statement" && r["verdict"] == "allow").count();
    let stored: usize = bench.postgres.run("plain", "SELECT count(*) FROM public.sink WHERE id = -21").parse().unwrap();
    assert!(stored <= allowed, "{stored} rows, {allowed} recorded");
    std::fs::remove_file(&filler).unwrap();
    wait_until("it goes on by itself", Duration::from_secs(10), || {
        proxy.sql(&alice, "INSERT INTO public.sink VALUES (-22, 'after')").2
    });
    drop(proxy);
    drop(unmount);
    bench.postgres.run("plain", "DELETE FROM public.sink WHERE id < 0");
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn second_process_on_the_same_journal(bench: &Bench) {
    let proxy = bench.proxy();
    let text = std::fs::read_to_string(proxy.setup.dir.join("proxy.toml")).unwrap();
    let moved = on_other_ports(&proxy, &text);
    let dir = tempfile::tempdir().unwrap();
    let (code, err) = serve_once(dir.path(), &moved);
    assert!(code == Some(1) && err.contains("journal"), "{code:?} {err}");
    proxy.wait_ready();
}

/// A grant's end with the wall clock an hour back: `faketime` is not needed, the clock is asked directly.
fn wall_clock_set_back(_bench: &Bench) {
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let clock = pgward::access::Clock::starting_at(Some(later));
    let first = clock.now();
    assert!(first >= later, "the wall stands an hour behind what storage knows: time goes on from there");
    std::thread::sleep(Duration::from_millis(20));
    assert!(clock.now() > first, "and it goes on");
}
