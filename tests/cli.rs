//! The command line as its users meet it: the binary itself against a control port, its exit codes, and the JSON that
//! scripts rely on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/elsewhere.rs"]
mod elsewhere;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pgward::access::{Clock, Principal, Region, Scope, Subject, TokenHash};
use pgward::audit::{Durability, Journal};
use pgward::control::api::{RelationView, VerdictWord};
use pgward::control::{
    Database, Dependencies, Directory, Explain, ExplainAnswer, ExplainError, ExplainQuestion, Metrics, Server,
    Settings, User,
};
use pgward::desk::Desk;
use pgward::session::Registry;
use pgward::store::{GrantBook, SharedStore, SqliteStore};
use pgward::wire::scram::Verifier;
use pgward::{devcerts, tls};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A control port in this process, and a home directory for the binary.
struct Port {
    dir: tempfile::TempDir,
    url: String,
    ca: PathBuf,
    stop: CancellationToken,
    _runtime: Runtime,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Port {
    fn open() -> Self {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let files = devcerts::generate(&dir.path().join("certs"), &[]).unwrap();
        let stop = CancellationToken::new();
        let url = runtime.block_on(serve(dir.path(), &files, stop.clone()));
        Self { ca: files.ca, url, dir, stop, _runtime: runtime }
    }

    /// The binary with nothing of this process's environment that it would heed.
    fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgward"));
        command.args(arguments).env("HOME", self.dir.path()).stdin(Stdio::null());
        for name in ["PGWARD_URL", "PGWARD_TOKEN", "PGWARD_CA", "XDG_CONFIG_HOME", "PGSERVICEFILE"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, user: &str, arguments: &[&str]) -> Output {
        let mut command = self.bare(arguments);
        command.env("PGWARD_URL", &self.url).env("PGWARD_TOKEN", token(user)).env("PGWARD_CA", &self.ca);
        command.output().unwrap()
    }

    /// What `-o json` prints, which is one document and nothing else.
    fn json(&self, user: &str, arguments: &[&str]) -> Value {
        let output = self.run(user, &[arguments, &["-o", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn granted(&self) -> String {
        let request = self.json("alice", &["request", "orders-read", "--for", "30m", "--reason", "why"]);
        let approved = self.json("bob", &["approve", request["id"].as_str().unwrap()]);
        approved["grant"]["id"].as_str().unwrap().to_owned()
    }
}

async fn serve(dir: &Path, files: &devcerts::Files, stop: CancellationToken) -> String {
    let certificate = tls::ReloadableCertificate::load(&files.server_cert, &files.server_key).unwrap();
    let store: SharedStore = Arc::new(SqliteStore::open(&dir.join("pgward.db")).unwrap());
    let clock = Arc::new(Clock::default());
    let settings = pgward::audit::Settings::new(dir.join("audit"), Durability::Written);
    let journal = Journal::open(settings).unwrap();
    let grants = GrantBook::load(Arc::clone(&store), Arc::clone(&clock)).await.unwrap();
    let directory = Arc::new(ArcSwap::from_pointee(directory()));
    let desk = Desk::new(pgward::desk::Parts {
        store: Arc::clone(&store),
        grants: Arc::clone(&grants),
        journal: Arc::clone(&journal),
        clock: Arc::clone(&clock),
        offers: Arc::clone(&directory) as Arc<dyn pgward::desk::Offers>,
        redact: pgward::sql::redacted,
        metrics: pgward::desk::Metrics::default(),
        analyst: Arc::new(NoAnalyst),
    });
    let parts = Dependencies {
        grants,
        store,
        journal,
        clock,
        sessions: Arc::new(Registry::default()),
        replicas: None,
        cancels: Arc::new(elsewhere::Elsewhere),
        directory,
        explainer: Arc::new(FakeExplainer),
        derive_verifier: Arc::new(|_, password, _| Ok(Verifier::derive(password, b"some salt", 4096).to_string())),
        desk: Arc::new(desk),
        retention: Arc::new(elsewhere::Elsewhere),
        permissions: Arc::new(elsewhere::Elsewhere),
        usage: Arc::new(elsewhere::Elsewhere),
        registry: Arc::default(),
        metrics: Metrics::default(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let settings = Settings::new(tls::server_config(certificate, None, &[]).unwrap());
    let server = Server::new(settings, parts);
    tokio::spawn(async move { server.serve(listener, stop).await });
    url
}

fn directory() -> Directory {
    let user = |name: &str, group: &str| User {
        principal: Principal { name: name.to_owned(), groups: vec![group.to_owned()], region: None },
        token_hashes: vec![TokenHash::of(&token(name))],
        scram: None,
    };
    let dba = vec![Subject::Group("dba".to_owned())];
    Directory {
        others: false,
        provider: None,
        users: vec![user("alice", "dev"), user("bob", "dba")],
        admins: dba.clone(),
        auditors: dba.clone(),
        scopes: vec![Scope {
            name: "orders-read".to_owned(),
            database: "shop".to_owned(),
            regions: vec![Region::new("us")],
            requesters: vec![Subject::Group("dev".to_owned())],
            approvers: dba,
            approvals: 1,
            max_duration: Duration::from_secs(3600),
            guards: pgward::access::Guards::default(),
            rules: pgward::access::Rules::default(),
            allow: Vec::new(),
        }],
        databases: vec![Database {
            name: "shop".to_owned(),
            region: Region::new("us"),
            host: "127.0.0.1".to_owned(),
            port: 6432,
        }],
    }
}

/// Can look at no statement.
#[derive(Debug)]
struct NoAnalyst;

#[derive(Debug)]
struct FakeExplainer;

#[async_trait::async_trait]
impl pgward::desk::Analyse for NoAnalyst {
    async fn analyse(
        &self,
        _: &pgward::desk::Actor,
        _: &Scope,
        _: &str,
    ) -> Result<pgward::access::Analysis, pgward::desk::NotAnalysed> {
        Err(pgward::desk::NotAnalysed::NotNow("there is no database".to_owned()))
    }
}

#[async_trait::async_trait]
impl Explain for FakeExplainer {
    async fn explain(&self, question: ExplainQuestion) -> Result<ExplainAnswer, ExplainError> {
        Ok(ExplainAnswer {
            verdict: VerdictWord::Deny,
            grant: None,
            rule: Some("no-grant".to_owned()),
            detail: Some(format!("no live grant for \u{1b}[31m{}", question.principal.name)),
            hint: Some("pgward request".to_owned()),
            relations: vec![RelationView {
                name: "public.orders".to_owned(),
                operation: "select".to_owned(),
                columns: vec!["id".to_owned()],
            }],
            fingerprint: Some("abc".to_owned()),
            steps: Vec::new(),
        })
    }

    fn not_ready(&self) -> Vec<String> {
        Vec::new()
    }
}

fn token(user: &str) -> String {
    format!("pgw_token-of-{user}")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_json_that_scripts_rely_on() {
    let port = Port::open();
    let request = port.json("alice", &["request", "orders-read", "--for", "30m", "--reason", "why", "--ticket", "T-1"]);
    assert_eq!(keys(&request), ["id", "state", "grant"]);
    assert_eq!((&request["state"], &request["grant"]), (&json!("pending"), &json!(null)));
    let id = request["id"].as_str().unwrap();
    assert_eq!(port.json("bob", &["requests"])[0]["id"], id);
    let approved = port.json("bob", &["approve", id]);
    assert_eq!(keys(&approved["grant"]), ["id", "not_before", "expires_at"]);
    let grant = approved["grant"]["id"].as_str().unwrap();
    assert_eq!(port.json("alice", &["grants"])[0]["id"], grant);
    let minted = port.json("alice", &["credentials", "shop"]);
    assert_eq!(keys(&minted), ["user", "password", "host", "port", "database", "dsn"]);
    let dsn = minted["dsn"].as_str().unwrap();
    assert!(dsn.ends_with(&format!("?sslmode=verify-full&sslrootcert={}", port.ca.display())), "{dsn}");
    assert_eq!(port.json("alice", &["sessions"]), json!([]));
    let answer = port.json("alice", &["explain", "shop", "--user", "alice", "select id from orders"]);
    for key in ["verdict", "grant", "rule", "detail", "relations", "fingerprint"] {
        assert!(keys(&answer).contains(&key), "{key}");
    }
    assert_eq!((&answer["verdict"], &answer["relations"][0]["name"]), (&json!("deny"), &json!("public.orders")));
    assert_eq!(port.json("bob", &["revoke", grant, "--reason", "over"])["state"], "revoked");
    assert_eq!(keys(&port.json("alice", &["token"])), ["token", "hash"]);
}

#[test]
fn the_journal_is_searched_shown_exported_and_proved() {
    let port = Port::open();
    let grant = port.granted();
    let found = port.run("bob", &["audit", "search", "--principal", "alice", "--since", "1h"]);
    let records: Vec<Value> = text(&found.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.last().unwrap()["event"], "grant_created");
    assert_eq!(records.last().unwrap()["grant"], grant.as_str());
    let seq = records.last().unwrap()["seq"].to_string();
    assert!(text(&port.run("alice", &["audit", "show", &seq]).stdout).contains("request_filed"));
    let csv = text(&port.run("bob", &["audit", "export"]).stdout);
    assert!(csv.starts_with("time,seq,event,") && csv.contains(&grant), "{csv}");
    let journal = port.dir.path().join("audit");
    let offline = ["audit", "verify", "--dir", journal.to_str().unwrap(), "-o", "json"];
    for proof in [
        port.json("alice", &["audit", "verify"]),
        serde_json::from_slice(&port.bare(&offline).output().unwrap().stdout).unwrap(),
    ] {
        assert_eq!(keys(&proof), ["ok", "records", "first_bad"]);
        assert_eq!((&proof["ok"], &proof["first_bad"]), (&json!(true), &json!(null)));
    }

    // One byte of one record is changed.
    let copy = port.dir.path().join("copy");
    let copied = Command::new("cp").arg("-r").args([&journal, &copy]).status().unwrap();
    assert!(copied.success());
    let segment = copy.join("journal-00000000000000000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let output = port.bare(&["audit", "verify", "--dir", copy.to_str().unwrap(), "-o", "json"]).output().unwrap();
    let proof: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &proof["ok"]), (Some(1), &json!(false)));
    let first_bad = proof["first_bad"].as_u64().unwrap();
    assert_eq!(proof["records"], first_bad - 1);
    assert!(text(&output.stderr).contains(&format!("record {first_bad}: ")), "{}", text(&output.stderr));
}

#[test]
fn failures_say_what_and_what_next() {
    let port = Port::open();
    let check = |output: Output, code: i32, needles: &[&str]| {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        for needle in needles {
            assert!(said.contains(needle), "{needle}: {said}");
        }
    };
    let request = port.json("alice", &["request", "orders-read", "--for", "30m", "--reason", "why"]);
    let id = request["id"].as_str().unwrap();
    check(port.run("alice", &["approve", id, "-o", "json"]), 1, &["error: nobody decides on their own", "hint: "]);
    check(
        port.run("alice", &["request", "none", "--for", "1m", "--reason", "x"]),
        1,
        &["no scope \"none\"", "pgward scopes"],
    );
    check(port.run("alice", &["revoke", "gr_none"]), 1, &["no such grant"]);
    check(port.run("mallory", &["grants"]), 1, &["a valid control token is needed", "pgward login"]);
    check(port.run("alice", &["request", "orders-read", "--reason", "x"]), 2, &["--for"]);
    check(port.run("alice", &["nonsense"]), 2, &["nonsense"]);
    check(port.bare(&["grants"]).output().unwrap(), 1, &["there is no control token", "pgward login"]);

    let mut call = port.bare(&["grants", "--token", "x", "--url", &port.url]);
    check(call.output().unwrap(), 1, &["is not trusted", "--ca"]);
    let mut call = port.bare(&["grants", "--token", "x", "--url", "https://127.0.0.1:1"]);
    check(call.output().unwrap(), 1, &["cannot reach https://127.0.0.1:1", "--url"]);
    let mut call = port.bare(&["grants", "--token", "x", "--url", "http://127.0.0.1:1"]);
    check(call.output().unwrap(), 1, &["is not https"]);
    let mut call = port.bare(&["grants", "--token", "x", "--ca", "/nonexistent"]);
    check(call.output().unwrap(), 1, &["authority /nonexistent"]);
}

#[test]
fn people_are_told_what_to_do_next_and_their_terminal_is_safe() {
    let port = Port::open();
    let output = port.run("alice", &["request", "orders-read", "--for", "30m", "--reason", "why"]);
    let said = text(&output.stderr);
    assert!(text(&output.stdout).contains("is pending"));
    assert!(said.contains("waiting for 1 approval by @dba; they run: pgward approve req_"), "{said}");
    let requests = text(&port.run("bob", &["requests"]).stdout);
    assert_eq!(requests.lines().count(), 2, "{requests}");
    assert!(requests.starts_with("ID ") && requests.contains("0 of 1"), "{requests}");
    let explained = text(&port.run("alice", &["explain", "shop", "select 1"]).stdout);
    assert!(explained.contains("\\u{1b}[31malice") && !explained.contains('\u{1b}'), "{explained}");
    assert!(text(&port.run("alice", &["completions", "bash"]).stdout).contains("_pgward"));
}

#[test]
fn a_login_stands_in_for_flags_and_psql_finds_the_service() {
    let port = Port::open();
    let mut login = port.bare(&["login", &port.url, "--ca", port.ca.to_str().unwrap(), "-o", "json"]);
    let output = login.env("PGWARD_TOKEN", token("alice")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let kept: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&kept["user"], &kept["services"]), (&json!("alice"), &json!(["shop"])));
    let services = std::fs::read_to_string(port.dir.path().join(".pg_service.conf")).unwrap();
    assert!(services.contains("[shop]\nhost=127.0.0.1\nport=6432\ndbname=shop\nuser=alice\nsslmode=verify-full\n"));
    assert!(port.bare(&["scopes"]).output().unwrap().status.success());
    // The kept token is not sent to another control port.
    let elsewhere = port.bare(&["scopes", "--url", "https://127.0.0.1:1"]).output().unwrap();
    assert!(text(&elsewhere.stderr).contains("there is no control token"));
    let mut login = port.bare(&["login", &port.url, "--token", "wrong", "--ca", port.ca.to_str().unwrap()]);
    assert_eq!(login.output().unwrap().status.code(), Some(1));
    assert!(port.bare(&["scopes"]).output().unwrap().status.success(), "a failed login leaves the kept one");
}

#[test]
fn connect_becomes_psql_with_no_secret_in_argv() {
    use std::os::unix::fs::PermissionsExt;
    let port = Port::open();
    let bin = port.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let psql = bin.join("psql");
    std::fs::write(&psql, "#!/bin/sh\necho \"$@\"\nenv | grep ^PG | sort\n").unwrap();
    std::fs::set_permissions(&psql, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut connect = port.bare(&["connect", "shop", "--", "-c", "select 1"]);
    connect.env("PGWARD_URL", &port.url).env("PGWARD_TOKEN", token("alice")).env("PGWARD_CA", &port.ca);
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let output = connect.env("PATH", path).env("PGSERVICE", "evil").output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(said.lines().next(), Some("-c select 1"), "{said}{}", text(&output.stderr));
    for line in ["PGHOST=127.0.0.1", "PGPORT=6432", "PGDATABASE=shop", "PGUSER=alice", "PGSSLMODE=verify-full"] {
        assert!(said.lines().any(|one| one == line), "{line}: {said}");
    }
    assert!(said.contains(&format!("PGSSLROOTCERT={}", port.ca.display())) && said.contains("PGPASSWORD="));
    assert!(!said.contains("PGSERVICE") && !said.contains("PGWARD_TOKEN"), "{said}");
}
