//! Where data lies, where clients stand, and what may pass between: partitions and views, rules of clients and of leaving,
//! load balancers, one upstream per region.

use std::io::{Read, Write};
use std::time::Duration;

use crate::Case;
use crate::support::balancer::{self, Balancer};
use crate::support::{Bench, Credentials, Proxy, Scopes, Setup, config, connect, raw, wait_until};

pub const CASES: &[Case] = &[
    ("residency::rows_decide_not_names", rows_decide_not_names),
    ("residency::data_is_not_moved_between_regions", data_is_not_moved),
    ("residency::what_leaves_is_counted_over_all_sessions", what_leaves_is_counted),
    ("residency::portals_and_pipelines_count_too", portals_count_too),
    ("residency::a_store_that_cannot_count_lets_nothing_leave", store_that_cannot_count),
    ("residency::the_count_survives_a_crash", count_survives_a_crash),
    ("residency::clients_stand_where_the_load_balancer_says", clients_behind_a_balancer),
    ("residency::only_listed_load_balancers_are_believed", only_listed_balancers),
    ("residency::one_upstream_per_region", one_upstream_per_region),
    ("residency::an_upstream_that_is_missing_is_told_by_check", check_reaches_all_upstreams),
];

const SCHEMA: &str = "
CREATE SCHEMA eu;
CREATE TABLE public.notes (id int PRIMARY KEY, body text);
INSERT INTO public.notes SELECT n, 'note ' || n FROM generate_series(1, 20) n;
CREATE TABLE eu.people (id int PRIMARY KEY, name text);
INSERT INTO eu.people SELECT n, 'person ' || n FROM generate_series(1, 3000) n;
CREATE TABLE public.events (id int, region text, body text) PARTITION BY LIST (region);
CREATE TABLE public.events_us PARTITION OF public.events FOR VALUES IN ('us');
CREATE TABLE eu.events_eu PARTITION OF public.events FOR VALUES IN ('eu');
INSERT INTO public.events VALUES (1, 'us', 'a'), (2, 'eu', 'b');
CREATE TABLE public.base (id int);
CREATE TABLE eu.child () INHERITS (public.base);
CREATE VIEW public.v_people AS SELECT name FROM eu.people;
CREATE MATERIALIZED VIEW public.m_people AS SELECT count(*) AS n FROM eu.people;
CREATE TABLE public.listed (id int);
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE public.remote (id int) SERVER nowhere;
";

/// A database of this name with [`SCHEMA`].
fn database(bench: &Bench, name: &str) {
    bench.postgres.run("postgres", &format!("CREATE DATABASE {name}"));
    bench.postgres.run(name, SCHEMA);
}

/// What a case sets besides the database itself.
#[derive(Default)]
struct Rules {
    /// Lines of `[regions.eu-west]`.
    region: &'static str,
    /// Lines of `[[database]]` and what belongs to it.
    database: String,
    proxy: String,
}

/// Logical database "res" on the PostgreSQL database `name`, in us-east but for schema eu; and a scope for each region,
/// and for both.
fn proxy(bench: &Bench, name: &'static str, rules: &Rules) -> Proxy {
    Proxy::start(bench, &|setup| {
        let scope = |scope: &str, regions: &str| {
            format!(
                r#"
[[scope]]
name = "{scope}"
database = "res"
regions = [{regions}]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1h"
unfiltered_writes = true
[[scope.allow]]
on = ["public.*", "eu.*"]
do = ["select", "insert", "update", "delete", "ddl"]
"#
            )
        };
        let more = [
            format!("[[database]]\nname = \"res\"\n{}\nregion = \"us-east\"\n", upstream(setup, name)),
            "[[database.data]]\non = \"eu.*\"\nregion = \"eu-west\"\n".to_owned(),
            rules.database.replace("{upstream_eu}", &upstream(setup, "res_route_eu")),
            scope("res-us", "\"us-east\""),
            scope("res-eu", "\"eu-west\""),
            scope("res-both", "\"us-east\", \"eu-west\""),
        ];
        let scopes = Scopes { more: more.concat(), proxy: rules.proxy.clone(), ..Scopes::default() };
        config(setup, &scopes)
            .replace("networks = [\"10.20.0.0/16\"]", &format!("networks = [\"10.20.0.0/16\"]\n{}", rules.region))
    })
}

