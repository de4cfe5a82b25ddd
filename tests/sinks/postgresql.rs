//! A table of a real PostgreSQL.

use std::sync::OnceLock;

use pgward::access::Secret;
use pgward::guarded::Proof;
use pgward::sinks::{Body, Kind, Pem, Postgresql};

use crate::rig::{Rig, eventually, sink};
use crate::support::Bench;

/// The one PostgreSQL of the run; it ends with the process.
pub fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(Bench::start)
}

pub fn table(database: &str, name: &str) -> Postgresql {
    let bench = bench();
    Postgresql {
        host: "localhost".into(),
        port: bench.postgres.port,
        user: "pgw_admin".into(),
        database: database.into(),
        password: Some(Secret::new("pgw_admin_pw")),
        proof: Proof::Required,
        ca: Some(Pem::read(&bench.certs.join("ca.crt")).unwrap()),
        table: (Some("public".into()), name.into()),
        create_table: true,
        body: Body::Jsonl,
    }
}

fn run(sql: &str) -> String {
    bench().postgres.run("postgres", sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_a_row_with_its_bytes() {
    let rig = Rig::new();
    rig.statements(70).await;
    let mut odd = crate::rig::statement("SELECT 'a\u{0}b\u{202e}c', '\\u0000', '\u{1F600}\u{e0001}'");
    odd.principal = Some("nul\u{0}'; DROP TABLE t; --".into());
    rig.record(odd).await;
    let sinks = rig.start(vec![sink(Kind::Postgresql(table("postgres", "Sink \"one\"")))]).await;
    let name = r#""Sink ""one""""#;
    eventually("it is made", || !run(&format!("SELECT to_regclass('{name}')")).is_empty()).await;
    eventually("all arrive", || run(&format!("SELECT count(*) FROM {name}")) == "72").await;
    sinks.stop().await;
    let found = run(&format!("SELECT record::text FROM {name} ORDER BY seq"));
    let mut reader = pgward::audit::Reader::new(&rig.dir.path().join("audit"), 1);
    for line in found.lines() {
        let entry = reader.read().unwrap().unwrap();
        assert_eq!(line.as_bytes(), entry.canonical);
    }
    let row = run(&format!(
        "SELECT event, principal, database, verdict, rule, journal FROM {name} WHERE seq = 2 AND \"time\" <= now()"
    ));
    assert_eq!(row, format!("statement|alice|shop|deny|out-of-scope|{}", rig.journal.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_come_twice_are_there_once() {
    let rig = Rig::new();
    rig.statements(20).await;
    for _ in 0..2 {
        let sinks = rig.start(vec![sink(Kind::Postgresql(table("postgres", "twice")))]).await;
        eventually("acknowledged", || rig.position().is_some_and(|position| position["seq"] == 21)).await;
        sinks.stop().await;
        std::fs::remove_file(rig.dir.path().join("audit/sinks/s.json")).unwrap();
    }
    assert_eq!(run("SELECT count(*), count(DISTINCT seq) FROM twice"), "21|21");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_is_asked_again_until_it_takes_everything() {
    let rig = Rig::new();
    rig.statements(20).await;
    let mut settings = table("postgres", "later");
    settings.create_table = false;
    let sinks = rig.start(vec![sink(Kind::Postgresql(settings))]).await;
    eventually("it fails", || rig.metric("pgward_audit_sink_failures_total") >= 2.0).await;
    // As docs/sinks.md has it.
    run(
        "CREATE TABLE later (journal text NOT NULL, seq bigint NOT NULL, \"time\" timestamptz NOT NULL, event text NOT NULL, \
         principal text, database text, session text, \"grant\" text, verdict text, rule text, record json NOT NULL, \
         PRIMARY KEY (journal, seq))",
    );
    eventually("all arrive", || run("SELECT count(*) FROM later") == "21").await;
    // The connection breaks; the next batch makes another.
    run("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'pgward audit sink'");
    rig.statements(5).await;
    eventually("all arrive", || run("SELECT string_agg(seq::text, ',' ORDER BY seq) FROM later").ends_with(",26"))
        .await;
    sinks.stop().await;
    assert_eq!(run("SELECT count(*) FROM later"), "26");
}

/// Without TLS, which is for this machine alone, whoever listens at the port could ask for the password in clear.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_the_password_itself_does_not_get_it() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let rig = Rig::new();
    rig.statements(2).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = table("postgres", "never");
    (settings.host, settings.port) = ("127.0.0.1".into(), listener.local_addr().unwrap().port());
    settings.ca = None;
    let sinks = rig.start(vec![sink(Kind::Postgresql(settings))]).await;
    for method in [3_u8, 5] {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut startup = vec![0; 4096];
        assert!(stream.read(&mut startup).await.unwrap() > 8);
        stream.write_all(&[b'R', 0, 0, 0, if method == 5 { 12 } else { 8 }, 0, 0, 0, method]).await.unwrap();
        if method == 5 {
            stream.write_all(b"salt").await.unwrap();
        }
        let mut answer = Vec::new();
        // However the connection ends, nothing was said.
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(String::from_utf8_lossy(&answer), "", "method {method}");
    }
    eventually("it fails", || rig.metric("pgward_audit_sink_failures_total") >= 2.0).await;
    sinks.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_the_wrong_name_or_authority_gets_nothing() {
    let rig = Rig::new();
    rig.statements(2).await;
    let mut settings = table("postgres", "never");
    settings.ca = Some(crate::rig::ca());
    let sinks = rig.start(vec![sink(Kind::Postgresql(settings))]).await;
    eventually("it fails", || rig.metric("pgward_audit_sink_failures_total") >= 2.0).await;
    sinks.stop().await;
    assert_eq!(run("SELECT to_regclass('never') IS NULL"), "t");
}
