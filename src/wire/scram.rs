//! The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), and the verifiers it checks against;
//! the client's side is in [`client`]. Holds no password and makes no policy: who may try, and how often, is the session's
//! business.

pub mod client;

use std::fmt;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::ConstantTimeEq as _;

/// The iterations of PostgreSQL's own verifiers, and of those that pgward mints.
pub const DEFAULT_ITERATIONS: u32 = 4096;

/// Bytes of salt in verifiers that pgward mints.
pub const SALT_LENGTH: usize = 16;

/// The mechanism that binds the exchange to the TLS certificate.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// The mechanism without channel binding.
pub const PLAIN: &str = "SCRAM-SHA-256";

const KEY_LENGTH: usize = 32;
/// A verifier that asks for more would let a configuration mistake stall every client.
const MAX_ITERATIONS: u32 = 10_000_000;
/// Client messages of the exchange are short; longer ones are refused before they are read.
const MAX_MESSAGE: usize = 2048;

/// What is kept of a password: enough to check a proof, not enough to make one.
///
/// Its text is that of `pg_authid.rolpassword`: `SCRAM-SHA-256$4096:salt$stored:server`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; KEY_LENGTH],
    server_key: [u8; KEY_LENGTH],
}

/// The text is no SCRAM-SHA-256 verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SCRAM-SHA-256 verifier (SCRAM-SHA-256$iterations:salt$stored:server)")]
pub struct BadVerifier;

impl Verifier {
    /// Reads the format of `pg_authid.rolpassword`.
    ///
    /// # Errors
    /// [`BadVerifier`] for any other text.
    pub fn parse(text: &str) -> Result<Self, BadVerifier> {
        let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or(BadVerifier)?;
        let (parameters, keys) = rest.split_once('$').ok_or(BadVerifier)?;
        let (iterations, salt) = parameters.split_once(':').ok_or(BadVerifier)?;
        let (stored, server) = keys.split_once(':').ok_or(BadVerifier)?;
        let iterations: u32 = iterations.parse().map_err(|_| BadVerifier)?;
        if iterations == 0 || iterations > MAX_ITERATIONS {
            return Err(BadVerifier);
        }
        let salt = BASE64.decode(salt).map_err(|_| BadVerifier)?;
        if salt.is_empty() {
            return Err(BadVerifier);
        }
        Ok(Self { iterations, salt, stored_key: decode_key(stored)?, server_key: decode_key(server)? })
    }

    /// Makes the verifier of a password, as PostgreSQL would (SASLprep first, the raw bytes where that fails).
    /// `iterations` of zero counts as one.
    #[must_use]
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        Self::of(&client::Keys::derive(password, salt, iterations), salt, iterations)
    }

    /// What a server keeps of these keys.
    #[must_use]
    pub fn of(keys: &client::Keys, salt: &[u8], iterations: u32) -> Self {
        Self {
            iterations: iterations.max(1),
            salt: salt.to_vec(),
            stored_key: sha256(keys.client_key()),
            server_key: *keys.server_key(),
        }
    }

    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            BASE64.encode(&self.salt),
            BASE64.encode(self.stored_key),
            BASE64.encode(self.server_key)
        )
    }
}

impl fmt::Debug for Verifier {
    /// Never the keys: a verifier in a log is a password to be guessed offline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// The salt of a name that has no verifier, the same at each try, so that a stranger cannot tell unknown users from
/// known ones. A minted credential may use it as its salt too.
#[must_use]
pub fn stable_salt(secret: &[u8], name: &str) -> [u8; SALT_LENGTH] {
    let mut salt = [0; SALT_LENGTH];
    for (to, from) in salt.iter_mut().zip(hmac_sha256(secret, name.as_bytes())) {
        *to = from;
    }
    salt
}

/// The verifiers that a proof is tried against: all with one salt and one iteration count, since the client is told
/// only one. Without any, the exchange runs to its end and fails there.
#[derive(Clone, Debug)]
pub struct Candidates {
    salt: Vec<u8>,
    iterations: u32,
    verifiers: Vec<Verifier>,
}

impl Candidates {
    /// The verifiers that share the first one's salt and iterations; `mock_salt` where there is none.
    #[must_use]
    pub fn new(verifiers: Vec<Verifier>, mock_salt: &[u8]) -> Self {
        let (salt, iterations) = verifiers
            .first()
            .map_or((mock_salt.to_vec(), DEFAULT_ITERATIONS), |first| (first.salt.clone(), first.iterations));
        let verifiers = verifiers.into_iter().filter(|v| v.salt == salt && v.iterations == iterations).collect();
        Self { salt, iterations, verifiers }
    }
}

/// Why an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// The client broke the protocol: SQLSTATE 08P01.
    #[error("malformed SCRAM message")]
    Malformed,
    /// The client says that the server offers no channel binding, though it does: somebody edited the offer.
    #[error("SCRAM channel binding negotiation error")]
    Downgrade,
    #[error("SCRAM channel binding check failed")]
    ChannelBinding,
    /// The proof is wrong, or there was nothing to check it against.
    #[error("the proof does not match")]
    Refused,
}

