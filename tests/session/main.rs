//! Sessions against a real PostgreSQL, byte by byte: what a client sees has to be what PostgreSQL would say, also where
//! something was denied.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_debug_implementations,
    dead_code
)]

mod bench;
mod endings;
mod guards;
#[path = "../support/postgres.rs"]
mod postgres;
mod records;

use std::time::Duration;

use bench::{Bench, bind, close, copy_data, describe, execute, plain, shape};
use pgward::access::Operation;
use pgward::audit::{EndedBy, Event, RecordedVerdict};
use pgward::wire::encode::{parse, query, sync};

const DENIED: &str = "SELECT body FROM secret";

/// One server for all: starting PostgreSQL is what takes the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions() {
    let bench = Bench::start().await;
    step("logins", logins(&bench)).await;
    let grant = bench.grant_most().await;
    step("simple_queries", simple_queries(&bench)).await;
    step("transactions", transactions(&bench)).await;
    step("pipelines", pipelines(&bench)).await;
    step("skipping", skipping(&bench)).await;
    step("names", names(&bench)).await;
    step("portals", portals(&bench)).await;
    step("copies", copies(&bench)).await;
    step("copies_in_the_extended_protocol", copies_in_the_extended_protocol(&bench)).await;
    step("a_sync_never_splits_copy_data", a_sync_never_splits_copy_data(&bench)).await;
    step("what_copy_swallows_is_not_awaited", what_copy_swallows_is_not_awaited(&bench)).await;
    step("special", special(&bench)).await;
    step("function_calls", function_calls(&bench)).await;
    step("cancels", cancels(&bench)).await;
    step("journal", journal(&bench)).await;
    step("records", records::records(&bench)).await;
    step("row_limits", row_limits(&bench, &grant)).await;
    step("what_waits_ends_with_the_session", what_waits_ends_with_the_session(&bench)).await;
    step("what_waits_ends_with_its_grant", what_waits_ends_with_its_grant(&bench)).await;
    step("endings", endings::endings(&bench)).await;
    step("ends", ends(&bench)).await;
    step("violations", violations(&bench)).await;
    step("shutdown", shutdown(&bench)).await;
}

/// One part of the story, named where it takes too long.
async fn step(name: &str, part: impl Future<Output = ()>) {
    if tokio::time::timeout(Duration::from_secs(60), part).await.is_err() {
        panic!("{name} takes too long");
    }
}

async fn logins(bench: &Bench) {
    let (_, said) = bench.log_in("alice", "plain", "wrong").await;
    assert!(said[0].holds("password authentication failed for user \"alice\""), "{said:?}");
    let (_, said) = bench.log_in("nobody", "plain", "wrong").await;
    assert!(said[0].holds("28P01") && said[0].holds("password authentication failed for user \"nobody\""), "{said:?}");
    let (_, said) = bench.log_in("alice", "plain", "pencil").await;
    let said = said.first().unwrap();
    assert!(said.holds("28000") && said.holds("no live grant for \"alice\" on \"plain\""), "{said:?}");
    assert!(said.holds("pgward request read"), "{said:?}");
    let (_, said) = bench.log_in("alice", "nosuch", "pencil").await;
    assert!(said[0].holds("3D000"), "{said:?}");
    assert_eq!(bench.records(Event::LoginDenied).len(), 4);
}

