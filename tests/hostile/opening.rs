//! Attacks before anybody has said who they are: around TLS, in the startup packet, with cancel requests.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use pgward::audit::Event;
use pgward::wire::encode::{cancel_request, query, ssl_request, startup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::{Bench, Said, shape};
use crate::world::{Case, World, details, is_closed, sqlstate, to_the_end, works};

pub const CASES: &[Case] = &[
    ("opening::bytes_before_tls_are_nobodys", |world| Box::pin(bytes_before_tls_are_nobodys(world))),
    ("opening::a_request_where_a_handshake_belongs", |world| Box::pin(a_request_where_a_handshake_belongs(world))),
    ("opening::gssenc_then_tls_then_a_session", |world| Box::pin(gssenc_then_tls_then_a_session(world))),
    ("opening::plain_text_after_refused_gssenc", |world| Box::pin(plain_text_after_refused_gssenc(world))),
    ("opening::statements_in_plain_text", |world| Box::pin(statements_in_plain_text(world))),
    ("opening::startup_packets_of_wrong_form", |world| Box::pin(startup_packets_of_wrong_form(world))),
    ("opening::other_versions_of_the_protocol", |world| Box::pin(other_versions_of_the_protocol(world))),
    ("opening::settings_that_change_who_or_what", |world| Box::pin(settings_that_change_who_or_what(world))),
    ("opening::names_that_are_too_long_or_empty", |world| Box::pin(names_that_are_too_long_or_empty(world))),
    ("opening::cancel_with_other_keys", |world| Box::pin(cancel_with_other_keys(world))),
    ("opening::cancel_flood", |world| Box::pin(cancel_flood(world))),
    ("opening::silence_in_each_phase", |world| Box::pin(silence_in_each_phase(world))),
];

const GSSENC: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

async fn tcp(bench: &Bench) -> TcpStream {
    TcpStream::connect(("127.0.0.1", bench.port)).await.unwrap()
}

/// Everything that comes until the peer closes; a reset is an end too.
async fn rest(tcp: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match tokio::time::timeout(Duration::from_secs(8), tcp.read(&mut piece)).await.expect("closed in time") {
            Ok(0) | Err(_) => return all,
            Ok(read) => all.extend_from_slice(&piece[..read]),
        }
    }
}

fn alice() -> Bytes {
    startup(0, &[("user", "alice"), ("database", "plain")])
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A man in the middle puts his own packets in front of the client's handshake, to be read as if the client had sent them in TLS.
async fn bytes_before_tls_are_nobodys(world: World) {
    let bench = world.bench().await;
    let stuffed = [&alice()[..], &query("DELETE FROM sink"), b"\0", b"\x16\x03\x01"];
    for (index, stuffing) in stuffed.iter().enumerate() {
        let mut stream = tcp(&bench).await;
        stream.write_all(&[&ssl_request()[..], stuffing].concat()).await.unwrap();
        assert!(rest(&mut stream).await.is_empty(), "not even S: {stuffing:?}");
        let told = details(&bench, Event::StartupRefused, index + 1).await;
        assert!(told.last().unwrap().contains("bytes behind SSLRequest"), "{told:?}");
    }
    works(&bench).await;
}

async fn a_request_where_a_handshake_belongs(world: World) {
    let bench = world.bench().await;
    for (index, packet) in [&ssl_request()[..], &GSSENC, &alice(), &query("SELECT 1")].iter().enumerate() {
        let mut stream = tcp(&bench).await;
        stream.write_all(&ssl_request()).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'S');
        stream.write_all(packet).await.unwrap();
        // What comes is a TLS alert, if anything: no byte of the protocol.
        let said = rest(&mut stream).await;
        assert!(said.is_empty() || said[0] == 0x15, "{said:?}");
        let told = details(&bench, Event::StartupRefused, index + 1).await;
        assert!(told.last().unwrap().contains("TLS handshake failed"), "{told:?}");
    }
    for packet in [&ssl_request()[..], &GSSENC] {
        let mut raw = bench.raw().await;
        raw.send(&[Bytes::copy_from_slice(packet)]).await;
        assert_eq!(shape(&to_the_end(&mut raw).await), "E(08P01) closed");
    }
    works(&bench).await;
}

