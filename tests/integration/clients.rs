//! What developers and applications point at pgward: psql, pgbench, psycopg 3, tokio-postgres.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Case;
use crate::support::{Bench, Credentials, Proxy, signal, wait_until};

pub const CASES: &[Case] = &[
    ("clients::psql_describes_objects", psql_describes_objects),
    ("clients::psql_asks_for_what_holds_no_secret", psql_asks_for_what_holds_no_secret),
    ("clients::psql_copies_both_ways", psql_copies_both_ways),
    ("clients::psql_interrupts_a_statement", psql_interrupts_a_statement),
    ("clients::psql_watches", psql_watches),
    ("clients::pgbench_prepared_in_a_pipeline", pgbench_prepared_in_a_pipeline),
    ("clients::psycopg", psycopg),
    ("clients::tokio_postgres", tokio_postgres_queries),
    ("clients::connect_execs_psql_without_a_secret_in_argv", connect_execs_psql),
    ("clients::a_client_certificate_in_place_of_a_password", client_certificate),
    ("clients::an_application_with_a_stable_secret", application_with_a_stable_secret),
];

fn psql_describes_objects(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "world", "30m");
    let alice = proxy.credentials("alice", "shop");
    let commands = [
        (r"\d", "v_orders"),
        (r"\dt", "customers"),
        (r"\d public.orders", "customer_id"),
        (r"\d+ public.v_orders", "extended"),
        (r"\dn", "public"),
        (r"\df public.*", "order_count"),
        (r"\l", "shop"),
        (r"\du", "shop_backend"),
        (r"\dv", "v_orders"),
        (r"\di", "orders_pkey"),
        (r"\ds", "orders_id_seq"),
        (r"\dT public.*", "traced_int"),
        (r"\dp public.orders", "grant_oracle"),
        (r"\conninfo", "SSL connection"),
    ];
    for (command, expected) in commands {
        let (out, err, ok) = proxy.sql(&alice, command);
        assert!(ok && out.contains(expected), "{command}: {out}\n{err}");
    }
}

/// Every backslash command either works or is refused by name, never for want of understanding.
fn psql_asks_for_what_holds_no_secret(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "world", "30m");
    let alice = proxy.credentials("alice", "shop");
    let works = [
        r"\d+",
        r"\d+ public.orders",
        r"\d+ public.customers",
        r"\d+ public.v_salaries",
        r"\d+ public.mv_pay",
        r"\d+ public.events",
        r"\d+ public.orders_id_seq",
        r"\d+ public.orders_pkey",
        r"\da",
        r"\dA",
        r"\dA+",
        r"\dAc",
        r"\dAf",
        r"\dAo",
        r"\dAp",
        r"\db",
        r"\db+",
        r"\dc",
        r"\dC",
        r"\dC+",
        r"\dd",
        r"\dD",
        r"\dD+",
        r"\ddp",
        r"\dE",
        r"\dE+",
        r"\des",
        r"\det",
        r"\det+",
        r"\deu",
        r"\dew",
        r"\df",
        r"\dfa",
        r"\dfn public.*",
        r"\dft",
        r"\dF",
        r"\dF+ english",
        r"\dFd",
        r"\dFp+ default",
        r"\dFt",
        r"\dg",
        r"\dg+",
        r"\di+",
        r"\dl",
        r"\dL",
        r"\dL+",
        r"\dm+",
        r"\dn+",
        r"\do",
        r"\do+ public.*",
        r"\dO",
        r"\dp",
        r"\dP",
        r"\dP+",
        r"\dPn",
        r"\dRp",
        r"\dRp+",
        r"\dRs",
        r"\ds+",
        r"\dS+ pg_class",
        r"\dt+",
        r"\dT",
        r"\dT+",
        r"\du+",
        r"\dv+",
        r"\dx",
        r"\dx+ plpgsql",
        r"\dX",
        r"\dX+",
        r"\dy",
        r"\dy+",
        r"\l+",
        r"\lo_list",
        r"\sv public.v_orders",
        r"\sv+ public.v_orders",
        r"\z",
        r"\encoding",
    ];
    let file = proxy.setup.dir.join("asked.sql");
    std::fs::write(&file, works.join("\n")).unwrap();
    let (_, err, _) = proxy.sql(&alice, &format!(r"\i {}", file.display()));
    assert!(!err.contains("ERROR") && !err.contains("invalid command"), "{err}");
    let refused = [
        r"\df+",
        r"\sf public.top_salary",
        r"\des+",
        r"\deu+",
        r"\dew+",
        r"\dRs+",
        r"\drds",
        r"\dconfig",
        r"\dconfig work_mem",
    ];
    for command in refused {
        let (_, err, _) = proxy.sql(&alice, command);
        assert!(err.contains("permission denied for"), "{command}: {err}");
    }
}

