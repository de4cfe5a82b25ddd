//! Servers that are not what they should be while pgward logs in: the upstream's password is never given to them, and no
//! session comes of it.

use pgward::audit::Event;
use pgward::guarded::Proof;
use pgward::session::SslMode;
use pgward::wire::encode::{authentication_sasl, authentication_sasl_continue, authentication_sasl_final};

use crate::bench::Said;
use crate::evil::{Evil, SSL_REQUEST, Script, message, welcome};
use crate::world::{Case, SECRET, World, is_closed, sqlstate};

pub const CASES: &[Case] = &[
    ("server_login::methods_that_give_the_password_away", |world| Box::pin(methods_that_give_the_password_away(world))),
    ("server_login::challenges_that_are_too_cheap_or_too_dear", |world| {
        Box::pin(challenges_that_are_too_cheap_or_too_dear(world))
    }),
    ("server_login::servers_that_prove_nothing", |world| Box::pin(servers_that_prove_nothing(world))),
    ("server_login::plain_text_in_place_of_tls", |world| Box::pin(plain_text_in_place_of_tls(world))),
    ("server_login::settings_that_are_not_as_asked", |world| Box::pin(settings_that_are_not_as_asked(world))),
    ("server_login::messages_that_do_not_belong_there", |world| Box::pin(messages_that_do_not_belong_there(world))),
    ("server_login::refusals_of_odd_form", |world| Box::pin(refusals_of_odd_form(world))),
];

/// What a client is told by a server of this script; no session may come of it, and no secret go to it.
async fn refused(world: &World, script: Script) -> Vec<Said> {
    refused_by(&Evil::start(world, script).await).await
}

async fn refused_by(evil: &Evil) -> Vec<Said> {
    let (_, said) = evil.bench.log_in("alice", "plain", "pencil").await;
    assert!(is_closed(&said) && sqlstate(&said) == "08001", "{said:?}");
    assert!(!evil.heard(SECRET.as_bytes()), "the password went to the server");
    assert!(said.iter().all(|said| !said.holds(SECRET) && !said.holds("hidden text")), "{said:?}");
    assert!(evil.bench.records(Event::SessionOpen).is_empty());
    assert_eq!(evil.bench.records(Event::LoginDenied).len(), 1);
    said
}

async fn methods_that_give_the_password_away(world: World) {
    for method in [3_u32, 5, 2, 6, 7, 9, 12, 11, 99, u32::MAX] {
        // On a session's own connection, and on those by which the catalogs are read.
        for always in [false, true] {
            let asked = message(b'R', &[&method.to_be_bytes()[..], b"salt"].concat());
            refused(&world, Script { always, ..Script::welcoming(asked.to_vec()) }).await;
        }
    }
    for mechanism in ["SCRAM-SHA-1", "PLAIN", "SCRAM-SHA-256-PLUS", "OAUTHBEARER"] {
        refused(&world, Script::welcoming(authentication_sasl(&[mechanism]).to_vec())).await;
    }
    // A challenge that does not go on from our nonce, a proof before it was asked for.
    let offer = authentication_sasl(&["SCRAM-SHA-256"]).to_vec();
    let challenge = authentication_sasl_continue("r=theirs,s=c2FsdA==,i=4096");
    refused(&world, Script::welcoming([&offer[..], &challenge].concat())).await;
    refused(&world, Script::welcoming([&offer[..], &authentication_sasl_final("v=AAAA")].concat())).await;
    refused(&world, Script::welcoming([&offer[..], &welcome(&[])].concat())).await;
}

/// A proof over a password that is stretched a few times is guessed from in no time; over millions of times, it keeps the
/// thread busy.
async fn challenges_that_are_too_cheap_or_too_dear(world: World) {
    for iterations in ["0", "1", "4095", "1000001", "4294967295", "99999999999", "-1"] {
        for always in [false, true] {
            let offer = authentication_sasl(&["SCRAM-SHA-256"]).to_vec();
            let script = Script { always, iterations: Some(iterations), ..Script::welcoming(offer) };
            let evil = Evil::start(&world, script).await;
            refused_by(&evil).await;
            assert!(evil.heard(b"n,,n=,r=") && !evil.heard(b",p="), "a proof over {iterations} iterations was given");
        }
    }
}

