//! Several replicas on one store, as those meet them who connect to any of them.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Case;
use crate::support::fleet::{Fleet, Plan};
use crate::support::{Bench, Proxy, wait_until};

pub const CASES: &[Case] = &[
    ("replicas::sessions_of_all_are_listed_killed_and_cancelled_from_any", sessions),
    ("replicas::a_revocation_anywhere_ends_sessions_everywhere", revocations),
    ("replicas::bounds_by_principal_hold_over_all", bounds),
    ("replicas::journals_of_all_are_searched_and_proved_together", journals),
    ("replicas::a_store_that_is_slow_or_gone_changes_nothing_within_the_lease", store_gone),
    ("replicas::a_replica_that_lost_the_store_ends_its_sessions_with_the_lease", lease),
    ("replicas::a_wrong_clock_changes_nothing", clocks),
    ("replicas::what_time_brings_about_is_recorded_once", lapses),
    ("replicas::a_configuration_that_one_reads_is_read_by_all", configurations),
    ("replicas::one_that_is_killed_comes_back_and_no_other_takes_its_name", names),
    ("replicas::all_are_restarted_in_turn_and_nobody_is_refused", rolling),
    ("replicas::an_installation_moves_from_a_file_to_a_database", moved),
];

const LONG: &str = "SELECT pg_sleep(60)";

/// psql that runs one statement for long.
fn running(proxy: &Proxy, minted: &crate::support::Credentials, sql: &str) -> Child {
    let mut psql = proxy.psql_with(minted);
    psql.args(["-At", "-v", "VERBOSITY=verbose", "-c", sql]).stdout(Stdio::piped()).stderr(Stdio::piped());
    psql.spawn().unwrap()
}

fn said(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// The session that runs such a statement, as this replica lists it.
fn listed(proxy: &Proxy, sql: &str) -> serde_json::Value {
    let mut found = None;
    wait_until("the session is listed", Duration::from_secs(10), || {
        let all = proxy.json("bob", &["sessions"]);
        found = all.as_array().unwrap().iter().find(|one| one["statement"] == sql).cloned();
        found.is_some()
    });
    found.unwrap()
}

fn sessions(bench: &Bench) {
    let fleet = Fleet::start(bench);
    let [a, b, c] = [0, 1, 2].map(|at| fleet.proxy(at));
    // Asked at one, approved at another, used at a third.
    let filed = a.json("alice", &["request", "plain-read", "--for", "30m", "--reason", "all are one"]);
    b.json("bob", &["approve", filed["id"].as_str().unwrap()]);
    let alice = c.credentials("alice", "plain");

    let child = running(b, &alice, LONG);
    for proxy in [a, b, c] {
        assert_eq!(listed(proxy, LONG)["replica"], "b");
    }
    let id = listed(a, LONG)["id"].as_str().unwrap().to_owned();
    // Who may not end it is not told of it, wherever it is.
    let dave = a.cli("dave", &["kill", &id]);
    assert!(String::from_utf8_lossy(&dave.stderr).contains("no such session"), "{dave:?}");
    assert!(a.json("dave", &["sessions"]).as_array().unwrap().is_empty());
    a.json("bob", &["kill", &id, "--reason", "enough"]);
    let text = said(child);
    assert!(text.contains("57P01") && text.contains("killed by bob: enough"), "{text}");
    let killed = b.audit(&["--event", "session_killed"]);
    assert_eq!((killed.len(), &killed[0]["replica"]), (1, &"b".into()), "{killed:?}");

    // A cancel request that went to another replica.
    let rt = tokio::runtime::Runtime::new().unwrap();
    rt.block_on(async {
        let client = crate::support::connect(b, &alice).await;
        let token = client.cancel_token();
        let query = tokio::spawn(async move { client.batch_execute(LONG).await });
        tokio::task::block_in_place(|| listed(c, LONG));
        let mut config = tokio_postgres::Config::new();
        config.host("localhost").port(c.setup.port).ssl_mode(tokio_postgres::config::SslMode::Require);
        cancel_at(c, token).await;
        let error = tokio::time::timeout(Duration::from_secs(10), query).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.code().unwrap().code(), "57014");
    });
    let cancelled = a.audit(&["--event", "cancel"]);
    assert_eq!((cancelled.len(), &cancelled[0]["replica"]), (1, &"b".into()), "{cancelled:?}");

    // One that cannot be reached is named.
    fleet.members[2].to_peers.cut();
    let listed = a.cli("bob", &["sessions"]);
    let warned = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(listed.status.success() && warned.contains("could not be asked: c"), "{warned}");
    let unknown = a.cli("bob", &["kill", "se_none"]);
    let hint = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(hint.contains("do not answer: c") && hint.contains("revoke its grant"), "{hint}");
}

