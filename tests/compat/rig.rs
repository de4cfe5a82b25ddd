//! The servers of a run: one PostgreSQL, one pgward before it; two copies of the database for each client, one to be used
//! directly and one through pgward; and the client's principal, its grants and their ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::manifest::{Client, here};
use crate::support::{Bench, Proxy, Scopes, Setup, binary, config, wait_until};

/// The login that pgward uses upstream, and clients use directly.
pub const LOGIN: &str = "compat_app";
const PASSWORD: &str = "compat app's pässword";
/// Who logs in by certificate, on both ways.
pub const CERTIFIED: &str = "certified";

#[derive(Debug)]
pub struct Rig {
    pub proxy: Proxy,
    pub bench: Bench,
    /// Certificate authority, certificate and key of [`CERTIFIED`].
    pub own: tempfile::TempDir,
    /// Control tokens by principal.
    tokens: Vec<(String, String)>,
}

/// How one run of a client reaches the database.
#[derive(Clone, Debug)]
pub struct Way {
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Rig {
    pub fn start(clients: &[Client]) -> Self {
        let bench = Bench::start();
        let own = certificates();
        databases(&bench, clients, &own);
        let mut people: Vec<String> = clients.iter().map(principal).collect();
        people.push(CERTIFIED.to_owned());
        let made: Vec<(String, String, String)> = people.into_iter().map(token).collect();
        let proxy = Proxy::start(&bench, &|setup| configuration(setup, clients, &made, &own));
        let tokens = made.into_iter().map(|(name, token, _)| (name, token)).collect();
        let rig = Self { proxy, bench, own, tokens };
        for client in clients {
            rig.grant(CERTIFIED, client, "8h");
        }
        rig
    }

    pub fn directly(&self, client: &Client) -> Way {
        let database = direct(client);
        Way { port: self.bench.postgres.port, user: LOGIN.into(), password: PASSWORD.into(), database }
    }

    /// Through pgward, under a grant that lasts.
    pub fn through(&self, client: &Client) -> Way {
        let user = principal(client);
        self.grant(&user, client, "8h");
        let minted = self.ask(&user, &["credentials", &plain(client)]);
        let password = minted["password"].as_str().unwrap().to_owned();
        Way { port: self.proxy.setup.port, user, password, database: plain(client) }
    }

    /// `who` asks for the client's scope, bob approves; answers the grant's id.
    pub fn grant(&self, who: &str, client: &Client, duration: &str) -> String {
        let filed =
            self.ask(who, &["request", &plain(client), "--for", duration, "--reason", "to see whether it works"]);
        let approved = self.proxy.json("bob", &["approve", filed["id"].as_str().unwrap()]);
        approved["grant"]["id"].as_str().unwrap().to_owned()
    }

    /// Revokes what the client's principal holds, but for `kept`.
    pub fn revoke_all_but(&self, client: &Client, kept: &str) {
        let user = principal(client);
        let grants = self.ask(&user, &["grants"]);
        for grant in grants.as_array().unwrap() {
            let id = grant["id"].as_str().unwrap();
            if id != kept && grant["principal"] == user.as_str() {
                self.proxy.revoke(id);
            }
        }
    }

    /// Ends the backend that sleeps on `database`, as an administrator would.
    pub fn terminate_sleeper(&self, database: &str) {
        let sql = format!(
            "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = '{database}' AND state = 'active' AND query LIKE '%pg_sleep(60)%') AS ended"
        );
        wait_until("the client sleeps", Duration::from_secs(60), || self.bench.postgres.run("postgres", &sql) != "0");
    }

    /// `pgward ARGUMENTS -o json` as one of the clients' principals.
    fn ask(&self, who: &str, arguments: &[&str]) -> Value {
        let token = &self.tokens.iter().find(|(name, _)| name == who).unwrap().1;
        let output = Command::new(binary())
            .args(arguments)
            .args(["-o", "json"])
            .env("PGWARD_URL", format!("https://127.0.0.1:{}", self.proxy.setup.control_port))
            .env("PGWARD_TOKEN", token)
            .env("PGWARD_CA", self.proxy.setup.certs.join("ca.crt"))
            .env("HOME", &self.proxy.setup.dir)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{who}: {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn own(&self, file: &str) -> PathBuf {
        self.own.path().join("made").join(file)
    }
}

/// The client's name as that of a database and a scope. What a client says of the database is told apart from all else by it.
fn plain(client: &Client) -> String {
    format!("through_{}", client.name.replace('-', "_"))
}

fn direct(client: &Client) -> String {
    format!("direct_{}", client.name.replace('-', "_"))
}

pub fn principal(client: &Client) -> String {
    format!("user_{}", client.name.replace('-', "_"))
}

/// (principal, token, hash)
fn token(name: String) -> (String, String, String) {
    let output = Command::new(binary()).args(["token", "-o", "json"]).output().unwrap();
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    (name, made["token"].as_str().unwrap().to_owned(), made["hash"].as_str().unwrap().to_owned())
}

fn certificates() -> tempfile::TempDir {
    let own = tempfile::Builder::new().prefix("pgwc").tempdir_in("/tmp").unwrap();
    let mut make = Command::new(binary());
    make.arg("dev-certs").arg(own.path().join("made")).args(["--client", CERTIFIED]);
    let made = make.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    own
}

fn databases(bench: &Bench, clients: &[Client], own: &tempfile::TempDir) {
    let postgres = &bench.postgres;
    postgres.run("postgres", &format!("CREATE ROLE {LOGIN} LOGIN PASSWORD '{}'", PASSWORD.replace('\'', "''")));
    postgres.run("postgres", &format!("ALTER ROLE {LOGIN} SET timezone = 'UTC'; CREATE ROLE {CERTIFIED} LOGIN"));
    postgres.run("postgres", &format!("CREATE DATABASE compat OWNER {LOGIN}"));
    postgres.run_file("compat", &here().join("schema.sql"));
    for client in clients {
        for name in [plain(client), direct(client)] {
            postgres.run("postgres", &format!("CREATE DATABASE {name} TEMPLATE compat OWNER {LOGIN}"));
        }
    }
    let data = postgres.dir.join("data");
    std::fs::copy(own.path().join("made/ca.crt"), data.join("clients.crt")).unwrap();
    std::fs::set_permissions(data.join("clients.crt"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let rules = std::fs::read_to_string(data.join("pg_hba.conf")).unwrap();
    std::fs::write(data.join("pg_hba.conf"), format!("hostssl all {CERTIFIED} all cert\n{rules}")).unwrap();
    postgres.run("postgres", "ALTER SYSTEM SET ssl_ca_file = 'clients.crt'");
    postgres.run("postgres", "SELECT pg_reload_conf()");
}

/// The tests' usual configuration with a principal, a database and a scope for each client.
fn configuration(
    setup: &Setup,
    clients: &[Client],
    people: &[(String, String, String)],
    own: &tempfile::TempDir,
) -> String {
    use std::fmt::Write as _;
    let (certs, dir, upstream) = (setup.certs.display(), setup.dir.display(), setup.upstream_port);
    std::fs::write(setup.dir.join("compat_password"), PASSWORD).unwrap();
    std::fs::set_permissions(setup.dir.join("compat_password"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut more = String::new();
    for (name, _, hash) in people {
        writeln!(more, "[[user]]\nname = \"{name}\"\ngroups = [\"clients\"]\ntoken_hash = \"{hash}\"").unwrap();
    }
    for client in clients {
        let name = plain(client);
        let also = client.also.as_ref().map(|also| format!("[[scope.allow]]\n{}", also.allow)).unwrap_or_default();
        write!(
            more,
            r#"
[[database]]
name = "{name}"
upstream = "postgresql://{LOGIN}@localhost:{upstream}/{name}?sslmode=verify-full&sslrootcert={certs}/ca.crt"
password_file = "{dir}/compat_password"
region = "us-east"
[[scope]]
name = "{name}"
database = "{name}"
regions = ["us-east"]
requesters = ["@clients"]
approvers = ["@dba"]
max_duration = "8h"
[[scope.allow]]
on = ["public.*"]
do = ["all"]
[[scope.allow]]
on = ["staff.people"]
columns = ["id", "name"]
do = ["select"]
[[scope.allow]]
functions = ["pg_catalog.pg_sleep", "pg_catalog.nextval", "pg_catalog.currval", "pg_catalog.lastval"]
{also}
"#
        )
        .unwrap();
    }
    let proxy = format!("client_ca = \"{}/made/ca.crt\"\n", own.path().display());
    config(setup, &Scopes { proxy, more, ..Default::default() })
}