fn psql_copies_both_ways(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-write", "30m");
    let alice = proxy.credentials("alice", "plain");
    let file = proxy.setup.dir.join("copied.csv");
    let name = file.display();
    let (_, err, ok) = proxy.sql(&alice, &format!(r"\copy public.wide to '{name}' csv"));
    assert!(ok, "{err}");
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 20_000);

    let (_, err, ok) = proxy.sql(&alice, "TRUNCATE public.sink");
    assert!(ok, "{err}");
    let (out, err, ok) = proxy.sql(&alice, &format!(r"\copy public.sink from '{name}' csv"));
    assert!(ok && out == "COPY 20000", "{out} {err}");
    let sent = bench.postgres.run("plain", "SELECT count(*), md5(string_agg(body, '' ORDER BY id)) FROM public.sink");
    let kept = bench.postgres.run("plain", "SELECT count(*), md5(string_agg(filler, '' ORDER BY id)) FROM public.wide");
    assert_eq!(sent, kept);

    let copies: Vec<_> =
        proxy.audit(&["--principal", "alice"]).into_iter().filter(|r| r["event"] == "statement_end").collect();
    let counts: Vec<_> = copies.iter().filter_map(|record| record["rows"].as_u64()).collect();
    assert_eq!(counts.iter().filter(|rows| **rows == 20_000).count(), 2, "rows of COPY out and in: {counts:?}");
}

fn psql_interrupts_a_statement(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let mut psql = proxy.psql("alice", "plain");
    psql.env("PGAPPNAME", "ctrl-c").args(["-At", "-c", "SELECT pg_sleep(60)", "-c", "SELECT 'still here'"]);
    let child = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ctrl-c' AND state = 'active'";
    wait_until("the statement runs", Duration::from_secs(10), || bench.postgres.run("postgres", running) == "1");
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("canceling statement due to user request"), "{err}");
    wait_until("the backend is gone", Duration::from_secs(5), || bench.postgres.backends("ctrl-c") == 0);
    assert!(proxy.audit(&[]).iter().any(|record| record["event"] == "cancel"));
}

fn psql_watches(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let mut child =
        proxy.psql("alice", "plain").arg("-At").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, r"SELECT 'tick' FROM public.notes WHERE id = 1 \watch 0.2").unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ticks = lines.map_while(Result::ok).filter(|line| line == "tick").take(3).count();
    signal("INT", child.id());
    drop(stdin);
    assert_eq!(ticks, 3);
    child.wait().unwrap();
}

fn pgbench_prepared_in_a_pipeline(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let script = proxy.setup.dir.join("pipeline.sql");
    let pipeline = "\\startpipeline\nSELECT body FROM public.notes WHERE id = 1;\nSELECT count(*) FROM public.notes;\n\\endpipeline\n";
    std::fs::write(&script, pipeline).unwrap();
    for mode in ["prepared", "extended"] {
        let output = proxy
            .client("pgbench", &alice)
            .args(["-n", "-M", mode, "-c", "4", "-t", "25", "-f"])
            .arg(&script)
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success() && out.contains("transactions actually processed: 100/100"),
            "{mode}: {out}{err}"
        );
    }
}

fn psycopg(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "world", "30m");
    let alice = proxy.credentials("alice", "shop");
    run_python(&proxy, &alice, include_str!("psycopg_tour.py"));
}

/// Runs a script with Debian's Python, which has psycopg from Debian's package.
fn run_python(proxy: &Proxy, minted: &Credentials, script: &str) {
    let output = proxy.client("/usr/bin/python3", minted).arg("-c").arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn tokio_postgres_queries(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "world", "30m");
    let alice = proxy.credentials("alice", "shop");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = crate::support::connect(&proxy, &alice).await;
        let rows = client.query("SELECT id, name FROM public.customers WHERE id = $1", &[&3]).await.unwrap();
        assert_eq!(rows[0].get::<_, String>(1), "cust 3");
        let refused = client.query("SELECT ssn FROM public.customers WHERE id = $1", &[&3]).await.unwrap_err();
        let refused = refused.as_db_error().unwrap();
        assert_eq!(refused.code().code(), "42501", "{refused:?}");
        assert!(refused.detail().is_some() && refused.hint().is_some(), "{refused:?}");
        let again: i64 = client.query_one("SELECT count(*) FROM public.orders", &[]).await.unwrap().get(0);
        assert_eq!(again, 20);
    });
}