/// Sends a connection's cancel request to another replica, as a load balancer does.
async fn cancel_at(proxy: &Proxy, token: tokio_postgres::CancelToken) {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", proxy.setup.port)).await.unwrap();
    let mut tls = crate::support::client_tls(proxy);
    let tls =
        tokio_postgres::tls::MakeTlsConnect::<tokio::net::TcpStream>::make_tls_connect(&mut tls, "localhost").unwrap();
    token.cancel_query_raw(stream, tls).await.unwrap();
}

fn revocations(bench: &Bench) {
    let fleet = Fleet::start(bench);
    let [a, b, _] = [0, 1, 2].map(|at| fleet.proxy(at));
    let rounds = if std::env::var_os("PGWARD_FAULT_ROUNDS").is_some() { 100 } else { 12 };
    let measure = |rounds: usize, known_after: Duration| {
        let mut took = Vec::new();
        for round in 0..rounds {
            let grant = a.grant("alice", "plain-read", "10m");
            let alice = b.credentials("alice", "plain");
            std::thread::sleep(known_after);
            let sql = format!("SELECT pg_sleep(60), {round}");
            let mut psql = b.psql_with(&alice);
            psql.args(["-At", "-c", &sql]).env("PGAPPNAME", format!("round{round}"));
            let child = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let backends = || {
                let sql = format!(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'round{round}' AND state = 'active'"
                );
                bench.postgres.run("postgres", &sql)
            };
            wait_until("it runs", Duration::from_secs(10), || backends() == "1");
            let begun = Instant::now();
            a.revoke(&grant);
            let answered = begun.elapsed();
            wait_until("its backend is gone", Duration::from_secs(10), || backends() == "0");
            took.push((begun.elapsed(), answered));
            let text = said(child);
            assert!(text.contains("revoked by bob: enough"), "{text}");
        }
        took.sort();
        took
    };
    let hinted = measure(rounds, Duration::ZERO);
    let p99 = hinted.last().unwrap();
    println!(
        "revoked at one replica, gone at another: median {:?}, longest {:?} of {rounds} (the command's own time in it)",
        hinted[rounds / 2].0,
        p99.0
    );
    fleet.hush(&bench.postgres);
    let polled = measure(rounds / 2, Duration::from_millis(1500));
    println!("without hints: median {:?}, longest {:?}", polled[rounds / 4].0, polled.last().unwrap().0);
    // No clock of a busy machine is this slow: it is polled once a second.
    assert!(polled.last().unwrap().0 < Duration::from_secs(4), "{polled:?}");
}

fn bounds(bench: &Bench) {
    let fleet = Fleet::of(bench, &Plan { proxy: "max_connections_per_principal = 3", ..Plan::default() });
    let [a, b, c] = [0, 1, 2].map(|at| fleet.proxy(at));
    a.grant("alice", "plain-read", "30m");
    a.grant("erin", "plain-read", "30m");
    let (alice, erin) = (a.credentials("alice", "plain"), a.credentials("erin", "plain"));
    // The one just minted is known elsewhere within a second.
    let held: Vec<Child> = [a, b, c].map(|proxy| running(proxy, &alice, LONG)).into();
    wait_until("all three are there", Duration::from_secs(10), || {
        a.json("bob", &["sessions"]).as_array().unwrap().len() == 3
    });
    let (_, error, ok) = b.sql(&alice, "SELECT 1");
    assert!(!ok && error.contains("too many connections for user \"alice\""), "{error}");
    let (_, error, ok) = b.sql(&erin, "SELECT 1");
    assert!(ok, "another has places of their own: {error}");
    // What a replica held that is killed is free again with its lease, or when it comes back.
    c.crash_and_restart();
    wait_until("its places are free", Duration::from_secs(10), || a.sql(&alice, "SELECT 1").2);
    for mut child in held {
        let _ = child.kill();
        let _ = child.wait();
    }
    wait_until("places are given back", Duration::from_secs(10), || {
        bench.postgres.run(&fleet.database, "SELECT count(*) FROM pgward.seats") == "0"
    });
}

