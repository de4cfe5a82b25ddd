//! What a server says up to AuthenticationOk, looked at as it comes and however it is cut: whether it may be answered.

use crate::wire::scram::client::{ServerError, check_iterations};

/// What a server has to ask for before it is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// SCRAM, or nothing at all.
    #[default]
    Optional,
    /// SCRAM: by it the server proves that it knows the password.
    Required,
}

/// Why a server is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the server asks for authentication by method {0}, which is refused")]
    Method(u32),
    #[error("the server asks for no password, so that it proves nothing; require_auth wants scram-sha-256")]
    Unproved,
    #[error("SCRAM: {0}")]
    Scram(#[from] ServerError),
}

/// How far a login has come.
#[derive(Debug)]
pub(super) struct Watch {
    proof: Proof,
    /// The beginning of a message: its type, its length, and what kind of authentication it is.
    head: Vec<u8>,
    /// Bytes of the message that are still to come.
    left: usize,
    /// The server's challenge, as far as it has come.
    challenge: Option<Vec<u8>>,
    is_signed: bool,
    over: bool,
}

impl Watch {
    pub(super) fn new(proof: Proof) -> Self {
        Self { proof, head: Vec::new(), left: 0, challenge: None, is_signed: false, over: false }
    }

    /// Takes what has come.
    ///
    /// # Errors
    /// Where it must not be answered. The message is not whole before that is known.
    pub(super) fn look(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        while !self.over {
            let (body, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.left -= body.len();
            bytes = rest;
            self.body_grew(body)?;
            let Some((byte, rest)) = bytes.split_first() else { return Ok(()) };
            self.head.push(*byte);
            bytes = rest;
            self.head_grew()?;
        }
        Ok(())
    }

    fn head_grew(&mut self) -> Result<(), Refused> {
        let (length, method) = match self.head.as_slice() {
            [b'R', a, b, c, d, e, f, g, h] => ([*a, *b, *c, *d], Some(u32::from_be_bytes([*e, *f, *g, *h]))),
            [tag, a, b, c, d] if *tag != b'R' => ([*a, *b, *c, *d], None),
            _ => return Ok(()),
        };
        let seen = if method.is_some() { 8 } else { 4 };
        self.left = (u32::from_be_bytes(length) as usize).saturating_sub(seen);
        self.head.clear();
        method.map_or(Ok(()), |method| self.method(method))
    }

    fn method(&mut self, method: u32) -> Result<(), Refused> {
        match method {
            OK if self.proof == Proof::Required && !self.is_signed => return Err(Refused::Unproved),
            OK => self.over = true,
            SASL => {}
            SASL_CONTINUE => self.challenge = Some(Vec::new()),
            SASL_FINAL => self.is_signed = true,
            other => return Err(Refused::Method(other)),
        }
        Ok(())
    }

    /// A challenge is judged with its last byte: before that the library has nothing to answer.
    fn body_grew(&mut self, body: &[u8]) -> Result<(), Refused> {
        let Some(challenge) = &mut self.challenge else { return Ok(()) };
        challenge.extend_from_slice(body);
        if challenge.len() > MAX_CHALLENGE || challenge.len() + self.left > MAX_CHALLENGE {
            return Err(ServerError::Malformed.into());
        }
        if self.left == 0 {
            let said = self.challenge.take().unwrap_or_default();
            check_iterations(iterations(&said).ok_or(ServerError::Malformed)?)?;
        }
        Ok(())
    }
}

/// What the attribute `i=` of a challenge says.
fn iterations(challenge: &[u8]) -> Option<u32> {
    let mut attributes = std::str::from_utf8(challenge).ok()?.split(',').skip(2);
    attributes.next()?.strip_prefix("i=")?.parse().ok()
}

const OK: u32 = 0;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;
const MAX_CHALLENGE: usize = 4 * 1024;

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap_or_default().to_be_bytes();
        [&[tag][..], &length, body].concat()
    }

    fn authentication(method: u32, rest: &[u8]) -> Vec<u8> {
        message(b'R', &[&method.to_be_bytes()[..], rest].concat())
    }

    /// What comes of a login that is read in pieces of `size`.
    fn outcome(login: &[u8], size: usize, proof: Proof) -> (Result<(), Refused>, bool) {
        let mut watch = Watch::new(proof);
        let result = login.chunks(size).try_for_each(|piece| watch.look(piece));
        (result, watch.over)
    }

    #[test]
    fn scram_passes_and_what_follows_the_login_is_not_looked_at() {
        let login = [
            message(b'N', b"a notice\0"),
            authentication(SASL, b"SCRAM-SHA-256\0\0"),
            authentication(SASL_CONTINUE, b"r=x,s=c2FsdA==,i=4096"),
            authentication(SASL_FINAL, b"v=x"),
            authentication(OK, b""),
            authentication(3, b""),
        ]
        .concat();
        for size in 1..login.len() {
            for proof in [Proof::Optional, Proof::Required] {
                assert_eq!(outcome(&login, size, proof), (Ok(()), true), "{size}");
            }
        }
    }

    #[test]
    fn a_question_for_the_password_is_found_before_it_is_whole_however_it_is_cut() {
        for method in [2, 3, 5, 6, 7, 9, u32::MAX] {
            let asked = [message(b'N', b"R\0\0\0\x08\0\0\0\0"), authentication(method, b"")].concat();
            for size in 1..=asked.len() {
                let mut watch = Watch::new(Proof::Optional);
                let refused = asked.chunks(size).position(|piece| watch.look(piece) == Err(Refused::Method(method)));
                assert_eq!(refused, Some((asked.len() - 1) / size), "with its last byte: {method} {size}");
            }
        }
    }

    #[test]
    fn a_server_that_asks_for_nothing_is_believed_only_where_nothing_is_required() {
        let trusting = authentication(OK, b"");
        let unsigned = [authentication(SASL, b"SCRAM-SHA-256\0\0"), trusting.clone()].concat();
        for size in 1..=trusting.len() {
            assert_eq!(outcome(&trusting, size, Proof::Optional), (Ok(()), true));
            assert_eq!(outcome(&trusting, size, Proof::Required), (Err(Refused::Unproved), false));
            assert_eq!(outcome(&unsigned, size, Proof::Required), (Err(Refused::Unproved), false));
        }
    }

    #[test]
    fn a_challenge_that_is_too_cheap_or_too_dear_is_not_answered() {
        let challenge =
            |iterations: &str| authentication(SASL_CONTINUE, format!("r=x,s=c2FsdA==,i={iterations}").as_bytes());
        for size in 1..60 {
            for wrong in ["0", "1", "4095", "1000001", "4294967295", "4294967296", "-1", "", "x", "+"] {
                assert!(
                    matches!(outcome(&challenge(wrong), size, Proof::Optional).0, Err(Refused::Scram(_))),
                    "{wrong}"
                );
            }
            for right in ["4096", "4096,x=y", "1000000"] {
                assert_eq!(outcome(&challenge(right), size, Proof::Optional).0, Ok(()), "{right}");
            }
        }
        let endless = authentication(SASL_CONTINUE, &vec![b'r'; MAX_CHALLENGE + 1]);
        assert_eq!(outcome(&endless, 7, Proof::Optional).0, Err(ServerError::Malformed.into()));
        assert_eq!(
            outcome(&authentication(SASL_CONTINUE, b""), 1, Proof::Optional).0,
            Err(ServerError::Malformed.into())
        );
    }
}
