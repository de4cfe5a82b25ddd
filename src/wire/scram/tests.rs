//! The exchange against the client side of `postgres-protocol`, and against clients that cheat.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use super::*;

const HASH: &[u8] = b"hash of the certificate";

fn candidates(passwords: &[&str]) -> Candidates {
    let verifiers = passwords.iter().map(|p| Verifier::derive(p, b"0123456789abcdef", 64)).collect();
    Candidates::new(verifiers, &[7; 16])
}

/// Runs one exchange with a true client; `edit` may change its final message.
fn exchange(
    client_password: &str,
    candidates: Candidates,
    plus: bool,
    edit: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Result<(), ScramError> {
    let (binding, mechanism) = if plus {
        (ChannelBinding::tls_server_end_point(HASH.to_vec()), PLUS)
    } else {
        (ChannelBinding::unsupported(), PLAIN)
    };
    let mut client = ScramSha256::new(client_password.as_bytes(), binding);
    let server = Exchange::start(mechanism, Some(HASH), client.message(), "server-nonce", candidates)?;
    client.update(server.server_first().as_bytes()).unwrap();
    let answer = server.finish(&edit(client.message().to_vec()))?;
    client.finish(answer.as_bytes()).expect("the client accepts the server's signature");
    Ok(())
}

#[test]
fn the_right_password_passes_with_and_without_binding() {
    assert_eq!(exchange("pencil", candidates(&["pencil"]), false, |m| m), Ok(()));
    assert_eq!(exchange("pencil", candidates(&["pencil"]), true, |m| m), Ok(()));
}

#[test]
fn any_of_several_passwords_passes() {
    for password in ["one", "two", "three"] {
        assert_eq!(exchange(password, candidates(&["one", "two", "three"]), true, |m| m), Ok(()));
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_fail_alike() {
    assert_eq!(exchange("pen", candidates(&["pencil"]), true, |m| m), Err(ScramError::Refused));
    assert_eq!(exchange("pencil", candidates(&[]), true, |m| m), Err(ScramError::Refused));
}

#[test]
fn passwords_are_normalised() {
    assert_eq!(exchange("\u{2168}", candidates(&["IX"]), false, |m| m), Ok(()));
}

#[test]
fn a_tampered_final_message_fails() {
    let flip_proof = |mut m: Vec<u8>| {
        let at = m.len() - 10;
        m[at] = if m[at] == b'A' { b'B' } else { b'A' };
        m
    };
    assert_eq!(exchange("pencil", candidates(&["pencil"]), false, flip_proof), Err(ScramError::Refused));
    let other_nonce = |m: Vec<u8>| String::from_utf8(m).unwrap().replace("server-nonce", "server-n0nce").into_bytes();
    assert_eq!(exchange("pencil", candidates(&["pencil"]), false, other_nonce), Err(ScramError::Malformed));
    let other_binding = |m: Vec<u8>| String::from_utf8(m).unwrap().replacen("c=", "c=A", 1).into_bytes();
    assert_eq!(exchange("pencil", candidates(&["pencil"]), true, other_binding), Err(ScramError::ChannelBinding));
}

#[test]
fn first_messages_that_contradict_the_offer_are_refused() {
    let start = |mechanism, binding, first: &[u8]| {
        Exchange::start(mechanism, binding, first, "s", candidates(&["x"])).map(|_| ()).unwrap_err()
    };
    assert_eq!(start(PLAIN, Some(HASH), b"y,,n=,r=abc"), ScramError::Downgrade);
    assert_eq!(start(PLAIN, Some(HASH), b"p=tls-server-end-point,,n=,r=abc"), ScramError::Malformed);
    assert_eq!(start(PLUS, Some(HASH), b"n,,n=,r=abc"), ScramError::Malformed);
    assert_eq!(start(PLUS, Some(HASH), b"p=tls-unique,,n=,r=abc"), ScramError::Malformed);
    assert_eq!(start("SCRAM-SHA-1", Some(HASH), b"n,,n=,r=abc"), ScramError::Malformed);
    assert_eq!(start(PLAIN, Some(HASH), b"n,a=root,n=,r=abc"), ScramError::Malformed);
    assert_eq!(start(PLAIN, Some(HASH), b"n,,m=x,n=,r=abc"), ScramError::Malformed);
    assert_eq!(start(PLAIN, Some(HASH), b"n,,n=,r="), ScramError::Malformed);
    assert_eq!(start(PLAIN, Some(HASH), b""), ScramError::Malformed);
    assert_eq!(start(PLAIN, Some(HASH), &[b'n'; 4096]), ScramError::Malformed);
    assert!(Exchange::start(PLAIN, None, b"y,,n=,r=abc", "s", candidates(&["x"])).is_ok());
}

#[test]
fn verifiers_keep_their_text() {
    let text = Verifier::derive("pencil", b"0123456789abcdef", 4096).to_string();
    assert_eq!(Verifier::parse(&text).unwrap().to_string(), text);
    for bad in ["", "md5abc", "SCRAM-SHA-256$0:AA==$AA==:AA==", "SCRAM-SHA-256$4096:AA==$AA==:AA==", "SCRAM-SHA-256$"] {
        assert_eq!(Verifier::parse(bad), Err(BadVerifier), "{bad}");
    }
    assert!(!format!("{:?}", Verifier::parse(&text).unwrap()).contains("server_key"));
}

#[test]
fn a_verifier_is_what_postgres_would_make() {
    let made = postgres_protocol::password::scram_sha_256(b"pencil");
    let parsed = Verifier::parse(&made).unwrap();
    assert_eq!(Verifier::derive("pencil", parsed.salt(), parsed.iterations()), parsed);
}

#[test]
fn the_salt_of_strangers_is_stable_and_their_own() {
    assert_eq!(stable_salt(b"k", "eve"), stable_salt(b"k", "eve"));
    assert_ne!(stable_salt(b"k", "eve"), stable_salt(b"k", "mallory"));
}
