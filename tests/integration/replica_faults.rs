//! Three replicas on one store under faults of all kinds, one or two a round, with people who ask, approve, revoke, work and cancel
//! all the while. After each round: no statement outside a grant's window, none unrecorded, no double approval, no session that
//! outlived its lease, every journal whole. `PGWARD_FAULT_ROUNDS` makes it longer, `PGWARD_FAULT_SEED` another.

use std::collections::HashMap;
use std::process::{Child, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::Case;
use crate::support::fleet::{Fleet, NAMES, Plan};
use crate::support::{Bench, Credentials, Postgres, Proxy, client_tls, signal, wait_until};

pub const CASES: &[Case] = &[("replica_faults::whatever_fails_nothing_is_done_that_nobody_granted", faults)];

/// What a session may outlast a store that does not answer.
const LEASE: Duration = Duration::from_secs(4);
/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ReplicaKilled,
    StoreKilled,
    CutFromStore,
    CutFromUpstream,
    CutFromPeers,
    Hushed,
    ClockAhead,
    ClockBehind,
    DiskFull,
}

const FAULTS: [Fault; 9] = [
    Fault::ReplicaKilled,
    Fault::StoreKilled,
    Fault::CutFromStore,
    Fault::CutFromUpstream,
    Fault::CutFromPeers,
    Fault::Hushed,
    Fault::ClockAhead,
    Fault::ClockBehind,
    Fault::DiskFull,
];

fn faults(bench: &Bench) {
    let rounds = number("PGWARD_FAULT_ROUNDS").unwrap_or(9);
    let mut random = Random(number("PGWARD_FAULT_SEED").unwrap_or(20_261_124) | 1);
    let dir = tempfile::Builder::new().prefix("pgwf").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let store = Mutex::new(Postgres::start(&dir.path().join("pg"), &bench.certs));
    let fleet = {
        let store = store.lock().unwrap();
        let plan = Plan { store: "lease = \"4s\"", proxy: "drain = \"3s\"", server: Some(&store), ..Plan::default() };
        Fleet::of(bench, &plan)
    };
    for member in &fleet.members {
        std::fs::write(member.proxy.setup.dir.join("clock"), "+0").unwrap();
        member.proxy.on_a_failing_disk();
    }
    fleet.wait_together();
    let world = World {
        bench,
        fleet: &fleet,
        store: &store,
        over: AtomicBool::new(false),
        next: AtomicUsize::new(0),
        ran: Mutex::default(),
        tried: AtomicUsize::new(0),
        cancels: AtomicUsize::new(0),
        judged: AtomicUsize::new(0),
    };
    // One who may always, at work all the while; the others come with each round.
    fleet.proxy(0).grant("billing", "plain-read", "8h");
    let billing = fleet.proxy(0).credentials("billing", "plain");
    let mut counted: HashMap<String, usize> = HashMap::new();
    let begun = Instant::now();
    std::thread::scope(|threads| {
        for worker in 0..2 {
            threads.spawn({
                let (world, billing) = (&world, &billing);
                move || world.work(worker, billing)
            });
        }
        for round in 0..rounds {
            let fault = FAULTS[usize::try_from(round).unwrap() % FAULTS.len()];
            let at = random.below(3);
            *counted.entry(format!("{fault:?}")).or_default() += 1;
            if round > 0 && round.is_multiple_of(45) {
                println!("{round} rounds in {:?}", begun.elapsed());
            }
            let played =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.round(round, fault, at, &mut random)));
            if let Err(cause) = played {
                world.over.store(true, Ordering::Relaxed);
                println!("round {round}: {fault:?} at {}", NAMES[at]);
                std::panic::resume_unwind(cause);
            }
        }
        world.over.store(true, Ordering::Relaxed);
    });
    println!(
        "{rounds} rounds in {:?}: {} statements ran of {} tried, {} held against their grants' windows, {} cancel requests sent anywhere; {counted:?}",
        begun.elapsed(),
        world.ran.lock().unwrap().len(),
        world.tried.load(Ordering::Relaxed),
        world.judged.load(Ordering::Relaxed),
        world.cancels.load(Ordering::Relaxed),
    );
}

