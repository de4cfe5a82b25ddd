//! Garbage, half messages, impossible lengths, wrong secrets: refused clearly, and nobody else notices.

use std::io::{Read, Write};
use std::time::Duration;

use crate::Case;
use crate::support::raw::{self, GSSENC_REQUEST, SSL_REQUEST, drain, holds, startup};
use crate::support::{Bench, Credentials, Proxy, wait_until};

pub const CASES: &[Case] = &[
    ("bad_input::plaintext_is_refused", plaintext_is_refused),
    ("bad_input::gssenc_is_answered_n", gssenc_is_answered_n),
    ("bad_input::bytes_behind_sslrequest", bytes_behind_sslrequest),
    ("bad_input::second_sslrequest_inside_tls", second_sslrequest_inside_tls),
    ("bad_input::direct_tls_needs_alpn", direct_tls_needs_alpn),
    ("bad_input::lengths_and_garbage_before_startup", lengths_and_garbage_before_startup),
    ("bad_input::lengths_and_garbage_in_a_session", lengths_and_garbage_in_a_session),
    ("bad_input::startup_parameters", startup_parameters),
    ("bad_input::wrong_secrets_all_sound_alike", wrong_secrets_all_sound_alike),
    ("bad_input::function_call_and_replication", function_call_and_replication),
    ("bad_input::large_and_nested_statements", large_and_nested_statements),
    ("bad_input::slow_handshakes_are_closed", slow_handshakes_are_closed),
];

/// A new session works: nothing before it did harm.
fn works(proxy: &Proxy, alice: &Credentials) {
    let (out, err, ok) = proxy.sql(alice, "SELECT 42");
    assert!(ok && out == "42", "{err}");
    assert!(proxy.is_running());
}

fn prepared(bench: &Bench) -> (Proxy, Credentials) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    (proxy, alice)
}

fn plaintext_is_refused(bench: &Bench) {
    let (proxy, alice) = prepared(bench);
    let mut stream = raw::plain(&proxy);
    stream.write_all(&startup(&[("user", "alice"), ("database", "plain")])).unwrap();
    let (bytes, closed) = drain(&mut stream);
    assert!(closed && bytes.starts_with(b"E") && holds(&bytes, "TLS") && holds(&bytes, "28000"), "{bytes:?}");
    works(&proxy, &alice);
}

fn gssenc_is_answered_n(bench: &Bench) {
    let (proxy, _) = prepared(bench);
    let mut stream = raw::plain(&proxy);
    stream.write_all(&GSSENC_REQUEST).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
    stream.write_all(&SSL_REQUEST).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
}

fn bytes_behind_sslrequest(bench: &Bench) {
    let (proxy, alice) = prepared(bench);
    let mut stream = raw::plain(&proxy);
    let mut smuggled = SSL_REQUEST.to_vec();
    smuggled.extend(startup(&[("user", "alice"), ("database", "plain")]));
    stream.write_all(&smuggled).unwrap();
    let (bytes, closed) = drain(&mut stream);
    assert!(closed && !bytes.contains(&b'R'), "{bytes:?}");
    works(&proxy, &alice);
}

fn second_sslrequest_inside_tls(bench: &Bench) {
    let (proxy, alice) = prepared(bench);
    let mut stream = raw::tls(&proxy);
    stream.write_all(&SSL_REQUEST).unwrap();
    let (bytes, closed) = drain(&mut stream);
    assert!(closed && !bytes.starts_with(b"S"), "{bytes:?}");
    works(&proxy, &alice);
}

fn direct_tls_needs_alpn(bench: &Bench) {
    let (proxy, _) = prepared(bench);
    for (alpn, served) in
        [(&[b"postgresql".as_slice()][..], true), (&[][..], false), (&[b"http/1.1".as_slice()][..], false)]
    {
        let mut stream = raw::wrap(&proxy, raw::plain(&proxy), alpn);
        let _ = stream.write_all(&startup(&[("user", "alice"), ("database", "plain")]));
        let _ = stream.sock.set_read_timeout(Some(Duration::from_secs(2)));
        let (bytes, _) = drain(&mut stream);
        assert_eq!(bytes.starts_with(b"R"), served, "{alpn:?}: {bytes:?}");
    }
}

