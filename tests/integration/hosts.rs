//! Upstreams that are several servers, a Unix socket, or behind PgBouncer.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Case;
use crate::support::{
    Bench, Credentials, Postgres, Proxy, Scopes, Setup, config, connect, free_port, signal, wait_until,
};

pub const CASES: &[Case] = &[
    ("hosts::the_server_that_is_asked_for", server_asked_for),
    ("hosts::sessions_move_together", sessions_move_together),
    ("hosts::after_a_promotion_sessions_are_the_new_primarys", promoted),
    ("hosts::over_a_unix_socket", over_a_unix_socket),
    ("hosts::behind_pgbouncer", behind_pgbouncer),
];

/// Nothing in it writes.
const LOOK: &str = r#"
[[scope]]
name = "plain-look"
database = "plain"
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1h"
read_only = true
[[scope.allow]]
on = ["public.*"]
do = ["select"]
[[scope.allow]]
functions = ["pg_catalog.pg_sleep", "public.leak"]
"#;

/// The shared configuration with other places than the shared server, and more said in the upstreams' URLs.
fn at(setup: &Setup, places: &str, options: &str) -> String {
    let text = config(setup, &Scopes { more: LOOK.to_owned(), ..Scopes::default() });
    let text = text.replace(&format!("@localhost:{}/", setup.upstream_port), &format!("@{places}/"));
    text.replace("?sslmode=verify-full", &format!("?{options}sslmode=verify-full"))
}

fn started(bench: &Bench, places: &str, options: &str) -> (Proxy, Credentials) {
    let proxy = Proxy::start(bench, &|setup| at(setup, places, options));
    proxy.grant("alice", "plain-look", "30m");
    let alice = proxy.credentials("alice", "plain");
    (proxy, alice)
}

fn standby(bench: &Bench) -> (Postgres, tempfile::TempDir) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::Builder::new().prefix("pgws").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    (bench.postgres.standby(&dir.path().join("pg")), dir)
}

fn server_asked_for(bench: &Bench) {
    let (standby, _dir) = standby(bench);
    let (primary, standby) = (bench.postgres.port.to_string(), standby.port.to_string());
    let nobody = free_port();
    let all = format!("localhost:{nobody},localhost:{standby},localhost:{primary}");
    let without_standby = format!("localhost:{nobody},localhost:{primary}");
    for (places, attrs, expected) in [
        (&all, "any", Some(&standby)),
        (&all, "primary", Some(&primary)),
        (&all, "read-write", Some(&primary)),
        (&all, "standby", Some(&standby)),
        (&all, "read-only", Some(&standby)),
        (&all, "prefer-standby", Some(&standby)),
        (&without_standby, "prefer-standby", Some(&primary)),
        (&without_standby, "standby", None),
    ] {
        let (proxy, alice) = started(bench, places, &format!("target_session_attrs={attrs}&"));
        let (out, err, ok) = proxy.sql(&alice, "SHOW port");
        match expected {
            Some(port) => assert!(ok && out == **port, "{attrs}: {out} {err}"),
            None => assert!(!ok && err.contains("cannot be reached"), "{attrs}: {out} {err}"),
        }
    }
}

/// A server that no longer answers is left: new sessions go to the next one, and those that are still on the old one end, for
/// nobody reads its catalogs any more. Cancel requests go where the session is.
fn sessions_move_together(bench: &Bench) {
    let (standby, _dir) = standby(bench);
    let (primary_port, standby_port) = (bench.postgres.port.to_string(), standby.port.to_string());
    let (proxy, alice) =
        started(bench, &format!("localhost:{standby_port},localhost:{primary_port}"), "target_session_attrs=any&");
    let mut psql = proxy.psql_with(&alice);
    psql.env("PGAPPNAME", "stays").args(["-At", "-c", "SHOW port", "-c", "SELECT pg_sleep(120)"]);
    let child = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a session on the standby", Duration::from_secs(15), || standby.backends("stays") == 1);
    // It takes connections and says nothing, while its backends go on.
    let pid = std::fs::read_to_string(standby.dir.join("data/postmaster.pid")).unwrap();
    let pid: u32 = pid.lines().next().unwrap().parse().unwrap();
    signal("STOP", pid);
    let (out, err, ok) = proxy.sql(&alice, "SHOW port");
    let left = child.wait_with_output();
    signal("CONT", pid);
    assert!(ok && out == primary_port, "{out} {err}");
    let left = left.unwrap();
    let (out, err) = (String::from_utf8_lossy(&left.stdout), String::from_utf8_lossy(&left.stderr));
    assert!(out.contains(&standby_port) && err.contains("another of its servers"), "{out} {err}");
    // It stays there, although the first one answers again.
    let (out, err, ok) = proxy.sql(&alice, "SHOW port");
    assert!(ok && out == primary_port, "{out} {err}");
}