/// A server that asks for nothing has not shown that it knows the password. Where that is required, it gets no session.
async fn servers_that_prove_nothing(world: World) {
    for always in [false, true] {
        let script = Script { always, ..Script::welcoming(welcome(&[])) };
        let evil = Evil::reached_by(&world, script, |upstream| upstream.proof = Proof::Required).await;
        refused_by(&evil).await;
    }
}

/// Whoever is on the way takes TLS out, or puts something behind the server's word for it.
async fn plain_text_in_place_of_tls(world: World) {
    let error = message(b'E', b"SFATAL\0C28000\0Mhidden text\0\0");
    let behind = |first: &[u8], rest: &[u8]| [first, rest].concat();
    for said in [
        b"".to_vec(),
        b"N".to_vec(),
        b"G".to_vec(),
        b"\0".to_vec(),
        error.to_vec(),
        behind(b"N", &welcome(&[])),
        behind(b"S", &welcome(&[])),
        behind(b"S", &error),
        behind(b"S", b"S"),
        behind(b"S", &authentication_sasl(&["SCRAM-SHA-256"])),
        // A TLS alert: handshake failure.
        behind(b"S", &[21, 3, 3, 0, 2, 2, 40]),
    ] {
        let script = Script { to_ssl_request: said.clone(), always: true, ..Script::welcoming(welcome(&[])) };
        let evil = Evil::reached_by(&world, script, |upstream| upstream.sslmode = SslMode::Require).await;
        refused_by(&evil).await;
        // Its name and the database are for the server alone, too.
        assert!(evil.heard(&SSL_REQUEST.to_be_bytes()) && !evil.heard(b"user\0"), "{said:?}");
        assert!(!evil.heard(b"pgward"), "{said:?}");
    }
}

/// What pins the meaning of texts was asked for: a server that does not do it would read them otherwise than pgward.
async fn settings_that_are_not_as_asked(world: World) {
    for setting in
        [("standard_conforming_strings", "off"), ("client_encoding", "SJIS"), ("client_encoding", "SQL_ASCII")]
    {
        refused(&world, Script::welcoming(welcome(&[setting]))).await;
    }
}

async fn messages_that_do_not_belong_there(world: World) {
    let ok = message(b'R', &[0; 4]).to_vec();
    for wrong in [
        message(b'T', &[0, 0]),
        message(b'D', &[0, 0]),
        message(b'C', b"SELECT 1\0"),
        message(b'G', &[0, 0, 0]),
        message(b'v', &[0, 0, 0, 0, 0, 0, 0, 0]),
        message(b'Z', b"?"),
        message(b'Z', b""),
        message(b'K', &[0, 0, 0, 1]),
        message(b'K', &[0; 300]),
        message(b'S', b"no end"),
        message(b'R', &[0; 4]),
        message(b'~', b""),
        bytes::Bytes::from_static(b"S\0\0\0\x03"),
        bytes::Bytes::from_static(b"S\xff\xff\xff\xff"),
        bytes::Bytes::from_static(b"S\x7f\xff\xff\xff"),
    ] {
        refused(&world, Script::welcoming([&ok[..], &wrong].concat())).await;
    }
    // Notices without end.
    refused(&world, Script::welcoming([&ok[..], &message(b'N', b"MN\0\0").repeat(2_000)].concat())).await;
}

/// What the server says of itself stays in the log.
async fn refusals_of_odd_form(world: World) {
    for body in
        [&b"\0"[..], b"Mhidden text\0\0", b"SFATAL\0Mhidden text\0C\0\0", b"M\xff\xfe\0\0", b"Mno end", b"", b"C42\0\0"]
    {
        refused(&world, Script::welcoming(message(b'E', body).to_vec())).await;
    }
    refused(&world, Script::welcoming(message(b'E', &[b"M".as_slice(), &[b'x'; 70_000], b"\0\0"].concat()).to_vec()))
        .await;
}