fn lengths_and_garbage_before_startup(bench: &Bench) {
    let (proxy, alice) = prepared(bench);
    let mut openings: Vec<Vec<u8>> = [0_u32, 1, 4, 7, 10_001, 0x7fff_ffff, 0xffff_ffff]
        .iter()
        .map(|length| [length.to_be_bytes(), 196_608_u32.to_be_bytes()].concat())
        .collect();
    openings.push(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    openings.push(vec![0xff; 64]);
    openings.push([8_u32.to_be_bytes(), 131_072_u32.to_be_bytes()].concat());
    for opening in openings {
        for over_tls in [false, true] {
            let (bytes, closed) = if over_tls {
                let mut stream = raw::tls(&proxy);
                stream.write_all(&opening).unwrap();
                drain(&mut stream)
            } else {
                let mut stream = raw::plain(&proxy);
                stream.write_all(&opening).unwrap();
                drain(&mut stream)
            };
            assert!(closed && !bytes.starts_with(b"R"), "{opening:?}: {bytes:?}");
        }
    }
    works(&proxy, &alice);
}

fn lengths_and_garbage_in_a_session(bench: &Bench) {
    let (proxy, alice) = prepared(bench);
    let messages: [&[u8]; 9] = [
        b"Q\0\0\0\0",
        b"Q\0\0\0\x03",
        b"Q\x7f\xff\xff\xff",
        b"Q\xff\xff\xff\xff",
        b"Q\0\0\0\x0bSELECT 1",
        b"Q\0\0\0\x0eSELECT 1\0xx\0",
        b"P\0\0\0\x08\0\0\0\x01",
        b"B\0\0\0\x0c\0\0\0\x01\0\0\xff\xff",
        b"~\0\0\0\x04",
    ];
    for message in messages {
        let mut stream = logged_in(&proxy, &alice);
        let _ = stream.write_all(message);
        let (bytes, closed) = drain(&mut stream);
        assert!(closed, "{message:?}: {bytes:?}");
        works(&proxy, &alice);
    }
    let mut half = logged_in(&proxy, &alice);
    half.write_all(b"Q\0\0\0\x20SELECT").unwrap();
    works(&proxy, &alice);
    drop(half);
    wait_until("half a message leaves no session", Duration::from_secs(5), || {
        proxy.json("bob", &["sessions"]).as_array().unwrap().is_empty()
    });
}

/// A raw stream after login, read up to ReadyForQuery.
fn logged_in(proxy: &Proxy, minted: &Credentials) -> raw::Tls {
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
    let mut stream = raw::tls(proxy);
    stream.write_all(&startup(&[("user", &minted.user), ("database", &minted.database)])).unwrap();
    let mut scram = ScramSha256::new(minted.password.as_bytes(), ChannelBinding::unsupported());
    let (tag, _) = message(&mut stream);
    assert_eq!(tag, b'R');
    let first = scram.message().to_vec();
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend(u32::try_from(first.len()).unwrap().to_be_bytes());
    body.extend(first);
    send(&mut stream, b'p', &body);
    let (_, challenge) = message(&mut stream);
    scram.update(&challenge[4..]).unwrap();
    let answer = scram.message().to_vec();
    send(&mut stream, b'p', &answer);
    loop {
        let (tag, body) = message(&mut stream);
        assert_ne!(tag, b'E', "{}", String::from_utf8_lossy(&body));
        if tag == b'Z' {
            return stream;
        }
    }
}

fn send(stream: &mut raw::Tls, tag: u8, body: &[u8]) {
    let mut frame = vec![tag];
    frame.extend((u32::try_from(body.len()).unwrap() + 4).to_be_bytes());
    frame.extend(body);
    stream.write_all(&frame).unwrap();
}

fn message(stream: &mut raw::Tls) -> (u8, Vec<u8>) {
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).unwrap();
    (header[0], body)
}

