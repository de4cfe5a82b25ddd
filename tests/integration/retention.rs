//! Rows past their time, on a database of twenty tables with foreign keys of every kind, partitions and legal holds.
//! `PGWARD_RETENTION_ROWS` says how many rows it has: few in the suite, millions in `make retention`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, config, connect, wait_until};

pub const CASES: &[Case] = &[
    ("retention::planned_is_what_goes_across_a_crash", planned),
    ("retention::bad_policies_are_refused_with_their_line", refused),
    ("retention::a_run_needs_a_live_grant", granted),
    ("retention::what_cannot_go_is_told_row_by_row", told),
    ("retention::holds_are_administrators_and_conditions_are_judged", held),
    ("retention::overdue_rows_are_not_read_before_they_are_purged", hidden),
    ("retention::postgresql_hides_overdue_rows_from_sessions", filtered),
    ("retention::by_schedule_within_its_hours", scheduled),
];

fn rows() -> u64 {
    std::env::var("PGWARD_RETENTION_ROWS").map_or(20_000, |rows| rows.parse().unwrap())
}

/// A proxy with one more database, and its policies.
fn proxy(bench: &Bench, database: &str, policies: &str) -> Proxy {
    proxy_as(bench, database, "pgw_admin", "", policies)
}

/// The same, with another account and more lines for the database.
fn proxy_as(bench: &Bench, database: &str, user: &str, more: &str, policies: &str) -> Proxy {
    Proxy::start(bench, &|setup| {
        let certs = setup.certs.display();
        let (dir, port) = (setup.dir.display(), setup.upstream_port);
        let more = format!(
            r#"
[[database]]
name = "{database}"
upstream = "postgresql://{user}@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={certs}/ca.crt"
password_file = "{dir}/admin_password"
region = "us-east"
{more}

{policies}

[[scope]]
name = "purge"
database = "{database}"
regions = ["us-east"]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "8h"
[[scope.allow]]
on = ["public.*"]
do = ["select", "update", "delete"]
"#
        );
        config(setup, &Scopes { more, ..Scopes::default() })
    })
}

/// How many rows the tables have, by name.
fn counts(bench: &Bench, database: &str) -> BTreeMap<String, u64> {
    let asked = "SELECT string_agg(format('SELECT %L, count(*) FROM %s', c.relname, c.oid::regclass), ' UNION ALL ')
        FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace";
    let asked = bench.postgres.run(database, asked);
    let all = bench.postgres.run(database, &asked);
    all.lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(name, count)| (name.into(), count.parse().unwrap()))
        .collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

fn detail(record: &Value) -> Value {
    serde_json::from_str(record["detail"].as_str().unwrap()).unwrap()
}

fn by_policy(plans: &Value) -> BTreeMap<String, Value> {
    plans.as_array().unwrap().iter().map(|plan| (plan["policy"].as_str().unwrap().to_owned(), plan.clone())).collect()
}

