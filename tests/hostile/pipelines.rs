//! Many messages at once: one that is denied among thousands, floods of what costs nothing to send, clients that do not read.

use std::time::Duration;

use pgward::audit::{EndedBy, Event, RecordedVerdict};
use pgward::wire::encode::{parse, query, sync};
use tokio::io::AsyncWriteExt;

use crate::bench::{bind, close, describe, execute, plain, shape};
use crate::world::{Case, World, closed, works};

pub const CASES: &[Case] = &[
    ("pipelines::thousands_with_a_denied_one", |world| Box::pin(thousands_with_a_denied_one(world))),
    ("pipelines::simple_queries_around_a_denied_one", |world| Box::pin(simple_queries_around_a_denied_one(world))),
    ("pipelines::floods_of_sync", |world| Box::pin(floods_of_sync(world))),
    ("pipelines::nothing_but_flush", |world| Box::pin(nothing_but_flush(world))),
    ("pipelines::floods_of_close_and_describe", |world| Box::pin(floods_of_close_and_describe(world))),
    ("pipelines::a_name_that_changes_its_meaning", |world| Box::pin(a_name_that_changes_its_meaning(world))),
    ("pipelines::settings_across_messages", |world| Box::pin(settings_across_messages(world))),
    ("pipelines::answers_that_nobody_reads", |world| Box::pin(answers_that_nobody_reads(world))),
];

const DENIED: &str = "SELECT body FROM secret";

async fn thousands_with_a_denied_one(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    let one = |text: &str| [parse("", text), bind("", "", &[]), execute("", 0)];
    let mut all = Vec::new();
    for index in 0..1_500 {
        all.extend(one(if index == 700 { DENIED } else { "INSERT INTO sink VALUES (1200, 'pipeline')" }));
    }
    all.push(sync());
    let said = raw.ask(&all).await;
    let shapes = shape(&said);
    assert!(shapes.ends_with("C(INSERT 0 1) E(42501) Z(I)"), "{}", &shapes[shapes.len() - 80..]);
    assert_eq!(said.iter().filter(|said| said.tag == b'C').count(), 700);
    assert_eq!(said.iter().filter(|said| said.tag == b'E').count(), 1);
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 1200").await, "0", "all of it is rolled back");
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
    let denied = bench.records(Event::Statement);
    let denied: Vec<_> = denied.iter().filter(|record| record.verdict == Some(RecordedVerdict::Deny)).collect();
    assert!(denied.iter().any(|record| record.statement.as_deref() == Some(DENIED)));
    works(&bench).await;
}

async fn simple_queries_around_a_denied_one(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    let texts = ["SELECT 1", DENIED, "SELECT 2", "SELECT 3; SELECT body FROM secret; SELECT 4", "SELECT 5"];
    let all: Vec<_> = texts.iter().map(|text| query(text)).collect();
    raw.send(&all).await;
    let expected =
        ["T D C(SELECT 1) Z(I)", "E(42501) Z(I)", "T D C(SELECT 1) Z(I)", "E(42501) Z(I)", "T D C(SELECT 1) Z(I)"];
    for expected in expected {
        assert_eq!(shape(&raw.until_ready().await), expected);
    }
}

async fn floods_of_sync(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    let flood = vec![sync(); 10_000];
    raw.send(&flood).await;
    for _ in 0..flood.len() {
        assert_eq!(shape(&raw.until_ready().await), "Z(I)", "one for each and nothing else");
    }
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
}

async fn nothing_but_flush(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    raw.send(&vec![plain(b'H'); 10_000]).await;
    raw.send(&[parse("", DENIED), plain(b'H')]).await;
    assert_eq!(shape(&[raw.next().await]), "E(42501)");
    raw.send(&vec![plain(b'H'); 1_000]).await;
    assert_eq!(shape(&raw.ask(&[sync()]).await), "Z(I)");
}

async fn floods_of_close_and_describe(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    let mut all = vec![close(b'S', "nosuch"); 3_000];
    all.push(sync());
    assert_eq!(raw.ask(&all).await.len(), 3_001);
    let mut all = vec![describe(b'S', "nosuch"); 3_000];
    all.push(sync());
    assert_eq!(shape(&raw.ask(&all).await), "E(26000) Z(I)");
    works(&bench).await;
}

/// The statement that a name means when it is run is the one that was judged, whatever is said in between.
async fn a_name_that_changes_its_meaning(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    let allowed = "SELECT body FROM notes WHERE id = 1";
    let said = raw
        .ask(&[
            parse("s", allowed),
            bind("p", "s", &[]),
            close(b'S', "s"),
            parse("s", DENIED),
            bind("p2", "s", &[]),
            execute("p2", 0),
            sync(),
        ])
        .await;
    assert_eq!(shape(&said), "1 2 3 E(42501) Z(I)");
    for again in [
        &[bind("", "s", &[]), execute("", 0), sync()][..],
        &[query("EXECUTE s")],
        &[query("PREPARE s AS SELECT body FROM secret; EXECUTE s")],
        &[query("DEALLOCATE s; PREPARE s AS SELECT body FROM secret")],
        &[parse("", "EXECUTE s"), bind("", "", &[]), execute("", 0), sync()],
    ] {
        let said = raw.ask(again).await;
        assert!(!said.iter().any(|said| said.tag == b'D' && said.holds("hidden")), "{again:?}: {said:?}");
    }
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
}

/// What one message sets counts for the next before its answer has come: so it must not be settable at all.
async fn settings_across_messages(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    for set in [
        "SET search_path = pg_temp, public",
        "SET LOCAL search_path = secret",
        "SET SCHEMA 'pg_temp'",
        "SELECT set_config('search_path', 'pg_temp', false)",
        "SELECT pg_catalog.set_config('role', 'postgres', true)",
        "UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'",
        "SET ROLE postgres",
        "SET LOCAL ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET standard_conforming_strings = off",
        "SET backslash_quote = on",
        "SET NAMES 'SJIS'",
        "SET client_encoding = 'GBK'",
        "SET row_security = off",
        "SET session_replication_role = replica",
        "SET quote_all_identifiers = on; SET standard_conforming_strings TO 'off'",
        "ALTER ROLE postgres SET search_path = secret",
        "ALTER SYSTEM SET log_statement = 'none'",
        "ALTER DATABASE postgres SET search_path = secret",
    ] {
        raw.send(&[query(set), query("SHOW search_path"), query("SHOW standard_conforming_strings")]).await;
        let said = shape(&raw.until_ready().await);
        assert!(said.starts_with("E(42501)") || said.starts_with("E(0A000)"), "{set}: {said}");
        for expected in ["public", "on"] {
            let said = raw.until_ready().await;
            let row = said.iter().find(|said| said.tag == b'D').unwrap_or_else(|| panic!("{set}: {said:?}"));
            assert!(row.holds(expected), "{set}: {said:?}");
        }
    }
}

/// One who asks for much and reads nothing holds up nobody but themselves, and ends when they leave.
async fn answers_that_nobody_reads(world: World) {
    let bench = world.bench().await;
    let mut deaf = bench.session().await;
    for _ in 0..50 {
        deaf.send(&[query("SELECT n.body, repeat('x', 1000) FROM notes n, notes m")]).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    works(&bench).await;
    deaf.stream.get_mut().0.shutdown().await.unwrap();
    drop(deaf);
    let ended = closed(&bench).await;
    assert_eq!(ended, Some(EndedBy::ClientDisconnect));
    works(&bench).await;
}
