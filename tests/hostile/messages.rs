//! Messages of a session that lie about themselves, come where they do not belong, or stop half way.

use std::time::Duration;

use bytes::Bytes;
use pgward::audit::{EndedBy, Event};
use pgward::wire::encode::{parse, query, sync};
use tokio::io::AsyncWriteExt;

use crate::bench::{bind, copy_data, cstr, describe, execute, message, plain, shape};
use crate::world::{Case, World, closed, is_closed, sqlstate, to_the_end, works};

pub const CASES: &[Case] = &[
    ("messages::lengths_that_cannot_be", |world| Box::pin(lengths_that_cannot_be(world))),
    ("messages::unknown_types", |world| Box::pin(unknown_types(world))),
    ("messages::bodies_that_do_not_end_where_they_say", |world| Box::pin(bodies_that_do_not_end_where_they_say(world))),
    ("messages::counts_that_do_not_match", |world| Box::pin(counts_that_do_not_match(world))),
    ("messages::a_length_that_overflows", |world| Box::pin(a_length_that_overflows(world))),
    ("messages::text_in_another_encoding", |world| Box::pin(text_in_another_encoding(world))),
    ("messages::names_that_are_cut", |world| Box::pin(names_that_are_cut(world))),
    ("messages::function_calls", |world| Box::pin(function_calls(world))),
    ("messages::rows_wanted_beyond_reason", |world| Box::pin(rows_wanted_beyond_reason(world))),
    ("messages::copy_data_outside_of_copy", |world| Box::pin(copy_data_outside_of_copy(world))),
    ("messages::statements_inside_of_copy", |world| Box::pin(statements_inside_of_copy(world))),
    ("messages::half_a_copy_data", |world| Box::pin(half_a_copy_data(world))),
    ("messages::half_a_message_then_nothing", |world| Box::pin(half_a_message_then_nothing(world))),
    ("messages::closed_in_every_way", |world| Box::pin(closed_in_every_way(world))),
];

/// Sends what breaks the protocol behind a statement that is well formed: that one counts, nothing behind it.
async fn broken(world: &World, wrong: &[Bytes]) {
    refused(world, "08P01", wrong).await;
}

async fn refused(world: &World, sqlstate: &str, wrong: &[Bytes]) {
    let bench = world.bench().await;
    for wrong in wrong {
        let mut raw = bench.session().await;
        raw.send(&[wrong.clone(), query("INSERT INTO sink VALUES (1100, 'behind')")]).await;
        assert_eq!(shape(&to_the_end(&mut raw).await), format!("E({sqlstate}) closed"), "{wrong:?}");
        drop(raw);
        assert_eq!(closed(&bench).await, Some(EndedBy::ProtocolViolation), "{wrong:?}");
    }
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 1100").await, "0");
    works(&bench).await;
}

async fn lengths_that_cannot_be(world: World) {
    let mut wrong = Vec::new();
    for tag in *b"QPBdcS" {
        for length in [0, 1, 2, 3, -1, i32::MIN] {
            wrong.push(Bytes::from([&[tag][..], &i32::to_be_bytes(length)].concat()));
        }
    }
    // COPY data streams through, but no message of it is longer than PostgreSQL takes.
    for length in [0x4000_0003, i32::MAX] {
        wrong.push(Bytes::from([&b"d"[..], &length.to_be_bytes()].concat()));
    }
    broken(&world, &wrong).await;
    let beyond_reason = b"QPBDECF".map(|tag| Bytes::from([&[tag][..], &i32::MAX.to_be_bytes()].concat()));
    refused(&world, "54000", &beyond_reason).await;
}

async fn unknown_types(world: World) {
    let wrong: Vec<Bytes> = b"~\0\xffRTZKvWVGIAn12\x163".iter().map(|tag| plain(*tag)).collect();
    broken(&world, &wrong).await;
}

async fn bodies_that_do_not_end_where_they_say(world: World) {
    let raw = |tag: u8, body: &'static [u8]| message(tag, |bytes| bytes.extend_from_slice(body));
    let wrong = [
        raw(b'Q', b"SELECT 1"),
        raw(b'Q', b""),
        raw(b'Q', b"SELECT 1\0SELECT body FROM secret\0"),
        raw(b'Q', b"SELECT 1\0\0"),
        raw(b'P', b"s\0SELECT 1\0"),
        raw(b'P', b"s\0SELECT 1\0\0\0x"),
        raw(b'P', b"s\0SELECT 1\0\0\x01\0\0\0"),
        raw(b'P', b"s\0SELECT 1\0\xff\xff"),
        raw(b'D', b"Ss"),
        raw(b'D', b"Xs\0"),
        raw(b'D', b"\0s\0"),
        raw(b'D', b"Ss\0more\0"),
        raw(b'C', b"S"),
        raw(b'C', b"Qs\0"),
        raw(b'E', b"p\0\0\0"),
        raw(b'E', b"p\0\0\0\0\0\0"),
        raw(b'S', b"x"),
        raw(b'H', b"\0"),
        raw(b'X', b"\0"),
        raw(b'c', b"x"),
        raw(b'f', b"no end"),
    ];
    broken(&world, &wrong).await;
}