fn journals(bench: &Bench) {
    let fleet = Fleet::start(bench);
    let [a, b, c] = [0, 1, 2].map(|at| fleet.proxy(at));
    a.grant("alice", "plain-read", "30m");
    let alice = a.credentials("alice", "plain");
    for (number, proxy) in [a, b, c, b].into_iter().enumerate() {
        assert!(proxy.sql(&alice, &format!("SELECT 4711, {number}")).2);
    }
    let found = b.audit(&["--event", "statement", "--text", "4711"]);
    let replicas: Vec<&str> = found.iter().map(|record| record["replica"].as_str().unwrap()).collect();
    assert_eq!(replicas, ["a", "b", "c", "b"], "oldest first, each once");
    let newest = b.audit(&["--event", "statement", "--text", "4711", "--limit", "2"]);
    assert_eq!(newest, found[2..]);
    // Each reads what concerns themselves, wherever it was.
    let own = c.cli("alice", &["audit", "search", "--event", "statement", "--text", "4711"]);
    assert_eq!(String::from_utf8_lossy(&own.stdout).lines().count(), 4);
    // The session of another replica.
    let session = found[0]["session"].as_str().unwrap();
    assert!(c.cli("bob", &["audit", "replay", session]).status.success());

    let states = |proxy: &Proxy| {
        let output = proxy.cli("bob", &["audit", "verify", "-o", "json"]);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let of = |one: &serde_json::Value| {
            (one["replica"].as_str().unwrap().to_owned(), one["state"].as_str().unwrap().to_owned())
        };
        let mut states: Vec<_> = answer["journals"].as_array().unwrap().iter().map(of).collect();
        states.sort();
        (states, output.status.success())
    };
    let state = |replica: &str, state: &str| (replica.to_owned(), state.to_owned());
    let whole = vec![state("a", "whole"), state("b", "whole"), state("c", "whole")];
    assert_eq!(states(a), (whole.clone(), true));

    // What has been published: as many as there are.
    wait_until("all is published", Duration::from_secs(15), || {
        let published =
            bench.postgres.run(&fleet.database, "SELECT min(size) FROM pgward.checkpoints HAVING count(*) = 3");
        published.parse::<u64>().is_ok_and(|size| size > 3)
    });
    // One that is put back to an earlier state is behind what it had said.
    c.stop();
    let (journal, copy) = (c.setup.dir.join("audit"), c.setup.dir.join("audit.copy"));
    // With what the key remembers: a disk that was put back holds all of it.
    let [last, last_copy] = ["audit.key.last", "audit.key.last.copy"].map(|name| c.setup.dir.join(name));
    copy_dir(&journal, &copy);
    copy_dir(&last, &last_copy);
    c.start_again();
    c.wait_ready();
    fleet.wait_together();
    for number in 0..5 {
        assert!(c.sql(&alice, &format!("SELECT 4712, {number}")).2);
    }
    c.stop();
    let (gone, ok) = states(a);
    assert!(!ok && gone.contains(&state("c", "missing")), "{gone:?}");
    std::fs::remove_dir_all(&journal).unwrap();
    std::fs::rename(&copy, &journal).unwrap();
    std::fs::rename(&last_copy, &last).unwrap();
    c.start_again();
    c.wait_ready();
    fleet.wait_together();
    let (behind, ok) = states(b);
    assert!(!ok && behind.contains(&state("c", "behind")), "{behind:?}");
    let told = b.cli("bob", &["audit", "verify"]);
    assert!(String::from_utf8_lossy(&told.stderr).contains("c: it has"), "{told:?}");
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

fn store_gone(bench: &Bench) {
    let fleet = Fleet::of(bench, &Plan { replicas: 2, store: "lease = \"20s\"", ..Plan::default() });
    let (a, member) = (fleet.proxy(0), &fleet.members[0]);
    a.grant("alice", "plain-read", "30m");
    let alice = a.credentials("alice", "plain");
    let rt = tokio::runtime::Runtime::new().unwrap();
    rt.block_on(async {
        let client = crate::support::connect(a, &alice).await;
        let run = async |rounds: u32| {
            let begun = Instant::now();
            for number in 0..rounds {
                client.batch_execute(&format!("SELECT {number}")).await.unwrap();
            }
            begun.elapsed() / rounds
        };
        run(50).await;
        let near = run(300).await;
        member.to_store.delay(50);
        let far = run(300).await;
        member.to_store.cut();
        let gone = run(300).await;
        println!("a statement takes {near:?}; with a store 50 ms away {far:?}; with none {gone:?}");
        // None waited for the store, which would have cost 50 ms, or for ever.
        assert!(far < Duration::from_millis(25) && gone < Duration::from_millis(25), "{near:?} {far:?} {gone:?}");
        let (_, error, ok) = tokio::task::block_in_place(|| a.sql(&alice, "SELECT 1"));
        assert!(!ok && error.contains("cannot be checked now"), "no session begins that nobody can check: {error}");
        client.batch_execute("SELECT 1").await.unwrap();
        member.to_store.mend();
        member.to_store.delay(0);
        wait_until("sessions begin again", Duration::from_secs(15), || a.sql(&alice, "SELECT 1").2);
        client.batch_execute("SELECT 1").await.unwrap();
    });
}

fn lease(bench: &Bench) {
    let fleet = Fleet::of(bench, &Plan { replicas: 2, store: "lease = \"4s\"", ..Plan::default() });
    let (a, b) = (fleet.proxy(0), fleet.proxy(1));
    let grant = a.grant("alice", "plain-read", "30m");
    let alice = a.credentials("alice", "plain");
    let (at_a, at_b) = (running(a, &alice, LONG), running(b, &alice, "SELECT pg_sleep(61)"));
    listed(a, "SELECT pg_sleep(61)");
    let begun = Instant::now();
    fleet.members[0].to_store.cut();
    // Its revocation cannot reach the one that is cut off; the lease does.
    b.revoke(&grant);
    let text = said(at_b);
    assert!(text.contains("revoked by bob"), "{text}");
    let text = said(at_a);
    assert!(text.contains("57P01") && text.contains("grants can no longer be checked"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let ready = a.cli("alice", &["sessions"]);
    assert!(ready.status.success(), "what is known here is told all the same");
    wait_until("the other one takes it for gone", Duration::from_secs(15), || {
        b.metrics().lines().any(|line| line == "pgward_replica_peers 0")
    });
    fleet.members[0].to_store.mend();
    fleet.wait_together();
}

fn clocks(bench: &Bench) {
    let fleet = Fleet::start(bench);
    // Ten minutes ahead, ten minutes behind, and right.
    for (at, offset) in [(0, "+10m"), (1, "-10m")] {
        let proxy = fleet.proxy(at);
        proxy.crash_then(|dir| std::fs::write(dir.join("clock"), offset).unwrap());
    }
    fleet.wait_together();
    let grant = fleet.proxy(2).grant("alice", "plain-read", "6s");
    let begun = Instant::now();
    let alice = fleet.proxy(2).credentials("alice", "plain");
    let children = [0, 1, 2].map(|at| running(fleet.proxy(at), &alice, &format!("SELECT pg_sleep(60), {at}")));
    for child in children {
        let text = said(child);
        assert!(text.contains("ended: expired"), "{text}");
    }
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(9), "{took:?}");
    for at in [0, 1, 2] {
        let (_, error, ok) = fleet.proxy(at).sql(&alice, "SELECT 1");
        assert!(!ok && error.contains("no live grant"), "{error}");
    }
    let skew = |at: usize| {
        let metrics = fleet.proxy(at).metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix("pgward_clock_skew_seconds ")).unwrap().to_owned();
        line.parse::<f64>().unwrap()
    };
    assert!((skew(0) - 600.0).abs() < 5.0 && (skew(1) + 600.0).abs() < 5.0 && skew(2).abs() < 5.0);
    assert!(fleet.proxy(0).log().contains("this machine's clock is not the store's"));
    // Stepped while it runs, from ahead to behind.
    std::fs::write(fleet.proxy(0).setup.dir.join("clock"), "-10m").unwrap();
    let again = fleet.proxy(0).grant("alice", "plain-read", "5s");
    assert_ne!(again, grant);
    let text = said(running(fleet.proxy(0), &alice, LONG));
    assert!(text.contains("ended: expired"), "{text}");
}

fn lapses(bench: &Bench) {
    let fleet = Fleet::start(bench);
    let grants: Vec<String> = (0..3).map(|at| fleet.proxy(at).grant("alice", "plain-read", "3s")).collect();
    for grant in &grants {
        wait_until("its end is recorded", Duration::from_secs(20), || {
            !fleet.proxy(0).audit(&["--event", "grant_expired", "--grant", grant]).is_empty()
        });
    }
    std::thread::sleep(Duration::from_secs(3));
    for grant in &grants {
        assert_eq!(fleet.proxy(1).audit(&["--event", "grant_expired", "--grant", grant]).len(), 1);
    }
}

fn configurations(bench: &Bench) {
    let fleet = Fleet::of(bench, &Plan { replicas: 2, ..Plan::default() });
    // One file for both, as a ConfigMap is.
    let common = |proxy: &Proxy| {
        let path = proxy.setup.dir.join("proxy.toml");
        std::fs::read_to_string(&path).unwrap()
    };
    let (before_a, before_b) = (common(fleet.proxy(0)), common(fleet.proxy(1)));
    assert_ne!(before_a, before_b);
    wait_until("they see that they differ", Duration::from_secs(10), || {
        fleet.proxy(0).metrics().lines().any(|line| line == "pgward_replica_configurations 2")
    });
    for (at, text) in [(0, before_a), (1, before_b)] {
        let proxy = fleet.proxy(at);
        std::fs::write(proxy.setup.dir.join("proxy.toml"), text + "\n# a comment\n").unwrap();
    }
    fleet.proxy(0).signal("HUP");
    wait_until("one has read it", Duration::from_secs(10), || {
        !fleet.proxy(0).audit(&["--event", "config_reloaded"]).is_empty()
    });
}

fn names(bench: &Bench) {
    let fleet = Fleet::of(bench, &Plan { replicas: 2, ..Plan::default() });
    let (a, b) = (fleet.proxy(0), fleet.proxy(1));
    a.crash_and_restart();
    fleet.wait_together();
    // Another one by the name of one that is there.
    let config = b.setup.dir.join("proxy.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("name = \"b\"\naddress", "name = \"a\"\naddress")).unwrap();
    b.crash();
    b.start_again();
    wait_until("it gives up", Duration::from_secs(20), || !b.is_running());
    assert!(
        b.log().contains("another replica is there by the name \\\"a\\\"")
            || b.log().contains("another replica is there by the name \"a\""),
        "{}",
        b.log()
    );
    assert!(a.cli("alice", &["sessions"]).status.success());
}

