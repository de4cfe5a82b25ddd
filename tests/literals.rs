//! Statements that differ in their literals alone: what is known of one by its shape is what reading it by itself gives. Texts
//! of all corpora, with other literals in them, are judged both ways under several grants: every verdict, footprint, record
//! and fingerprint has to be the same.
//!
//! `LITERALS_ROUNDS=n` changes how often each text is given other literals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

#[path = "support/everything.rs"]
mod everything;
#[path = "support/postgres.rs"]
mod postgres;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use everything::{everything, policy};
use pgward::access::{Grant, Operation};
use pgward::catalog::Snapshot;
use pgward::policy::{Context, Verdict};
use pgward::session::analysis::{Analysis, AnalysisCache, Part};
use pgward::sql::lex::{Kind, tokens};
use pgward::sql::{Limits, REDACTED};
use postgres::TestPostgres;
use tokio_postgres::{Client, NoTls};

/// A generator of numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.next() % of.len() as u64).unwrap()]
    }
}

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "7",
    "42",
    "4711",
    "16384",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999999",
    "0.5",
    "1.0",
    ".5",
    "5.",
    "1e5",
    "2.5E-3",
    "1234567.89",
    "00012",
];

const STRINGS: &[&str] = &[
    "",
    "a",
    "it''s",
    "true",
    "false",
    "null",
    "0",
    "-1",
    "1e5",
    "NL",
    "DE",
    "2020-01-01",
    "2020-01-01 00:00:00+02",
    "1 day",
    "%x%",
    "orders",
    "public.orders",
    "public.salaries",
    "customers",
    "pg_authid",
    "pg_catalog.pg_authid",
    "pg_class",
    "16384",
    "select",
    "select * from public.salaries",
    "drop table orders",
    "'' or 1=1 --",
    "work_mem",
    "pgward.reason",
    "search_path",
    "password",
    "password=hunter2",
    "token",
    "my secret",
    "api_key: x",
    "postgres://u:hunter2@h/d",
    "host=h password=hunter2",
    "md5d41d8cd98f00b204e9800998ecf8427e",
    "SCRAM-SHA-256$4096:a$b:c",
    "dblink",
    "alter role bob password ''x''",
    "{1,2,3}",
    "[1,2,3]",
    "{\"a\": 1}",
    "{\"password\": \"x\"}",
    "$.a",
    "é",
    "😀",
    "/* x */",
    "-- x",
    "; select 2",
    "\\",
    "\\''",
    "$$",
    "a\nb",
    "epoch",
    "UTC",
    "default_transaction_read_only",
    "off",
    "orders_id_seq",
    "active",
    "x'y",
];

/// A text with other literals in the places of some of its own: of the same classes, or of any.
fn mutated(text: &str, random: &mut Random) -> Option<String> {
    let tokens = tokens(text).ok()?;
    let alike = !random.next().is_multiple_of(3);
    let (mut other, mut at, mut changed) = (String::new(), 0, false);
    for token in tokens {
        let written = &text[token.range.clone()];
        let is_plain = matches!(&token.kind, Kind::String(_)) && written.starts_with('\'');
        let instead = match &token.kind {
            _ if random.next().is_multiple_of(8) => continue,
            Kind::Integer(digits) if alike && digits.parse::<i32>().is_ok() => {
                (random.next() % 0x8000_0000).to_string()
            }
            Kind::Numeric(_) if alike => format!("{}.{}", random.next() % 1000, random.next() % 1000),
            Kind::String(_) if is_plain && alike => format!("'{}'", random.one_of(STRINGS)),
            Kind::Integer(_) | Kind::Numeric(_) if !alike => match random.next() % 8 {
                0 => format!("'{}'", random.one_of(STRINGS)),
                1..4 => (random.next() % 100_000).to_string(),
                _ => (*random.one_of(NUMBERS)).to_owned(),
            },
            Kind::String(_) if is_plain => match random.next() % 12 {
                0 => (*random.one_of(NUMBERS)).to_owned(),
                1 => format!("E'{}'", random.one_of(&["x", "a\\nb", "o\\'s", "pass\\167ord"])),
                2 => format!("$a${}$a$", random.one_of(&["x", "a'b", "password=x"])),
                3 => format!("'{}'", random.next() % 1_000_000),
                _ => format!("'{}'", random.one_of(STRINGS)),
            },
            _ => continue,
        };
        other.push_str(&text[at..token.range.start]);
        other.push_str(&instead);
        at = token.range.end;
        changed = true;
    }
    other.push_str(&text[at..]);
    changed.then_some(other)
}