async fn simple_queries(bench: &Bench) {
    let mut raw = bench.session().await;
    assert_eq!(shape(&raw.query("SELECT id FROM notes WHERE id < 3").await), "T D D C(SELECT 2) Z(I)");
    let said = raw.query(DENIED).await;
    assert_eq!(shape(&said), "E(42501) Z(I)");
    assert!(said[0].holds("secret") && !said[0].holds("pgward_denied"), "{said:?}");
    assert_eq!(shape(&raw.query("SELECT 1; SELECT 2").await), "T D C(SELECT 1) T D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.query("SELECT 1; SELECT body FROM secret").await), "E(42501) Z(I)");
    assert_eq!(shape(&raw.query("").await), "I Z(I)");
    assert_eq!(shape(&raw.query(" ; -- nothing").await), "I Z(I)");
    assert_eq!(shape(&raw.query("SELEC 1").await), "E(0A000) Z(I)");
    assert_eq!(shape(&raw.query("SELECT 1/0").await), "E(22012) Z(I)");
    assert_eq!(shape(&raw.query("INSERT INTO sink VALUES (1, 'a'); SELECT 1/0").await), "C(INSERT 0 1) E(22012) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0");
}

async fn transactions(bench: &Bench) {
    let mut raw = bench.session().await;
    assert_eq!(shape(&raw.query("BEGIN").await), "C(BEGIN) Z(T)");
    assert_eq!(shape(&raw.query("INSERT INTO sink VALUES (2, 'b')").await), "C(INSERT 0 1) Z(T)");
    assert_eq!(shape(&raw.query("SAVEPOINT s").await), "C(SAVEPOINT) Z(T)");
    assert_eq!(shape(&raw.query(DENIED).await), "E(42501) Z(E)");
    assert_eq!(shape(&raw.query("SELECT 1").await), "E(25P02) Z(E)");
    assert_eq!(shape(&raw.query("ROLLBACK TO s").await), "C(ROLLBACK) Z(T)");
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(T)");
    assert_eq!(shape(&raw.query(DENIED).await), "E(42501) Z(E)");
    assert_eq!(shape(&raw.query("COMMIT").await), "C(ROLLBACK) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0");
}

async fn pipelines(bench: &Bench) {
    let mut raw = bench.session().await;
    let said = raw
        .ask(&[
            parse("", "INSERT INTO sink VALUES (3, 'c')"),
            bind("", "", &[]),
            describe(b'P', ""),
            execute("", 0),
            parse("", DENIED),
            bind("", "", &[]),
            execute("", 0),
            parse("", "INSERT INTO sink VALUES (4, 'd')"),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ])
        .await;
    assert_eq!(shape(&said), "1 2 n C(INSERT 0 1) E(42501) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0", "the implicit transaction is rolled back");

    let one = |value: &'static str| {
        [parse("", "SELECT body FROM notes WHERE id = $1::int"), bind("", "", &[value]), execute("", 0), sync()]
    };
    raw.send(&[one("1"), one("2")].concat()).await;
    raw.send(&[parse("", DENIED), bind("", "", &[]), execute("", 0), sync()]).await;
    raw.send(&one("3")).await;
    for expected in ["1 2 D C(SELECT 1) Z(I)", "1 2 D C(SELECT 1) Z(I)", "E(42501) Z(I)", "1 2 D C(SELECT 1) Z(I)"] {
        assert_eq!(shape(&raw.until_ready().await), expected);
    }
    let mut many: Vec<_> = (0..300).flat_map(|_| one("5")[..3].to_vec()).collect();
    many.push(sync());
    let said = raw.ask(&many).await;
    assert_eq!(said.len(), 300 * 4 + 1);
}

async fn skipping(bench: &Bench) {
    let mut raw = bench.session().await;
    raw.send(&[parse("", "SELECT 1/(id - id) FROM notes"), bind("", "", &[]), execute("", 0), plain(b'H')]).await;
    let mut said = vec![];
    for _ in 0..3 {
        said.push(raw.next().await);
    }
    assert_eq!(shape(&said), "1 2 E(22012)");
    raw.send(&[parse("", "SELECT 2"), query("SELECT 3"), copy_data(b"x"), describe(b'S', "nosuch")]).await;
    assert_eq!(shape(&raw.ask(&[sync()]).await), "Z(I)");
    raw.send(&[parse("", DENIED), plain(b'H')]).await;
    assert_eq!(shape(&[raw.next().await]), "E(42501)");
    assert_eq!(shape(&raw.ask(&[parse("", "SELECT 2"), query("SELECT 3"), sync()]).await), "Z(I)");
    assert_eq!(shape(&raw.ask(&[bind("", "nosuch", &[]), execute("", 0), sync()]).await), "E(26000) Z(I)");
    assert_eq!(shape(&raw.ask(&[execute("nosuch", 0), sync()]).await), "E(42501) Z(I)");
    let deferred = [parse("", "INSERT INTO uniq VALUES (1), (1)"), bind("", "", &[]), execute("", 0), sync()];
    assert_eq!(shape(&raw.ask(&deferred).await), "1 2 C(INSERT 0 2) E(23505) Z(I)");
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
}