async fn counts_that_do_not_match(world: World) {
    let raw = |body: &'static [u8]| message(b'B', |bytes| bytes.extend_from_slice(body));
    let wrong = [
        raw(b"\0\0\0\x02\0\0\0\0\0\0\0\0"),
        raw(b"\0\0\0\0\0\x02\0\0\0\x01a\0\0"),
        raw(b"\0\0\0\0\xff\xff\0\0"),
        raw(b"\0\0\xff\xff\0\0\0\0"),
        raw(b"\0\0\0\0\0\x01\xff\xff\xff\xfea\0\0"),
        raw(b"\0\0\0\0\0\x01\x80\0\0\0a\0\0"),
        raw(b"\0\0\0\0\0\x01\x7f\xff\xff\xffa\0\0"),
        raw(b"\0\0\0\0\0\0\0\x01"),
        raw(b"\0\0\0\x01\0\x02\0\0\0\0"),
        raw(b"\0\0\0\x01\xff\xff\0\0\0\0"),
        raw(b"\0\0\0\0\0\0\0\0more"),
        raw(b"\0"),
    ];
    broken(&world, &wrong).await;
}

/// A length of four gigabytes, cut to 32 bits, would have what is inside of the value read as messages (as in CVE-2024-27304).
async fn a_length_that_overflows(world: World) {
    let bench = world.bench().await;
    let hidden = query("INSERT INTO sink VALUES (1101, 'smuggled')");
    for length in [0_u32, 4, 5, 0xffff_fff0, 0x8000_0004] {
        let mut raw = bench.session().await;
        let mut bytes = vec![b'B'];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&hidden);
        raw.send(&[parse("", "SELECT $1::text"), Bytes::from(bytes), hidden.clone(), sync()]).await;
        let said = to_the_end(&mut raw).await;
        assert!(is_closed(&said) && sqlstate(&said) == "08P01", "{length:#x}: {said:?}");
    }
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 1101").await, "0");
    works(&bench).await;
}

async fn text_in_another_encoding(world: World) {
    let raw = |tag: u8, body: &'static [u8]| message(tag, |bytes| bytes.extend_from_slice(body));
    let wrong = [
        raw(b'Q', b"SELECT '\x95\x5c'; SELECT body FROM secret --'\0"),
        raw(b'Q', b"SELECT '\xbf\x27; SELECT body FROM secret --'\0"),
        raw(b'Q', b"SELECT \xc0\xa7; SELECT body FROM secret --\0"),
        raw(b'Q', b"SELECT '\xed\xa0\x80'\0"),
        raw(b'Q', b"SELECT '\xf4\x90\x80\x80'\0"),
        raw(b'P', b"\xff\0SELECT 1\0\0\0"),
        raw(b'P', b"\0SELECT '\xff'\0\0\0"),
        raw(b'B', b"\xff\0\0\0\0\0\0\0\0"),
        raw(b'E', b"\xfe\0\0\0\0\0"),
        raw(b'D', b"S\xfe\0"),
    ];
    broken(&world, &wrong).await;
}

/// PostgreSQL keeps 63 bytes of a name: two that differ behind them are one, and must be one here.
async fn names_that_are_cut(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    let cut = "n".repeat(63);
    let (one, other) = (format!("{cut}one"), format!("{cut}other"));
    let said = raw.ask(&[parse(&one, "SELECT id FROM notes WHERE id = 1"), sync()]).await;
    assert_eq!(shape(&said), "1 Z(I)");
    let said = raw.ask(&[parse(&other, "SELECT body FROM secret"), sync()]).await;
    assert_eq!(shape(&said), "E(42501) Z(I)");
    let said = raw.ask(&[bind("", &other, &[]), execute("", 0), sync()]).await;
    assert!(!said.iter().any(|said| said.holds("hidden")), "{said:?}");
    let long = "n".repeat(1_000_000);
    let said = raw.ask(&[parse(&long, "SELECT body FROM secret"), sync()]).await;
    assert_eq!(shape(&said), "E(42501) Z(I)");
    let said = raw.ask(&[bind("", &long, &[]), describe(b'P', ""), execute("", 0), sync()]).await;
    assert!(!said.iter().any(|said| said.holds("hidden")), "{said:?}");
    works(&bench).await;
}

async fn function_calls(world: World) {
    let bench = world.bench().await;
    let call = |oid: u32| {
        message(b'F', |body| {
            body.extend_from_slice(&oid.to_be_bytes());
            body.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 3]);
            body.extend_from_slice(b"30k");
            body.extend_from_slice(&[0, 0]);
        })
    };
    let mut raw = bench.session().await;
    for oid in [0, 2626, 952, 767, 1598, u32::MAX] {
        assert_eq!(shape(&raw.ask(&[call(oid)]).await), "E(42501) Z(I)", "{oid}");
    }
    let said = raw.ask(&[query("BEGIN"), call(2626)]).await;
    assert_eq!(shape(&said), "C(BEGIN) Z(T)");
    assert_eq!(shape(&raw.until_ready().await), "E(42501) Z(E)");
    let mut raw = bench.session().await;
    raw.send(&[plain(b'F')]).await;
    let said = raw.until_ready().await;
    assert!(matches!(sqlstate(&said).as_str(), "42501" | "08P01"), "{said:?}");
    works(&bench).await;
}

