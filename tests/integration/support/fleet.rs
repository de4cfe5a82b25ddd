//! Three replicas on one store, each with wires of its own to the store, to the upstream and to the others.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::wire::Wire;
use super::{Bench, People, Postgres, Proxy, Scopes, binary, config, wait_until};

#[derive(Debug)]
pub struct Member {
    pub proxy: Proxy,
    pub to_store: Wire,
    pub to_upstream: Wire,
    /// From the others to this one's control port.
    pub to_peers: Wire,
}

#[derive(Debug)]
pub struct Fleet {
    pub members: Vec<Member>,
    /// The store's database.
    pub database: String,
}

/// How a fleet is to be.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub replicas: usize,
    /// Lines for `[proxy]` and `[store]`.
    pub proxy: &'a str,
    pub store: &'a str,
    /// The store's server, where it is not the one of all.
    pub server: Option<&'a Postgres>,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self { replicas: 3, proxy: "", store: "", server: None }
    }
}

pub const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

impl Fleet {
    pub fn start(bench: &Bench) -> Self {
        Self::of(bench, &Plan::default())
    }

    /// Makes a store with a role that may only work on it, and starts replicas on it.
    pub fn of(bench: &Bench, plan: &Plan<'_>) -> Self {
        let database = make_store(bench, plan.server.unwrap_or(&bench.postgres));
        let people = People::new();
        let members = NAMES.iter().take(plan.replicas).map(|name| member(bench, &people, &database, name, plan));
        let fleet = Self { members: members.collect(), database };
        fleet.wait_together();
        fleet
    }

    pub fn proxy(&self, at: usize) -> &Proxy {
        &self.members[at].proxy
    }

    /// Waits until all know of each other.
    pub fn wait_together(&self) {
        let wanted = format!("pgward_replica_peers {}", self.members.len() - 1);
        for member in &self.members {
            wait_until("the replicas know each other", Duration::from_secs(20), || {
                member.proxy.metrics().lines().any(|line| line == wanted)
            });
        }
    }

    /// Has the store's hints never come.
    pub fn hush(&self, server: &Postgres) {
        self.note_change(server, "");
    }

    /// And come again.
    pub fn speak(&self, server: &Postgres) {
        self.note_change(server, "PERFORM pg_notify('pgward_grants', '');");
    }

    fn note_change(&self, server: &Postgres, hint: &str) {
        let function = format!(
            "CREATE OR REPLACE FUNCTION pgward.note_change(changed text) RETURNS void LANGUAGE plpgsql
             SET search_path = pgward, pg_temp AS $$
             DECLARE
                 next bigint;
             BEGIN
                 UPDATE grant_position SET position = position + 1 RETURNING position INTO STRICT next;
                 INSERT INTO grant_changes (position, grant_id) VALUES (next, changed);
                 {hint}
             END $$"
        );
        server.run(&self.database, &function);
    }
}

/// A database for a store, its tables made by their owner, for a role that may only work on them.
pub fn make_store(bench: &Bench, server: &Postgres) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let database = format!("fleet{number}");
    let run = |sql: &str| server.run("postgres", sql);
    // Cases run at the same time.
    static ROLES: Mutex<()> = Mutex::new(());
    let making = ROLES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if run("SELECT count(*) FROM pg_roles WHERE rolname = 'store_owner'") == "0" {
        run(
            "CREATE ROLE store_owner LOGIN PASSWORD 'store_owner_pw'; CREATE ROLE store_worker LOGIN PASSWORD 'store_worker_pw'",
        );
    }
    drop(making);
    run(&format!("CREATE DATABASE {database} OWNER store_owner"));
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("owner");
    super::postgres::write_private(&password, "store_owner_pw");
    let url = url(bench, server.port, "store_owner", &database);
    let mut migrate = Command::new(binary());
    migrate.args(["store", "migrate", &url, "--role", "store_worker", "--password-file"]).arg(&password);
    let made = migrate.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    database
}

/// The store as a replica names it.
pub fn url(bench: &Bench, port: u16, user: &str, database: &str) -> String {
    let ca = bench.certs.join("ca.crt");
    format!("postgresql://{user}@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={}", ca.display())
}

fn member(bench: &Bench, people: &People, database: &str, name: &str, plan: &Plan<'_>) -> Member {
    let store = plan.server.unwrap_or(&bench.postgres);
    let (to_store, to_upstream) = (Wire::to(store.port), Wire::to(bench.postgres.port));
    let wires = Mutex::new(None);
    let proxy = Proxy::start_for(bench, people, &|setup| {
        let to_peers = Wire::to(setup.control_port);
        super::postgres::write_private(&setup.dir.join("store_password"), "store_worker_pw");
        let here = setup.upstream_port.to_string();
        let scopes = Scopes { proxy: plan.proxy.to_owned(), ..Scopes::default() };
        let text =
            config(setup, &scopes).replace(&format!("localhost:{here}/"), &format!("localhost:{}/", to_upstream.port));
        let text = text.replace(
            &format!("url = \"sqlite://{}/pgward.db\"", setup.dir.display()),
            &format!(
                "url = \"{}\"\npassword_file = \"{}\"\n{}\n[replica]\nname = \"{name}\"\naddress = \"localhost:{}\"",
                url(bench, to_store.port, "store_worker", database),
                setup.dir.join("store_password").display(),
                plan.store,
                to_peers.port,
            ),
        );
        *wires.lock().unwrap() = Some(to_peers);
        text
    });
    let to_peers = wires.into_inner().unwrap().unwrap();
    Member { proxy, to_store, to_upstream, to_peers }
}
