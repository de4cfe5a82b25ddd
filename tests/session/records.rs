//! What the journal says of each message that reaches the database, and of each that does not.

use pgward::audit::{EndedBy, Event, Record, RecordedVerdict};
use pgward::wire::encode::{parse, query, sync};

use super::wait_for_close;
use crate::bench::{Bench, Raw, bind, close, copy_data, describe, execute, plain, shape};

const DENIED: &str = "SELECT body FROM secret";

pub async fn records(bench: &Bench) {
    messages_without_statements(bench).await;
    portals(bench).await;
    what_is_skipped(bench).await;
    texts_of_several_statements(bench).await;
    malformed(bench).await;
    copies(bench).await;
    secrets(bench).await;
    startups(bench).await;
}

/// Ends the session, and answers all of its records in order.
async fn story(bench: &Bench, mut raw: Raw) -> Vec<Record> {
    raw.send(&[plain(b'X')]).await;
    assert_eq!(raw.next().await.tag, 0);
    over(bench).await
}

/// The records of the session that ended last.
async fn over(bench: &Bench) -> Vec<Record> {
    wait_for_close(bench).await;
    let session = bench.records(Event::SessionClose).last().unwrap().session.clone();
    let events = [Event::Statement, Event::StatementEnd, Event::Message, Event::SessionClose];
    let mut all: Vec<_> = events.into_iter().flat_map(|event| bench.records(event)).collect();
    all.retain(|record| record.session == session);
    all.sort_by_key(|record| record.seq);
    all
}

/// `event kind verdict` of each record, ends left out.
fn told(records: &[Record]) -> Vec<String> {
    let begun = records.iter().filter(|record| matches!(record.event, Event::Statement | Event::Message));
    let word = |record: &Record| match (record.event, record.verdict) {
        (Event::Message, _) => "message",
        (_, Some(RecordedVerdict::Allow)) => "allow",
        (_, _) => "deny",
    };
    begun.map(|record| format!("{} {}", word(record), record.kind.as_deref().unwrap_or("-"))).collect()
}

async fn messages_without_statements(bench: &Bench) {
    let mut raw = bench.session().await;
    raw.query(" -- nothing at all").await;
    raw.ask(&[parse("e", ""), bind("", "e", &[]), execute("", 0), sync()]).await;
    raw.ask(&[parse("s", "SELECT body FROM notes WHERE id = $1::int"), sync()]).await;
    raw.ask(&[describe(b'S', "s"), sync()]).await;
    raw.ask(&[bind("p", "s", &["41"]), sync()]).await;
    raw.ask(&[bind("", "s", &["42"]), describe(b'P', ""), execute("", 0), close(b'P', ""), sync()]).await;
    raw.ask(&[close(b'S', "s"), close(b'S', "nosuch"), sync()]).await;
    let records = story(bench, raw).await;
    let expected = [
        "message EMPTY",
        "message EMPTY",
        "message EXECUTE",
        "allow PARSE",
        "message DESCRIBE",
        "message BIND",
        "allow SELECT",
        "message CLOSE",
        "message CLOSE",
    ];
    assert_eq!(told(&records), expected, "{records:#?}");
    let of = |kind: &str| records.iter().find(|record| record.kind.as_deref() == Some(kind)).unwrap();
    assert_eq!(of("EMPTY").statement.as_deref(), Some(" -- nothing at all"));
    assert_eq!(of("BIND").parameters, Some(vec![Some("41".to_owned())]));
    assert_eq!(of("BIND").detail.as_deref(), Some("portal \"p\""));
    assert!(of("DESCRIBE").statement.as_deref().unwrap().contains("FROM notes"));
    assert_eq!(of("SELECT").parameters, Some(vec![Some("42".to_owned())]));
}

async fn portals(bench: &Bench) {
    let mut raw = bench.session().await;
    raw.query("BEGIN").await;
    let text = "SELECT id FROM notes WHERE id <= 5";
    raw.ask(&[parse("", text), bind("p", "", &[]), execute("p", 2), sync()]).await;
    raw.ask(&[execute("p", 2), sync()]).await;
    raw.ask(&[execute("p", 2), sync()]).await;
    raw.query("SELECT 1/0").await;
    raw.query("SELECT 'in vain'").await;
    raw.query("ROLLBACK").await;
    let records = story(bench, raw).await;
    let ends: Vec<_> = records.iter().filter(|record| record.event == Event::StatementEnd).collect();
    let fetched: Vec<_> = ends.iter().skip(1).take(3).map(|end| end.rows).collect();
    assert_eq!(fetched, [Some(2), Some(2), Some(1)], "each Execute has its own rows: {records:#?}");
    let states: Vec<_> = ends.iter().filter_map(|end| end.sqlstate.as_deref()).collect();
    assert_eq!(states, ["22012", "25P02"], "also in a failed transaction");
}

async fn what_is_skipped(bench: &Bench) {
    let mut raw = bench.session().await;
    let one = |text: &str| [parse("", text), bind("", "", &[]), execute("", 0)];
    raw.ask(&[&one(DENIED)[..], &one("SELECT 'behind a denial'"), &[sync()]].concat()).await;
    raw.send(&[&one("SELECT 1/(id - id) FROM notes")[..], &[plain(b'H')]].concat()).await;
    while raw.next().await.tag != b'E' {}
    raw.ask(&[&one("SELECT 'behind an error'")[..], &[query("SELECT 'a query too'"), sync()]].concat()).await;
    let records = story(bench, raw).await;
    for text in ["SELECT 'behind a denial'", "SELECT 'behind an error'", "SELECT 'a query too'"] {
        let found = records.iter().find(|record| record.statement.as_deref() == Some(text)).expect(text);
        assert_eq!((found.verdict, found.rule.as_deref()), (Some(RecordedVerdict::Deny), Some("skipped")), "{found:?}");
        assert_eq!(found.ended_by, Some(EndedBy::Skipped));
    }
    assert_eq!(records.iter().filter(|r| r.event == Event::StatementEnd).count(), 1, "{records:#?}");
}