fn connect_execs_psql(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let mut connect = Command::new(crate::support::binary());
    connect
        .args([
            "connect",
            "plain",
            "--",
            "-X",
            "-At",
            "-c",
            "SELECT pg_sleep(1)",
            "-c",
            "SELECT body FROM public.notes WHERE id = 7",
        ])
        .env("PGWARD_URL", format!("https://127.0.0.1:{}", proxy.setup.control_port))
        .env("PGWARD_TOKEN", proxy.token("alice"))
        .env("PGWARD_CA", proxy.setup.certs.join("ca.crt"))
        .env("HOME", &proxy.setup.dir);
    let child = connect.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = format!("/proc/{}", child.id());
    wait_until("psql runs", Duration::from_secs(10), || {
        std::fs::read_to_string(format!("{process}/comm")).is_ok_and(|comm| comm.trim() == "psql")
    });
    let argv = String::from_utf8_lossy(&std::fs::read(format!("{process}/cmdline")).unwrap()).into_owned();
    assert!(!argv.contains("password"), "{argv}");
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("note 7"), "{}", String::from_utf8_lossy(&output.stderr));
}

fn client_certificate(bench: &Bench) {
    let proxy = Proxy::start(bench, &|setup| {
        let own = setup.dir.join("own");
        let made = Command::new(crate::support::binary())
            .arg("dev-certs")
            .arg(&own)
            .args(["--client", "alice"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let theirs = format!("tls_key = \"{}/server.key\"\n", setup.certs.display());
        let ours = format!("tls_key = \"{0}/server.key\"\nclient_ca = \"{0}/ca.crt\"\n", own.display());
        let text = crate::support::config(setup, &crate::support::Scopes::default());
        let text = text.replacen(&theirs, &ours, 1);
        text.replacen(&format!("{}/server.crt", setup.certs.display()), &format!("{}/server.crt", own.display()), 1)
    });
    proxy.grant("alice", "plain-read", "30m");
    let own = proxy.setup.dir.join("own");
    let by_certificate = |user: &str| {
        let minted = Credentials { user: user.into(), password: String::new(), database: "plain".into() };
        let mut psql = proxy.psql_with(&minted);
        psql.env_remove("PGPASSWORD").env("PGSSLROOTCERT", own.join("ca.crt"));
        psql.env("PGSSLCERT", own.join("client.crt")).env("PGSSLKEY", own.join("client.key"));
        psql.args(["-w", "-At", "-c", "SELECT count(*) FROM public.notes"]).output().unwrap()
    };
    let output = by_certificate("alice");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == b"10\n", "{err}");
    assert!(!by_certificate("erin").status.success(), "alice's certificate is not erin's");
    let mut by_password = proxy.psql_with(&proxy.credentials("alice", "plain"));
    by_password.env("PGSSLROOTCERT", own.join("ca.crt")).args(["-At", "-c", "SELECT 1"]);
    assert!(by_password.output().unwrap().status.success(), "a password still does without a certificate");
}

fn application_with_a_stable_secret(bench: &Bench) {
    // The verifier is made by PostgreSQL itself, as a user would copy it from pg_authid.
    bench
        .postgres
        .run("postgres", "DROP ROLE IF EXISTS verifier_maker; CREATE ROLE verifier_maker PASSWORD 'billing secret'");
    let verifier = bench.postgres.run("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'verifier_maker'");
    let proxy = Proxy::start(bench, &|setup| {
        let base = crate::support::config(setup, &crate::support::Scopes::default());
        base.replace("name = \"billing\"\n", &format!("name = \"billing\"\nscram = \"{verifier}\"\n"))
    });
    let billing = Credentials { user: "billing".into(), password: "billing secret".into(), database: "plain".into() };
    let (_, err, ok) = proxy.sql(&billing, "SELECT 1");
    assert!(!ok && err.contains("no live grant for \"billing\" on \"plain\""), "{err}");
    proxy.grant("billing", "plain-read", "10m");
    let (out, err, ok) = proxy.sql(&billing, "SELECT count(*) FROM public.notes");
    assert!(ok && out == "10", "{err}");
    let minted = proxy.credentials("billing", "plain");
    let (out, err, ok) = proxy.sql(&minted, "SELECT count(*) FROM public.notes");
    assert!(ok && out == "10", "a minted password beside the stable one: {err}");
}
