//! Guard rails of scopes: what a client sees of them, and that the server's state agrees with what the client was told.

use std::time::Duration;

use pgward::access::{Guards, ObjectPattern, Operation, Scope};
use pgward::audit::{EndedBy, Event};
use pgward::wire::encode::{parse, query, sync};

use crate::bench::{Bench, Raw, Said, bind, copy_data, execute, plain, scope, shape};
use crate::{step, wait_for};

const ALL: [Operation; 5] =
    [Operation::Select, Operation::Insert, Operation::Update, Operation::Delete, Operation::Truncate];

fn writing(name: &str, guards: Guards) -> Scope {
    Scope { guards, ..scope(name, &["public.notes", "public.sink"], &ALL, None) }
}

fn functions(scope: &mut Scope, names: &[&str]) {
    scope.allow[0].functions = names.iter().map(|name| ObjectPattern::parse(name).unwrap()).collect();
}

fn reading(name: &str, guards: Guards) -> Scope {
    let mut scope = Scope { guards, ..scope(name, &["public.notes", "public.sink"], &[Operation::Select], None) };
    functions(&mut scope, &[]);
    scope
}

fn rows(limit: u64) -> Guards {
    Guards { row_limit: Some(limit), ..Guards::default() }
}

fn bytes(limit: u64) -> Guards {
    Guards { byte_limit: Some(limit), ..Guards::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guards() {
    let bench = Bench::start().await;
    step("limits_fail_the_transaction", limits_fail_the_transaction(&bench)).await;
    step("limits_in_the_extended_protocol", limits_in_the_extended_protocol(&bench)).await;
    step("nothing_is_put_inside_of_a_message", nothing_is_put_inside_of_a_message(&bench)).await;
    step("a_name_that_is_not_settled", a_name_that_is_not_settled(&bench)).await;
    step("limits_outside_of_a_block", limits_outside_of_a_block(&bench)).await;
    step("byte_limits", byte_limits(&bench)).await;
    step("binary_copies", binary_copies(&bench)).await;
    step("what_follows_a_bounded_statement_waits", what_follows_a_bounded_statement_waits(&bench)).await;
    step("timeouts", timeouts(&bench)).await;
    step("timeouts_count_for_each_statement", timeouts_count_for_each_statement(&bench)).await;
    step("timeouts_need_no_help_of_the_client", timeouts_need_no_help_of_the_client(&bench)).await;
    step("writes_of_every_row", writes_of_every_row(&bench)).await;
    step("reasons", reasons(&bench)).await;
    step("reasons_live_as_settings_do", reasons_live_as_settings_do(&bench)).await;
    step("read_only_sessions", read_only_sessions(&bench)).await;
    step("drivers_habits", drivers_habits(&bench)).await;
    step("sessions_that_come_to_write", sessions_that_come_to_write(&bench)).await;
    step("sessions_that_no_longer_write", sessions_that_no_longer_write(&bench)).await;
    step("a_function_that_turns_it_off", a_function_that_turns_it_off(&bench)).await;
    bench.stop.cancel();
}

async fn limits_fail_the_transaction(bench: &Bench) {
    let grant = bench.grant_scope(writing("few", rows(5))).await;
    let mut raw = bench.session().await;
    assert_eq!(shape(&raw.query("BEGIN").await), "C(BEGIN) Z(T)");
    assert_eq!(shape(&raw.query("INSERT INTO sink VALUES (1, 'a')").await), "C(INSERT 0 1) Z(T)");
    assert_eq!(shape(&raw.query("SELECT id FROM notes WHERE id <= 6").await), "T D D D D D E(54000) Z(E)");
    assert_eq!(shape(&raw.query("SELECT 1").await), "E(25P02) Z(E)");
    assert_eq!(shape(&raw.query("COMMIT").await), "C(ROLLBACK) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0");

    // A savepoint brings the transaction back, as after any other error.
    assert_eq!(shape(&raw.query("BEGIN; SAVEPOINT s").await), "C(BEGIN) C(SAVEPOINT) Z(T)");
    let insert = "INSERT INTO sink SELECT id, body FROM notes WHERE id <= 6 RETURNING id";
    assert_eq!(shape(&raw.query(insert).await), "T D D D D D E(54000) Z(E)");
    assert_eq!(shape(&raw.query("ROLLBACK TO s").await), "C(ROLLBACK) Z(T)");
    assert_eq!(shape(&raw.query("COMMIT").await), "C(COMMIT) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0");

    // What stands behind it in one text is sent with it; the block that it is in fails as a whole.
    let text = "BEGIN; SELECT id FROM notes WHERE id <= 6; INSERT INTO sink VALUES (2, 'b')";
    assert_eq!(shape(&raw.query(text).await), "C(BEGIN) T D D D D D E(54000) Z(E)");
    assert_eq!(shape(&raw.query("COMMIT").await), "C(ROLLBACK) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0");

    // A cursor's fetches add up.
    assert_eq!(
        shape(&raw.query("BEGIN; DECLARE c CURSOR FOR SELECT id FROM notes").await),
        "C(BEGIN) C(DECLARE CURSOR) Z(T)"
    );
    assert_eq!(shape(&raw.query("FETCH 3 FROM c").await), "T D D D C(FETCH 3) Z(T)");
    assert_eq!(shape(&raw.query("FETCH 3 FROM c").await), "T D D E(54000) Z(E)");
    assert_eq!(shape(&raw.query("ROLLBACK").await), "C(ROLLBACK) Z(I)");
    bench.revoke(&grant).await;
}

/// What makes the rest of a segment fail is not put inside of a message that the client has half sent: what is behind the bytes
/// too many would be read as messages.
async fn nothing_is_put_inside_of_a_message(bench: &Bench) {
    let grant = bench.grant_scope(writing("few", rows(5))).await;
    let mut raw = bench.session().await;
    let six = [parse("", "SELECT id FROM notes WHERE id <= 6"), bind("", "", &[]), execute("", 0), plain(b'H')];
    // As long as what pgward sends to make a segment fail.
    let hidden = query("INSERT INTO sink VALUES (666)");
    assert_eq!(hidden.len(), 35);
    let split = copy_data(&[&[b'x'; 40][..], &hidden].concat());
    raw.send(&[&six[..], &[split.slice(..10)]].concat()).await;
    while raw.next().await.tag != b'E' {}
    tokio::time::sleep(Duration::from_millis(100)).await;
    raw.send(&[split.slice(10..), sync()]).await;
    assert_eq!(shape(&raw.until_ready().await), "Z(I)");
    assert_eq!(shape(&raw.query("SELECT id FROM notes WHERE id < 3").await), "T D D C(SELECT 2) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 666").await, "0");
    bench.revoke(&grant).await;
}

/// A name that a message in front gives another meaning, and that is used before that is answered, is not used at all: what is
/// recorded and kept by the name is what runs.
async fn a_name_that_is_not_settled(bench: &Bench) {
    let grant = bench.grant_scope(writing("all", Guards::default())).await;
    let mut raw = bench.session().await;
    assert_eq!(shape(&raw.query("PREPARE x AS SELECT 1").await), "C(PREPARE) Z(I)");
    assert_eq!(shape(&raw.ask(&[parse("", "SELECT 1"), sync()]).await), "1 Z(I)");
    raw.send(&[parse("", "DEALLOCATE x"), sync(), bind("", "", &[]), execute("", 0), sync()]).await;
    assert_eq!(shape(&raw.until_ready().await), "1 Z(I)");
    let said = raw.until_ready().await;
    assert_eq!(shape(&said), "E(42501) Z(I)");
    assert!(said[0].holds("not settled yet"), "{said:?}");
    // Once it is answered, it is.
    assert_eq!(shape(&raw.ask(&[bind("", "", &[]), execute("", 0), sync()]).await), "2 C(DEALLOCATE) Z(I)");
    bench.revoke(&grant).await;
}

async fn limits_in_the_extended_protocol(bench: &Bench) {
    let grant = bench.grant_scope(writing("few", rows(5))).await;
    let mut raw = bench.session().await;
    let six = |name: &str| [parse("", "SELECT id FROM notes WHERE id <= 6"), bind(name, "", &[]), execute(name, 0)];
    let insert = [parse("", "INSERT INTO sink VALUES (3, 'c')"), bind("", "", &[]), execute("", 0)];

    // In a block, with its Sync.
    raw.query("BEGIN").await;
    let said = raw.ask(&[&six("")[..], &[sync()]].concat()).await;
    assert_eq!(shape(&said), "1 2 D D D D D E(54000) Z(E)");
    assert_eq!(shape(&raw.query("ROLLBACK").await), "C(ROLLBACK) Z(I)");

    // Without its Sync: the client is told at once, and what it sends up to the Sync is skipped and undone.
    raw.send(&[&insert[..], &six(""), &[plain(b'H')]].concat()).await;
    let mut said = Vec::new();
    while said.last().is_none_or(|last: &Said| last.tag != b'E') {
        said.push(raw.next().await);
    }
    assert_eq!(shape(&said), "1 2 C(INSERT 0 1) 1 2 D D D D D E(54000)");
    assert_eq!(shape(&raw.ask(&[&insert[..], &[sync()]].concat()).await), "Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0");

    // A portal's Executes add up.
    raw.query("BEGIN").await;
    let said = raw
        .ask(&[parse("", "SELECT id FROM notes"), bind("p", "", &[]), execute("p", 3), execute("p", 3), sync()])
        .await;
    assert_eq!(shape(&said), "1 2 D D D s D D E(54000) Z(E)");
    assert_eq!(shape(&raw.query("ROLLBACK").await), "C(ROLLBACK) Z(I)");
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
    bench.revoke(&grant).await;
}

/// What is committed by itself cannot be taken back: the client is told so.
async fn limits_outside_of_a_block(bench: &Bench) {
    let grant = bench.grant_scope(writing("few", rows(5))).await;
    let mut raw = bench.session().await;
    let said = raw.query("INSERT INTO sink SELECT id, body FROM notes WHERE id <= 6 RETURNING id").await;
    assert_eq!(shape(&said), "T D D D D D E(54000) Z(I)");
    let told = said[said.len() - 2].holds("is committed");
    assert_eq!(told, bench.ask("SELECT count(*) FROM sink").await == "6", "{said:?}");
    assert_eq!(shape(&raw.query("DELETE FROM sink WHERE id > 0").await).split(' ').next_back(), Some("Z(I)"));
    let ended: Vec<_> = bench.records(Event::StatementEnd).into_iter().filter_map(|record| record.ended_by).collect();
    assert!(ended.contains(&EndedBy::RowLimit));
    bench.revoke(&grant).await;
}

/// A DataRow of one short text: two bytes for the count, four for the length, and the text.
async fn byte_limits(bench: &Bench) {
    let grant = bench.grant_scope(reading("small", bytes(35))).await;
    let mut raw = bench.session().await;
    assert_eq!(shape(&raw.query("SELECT id FROM notes WHERE id <= 5").await), "T D D D D D C(SELECT 5) Z(I)");
    let said = raw.query("SELECT id FROM notes WHERE id <= 6").await;
    assert_eq!(shape(&said), "T D D D D D E(54000) Z(I)");
    assert!(said[6].holds("byte limit of 35 bytes reached"), "{said:?}");
    // One row that is too much goes not even in part.
    let said = raw.query("SELECT repeat('x', 1000000)").await;
    assert_eq!(shape(&said), "T E(54000) Z(I)");
    assert!(!said.iter().any(|one| one.holds("xxxx")), "nothing of it reaches the client");
    // Cursors and portals add up.
    raw.query("BEGIN; DECLARE c CURSOR FOR SELECT id FROM notes ORDER BY id").await;
    assert_eq!(shape(&raw.query("FETCH 3 FROM c").await), "T D D D C(FETCH 3) Z(T)");
    assert_eq!(shape(&raw.query("FETCH 3 FROM c").await), "T D D E(54000) Z(E)");
    raw.query("ROLLBACK").await;
    let portal = [parse("", "SELECT id FROM notes"), bind("p", "", &[]), execute("p", 3), execute("p", 3), sync()];
    assert_eq!(shape(&raw.ask(&portal).await), "1 2 D D D s D D E(54000) Z(I)");
    // COPY returns a line a message: `1` and its end.
    let said = shape(&raw.query("COPY (SELECT id FROM notes WHERE id <= 15 ORDER BY id) TO STDOUT").await);
    assert_eq!(said.matches('d').count(), 14, "nine lines of two bytes, five of three: {said}");
    assert!(said.ends_with("E(54000) Z(I)"), "{said}");
    let said = shape(&raw.query("COPY (SELECT id FROM notes WHERE id <= 9) TO STDOUT").await);
    assert!(said.ends_with("c C(COPY 9) Z(I)"), "{said}");
    let ended: Vec<_> = bench.records(Event::StatementEnd).into_iter().filter_map(|record| record.ended_by).collect();
    assert!(ended.contains(&EndedBy::ByteLimit));
    bench.revoke(&grant).await;
}

/// The end of binary data is a message that holds no row.
async fn binary_copies(bench: &Bench) {
    let grant = bench.grant_scope(reading("few", rows(5))).await;
    let mut raw = bench.session().await;
    let copy = |most: u32| format!("COPY (SELECT id FROM notes WHERE id <= {most}) TO STDOUT (FORMAT binary)");
    let said = shape(&raw.query(&copy(5)).await);
    assert!(said.ends_with("c C(COPY 5) Z(I)"), "{said}");
    let said = shape(&raw.query(&copy(6)).await);
    assert!(said.starts_with("H d d d d d ") && said.ends_with("E(54000) Z(I)"), "{said}");
    assert_eq!(said.matches('d').count(), 5, "{said}");
    bench.revoke(&grant).await;
}

/// A cancel request cannot hit what was sent behind the statement that it is for, nor can that run before its
/// transaction has failed.
async fn what_follows_a_bounded_statement_waits(bench: &Bench) {
    let grant = bench.grant_scope(writing("few", rows(5))).await;
    let mut raw = bench.session().await;
    raw.query("BEGIN").await;
    raw.send(&[
        query("SELECT id FROM notes"),
        query("INSERT INTO sink VALUES (7, 'late')"),
        query("COMMIT"),
        query("SELECT 1"),
    ])
    .await;
    assert_eq!(shape(&raw.until_ready().await), "T D D D D D E(54000) Z(E)");
    assert_eq!(shape(&raw.until_ready().await), "E(25P02) Z(E)");
    assert_eq!(shape(&raw.until_ready().await), "C(ROLLBACK) Z(I)");
    assert_eq!(shape(&raw.until_ready().await), "T D C(SELECT 1) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0");
    // A client that sends its data without waiting for the server to ask for it.
    raw.send(&[query("COPY sink FROM STDIN"), copy_data(b"1\ta\n"), plain(b'c'), query("SELECT 2")]).await;
    assert_eq!(shape(&raw.until_ready().await), "G C(COPY 1) Z(I)");
    assert_eq!(shape(&raw.until_ready().await), "T D C(SELECT 1) Z(I)");
    let eager = [parse("", "COPY sink FROM STDIN"), bind("", "", &[]), execute("", 0), sync()];
    raw.send(&[&eager[..], &[copy_data(b"2\tb\n"), plain(b'c'), sync(), query("SELECT 3")]].concat()).await;
    assert_eq!(shape(&raw.until_ready().await), "1 2 G C(COPY 1) Z(I)");
    assert_eq!(shape(&raw.until_ready().await), "T D C(SELECT 1) Z(I)");
    raw.query("DELETE FROM sink WHERE id > 0").await;
    bench.revoke(&grant).await;
}

async fn timeouts(bench: &Bench) {
    let guards = Guards { statement_timeout: Some(Duration::from_millis(500)), ..Guards::default() };
    let grant = bench.grant_scope(writing("quick", guards)).await;
    let mut raw = bench.session().await;
    let said = raw.query("SELECT pg_sleep(60)").await;
    assert_eq!(shape(&said), "T E(57014) Z(I)");
    assert!(said[1].holds("scope \"quick\" allows 500ms") && said[1].holds(grant.as_str()), "{said:?}");
    raw.query("BEGIN").await;
    let sleep = [parse("", "SELECT pg_sleep(60)"), bind("", "", &[]), execute("", 0), sync()];
    let said = raw.ask(&sleep).await;
    assert_eq!(shape(&said), "1 2 E(57014) Z(E)");
    raw.query("ROLLBACK").await;
    // A client that sends no data is not waited for, and what it still sends is not taken.
    raw.send(&[query("COPY sink FROM STDIN")]).await;
    let said = raw.until_ready().await;
    assert_eq!(shape(&said), "G E(57014) Z(I)");
    assert!(said[1].holds("scope \"quick\""), "{said:?}");
    raw.send(&[copy_data(b"1\ta\n"), plain(b'c'), query("SELECT count(*) FROM sink")]).await;
    let said = raw.until_ready().await;
    assert_eq!(shape(&said), "T D C(SELECT 1) Z(I)");
    assert!(said[1].holds("0"), "{said:?}");
    let copy = [parse("", "COPY sink FROM STDIN"), bind("", "", &[]), execute("", 0), sync()];
    raw.send(&copy).await;
    let mut said = Vec::new();
    while said.last().is_none_or(|last: &Said| last.tag != b'E') {
        said.push(raw.next().await);
    }
    assert_eq!(shape(&said), "1 2 G E(57014)");
    assert_eq!(shape(&raw.ask(&[sync()]).await), "Z(I)");
    let ended: Vec<_> = bench.records(Event::StatementEnd).into_iter().filter_map(|record| record.ended_by).collect();
    assert_eq!(ended.iter().filter(|ended| **ended == EndedBy::Timeout).count(), 4);
    bench.revoke(&grant).await;
}

/// Statements of one segment are timed one by one. Those of one Query are timed together where the server keeps their
/// ends to itself until the last.
async fn timeouts_count_for_each_statement(bench: &Bench) {
    let guards = Guards { statement_timeout: Some(Duration::from_secs(4)), ..Guards::default() };
    let grant = bench.grant_scope(writing("quick", guards)).await;
    let (mut raw, mut other) = (bench.session().await, bench.session().await);
    let one = || [parse("", "SELECT pg_sleep(2.5)"), bind("", "", &[]), execute("", 0)];
    let both = [&one()[..], &one(), &[sync()]].concat();
    let (segment, text) = tokio::join!(raw.ask(&both), other.query("SELECT pg_sleep(2.5); SELECT pg_sleep(60)"));
    assert_eq!(shape(&segment), "1 2 D C(SELECT 1) 1 2 D C(SELECT 1) Z(I)");
    let text = shape(&text);
    assert!(text.starts_with("T ") && text.ends_with("E(57014) Z(I)"), "{text}");
    bench.revoke(&grant).await;
}

/// A server that cannot write its rows hears no cancel request, nor does one that waits for the rest of a message.
async fn timeouts_need_no_help_of_the_client(bench: &Bench) {
    let guards = Guards { statement_timeout: Some(Duration::from_secs(2)), ..Guards::default() };
    let grant = bench.grant_scope(writing("quick", guards)).await;
    let mut raw = bench.session().await;
    raw.send(&[query("SELECT repeat('x', 1000) FROM notes a, notes b")]).await;
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT repeat(%' AND state = 'active'";
    wait_for(bench, running, "1").await;
    wait_for(bench, running, "0").await;
    let said = raw.until_ready().await;
    assert!(shape(&said).ends_with(" D E(57014) Z(I)"));

    let mut raw = bench.session().await;
    raw.send(&[query("COPY sink FROM STDIN")]).await;
    assert_eq!(shape(&[raw.next().await]), "G");
    raw.send(&[copy_data(b"1\ta\n").slice(..6)]).await;
    let said = raw.until_ready().await;
    assert_eq!(shape(&said), "E(57P01) closed");
    assert!(said[0].holds("its data stopped within a message"), "{said:?}");
    bench.revoke(&grant).await;
}

async fn writes_of_every_row(bench: &Bench) {
    let grant = bench.grant_scope(writing("careful", Guards::default())).await;
    let mut raw = bench.session().await;
    for refused in [
        "UPDATE notes SET body = 'x'",
        "DELETE FROM sink",
        "DELETE FROM notes WHERE true",
        "PREPARE p AS DELETE FROM notes",
        "EXPLAIN ANALYZE DELETE FROM notes",
        "WITH gone AS (DELETE FROM notes RETURNING id) SELECT count(*) FROM gone",
        "COPY (DELETE FROM notes RETURNING id) TO STDOUT",
    ] {
        let said = raw.query(refused).await;
        assert_eq!(shape(&said), "E(42501) Z(I)", "{refused}");
        assert!(said[0].holds("every row of") && said[0].holds("Add a WHERE clause"), "{said:?}");
    }
    let said = raw.ask(&[parse("", "DELETE FROM notes"), bind("", "", &[]), execute("", 0), sync()]).await;
    assert_eq!(shape(&said), "E(42501) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM notes").await, "1000");
    assert_eq!(shape(&raw.query("UPDATE sink SET body = 'x' WHERE id = 1").await), "C(UPDATE 0) Z(I)");
    assert_eq!(shape(&raw.query("TRUNCATE sink").await), "C(TRUNCATE TABLE) Z(I)");
    let careless = Guards { unfiltered_writes: true, ..Guards::default() };
    let other = bench.grant_scope(writing("careless", careless)).await;
    assert_eq!(shape(&raw.query("DELETE FROM sink").await), "C(DELETE 0) Z(I)");
    bench.revoke(&grant).await;
    bench.revoke(&other).await;
}

fn reasoned() -> Guards {
    Guards { require_reason: true, ..Guards::default() }
}

async fn reasons(bench: &Bench) {
    let grant = bench.grant_scope(writing("why", reasoned())).await;
    let mut raw = bench.session().await;
    for free in
        ["SET application_name = 'x'", "BEGIN", "SELECT oid FROM pg_class LIMIT 0", "SELECT version()", "COMMIT"]
    {
        let said = shape(&raw.query(free).await);
        assert!(!said.contains("E("), "{free}: {said}");
    }
    let said = raw.query("SELECT id FROM notes WHERE id = 1").await;
    assert_eq!(shape(&said), "E(42501) Z(I)");
    assert!(said[0].holds("a reason is needed first") && said[0].holds("SET pgward.reason"), "{said:?}");
    raw.query("SET pgward.reason = '  '").await;
    assert_eq!(shape(&raw.query("SELECT pg_sleep(0)").await), "E(42501) Z(I)");
    let said = raw.ask(&[parse("", "SELECT id FROM notes"), bind("", "", &[]), execute("", 0), sync()]).await;
    assert_eq!(shape(&said), "E(42501) Z(I)");
    // By another way than SET it would not be heard.
    assert_eq!(shape(&raw.query("SELECT set_config('pgward.reason', 'x', false)").await), "E(42501) Z(I)");
    // Given in the text or the segment of what needs it.
    let said = raw.query("SET pgward.reason = 'INC-1'; SELECT id FROM notes WHERE id = 1").await;
    assert_eq!(shape(&said), "C(SET) T D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.query("SELECT id FROM notes WHERE id = 1").await), "T D C(SELECT 1) Z(I)");
    assert_eq!(shape(&raw.query("RESET pgward.reason; SELECT id FROM notes").await), "E(42501) Z(I)");
    raw.query("DISCARD ALL").await;
    assert_eq!(shape(&raw.query("SELECT id FROM notes").await), "E(42501) Z(I)");
    let piped = [
        parse("", "SET pgward.reason = 'INC-2'"),
        bind("", "", &[]),
        execute("", 0),
        parse("", "SELECT id FROM notes WHERE id = 2"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ];
    assert_eq!(shape(&raw.ask(&piped).await), "1 2 C(SET) 1 2 D C(SELECT 1) Z(I)");
    let recorded = |text: &str| {
        let found = bench.records(Event::Statement).into_iter().rev();
        let allowed = |record: &pgward::audit::Record| record.verdict == Some(pgward::audit::RecordedVerdict::Allow);
        found.filter(allowed).find(|record| record.statement.as_deref() == Some(text)).unwrap().reason
    };
    assert_eq!(recorded("SELECT id FROM notes WHERE id = 1").as_deref(), Some("INC-1"));
    assert_eq!(recorded("SELECT id FROM notes WHERE id = 2").as_deref(), Some("INC-2"));
    bench.revoke(&grant).await;
}

async fn reasons_live_as_settings_do(bench: &Bench) {
    let grant = bench.grant_scope(writing("why", reasoned())).await;
    let mut raw = bench.session().await;
    const READ: &str = "SELECT id FROM notes WHERE id = 1";
    async fn runs(raw: &mut Raw) -> bool {
        shape(&raw.query(READ).await).contains("C(SELECT 1)")
    }
    raw.query("BEGIN; SET pgward.reason = 'a'").await;
    assert!(runs(&mut raw).await);
    raw.query("ROLLBACK").await;
    assert!(!runs(&mut raw).await, "undone with its transaction");
    raw.query("BEGIN; SET LOCAL pgward.reason = 'b'").await;
    assert!(runs(&mut raw).await);
    raw.query("COMMIT").await;
    assert!(!runs(&mut raw).await, "gone with its transaction");
    raw.query("BEGIN; SAVEPOINT s; SET pgward.reason = 'c'; ROLLBACK TO s").await;
    assert!(!runs(&mut raw).await, "put back by the savepoint");
    raw.query("ROLLBACK").await;
    raw.query("SET pgward.reason = 'd'; SELECT 1/0").await;
    assert!(!runs(&mut raw).await, "the implicit transaction was rolled back");
    raw.query("BEGIN; SET pgward.reason = 'e'; COMMIT").await;
    assert!(runs(&mut raw).await);
    raw.query("BEGIN; RESET pgward.reason; ROLLBACK").await;
    assert!(runs(&mut raw).await);
    let said = raw.query("SHOW pgward.session").await;
    assert!(said[1].holds("e"), "{said:?}");
    raw.query("RESET ALL").await;
    assert!(!runs(&mut raw).await);
    bench.revoke(&grant).await;
}

async fn is_read_only(raw: &mut Raw) -> bool {
    let said = raw.query("SHOW transaction_read_only").await;
    let row = said.iter().find(|one| one.tag == b'D').unwrap();
    row.holds("on")
}

async fn read_only_sessions(bench: &Bench) {
    let mut scope = Scope { guards: Guards { read_only: Some(true), ..Guards::default() }, ..reading("look", rows(9)) };
    functions(&mut scope, &["public.leak"]);
    scope.allow[0].on.push(ObjectPattern::parse("public.leaky").unwrap());
    let grant = bench.grant_scope(scope).await;
    let mut raw = bench.session().await;
    assert!(is_read_only(&mut raw).await);
    for hidden in ["SELECT leak()", "SELECT leaked FROM leaky WHERE id = 1", "EXPLAIN ANALYZE SELECT leak()"] {
        let said = shape(&raw.query(hidden).await);
        assert!(said.ends_with("E(25006) Z(I)"), "{hidden}: {said}");
    }
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0");
    for refused in [
        "BEGIN READ WRITE",
        "START TRANSACTION READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET default_transaction_read_only = off",
        "SET default_transaction_read_only TO DEFAULT",
        "RESET default_transaction_read_only",
        "SET transaction_read_only = off",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "BEGIN; SET TRANSACTION READ WRITE",
    ] {
        assert_eq!(shape(&raw.query(refused).await), "E(42501) Z(I)", "{refused}");
    }
    for fine in ["BEGIN READ ONLY", "SET TRANSACTION READ ONLY", "COMMIT", "RESET ALL", "DISCARD ALL"] {
        assert!(!shape(&raw.query(fine).await).contains("E("), "{fine}");
    }
    assert!(is_read_only(&mut raw).await);
    bench.revoke(&grant).await;
}

/// What drivers say of their own accord, under a grant that writes.
async fn drivers_habits(bench: &Bench) {
    let grant = bench.grant_scope(writing("work", Guards::default())).await;
    let mut raw = bench.session().await;
    for habit in [
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE",
        "SET default_transaction_read_only TO 'off'",
        "SET default_transaction_read_only TO DEFAULT",
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE",
        "SET TRANSACTION READ WRITE",
        "INSERT INTO sink VALUES (8, 'h')",
        "ROLLBACK",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "DISCARD ALL",
        "INSERT INTO sink VALUES (8, 'h')",
        "DELETE FROM sink WHERE id = 8",
    ] {
        let said = shape(&raw.query(habit).await);
        assert!(!said.contains("E("), "{habit}: {said}");
    }
    bench.revoke(&grant).await;
}

async fn sessions_that_come_to_write(bench: &Bench) {
    let look = bench.grant_scope(reading("look", Guards::default())).await;
    let mut raw = bench.session().await;
    assert!(is_read_only(&mut raw).await);
    assert_eq!(shape(&raw.query("INSERT INTO sink VALUES (1, 'a')").await), "E(42501) Z(I)");
    // The unnamed statement outlives what pgward itself says to the server.
    assert_eq!(shape(&raw.ask(&[parse("", "SELECT id FROM notes WHERE id = 1"), sync()]).await), "1 Z(I)");
    let work = bench.grant_scope(writing("work", Guards::default())).await;
    let said = raw.ask(&[bind("", "", &[]), execute("", 0), sync()]).await;
    assert_eq!(shape(&said).trim_start_matches("S "), "2 D C(SELECT 1) Z(I)");
    assert!(!shape(&raw.query("INSERT INTO sink VALUES (1, 'a')").await).contains("E("));
    // What settings go back to is to be told anew.
    assert!(!shape(&raw.query("DISCARD ALL").await).contains("E("));
    let said = shape(&raw.query("DELETE FROM sink WHERE id = 1").await);
    assert!(said.ends_with("C(DELETE 1) Z(I)"), "{said}");
    // Open when it changes: the transaction stays what it is, and has to be ended first.
    bench.revoke(&work).await;
    assert!(is_read_only(&mut raw).await);
    raw.query("BEGIN").await;
    let work = bench.grant_scope(writing("work", Guards::default())).await;
    assert_eq!(shape(&raw.query("INSERT INTO sink VALUES (2, 'b')").await), "E(25006) Z(E)");
    raw.query("ROLLBACK").await;
    let said = shape(&raw.query("INSERT INTO sink VALUES (2, 'b'); DELETE FROM sink WHERE id = 2").await);
    assert!(said.ends_with("C(INSERT 0 1) C(DELETE 1) Z(I)"), "{said}");
    bench.revoke(&work).await;
    bench.revoke(&look).await;
}

async fn sessions_that_no_longer_write(bench: &Bench) {
    let look = bench.grant_scope(reading("look", Guards::default())).await;
    let work = bench.grant_scope(writing("work", Guards::default())).await;
    let mut raw = bench.session().await;
    assert!(!is_read_only(&mut raw).await);
    raw.query("BEGIN; INSERT INTO sink VALUES (3, 'c')").await;
    bench.revoke(&work).await;
    let said = raw.query("SELECT id FROM notes WHERE id = 1").await;
    assert_eq!(shape(&said), "E(42501) Z(E)");
    assert!(said[0].holds("the grant for that has ended") && said[0].holds("COMMIT or ROLLBACK"), "{said:?}");
    assert_eq!(shape(&raw.query("COMMIT AND CHAIN").await), "E(42501) Z(E)");
    assert_eq!(shape(&raw.query("ROLLBACK").await), "C(ROLLBACK) Z(I)");
    assert!(is_read_only(&mut raw).await);
    // This session was opened to write: what would make it so again is refused.
    for refused in ["RESET ALL", "DISCARD ALL", "BEGIN READ WRITE"] {
        assert_eq!(shape(&raw.query(refused).await), "E(42501) Z(I)", "{refused}");
    }
    assert_eq!(shape(&raw.query("SELECT id FROM notes WHERE id = 1").await), "T D C(SELECT 1) Z(I)");
    assert!(is_read_only(&mut raw).await);

    // What was written while the grant was live may be kept.
    let work = bench.grant_scope(writing("work", Guards::default())).await;
    let mut raw = bench.session().await;
    raw.query("BEGIN; INSERT INTO sink VALUES (4, 'd')").await;
    bench.revoke(&work).await;
    assert_eq!(shape(&raw.query("COMMIT").await), "C(COMMIT) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 4").await, "1");
    assert!(is_read_only(&mut raw).await);
    bench.ask("DELETE FROM sink").await;
    bench.revoke(&look).await;
}

/// A function can change the default that pgward has set; the session does not outlive that.
async fn a_function_that_turns_it_off(bench: &Bench) {
    let mut scope = reading("look", Guards { read_only: Some(true), ..Guards::default() });
    functions(&mut scope, &["public.unlock", "public.leak"]);
    let grant = bench.grant_scope(scope).await;
    let mut raw = bench.session().await;
    raw.send(&[query("SELECT unlock()")]).await;
    let said = raw.until_ready().await;
    assert!(said.iter().any(|one| one.tag == b'E' && one.holds("08P01")), "{said:?}");
    assert_eq!(bench.ask("SELECT count(*) FROM sink").await, "0");
    bench.revoke(&grant).await;
}