/// Everything that is decided on and recorded of a text, in words.
fn known_of(analysis: &Arc<Analysis>, snapshot: &Snapshot, contexts: &[Context]) -> String {
    let mut said = format!("{:?}\n", analysis.unreadable());
    let resolved = analysis.resolved(snapshot);
    for (index, statement) in analysis.statements().iter().enumerate() {
        let part = Part::Whole(index);
        let recorded = analysis.recorded(part);
        let matter = resolved.matter(part).unwrap();
        said += &format!("{} {} {}\n", statement.kind, statement.fingerprint, recorded.fingerprint);
        said += &format!("{:?} {:?} {:?}\n", recorded.text, recorded.redacted, analysis.text_of(part));
        said += &format!("{:?} {:?}\n", analysis.query_text(part), analysis.query_text(Part::Prepared(index)));
        said += &format!("{:?}\n", matter.resolved());
        for context in contexts {
            // Twice: what was decided is remembered.
            for _ in 0..2 {
                said += &match matter.decide(statement, &analysis.text, context) {
                    Verdict::Allow(permit) => format!("{:?}\n", permit.grant()),
                    Verdict::Deny(denial) => format!("{denial:?}\n"),
                };
            }
        }
    }
    said
}

fn cache() -> AnalysisCache {
    AnalysisCache::new(Limits::default(), Duration::from_secs(60))
}

/// Grants of all kinds: of everything, of reading, of what the world allows, with guard rails, and of one statement.
fn contexts(snapshot: &Snapshot, statement: &str) -> Vec<Context> {
    let mut guarded = everything(snapshot, &Operation::ALL);
    let mut scope = pgward::access::Scope::clone(&guarded.grants[0].scope);
    scope.guards.unfiltered_writes = false;
    scope.guards.require_reason = true;
    guarded.grants = [Arc::new(Grant { scope: Arc::new(scope), ..Grant::clone(&guarded.grants[0]) })].into();
    guarded.session.has_reason = false;
    let mut of_one = everything(snapshot, &Operation::ALL);
    let only = Grant { statement: Some(statement.to_owned()), ..Grant::clone(&of_one.grants[0]) };
    of_one.grants = [Arc::new(only.clone())].into();
    let mut both = everything(snapshot, &[Operation::Select]);
    both.grants = [Arc::new(only), Arc::clone(&both.grants[0])].into();
    vec![
        everything(snapshot, &Operation::ALL),
        everything(snapshot, &[Operation::Select]),
        policy::context(snapshot, &["us"], policy::world_grant(), vec![policy::lies_in("public.orders", "eu")]),
        guarded,
        of_one,
        both,
    ]
}

struct Tally {
    texts: usize,
    by_shape: usize,
    wrong: Vec<String>,
}

async fn compare(texts: &[String], snapshot: &Snapshot, rounds: usize, tally: &mut Tally) {
    let shared = cache();
    for (number, text) in texts.iter().enumerate() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let contexts = contexts(snapshot, text);
        let mut next = Some(text.clone());
        for _ in 0..rounds {
            let Some(text) = next else { break };
            let by_shape = shared.analyse(&text, None).await;
            let by_letter = cache().letter_by_letter().analyse(&text, None).await;
            let said = known_of(&by_shape, snapshot, &contexts);
            let expected = known_of(&by_letter, snapshot, &contexts);
            tally.texts += 1;
            tally.by_shape += usize::from(by_shape.is_by_shape());
            if said != expected {
                tally.wrong.push(format!("{text}\n--- by its shape\n{said}--- by its letter\n{expected}"));
            }
            next = mutated(texts[number].as_str(), &mut random);
        }
    }
}