fn planned(bench: &Bench) {
    let rows = rows();
    let batch = if rows > 1_000_000 { 2_000 } else { 50 };
    bench.postgres.run("postgres", "CREATE DATABASE kept");
    bench.postgres.run("kept", &format!("CREATE TABLE size (n) AS SELECT {rows}"));
    bench.postgres.run_file("kept", &crate::support::root().join("tests/retention/world.sql"));
    bench.postgres.run("kept", "DROP TABLE size");
    let policies = include_str!("../retention/policies.toml").replace("@batch@", &batch.to_string());
    let proxy = proxy(bench, "kept", &policies);
    let hold = |table: &str, rows: &str| {
        proxy.json("bob", &["retention", "hold", "place", "kept", table, "--where", rows, "--reason", "case 12"])
    };
    hold("public.orders", "customer_id % 97 = 0");
    hold("public.comments", "secret");
    hold("public.clicks", "who % 100 = 7 AND at < now() - interval '20 months'");
    let held = |bench: &Bench| {
        bench.postgres.run(
            "kept",
            "SELECT (SELECT count(*) FROM orders WHERE customer_id % 97 = 0), \
            (SELECT count(*) FROM comments WHERE secret), \
            (SELECT count(*) FROM clicks WHERE who % 100 = 7 AND at < now() - interval '20 months')",
        )
    };
    let (before, held_before) = (counts(bench, "kept"), held(bench));
    let total: u64 = before.values().sum();
    println!("{total} rows in {} tables", before.len());
    assert_eq!(before.len(), 20);

    // The plan, against what SQL written by hand counts.
    let begun = std::time::Instant::now();
    let planned = by_policy(&proxy.json("bob", &["retention", "plan", "kept"]));
    println!("planned in {:?}", begun.elapsed());
    assert_eq!(counts(bench, "kept"), before, "a plan changes nothing");
    let by_hand = |sql: &str| bench.postgres.run("kept", sql).trim().parse::<u64>().unwrap();
    let past = "now() - interval '18 months'";
    let due_orders = by_hand(&format!(
        "SELECT count(*) FROM orders o WHERE placed_at < {past} AND status = 'closed' AND customer_id % 97 <> 0
         AND NOT EXISTS (SELECT FROM invoices i WHERE i.order_id = o.id)
         AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND p.paid_at >= {past})"
    ));
    assert_eq!(number(&planned["orders"]["due"]), due_orders, "{:#}", planned["orders"]);
    assert_eq!(
        number(&planned["payments"]["due"]),
        by_hand(&format!("SELECT count(*) FROM payments WHERE paid_at < {past}"))
    );
    let logs = "SELECT count(*) FROM logs WHERE at < (now() - interval '90 days') AT TIME ZONE 'UTC'";
    assert_eq!(number(&planned["logs"]["due"]), by_hand(logs));
    let tickets = "SELECT count(*) FROM tickets t WHERE opened_at < now() - interval '1 year' AND state = 'done'
        AND NOT EXISTS (SELECT FROM comments c WHERE c.ticket_id = t.id AND secret)";
    assert_eq!(number(&planned["tickets"]["due"]), by_hand(tickets));
    assert!(
        number(&planned["orders"]["held"]) > 0 && number(&planned["orders"]["undated"]) > 0,
        "{:#}",
        planned["orders"]
    );
    let blocked = planned["orders"]["blocked"].as_array().unwrap();
    assert!(blocked.iter().any(|one| one["by"] == "public.invoices" && number(&one["rows"]) > 0), "{blocked:?}");
    let dropped = |policy: &str| planned[policy]["partitions"].as_array().unwrap().len();
    assert!(dropped("events") >= 20, "{:#}", planned["events"]);
    assert!(
        dropped("clicks") > 0 && dropped("clicks") < dropped("events"),
        "held rows keep their partitions: {:#}",
        planned["clicks"]
    );

    let latency = (rows > 1_000_000).then(|| Latency::start(bench, "kept"));
    let quiet = latency.as_ref().map(|latency| latency.measure(Duration::from_secs(20)));

    // A run that dies in the middle, and goes on by itself.
    let begun = std::time::Instant::now();
    let started = proxy.json("bob", &["retention", "run", "kept", "--detach"]);
    let run = started[0]["id"].as_str().unwrap().to_owned();
    let batches = |proxy: &Proxy| proxy.audit(&["--event", "retention_batch_end", "--limit", "100000"]);
    for pause in [30, 70] {
        let seen = batches(&proxy).len();
        wait_until("some batches more", Duration::from_secs(60), || batches(&proxy).len() > seen + 5);
        std::thread::sleep(Duration::from_millis(pause));
        proxy.crash_and_restart();
    }
    let busy = latency.as_ref().map(|latency| latency.measure(Duration::from_secs(20)));
    let ended = || proxy.audit(&["--event", "retention_run_end"]);
    wait_until("the run has ended", Duration::from_secs(3_000), || !ended().is_empty());
    println!("run in {:?}", begun.elapsed());
    if let (Some(quiet), Some(busy)) = (quiet, busy) {
        println!("others' transactions, before: {quiet}");
        println!("others' transactions, during: {busy}");
    }
    let ended = ended();
    assert_eq!((ended.len(), detail(&ended[0])["run"].as_str()), (1, Some(run.as_str())), "{ended:?}");
    assert_eq!(detail(&ended[0])["state"], "finished", "{ended:?}");

    // Each batch has one end, and what they say adds up to what was planned and to what is gone.
    let begins = proxy.audit(&["--event", "retention_batch", "--limit", "100000"]);
    let ends = batches(&proxy);
    let mut named: Vec<u64> = ends.iter().map(|end| number(&end["statement_seq"])).collect();
    named.sort_unstable();
    let all: Vec<u64> = begins.iter().map(|begin| number(&begin["seq"])).collect();
    assert_eq!(named, all, "each batch has one end");
    let mut recorded: BTreeMap<String, u64> = BTreeMap::new();
    let mut elsewhere: BTreeMap<String, u64> = BTreeMap::new();
    for end in &ends {
        let begin = begins.iter().find(|begin| begin["seq"] == end["statement_seq"]).unwrap();
        let told = detail(begin);
        if told["partition"].is_null() {
            assert!(number(&begin["rows"]) <= batch, "{begin}");
            assert_eq!(begin["parameters"].as_array().unwrap().len(), 2, "the first row and the last: {begin}");
        }
        if detail(end)["outcome"] == "committed" {
            *recorded.entry(begin["rule"].as_str().unwrap().to_owned()).or_default() += number(&end["rows"]);
            for also in told["also"].as_array().unwrap() {
                *elsewhere.entry(also["relation"].as_str().unwrap().to_owned()).or_default() += number(&also["rows"]);
            }
        }
    }
    let after = counts(bench, "kept");
    let gone = |table: &str| before[table] - after[table];
    let tables = [
        ("payments", "payments"),
        ("orders", "orders"),
        ("logs", "logs"),
        ("visits", "visits"),
        ("messages", "messages"),
        ("tickets", "tickets"),
        ("events", "events"),
        ("clicks", "clicks"),
        ("odd", "Odd \"Name"),
    ];
    for (policy, table) in tables {
        let due = number(&planned[policy]["due"]);
        assert!(due > 0, "{policy}");
        println!("{policy}: planned {due}, recorded {}, gone {}", recorded[policy], gone(table));
        assert_eq!((recorded[policy], gone(table)), (due, due), "{policy}");
    }
    let anonymised = by_hand(
        "SELECT count(*) FROM customers WHERE name = 'removed' AND phone IS NULL AND email LIKE 'anonymous-%' AND postcode LIKE 'D-_'",
    );
    assert_eq!(
        (anonymised, recorded["customers"]),
        (number(&planned["customers"]["due"]), number(&planned["customers"]["due"]))
    );
    // What foreign keys took along, as planned and as recorded.
    for (policy, table) in [
        ("orders", "order_items"),
        ("orders", "item_notes"),
        ("payments", "refunds"),
        ("messages", "attachments"),
        ("tickets", "comments"),
    ] {
        let name = format!("public.{table}");
        let touched = planned[policy]["touched"].as_array().unwrap();
        let expected = number(&touched.iter().find(|one| one["relation"] == *name).unwrap()["rows"]);
        assert!(expected > 0, "{table}");
        assert_eq!((elsewhere[&name], gone(table)), (expected, expected), "{table}");
    }
    let nulled = number(
        &planned["orders"]["touched"].as_array().unwrap().iter().find(|one| one["on_delete"] == "SET NULL").unwrap()["rows"],
    );
    assert_eq!(
        (by_hand("SELECT count(*) FROM shipments WHERE order_id IS NULL"), elsewhere["public.shipments"]),
        (nulled, nulled)
    );
    for table in ["addresses", "devices", "invoices", "trail", "customers"] {
        assert_eq!(gone(table), 0, "{table}");
    }
    assert_eq!(held(bench), held_before, "what is held is there");

    // Nothing is due any more, and the journal is whole.
    let left = by_policy(&proxy.json("bob", &["retention", "plan", "kept"]));
    for (policy, plan) in left.iter().filter(|(policy, _)| *policy != "trail") {
        // A run of minutes leaves what became overdue meanwhile.
        let most = if rows > 1_000_000 { number(&planned[policy]["due"]) / 1_000 } else { 0 };
        assert!(number(&plan["due"]) <= most, "{plan:#}");
    }
    let again = proxy.json("bob", &["retention", "run", "kept"]);
    let quiet = again[0]["policies"].as_array().unwrap().iter().all(|one| one["rows"] == 0 && one["failed"] == 0);
    assert!(quiet || rows > 1_000_000, "{again:#}");
    let verified = proxy.cli("bob", &["audit", "verify", "--dir", proxy.setup.dir.join("audit").to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert!(proxy.metrics().contains("pgward_retention_runs_total{outcome=\"finished\"} 2"), "{}", proxy.metrics());
    drop(proxy);
    bench.postgres.run("postgres", "DROP DATABASE kept WITH (FORCE)");
}

/// Short transactions of somebody else, in rows that stay.
struct Latency<'b> {
    bench: &'b Bench,
    database: &'b str,
}

