//! What is refused leaves a record too: at the start of a connection, at the control port; and bind values read as the server
//! reads them.

use std::io::{Read as _, Write as _};
use std::process::Command;

use serde_json::Value;

use crate::Case;
use crate::support::{Bench, Credentials, Proxy, Scopes, binary, config, raw};

pub const CASES: &[Case] = &[
    ("records::connections_that_come_to_nothing", connections_that_come_to_nothing),
    ("records::refusals_of_the_control_port", refusals_of_the_control_port),
    ("records::binary_values_are_what_the_server_prints", binary_values_are_what_the_server_prints),
    ("records::values_are_hashed_with_a_key_or_left_out", values_are_hashed_with_a_key_or_left_out),
    ("records::a_hostile_name_is_harmless", a_hostile_name_is_harmless),
    ("records::a_secret_stands_nowhere", a_secret_stands_nowhere),
];

fn details(records: &[Value], event: &str) -> Vec<String> {
    let of = records.iter().filter(|record| record["event"] == event);
    of.map(|record| format!("{} {}", record["principal"].as_str().unwrap_or("-"), record["detail"])).collect()
}

fn connections_that_come_to_nothing(bench: &Bench) {
    let unreachable = crate::support::free_port();
    let proxy = Proxy::start(bench, &|setup| {
        let upstream = format!("localhost:{}/shop", setup.upstream_port);
        config(setup, &Scopes::default()).replace(&upstream, &format!("localhost:{unreachable}/shop"))
    });
    let mut plain = raw::plain(&proxy);
    plain.write_all(&raw::startup(&[("user", "alice")])).unwrap();
    raw::drain(&mut plain);
    let mut garbage = raw::plain(&proxy);
    garbage.write_all(&raw::SSL_REQUEST).unwrap();
    garbage.read_exact(&mut [0]).unwrap();
    garbage.write_all(b"\x16\x03\x01\0\x04nope").unwrap();
    raw::drain(&mut garbage);
    let mut cancel = raw::plain(&proxy);
    cancel.write_all(&[0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 9, 9, 9, 9]).unwrap();
    raw::drain(&mut cancel);
    let login = |user: &str, password: &str, database: &str| {
        let minted = Credentials { user: user.into(), password: password.into(), database: database.into() };
        assert!(!proxy.sql(&minted, "SELECT 1").2);
    };
    login("mallory", "guess", "plain");
    login("alice", "guess", "plain");
    let alice = proxy.credentials("alice", "plain");
    login("alice", &alice.password, "plain");
    proxy.grant("alice", "world", "30m");
    let shop = proxy.credentials("alice", "shop");
    login("alice", &shop.password, "shop");
    let mut refused = proxy.psql_with(&alice);
    refused.env("PGOPTIONS", "-c role=postgres").args(["-c", "SELECT 1"]);
    assert!(!refused.output().unwrap().status.success());
    let records = proxy.audit(&[]);
    let startups = details(&records, "startup_refused");
    for expected in ["TLS is required", "TLS handshake failed", "\\\"role\\\" is refused"] {
        assert_eq!(startups.iter().filter(|found| found.contains(expected)).count(), 1, "{expected}: {startups:#?}");
    }
    assert!(startups.iter().any(|found| found.starts_with("alice ") && found.contains("role")), "{startups:#?}");
    let denied = details(&records, "login_denied");
    for (who, why) in [
        ("mallory ", "wrong password or unknown user"),
        ("alice ", "wrong password or unknown user"),
        ("alice ", "no live grant"),
        ("alice ", "cannot be reached"),
    ] {
        let found = denied.iter().filter(|found| found.starts_with(who) && found.contains(why)).count();
        assert_eq!(found, 1, "{who}{why}: {denied:#?}");
    }
    assert!(details(&records, "cancel").iter().any(|found| found.contains("no session has this key")), "{records:#?}");
}