async fn gssenc_then_tls_then_a_session(world: World) {
    let bench = world.bench().await;
    let mut stream = tcp(&bench).await;
    stream.write_all(&GSSENC).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'N');
    stream.write_all(&ssl_request()).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'S');
    for smuggled in [&GSSENC[..], &ssl_request(), &alice()] {
        let mut stream = tcp(&bench).await;
        stream.write_all(&[&GSSENC[..], smuggled].concat()).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(!said.contains(&b'S') && !holds(&said, "SCRAM"), "{said:?}");
    }
    let mut stream = tcp(&bench).await;
    for expected in [Some(b'N'), None] {
        stream.write_all(&GSSENC).await.unwrap();
        assert_eq!(stream.read_u8().await.ok(), expected, "once and no more");
    }
    works(&bench).await;
}

async fn plain_text_after_refused_gssenc(world: World) {
    let bench = world.bench().await;
    let mut stream = tcp(&bench).await;
    stream.write_all(&GSSENC).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'N');
    stream.write_all(&alice()).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with(b"E") && holds(&said, "28000") && holds(&said, "TLS is required"), "{said:?}");
    assert_eq!(details(&bench, Event::StartupRefused, 1).await, ["TLS is required"]);
}

async fn statements_in_plain_text(world: World) {
    let bench = world.bench().await;
    for packet in [query("SELECT 1"), Bytes::from_static(b"p\0\0\0\x0bpencil\0"), Bytes::from_static(b"X\0\0\0\x04")] {
        let mut stream = tcp(&bench).await;
        stream.write_all(&packet).await.unwrap();
        stream.shutdown().await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with(b"E"), "{said:?}");
    }
    assert!(bench.records(Event::SessionOpen).is_empty());
    works(&bench).await;
}

fn packet(code: u32, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(u32::try_from(body.len() + 8).unwrap());
    bytes.put_u32(code);
    bytes.extend_from_slice(body);
    bytes.freeze()
}

const V3: u32 = 3 << 16;

async fn opened(bench: &Bench, packet: Bytes) -> Vec<Said> {
    let mut raw = bench.raw().await;
    raw.send(&[packet]).await;
    to_the_end(&mut raw).await
}

async fn startup_packets_of_wrong_form(world: World) {
    let bench = world.bench().await;
    let long = vec![b'x'; 10_000];
    let wrong = [
        packet(V3, b"user\0alice\0database\0plain\0"),
        packet(V3, b"user\0alice\0database\0plain"),
        packet(V3, b"user\0alice\0database\0plain\0\0Q\0\0\0\x0dSELECT 1\0"),
        packet(V3, b"user\0alice\0\0database\0secret\0\0"),
        packet(V3, b"user\0alice\0user\0bob\0database\0plain\0\0"),
        packet(V3, b"user\0alice\0database\0plain\0database\0plain\0\0"),
        packet(V3, b"user\0al\xffice\0database\0plain\0\0"),
        packet(V3, b"user\0alice\0\xc0\xafx\0y\0\0"),
        packet(V3, b"user"),
        packet(V3, b""),
        packet(V3, &long),
        packet(0, b"user\0alice\0\0"),
        packet(2 << 16, b"user\0alice\0\0"),
        packet(4 << 16, b"user\0alice\0\0"),
        packet(u32::MAX, b""),
        packet(80_877_102, &[0, 0, 0, 1]),
        packet(80_877_102, &[7; 4 + 257]),
        Bytes::from_static(&[0, 0, 0, 0]),
        Bytes::from_static(&[0, 0, 0, 7, 0, 3, 0]),
        Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]),
        Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0]),
        Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n"),
    ];
    for packet in wrong {
        let said = opened(&bench, packet.clone()).await;
        assert_eq!(shape(&said), "E(08P01) closed", "{packet:?}");
    }
    assert!(bench.records(Event::SessionOpen).is_empty());
    let told = details(&bench, Event::StartupRefused, 20).await;
    assert!(told.iter().any(|told| told.contains("al\\xffice")), "who it said it was: {told:?}");
    works(&bench).await;
}