impl<'b> Latency<'b> {
    fn start(bench: &'b Bench, database: &'b str) -> Self {
        Self { bench, database }
    }

    /// What pgbench says of latencies, by one client, in a while.
    fn measure(&self, time: Duration) -> String {
        let script = "\\set id random(1, 100000)\nBEGIN;\nSELECT status FROM orders WHERE id = :id;\n\
            UPDATE devices SET seen_at = now() WHERE id = :id;\nCOMMIT;\n";
        let file = tempfile::NamedTempFile::new_in("/tmp").unwrap();
        std::fs::write(file.path(), script).unwrap();
        let log = tempfile::tempdir_in("/tmp").unwrap();
        let prefix = log.path().join("log");
        let output = std::process::Command::new("pgbench")
            .args(["-n", "-c", "1", "-T", &time.as_secs().to_string(), "-h", "localhost", "-U", "pgw_admin", "-l"])
            .args(["-p", &self.bench.postgres.port.to_string(), "--log-prefix", prefix.to_str().unwrap(), "-f"])
            .arg(file.path())
            .arg(self.database)
            .env("PGPASSWORD", "pgw_admin_pw")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut all: Vec<u64> = Vec::new();
        for entry in std::fs::read_dir(log.path()).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            all.extend(text.lines().map(|line| line.split(' ').nth(2).unwrap().parse::<u64>().unwrap()));
        }
        all.sort_unstable();
        let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
        format!("{} of them, p50 {} µs, p99 {} µs, longest {} µs", all.len(), at(0.5), at(0.99), at(1.0))
    }
}