fn refusals_of_the_control_port(bench: &Bench) {
    let proxy = bench.proxy();
    let filed = proxy.json("bob", &["request", "plain-two", "--for", "30m", "--reason", "for myself"]);
    let id = filed["id"].as_str().unwrap();
    assert!(!proxy.cli("bob", &["approve", id]).status.success(), "nobody approves their own request");
    let grant = proxy.grant("alice", "plain-read", "30m");
    assert!(!proxy.cli("erin", &["revoke", &grant]).status.success(), "it is not erin's to revoke");
    let mut stranger = Command::new(binary());
    stranger.args(["grants"]).env("PGWARD_URL", format!("https://127.0.0.1:{}", proxy.setup.control_port));
    stranger.env("PGWARD_TOKEN", "pgw_0000000000000000").env("PGWARD_CA", proxy.setup.certs.join("ca.crt"));
    for _ in 0..8 {
        assert!(!stranger.env("HOME", &proxy.setup.dir).output().unwrap().status.success());
    }
    let records = proxy.audit(&[]);
    let refused: Vec<_> = records.iter().filter(|record| record["event"] == "access_refused").collect();
    let by =
        |who: &str| refused.iter().find(|record| record["principal"] == who).unwrap_or_else(|| panic!("{records:#?}"));
    assert!(by("bob")["detail"].as_str().unwrap().contains("/approve"), "{:#?}", by("bob"));
    assert_eq!((by("bob")["request"].as_str(), by("bob")["verdict"].as_str()), (Some(id), Some("deny")));
    assert!(by("erin")["detail"].as_str().unwrap().contains("/revoke"), "{:#?}", by("erin"));
    let strangers = refused.iter().filter(|record| record["rule"] == "unauthenticated").count();
    assert_eq!(strangers, 8, "{refused:#?}");
    assert_eq!(proxy.audit(&["--verdict", "allow"]).iter().filter(|r| r["event"] == "access_refused").count(), 0);
}