/// A newer minor version and unknown options are negotiated down, as PostgreSQL does.
async fn other_versions_of_the_protocol(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.raw().await;
    raw.send(&[packet(V3 | 2, b"user\0alice\0database\0plain\0\0")]).await;
    assert_eq!(raw.next().await.tag, b'R', "the newest version is spoken as it is asked for");
    for (code, body, spoken) in [
        (V3 | 9_999, &b"user\0alice\0database\0plain\0\0"[..], [0, 3, 0, 2]),
        (V3, b"user\0alice\0database\0plain\0_pq_.evil\0on\0_pq_.more\0\0\0", [0, 3, 0, 0]),
    ] {
        let mut raw = bench.raw().await;
        raw.send(&[packet(code, body)]).await;
        let negotiated = raw.next().await;
        assert_eq!((negotiated.tag, &negotiated.body[..4]), (b'v', &spoken[..]), "{negotiated:?}");
        assert_eq!(negotiated.holds("_pq_.evil"), code == V3);
        assert_eq!(raw.next().await.tag, b'R', "and goes on to ask for a password");
    }
}

async fn settings_that_change_who_or_what(world: World) {
    let bench = world.bench().await;
    let all = [
        ("options", "-c role=postgres"),
        ("options", "-crole=postgres"),
        ("options", "--role=postgres"),
        ("options", "-c Role=postgres"),
        ("options", "--session-authorization=postgres"),
        ("options", "-c statement_timeout=0 -c search_path=secret"),
        ("options", "-c\tsearch_path=secret"),
        ("options", r"-c search\_path=secret"),
        ("options", "-c default_transaction_read_only=off"),
        ("options", "-c row_security=off"),
        ("options", "-c standard_conforming_strings=off"),
        ("options", "-c backslash_quote=on"),
        ("options", "-c client_encoding=SJIS"),
        ("options", "-c session_preload_libraries=x"),
        ("options", "-c local_preload_libraries=x"),
        ("options", "-c zero_damaged_pages=on"),
        ("options", "-c allow_system_table_mods=on"),
        ("options", "-c transaction_timeout"),
        ("options", "-B 1"),
        ("options", "-o -Ofoo"),
        ("role", "postgres"),
        ("ROLE", "postgres"),
        ("is_superuser", "on"),
        ("session_authorization", "postgres"),
        ("search_path", "pg_temp,secret"),
        ("standard_conforming_strings", "off"),
        ("client_encoding", "GBK"),
        ("replication", "true"),
        ("replication", "database"),
        ("replication", "On"),
        ("DateStyle", "ISO\nrole=postgres"),
        ("pgward.reason", "x"),
    ];
    for (name, value) in all {
        let mut raw = bench.raw().await;
        raw.send(&[startup(0, &[("user", "alice"), ("database", "plain"), (name, value)])]).await;
        let said = vec![raw.next().await];
        assert!(matches!(sqlstate(&said).as_str(), "0A000" | "08P01"), "{name}={value}: {said:?}");
        assert!(is_closed(&to_the_end(&mut raw).await), "{name}={value}");
    }
    let told = details(&bench, Event::StartupRefused, 20).await;
    assert!(told.iter().any(|told| told.contains("\"role\" is refused")), "{told:?}");
    works(&bench).await;
}

