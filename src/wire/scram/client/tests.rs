//! The exchange of RFC 7677, exchanges with our own server side, and servers that cheat.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::wire::scram::{Candidates, Exchange, ScramError, Verifier};

const HASH: &[u8] = b"hash of the certificate";
const SALT: &[u8] = b"0123456789abcdef";

/// RFC 7677, section 3. Its client gives a name, which PostgreSQL's does not, so its proof is checked through the parts.
#[test]
fn the_keys_are_those_of_the_rfc() {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let keys = Keys::derive("pencil", &salt, 4096);
    let signed = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let without_proof = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
    let challenge = Challenge { salt, iterations: 4096, without_proof, signed: signed.to_owned() };
    let (message, expected) = challenge.prove(&keys);
    assert!(message.ends_with(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{message}");
    assert_eq!(expected.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
}

#[test]
fn messages_are_those_of_postgres() {
    let first = |binding| Client::new(binding, "abc".to_owned()).first();
    assert_eq!(first(Binding::Unsupported), "n,,n=,r=abc");
    assert_eq!(first(Binding::Unoffered), "y,,n=,r=abc");
    assert_eq!(first(Binding::EndPoint(HASH.to_vec())), "p=tls-server-end-point,,n=,r=abc");
}

fn exchange(keys: &Keys, binding: Binding, offered: Option<&[u8]>) -> Result<(), ScramError> {
    let mechanism = binding.mechanism();
    let client = Client::new(binding, "client-nonce".to_owned());
    let verifier = Verifier::derive("pencil", SALT, 4096);
    let first = client.first();
    let candidates = Candidates::new(vec![verifier], &[7; 16]);
    let server = Exchange::start(mechanism, offered, first.as_bytes(), "server-nonce", candidates)?;
    let challenge = client.receive(server.server_first().as_bytes()).unwrap();
    assert_eq!((challenge.salt.as_slice(), challenge.iterations), (SALT, 4096));
    let (message, expected) = challenge.prove(keys);
    let answer = server.finish(message.as_bytes())?;
    expected.check(answer.as_bytes()).expect("our own server proves itself");
    Ok(())
}

#[test]
fn the_right_keys_pass_under_each_binding() {
    let keys = Keys::derive("pencil", SALT, 4096);
    assert_eq!(exchange(&keys, Binding::Unsupported, Some(HASH)), Ok(()));
    assert_eq!(exchange(&keys, Binding::Unoffered, None), Ok(()));
    assert_eq!(exchange(&keys, Binding::EndPoint(HASH.to_vec()), Some(HASH)), Ok(()));
}

#[test]
fn other_keys_another_certificate_and_an_edited_offer_fail() {
    let keys = Keys::derive("pencil", SALT, 4096);
    for other in
        [Keys::derive("pen", SALT, 4096), Keys::derive("pencil", b"salt", 4096), Keys::derive("pencil", SALT, 4097)]
    {
        assert_eq!(exchange(&other, Binding::Unsupported, None), Err(ScramError::Refused));
    }
    let elsewhere = Binding::EndPoint(b"another hash".to_vec());
    assert_eq!(exchange(&keys, elsewhere, Some(HASH)), Err(ScramError::ChannelBinding));
    assert_eq!(exchange(&keys, Binding::Unoffered, Some(HASH)), Err(ScramError::Downgrade));
}

#[test]
fn first_messages_of_dishonest_servers_are_refused() {
    let receive = |message: &str| {
        Client::new(Binding::Unsupported, "ours".to_owned()).receive(message.as_bytes()).map(|_| ()).unwrap_err()
    };
    assert_eq!(receive("r=theirs,s=c2FsdA==,i=4096"), ServerError::Nonce);
    assert_eq!(receive("r=ours,s=c2FsdA==,i=4096"), ServerError::Nonce);
    assert_eq!(receive("r=ours\u{e9},s=c2FsdA==,i=4096"), ServerError::Nonce);
    for iterations in [0, 1, 4095, 1_000_001] {
        let message = format!("r=oursx,s=c2FsdA==,i={iterations}");
        assert_eq!(receive(&message), ServerError::Iterations(iterations));
    }
    assert_eq!(receive("r=oursx,s=c2FsdA==,i=99999999999"), ServerError::Malformed);
    assert_eq!(receive("r=oursx,s=,i=4096"), ServerError::Malformed);
    assert_eq!(receive("r=oursx,s=#,i=4096"), ServerError::Malformed);
    assert_eq!(receive("m=x,r=oursx,s=c2FsdA==,i=4096"), ServerError::Malformed);
    assert_eq!(receive("r=oursx,i=4096"), ServerError::Malformed);
    assert_eq!(receive(""), ServerError::Malformed);
    assert_eq!(receive(&"r".repeat(4096)), ServerError::Malformed);
}

#[test]
fn a_server_that_cannot_sign_is_refused() {
    let expected = || {
        let client = Client::new(Binding::Unsupported, "ours".to_owned());
        let challenge = client.receive(b"r=oursx,s=c2FsdA==,i=4096").unwrap();
        challenge.prove(&Keys::derive("pencil", b"salt", 4096)).1
    };
    let another = format!("v={}", BASE64.encode([0; 32]));
    assert_eq!(expected().check(another.as_bytes()), Err(ServerError::Signature));
    assert_eq!(expected().check(b"v="), Err(ServerError::Malformed));
    assert_eq!(expected().check(b""), Err(ServerError::Malformed));
    assert_eq!(expected().check(b"e=other-error"), Err(ServerError::Refused("other-error".to_owned())));
}

#[test]
fn keys_are_not_printed() {
    assert_eq!(format!("{:?}", Keys::derive("pencil", SALT, 1)), "Keys(***)");
}