/// Types, with a value of each as SQL.
const VALUES: &[(&str, &str)] = &[
    ("float8", "1e15"),
    ("float8", "123456789012345"),
    ("float8", "-1.5e300"),
    ("float8", "1.2e-5"),
    ("float8", "'-0'"),
    ("float4", "1e6"),
    ("float4", "1234567"),
    ("float4", "0.00001"),
    ("bool", "true"),
    ("int2", "-7"),
    ("int4", "2147483647"),
    ("int8", "-9223372036854775808"),
    ("oid", "4294967295"),
    ("float4", "1.5"),
    ("float8", "-2.25"),
    ("float8", "'NaN'"),
    ("text", "E'a\\nb'"),
    ("bpchar", "'x'"),
    ("name", "'n'"),
    ("bytea", "'\\x00ff'"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    ("date", "'2024-02-29'"),
    ("date", "'0044-03-15 BC'"),
    ("date", "'infinity'"),
    ("time", "'23:59:59.123456'"),
    ("timetz", "'12:30:00+05:30'"),
    ("timestamp", "'1969-07-20 20:17:40.5'"),
    ("timestamptz", "'2024-01-01 00:00:00+00'"),
    ("interval", "'1 year 2 mons -3 days 04:05:06.7'"),
    ("interval", "'-00:00:01'"),
    ("numeric", "12345678901234567890.000123"),
    ("numeric", "-0.00001"),
    ("numeric", "10000000"),
    ("numeric", "'NaN'"),
    ("json", "'{\"a\": [1, null]}'"),
    ("jsonb", "'{\"a\": [1, null]}'"),
    ("inet", "'10.1.2.3/8'"),
    ("inet", "'::1'"),
    ("cidr", "'10.0.0.0/8'"),
    ("macaddr", "'08:00:2b:01:02:03'"),
    ("bit", "B'1'"),
    ("varbit", "B'10110'"),
    ("_int4", "'{1,NULL,3}'"),
    ("_text", "'{\"a b\",\"c\\\"d\",\"\",null,\"NULL\"}'"),
    ("_int4", "'{{1,2},{3,4}}'"),
    ("_int4", "'[0:1]={1,2}'"),
    ("_numeric", "'{1.10,2}'"),
    ("int4range", "'[1,5)'"),
    ("numrange", "'(,2.5]'"),
    ("tsrange", "'[2024-01-01 00:00:00,)'"),
    ("daterange", "'empty'"),
    ("_int4range", "'{\"[1,2)\"}'"),
    ("int4multirange", "'{[1,2),[5,7)}'"),
];

fn binary_values_are_what_the_server_prints(bench: &Bench) {
    use pgward::wire::value::{Shape, text};
    let mut checked = 0;
    for (name, value) in VALUES {
        let send =
            bench.postgres.run("postgres", &format!("SELECT typsend::text FROM pg_type WHERE typname = '{name}'"));
        let typed = format!("({value})::pg_catalog.{name}");
        let sql = format!(
            "SET timezone = 'UTC'; SELECT 'pg_catalog.{name}'::regtype::oid, encode({send}({typed}), 'hex'), encode(convert_to(format('%s', {typed}), 'UTF8'), 'hex')"
        );
        let row = bench.postgres.run("postgres", &sql);
        let parts: Vec<&str> = row.lines().last().unwrap().split('|').collect();
        let printed = String::from_utf8(from_hex(parts[2])).unwrap();
        let read = text(parts[0].parse().unwrap(), &from_hex(parts[1]), &|_| Shape::Unknown);
        assert_eq!(read.as_deref(), Some(printed.as_str()), "{typed}");
        checked += 1;
    }
    assert_eq!(checked, VALUES.len());
}

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn values_are_hashed_with_a_key_or_left_out(bench: &Bench) {
    for mode in ["hash", "omit"] {
        let proxy = Proxy::start(bench, &|setup| {
            config(setup, &Scopes::default()).replace("/audit\"\n", &format!("/audit\"\nparameters = \"{mode}\"\n"))
        });
        proxy.grant("alice", "plain-read", "30m");
        let alice = proxy.credentials("alice", "plain");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let client = crate::support::connect(&proxy, &alice).await;
            let text = "SELECT id FROM public.notes WHERE id = $1 AND body = $2";
            client.query(text, &[&4_i32, &"note 4"]).await.unwrap();
        });
        let found = proxy.audit(&["--text", "WHERE id = $1"]);
        let of = found.iter().find(|record| record["kind"] == "SELECT").unwrap();
        if mode == "omit" {
            assert_eq!((&of["parameters"], &of["parameter_count"]), (&Value::Null, &Value::from(2)), "{of}");
            continue;
        }
        let hash = of["parameters"][0].as_str().unwrap();
        let key = std::fs::read(proxy.setup.dir.join("audit.hmac")).unwrap();
        let hashes = pgward::audit::HashKey::new(&key.try_into().unwrap());
        assert_eq!(hash, hashes.hash(b"4"), "{of}");
        assert_eq!(of["parameters"][1], hashes.hash(b"note 4"), "{of}");
        assert!(!found.iter().any(|record| record.to_string().contains("note 4")));
    }
}

