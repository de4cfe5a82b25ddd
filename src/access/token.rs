//! Control tokens: what a person keeps, and the hash by which the configuration knows it.

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::Secret;

/// Marks a text as a token of pgward, for people and for secret scanners.
const TOKEN_PREFIX: &str = "pgw_";
const HASH_PREFIX: &str = "sha256:";
/// Random bytes in a token. With this many an unsalted hash gives nothing to guess at.
const TOKEN_BYTES: usize = 32;

/// The SHA-256 of a token's whole text, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

/// The system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// A new token, `pgw_` and 43 characters, and its hash.
///
/// # Errors
/// Where the system gives no randomness.
pub fn generate_token() -> Result<(Secret, TokenHash), NoRandomness> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; TOKEN_BYTES]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
    let token = Secret::new(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice())));
    let hash = TokenHash::of(token.expose());
    Ok((token, hash))
}

impl TokenHash {
    /// The hash of a token's text.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }

    /// Reads a hash as `pgward token` prints it.
    ///
    /// # Errors
    /// Says what such a hash looks like; never repeats the text, which may be a token put in the wrong place.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with(TOKEN_PREFIX) {
            return Err(
                "this is a token, not its hash; take a new one with `pgward token` and put its hash here".into()
            );
        }
        let expected = || format!("expected {HASH_PREFIX} and 64 hexadecimal digits, as `pgward token` prints");
        let digits = text.strip_prefix(HASH_PREFIX).ok_or_else(expected)?;
        if digits.len() != 64 {
            return Err(expected());
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16).ok_or_else(expected)?;
                *byte = (*byte << 4) | u8::try_from(value).map_err(|_| expected())?;
            }
        }
        Ok(Self(hash))
    }

    /// Whether `token` is the one, in a time that does not depend on where they differ.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this is the hash of a token. Takes as long whatever differs.
    #[must_use]
    pub fn verify(&self, token: &str) -> bool {
        Self::of(token).0.ct_eq(&self.0).into()
    }
}

impl std::fmt::Display for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HASH_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let (token, hash) = generate_token().unwrap();
        let (other, _) = generate_token().unwrap();
        assert!(token.expose().starts_with("pgw_") && token.expose().len() == 47, "{}", token.expose());
        assert_ne!(token, other);
        let read_back = TokenHash::parse(&hash.to_string()).unwrap();
        assert!(read_back.verify(token.expose()));
        for wrong in ["", "pgw_", other.expose(), &token.expose()[4..], &hash.to_string()] {
            assert!(!read_back.verify(wrong), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "***");
    }

    #[test]
    fn known_hash() {
        let hash = TokenHash::of("abc").to_string();
        assert_eq!(hash, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(TokenHash::parse(&hash.replace("ba78", "BA78")).unwrap().to_string(), hash);
    }

    #[test]
    fn other_texts_are_no_hashes() {
        let digits = "0".repeat(64);
        for text in
            ["", "sha256:", &digits, "sha256:00", &format!("sha256:{digits}0"), &format!("sha256:{}g", &digits[1..])]
        {
            assert!(TokenHash::parse(text).unwrap_err().starts_with("expected sha256:"), "{text}");
        }
        assert!(TokenHash::parse(&format!("sha256:{}é", &digits[2..])).is_err());
        assert!(TokenHash::parse("pgw_abc").unwrap_err().starts_with("this is a token"));
    }
}