fn upstream(setup: &Setup, name: &str) -> String {
    let (port, certs, dir) = (setup.upstream_port, setup.certs.display(), setup.dir.display());
    format!(
        "upstream = \"postgresql://pgw_admin@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={certs}/ca.crt\"\n\
         password_file = \"{dir}/admin_password\""
    )
}

fn allowed(proxy: &Proxy, who: &Credentials, sql: &str) -> String {
    let (out, err, ok) = proxy.sql(who, sql);
    assert!(ok, "{sql}: {err}");
    out
}

/// The error of a refused statement, which has to hold every one of `parts`.
fn refused(proxy: &Proxy, who: &Credentials, sql: &str, parts: &[&str]) {
    let (out, err, ok) = proxy.sql(who, sql);
    assert!(!ok, "{sql}: {out}");
    for part in parts {
        assert!(err.contains(part), "{sql}: no `{part}` in: {err}");
    }
}

/// The same as [`Proxy::sql`] through a load balancer.
fn sql_by(balancer: &Balancer, proxy: &Proxy, who: &Credentials, sql: &str) -> (String, String, bool) {
    let mut psql = proxy.psql_with(who);
    psql.env("PGPORT", balancer.port.to_string()).args(["-At", "-v", "VERBOSITY=verbose", "-c", sql]);
    let output = psql.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (text(&output.stdout), text(&output.stderr), output.status.success())
}

fn behind(proxy: &Proxy, source: &str) -> Balancer {
    Balancer::start(proxy, balancer::header(source))
}

fn trusted() -> String {
    format!("proxy_protocol_from = [\"{}\"]", balancer::NETWORK)
}

fn rows_decide_not_names(bench: &Bench) {
    database(bench, "res_rows");
    let proxy = proxy(bench, "res_rows", &Rules::default());
    let grant = proxy.grant("alice", "res-us", "30m");
    let alice = proxy.credentials("alice", "res");
    allowed(&proxy, &alice, "SELECT * FROM public.notes");
    allowed(&proxy, &alice, "SELECT * FROM public.events_us");
    allowed(&proxy, &alice, "SELECT * FROM ONLY public.base");
    let parts = ["42501", "eu.events_eu", "region eu-west", "partition or child of public.events", "rule region"];
    refused(&proxy, &alice, "SELECT * FROM public.events", &parts);
    refused(&proxy, &alice, "SELECT * FROM public.events", &["pgward request res-both"]);
    refused(&proxy, &alice, "UPDATE public.events SET body = 'x'", &["eu.events_eu"]);
    refused(&proxy, &alice, "INSERT INTO public.events VALUES (3, 'us', 'c')", &["eu.events_eu"]);
    refused(&proxy, &alice, "SELECT * FROM public.base", &["eu.child", "child of public.base"]);
    refused(&proxy, &alice, "SELECT * FROM public.v_people", &["eu.people", "behind public.v_people"]);
    refused(&proxy, &alice, "SELECT * FROM public.m_people", &["eu.people", "behind public.m_people"]);
    refused(&proxy, &alice, "SELECT * FROM public.remote", &["42501", "public.remote", "not known", "rule region"]);
    refused(&proxy, &alice, "COPY eu.people TO STDOUT", &["eu.people", "region eu-west"]);
    let records = proxy.audit(&["--verdict", "deny", "--text", "SELECT * FROM public.events"]);
    assert_eq!(records.last().unwrap()["rule"], "region");

    proxy.revoke(&grant);
    proxy.grant("alice", "res-both", "30m");
    for table in ["public.events", "public.base", "public.v_people", "public.m_people", "eu.people"] {
        allowed(&proxy, &alice, &format!("SELECT count(*) FROM {table}"));
    }
    refused(&proxy, &alice, "SELECT * FROM public.remote", &["where its data lies is not known"]);
}