/// One exchange after the client's first message.
#[derive(Debug)]
pub struct Exchange {
    candidates: Candidates,
    gs2_header: String,
    channel_binding: Option<Vec<u8>>,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

impl Exchange {
    /// Takes the client's first message. `mechanism` is what the client chose; `binding` is the certificate's hash where
    /// PLUS was offered; `server_nonce` is fresh and printable, without comma.
    ///
    /// # Errors
    /// Where the message is malformed or contradicts the offer.
    pub fn start(
        mechanism: &str,
        binding: Option<&[u8]>,
        client_first: &[u8],
        server_nonce: &str,
        candidates: Candidates,
    ) -> Result<Self, ScramError> {
        let message = text(client_first)?;
        let (flag, rest) = message.split_once(',').ok_or(ScramError::Malformed)?;
        let (authzid, bare) = rest.split_once(',').ok_or(ScramError::Malformed)?;
        if !authzid.is_empty() {
            return Err(ScramError::Malformed);
        }
        let channel_binding = match (mechanism, flag) {
            (PLUS, "p=tls-server-end-point") => Some(binding.ok_or(ScramError::Malformed)?.to_vec()),
            (PLAIN, "n") => None,
            (PLAIN, "y") if binding.is_none() => None,
            (PLAIN, "y") => return Err(ScramError::Downgrade),
            _ => return Err(ScramError::Malformed),
        };
        let client_nonce = read_client_first_bare(bare)?;
        let nonce = format!("{client_nonce}{server_nonce}");
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&candidates.salt), candidates.iterations);
        let gs2_header = format!("{flag},,");
        let client_first_bare = bare.to_owned();
        Ok(Self { candidates, gs2_header, channel_binding, client_first_bare, server_first, nonce })
    }

    /// What the server says after the client's first message.
    #[must_use]
    pub fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Takes the client's final message and answers the server's, which proves that the server knew the verifier.
    ///
    /// # Errors
    /// [`ScramError::Refused`] for a wrong proof; other errors for a message that is not what the exchange calls for.
    pub fn finish(self, client_final: &[u8]) -> Result<String, ScramError> {
        let message = text(client_final)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|a| a.strip_prefix("c=")).ok_or(ScramError::Malformed)?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(ScramError::Malformed)?;
        if attributes.any(|attribute| attribute.starts_with("m=")) {
            return Err(ScramError::Malformed);
        }
        self.check_binding(binding)?;
        if !bool::from(nonce.as_bytes().ct_eq(self.nonce.as_bytes())) {
            return Err(ScramError::Malformed);
        }
        let proof: [u8; KEY_LENGTH] = decode_key(proof).map_err(|BadVerifier| ScramError::Malformed)?;
        let auth_message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        self.check_proof(&proof, auth_message.as_bytes())
    }

    fn check_binding(&self, binding: &str) -> Result<(), ScramError> {
        let mut expected = self.gs2_header.clone().into_bytes();
        expected.extend_from_slice(self.channel_binding.as_deref().unwrap_or_default());
        let matches: bool = binding.as_bytes().ct_eq(BASE64.encode(expected).as_bytes()).into();
        matches.then_some(()).ok_or(ScramError::ChannelBinding)
    }

    /// Tries every candidate, also after one has matched, so that time tells nothing.
    fn check_proof(&self, proof: &[u8; KEY_LENGTH], auth_message: &[u8]) -> Result<String, ScramError> {
        let nobody =
            Verifier { iterations: 0, salt: Vec::new(), stored_key: [0; KEY_LENGTH], server_key: [0; KEY_LENGTH] };
        let mut server_key = None;
        // One try at the least, so that an unknown name costs what a known one costs.
        let tried = std::iter::once(&nobody).take(usize::from(self.candidates.verifiers.is_empty()));
        for verifier in tried.chain(&self.candidates.verifiers) {
            let mut client_key = hmac_sha256(&verifier.stored_key, auth_message);
            for (byte, proof) in client_key.iter_mut().zip(proof) {
                *byte ^= proof;
            }
            let matches: bool = sha256(&client_key).ct_eq(&verifier.stored_key).into();
            if matches && verifier.iterations != 0 {
                server_key = Some(verifier.server_key);
            }
        }
        let server_key = server_key.ok_or(ScramError::Refused)?;
        Ok(format!("v={}", BASE64.encode(hmac_sha256(&server_key, auth_message))))
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MAX_MESSAGE || message.contains(&0) {
        return Err(ScramError::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed)
}

/// `n=user,r=nonce[,extension…]`. The name is not looked at: PostgreSQL's protocol gave it at startup. Mandatory
/// extensions (`m=`) are refused, as RFC 5802 wants.
fn read_client_first_bare(bare: &str) -> Result<&str, ScramError> {
    let mut attributes = bare.split(',');
    attributes.next().and_then(|a| a.strip_prefix("n=")).ok_or(ScramError::Malformed)?;
    let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(ScramError::Malformed)?;
    let printable = nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    (printable && !nonce.is_empty()).then_some(nonce).ok_or(ScramError::Malformed)
}

fn decode_key(text: &str) -> Result<[u8; KEY_LENGTH], BadVerifier> {
    BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(BadVerifier)
}

fn sha256(bytes: &[u8]) -> [u8; KEY_LENGTH] {
    fixed(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; KEY_LENGTH] {
    fixed(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref())
}

/// SHA-256 gives 32 bytes; the library's types do not say so.
fn fixed(bytes: &[u8]) -> [u8; KEY_LENGTH] {
    let mut out = [0; KEY_LENGTH];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

#[cfg(test)]
#[path = "scram/tests.rs"]
mod tests;