/// The primary is lost and its standby promoted: what was there ends, what comes goes to the new one, by its catalogs.
fn promoted(bench: &Bench) {
    let (first, _dir) = standby(bench);
    let promote = |server: &Postgres| {
        assert_eq!(server.run("postgres", "SELECT pg_promote()"), "t");
    };
    promote(&first);
    let dir = tempfile::Builder::new().prefix("pgws").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let second = first.standby(&dir.path().join("pg"));
    let (one, other) = (first.port.to_string(), second.port.to_string());
    let (proxy, alice) =
        started(bench, &format!("localhost:{one},localhost:{other}"), "target_session_attrs=read-write&");
    let (out, err, ok) = proxy.sql(&alice, "SHOW port");
    assert!(ok && out == one, "{out} {err}");
    let mut psql = proxy.psql_with(&alice);
    psql.env("PGAPPNAME", "before").args(["-At", "-v", "VERBOSITY=verbose", "-c", "SELECT pg_sleep(120)"]);
    let child = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a session on the primary", Duration::from_secs(15), || first.backends("before") == 1);

    drop(first);
    promote(&second);
    second
        .run("plain", "CREATE TABLE public.after_the_promotion AS SELECT 4711 AS one; DROP TABLE public.notes CASCADE");
    // The first statement of the first session is judged by what is there now.
    let (out, err, ok) = proxy.sql(&alice, "SELECT one FROM public.after_the_promotion");
    assert!(ok && out == "4711", "{out} {err}");
    let (_, err, ok) = proxy.sql(&alice, "SELECT * FROM public.notes");
    assert!(!ok && err.contains("notes"), "{err}");
    let (out, ..) = proxy.sql(&alice, "SHOW port");
    assert_eq!(out, other);
    let left = String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned();
    assert!(left.contains("57P") || left.contains("08006") || left.contains("another of its servers"), "{left}");
    let closed = proxy.audit(&["--event", "session_close"]);
    assert!(closed.len() >= 2, "{closed:?}");
}

fn over_a_unix_socket(bench: &Bench) {
    let directory = bench.postgres.dir.display().to_string().replace('/', "%2F");
    let (proxy, alice) = started(bench, &format!("{directory}:{}", bench.postgres.port), "");
    let (out, err, ok) = proxy.sql(&alice, "SELECT count(*) FROM public.notes");
    assert!(ok && out == "10", "{out} {err}");
    interrupted(&proxy, &alice, &bench.postgres);
}

/// Ctrl-C in psql reaches the statement.
fn interrupted(proxy: &Proxy, alice: &Credentials, postgres: &Postgres) {
    let mut psql = proxy.psql_with(alice);
    psql.env("PGAPPNAME", "stopped").args(["-At", "-c", "SELECT pg_sleep(60)"]);
    let child = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stopped' AND state = 'active'";
    wait_until("the statement runs", Duration::from_secs(15), || postgres.run("postgres", running) == "1");
    signal("INT", child.id());
    let err = String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned();
    assert!(err.contains("canceling statement due to user request"), "{err}");
}

fn behind_pgbouncer(bench: &Bench) {
    let bouncer = Bouncer::start(bench);
    let place = format!("localhost:{}", bouncer.port);
    let (proxy, alice) = started(bench, &place, "pool_mode=session&");
    let (out, err, ok) = proxy.sql(&alice, "SELECT count(*) FROM public.notes");
    assert!(ok && out == "10", "{out} {err}");
    let (out, err, ok) = proxy.sql(&alice, "SHOW default_transaction_read_only");
    assert!(ok && out == "on", "{out} {err}");
    // A function that writes, behind a view that may be read.
    let (_, err, ok) = proxy.sql(&alice, "SELECT * FROM public.v_leaky");
    assert!(!ok && err.contains("25006"), "{err}");
    let (_, err, ok) = proxy.sql(&alice, "RESET ALL");
    assert!(!ok && err.contains("42501"), "what was set after the login is not reset: {err}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = connect(&proxy, &alice).await;
        let row = client.query_one("SELECT body FROM public.notes WHERE id = $1", &[&7]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), "note 7");
    });
    interrupted(&proxy, &alice, &bench.postgres);
    // PgBouncer was told to drop what it does not know of the settings at login. That is found out.
    let (proxy, alice) = started(bench, &place, "");
    let (_, err, ok) = proxy.sql(&alice, "SELECT 1");
    assert!(!ok && err.contains("cannot be reached"), "{err}");
    assert!(proxy.log().contains("did not take default_transaction_read_only at login"), "{}", proxy.log());
}

/// PgBouncer in session mode in front of the shared server, with TLS and SCRAM.
struct Bouncer {
    port: u16,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Bouncer {
    fn start(bench: &Bench) -> Self {
        let dir = tempfile::Builder::new().prefix("pgwb").tempdir_in("/tmp").unwrap();
        let port = free_port();
        let key = dir.path().join("server.key");
        std::fs::copy(bench.certs.join("server.key"), &key).unwrap();
        write(&dir.path().join("users"), "\"pgw_admin\" \"pgw_admin_pw\"\n\"shop_backend\" \"shop_backend_pw\"\n");
        let ini = format!(
            "[databases]\n* = host={host} port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {dir}/users\npool_mode = session\n\
             client_tls_sslmode = require\nclient_tls_cert_file = {certs}/server.crt\nclient_tls_key_file = {key}\n\
             ignore_startup_parameters = search_path, default_transaction_read_only, extra_float_digits\n",
            host = bench.postgres.dir.display(),
            server = bench.postgres.port,
            dir = dir.path().display(),
            certs = bench.certs.display(),
            key = key.display(),
        );
        write(&dir.path().join("pgbouncer.ini"), &ini);
        let owned = Command::new("chown").args(["-R", "postgres:postgres"]).arg(dir.path()).status();
        let mut command = match owned {
            Ok(status) if status.success() => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig", "KILL"]);
                command.arg("pgbouncer");
                command
            }
            Ok(_) | Err(_) => Command::new("pgbouncer"),
        };
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        command.arg(dir.path().join("pgbouncer.ini")).env("PATH", path()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(log).spawn().unwrap();
        wait_until("PgBouncer listens", Duration::from_secs(15), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { port, child, _dir: dir }
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian keeps PgBouncer where only root looks.
fn path() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}

fn write(path: &Path, text: &str) {
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}
