//! What a witness signs: that at a time it knew no later tree of a log, and that this one continues all it knew. Pure;
//! C2SP tlog-cosignature, the Ed25519 form.

use zeroize::Zeroizing;

use super::key::{Algorithm, KeyError, SecretKey, Verifier};
use super::note::{Note, NoteError, Signature};

/// A witness's key.
#[derive(Debug)]
pub struct Cosigner(SecretKey);

impl Cosigner {
    /// A new key.
    ///
    /// # Errors
    /// Where the name cannot be a key's, or the machine has no randomness.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        SecretKey::generate(name, Algorithm::CosignatureV1).map(Self)
    }

    /// Reads what [`Cosigner::to_text`] gives.
    ///
    /// # Errors
    /// Where it is anything else, also a log's key.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        SecretKey::from_text(text, Algorithm::CosignatureV1).map(Self)
    }

    /// The secret itself.
    ///
    /// # Errors
    /// Where the machine's cryptography fails.
    pub fn to_text(&self) -> Result<Zeroizing<String>, KeyError> {
        self.0.to_text()
    }

    /// What verifies this key's cosignatures.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.0.verifier.clone()
    }

    /// The cosignature's line over a checkpoint's note, at `time` in seconds since 1970.
    ///
    /// # Errors
    /// Where signing fails, or the time is past 2^63.
    pub fn cosign(&self, note: &Note, time: u64) -> Result<Signature, NoteError> {
        if time > MAX_TIME {
            return Err(NoteError::Malformed("a time past 2^63"));
        }
        let signature = self.0.sign(message(time, note.body()).as_bytes())?;
        Ok(Signature::new(&self.0.verifier, [time.to_be_bytes().as_slice(), &signature].concat()))
    }
}

/// The time in a cosignature over `body`, where `verifier`'s key made it.
pub(super) fn time_of(verifier: &Verifier, body: &str, bytes: &[u8]) -> Option<u64> {
    let (time, signature) = bytes.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    (time <= MAX_TIME && verifier.verifies(message(time, body).as_bytes(), signature)).then_some(time)
}

fn message(time: u64, body: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{body}")
}

const MAX_TIME: u64 = i64::MAX.cast_unsigned();