async fn texts_of_several_statements(bench: &Bench) {
    let mut raw = bench.session().await;
    raw.query(&format!("SELECT 'first'; {DENIED}; SELECT 'last'")).await;
    let records = story(bench, raw).await;
    let refused: Vec<_> = records.iter().filter(|record| record.event == Event::Statement).collect();
    assert_eq!(refused.len(), 3, "{records:#?}");
    assert!(refused.iter().all(|record| record.verdict == Some(RecordedVerdict::Deny)));
    assert_eq!(refused.iter().filter(|record| record.rule.as_deref() == Some("message")).count(), 2);
}

async fn malformed(bench: &Bench) {
    let mut raw = bench.session().await;
    let mut bad = b"Q\0\0\0\x15SELECT '\xff\\'\0".to_vec();
    bad[4] = u8::try_from(bad.len() - 1).unwrap();
    raw.send(&[query(DENIED), bytes::Bytes::from(bad)]).await;
    while raw.next().await.tag != 0 {}
    let records = over(bench).await;
    let texts: Vec<_> = records.iter().filter_map(|record| record.statement.as_deref()).collect();
    assert_eq!(texts, [DENIED, "SELECT '\\xff\\\\'"], "{records:#?}");
    assert_eq!(records.last().unwrap().ended_by, Some(EndedBy::ProtocolViolation));
}

async fn copies(bench: &Bench) {
    let mut raw = bench.session().await;
    raw.send(&[query("COPY sink FROM STDIN")]).await;
    assert_eq!(raw.next().await.tag, b'G');
    assert_eq!(shape(&raw.ask(&[copy_data(b"1\ta\n2\tb\n"), plain(b'c')]).await), "C(COPY 2) Z(I)");
    raw.send(&[query("COPY sink FROM STDIN")]).await;
    assert_eq!(raw.next().await.tag, b'G');
    let fail = bytes::Bytes::from_static(b"f\0\0\0\x0benough\0");
    assert_eq!(shape(&raw.ask(&[copy_data(b"3\tc\n"), fail]).await), "E(57014) Z(I)");
    assert_eq!(shape(&raw.query("COPY notes TO STDOUT").await).split(' ').next_back(), Some("Z(I)"));
    let records = story(bench, raw).await;
    let ends: Vec<_> = records.iter().filter(|record| record.event == Event::StatementEnd).collect();
    let rows: Vec<_> = ends.iter().map(|end| (end.rows, end.ended_by)).collect();
    let expected =
        [(Some(2), Some(EndedBy::Completed)), (Some(0), Some(EndedBy::Error)), (Some(1000), Some(EndedBy::Completed))];
    assert_eq!(rows, expected, "{records:#?}");
    assert!(ends[1].bytes > Some(0), "what had been sent of it is counted");
    bench.ask("TRUNCATE sink").await;
}

async fn secrets(bench: &Bench) {
    let mut raw = bench.session().await;
    raw.query("ALTER ROLE alice PASSWORD 'open sesame'").await;
    raw.query("SELECT body FROM notes WHERE body = 'postgres://u:open sesame@h/d' -- open sesame").await;
    raw.query("ALTER ROLE alice PASSWORD 'open sesame").await;
    raw.ask(&[parse("", "SELECT body FROM notes WHERE $1::text = body AND body = $2"), sync()]).await;
    raw.ask(&[bind("", "", &["a", "host=h password=open sesame"]), execute("", 0), sync()]).await;
    let records = story(bench, raw).await;
    for record in &records {
        let text = format!("{record:?}");
        assert!(!text.contains("open sesame"), "{text}");
    }
    assert_eq!(records.iter().filter(|record| !record.redacted.is_empty()).count(), 4, "{records:#?}");
}

async fn startups(bench: &Bench) {
    let before = bench.records(Event::StartupRefused).len();
    let mut raw = bench.tls().await;
    let mut packet = b"\0\0\0\0\0\x03\0\0user\0al\xfeice\0\0".to_vec();
    packet[3] = u8::try_from(packet.len()).unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut raw, &packet).await.unwrap();
    // Until it is closed.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut raw, &mut Vec::new()).await;
    let mut raw = bench.tls().await;
    let packet = pgward::wire::encode::startup(0, &[("user", "alice"), ("search_path", "hr")]);
    tokio::io::AsyncWriteExt::write_all(&mut raw, &packet).await.unwrap();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut raw, &mut Vec::new()).await;
    let mut refused = Vec::new();
    // A client is told before it is recorded, and given time to read that.
    for _ in 0..200 {
        refused = bench.records(Event::StartupRefused).split_off(before);
        if refused.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    refused.sort_by_key(|record| record.principal.is_some());
    assert_eq!(refused.len(), 2, "{refused:#?}");
    assert!(refused[0].detail.as_deref().unwrap().contains("al\\xfeice"), "{refused:#?}");
    assert_eq!(refused[1].principal.as_deref(), Some("alice"));
    assert!(refused[1].detail.as_deref().unwrap().contains("search_path"), "{refused:#?}");
}