async fn names(bench: &Bench) {
    let mut raw = bench.session().await;
    let ready = |messages: &[bytes::Bytes]| [messages, &[sync()]].concat();
    assert_eq!(shape(&raw.ask(&ready(&[parse("s", "SELECT id FROM notes LIMIT 1")])).await), "1 Z(I)");
    assert_eq!(shape(&raw.query("EXECUTE s").await), "T D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.ask(&ready(&[parse("s", "SELECT 2")])).await), "E(42P05) Z(I)");
    assert_eq!(shape(&raw.query("EXECUTE s").await), "T D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.ask(&ready(&[bind("", "s", &[]), execute("", 0)])).await), "2 D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.query("DEALLOCATE s").await), "C(DEALLOCATE) Z(I)");
    assert_eq!(shape(&raw.query("EXECUTE s").await), "E(42501) Z(I)");
    assert_eq!(
        shape(&raw.query("PREPARE p(int) AS SELECT body FROM notes WHERE id = $1; EXECUTE p(7)").await),
        "C(PREPARE) T D C(SELECT 1) Z(I)"
    );
    assert_eq!(shape(&raw.query("PREPARE q AS SELECT body FROM secret").await), "E(42501) Z(I)");
    assert_eq!(shape(&raw.query("EXECUTE q").await), "E(42501) Z(I)");
    assert_eq!(shape(&raw.query("EXPLAIN EXECUTE p(7)").await).split(' ').next(), Some("T"));
    assert_eq!(shape(&raw.ask(&ready(&[bind("", "p", &["8"]), execute("", 0)])).await), "2 D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.ask(&ready(&[close(b'S', "p")])).await), "3 Z(I)");
    assert_eq!(shape(&raw.query("EXECUTE p(7)").await), "E(42501) Z(I)");
    assert_eq!(shape(&raw.ask(&ready(&[parse("u", DENIED)])).await), "E(42501) Z(I)");
    assert_eq!(shape(&raw.ask(&ready(&[bind("", "u", &[])])).await), "E(26000) Z(I)");
    let many = [parse("m", "SELECT 1; SELECT 2"), bind("", "m", &[]), execute("", 0)];
    assert_eq!(shape(&raw.ask(&ready(&many)).await), "E(42601) Z(I)");
    assert_eq!(shape(&raw.ask(&ready(&[parse("", ""), bind("", "", &[]), execute("", 0)])).await), "1 2 I Z(I)");
}

async fn portals(bench: &Bench) {
    let mut raw = bench.session().await;
    let first = [parse("", "SELECT id FROM notes"), bind("p", "", &[]), execute("p", 2), execute("p", 3), sync()];
    assert_eq!(shape(&raw.query("BEGIN").await), "C(BEGIN) Z(T)");
    assert_eq!(shape(&raw.ask(&first).await), "1 2 D D s D D D s Z(T)");
    assert_eq!(shape(&raw.query("FETCH 2 FROM p").await), "T D D C(FETCH 2) Z(T)");
    assert_eq!(
        shape(&raw.query("DECLARE c CURSOR FOR SELECT body FROM notes; FETCH 1 FROM c; MOVE 5 IN c").await),
        "C(DECLARE CURSOR) T D C(FETCH 1) C(MOVE 5) Z(T)"
    );
    assert_eq!(shape(&raw.ask(&[execute("c", 2), sync()]).await), "D D s Z(T)");
    assert_eq!(shape(&raw.query("CLOSE c").await), "C(CLOSE CURSOR) Z(T)");
    assert_eq!(shape(&raw.query("FETCH 1 FROM c").await), "E(42501) Z(E)");
    assert_eq!(shape(&raw.query("ROLLBACK").await), "C(ROLLBACK) Z(I)");
    assert_eq!(
        shape(&raw.query("BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT 1; COMMIT").await),
        "C(BEGIN) C(DECLARE CURSOR) C(COMMIT) Z(I)"
    );
    assert_eq!(shape(&raw.query("FETCH ALL FROM h").await), "T D C(FETCH 1) Z(I)");
    assert_eq!(shape(&raw.query("DECLARE x CURSOR FOR SELECT body FROM secret").await), "E(42501) Z(I)");
}

async fn copies(bench: &Bench) {
    let mut raw = bench.session().await;
    raw.send(&[query("COPY sink FROM STDIN")]).await;
    assert_eq!(raw.next().await.tag, b'G');
    raw.send(&[copy_data(b"5\te\n"), copy_data(b"6\tf\n7\tg\n"), plain(b'c')]).await;
    assert_eq!(shape(&raw.until_ready().await), "C(COPY 3) Z(I)");
    // All at once, before the server has said that it waits for data.
    raw.send(&[query("COPY sink FROM STDIN"), copy_data(b"8\th\n"), plain(b'c'), query("SELECT count(*) FROM sink")])
        .await;
    assert_eq!(shape(&raw.until_ready().await), "G C(COPY 1) Z(I)");
    assert_eq!(shape(&raw.until_ready().await), "T D C(SELECT 1) Z(I)");
    // A denied COPY: the data that follows is nobody's.
    raw.send(&[query("COPY secret FROM STDIN"), copy_data(b"9\ti\n"), plain(b'c')]).await;
    assert_eq!(shape(&raw.until_ready().await), "E(42501) Z(I)");
    // Data that the server refuses.
    raw.send(&[query("COPY sink FROM STDIN"), copy_data(b"x\ti\n"), copy_data(b"9\ti\n"), plain(b'c')]).await;
    let said = shape(&raw.until_ready().await);
    assert_eq!(said, "G E(22P02) Z(I)");
    let said = raw.query("COPY (SELECT id FROM notes WHERE id <= 3) TO STDOUT").await;
    assert_eq!(shape(&said), "H d d d c C(COPY 3) Z(I)");
    assert_eq!(shape(&raw.query("COPY secret TO STDOUT").await), "E(42501) Z(I)");
    // One long message, in pieces.
    raw.send(&[query("COPY sink FROM STDIN")]).await;
    assert_eq!(raw.next().await.tag, b'G');
    let line = format!("10\t{}\n", "x".repeat(3_000_000));
    raw.send(&[copy_data(line.as_bytes()), plain(b'c')]).await;
    assert_eq!(shape(&raw.until_ready().await), "C(COPY 1) Z(I)");
    let said = raw.query("SELECT body FROM sink WHERE id = 10").await;
    assert_eq!(shape(&said), "T D C(SELECT 1) Z(I)");
    assert!(said[1].body.len() > 3_000_000);
    assert_eq!(shape(&raw.query("TRUNCATE sink").await), "C(TRUNCATE TABLE) Z(I)");
}

async fn copies_in_the_extended_protocol(bench: &Bench) {
    let mut raw = bench.session().await;
    let begin = [parse("", "COPY sink FROM STDIN"), bind("", "", &[]), execute("", 0)];
    raw.send(&[&begin[..], &[plain(b'H')]].concat()).await;
    for expected in [b'1', b'2', b'G'] {
        assert_eq!(raw.next().await.tag, expected);
    }
    assert_eq!(shape(&raw.ask(&[copy_data(b"1\ta\n"), plain(b'c'), sync()]).await), "C(COPY 1) Z(I)");
    // A Sync behind Execute is ignored by the server once COPY has begun.
    raw.send(&[&begin[..], &[sync()]].concat()).await;
    for expected in [b'1', b'2', b'G'] {
        assert_eq!(raw.next().await.tag, expected);
    }
    raw.send(&[copy_data(b"2\tb\n"), sync(), plain(b'c'), sync()]).await;
    assert_eq!(shape(&raw.until_ready().await), "C(COPY 1) Z(I)");
    raw.send(&begin).await;
    raw.send(&[plain(b'H')]).await;
    for expected in [b'1', b'2', b'G'] {
        assert_eq!(raw.next().await.tag, expected);
    }
    let mut fail = vec![b'f', 0, 0, 0, 8];
    fail.extend_from_slice(b"why\0");
    assert_eq!(shape(&raw.ask(&[bytes::Bytes::from(fail), sync()]).await), "E(57014) Z(I)");
    assert_eq!(shape(&raw.query("SELECT count(*) FROM sink").await), "T D C(SELECT 1) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "2");
}

/// A Sync behind data is held back during COPY, and due when the COPY fails. In the middle of a CopyData it would shift what
/// follows: the rest of the data would be read as messages, SQL among them.
async fn a_sync_never_splits_copy_data(bench: &Bench) {
    let mut raw = bench.session().await;
    let begin = [parse("", "COPY sink FROM STDIN"), bind("", "", &[]), execute("", 0), plain(b'H')];
    raw.send(&begin).await;
    for expected in [b'1', b'2', b'G'] {
        assert_eq!(raw.next().await.tag, expected);
    }
    let hidden = query("INSERT INTO sink VALUES (666, 'smuggled')");
    // Behind five bytes too many, this is the head of one message, and `hidden` the next one.
    let mut tail = vec![b'x'; 20];
    tail.extend_from_slice(&[b'd', 0, 0, 0, 9]);
    let split = copy_data(&tail);
    raw.send(&[copy_data(b"x\ty\n"), sync(), split.slice(..10)]).await;
    assert_eq!(raw.next().await.tag, b'E');
    tokio::time::sleep(Duration::from_millis(100)).await;
    raw.send(&[split.slice(10..), copy_data(&hidden)]).await;
    assert_eq!(shape(&raw.until_ready().await), "Z(I)");
    assert_eq!(shape(&raw.query("SELECT id FROM sink WHERE id = 666").await), "T C(SELECT 0) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 666").await, "0");
}

/// A message that comes where COPY waits for data is lost with the COPY: servers up to 13 go on, later ones close the
/// connection. What follows must not be taken for its answer.
async fn what_copy_swallows_is_not_awaited(bench: &Bench) {
    let begin = [parse("", "COPY sink FROM STDIN"), bind("", "", &[]), execute("", 0)];
    let one = [parse("", "SELECT 1"), bind("", "", &[]), execute("", 0), sync()];
    let simple = vec![query("COPY sink FROM STDIN"), query("SELECT id FROM notes"), query("SELECT 1")];
    for (messages, head) in [(simple, "G"), ([&begin[..], &[sync()], &one[..], &one[..]].concat(), "1 2 G")] {
        let mut raw = bench.session().await;
        raw.send(&messages).await;
        let said = shape(&raw.until_ready().await);
        let expected = [format!("{head} E(08P01) Z(I)"), format!("{head} E(08P01) E(08P01) closed")];
        assert!(expected.contains(&said), "{said}");
    }
}

async fn special(bench: &Bench) {
    let mut raw = bench.session().await;
    let said = raw.query("SHOW pgward.grants").await;
    assert!(shape(&said).ends_with("Z(I)") && said[1].holds("gr_"), "{said:?}");
    let said = raw.ask(&[parse("", "SHOW pgward.session"), bind("", "", &[]), execute("", 0), sync()]).await;
    assert!(said.iter().any(|said| said.tag == b'D' && said.holds("se_")), "{said:?}");
    assert_eq!(shape(&raw.query("SET pgward.reason = 'INC-1'").await), "C(SET) Z(I)");
    assert_eq!(shape(&raw.query("SELECT 'with a reason'").await), "T D C(SELECT 1) Z(I)");
    let records = bench.records(Event::Statement);
    let with_reason = records.iter().find(|r| r.statement.as_deref() == Some("SELECT 'with a reason'")).unwrap();
    assert_eq!(with_reason.reason.as_deref(), Some("INC-1"));
    assert_eq!(shape(&raw.query("SET role = 'x'").await), "E(42501) Z(I)");
    assert_eq!(shape(&raw.query("SET search_path = secret").await), "E(42501) Z(I)");
}

async fn function_calls(bench: &Bench) {
    let mut raw = bench.session().await;
    let call = bytes::Bytes::from_static(&[b'F', 0, 0, 0, 14, 0, 0, 5, 88, 0, 0, 0, 0, 0, 0]);
    assert_eq!(shape(&raw.ask(&[call]).await), "E(42501) Z(I)");
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
}

async fn cancels(bench: &Bench) {
    let mut raw = bench.session().await;
    raw.send(&[query("SELECT pg_sleep(30)")]).await;
    wait_for(bench, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'", "1").await;
    bench.cancel(&(raw.key.0, vec![0; 4])).await;
    bench.cancel(&(raw.key.0, vec![0; 32])).await;
    let key = raw.key.clone();
    bench.cancel(&key).await;
    let said = shape(&raw.until_ready().await);
    assert!(said.ends_with("E(57014) Z(I)"), "{said}");
    let cancels = bench.records(Event::Cancel);
    assert_eq!(cancels.len(), 3, "those with a wrong key, too: {cancels:#?}");
    assert_eq!(cancels.iter().filter(|record| record.session.is_some()).count(), 1);
    let ended = bench.records(Event::StatementEnd);
    assert!(ended.iter().any(|record| record.ended_by == Some(EndedBy::ClientCancel)));
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
}

async fn wait_for(bench: &Bench, sql: &str, expected: &str) {
    for _ in 0..200 {
        if bench.ask(sql).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!(
        "never: {sql} = {expected}: {}",
        bench.ask("SELECT string_agg(state || query, chr(10)) FROM pg_stat_activity").await
    );
}

async fn journal(bench: &Bench) {
    let mut raw = bench.session().await;
    let text = "SELECT body FROM notes WHERE id = $1::int";
    raw.ask(&[parse("", text), bind("", "", &["42"]), execute("", 0), sync()]).await;
    raw.ask(&[parse("kept", text), sync()]).await;
    raw.ask(&[bind("", "kept", &["43"]), execute("", 0), sync()]).await;
    raw.query(DENIED).await;
    raw.send(&[plain(b'X')]).await;
    assert_eq!(raw.next().await.tag, 0);
    wait_for_close(bench).await;
    let closes = bench.records(Event::SessionClose);
    let session = closes.last().unwrap().session.clone();
    let own = |record: &&pgward::audit::Record| record.session == session;
    let statements: Vec<_> = bench.records(Event::Statement);
    let statements: Vec<_> = statements.iter().filter(own).collect();
    let ends = bench.records(Event::StatementEnd);
    let ends: Vec<_> = ends.iter().filter(own).collect();
    let kinds: Vec<_> = statements.iter().map(|r| r.kind.as_deref().unwrap_or("-")).collect();
    assert_eq!(kinds, ["SELECT", "PARSE", "SELECT", "SELECT"]);
    assert_eq!(statements[0].parameters, Some(vec![Some("42".to_owned())]));
    assert_eq!(statements[2].parameters, Some(vec![Some("43".to_owned())]));
    assert_eq!(statements[3].verdict, Some(RecordedVerdict::Deny));
    assert_eq!(ends.len(), 3);
    for (statement, end) in statements.iter().zip(&ends) {
        assert_eq!(end.statement_seq, Some(statement.seq));
        assert_eq!(end.ended_by, Some(EndedBy::Completed));
    }
    assert_eq!((ends[0].rows, ends[0].command_tag.as_deref()), (Some(1), Some("SELECT 1")));
    // The session's own numbers leave no gap.
    let mut numbers: Vec<_> = [Event::SessionOpen, Event::Statement, Event::StatementEnd, Event::SessionClose]
        .into_iter()
        .flat_map(|event| bench.records(event))
        .filter(|record| record.session == session)
        .map(|record| (record.seq, record.session_seq.unwrap()))
        .collect();
    numbers.sort_unstable();
    let numbers: Vec<_> = numbers.into_iter().map(|(_, number)| number).collect();
    assert_eq!(numbers, (1..=9).collect::<Vec<u64>>());
}

async fn wait_for_close(bench: &Bench) {
    for _ in 0..200 {
        if bench.registry.list().is_empty() {
            // The record of the close is written before the session is taken off the list.
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("sessions stay open: {:?}", bench.registry.list());
}

async fn row_limits(bench: &Bench, most: &pgward::access::GrantId) {
    let limited = bench.grant("few", &["public.notes"], &[Operation::Select], Some(5)).await;
    let mut raw = bench.session().await;
    bench.revoke(most).await;
    assert_eq!(shape(&raw.query("SELECT id FROM notes WHERE id <= 5").await), "T D D D D D C(SELECT 5) Z(I)");
    let said = raw.query("SELECT id FROM notes").await;
    assert_eq!(shape(&said), "T D D D D D E(54000) Z(I)");
    let cursor = [parse("", "SELECT id FROM notes"), bind("p", "", &[]), execute("p", 3), execute("p", 3), sync()];
    assert_eq!(shape(&raw.ask(&cursor).await), "1 2 D D D s D D E(54000) Z(I)");
    let said = shape(&raw.query("COPY (SELECT id FROM notes) TO STDOUT").await);
    assert!(said.starts_with("H d d d d d") && said.ends_with("E(54000) Z(I)"), "{said}");
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
    bench.grant_most().await;
    bench.revoke(&limited).await;
}

/// Of what was sent behind a statement that is cancelled, nothing runs once the session is over.
async fn what_waits_ends_with_the_session(bench: &Bench) {
    let mut raw = bench.session().await;
    raw.send(&[
        query("SELECT pg_sleep(40)"),
        query("SELECT pg_sleep(41)"),
        query("INSERT INTO sink VALUES (777, 'too late')"),
    ])
    .await;
    wait_for(bench, "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(40)'", "1").await;
    let session = bench.registry.list().iter().find(|s| s.statement.is_some()).unwrap().id.clone();
    assert!(bench.registry.kill(&session, "bob", None));
    assert!(raw.until_ready().await.iter().any(|said| said.holds("killed by bob")));
    wait_for(bench, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(4%'", "0").await;
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 777").await, "0");
}

/// A statement that waits behind another one cannot be taken back when its grant ends: so the session ends.
async fn what_waits_ends_with_its_grant(bench: &Bench) {
    let second = bench.grant("second", &["public.secret"], &[Operation::Select], None).await;
    let mut raw = bench.session().await;
    raw.send(&[query("SELECT pg_sleep(50)"), query(DENIED)]).await;
    wait_for(bench, "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(50)'", "1").await;
    bench.revoke(&second).await;
    let said = raw.until_ready().await;
    assert!(said.iter().any(|said| said.holds("57P01") && said.holds("revoked by bob")), "{said:?}");
    wait_for(bench, "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(50)'", "0").await;
}

async fn ends(bench: &Bench) {
    // A statement's own grant ends, the session lives by the other.
    let sleeping = bench.grant("second", &["public.secret"], &[Operation::Select], None).await;
    let mut raw = bench.session().await;
    raw.send(&[query("SELECT s.body FROM secret s, pg_sleep(30)")]).await;
    wait_for(
        bench,
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT s.body%' AND state = 'active'",
        "1",
    )
    .await;
    bench.revoke(&sleeping).await;
    let said = raw.until_ready().await;
    assert_eq!(said.last().unwrap().tag, b'Z', "{said:?}");
    let error = said.iter().find(|said| said.tag == b'E').unwrap();
    assert!(error.holds(sleeping.as_str()) && error.holds("revoked by bob"), "{said:?}");

    // All of them end: in a statement, idle, and with a client that reads nothing.
    raw.send(&[query("SELECT pg_sleep(30)")]).await;
    let mut idle = bench.session().await;
    let mut deaf = bench.session().await;
    deaf.send(&[query("SELECT n.body, repeat('x', 1000) FROM notes n, notes m")]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let live: Vec<_> = bench.registry.list().iter().flat_map(|session| session.grants.clone()).collect();
    bench.revoke(live.first().unwrap()).await;
    for session in [&mut raw, &mut idle] {
        let said = session.until_ready().await;
        let fatal = said.iter().find(|said| said.holds("57P01")).unwrap_or_else(|| panic!("{said:?}"));
        assert!(fatal.holds("FATAL") && fatal.holds("revoked by bob: enough"), "{said:?}");
        assert_eq!(said.last().unwrap().tag, 0);
    }
    wait_for_close(bench).await;
    wait_for(
        bench,
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name = ''",
        "1",
    )
    .await;
    let revoked = bench.records(Event::SessionClose);
    assert!(revoked.iter().filter(|record| record.ended_by == Some(EndedBy::GrantRevoked)).count() >= 3);
    drop(deaf);
}

async fn violations(bench: &Bench) {
    bench.grant_most().await;
    for (garbage, sqlstate) in [
        (&b"Q\0\0\0\0"[..], "08P01"),
        (b"Q\x7f\xff\xff\xff", "54000"),
        (b"~\0\0\0\x04", "08P01"),
        (b"Q\0\0\0\x0eSELECT 1\0xx\0", "08P01"),
        (b"B\0\0\0\x0c\0\0\0\x01\0\0\xff\xff", "08P01"),
    ] {
        let mut raw = bench.session().await;
        raw.send(&[bytes::Bytes::copy_from_slice(garbage)]).await;
        let said = raw.until_ready().await;
        assert_eq!(shape(&said), format!("E({sqlstate}) closed"), "{garbage:?}");
    }
    wait_for_close(bench).await;
}

async fn shutdown(bench: &Bench) {
    let mut raw = bench.session().await;
    let session = bench.registry.list().first().unwrap().id.clone();
    assert!(bench.registry.kill(&session, "bob", None));
    let said = raw.until_ready().await;
    assert!(said[0].holds("killed by bob"), "{said:?}");
    let mut raw = bench.session().await;
    bench.stop.cancel();
    let said = raw.until_ready().await;
    assert!(said[0].holds("57P01"), "{said:?}");
}
