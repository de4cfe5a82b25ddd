//! SCRAM on both sides, as PLUS and without: an honest exchange is edited message by message, as the bytes say. It succeeds
//! only where every message arrives as it was said; and no message makes the other side work without bound.

use std::sync::OnceLock;

use pgward::wire::scram::client::{Binding, Client, Keys};
use pgward::wire::scram::{Candidates, Exchange, PLAIN, PLUS, Verifier};

const SALT: &[u8] = b"0123456789abcdef";
const HASH: &[u8] = b"hash of the certificate, 32 byte";
/// Few, since it is the exchange that is tested.
const ITERATIONS: u32 = 2;
/// The most that pgward does for a server that asks for more.
const MOST: u32 = 1_000_000;

pub fn check(data: &[u8]) {
    let Some((mode, edits)) = data.split_first() else { return };
    exchange(*mode, edits);
    strangers(*mode, edits);
}

/// Client and server talk through somebody who edits.
fn exchange(mode: u8, edits: &[u8]) {
    let mut edits = Edits(edits);
    let keys = keys();
    let (binding, mechanism) = match mode % 3 {
        0 => (Binding::Unsupported, PLAIN),
        1 => (Binding::EndPoint(HASH.to_vec()), PLUS),
        // The other side of the stream has another certificate.
        _ => (Binding::EndPoint(HASH.iter().rev().copied().collect()), PLUS),
    };
    let offered = (mechanism == PLUS || mode & 4 != 0).then_some(HASH);
    let candidates = Candidates::new(vec![Verifier::of(keys, SALT, ITERATIONS)], b"mock");
    let client = Client::new(binding, "client-nonce".to_owned());
    let said = client.first();
    let first = edits.apply(said.as_bytes());
    let Ok(server) = Exchange::start(mechanism, offered, &first, "server-nonce", candidates) else { return };
    let server_first = server.server_first().to_owned();
    let told = edits.apply(server_first.as_bytes());
    let Ok(challenge) = client.receive(&told) else { return };
    assert!(challenge.iterations <= MOST && challenge.iterations > 0 && challenge.salt.len() <= 512);
    let is_true = challenge.salt == SALT && challenge.iterations == ITERATIONS;
    let (final_message, expected) = challenge.prove(keys);
    let last = edits.apply(final_message.as_bytes());
    // The name is none of the exchange's business, so an edit of it counts: the proof is over it.
    let is_honest = first == said.as_bytes() && told == server_first.as_bytes() && last == final_message.as_bytes();
    let answer = server.finish(&last);
    assert_eq!(answer.is_ok(), is_honest && is_true && mode % 3 != 2, "{mode}: {answer:?}");
    let Ok(answer) = answer else { return };
    let verdict = edits.apply(answer.as_bytes());
    let first_part = |bytes: &[u8]| bytes.split(|byte| *byte == b',').next().map(<[u8]>::to_vec);
    let taken = expected.check(&verdict).is_ok();
    assert!(!taken || first_part(&verdict) == first_part(answer.as_bytes()), "a server passes that proved nothing");
    assert!(taken || verdict != answer.as_bytes(), "an honest server does not pass");
}

/// Whatever a stranger says, to either side: it is not let in.
fn strangers(mode: u8, data: &[u8]) {
    let cut = usize::from(mode).min(data.len());
    let (first, last) = data.split_at(cut);
    let candidates = Candidates::new(vec![Verifier::of(keys(), SALT, ITERATIONS)], b"mock");
    for (mechanism, offered) in [(PLAIN, None), (PLAIN, Some(HASH)), (PLUS, Some(HASH))] {
        if let Ok(server) = Exchange::start(mechanism, offered, first, "server-nonce", candidates.clone()) {
            assert!(server.finish(last).is_err(), "a stranger is let in");
        }
    }
    let client = Client::new(Binding::Unoffered, "client-nonce".to_owned());
    if let Ok(challenge) = client.receive(first) {
        assert!(challenge.iterations <= MOST);
        let (_, expected) = challenge.prove(keys());
        assert!(expected.check(last).is_err(), "a server passes that proved nothing");
    }
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys::derive("pencil", SALT, ITERATIONS))
}

/// What is done to each message on its way.
struct Edits<'a>(&'a [u8]);

impl Edits<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn apply(&mut self, message: &[u8]) -> Vec<u8> {
        let mut edited = message.to_vec();
        for _ in 0..self.byte().unwrap_or(0) % 5 {
            let (Some(how), Some(at)) = (self.byte(), self.byte()) else { break };
            let at = usize::from(at) % (edited.len() + 1);
            match how % 5 {
                0 => edited.truncate(at),
                1 => edited.insert(at, self.byte().unwrap_or(b',')),
                2 if at < edited.len() => drop(edited.remove(at)),
                3 if at < edited.len() => edited[at] = self.byte().unwrap_or(b'='),
                _ => edited.extend_from_slice(&message[at.min(message.len())..]),
            }
        }
        edited
    }
}
