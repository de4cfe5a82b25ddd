//! Attacks on the login: SCRAM out of order, altered, downgraded, and messages that belong elsewhere.

use bytes::Bytes;
use pgward::audit::Event;
use pgward::wire::encode::{query, sasl_initial_response, sasl_response, startup};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tokio::io::AsyncWriteExt;

use crate::bench::{Bench, Raw, Said, message, plain, shape};
use crate::world::{Case, World, details, is_closed, sqlstate, to_the_end, works};

pub const CASES: &[Case] = &[
    ("login::messages_before_the_login", |world| Box::pin(messages_before_the_login(world))),
    ("login::first_messages_of_wrong_form", |world| Box::pin(first_messages_of_wrong_form(world))),
    ("login::downgraded_channel_binding", |world| Box::pin(downgraded_channel_binding(world))),
    ("login::altered_last_messages", |world| Box::pin(altered_last_messages(world))),
    ("login::first_message_twice", |world| Box::pin(first_message_twice(world))),
    ("login::a_proof_does_not_serve_twice", |world| Box::pin(a_proof_does_not_serve_twice(world))),
    ("login::password_after_the_login", |world| Box::pin(password_after_the_login(world))),
    ("login::statements_behind_a_wrong_proof", |world| Box::pin(statements_behind_a_wrong_proof(world))),
];

async fn asked(bench: &Bench) -> Raw {
    let mut raw = bench.raw().await;
    raw.send(&[startup(0, &[("user", "alice"), ("database", "plain")])]).await;
    let offer = raw.next().await;
    assert!(offer.tag == b'R' && offer.holds("SCRAM-SHA-256-PLUS"), "{offer:?}");
    raw
}

/// What comes of one message at the place of the first answer.
async fn first(bench: &Bench, message: Bytes) -> Vec<Said> {
    let mut raw = asked(bench).await;
    raw.send(&[message]).await;
    to_the_end(&mut raw).await
}

async fn messages_before_the_login(world: World) {
    let bench = world.bench().await;
    let early = [
        query("INSERT INTO sink VALUES (1001, 'early')"),
        plain(b'S'),
        plain(b'H'),
        plain(b'c'),
        Bytes::from_static(b"F\0\0\0\x0e\0\0\x05\x58\0\0\0\0\0\0"),
        Bytes::from_static(b"p\0\0\0\x03"),
        Bytes::from_static(b"p\xff\xff\xff\xff"),
        Bytes::from_static(b"p\x7f\xff\xff\xff"),
        Bytes::from_static(b"p\0\0\x20\x04"),
        Bytes::from_static(b"~\0\0\0\x04"),
        startup(0, &[("user", "alice")]),
    ];
    for message in early {
        let said = first(&bench, message.clone()).await;
        assert_eq!(shape(&said), "E(08P01) closed", "{message:?}");
    }
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 1001").await, "0");
    assert!(bench.records(Event::SessionOpen).is_empty() && bench.records(Event::Statement).is_empty());
    let told = details(&bench, Event::StartupRefused, 11).await;
    assert!(told.iter().all(|told| told.contains("authentication was broken off")), "{told:?}");
    works(&bench).await;
}

fn sasl(mechanism: &[u8], length: i32, data: &[u8]) -> Bytes {
    message(b'p', |body| {
        body.extend_from_slice(mechanism);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(data);
    })
}