fn data_is_not_moved(bench: &Bench) {
    database(bench, "res_moves");
    let database = "[[database.data]]\non = \"public.listed\"\nregion = \"eu-west\"\n".to_owned();
    let proxy = proxy(bench, "res_moves", &Rules { database, ..Rules::default() });
    proxy.grant("alice", "res-both", "30m");
    let alice = proxy.credentials("alice", "res");
    for sql in [
        "INSERT INTO public.notes SELECT id + 100000, name FROM eu.people",
        "INSERT INTO public.notes SELECT 100000, name FROM public.v_people",
        "WITH p AS (SELECT * FROM eu.people) INSERT INTO public.notes SELECT id + 100000, name FROM p",
        "UPDATE public.notes SET body = name FROM eu.people WHERE notes.id = people.id",
        "MERGE INTO public.notes USING eu.people ON notes.id = people.id WHEN MATCHED THEN UPDATE SET body = name",
        "CREATE TABLE public.copied AS SELECT * FROM eu.people",
        "SELECT * INTO public.copied FROM eu.people",
        "CREATE MATERIALIZED VIEW public.copied AS SELECT * FROM eu.people",
        "CREATE TABLE public.copied AS SELECT * FROM eu.people FOR UPDATE",
        "INSERT INTO public.notes SELECT id + 100000, name FROM eu.people FOR UPDATE",
        "WITH u AS (UPDATE eu.people SET name = name RETURNING *) INSERT INTO public.notes SELECT id + 100000, name FROM u",
        "WITH d AS (DELETE FROM eu.people RETURNING *) INSERT INTO public.notes SELECT id + 100000, name FROM d",
        "WITH i AS (INSERT INTO eu.people VALUES (0, 'x') RETURNING *) INSERT INTO public.notes SELECT 100000, name FROM i",
        "INSERT INTO public.notes VALUES (100000, (SELECT name FROM eu.people LIMIT 1))",
        "ALTER TABLE public.listed RENAME TO unlisted",
        "UPDATE public.events SET region = 'us' WHERE id = 2",
        "INSERT INTO public.events SELECT id, 'us', name FROM eu.people",
        "PREPARE p AS INSERT INTO public.notes SELECT id + 100000, name FROM eu.people",
        "EXPLAIN ANALYZE INSERT INTO public.notes SELECT id + 100000, name FROM eu.people",
    ] {
        refused(
            &proxy,
            &alice,
            sql,
            &["42501", "data of region eu-west would be written to region us-east", "rule export"],
        );
    }
    for sql in [
        "INSERT INTO eu.people SELECT id + 100000, body FROM public.notes",
        "INSERT INTO public.events VALUES (3, 'eu', 'c') RETURNING id, body",
        "UPDATE public.events SET body = body || '!' WHERE id = 2 RETURNING body",
        "DELETE FROM public.notes USING eu.people WHERE notes.id = people.id AND people.name = 'person 7'",
        "SELECT * FROM eu.people LIMIT 1 FOR UPDATE",
        "CREATE TABLE eu.copied AS SELECT * FROM eu.people",
        "ALTER TABLE eu.child RENAME TO descendant",
        "CREATE TABLE public.refers (id int REFERENCES eu.people)",
        "WITH u AS (UPDATE public.notes SET body = 'n' WHERE id = 1 RETURNING *) INSERT INTO eu.people SELECT id + 300000, body FROM u",
    ] {
        allowed(&proxy, &alice, sql);
    }
    assert_eq!(bench.postgres.run("res_moves", "SELECT count(*) FROM public.notes WHERE id >= 100000"), "0");
    assert_eq!(bench.postgres.run("res_moves", "SELECT count(*) FROM eu.copied"), "3020");
}