async fn names_that_are_too_long_or_empty(world: World) {
    let bench = world.bench().await;
    let long = "x".repeat(300);
    for parameters in [
        &[("database", "plain")][..],
        &[("user", ""), ("database", "plain")],
        &[("user", &long), ("database", "plain")],
        &[("user", "alice"), ("database", &long)],
    ] {
        let said = opened(&bench, startup(0, parameters)).await;
        assert!(is_closed(&said) && !said.iter().any(|said| said.tag == b'R'), "{said:?}");
        assert!(matches!(sqlstate(&said).as_str(), "28000" | "0A000"), "{said:?}");
    }
    for name in ["alice ", "Alice", "alice\u{200b}", "alice'--", "postgres", "../alice", "alice\n"] {
        let (_, said) = bench.log_in(name, "plain", "pencil").await;
        assert_eq!(sqlstate(&said), "28P01", "{name:?} is not alice: {said:?}");
    }
    works(&bench).await;
}

async fn cancel_with_other_keys(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    raw.send(&[query("SELECT pg_sleep(0.7)")]).await;
    let (process, key) = raw.key.clone();
    let mut near = key.clone();
    *near.last_mut().unwrap() ^= 1;
    let longer = [&key[..], &[0]].concat();
    for (process, key) in [
        (process, near),
        (process, vec![0; 4]),
        (process, longer),
        (process, vec![0; 256]),
        (process.wrapping_add(1), key.clone()),
        (0, key),
    ] {
        bench.cancel(&(process, key)).await;
    }
    for wrong in [cancel_request(process, &[1; 3]), cancel_request(process, &[1; 257])] {
        let mut stream = tcp(&bench).await;
        stream.write_all(&wrong).await.unwrap();
        assert!(rest(&mut stream).await.is_empty());
    }
    assert_eq!(shape(&raw.until_ready().await), "T D C(SELECT 1) Z(I)", "nothing was cancelled");
    let told = details(&bench, Event::Cancel, 6).await;
    assert!(told.iter().all(|told| told.contains("no session has this key")), "{told:?}");
}

async fn cancel_flood(world: World) {
    let bench = world.bench().await;
    let mut raw = bench.session().await;
    let (process, key) = raw.key.clone();
    for _ in 0..320 {
        let mut stream = tcp(&bench).await;
        stream.write_all(&cancel_request(process.wrapping_add(1), &key)).await.unwrap();
    }
    assert_eq!(shape(&raw.query("SELECT 1").await), "T D C(SELECT 1) Z(I)");
    let records = bench.records(Event::Cancel);
    assert!(records.len() <= 40, "a flood does not fill the journal: {}", records.len());
    works(&bench).await;
}

async fn silence_in_each_phase(world: World) {
    let settings = crate::world::bounded(|bounds| bounds.handshake_timeout = Duration::from_secs(1));
    let bench = world.bench_with(settings).await;
    let mut peers: Vec<Box<dyn tokio::io::AsyncRead + Unpin>> = Vec::new();
    peers.push(Box::new(tcp(&bench).await));
    for first in [&ssl_request()[..3], &ssl_request(), &GSSENC, &[0x16], &alice()[..9]] {
        let mut stream = tcp(&bench).await;
        stream.write_all(first).await.unwrap();
        peers.push(Box::new(stream));
    }
    peers.push(Box::new(bench.tls().await));
    for first in [&alice()[..9], &alice(), &[&alice()[..], b"p\0\0"].concat()] {
        let mut stream = bench.tls().await;
        stream.write_all(first).await.unwrap();
        peers.push(Box::new(stream));
    }
    works(&bench).await;
    for peer in &mut peers {
        let said = rest(peer).await;
        assert!(!holds(&said, "28P01"), "{said:?}");
    }
    let told = details(&bench, Event::StartupRefused, 8).await;
    assert!(told.iter().any(|told| told.contains("the handshake took too long")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("authentication took too long")), "{told:?}");
}
