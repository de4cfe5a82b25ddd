//! Every version of PostgreSQL as an upstream, and the newer ways to speak to servers and to be spoken to: direct TLS and
//! protocol 3.2, with a real libpq 18.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::Case;
use crate::support::{
    Bench, Credentials, Postgres, Proxy, Scopes, Setup, config, connect, installed, raw, signal, wait_until,
};

pub const CASES: &[Case] = &[
    ("servers::postgresql_14", |bench| version(bench, 14)),
    ("servers::postgresql_15", |bench| version(bench, 15)),
    ("servers::postgresql_16", version_16),
    ("servers::postgresql_17", |bench| version(bench, 17)),
    ("servers::postgresql_18", version_18),
    ("servers::libpq_18_speaks_its_own_protocol", libpq_18),
    ("servers::versions_and_options_are_negotiated", negotiated),
];

const FUNCTIONS: &str = r#"
[[scope]]
name = "plain-moves"
database = "plain"
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1h"
[[scope.allow]]
functions = ["public.moves"]
"#;

/// The shared configuration, on another server, with something more said in the upstreams' URLs.
pub fn on(setup: &Setup, postgres: &Postgres, options: &str) -> String {
    let text = config(setup, &Scopes { more: FUNCTIONS.to_owned(), ..Scopes::default() });
    let text = text.replace(&format!("localhost:{}", setup.upstream_port), &format!("localhost:{}", postgres.port));
    text.replace("?sslmode=verify-full", &format!("?{options}sslmode=verify-full"))
}

fn version(bench: &Bench, major: u32) {
    let other = bench.another(major);
    let proxy = Proxy::start(bench, &|setup| on(setup, &other.postgres, ""));
    works(&proxy, &other.postgres, major);
}

/// An older one is spoken to as it can be, and what it cannot is an error that says so.
fn version_16(bench: &Bench) {
    let older = bench.another(16);
    let proxy = Proxy::start(bench, &|setup| on(setup, &older.postgres, "max_protocol_version=3.2&"));
    works(&proxy, &older.postgres, 16);
    for (options, said) in [
        ("min_protocol_version=3.2&", "speaks protocol 3.0, which min_protocol_version does not allow"),
        ("sslnegotiation=direct&", "TLS"),
    ] {
        let proxy = Proxy::start(bench, &|setup| on(setup, &older.postgres, options));
        proxy.grant("alice", "plain-read", "30m");
        let (_, err, ok) = proxy.sql(&proxy.credentials("alice", "plain"), "SELECT 42");
        assert!(!ok && err.contains("the database \"plain\" cannot be reached"), "{err}");
        let log = proxy.log();
        assert!(log.contains(said), "{log}");
    }
}

/// The newest takes what the newest offers, and says where its search_path goes.
fn version_18(bench: &Bench) {
    let other = bench.another(18);
    let newest = "sslnegotiation=direct&min_protocol_version=3.2&";
    let proxy = Proxy::start(bench, &|setup| on(setup, &other.postgres, newest));
    works(&proxy, &other.postgres, 18);
    search_path_is_watched(&proxy, &other.postgres);
}

/// What people do, once each.
fn works(proxy: &Proxy, postgres: &Postgres, major: u32) {
    proxy.grant("alice", "world", "30m");
    proxy.grant("alice", "plain-write", "30m");
    let (shop, plain) = (proxy.credentials("alice", "shop"), proxy.credentials("alice", "plain"));
    let (out, err, ok) = proxy.sql(&shop, "SELECT count(*) FROM public.orders");
    assert!(ok && out == "20", "{out} {err}");
    let (_, err, ok) = proxy.sql(&shop, "SELECT ssn FROM public.customers");
    assert!(!ok && err.contains("42501"), "{err}");
    let (out, err, ok) = proxy.sql(&plain, "SHOW server_version_num");
    assert!(ok && out.starts_with(&major.to_string()), "{out} {err}");
    let (out, err, ok) = proxy.sql(&shop, r"\d public.orders");
    assert!(ok && out.contains("customer_id"), "{out} {err}");
    prepared(proxy, &shop);
    copied(proxy, postgres, &plain);
    cancelled(proxy, postgres);
    new_tables_are_seen(proxy, postgres, &plain);
    expires(proxy);
}

fn prepared(proxy: &Proxy, shop: &Credentials) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = connect(proxy, shop).await;
        let name = client.prepare("SELECT name FROM public.customers WHERE id = $1").await.unwrap();
        for id in [3, 4, 3] {
            let row = client.query_one(&name, &[&id]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), format!("cust {id}"));
        }
        let refused = client.prepare("SELECT ssn FROM public.customers WHERE id = $1").await.unwrap_err();
        assert_eq!(refused.as_db_error().unwrap().code().code(), "42501");
    });
}

