//! The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): what pgward says to an upstream. Works
//! with keys, not with the password, so that stretching it (PBKDF2, most of a login's price) is done once per salt.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{KEY_LENGTH, MAX_MESSAGE, PLAIN, PLUS, decode_key, hmac_sha256, sha256};

/// The least that RFC 7677 allows, and what PostgreSQL takes unless told otherwise: whoever pretends to be the server and asks
/// for fewer wants a proof from which the password is guessed cheaply.
const MIN_ITERATIONS: u32 = 4_096;
/// The most that a server may ask for: each one costs a tenth of a microsecond, on the thread that serves others too.
const MAX_ITERATIONS: u32 = 1_000_000;
/// PostgreSQL's salts have 16 bytes.
const MAX_SALT: usize = 512;

/// What a password comes to under one salt and iteration count: as good as the password there, and nowhere else.
#[derive(Clone)]
pub struct Keys {
    client: Zeroizing<[u8; KEY_LENGTH]>,
    server: Zeroizing<[u8; KEY_LENGTH]>,
}

impl Keys {
    /// Stretches a password (SASLprep first, the raw bytes where that fails). `iterations` of zero counts as one.
    #[must_use]
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        let prepared = match stringprep::saslprep(password) {
            Ok(prepared) => Zeroizing::new(prepared.into_owned()),
            Err(_) => Zeroizing::new(password.to_owned()),
        };
        let mut salted = Zeroizing::new([0; KEY_LENGTH]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, prepared.as_bytes(), salted.as_mut());
        Self {
            client: Zeroizing::new(hmac_sha256(salted.as_ref(), b"Client Key")),
            server: Zeroizing::new(hmac_sha256(salted.as_ref(), b"Server Key")),
        }
    }

    pub(super) fn client_key(&self) -> &[u8; KEY_LENGTH] {
        &self.client
    }

    pub(super) fn server_key(&self) -> &[u8; KEY_LENGTH] {
        &self.server
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

/// What the exchange is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// There is no TLS to bind to.
    Unsupported,
    /// There is, and the server did not offer to.
    Unoffered,
    /// `tls-server-end-point` of the server's certificate.
    EndPoint(Vec<u8>),
}

impl Binding {
    #[must_use]
    pub fn mechanism(&self) -> &'static str {
        match self {
            Binding::EndPoint(_) => PLUS,
            Binding::Unsupported | Binding::Unoffered => PLAIN,
        }
    }

    fn header(&self) -> &'static str {
        match self {
            Binding::Unsupported => "n,,",
            // A server that did offer it, and whose offer somebody edited, breaks off here.
            Binding::Unoffered => "y,,",
            Binding::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// The attribute `c=` of the final message.
    fn encoded(&self) -> String {
        let mut bytes = self.header().as_bytes().to_vec();
        if let Binding::EndPoint(hash) = self {
            bytes.extend_from_slice(hash);
        }
        BASE64.encode(bytes)
    }
}

/// Why the server is not to be trusted, or cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    #[error("the server's SCRAM message is malformed")]
    Malformed,
    #[error("the server's nonce does not go on from ours")]
    Nonce,
    #[error("the server asks for {0} iterations; {MIN_ITERATIONS} to {MAX_ITERATIONS} are made")]
    Iterations(u32),
    #[error("the server broke off: {0}")]
    Refused(String),
    /// It does not know the password: it is not the server that it says it is.
    #[error("the server did not prove itself")]
    Signature,
}

/// An exchange whose first message is made.
#[derive(Debug)]
pub struct Client {
    binding: Binding,
    nonce: String,
}

impl Client {
    /// `nonce` is fresh and printable, without comma.
    #[must_use]
    pub fn new(binding: Binding, nonce: String) -> Self {
        Self { binding, nonce }
    }

    /// The first message. PostgreSQL takes the name from the startup packet, so none is given here.
    #[must_use]
    pub fn first(&self) -> String {
        format!("{}n=,r={}", self.binding.header(), self.nonce)
    }

    /// Takes the server's first message.
    ///
    /// # Errors
    /// Where it is not what an honest server says.
    pub fn receive(self, server_first: &[u8]) -> Result<Challenge, ServerError> {
        let message = text(server_first)?;
        let mut attributes = message.split(',');
        let mut next = |name: &str| attributes.next().and_then(|a| a.strip_prefix(name)).ok_or(ServerError::Malformed);
        let (nonce, salt, iterations) = (next("r=")?, next("s=")?, next("i=")?);
        let printable = nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if !printable || nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ServerError::Nonce);
        }
        let salt = BASE64.decode(salt).map_err(|_| ServerError::Malformed)?;
        let iterations: u32 = iterations.parse().map_err(|_| ServerError::Malformed)?;
        if salt.is_empty() || salt.len() > MAX_SALT {
            return Err(ServerError::Malformed);
        }
        check_iterations(iterations)?;
        let without_proof = format!("c={},r={nonce}", self.binding.encoded());
        let signed = format!("n=,r={},{message},{without_proof}", self.nonce);
        Ok(Challenge { salt, iterations, without_proof, signed })
    }
}

/// What the server wants proved.
#[derive(Debug)]
pub struct Challenge {
    pub salt: Vec<u8>,
    pub iterations: u32,
    without_proof: String,
    signed: String,
}

impl Challenge {
    /// The final message, and what the server must answer. `keys` are those of [`Challenge::salt`] and
    /// [`Challenge::iterations`].
    pub fn prove(self, keys: &Keys) -> (String, Expected) {
        let mut proof = Zeroizing::new(hmac_sha256(&sha256(keys.client_key()), self.signed.as_bytes()));
        for (byte, key) in proof.iter_mut().zip(keys.client_key()) {
            *byte ^= key;
        }
        let message = format!("{},p={}", self.without_proof, BASE64.encode(proof.as_ref()));
        (message, Expected { signature: hmac_sha256(keys.server_key(), self.signed.as_bytes()) })
    }
}

/// The signature that only a server with the password's verifier can make.
#[derive(Debug)]
#[must_use = "a server that is not checked may be anybody"]
pub struct Expected {
    signature: [u8; KEY_LENGTH],
}

impl Expected {
    /// Takes the server's final message.
    ///
    /// # Errors
    /// Where the server refused, or did not prove itself.
    pub fn check(self, server_final: &[u8]) -> Result<(), ServerError> {
        let message = text(server_final)?;
        let first = message.split(',').next().unwrap_or_default();
        if let Some(error) = first.strip_prefix("e=") {
            return Err(ServerError::Refused(error.escape_default().to_string()));
        }
        let signature = first.strip_prefix("v=").ok_or(ServerError::Malformed)?;
        let signature = decode_key(signature).map_err(|_| ServerError::Malformed)?;
        let matches: bool = signature.ct_eq(&self.signature).into();
        matches.then_some(()).ok_or(ServerError::Signature)
    }
}

/// Whether a server that asks for so many iterations is answered.
///
/// # Errors
/// Where it is not.
pub fn check_iterations(iterations: u32) -> Result<(), ServerError> {
    match iterations {
        MIN_ITERATIONS..=MAX_ITERATIONS => Ok(()),
        _ => Err(ServerError::Iterations(iterations)),
    }
}

fn text(message: &[u8]) -> Result<&str, ServerError> {
    if message.len() > MAX_MESSAGE || message.contains(&0) {
        return Err(ServerError::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| ServerError::Malformed)
}

#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