async fn first_messages_of_wrong_form(world: World) {
    let bench = world.bench().await;
    let data = b"n,,n=,r=abcdefghijklmnopqr";
    let length = i32::try_from(data.len()).unwrap();
    let wrong = [
        sasl(b"SCRAM-SHA-1\0", length, data),
        sasl(b"SCRAM-SHA-256-plus\0", length, data),
        sasl(b"PLAIN\0", 12, b"\0alice\0pencil"),
        sasl(b"\0", length, data),
        sasl(b"SCRAM-SHA-256", length, data),
        sasl(b"SCRAM-SHA-256\0", -1, b""),
        sasl(b"SCRAM-SHA-256\0", -2, data),
        sasl(b"SCRAM-SHA-256\0", length + 1, data),
        sasl(b"SCRAM-SHA-256\0", length - 1, data),
        sasl(b"SCRAM-SHA-256\0", i32::MAX, data),
        sasl(b"SCRAM-SHA-256\0", 0, b""),
        sasl_initial_response("SCRAM-SHA-256", b"n,,n=,r="),
        sasl_initial_response("SCRAM-SHA-256", b"n,,m=ext,n=,r=abcdefghijklmnop"),
        sasl_initial_response("SCRAM-SHA-256", b"x,,n=,r=abcdefghijklmnop"),
        sasl_initial_response("SCRAM-SHA-256", b"n,a=postgres,n=,r=abcdefghijklmnop"),
        sasl_initial_response("SCRAM-SHA-256", b"n,,n=,r=abc\xffdef"),
        sasl_initial_response("SCRAM-SHA-256", b"n,,n=,r=abc\0def"),
        sasl_initial_response("SCRAM-SHA-256", &[&b"n,,n=,r="[..], &[b'x'; 3000]].concat()),
        message(b'p', |body| body.extend_from_slice(b"pencil\0")),
        message(b'p', |_| ()),
    ];
    for message in wrong {
        let said = first(&bench, message.clone()).await;
        assert_eq!(shape(&said), "E(08P01) closed", "{message:?}");
    }
    works(&bench).await;
}

/// Somebody in between has taken SCRAM-SHA-256-PLUS off the offer, or asks for another binding.
async fn downgraded_channel_binding(world: World) {
    let bench = world.bench().await;
    for (mechanism, data) in [
        ("SCRAM-SHA-256", &b"y,,n=,r=abcdefghijklmnop"[..]),
        ("SCRAM-SHA-256", b"p=tls-server-end-point,,n=,r=abcdefghijklmnop"),
        ("SCRAM-SHA-256-PLUS", b"n,,n=,r=abcdefghijklmnop"),
        ("SCRAM-SHA-256-PLUS", b"y,,n=,r=abcdefghijklmnop"),
        ("SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=,r=abcdefghijklmnop"),
        ("SCRAM-SHA-256-PLUS", b"p=tls-exporter,,n=,r=abcdefghijklmnop"),
    ] {
        let said = first(&bench, sasl_initial_response(mechanism, data)).await;
        assert!(is_closed(&said) && matches!(sqlstate(&said).as_str(), "28000" | "08P01"), "{mechanism}: {said:?}");
        assert!(!said.iter().any(|said| said.tag == b'R'), "no challenge: {said:?}");
    }
    // Bound to another certificate.
    let mut raw = asked(&bench).await;
    let mut scram = ScramSha256::new(b"pencil", ChannelBinding::tls_server_end_point(vec![7; 32]));
    raw.send(&[sasl_initial_response("SCRAM-SHA-256-PLUS", scram.message())]).await;
    scram.update(&raw.next().await.body[4..]).unwrap();
    raw.send(&[sasl_response(scram.message())]).await;
    let said = to_the_end(&mut raw).await;
    assert!(is_closed(&said) && sqlstate(&said) == "28000", "{said:?}");
    assert!(bench.records(Event::SessionOpen).is_empty());
    works(&bench).await;
}

/// A login up to the client's last message, without channel binding.
async fn challenged(bench: &Bench, password: &str) -> (Raw, String) {
    let mut raw = asked(bench).await;
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    raw.send(&[sasl_initial_response("SCRAM-SHA-256", scram.message())]).await;
    scram.update(&raw.next().await.body[4..]).unwrap();
    (raw, String::from_utf8(scram.message().to_vec()).unwrap())
}