/// A database of a few tables, and its proxy.
fn small(bench: &Bench, database: &str, sql: &str, policies: &str) -> Proxy {
    bench.postgres.run("postgres", &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
    bench.postgres.run("postgres", &format!("CREATE DATABASE {database}"));
    bench.postgres.run(database, sql);
    proxy(bench, database, policies)
}

const NOTES: &str = "CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL, at timestamptz);
    INSERT INTO notes SELECT i, 'note ' || i, now() - make_interval(days => i, hours => -1) FROM generate_series(1, 100) i;";

fn policy(rest: &str) -> String {
    let head = "[[database.retention]]\nname = \"notes\"\non = \"public.notes\"\ncolumn = \"at\"\nkeep = \"30d\"\n";
    format!("{head}pause = \"1ms\"\n{rest}\n")
}

fn refused(bench: &Bench) {
    let sql = "CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL, at timestamptz, said text, tag text UNIQUE);
        CREATE TABLE loose (at timestamptz);
        CREATE VIEW seen AS SELECT * FROM notes;
        CREATE TABLE parted (id int, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE part PARTITION OF parted DEFAULT;
        CREATE TABLE hens (id int PRIMARY KEY, egg int, at timestamptz);
        CREATE TABLE eggs (id int PRIMARY KEY, hen int REFERENCES hens, at timestamptz);
        ALTER TABLE hens ADD FOREIGN KEY (egg) REFERENCES eggs;
        CREATE TABLE people (id int PRIMARY KEY, boss int REFERENCES people ON DELETE CASCADE, at timestamptz);
        CREATE TABLE friendly (id int PRIMARY KEY, friend int REFERENCES friendly ON DELETE SET NULL, at timestamptz);";
    let good = policy("action = \"delete\"");
    let proxy = small(bench, "bad_kept", sql, &good);
    let text = std::fs::read_to_string(proxy.setup.dir.join("proxy.toml")).unwrap();
    let check = |policy: &str| {
        let text = text.replace(&good, policy);
        let file = proxy.setup.dir.join("bad.toml");
        std::fs::write(&file, &text).unwrap();
        let output = std::process::Command::new(crate::support::binary())
            .args(["check", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        (output.status.success(), said, text)
    };
    assert!(check(&good).0, "{}", check(&good).1);
    let friendly = good.replace("public.notes", "public.friendly");
    assert!(check(&friendly).0, "who is set to null is in nobody's way: {}", check(&friendly).1);
    let delete = "action = \"delete\"";
    let set = |rule: &str| format!("action = \"anonymise\"\nset = {{ {rule} }}");
    for (from, to, key, says) in [
        ("public.notes", "public.nots".to_owned(), "on =", "there is no table public.nots"),
        ("public.notes", "public.seen".to_owned(), "on =", "is no table"),
        ("public.notes", "public.loose".to_owned(), "on =", "no primary key"),
        ("public.notes", "public.part".to_owned(), "on =", "is a partition"),
        ("public.notes", "public.hens".to_owned(), "on =", "in a circle"),
        ("public.notes", "public.people".to_owned(), "on =", "in a circle"),
        ("public.notes", "public.*".to_owned(), "on =", "names no single table"),
        ("\"at\"", "\"att\"".to_owned(), "column =", "has no column att"),
        ("\"at\"", "\"said\"".to_owned(), "column =", "no time"),
        ("30d", "0d".to_owned(), "keep =", "keeps nothing"),
        ("30d", "3m".to_owned(), "keep =", "no time to keep rows"),
        (delete, "action = \"destroy\"".to_owned(), "action =", "unknown value"),
        (delete, set("body = \"null\""), "set =", "body is NOT NULL"),
        (delete, set("bodi = \"null\""), "set =", "has no column bodi"),
        (delete, set("id = { to = \"1\" }"), "set =", "part of what names a row"),
        (delete, set("at = \"null\""), "set =", "what says that a row is overdue"),
        (delete, set("tag = { to = \"x\" }"), "set =", "tag is unique"),
        (delete, set("body = \"sha\""), "set =", "unknown rule"),
        (delete, format!("{delete}\npartitions = \"drop\""), "partitions =", "is not partitioned"),
        (delete, format!("{delete}\nwhere = \"said = 'x' OR\""), "where =", "no SQL condition"),
        (delete, format!("{delete}\nwhere = \"true) OR (true\""), "where =", "no SQL condition"),
        (delete, format!("{delete}\nwhere = \"sayd = 'x'\""), "where =", "sayd"),
        (delete, format!("{delete}\nwhere = \"id IN (SELECT id FROM hens)\""), "where =", "hens"),
        (delete, format!("{delete}\nwhere = \"pg_sleep(1) IS NULL\""), "where =", "pg_sleep"),
        (delete, format!("{delete}\nhours = [\"Mon 8-9\"]"), "hours =", "are not hours"),
        (delete, format!("{delete}\nscope = \"plain-read\""), "scope =", "unknown scope"),
        (delete, format!("{delete}\nkeeps = \"1d\""), "keeps =", "unknown key"),
    ] {
        let bad = good.replacen(from, &to, 1);
        assert_ne!(bad, good);
        let (ok, said, text) = check(&bad);
        assert!(!ok && said.contains(says), "{bad}: {said}");
        let begins = text.find(&bad).unwrap();
        let line = text[..begins + text[begins..].find(key).unwrap()].lines().count();
        assert!(
            said.contains(&format!("bad.toml:{line}:")) || said.contains(&format!("bad.toml:{}:", line + 1)),
            "{bad}, {key} at {line}: {said}"
        );
    }
}

fn granted(bench: &Bench) {
    let proxy = small(
        bench,
        "grant_kept",
        NOTES,
        &policy("action = \"delete\"\nscope = \"purge\"\nbatch = 1\n").replace("\"1ms\"", "\"100ms\""),
    );
    let refused = proxy.cli("alice", &["retention", "run", "grant_kept"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success()
            && said.contains("no live grant of scope \"purge\"")
            && said.contains("pgward request purge"),
        "{said}"
    );
    // An administrator is nobody's exception.
    assert!(!proxy.cli("bob", &["retention", "run", "grant_kept"]).status.success());
    let grant = proxy.grant("alice", "purge", "30m");
    let run = proxy.json("alice", &["retention", "run", "grant_kept", "--detach"]);
    assert_eq!(run[0]["by"], "alice", "{run}");
    let batches = || proxy.audit(&["--event", "retention_batch_end"]);
    wait_until("a batch is done", Duration::from_secs(20), || batches().len() > 2);
    proxy.revoke(&grant);
    wait_until("the run has ended", Duration::from_secs(20), || {
        !proxy.audit(&["--event", "retention_run_end"]).is_empty()
    });
    let runs = proxy.json("alice", &["retention", "runs"]);
    assert_eq!(runs[0]["state"], "incomplete", "{runs}");
    let why = runs[0]["policies"][0]["ended_early"].as_str().unwrap();
    assert!(why.contains("no live grant"), "{why}");
    let left: u64 = bench.postgres.run("grant_kept", "SELECT count(*) FROM notes").trim().parse().unwrap();
    let recorded = batches();
    assert_eq!(left, 100 - recorded.len() as u64, "what was done is what is recorded");
    assert!(left > 30, "it ended early: {left}");
    assert!(
        recorded.iter().all(|one| one["grant"] == *grant && one["approvers"] == serde_json::json!(["bob"])),
        "{recorded:?}"
    );
    assert!(
        proxy.json("dave", &["retention", "runs"]).as_array().unwrap().is_empty(),
        "of others' runs dave sees none"
    );
    assert!(!proxy.cli("dave", &["retention", "plan"]).status.success());
}

fn told(bench: &Bench) {
    let sql = "CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL, at timestamptz);
        INSERT INTO notes SELECT i, 'note ' || i, now() - make_interval(days => i, hours => -1) FROM generate_series(1, 100) i;
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF OLD.id = 77 THEN RAISE EXCEPTION 'note 77 must stay'; END IF; RETURN OLD; END $$;
        CREATE TRIGGER keep BEFORE DELETE ON notes FOR EACH ROW EXECUTE FUNCTION keep();";
    let proxy = small(bench, "told_kept", sql, &policy("action = \"delete\"\nbatch = 20\nlock_timeout = \"50ms\""));
    // Somebody holds a row for as long as the run takes.
    let mut holding = std::process::Command::new("psql")
        .args(["-h", "localhost", "-U", "pgw_admin", "-d", "told_kept", "-p", &bench.postgres.port.to_string()])
        .args(["-c", "BEGIN; SELECT FROM notes WHERE id = 55 FOR UPDATE; SELECT pg_sleep(600)"])
        .env("PGPASSWORD", "pgw_admin_pw")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let locked = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'told_kept' AND query LIKE '%FOR UPDATE%' AND wait_event = 'PgSleep'";
    wait_until("the row is locked", Duration::from_secs(20), || bench.postgres.run("postgres", locked).trim() == "1");
    let output = proxy.cli("bob", &["retention", "run", "told_kept"]);
    holding.kill().unwrap();
    holding.wait().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(!output.status.success() && err.contains("incomplete"), "{out}{err}");
    assert_eq!(
        bench.postgres.run("told_kept", "SELECT string_agg(id::text, ',' ORDER BY id) FROM notes WHERE id > 30").trim(),
        "55,77"
    );
    let runs = proxy.json("bob", &["retention", "runs"]);
    let one = &runs[0]["policies"][0];
    assert_eq!(
        (&runs[0]["state"], number(&one["rows"]), number(&one["failed"])),
        (&"incomplete".into(), 68, 2),
        "{runs}"
    );
    let failed: Vec<Value> = proxy
        .audit(&["--event", "retention_batch_end"])
        .into_iter()
        .filter(|end| end["sqlstate"].is_string())
        .collect();
    let which: Vec<(&str, &str)> =
        failed.iter().map(|end| (end["sqlstate"].as_str().unwrap(), end["parameters"][0].as_str().unwrap())).collect();
    assert_eq!(which, [("55P03", "55"), ("P0001", "77")], "{failed:?}");
    assert!(detail(&failed[1])["message"].as_str().unwrap().contains("note 77 must stay"), "{failed:?}");
    // Once nothing is in the way, the rest goes.
    wait_until("the lock is gone", Duration::from_secs(20), || {
        bench.postgres.run("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%FOR UPDATE%' AND datname = 'told_kept'");
        bench.postgres.run("postgres", locked).trim() == "0"
    });
    bench.postgres.run("told_kept", "DROP TRIGGER keep ON notes");
    let output = proxy.cli("bob", &["retention", "run", "told_kept"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(bench.postgres.run("told_kept", "SELECT count(*) FROM notes").trim(), "30");
}

fn held(bench: &Bench) {
    let proxy = small(bench, "held_kept", NOTES, &policy("action = \"delete\""));
    let place = |person: &str, table: &str, rows: &str| {
        let output = proxy.cli(
            person,
            &["retention", "hold", "place", "held_kept", table, "--where", rows, "--reason", "case 12", "-o", "json"],
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    };
    for (person, table, rows, says) in [
        ("alice", "public.notes", "id = 1", "administrators"),
        ("bob", "public.nots", "id = 1", "no table"),
        ("bob", "public.notes", "ids = 1", "ids"),
        ("bob", "public.notes", "id = 1) OR (true", "no SQL condition"),
        ("bob", "public.notes", "id = 1; DROP TABLE notes", "no SQL condition"),
        ("bob", "public.notes", "EXISTS (SELECT FROM pg_authid)", "may not decide"),
        ("bob", "public.notes", "pg_terminate_backend(1)", "may not decide"),
    ] {
        let (ok, said) = place(person, table, rows);
        assert!(!ok && said.contains(says), "{rows}: {said}");
    }
    let (ok, said) = place("bob", "public.notes", "id > 90 OR body = 'note 40'");
    assert!(ok, "{said}");
    let hold: Value = serde_json::from_str(&said).unwrap();
    let plan = proxy.json("bob", &["retention", "plan", "held_kept"]);
    assert_eq!(
        (number(&plan[0]["overdue"]), number(&plan[0]["held"]), number(&plan[0]["due"])),
        (70, 11, 59),
        "{plan}"
    );
    proxy.json("bob", &["retention", "run", "held_kept"]);
    assert_eq!(bench.postgres.run("held_kept", "SELECT count(*) FROM notes WHERE id > 30").trim(), "11");
    // Across a restart, and until somebody releases it.
    proxy.crash_and_restart();
    assert_eq!(proxy.json("carol", &["retention", "hold", "list"]).as_array().unwrap().len(), 1);
    proxy.json("bob", &["retention", "run", "held_kept"]);
    assert_eq!(bench.postgres.run("held_kept", "SELECT count(*) FROM notes WHERE id > 30").trim(), "11");
    proxy.json("bob", &["retention", "hold", "release", hold["id"].as_str().unwrap(), "--reason", "case closed"]);
    proxy.json("bob", &["retention", "run", "held_kept"]);
    assert_eq!(bench.postgres.run("held_kept", "SELECT count(*) FROM notes WHERE id > 30").trim(), "0");
    let told = [proxy.audit(&["--event", "data_hold_placed"]), proxy.audit(&["--event", "data_hold_released"])];
    assert!(told.iter().all(|told| told.len() == 1 && told[0]["principal"] == "bob"), "{told:?}");
}

fn scheduled(bench: &Bench) {
    // Hours that this instant is not in, on any day.
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let (from, to) = if now.hour() < 12 { ("20:00", "24:00") } else { ("00:00", "06:00") };
    let closed = format!("every = \"1d\"\nhours = [\"Mon-Sun {from}-{to}\"]");
    let proxy = small(bench, "every_kept", NOTES, &policy(&format!("action = \"delete\"\n{closed}")));
    let refused = proxy.cli("bob", &["retention", "run", "every_kept"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("in its hours alone"));
    std::thread::sleep(Duration::from_secs(7));
    assert!(proxy.audit(&["--event", "retention_run"]).is_empty(), "not outside its hours");
    // Now they are open: a reload is all that it takes.
    let file = proxy.setup.dir.join("proxy.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace(&closed, "every = \"1d\"");
    std::fs::write(&file, text).unwrap();
    proxy.signal("HUP");
    wait_until("the run has ended", Duration::from_secs(30), || {
        !proxy.audit(&["--event", "retention_run_end"]).is_empty()
    });
    assert_eq!(bench.postgres.run("every_kept", "SELECT count(*) FROM notes").trim(), "30");
    let run = proxy.audit(&["--event", "retention_run"]);
    assert_eq!((run.len(), &run[0]["principal"]), (1, &"pgward".into()), "{run:?}");
    // It has had its turn, and remembers that.
    bench.postgres.run("every_kept", "INSERT INTO notes VALUES (200, 'old', now() - interval '1 year')");
    proxy.crash_and_restart();
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(proxy.audit(&["--event", "retention_run"]).len(), 1);
    assert_eq!(bench.postgres.run("every_kept", "SELECT count(*) FROM notes").trim(), "31");
}

fn hidden(bench: &Bench) {
    let sql = format!(
        "{NOTES} CREATE VIEW seen AS SELECT id FROM notes; CREATE TABLE other (id int);
        CREATE MATERIALIZED VIEW copied AS SELECT id FROM notes;"
    );
    let policies = policy("action = \"delete\"\nhide = true\nhide_except = [\"legal\"]")
        + "[[scope]]\nname = \"legal\"\ndatabase = \"hidden_kept\"\nregions = [\"us-east\"]\nrequesters = [\"@dev\"]\n\
           approvers = [\"@dba\"]\nmax_duration = \"8h\"\n[[scope.allow]]\non = [\"public.*\"]\ndo = [\"select\"]\n";
    let proxy = small(bench, "hidden_kept", &sql, &policies);
    let state = |proxy: &Proxy| proxy.json("bob", &["retention", "hidden"])[0]["state"].as_str().unwrap().to_owned();
    wait_until("somebody has looked", Duration::from_secs(20), || state(&proxy) == "overdue");
    proxy.grant("alice", "purge", "30m");
    let alice = proxy.credentials("alice", "hidden_kept");
    for statement in [
        "SELECT count(*) FROM notes",
        "SELECT * FROM notes WHERE id = 1",
        "SELECT id FROM seen",
        "SELECT id FROM copied",
        "UPDATE notes SET body = 'x' WHERE id = 99",
        "COPY notes TO STDOUT",
        "SELECT id FROM other WHERE id IN (SELECT id FROM notes)",
        "EXPLAIN ANALYZE SELECT id FROM notes",
    ] {
        let (out, err, ok) = proxy.sql(&alice, statement);
        assert!(!ok && out.is_empty(), "{statement}: {out}");
        assert!(err.contains("rows that are past their time") && err.contains("rule retention"), "{statement}: {err}");
        assert!(err.contains("keeps its rows for 30 days"), "{statement}: {err}");
    }
    let (_, err, ok) = proxy.sql(&alice, "SELECT count(*) FROM other");
    assert!(ok, "{err}");
    // Who has to see them can.
    proxy.grant("erin", "legal", "30m");
    let erin = proxy.credentials("erin", "hidden_kept");
    assert_eq!(proxy.sql(&erin, "SELECT count(*) FROM notes").0.trim(), "100");
    // Purged, it is read again.
    proxy.json("bob", &["retention", "run", "hidden_kept"]);
    wait_until("it can be read", Duration::from_secs(10), || state(&proxy) == "none_overdue");
    assert_eq!(proxy.sql(&alice, "SELECT count(*) FROM notes").0.trim(), "30");
    assert_eq!(proxy.sql(&alice, "SELECT count(*) FROM seen").0.trim(), "30");
    let denied = proxy.audit(&["--rule", "retention", "--verdict", "deny"]);
    assert_eq!(denied.len(), 8, "{denied:?}");
}

fn filtered(bench: &Bench) {
    bench.postgres.run("postgres", "DROP DATABASE IF EXISTS filtered_kept WITH (FORCE)");
    bench.postgres.run(
        "postgres",
        "DO $$ BEGIN CREATE ROLE kept_broker LOGIN CREATEROLE PASSWORD 'pgw_admin_pw'; CREATE ROLE kept_app; \
        EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    );
    let sql = "CREATE TABLE notes (id int, body text NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE notes_all PARTITION OF notes DEFAULT;
        INSERT INTO notes SELECT i, 'note ' || i, now() - make_interval(days => i, hours => -1) FROM generate_series(1, 100) i;
        CREATE VIEW seen AS SELECT id FROM notes;
        ALTER TABLE notes OWNER TO kept_broker; ALTER TABLE notes_all OWNER TO kept_broker;
        GRANT SELECT ON seen TO kept_broker WITH GRANT OPTION; GRANT SELECT ON notes TO kept_app;
        GRANT USAGE ON SCHEMA public TO kept_broker WITH GRANT OPTION;";
    let policies = policy("action = \"delete\"\nhide = true\nhide_except = [\"legal\"]")
        + "[[scope]]\nname = \"legal\"\ndatabase = \"filtered_kept\"\nregions = [\"us-east\"]\nrequesters = [\"@dev\"]\n\
           approvers = [\"@dba\"]\nmax_duration = \"8h\"\n[[scope.allow]]\non = [\"public.*\"]\ndo = [\"select\"]\n";
    bench.postgres.run("postgres", "CREATE DATABASE filtered_kept");
    bench.postgres.run("postgres", "GRANT CONNECT ON DATABASE filtered_kept TO kept_broker WITH GRANT OPTION");
    bench.postgres.run("filtered_kept", sql);
    let proxy = proxy_as(bench, "filtered_kept", "kept_broker", "provision = \"role\"", &policies);
    let state = |proxy: &Proxy| proxy.json("bob", &["retention", "hidden"])[0]["state"].as_str().unwrap().to_owned();
    wait_until("somebody has looked", Duration::from_secs(20), || state(&proxy) == "overdue");
    proxy.grant("alice", "purge", "30m");
    let alice = proxy.credentials("alice", "filtered_kept");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // A session that was there before: it is not let through by what is true for others.
    let early = runtime.block_on(connect(&proxy, &alice));
    let said = runtime.block_on(early.simple_query("SELECT count(*) FROM notes")).unwrap_err();
    assert!(said.as_db_error().unwrap().message().contains("past their time"), "{said:?}");

    let script = proxy.cli("bob", &["retention", "hidden", "--sql"]);
    let script = String::from_utf8(script.stdout).unwrap();
    bench.postgres.run("filtered_kept", &script);
    bench.postgres.run(
        "filtered_kept",
        &script.replace(
            "CREATE POLICY pgward_everybody",
            "DROP POLICY pgward_everybody ON notes; CREATE POLICY pgward_everybody",
        ),
    );
    // A reload has it looked at now.
    proxy.signal("HUP");
    wait_until("PostgreSQL hides them", Duration::from_secs(60), || state(&proxy) == "filtered");
    let count = |client: &tokio_postgres::Client| {
        let row = runtime.block_on(client.query_one("SELECT count(*) FROM notes", &[])).unwrap();
        row.get::<_, i64>(0)
    };
    assert_eq!(count(&early), 30, "rows past their time are not there");
    assert_eq!(proxy.sql(&alice, "SELECT count(*) FROM notes").0.trim(), "30");
    let changed = proxy.sql(&alice, "UPDATE notes SET body = 'x' WHERE id > 0").0;
    assert_eq!(changed.trim(), "UPDATE 30", "nor changed");
    for statement in ["SELECT count(*) FROM seen", "SELECT count(*) FROM notes_all"] {
        let (out, err, ok) = proxy.sql(&alice, statement);
        assert!(!ok && err.contains("rule retention"), "{statement}: {out}{err}");
    }
    // Everybody else goes on as before.
    assert_eq!(
        bench.postgres.run("filtered_kept", "SET ROLE kept_app; SELECT count(*) FROM notes").lines().last(),
        Some("100")
    );
    proxy.grant("erin", "legal", "30m");
    let erin = proxy.credentials("erin", "filtered_kept");
    assert_eq!(proxy.sql(&erin, "SELECT count(*) FROM notes").0.trim(), "100");
    // Somebody takes it away: back to refusing.
    bench.postgres.run("filtered_kept", "DROP POLICY pgward_retention ON notes");
    proxy.signal("HUP");
    wait_until("that is seen", Duration::from_secs(60), || state(&proxy) == "overdue");
    assert!(!proxy.sql(&alice, "SELECT count(*) FROM notes").2);
    proxy.json("bob", &["retention", "run", "filtered_kept"]);
    assert_eq!(bench.postgres.run("filtered_kept", "SELECT count(*) FROM notes"), "30");
}