fn what_leaves_is_counted(bench: &Bench) {
    database(bench, "res_counts");
    let rules = Rules { region: "export = { rows = 1000 }", proxy: trusted(), ..Rules::default() };
    let proxy = proxy(bench, "res_counts", &rules);
    let grant = proxy.grant("alice", "res-both", "30m");
    let alice = proxy.credentials("alice", "res");
    let lines = |text: String| text.lines().count();
    assert_eq!(lines(allowed(&proxy, &alice, "SELECT * FROM eu.people LIMIT 300")), 300);
    assert_eq!(lines(allowed(&proxy, &alice, "SELECT n.id FROM public.notes n, eu.people p WHERE n.id = p.id")), 20);
    let cursor = "BEGIN; DECLARE c CURSOR FOR SELECT * FROM eu.people; FETCH 100 FROM c; FETCH 80 FROM c; COMMIT";
    assert_eq!(lines(allowed(&proxy, &alice, cursor)), 183, "with the tags of BEGIN, DECLARE CURSOR and COMMIT");
    assert_eq!(lines(allowed(&proxy, &alice, "SELECT * FROM public.notes")), 20, "what stays in its region is free");
    // 500 are left.
    let (out, err, ok) = proxy.sql(&alice, "COPY (SELECT id FROM eu.people ORDER BY id) TO STDOUT");
    assert!(!ok && err.contains("54000") && err.contains("export limit of 1000 rows"), "{err}");
    assert_eq!(out.lines().count(), 500, "{err}");
    refused(&proxy, &alice, "SELECT * FROM eu.people", &["42501", "1000 rows", "rule export", &grant]);
    refused(&proxy, &alice, "SELECT name FROM public.v_people LIMIT 1", &["rule export"]);
    allowed(&proxy, &alice, "INSERT INTO eu.people VALUES (100000, 'new')");
    let ended = proxy.audit(&["--grant", &grant]);
    assert!(ended.iter().any(|record| record["ended_by"] == "export" && record["rows"] == 500), "{ended:?}");
    let explained = proxy.json("alice", &["explain", "res", "SELECT * FROM eu.people"]);
    assert_eq!((&explained["verdict"], &explained["rule"]), (&"deny".into(), &"export".into()), "{explained}");

    // A client in the region reads on, under the same grant.
    let inside = behind(&proxy, "10.20.0.7");
    let (out, err, ok) = sql_by(&inside, &proxy, &alice, "SELECT * FROM eu.people");
    assert!(ok && out.lines().count() == 3001, "{err}");
    // Another grant has a count of its own, whoever holds it.
    proxy.grant("erin", "res-both", "30m");
    let erin = proxy.credentials("erin", "res");
    assert_eq!(lines(allowed(&proxy, &erin, "SELECT * FROM eu.people LIMIT 1000")), 1000);
    refused(&proxy, &erin, "SELECT * FROM eu.people LIMIT 1", &["rule export"]);
}

fn portals_count_too(bench: &Bench) {
    database(bench, "res_portals");
    let rules = Rules { region: "export = { rows = 100 }", ..Rules::default() };
    let proxy = proxy(bench, "res_portals", &rules);
    proxy.grant("alice", "res-both", "30m");
    let alice = proxy.credentials("alice", "res");
    let state = |error: tokio_postgres::Error| error.code().map(|state| state.code().to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = connect(&proxy, &alice).await;
        let people = client.prepare("SELECT id, name FROM eu.people WHERE id > $1").await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let portal = transaction.bind(&people, &[&7_i32]).await.unwrap();
        for _ in 0..2 {
            assert_eq!(transaction.query_portal(&portal, 30).await.unwrap().len(), 30);
        }
        transaction.commit().await.unwrap();
        // Two in one go, of which the second finds but 10 left.
        let some = client.prepare("SELECT id FROM eu.people ORDER BY id LIMIT 30").await.unwrap();
        let (first, second) = tokio::join!(client.query(&some, &[]), client.query(&some, &[]));
        assert_eq!(first.unwrap().len(), 30);
        assert_eq!(state(second.unwrap_err()).as_deref(), Some("54000"));
        let refused = client.query(&some, &[]).await.unwrap_err();
        let text = refused.as_db_error().map(|error| format!("{} {:?}", error.message(), error.detail()));
        assert_eq!(state(refused).as_deref(), Some("42501"), "{text:?}");
        assert!(text.unwrap().contains("rule export"));
        assert_eq!(client.query("SELECT id FROM public.notes", &[]).await.unwrap().len(), 20);
    });
}