async fn altered_last_messages(world: World) {
    let bench = world.bench().await;
    let alter: [fn(&str) -> String; 12] = [
        |last| last.replace("c=biws", "c=eSws"),
        |last| last.replace("c=biws", "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCws"),
        |last| last.replace(",r=", ",r=x"),
        |last| last.replace(",p=", "x,p="),
        |last| last.split(",p=").next().unwrap().to_owned(),
        |last| format!("{},p=", last.split(",p=").next().unwrap()),
        |last| format!("{},p=AAAA", last.split(",p=").next().unwrap()),
        |last| format!("{},p={}=", last.split(",p=").next().unwrap(), "A".repeat(43)),
        |last| format!("{},p={}", last.split(",p=").next().unwrap(), "A".repeat(1800)),
        |last| format!("{last},x=y"),
        |last| last.replace(",p=", ",m=1,p="),
        |_| String::new(),
    ];
    for alter in alter {
        let (mut raw, last) = challenged(&bench, "pencil").await;
        let altered = alter(&last);
        assert_ne!(altered, last);
        raw.send(&[sasl_response(altered.as_bytes())]).await;
        let said = to_the_end(&mut raw).await;
        assert!(
            is_closed(&said) && matches!(sqlstate(&said).as_str(), "08P01" | "28000" | "28P01"),
            "{altered}: {said:?}"
        );
        assert!(!said.iter().any(|said| said.tag == b'R'), "{altered}: {said:?}");
    }
    let (mut raw, _) = challenged(&bench, "pencil").await;
    raw.send(&[message(b'p', |body| body.resize(64 * 1024, b'A'))]).await;
    assert_eq!(sqlstate(&to_the_end(&mut raw).await), "08P01");
    assert!(bench.records(Event::SessionOpen).is_empty());
    works(&bench).await;
}

async fn first_message_twice(world: World) {
    let bench = world.bench().await;
    let again = sasl_initial_response("SCRAM-SHA-256", b"n,,n=,r=abcdefghijklmnop");
    let mut raw = asked(&bench).await;
    raw.send(&[again.clone(), again]).await;
    let said = to_the_end(&mut raw).await;
    assert_eq!(shape(&said), "R E(08P01) closed");
    works(&bench).await;
}

/// What somebody has overheard of a login does not log them in: nonce and salt are the server's too.
async fn a_proof_does_not_serve_twice(world: World) {
    let bench = world.bench().await;
    let (mut raw, last) = challenged(&bench, "pencil").await;
    raw.send(&[sasl_response(last.as_bytes())]).await;
    assert!(shape(&raw.until_ready().await).ends_with("Z(I)"));
    let nonce = last.split("r=").nth(1).unwrap().split(',').next().unwrap();
    let mut replay = asked(&bench).await;
    let first = format!("n,,n=,r={}", &nonce[..nonce.len() / 2]);
    replay.send(&[sasl_initial_response("SCRAM-SHA-256", first.as_bytes())]).await;
    assert!(!replay.next().await.holds(nonce), "the nonce is new");
    replay.send(&[sasl_response(last.as_bytes())]).await;
    let said = to_the_end(&mut replay).await;
    assert!(is_closed(&said) && matches!(sqlstate(&said).as_str(), "08P01" | "28P01"), "{said:?}");
    works(&bench).await;
}

async fn password_after_the_login(world: World) {
    let bench = world.bench().await;
    for late in [sasl_response(b"c=biws,r=x,p=AAAA"), sasl_initial_response("SCRAM-SHA-256", b"n,,n=,r=abc")] {
        let mut raw = bench.session().await;
        raw.send(&[late, query("SELECT 1")]).await;
        assert_eq!(shape(&to_the_end(&mut raw).await), "E(08P01) closed");
    }
    assert_eq!(crate::world::closed(&bench).await, Some(pgward::audit::EndedBy::ProtocolViolation));
    works(&bench).await;
}

async fn statements_behind_a_wrong_proof(world: World) {
    let bench = world.bench().await;
    let (mut raw, last) = challenged(&bench, "wrong").await;
    let hidden = query("INSERT INTO sink VALUES (1002, 'behind')");
    raw.send(&[sasl_response(last.as_bytes()), hidden.clone(), plain(b'S')]).await;
    let said = to_the_end(&mut raw).await;
    assert_eq!(shape(&said), "E(28P01) closed");
    // And behind a login that was never finished, over a connection that is half closed.
    let mut raw = asked(&bench).await;
    raw.send(&[hidden]).await;
    let _ = raw.stream.shutdown().await;
    assert!(is_closed(&to_the_end(&mut raw).await));
    assert_eq!(bench.ask("SELECT count(*) FROM sink WHERE id = 1002").await, "0");
    assert_eq!(bench.records(Event::LoginDenied).len(), 1);
    works(&bench).await;
}