async fn rows_wanted_beyond_reason(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    for rows in [u32::MAX, 0x8000_0000, 0x7fff_ffff, 0] {
        let begin = [parse("", "SELECT id FROM notes WHERE id < 4"), bind("", "", &[]), execute("", rows), sync()];
        assert_eq!(shape(&raw.ask(&begin).await), "1 2 D D D C(SELECT 3) Z(I)", "{rows:#x}");
    }
    works(&bench).await;
}

async fn copy_data_outside_of_copy(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    raw.send(&[copy_data(&query("INSERT INTO sink VALUES (1102, 'data')")), plain(b'c')]).await;
    raw.send(&[message(b'f', |body| cstr(body, "why"))]).await;
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
    raw.send(&[parse("", "SELECT 1"), copy_data(b"1\tx\n"), plain(b'c'), bind("", "", &[]), execute("", 0)]).await;
    assert_eq!(shape(&raw.ask(&[sync()]).await), "1 2 D C(SELECT 1) Z(I)");
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 1102").await, "0");
}

async fn statements_inside_of_copy(world: World) {
    for inside in [
        query("INSERT INTO sink VALUES (1103, 'inside')"),
        parse("", "SELECT 1"),
        bind("", "", &[]),
        execute("", 0),
        describe(b'S', ""),
        Bytes::from_static(b"F\0\0\0\x0e\0\0\x05\x58\0\0\0\0\0\0"),
        Bytes::from_static(b"p\0\0\0\x05\0"),
    ] {
        let bench = world.bench().await;
        let mut raw = bench.session().await;
        raw.send(&[query("COPY sink FROM STDIN")]).await;
        assert_eq!(raw.next().await.tag, b'G');
        raw.send(&[copy_data(b"1103\tdata\n"), inside.clone()]).await;
        let said = to_the_end(&mut raw).await;
        assert!(is_closed(&said) && sqlstate(&said) == "08P01", "{inside:?}: {said:?}");
        assert_eq!(closed(&bench).await, Some(EndedBy::ProtocolViolation));
        assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 1103").await, "0");
    }
}

/// A CopyData that never comes to its end, with statements where the rest of it belongs: they are data.
async fn half_a_copy_data(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    raw.send(&[query("COPY sink FROM STDIN")]).await;
    assert_eq!(raw.next().await.tag, b'G');
    let hidden = query("INSERT INTO sink VALUES (1104, 'half')");
    raw.send(&[Bytes::from_static(b"d\0\x01\0\0abc"), hidden, plain(b'c'), query("SELECT 1")]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(raw);
    assert_eq!(closed(&bench).await, Some(EndedBy::ClientDisconnect));
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 1104").await, "0");
    assert_eq!(bench.records(Event::Statement).len(), 1, "the COPY alone");
    works(&bench).await;
}

async fn half_a_message_then_nothing(world: World) {
    let bench = world.bench().await;
    let text = query("INSERT INTO sink VALUES (1105, 'half')");
    for cut in [1, 4, 5, 6, text.len() - 1] {
        let mut raw = bench.session().await;
        raw.send(&[text.slice(..cut)]).await;
        works(&bench).await;
        raw.stream.shutdown().await.unwrap();
        assert!(is_closed(&to_the_end(&mut raw).await));
        assert_eq!(closed(&bench).await, Some(EndedBy::ClientDisconnect));
    }
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 1105").await, "0");
}

/// The end of TLS, of the socket, a reset: after each the session is over, with its record.
async fn closed_in_every_way(world: World) {
    let bench = world.bench().await;
    let sleeping = "SELECT pg_sleep(20), 1106";
    for way in 0..3 {
        let mut raw = bench.session().await;
        raw.send(&[query(sleeping)]).await;
        wait_for(&bench, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%1106'", "1").await;
        match way {
            0 => raw.stream.shutdown().await.unwrap(),
            1 => raw.stream.get_mut().0.shutdown().await.unwrap(),
            _ => raw.stream.get_mut().0.set_zero_linger().unwrap(),
        }
        drop(raw);
        assert_eq!(closed(&bench).await, Some(EndedBy::ClientDisconnect), "{way}");
        wait_for(&bench, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%1106'", "0").await;
    }
    let ends = bench.records(Event::StatementEnd);
    assert_eq!(ends.len(), 3);
    assert!(ends.iter().all(|end| end.ended_by == Some(EndedBy::ClientDisconnect)), "{ends:?}");
    works(&bench).await;
}

pub async fn wait_for(bench: &crate::bench::Bench, sql: &str, expected: &str) {
    for _ in 0..300 {
        if bench.ask(sql).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {sql} = {expected}");
}