fn startup_parameters(bench: &Bench) {
    let (proxy, alice) = prepared(bench);
    for (name, value) in [
        ("options", "-c role=postgres"),
        ("options", "-c search_path=hr"),
        ("options", "-c session_replication_role=replica"),
        ("role", "postgres"),
        ("session_authorization", "postgres"),
        ("search_path", "hr"),
        ("standard_conforming_strings", "off"),
        ("client_encoding", "SJIS"),
        ("replication", "database"),
        ("nosuch", "1"),
    ] {
        let mut stream = raw::tls(&proxy);
        stream.write_all(&startup(&[("user", "alice"), ("database", "plain"), (name, value)])).unwrap();
        let (bytes, closed) = drain(&mut stream);
        assert!(closed && bytes.starts_with(b"E") && !holds(&bytes, "SCRAM"), "{name}={value}: {bytes:?}");
    }
    works(&proxy, &alice);
}

fn wrong_secrets_all_sound_alike(bench: &Bench) {
    let (proxy, alice) = prepared(bench);
    let attempt = |user: &str, password: &str| {
        let minted = Credentials { user: user.into(), password: password.into(), ..alice.clone() };
        let (_, err, ok) = proxy.sql(&minted, "SELECT 1");
        assert!(!ok);
        err.replace(user, "NAME")
    };
    let known = attempt("alice", "wrong");
    assert!(known.contains("password authentication failed for user \"NAME\""), "{known}");
    assert_eq!(known, attempt("nobody", "wrong"));
    assert_eq!(known, attempt("dave", "wrong"));
    works(&proxy, &alice);
    assert!(proxy.audit(&[]).iter().filter(|record| record["event"] == "login_denied").count() >= 3);
}

fn function_call_and_replication(bench: &Bench) {
    let (proxy, alice) = prepared(bench);
    let mut stream = logged_in(&proxy, &alice);
    send(&mut stream, b'F', &[0, 0, 5, 88, 0, 0, 0, 0, 0, 0]);
    let (tag, body) = message(&mut stream);
    assert!(tag == b'E' && holds(&body, "42501"), "{}", String::from_utf8_lossy(&body));
    assert_eq!(message(&mut stream).0, b'Z');
    send(&mut stream, b'Q', b"SELECT 1\0");
    assert_eq!(message(&mut stream).0, b'T');
}

fn large_and_nested_statements(bench: &Bench) {
    let (proxy, alice) = prepared(bench);
    let texts = [
        format!("SELECT 1 WHERE {}", vec!["true"; 60_000].join(" OR ")),
        vec!["SELECT 1"; 20_000].join(" UNION ALL "),
        format!("SELECT {}1{}", "POSITION(".repeat(60), ")".repeat(60)),
        format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT 1{}", "::int".repeat(40_001)),
        format!("SELECT '{}'", "x".repeat(3_000_000)),
    ];
    for text in texts {
        let mut stream = logged_in(&proxy, &alice);
        let mut body = text.into_bytes();
        body.push(0);
        send(&mut stream, b'Q', &body);
        let (tag, body) = message(&mut stream);
        assert!(tag == b'E' && holds(&body, "0A000"), "{}", String::from_utf8_lossy(&body));
        assert_eq!(message(&mut stream).0, b'Z', "the session lives on");
    }
    works(&proxy, &alice);
}

fn slow_handshakes_are_closed(bench: &Bench) {
    let proxy = Proxy::start(bench, &|setup| {
        let scopes = crate::support::Scopes { proxy: "handshake_timeout = \"2s\"".into(), ..Default::default() };
        crate::support::config(setup, &scopes)
    });
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let mut silent = raw::plain(&proxy);
    let mut slow = raw::tls(&proxy);
    slow.write_all(&startup(&[("user", "alice"), ("database", "plain")])[..9]).unwrap();
    works(&proxy, &alice);
    assert!(drain(&mut silent).1, "a silent peer is closed");
    assert!(drain(&mut slow).1, "a slow one too");
}