fn rounds(default: usize) -> usize {
    std::env::var("LITERALS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

#[tokio::test]
async fn what_is_known_by_its_shape_is_what_its_letter_says() {
    let server = TestPostgres::start();
    server.run_script("postgres", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world.sql"));
    let client = connect(&server, "shop").await;
    client.batch_execute(MORE).await.unwrap();
    let shop = Snapshot::load(&client).await.unwrap();
    let mut texts: Vec<String> = Vec::new();
    for line in [include_str!("world/sample.jsonl"), include_str!("world/more.jsonl"), include_str!("world/wide.jsonl")]
        .iter()
        .flat_map(|file| file.lines())
    {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        texts.extend(
            case["session"].as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)),
        );
    }
    texts.extend(OWN.iter().map(|text| (*text).to_owned()));
    texts.sort();
    texts.dedup();
    let mut tally = Tally { texts: 0, by_shape: 0, wrong: Vec::new() };
    compare(&texts, &shop, rounds(6), &mut tally).await;
    eprintln!("{} of {} texts were known by their shape", tally.by_shape, tally.texts);
    assert!(tally.wrong.is_empty(), "{}:\n{}", tally.wrong.len(), tally.wrong[..tally.wrong.len().min(5)].join("\n\n"));
    assert!(tally.by_shape * 20 > tally.texts, "{} of {}", tally.by_shape, tally.texts);
}

#[tokio::test]
async fn what_clients_send_is_known_by_its_shape_as_by_its_letter() {
    let server = TestPostgres::start();
    let admin = connect(&server, "postgres").await;
    let mut by_source: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in include_str!("corpora/clients.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = row["sql"].as_str().unwrap().to_owned();
        by_source.entry(row["src"].as_str().unwrap().to_owned()).or_default().push(text);
    }
    for (source, texts) in by_source {
        let database = format!("c_{}", source.replace('-', "_"));
        admin.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        server.run_script(&database, &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora/schema.sql"));
        let client = connect(&server, &database).await;
        for text in texts.iter().filter(|text| text.trim_start().to_ascii_lowercase().starts_with("create table")) {
            let _ = client.batch_execute(text).await;
        }
        let snapshot = Snapshot::load(&client).await.unwrap();
        let mut tally = Tally { texts: 0, by_shape: 0, wrong: Vec::new() };
        compare(&texts, &snapshot, rounds(4), &mut tally).await;
        eprintln!("{source}: {} of {} texts were known by their shape", tally.by_shape, tally.texts);
        assert!(
            tally.wrong.is_empty(),
            "{}:\n{}",
            tally.wrong.len(),
            tally.wrong[..tally.wrong.len().min(5)].join("\n\n")
        );
    }
}

/// What a benchmark sends by the simple protocol, and other everyday statements: after two of a shape no more is read.
#[tokio::test]
async fn everyday_statements_are_read_twice_at_most() {
    let server = TestPostgres::start();
    let client = connect(&server, "postgres").await;
    client.batch_execute(MORE).await.unwrap();
    let snapshot = Snapshot::load(&client).await.unwrap();
    let context = everything(&snapshot, &Operation::ALL);
    let cache = cache();
    let texts: [fn(u32) -> String; 9] = [
        |id| format!("SELECT abalance FROM pgbench_accounts WHERE aid = {id};"),
        |id| format!("UPDATE pgbench_accounts SET abalance = abalance + {id} WHERE aid = {id};"),
        |id| format!("UPDATE pgbench_tellers SET tbalance = tbalance + -{id} WHERE tid = {id};"),
        |id| format!("UPDATE pgbench_branches SET bbalance = bbalance + {id} WHERE bid = {id};"),
        |id| {
            format!(
                "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ({id}, {id}, {id}, {id}, CURRENT_TIMESTAMP);"
            )
        },
        |id| format!("SELECT * FROM every WHERE t = 'o''{id}' AND m IN ('sad', 'ok') AND ts > '2020-01-01' LIMIT {id}"),
        |id| format!("INSERT INTO every (id, t, num) VALUES ({id}, 'x{id}', 1.{id}), ({id}, '', 2.5) RETURNING id"),
        |id| format!("DELETE FROM every WHERE id BETWEEN {id} AND {id} AND t LIKE '%{id}%'"),
        |id| {
            format!(
                "SELECT count(*) FROM every e JOIN pgbench_accounts a ON a.aid = e.id AND a.bid = {id} HAVING count(*) > {id}"
            )
        },
    ];
    for text in texts {
        for id in [7, 42, 4711, 100_000] {
            let text = text(id);
            let known = cache.known(&text, None).is_some_and(|known| known.is_by_shape());
            assert_eq!(known, id > 42, "{text}");
            assert!(allows(&cache, &snapshot, &context, &text).await, "{text}");
        }
    }
}

/// A statement that means something else by another literal, in front of a harmless sibling and behind it.
#[tokio::test]
async fn a_literal_that_counts_is_judged_each_time() {
    let server = TestPostgres::start();
    server.run_script("postgres", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world.sql"));
    let client = connect(&server, "shop").await;
    client.batch_execute(MORE).await.unwrap();
    let shop = Snapshot::load(&client).await.unwrap();
    let context = everything(&shop, &[Operation::Select]);
    // What is allowed, what is not, and which it is.
    let pairs = [
        ("SELECT current_setting('TimeZone')", "SELECT current_setting('data_directory')"),
        ("SELECT current_setting('TimeZone'), 1", "SELECT current_setting('ssl_key_file'), 2"),
        ("SELECT set_config('work_mem', '1MB', false)", "SELECT set_config('session_replication_role', '1MB', false)"),
        (
            "SELECT set_config('default_transaction_read_only', 'on', false)",
            "SELECT set_config('default_transaction_read_only', 'off', false)",
        ),
        (
            "SELECT setting FROM pg_settings WHERE name = 'TimeZone'",
            "SELECT setting FROM pg_settings WHERE name = 'data_directory'",
        ),
        ("SHOW timezone", "SHOW data_directory"),
        ("SET work_mem = '1MB'", "SET session_replication_role = 'replica'"),
    ];
    for (harmless, harmful) in pairs {
        let cache = cache();
        for round in 0..4 {
            // Other texts of the shape, so that it is met often enough to be shared if it ever were.
            for text in [format!("{harmless} "), format!("{harmless}{}", " ".repeat(round)), harmless.to_owned()] {
                assert!(allows(&cache, &shop, &context, &text).await, "{text}");
            }
            for text in [harmful.to_owned(), format!("{harmful}{}", " ".repeat(round)), format!("{harmful} ")] {
                assert!(!allows(&cache, &shop, &context, &text).await, "{text}");
            }
        }
    }
}

/// A grant of one statement is one of its letter, also where its shape is shared.
#[tokio::test]
async fn a_grant_of_one_statement_means_its_literals() {
    let server = TestPostgres::start();
    server.run_script("postgres", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world.sql"));
    let shop = Snapshot::load(&connect(&server, "shop").await).await.unwrap();
    let all = everything(&shop, &Operation::ALL);
    let cache = cache();
    for id in 1..5 {
        let text = format!("DELETE FROM public.orders WHERE id = {id}");
        assert!(allows(&cache, &shop, &all, &text).await, "{text}");
    }
    let mut of_one = everything(&shop, &Operation::ALL);
    let only = Grant {
        statement: Some("DELETE FROM public.orders WHERE id = 1;".to_owned()),
        ..Grant::clone(&of_one.grants[0])
    };
    of_one.grants = [Arc::new(only)].into();
    for (id, allowed) in
        [("7", false), ("12", false), ("1", true), ("11", false), ("1", true), ("123456", false), ("01", false)]
    {
        for (before, after) in [("", ""), ("", ";"), (" ", " "), ("/* x */", ""), ("", " -- x")] {
            let text = format!("{before}DELETE FROM public.orders WHERE id = {id}{after}");
            assert_eq!(allows(&cache, &shop, &of_one, &text).await, allowed, "{text}");
        }
    }
    let known = cache.known("DELETE FROM public.orders WHERE id = 99", None);
    assert!(known.is_some_and(|known| known.is_by_shape()), "the shape is shared all the same");
}

/// What a text is recorded as is its own letter, and nothing of another one's.
#[tokio::test]
async fn secrets_are_taken_out_whatever_was_met_before() {
    let cache = cache();
    for id in 0..3 {
        let text = format!("SELECT * FROM t WHERE note = 'a{id}' AND b = {id}");
        assert_eq!(&*cache.analyse(&text, None).await.recorded(Part::Whole(0)).text, text);
    }
    let known = cache.known("SELECT * FROM t WHERE note = 'x' AND b = 9", None).expect("met often enough");
    assert_eq!(&*known.recorded(Part::Whole(0)).text, "SELECT * FROM t WHERE note = 'x' AND b = 9");
    for secret in [
        "host=h password=hunter2",
        "postgres://u:hunter2@h/d",
        "md5d41d8cd98f00b204e9800998ecf8427e",
        "SCRAM-SHA-256$4096:a$b:c",
    ] {
        let analysis = cache.analyse(&format!("SELECT * FROM t WHERE note = '{secret}' AND b = 1"), None).await;
        let recorded = analysis.recorded(Part::Whole(0));
        assert_eq!(&*recorded.text, format!("SELECT * FROM t WHERE note = {REDACTED} AND b = 1"), "{secret}");
        assert!(!recorded.redacted.rules.is_empty(), "{secret}");
    }
}

/// By newer catalogs a column may be one whose values are names: what was shared is no longer.
#[tokio::test]
async fn newer_catalogs_change_what_is_shared() {
    let server = TestPostgres::start();
    let client = connect(&server, "postgres").await;
    client.batch_execute("CREATE TABLE t (a text, b int)").await.unwrap();
    let before = Snapshot::load(&client).await.unwrap();
    let cache = cache();
    let text = |id: usize| format!("SELECT b FROM t WHERE a = 'x{id}'");
    let is_by_shape = async |id: usize, snapshot: &Snapshot| {
        let analysis = cache.analyse(&text(id), None).await;
        assert!(!analysis.resolved(snapshot).has_unresolved());
        analysis.is_by_shape()
    };
    assert!(!is_by_shape(1, &before).await && !is_by_shape(2, &before).await && is_by_shape(3, &before).await);
    client.batch_execute("ALTER TABLE t ALTER a TYPE regclass USING NULL").await.unwrap();
    let after = Snapshot::load(&client).await.unwrap();
    assert!(!is_by_shape(4, &after).await && !is_by_shape(5, &after).await);
    client.batch_execute("ALTER TABLE t ALTER a TYPE varchar USING NULL").await.unwrap();
    let again = Snapshot::load(&client).await.unwrap();
    assert!(!is_by_shape(6, &again).await && is_by_shape(7, &again).await);
}

/// Ten million texts that are all different take up no more than a bounded number of places.
#[tokio::test]
async fn texts_without_end_do_not_fill_memory() {
    let cache = cache();
    for id in 0..40_000 {
        // Neither a text nor a shape comes twice.
        cache.analyse(&format!("SELECT a{id} FROM t WHERE b = {id}"), None).await;
    }
    let (number, bytes) = cache.size();
    assert!(number <= 2 * 8_192 && bytes <= 2 * 128 * 1024 * 1024, "{number} of {bytes} bytes");
    for id in 0..40_000 {
        cache.analyse(&format!("SELECT a FROM t WHERE b = {id}"), None).await;
    }
    let known = cache.known("SELECT a FROM t WHERE b = -1", None);
    assert!(known.is_none(), "another shape");
    assert!(cache.known("SELECT a FROM t WHERE b = 123456", None).is_some_and(|known| known.is_by_shape()));
    assert!(cache.size().0 <= 2 * 8_192);
}

async fn allows(cache: &AnalysisCache, snapshot: &Snapshot, context: &Context, text: &str) -> bool {
    let analysis = cache.analyse(text, None).await;
    let resolved = analysis.resolved(snapshot);
    let matter = resolved.matter(Part::Whole(0)).expect(text);
    matches!(matter.decide(&analysis.statements()[0], &analysis.text, context), Verdict::Allow(_permit))
}

async fn connect(server: &TestPostgres, database: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", database), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Columns of all kinds of types.
const MORE: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN small AS int CHECK (value < 1000);
    CREATE DOMAIN plain AS text;
    CREATE TABLE every (id int PRIMARY KEY, big bigint, num numeric, f float8, t text, v varchar(9), c char(3), b bool, d date,
        ts timestamp, tz timestamptz, i interval, u uuid, j json, jb jsonb, n name, r regclass, p regproc, o oid, m mood, ma mood[],
        s small, pl plain, ia int[], ta text[], ip inet, ch \"char\", by bytea, bits bit(3), pt point, ra regclass[]);
    CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
    CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int);
    CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int);
    CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp);
    CREATE FUNCTION named(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION named(int) RETURNS int LANGUAGE sql AS 'SELECT 2';
    CREATE FUNCTION named(bigint) RETURNS int LANGUAGE sql AS 'SELECT 3';
    CREATE SEQUENCE counted;
";

const OWN: &[&str] = &[
    "SELECT abalance FROM pgbench_accounts WHERE aid = 4711",
    "UPDATE pgbench_accounts SET abalance = abalance + 42 WHERE aid = 7",
    "UPDATE pgbench_accounts SET abalance = abalance + -42 WHERE aid = 7",
    "UPDATE pgbench_tellers SET tbalance = tbalance + 42 WHERE tid = 7",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP)",
    "SELECT id FROM every WHERE big = 1",
    "SELECT id FROM every WHERE num > 1.5 AND f < 2 AND t = 'x' AND v = 'y' AND c <> 'z'",
    "SELECT id FROM every WHERE d > '2020-01-01' AND ts > '2020-01-01' AND tz > '2020-01-01' AND i > '1 day' AND u = 'x'",
    "SELECT id FROM every WHERE n = 'x'",
    "SELECT id FROM every WHERE r = 'orders'",
    "SELECT id FROM every WHERE r = 16384",
    "SELECT id FROM every WHERE r::text = 'orders'",
    "SELECT id FROM every WHERE p = 'lower'",
    "SELECT id FROM every WHERE o = 16384",
    "SELECT id FROM every WHERE m = 'sad' OR m IN ('ok', 'happy') OR 'sad' = ANY (ma)",
    "SELECT id FROM every WHERE s = 5 AND pl = 'x'",
    "SELECT id FROM every WHERE ia = '{1,2}' AND ta @> '{a}' AND 3 = ANY (ia) AND ia && ARRAY[1, 2]",
    "SELECT id FROM every WHERE ip = '127.0.0.1' AND ch = 'a' AND by = 'x' AND bits = '101' AND pt ~= '(1,2)'",
    "SELECT id FROM every WHERE 'orders' = ANY (ra)",
    "SELECT id FROM every WHERE ra = '{orders}'",
    "SELECT id FROM every WHERE jb @> '{\"a\": 1}' AND jb->>'a' = 'x' AND jb->'password' = '1' AND j->>'k' = 'v'",
    "SELECT 'orders'::regclass, 1",
    "SELECT CAST('orders' AS regclass), 1",
    "SELECT regclass 'orders', 1",
    "SELECT 'orders'::text::regclass, 1",
    "SELECT coalesce(r, 'orders') FROM every WHERE id = 1",
    "SELECT CASE WHEN id = 1 THEN r ELSE 'orders' END FROM every",
    "SELECT r FROM every WHERE id = 1 UNION SELECT 'orders'",
    "INSERT INTO every (id, r) VALUES (1, 'orders')",
    "INSERT INTO every (id, r) SELECT 1, 'orders'",
    "INSERT INTO every (id, r) SELECT 1, x FROM (SELECT 'orders' AS x) AS q",
    "UPDATE every SET r = 'orders' WHERE id = 1",
    "UPDATE every SET m = 'sad', t = 'x', num = 1.5, ts = '2020-01-01' WHERE id = 1",
    "INSERT INTO every (id, t, m, s) VALUES (1, 'x', 'sad', 5), (2, 'y', 'ok', 6) ON CONFLICT (id) DO UPDATE SET t = 'z' WHERE every.id > 5",
    "SELECT nextval('counted'), 1",
    "SELECT currval('counted'), 1",
    "SELECT pg_relation_size('orders'), 1",
    "SELECT has_table_privilege('orders', 'select'), 1",
    "SELECT named('x')",
    "SELECT named(1)",
    "SELECT public.named(1), lower('X')",
    "SELECT current_setting('TimeZone')",
    "SELECT current_setting('work_mem'), 1 FROM every WHERE t = 'x'",
    "SELECT set_config('work_mem', '1MB', false)",
    "SELECT setting FROM pg_settings WHERE name = 'work_mem'",
    "SELECT * FROM pg_show_all_settings() WHERE name = 'work_mem'",
    "SELECT id, t FROM every ORDER BY 1",
    "SELECT t, count(*) FROM every GROUP BY 1 ORDER BY 2 LIMIT 5",
    "SELECT count(*) FROM every WHERE t LIKE 'x%' ESCAPE '!' LIMIT 1 OFFSET 2",
    "DELETE FROM every WHERE true",
    "DELETE FROM every WHERE 1 = 1",
    "DELETE FROM every WHERE id = id",
    "DELETE FROM every WHERE id = 1",
    "DELETE FROM every WHERE id IN (1, 2, 3)",
    "DELETE FROM every WHERE EXISTS (SELECT 1 FROM orders WHERE id = 5)",
    "UPDATE every SET t = 'x'",
    "UPDATE every SET t = 'x' WHERE 1 < 2",
    "SELECT date_trunc('day', ts), extract(year FROM ts), ts AT TIME ZONE 'UTC', ts - interval '1 day' FROM every WHERE id > 1",
    "SELECT t || 'x', id + 1, id % 2, -id, num * 1.5 FROM every WHERE id BETWEEN 1 AND 5",
    "SELECT array_agg(t ORDER BY id), string_agg(t, ',') FROM every WHERE id > 1 GROUP BY m HAVING count(*) > 2",
    "WITH q AS (SELECT id FROM every WHERE t = 'a') SELECT * FROM q WHERE id > 1",
    "WITH q AS (DELETE FROM every WHERE id = 3 RETURNING id) SELECT * FROM q WHERE id > 1",
    "SELECT * FROM every AS e JOIN orders AS o ON o.id = e.id AND e.t = 'x' WHERE o.amount > 1",
    "SELECT id FROM every WHERE t = 'x' /* request 17 */",
    "SELECT x FROM (VALUES (1, 'a'), (2, 'b')) AS v (x, y) WHERE y = 'a'",
    "SELECT * FROM generate_series(1, 10) AS g (n)",
    "SELECT * FROM unnest(ARRAY['a', 'b']) AS g (n)",
    "SELECT to_regclass('orders'), to_char(ts, 'YYYY') FROM every WHERE id = 1",
    "SELECT row(1, 'x') = row(id, t) FROM every",
    "SELECT id FROM every WHERE (id, t) IN ((1, 'a'), (2, 'b'))",
    "SELECT id FROM every WHERE id = (SELECT max(id) FROM orders WHERE amount > 5)",
    "SELECT id FROM every WHERE id = 1 FOR UPDATE",
    "SELECT round(num, 2), substring(t FROM 1 FOR 3), position('a' IN t), trim('x' FROM t), left(t, 3) FROM every WHERE id = 1",
    "EXPLAIN SELECT id FROM every WHERE id = 1",
    "PREPARE q1 AS SELECT id FROM every WHERE id = 1",
    "DECLARE c1 CURSOR FOR SELECT id FROM every WHERE id = 1",
    "COPY (SELECT id FROM every WHERE id = 1) TO STDOUT",
    "SELECT id FROM every WHERE id = 1; SELECT 2",
];