struct World<'a> {
    bench: &'a Bench,
    fleet: &'a Fleet,
    store: &'a Mutex<Postgres>,
    over: AtomicBool,
    next: AtomicUsize,
    /// Statements whose rows came.
    ran: Mutex<Vec<usize>>,
    tried: AtomicUsize,
    cancels: AtomicUsize,
    /// Statements that were held against the window of their grant.
    judged: AtomicUsize,
}

/// A grant as it came about, and whose.
struct Granted {
    id: String,
    not_before: Timestamp,
    expires_at: Timestamp,
    /// When its revocation was answered.
    revoked: Option<Timestamp>,
}

impl World<'_> {
    fn round(&self, round: u64, fault: Fault, at: usize, random: &mut Random) {
        // What ends in this round may have begun well before it.
        let since = Timestamp::now() - jiff::SignedDuration::from_secs(30);
        let first = self.ran.lock().unwrap().len();
        let short = self.granted("erin", "3s", round);
        let long = self.granted("alice", "10m", round);
        let short_work = short.as_ref().map(|_| self.session("erin", random.below(3)));
        let long_work = long.as_ref().map(|_| self.session("alice", random.below(3)));
        let began = Instant::now();
        self.begin(fault, at);
        // Revoked while it lasts, wherever that gets through.
        let long = long.map(|long| self.revoked(long, random.below(3)));
        std::thread::sleep(Duration::from_millis(600));
        if matches!(fault, Fault::CutFromStore | Fault::StoreKilled) && round.is_multiple_of(2) {
            self.outlasts_no_lease(fault, at, began);
        }
        self.end(fault, at);
        for child in [short_work, long_work].into_iter().flatten().flatten() {
            // Whatever it was told: it ends.
            finish(child);
        }
        self.heal();
        let grants: Vec<Granted> = [short, long].into_iter().flatten().collect();
        self.check(round, fault, since, first, &grants);
    }

    /// Asked for at one replica and decided on at two others at the same time: one of them wins, or nobody does.
    fn granted(&self, person: &str, duration: &str, round: u64) -> Option<Granted> {
        let [asked, one, other] =
            [0, 1, 2].map(|offset| self.fleet.proxy((usize::try_from(round).unwrap() + offset) % 3));
        let filed =
            asked.cli(person, &["request", "plain-read", "--for", duration, "--reason", "faults", "-o", "json"]);
        let filed: Value = serde_json::from_slice(&filed.stdout).ok()?;
        let id = filed["id"].as_str()?.to_owned();
        let answers: Vec<Output> = std::thread::scope(|threads| {
            let both = [(one, "bob"), (other, "carol")].map(|(proxy, by)| {
                let id = id.clone();
                threads.spawn(move || proxy.cli(by, &["approve", &id, "-o", "json"]))
            });
            both.into_iter().map(|answer| answer.join().unwrap()).collect()
        });
        let won: Vec<&Output> = answers.iter().filter(|answer| answer.status.success()).collect();
        assert!(won.len() <= 1, "double approval of {id}");
        let approved: Value = serde_json::from_slice(&won.first()?.stdout).ok()?;
        let grant = &approved["grant"];
        Some(Granted {
            id: grant["id"].as_str()?.to_owned(),
            not_before: grant["not_before"].as_str()?.parse().ok()?,
            expires_at: grant["expires_at"].as_str()?.parse().ok()?,
            revoked: None,
        })
    }

    fn revoked(&self, granted: Granted, at: usize) -> Granted {
        let output = self.fleet.proxy(at).cli("bob", &["revoke", &granted.id, "--reason", "faults"]);
        Granted { revoked: output.status.success().then(Timestamp::now), ..granted }
    }

    /// Somebody who asks one thing after the other until nobody answers.
    fn session(&self, person: &str, at: usize) -> Option<Child> {
        let proxy = self.fleet.proxy(at);
        let minted = proxy.cli(person, &["credentials", "plain", "-o", "json"]);
        let minted: Credentials = serde_json::from_slice(&minted.stdout).ok()?;
        let mut psql = proxy.psql_with(&minted);
        psql.env("PGAPPNAME", format!("faults-{}", NAMES[at])).env("PGCONNECT_TIMEOUT", "5");
        for _ in 0..40 {
            psql.args(["-c", "SELECT pg_sleep(0.2), 'faults'"]);
        }
        let nothing = std::process::Stdio::null;
        psql.stdout(nothing()).stderr(nothing()).spawn().ok()
    }

    /// Works at any replica for as long as the rounds go on, and has cancel requests go to any.
    fn work(&self, worker: usize, billing: &Credentials) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut random = Random(u64::try_from(worker).unwrap() * 7_919 + 17);
        runtime.block_on(async {
            while !self.over.load(Ordering::Relaxed) {
                let proxy = self.fleet.proxy(random.below(3));
                let other = self.fleet.proxy(random.below(3));
                let work = self.one_session(proxy, other, billing, &mut random);
                let _ = tokio::time::timeout(Duration::from_secs(8), work).await;
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        });
    }

    async fn one_session(
        &self,
        proxy: &Proxy,
        other: &Proxy,
        billing: &Credentials,
        random: &mut Random,
    ) -> Option<()> {
        let mut config = tokio_postgres::Config::new();
        config.host("localhost").port(proxy.setup.port).user(&billing.user).password(&billing.password);
        config.dbname(&billing.database).ssl_mode(tokio_postgres::config::SslMode::Require).application_name("worker");
        config.connect_timeout(Duration::from_secs(5));
        let (client, connection) = config.connect(client_tls(proxy)).await.ok()?;
        let connection = tokio::spawn(connection);
        for _ in 0..5 {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.tried.fetch_add(1, Ordering::Relaxed);
            let rows = client.simple_query(&statement(number)).await.ok()?;
            assert!(rows.len() >= 2);
            self.ran.lock().unwrap().push(number);
        }
        if random.below(3) == 0 {
            let token = client.cancel_token();
            let sleeping = tokio::spawn(async move { client.simple_query("SELECT pg_sleep(3)").await.map(drop) });
            tokio::time::sleep(Duration::from_millis(50)).await;
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", other.setup.port)).await.ok()?;
            let mut tls = client_tls(other);
            let tls =
                tokio_postgres::tls::MakeTlsConnect::<tokio::net::TcpStream>::make_tls_connect(&mut tls, "localhost");
            token.cancel_query_raw(stream, tls.ok()?).await.ok()?;
            self.cancels.fetch_add(1, Ordering::Relaxed);
            let _ = sleeping.await;
        }
        connection.abort();
        Some(())
    }

    fn begin(&self, fault: Fault, at: usize) {
        let member = &self.fleet.members[at];
        match fault {
            Fault::ReplicaKilled => member.proxy.crash(),
            Fault::StoreKilled => self.store.lock().unwrap().crash(),
            Fault::CutFromStore => member.to_store.cut(),
            Fault::CutFromUpstream => member.to_upstream.cut(),
            Fault::CutFromPeers => member.to_peers.cut(),
            Fault::Hushed => self.fleet.hush(&self.store.lock().unwrap()),
            Fault::ClockAhead => self.set_clock(at, "+10m"),
            Fault::ClockBehind => self.set_clock(at, "-10m"),
            Fault::DiskFull => member.proxy.fault(Some("write 28")),
        }
    }

    fn end(&self, fault: Fault, at: usize) {
        let member = &self.fleet.members[at];
        match fault {
            Fault::ReplicaKilled => member.proxy.start_again(),
            Fault::StoreKilled => self.store.lock().unwrap().start_again(),
            Fault::CutFromStore => member.to_store.mend(),
            Fault::CutFromUpstream => member.to_upstream.mend(),
            Fault::CutFromPeers => member.to_peers.mend(),
            Fault::Hushed => self.fleet.speak(&self.store.lock().unwrap()),
            Fault::ClockAhead | Fault::ClockBehind => self.set_clock(at, "+0"),
            Fault::DiskFull => member.proxy.fault(None),
        }
    }

    fn set_clock(&self, at: usize, offset: &str) {
        let file = self.fleet.proxy(at).setup.dir.join("clock");
        std::fs::write(file.with_extension("new"), offset).unwrap();
        std::fs::rename(file.with_extension("new"), file).unwrap();
    }

    /// Nobody is served any more by a replica that has lost the store for longer than its lease.
    fn outlasts_no_lease(&self, fault: Fault, at: usize, began: Instant) {
        std::thread::sleep((LEASE + SLACK).saturating_sub(began.elapsed()));
        let cut: Vec<usize> = if fault == Fault::StoreKilled { vec![0, 1, 2] } else { vec![at] };
        for at in cut {
            let left = self.bench.postgres.backends(&format!("faults-{}", NAMES[at]));
            assert_eq!(left, 0, "sessions at {} outlast the lease", NAMES[at]);
        }
    }

    /// Waits until all is well again.
    fn heal(&self) {
        for member in &self.fleet.members {
            wait_until("the replica is ready", Duration::from_secs(60), || {
                assert!(member.proxy.is_running(), "{}", member.proxy.log());
                // The last word of before is not one of now: whoever is not heard of yet is named.
                let listed = member.proxy.cli("bob", &["sessions"]);
                let metrics = member.proxy.metrics();
                let all_there = metrics.lines().any(|line| line == "pgward_replica_peers 2");
                all_there && listed.status.success() && !String::from_utf8_lossy(&listed.stderr).contains("could not")
            });
        }
    }

    fn check(&self, round: u64, fault: Fault, since: Timestamp, first: usize, grants: &[Granted]) {
        let ran: Vec<usize> = self.ran.lock().unwrap()[first..].to_vec();
        let found = self.fleet.proxy(usize::try_from(round).unwrap() % 3).cli(
            "bob",
            &["audit", "search", "--event", "statement", "--since", &since.to_string(), "--limit", "99999"],
        );
        let said = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(found.status.success() && said.is_empty(), "round {round} {fault:?}: {said}");
        let text = String::from_utf8(found.stdout).unwrap();
        let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut recorded: HashMap<&str, usize> = HashMap::new();
        for record in records.iter().filter(|record| record["verdict"] == "allow") {
            *recorded.entry(record["statement"].as_str().unwrap()).or_default() += 1;
        }
        for number in &ran {
            let sql = statement(*number);
            assert_eq!(recorded.get(sql.as_str()), Some(&1), "round {round} {fault:?}: {sql} is not recorded once");
        }
        for record in records.iter().filter(|record| record["verdict"] == "allow") {
            let Some(grant) = grants.iter().find(|grant| record["grant"] == grant.id) else { continue };
            self.judged.fetch_add(1, Ordering::Relaxed);
            let at: Timestamp = record["time"].as_str().unwrap().parse().unwrap();
            assert!(grant.not_before <= at && at < grant.expires_at, "round {round} {fault:?}: {record}");
            if let Some(revoked) = grant.revoked {
                let late = revoked + jiff::SignedDuration::try_from(LEASE + SLACK).unwrap();
                assert!(at <= late, "round {round} {fault:?}: after the revocation of {revoked}: {record}");
            }
        }
        let verified = self.fleet.proxy((usize::try_from(round).unwrap() + 1) % 3).cli("bob", &["audit", "verify"]);
        assert!(verified.status.success(), "round {round} {fault:?}: {}", String::from_utf8_lossy(&verified.stderr));
        let doubles =
            "SELECT count(*) FROM (SELECT request FROM pgward.grants GROUP BY request HAVING count(*) > 1) AS twice";
        assert_eq!(self.store.lock().unwrap().run(&self.fleet.database, doubles), "0", "double approval");
    }
}

/// Some are under way for a while.
fn statement(number: usize) -> String {
    match number % 4 {
        0 => format!("SELECT 4711, {number} FROM pg_sleep(0.1)"),
        _ => format!("SELECT 4711, {number}"),
    }
}

fn finish(mut child: Child) {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(30) {
            signal("KILL", child.id());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// The same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}
