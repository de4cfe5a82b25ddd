//! Ed25519 keys with names, in the text forms of signed notes. Secret keys are never shown by `Debug` or in an error.

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::hash::Hash;

/// What a key signs, and how. A key of one kind is never taken for one of the other: the kind is part of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Type 0x01: the note's text. The keys of logs.
    Ed25519,
    /// Type 0x04: a checkpoint's text and the time, `cosignature/v1`. The keys of witnesses.
    CosignatureV1,
}

/// Why a text is no key, or a key cannot be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a key's name must not be empty and must have neither spaces nor `+` nor control characters")]
    Name,
    #[error("not a verifier key: expected <name>+<8 hexadecimal digits>+<base64>")]
    VerifierForm,
    #[error("not a private key: expected PRIVATE+KEY+<name>+<8 hexadecimal digits>+<base64>")]
    PrivateForm,
    #[error("the key's id is not that of its name and its public key")]
    Id,
    #[error("a key of this type cannot be used here")]
    Type,
    #[error("the machine's cryptography failed")]
    Cryptography,
}

/// A public key with a name: a "vkey".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verifier {
    name: String,
    id: u32,
    algorithm: Algorithm,
    public: [u8; 32],
}

impl Verifier {
    /// Reads `<name>+<id>+<base64 of the type and the public key>`.
    ///
    /// # Errors
    /// Where it is anything else, or the id is not that of the key.
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::VerifierForm);
        };
        let (algorithm, public) = key_data(data, KeyError::VerifierForm)?;
        let verifier = Self::new(name, algorithm, *public)?;
        if parse_id(id).ok_or(KeyError::VerifierForm)? == verifier.id { Ok(verifier) } else { Err(KeyError::Id) }
    }

    fn new(name: &str, algorithm: Algorithm, public: [u8; 32]) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        Ok(Self { name: name.to_owned(), id: key_id(name, algorithm, &public), algorithm, public })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of a hash over name, type and public key. Short: a hint, no proof of anything.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` over `message` was made with this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            self.id,
            STANDARD.encode(with_type(self.algorithm, &self.public).as_slice())
        )
    }
}

/// A log's key, that signs notes.
#[derive(Debug)]
pub struct Signer(SecretKey);

impl Signer {
    /// A new key.
    ///
    /// # Errors
    /// Where the name cannot be a key's, or the machine has no randomness.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        SecretKey::generate(name, Algorithm::Ed25519).map(Self)
    }

    /// Reads what [`Signer::to_text`] gives.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        SecretKey::from_text(text, Algorithm::Ed25519).map(Self)
    }

    /// `PRIVATE+KEY+<name>+<id>+<base64>`: the secret itself.
    ///
    /// # Errors
    /// Where the machine's cryptography fails.
    pub fn to_text(&self) -> Result<Zeroizing<String>, KeyError> {
        self.0.to_text()
    }

    /// What verifies this key's signatures.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.0.verifier.clone()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0.sign(message)
    }
}

/// A secret key of either kind.
pub(super) struct SecretKey {
    pub(super) verifier: Verifier,
    pair: Ed25519KeyPair,
}

impl SecretKey {
    pub(super) fn generate(name: &str, algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::of(name, algorithm, Ed25519KeyPair::generate().map_err(|_| KeyError::Cryptography)?)
    }

    pub(super) fn from_text(text: &str, algorithm: Algorithm) -> Result<Self, KeyError> {
        let mut parts = text.strip_prefix(PRIVATE).ok_or(KeyError::PrivateForm)?.splitn(3, '+');
        let (Some(name), Some(id), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::PrivateForm);
        };
        let (found, seed) = key_data(data, KeyError::PrivateForm)?;
        if found != algorithm {
            return Err(KeyError::Type);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyError::PrivateForm)?;
        let key = Self::of(name, algorithm, pair)?;
        if parse_id(id).ok_or(KeyError::PrivateForm)? == key.verifier.id { Ok(key) } else { Err(KeyError::Id) }
    }

    pub(super) fn to_text(&self) -> Result<Zeroizing<String>, KeyError> {
        let seed = self.pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| KeyError::Cryptography)?;
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(seed.as_ref().try_into().map_err(|_| KeyError::Cryptography)?);
        let data = Zeroizing::new(STANDARD.encode(with_type(self.verifier.algorithm, &seed).as_slice()));
        let Verifier { name, id, .. } = &self.verifier;
        Ok(Zeroizing::new(format!("{PRIVATE}{name}+{id:08x}+{}", data.as_str())))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(|_| KeyError::Cryptography)
    }

    fn of(name: &str, algorithm: Algorithm, pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Cryptography)?;
        Ok(Self { verifier: Verifier::new(name, algorithm, public)?, pair })
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("verifier", &self.verifier.to_string()).finish_non_exhaustive()
    }
}

/// Whether a key may be called so, and a log's origin too: not empty, no spaces, no `+`, no control characters.
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

impl Algorithm {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Ed25519, Self::CosignatureV1].into_iter().find(|algorithm| algorithm.byte() == byte)
    }
}

fn with_type(algorithm: Algorithm, key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut data = Zeroizing::new(Vec::with_capacity(33));
    data.push(algorithm.byte());
    data.extend_from_slice(key);
    data
}

/// The base64 of a type and 32 bytes; `otherwise` where it is not.
fn key_data(text: &str, otherwise: KeyError) -> Result<(Algorithm, Zeroizing<[u8; 32]>), KeyError> {
    let data = Zeroizing::new(STANDARD.decode(text).map_err(|_| otherwise)?);
    let (first, key) = data.split_first().ok_or(otherwise)?;
    let algorithm = Algorithm::of(*first).ok_or(KeyError::Type)?;
    Ok((algorithm, Zeroizing::new(key.try_into().map_err(|_| otherwise)?)))
}

/// Eight lower-case hexadecimal digits.
fn parse_id(text: &str) -> Option<u32> {
    let right = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if right { u32::from_str_radix(text, 16).ok() } else { None }
}

fn key_id(name: &str, algorithm: Algorithm, public: &[u8; 32]) -> u32 {
    let text = [name.as_bytes(), b"\n", &[algorithm.byte()], public].concat();
    let [first, second, third, fourth, ..] = Hash::of(&text).0;
    u32::from_be_bytes([first, second, third, fourth])
}

const PRIVATE: &str = "PRIVATE+KEY+";