fn moved(bench: &Bench) {
    let database = crate::support::fleet::make_store(bench, &bench.postgres);
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "plain-read", "30m");
    let revoked = proxy.grant("erin", "plain-read", "30m");
    proxy.revoke(&revoked);
    let alice = proxy.credentials("alice", "plain");
    proxy.json("erin", &["request", "plain-two", "--for", "10m", "--reason", "it \"waits\""]);
    let before = [proxy.json("bob", &["requests"]), proxy.json("bob", &["grants", "--all"])];
    proxy.stop();
    let dir = &proxy.setup.dir;
    proxy.setup.keep("store_password", "store_worker_pw");
    let url = crate::support::fleet::url(bench, bench.postgres.port, "store_worker", &database);
    let copy = || {
        let mut command = std::process::Command::new(crate::support::binary());
        command.args(["store", "copy", &format!("sqlite://{}/pgward.db", dir.display()), &url]);
        command.arg("--password-file").arg(dir.join("store_password")).output().unwrap()
    };
    let copied = copy();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let again = copy();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("not empty"));
    let config = dir.join("proxy.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let password = format!("url = \"{url}\"\npassword_file = \"{}/store_password\"", dir.display());
    std::fs::write(&config, text.replace(&format!("url = \"sqlite://{}/pgward.db\"", dir.display()), &password))
        .unwrap();
    proxy.start_again();
    proxy.wait_ready();
    assert_eq!([proxy.json("bob", &["requests"]), proxy.json("bob", &["grants", "--all"])], before);
    let (out, error, ok) = proxy.sql(&alice, "SELECT 4711");
    assert!(ok && out == "4711", "the password of before and the grant of before: {error}");
    proxy.revoke(&grant);
}