fn copied(proxy: &Proxy, postgres: &Postgres, plain: &Credentials) {
    let file = proxy.setup.dir.join("copied.csv");
    let (_, err, ok) = proxy.sql(plain, &format!(r"\copy public.wide to '{}' csv", file.display()));
    assert!(ok, "{err}");
    let (out, err, ok) = proxy.sql(plain, &format!(r"\copy public.sink from '{}' csv", file.display()));
    assert!(ok && out == "COPY 20000", "{out} {err}");
    assert_eq!(postgres.run("plain", "SELECT count(*) FROM public.sink"), "20000");
}

fn cancelled(proxy: &Proxy, postgres: &Postgres) {
    let mut psql = proxy.psql("alice", "plain");
    psql.env("PGAPPNAME", "ctrl-c").args(["-At", "-c", "SELECT pg_sleep(60)"]);
    let child = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ctrl-c' AND state = 'active'";
    wait_until("the statement runs", Duration::from_secs(10), || postgres.run("postgres", running) == "1");
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("canceling statement due to user request"), "{err}");
}

fn new_tables_are_seen(proxy: &Proxy, postgres: &Postgres, plain: &Credentials) {
    let (_, err, ok) = proxy.sql(plain, "SELECT word FROM public.later");
    assert!(!ok && err.contains("later"), "{err}");
    postgres.run("plain", "CREATE TABLE public.later AS SELECT 'seen' AS word");
    let (out, err, ok) = proxy.sql(plain, "SELECT word FROM public.later");
    assert!(ok && out == "seen", "{out} {err}");
}

/// A grant's end ends what runs under it.
fn expires(proxy: &Proxy) {
    let grant = proxy.grant("erin", "plain-read", "3s");
    let output = proxy.psql("erin", "plain").args(["-c", "SELECT pg_sleep(60)"]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("FATAL") && err.contains(&grant), "{err}");
}

/// A function that a scope names may do much, but not make later statements mean something else.
fn search_path_is_watched(proxy: &Proxy, postgres: &Postgres) {
    let moves = "CREATE FUNCTION public.moves() RETURNS text LANGUAGE sql AS \
                 $$SELECT pg_catalog.set_config('search_path', 'pg_temp', false)$$";
    postgres.run("plain", moves);
    proxy.grant("alice", "plain-moves", "30m");
    let alice = proxy.credentials("alice", "plain");
    let moved =
        proxy.psql_with(&alice).args(["-At", "-c", "SELECT public.moves()", "-c", "SELECT 'still here'"]).output();
    let moved = moved.unwrap();
    let (out, err) = (String::from_utf8_lossy(&moved.stdout), String::from_utf8_lossy(&moved.stderr));
    assert!(!moved.status.success() && !out.contains("still here"), "{out} {err}");
}

/// psycopg with libpq 18: the protocol's version, the key's length, a cancel request with it, direct TLS.
fn libpq_18(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let output = python(&proxy, &alice, include_str!("libpq18_tour.py"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cancels = proxy.audit(&["--principal", "alice"]);
    assert_eq!(cancels.iter().filter(|record| record["event"] == "cancel").count(), 3, "{cancels:?}");
}

/// What a client is told of a version or an option that is not spoken here: as PostgreSQL 18 tells it, before anything else.
fn negotiated(bench: &Bench) {
    let proxy = bench.proxy();
    let told = |minor: u8, options: &[(&str, &str)]| {
        let mut packet = raw::startup(&[&[("user", "alice"), ("database", "plain")], options].concat());
        packet[7] = minor;
        let mut stream = raw::tls(&proxy);
        stream.write_all(&packet).unwrap();
        let mut first = [0; 5];
        stream.read_exact(&mut first).unwrap();
        let mut body = vec![0; usize::from(first[4]) - 4];
        stream.read_exact(&mut body).unwrap();
        (first[0], body)
    };
    let option = ("_pq_.tea", "green");
    for minor in [0, 1, 2] {
        assert_eq!(told(minor, &[]).0, b'R', "3.{minor} is spoken");
    }
    assert_eq!(told(3, &[]), (b'v', b"\0\x03\0\x02\0\0\0\0".to_vec()));
    assert_eq!(told(99, &[option]), (b'v', b"\0\x03\0\x02\0\0\0\x01_pq_.tea\0".to_vec()));
    assert_eq!(told(0, &[option]), (b'v', b"\0\x03\0\0\0\0\0\x01_pq_.tea\0".to_vec()));
}

/// Runs a script with Debian's Python and psycopg with a libpq 18 of its own.
pub fn python(proxy: &Proxy, minted: &Credentials, script: &str) -> Output {
    let mut python: Command = proxy.client("/usr/bin/python3", minted);
    python.env("PYTHONPATH", installed::libpq18()).args(["-c", script]).stdin(Stdio::null()).output().unwrap()
}