fn store_that_cannot_count(bench: &Bench) {
    database(bench, "res_uncounted");
    let rules = Rules { region: "export = { rows = 100 }", ..Rules::default() };
    let proxy = proxy(bench, "res_uncounted", &rules);
    proxy.grant("alice", "res-both", "30m");
    let alice = proxy.credentials("alice", "res");
    let lock = crate::faults::lock(&proxy.setup.dir.join("pgward.db"));
    let (out, err, ok) = proxy.sql(&alice, "SELECT * FROM eu.people LIMIT 5");
    assert!(!ok && out.is_empty() && err.contains("58030") && err.contains("cannot be counted now"), "{out} {err}");
    allowed(&proxy, &alice, "SELECT * FROM public.notes");
    crate::faults::unlock(lock);
    wait_until("what leaves is counted again", Duration::from_secs(20), || {
        let (out, _, ok) = proxy.sql(&alice, "SELECT * FROM eu.people LIMIT 5");
        ok && out.lines().count() == 5
    });
}

fn count_survives_a_crash(bench: &Bench) {
    database(bench, "res_crash");
    let rules = Rules { region: "export = { bytes = \"64kB\" }", ..Rules::default() };
    let proxy = proxy(bench, "res_crash", &rules);
    proxy.grant("alice", "res-both", "30m");
    let alice = proxy.credentials("alice", "res");
    let mut bytes = 0;
    let mut crashes = 0;
    loop {
        // Rows of 1 kB and a little.
        let (out, err, ok) = proxy.sql(&alice, "SELECT repeat('x', 1000) FROM eu.people LIMIT 20");
        bytes += out.lines().map(str::len).sum::<usize>();
        if !ok {
            assert!(err.contains("export"), "{err}");
            break;
        }
        proxy.crash_and_restart();
        crashes += 1;
    }
    assert!(crashes > 0, "the first statement fits");
    assert!(bytes <= 64_000, "{bytes} in {crashes} lives");
    refused(&proxy, &alice, "SELECT repeat('x', 1000) FROM eu.people LIMIT 100", &["export"]);
}

fn clients_behind_a_balancer(bench: &Bench) {
    database(bench, "res_clients");
    let rules = Rules { region: "clients = [\"eu-west\"]", proxy: trusted(), ..Rules::default() };
    let proxy = proxy(bench, "res_clients", &rules);
    proxy.grant("alice", "res-both", "30m");
    let alice = proxy.credentials("alice", "res");
    let query = "SELECT count(*) FROM public.v_people";
    refused(&proxy, &alice, query, &["42501", "eu.people", "from region us-east", "rule client-region"]);
    for (source, region) in [("10.20.0.7", Some("eu-west")), ("127.5.5.5", Some("us-east")), ("192.0.2.1", None)] {
        let balancer = behind(&proxy, source);
        let (out, err, ok) = sql_by(&balancer, &proxy, &alice, query);
        assert_eq!(ok, region == Some("eu-west"), "{source}: {out} {err}");
        assert!(ok || err.contains("rule client-region"), "{source}: {err}");
        let records = proxy.audit(&["--text", "v_people"]);
        let last = records.last().unwrap();
        assert_eq!(last["client_addr"], format!("{source}:12345"));
        assert_eq!(last["client_region"].as_str(), region);
    }
    let (out, err, ok) = sql_by(&behind(&proxy, "10.20.0.7"), &proxy, &alice, "SHOW pgward.session");
    assert!(ok && out.contains("10.20.0.7:12345|eu-west|us-east"), "{out} {err}");
}