/// Three replicas, each behind sockets that somebody else holds, restarted in turn under load.
fn rolling(bench: &Bench) {
    let fleet = Fleet::start(bench);
    fleet.proxy(0).grant("alice", "plain-read", "30m");
    let alice = fleet.proxy(0).credentials("alice", "plain");
    let mut holders: Vec<_> = fleet.members.iter().map(|member| Holder::take(&member.proxy)).collect();
    fleet.wait_together();
    let over = std::sync::atomic::AtomicBool::new(false);
    let (ran, failed) = (std::sync::Mutex::new(Vec::new()), std::sync::Mutex::new(Vec::new()));
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let sql = format!("SELECT 4711, {number}");
                    let (out, err, ok) = fleet.proxy(number % 3).sql(&alice, &sql);
                    match ok && out == format!("4711|{number}") {
                        true => ran.lock().unwrap().push(number),
                        false => failed.lock().unwrap().push(err),
                    }
                }
            });
        }
        for holder in &mut holders {
            std::thread::sleep(Duration::from_millis(800));
            // One that is in a transaction when the end is announced ends it.
            let sql = "BEGIN; SELECT pg_sleep(1.5); SELECT 4712; COMMIT";
            let mut psql = holder.proxy.psql_with(&alice);
            let psql = psql.args(["-At", "-v", "ON_ERROR_STOP=1"]);
            let running = sql.split("; ").fold(psql, |psql, one| psql.args(["-c", one])).stdout(Stdio::piped()).spawn();
            std::thread::sleep(Duration::from_millis(700));
            holder.restart();
            let output = running.unwrap().wait_with_output().unwrap();
            assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("4712"), "{output:?}");
        }
        std::thread::sleep(Duration::from_millis(800));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let (ran, failed) = (ran.into_inner().unwrap(), failed.into_inner().unwrap());
    println!("{} sessions while three replicas were restarted in turn, {} failed", ran.len(), failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
    fleet.wait_together();
    let found = fleet.proxy(0).audit(&["--event", "statement", "--text", "4711", "--limit", "9999"]);
    for number in ran {
        let sql = format!("SELECT 4711, {number}");
        let records = found.iter().filter(|record| record["statement"] == sql).count();
        assert_eq!(records, 1, "{sql}");
    }
}

/// Holds a replica's listening sockets, as systemd does.
struct Holder<'a> {
    proxy: &'a Proxy,
    child: Child,
    said: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl<'a> Holder<'a> {
    fn take(proxy: &'a Proxy) -> Self {
        use std::io::BufRead as _;
        proxy.stop();
        let dir = &proxy.setup.dir;
        let mut holder = std::process::Command::new("python3");
        holder.arg(crate::support::root().join("tests/integration/holder.py"));
        holder.args([crate::support::binary(), &dir.join("proxy.toml"), &dir.join("serve.log")]);
        holder.args([proxy.setup.port.to_string(), proxy.setup.control_port.to_string()]);
        let mut child = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "started");
        Self { proxy, child, said }
    }

    fn restart(&mut self) {
        use std::io::Write as _;
        self.child.stdin.as_mut().unwrap().write_all(b"restart\n").unwrap();
        assert_eq!(self.said.next().unwrap().unwrap(), "restarted");
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