fn a_hostile_name_is_harmless(bench: &Bench) {
    let proxy = bench.proxy();
    let hostile = "al\u{1b}[31m\u{202e}\u{7}<script>";
    let mut tls = raw::tls(&proxy);
    tls.write_all(&raw::startup(&[("user", hostile), ("database", "plain"), ("nosuch\u{1b}[2J", "1")])).unwrap();
    raw::drain(&mut tls);
    proxy.grant("alice", "plain-read", "30m");
    let minted = proxy.credentials("alice", "plain");
    let text = "SELECT '\u{1b}]0;owned\u{7}\u{202e}' -- \u{200b}";
    assert!(
        proxy.psql_with(&minted).env("PGAPPNAME", "a\u{202e}b").args(["-c", text]).output().unwrap().status.success()
    );
    let is_dangerous = |c: char| c != '\n' && (c.is_control() || ('\u{200b}'..='\u{202e}').contains(&c));
    for arguments in
        [&["audit", "search"][..], &["audit", "export", "--format", "csv"], &["audit", "export", "--format", "jsonl"]]
    {
        let output = proxy.cli("bob", arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains("owned") && printed.contains("script"), "{arguments:?}: {printed}");
        let printed = printed.replace("\r\n", "\n");
        assert!(!printed.chars().any(is_dangerous), "{arguments:?}: {printed:?}");
    }
    let found = proxy.audit(&["--text", "owned"]);
    let statement = found.iter().find(|record| record["event"] == "statement").unwrap();
    assert_eq!(statement["statement"], text, "nothing of it is lost");
    let shown = proxy.cli("bob", &["audit", "show", &statement["seq"].to_string()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("owned") && !shown.chars().any(is_dangerous), "{shown:?}");
    let all = proxy.audit(&[]);
    let refused = all.iter().find(|record| record["event"] == "startup_refused").unwrap();
    assert_eq!(refused["principal"], hostile, "who it claimed to be is not lost either");
}

fn a_secret_stands_nowhere(bench: &Bench) {
    const SECRET: &str = "hunter2Q7";
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    for text in [
        format!("ALTER ROLE victim PASSWORD '{SECRET}'"),
        format!("CREATE USER MAPPING FOR alice SERVER s OPTIONS (password $x${SECRET}$x$)"),
        format!(
            "PREPARE p AS SELECT id FROM public.notes WHERE secret = $1; EXECUTE p('{SECRET}'); SELECT 1 -- {SECRET}"
        ),
        format!("SELECT id FROM public.notes WHERE secret = U&'{SECRET}'"),
        format!("SELECT dblink_connect('host=h password={SECRET}')"),
        format!("SET pgward.reason = 'password={SECRET}'; SELECT 1"),
        format!("ALTER ROLE victim PASSWORD '{SECRET}"),
        format!("DO $$ BEGIN EXECUTE 'ALTER ROLE a PASSWORD ''{SECRET}'''; END $$"),
        format!("SELECT nothing FROM public.notes WHERE secret = '{SECRET}'"),
    ] {
        // Some are refused; all of them are recorded.
        proxy.sql(&alice, &text);
    }
    let mut sleeping = proxy.psql_with(&alice);
    let text = format!("SELECT pg_sleep(60), 'postgres://u:{SECRET}@h/d'");
    let mut sleeping = sleeping.args(["-c", &text]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut listed = String::new();
    crate::support::wait_until("the session is listed with its statement", std::time::Duration::from_secs(20), || {
        listed = String::from_utf8(proxy.cli("bob", &["sessions", "-o", "json"]).stdout).unwrap();
        listed.contains("pg_sleep")
    });
    assert!(!listed.contains(SECRET), "{listed}");
    sleeping.kill().unwrap();
    sleeping.wait().unwrap();
    let explained = proxy.cli("alice", &["explain", "plain", &format!("ALTER ROLE victim PASSWORD '{SECRET}'")]);
    assert!(!String::from_utf8_lossy(&explained.stdout).contains(SECRET), "{explained:?}");
    let found = proxy.audit(&[]);
    assert!(found.iter().filter(|record| record["redacted"].is_array()).count() >= 9, "{found:#?}");
    let leaked: Vec<_> = found.iter().filter(|record| record.to_string().contains(SECRET)).collect();
    assert!(leaked.is_empty(), "{leaked:#?}");
    assert!(!proxy.log().contains(SECRET));
    for entry in std::fs::read_dir(proxy.setup.dir.join("audit")).unwrap().flatten().filter(|e| e.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(!raw::holds(&bytes, SECRET), "{}", entry.path().display());
    }
}