fn only_listed_balancers(bench: &Bench) {
    database(bench, "res_balancers");
    let proxy = proxy(bench, "res_balancers", &Rules { proxy: trusted(), ..Rules::default() });
    proxy.grant("alice", "res-us", "30m");
    let alice = proxy.credentials("alice", "res");
    let cut_off = |from: &str, bytes: &[u8]| {
        let mut stream = balancer::connect_from(from, proxy.setup.port);
        stream.write_all(bytes).unwrap();
        let (said, closed) = raw::drain(&mut stream);
        assert!(closed && said.is_empty(), "{from} {bytes:02x?}: {said:02x?}");
    };
    let header = balancer::header("10.20.0.7");
    // From anybody else a header is garbage.
    cut_off("127.0.9.1", &[&header[..], &raw::SSL_REQUEST].concat());
    // A listed one has to send one: whole, of version 2, of TCP.
    cut_off(balancer::ADDRESS, &raw::SSL_REQUEST);
    cut_off(balancer::ADDRESS, b"PROXY TCP4 10.20.0.7 10.0.0.1 12345 5432\r\n");
    cut_off(balancer::ADDRESS, b"\r\n\r\n\0\r\nQUIT\n\x21\x00\0\0");
    cut_off(balancer::ADDRESS, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff");
    // A second one would be what the client says.
    cut_off(balancer::ADDRESS, &[&header[..], &header, &raw::SSL_REQUEST].concat());
    let refused = proxy.audit(&[]);
    let is_told = |record: &serde_json::Value| {
        record["event"] == "startup_refused"
            && record["client_addr"] == balancer::ADDRESS
            && record["detail"].as_str().is_some_and(|detail| detail.contains("without a PROXY v2 header"))
    };
    assert!(refused.iter().any(is_told), "{refused:?}");
    // One byte at a time is slow, not wrong.
    let mut slow = balancer::connect_from(balancer::ADDRESS, proxy.setup.port);
    slow.set_nodelay(true).unwrap();
    for byte in header.iter().chain(&raw::SSL_REQUEST) {
        slow.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut answer = [0];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    // A health check gets as far as TLS and no session.
    let health = Balancer::start(&proxy, balancer::LOCAL.to_vec());
    let (_, err, ok) = sql_by(&health, &proxy, &alice, "SELECT 1");
    assert!(!ok && err.contains("a load balancer's own connection gets no session"), "{err}");
    // Who is not behind one is served as ever, and so is who is.
    allowed(&proxy, &alice, "SELECT 1");
    let (_, err, ok) = sql_by(&behind(&proxy, "10.20.0.7"), &proxy, &alice, "SELECT 1");
    assert!(ok, "{err}");
    // A reload that no longer lists it is obeyed by the next connection.
    let file = proxy.setup.dir.join("proxy.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace(&trusted(), "");
    std::fs::write(&file, text).unwrap();
    proxy.signal("HUP");
    wait_until("the reload is recorded", Duration::from_secs(10), || {
        proxy.audit(&[]).iter().any(|record| record["event"] == "config_reloaded")
    });
    let (_, err, ok) = sql_by(&behind(&proxy, "10.20.0.7"), &proxy, &alice, "SELECT 1");
    assert!(!ok, "{err}");
}

fn one_upstream_per_region(bench: &Bench) {
    database(bench, "res_route_us");
    database(bench, "res_route_eu");
    bench
        .postgres
        .run("res_route_us", "CREATE TABLE public.here (place text); INSERT INTO public.here VALUES ('main')");
    bench
        .postgres
        .run("res_route_eu", "CREATE TABLE public.here (place text); INSERT INTO public.here VALUES ('europe')");
    let database = "[[database.upstreams]]\nregion = \"eu-west\"\n{upstream_eu}\n".to_owned();
    let proxy = proxy(bench, "res_route_us", &Rules { database, ..Rules::default() });
    let us = proxy.grant("alice", "res-us", "30m");
    let alice = proxy.credentials("alice", "res");
    let at = |database: &str| Credentials { database: database.to_owned(), ..alice.clone() };
    let query = "SELECT place FROM public.here";

    assert_eq!(allowed(&proxy, &alice, query), "main");
    assert_eq!(allowed(&proxy, &at("res@us-east"), query), "main", "the main one answers to its region");
    let parts = ["FATAL", "28000", "covers region eu-west", "Connect to \"res\""];
    refused_login(&proxy, &at("res@eu-west"), &parts);
    let parts = ["FATAL", "3D000", "no upstream in region \"nowhere\"", "\"res\" or \"res@eu-west\""];
    refused_login(&proxy, &at("res@nowhere"), &parts);
    refused_login(&proxy, &at("nosuch@eu-west"), &["3D000", "does not exist"]);

    let eu = proxy.grant("alice", "res-eu", "30m");
    assert_eq!(allowed(&proxy, &at("res@eu-west"), query), "europe");
    assert_eq!(allowed(&proxy, &alice, query), "main", "a second grant changes nothing here");
    let record = proxy.audit(&["--database", "res", "--text", "public.here"]);
    let europe = record.iter().rev().find(|record| record["grant"] == eu.as_str()).unwrap();
    assert_eq!((&europe["database"], &europe["upstream_region"]), (&"res".into(), &"eu-west".into()));
    let explain = |database: &str| proxy.json("alice", &["explain", database, query])["grant"].clone();
    assert_eq!((explain("res"), explain("res@eu-west")), (us.as_str().into(), eu.as_str().into()));

    let minted = proxy.json("alice", &["credentials", "res@eu-west"]);
    assert_eq!(minted["database"], "res@eu-west");
    assert!(minted["dsn"].as_str().unwrap().contains("/res%40eu-west?"), "{minted}");
    let one = Credentials { password: minted["password"].as_str().unwrap().to_owned(), ..at("res@eu-west") };
    assert_eq!(allowed(&proxy, &one, query), "europe");
    let other = Credentials { database: "res".to_owned(), ..one };
    assert_eq!(allowed(&proxy, &other, query), "main", "one password for the database, whichever upstream");
    let connected = proxy.cli("alice", &["connect", "res@eu-west", "--", "-XAtc", query]);
    assert_eq!(String::from_utf8_lossy(&connected.stdout).trim_end(), "europe", "{connected:?}");

    proxy.revoke(&us);
    refused_login(&proxy, &alice, &["28000", "covers region us-east", "Connect to \"res@eu-west\""]);
    proxy.revoke(&eu);
    refused_login(&proxy, &at("res@eu-west"), &["no live grant for \"alice\" on \"res\""]);
}

fn refused_login(proxy: &Proxy, who: &Credentials, parts: &[&str]) {
    let (out, err, ok) = proxy.sql(who, "SELECT 1");
    assert!(!ok, "{out}");
    // libpq shows no SQLSTATE of a failed login: the journal has it.
    let state = proxy.audit(&[]).iter().rev().find_map(|record| record["sqlstate"].as_str().map(str::to_owned));
    let told = format!("{err} {}", state.unwrap_or_default());
    for part in parts {
        assert!(told.contains(part), "no `{part}` in: {told}");
    }
}

fn check_reaches_all_upstreams(bench: &Bench) {
    bench.postgres.run("postgres", "CREATE DATABASE res_check");
    let proxy = proxy(bench, "res_check", &Rules::default());
    let file = proxy.setup.dir.join("proxy.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let missing = upstream(&proxy.setup, "res_missing");
    let further = format!("[[database.upstreams]]\nregion = \"eu-west\"\n{missing}\n\n[[scope]]\nname = \"res-us\"");
    std::fs::write(&file, text.replace("[[scope]]\nname = \"res-us\"", &further)).unwrap();
    let output = proxy.cli("bob", &["check", "--config", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("database \"res@eu-west\": upstream cannot be used"), "{said}");
    assert!(!said.contains("\"res\":"), "{said}");
}
