//! Signed notes: a text, an empty line, and lines of signatures over the text. Pure; C2SP signed-note.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cosignature;
use super::key::{Algorithm, KeyError, Signer, Verifier, is_key_name};

/// The longest note that is read, in bytes.
pub const MAX_NOTE: usize = 64 * 1024;

/// Why a text is no signed note, or is not signed by whom it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    #[error("no signature by {0}")]
    Unsigned(String),
    #[error("a signature that says it is by {0} is not")]
    Forged(String),
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A text and who signed it. Nothing is verified by being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    body: String,
    signatures: Vec<Signature>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

impl Note {
    /// Signs `body`, which ends with a newline, by each of `signers`.
    ///
    /// # Errors
    /// Where `body` cannot be a note's text, there is no signer, or signing fails.
    pub fn sign(body: &str, signers: &[&Signer]) -> Result<Self, NoteError> {
        check_body(body)?;
        if signers.is_empty() {
            return Err(NoteError::Malformed("nobody signs it"));
        }
        let mut note = Self { body: body.to_owned(), signatures: Vec::new() };
        for signer in signers {
            note.add(Signature::new(&signer.verifier(), signer.sign(body.as_bytes())?))?;
        }
        Ok(note)
    }

    /// Reads a note. Exactly one text gives this note.
    ///
    /// # Errors
    /// Where it is not one, is longer than [`MAX_NOTE`] or has more than 64 signatures.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        if text.len() > MAX_NOTE {
            return Err(NoteError::Malformed("it is too long"));
        }
        let (above, below) = text.rsplit_once("\n\n").ok_or(NoteError::Malformed("no empty line before signatures"))?;
        let body = text.get(..=above.len()).unwrap_or_default();
        check_body(body)?;
        let lines = below.strip_suffix('\n').ok_or(NoteError::Malformed("its last line does not end"))?;
        let mut note = Self { body: body.to_owned(), signatures: Vec::new() };
        for line in lines.split('\n') {
            note.add(Signature::parse(line)?)?;
        }
        Ok(note)
    }

    /// The text that is signed, with its last newline.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds one line, `— <name> <base64>`, with or without a newline; a line that is there already is not added again.
    ///
    /// # Errors
    /// Where it is no signature line, or there are too many. Whether the signature is good is not looked at.
    pub fn add_signature_line(&mut self, line: &str) -> Result<(), NoteError> {
        let signature = Signature::parse(line.strip_suffix('\n').unwrap_or(line))?;
        if self.signatures.contains(&signature) { Ok(()) } else { self.add(signature) }
    }

    /// Adds a signature in the place of those in the same name and id: a witness's newer cosignature.
    ///
    /// # Errors
    /// Where there are too many.
    pub fn replace_signature(&mut self, signature: Signature) -> Result<(), NoteError> {
        self.signatures.retain(|known| (known.id, &known.name) != (signature.id, &signature.name));
        self.add(signature)
    }

    /// Reads lines of signatures, as a witness answers them.
    ///
    /// # Errors
    /// Where one is none.
    pub fn parse_lines(text: &str) -> Result<Vec<Signature>, NoteError> {
        let lines = text.strip_suffix('\n').ok_or(NoteError::Malformed("its last line does not end"))?;
        lines.split('\n').take(MAX_SIGNATURES).map(Signature::parse).collect()
    }

    /// Proves that `verifier`'s key signed this note: that all the signatures in its name and id are its.
    ///
    /// # Errors
    /// Where there is none, or one is not.
    pub fn verified_by(&self, verifier: &Verifier) -> Result<(), NoteError> {
        match verifier.algorithm() {
            Algorithm::Ed25519 => {
                self.each_by(verifier, |bytes| verifier.verifies(self.body.as_bytes(), bytes).then_some(())).map(|_| ())
            }
            Algorithm::CosignatureV1 => self.cosigned_at(verifier).map(|_| ()),
        }
    }

    /// When `verifier`, a witness, says it cosigned this checkpoint: the latest time, in seconds since 1970.
    ///
    /// # Errors
    /// Where it did not, one of its cosignatures is not its, or it is not a witness's key.
    pub fn cosigned_at(&self, verifier: &Verifier) -> Result<u64, NoteError> {
        match verifier.algorithm() {
            Algorithm::Ed25519 => Err(KeyError::Type.into()),
            Algorithm::CosignatureV1 => {
                let times = self.each_by(verifier, |bytes| cosignature::time_of(verifier, &self.body, bytes))?;
                Ok(times.into_iter().max().unwrap_or_default())
            }
        }
    }

    /// Applies `check` to every signature in the verifier's name and id.
    fn each_by<T>(&self, verifier: &Verifier, check: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, NoteError> {
        let its = self.signatures.iter().filter(|signature| signature.is_by(verifier));
        let checked: Option<Vec<_>> = its.map(|signature| check(&signature.bytes)).collect();
        match checked {
            None => Err(NoteError::Forged(verifier.name().to_owned())),
            Some(checked) if checked.is_empty() => Err(NoteError::Unsigned(verifier.name().to_owned())),
            Some(checked) => Ok(checked),
        }
    }

    fn add(&mut self, signature: Signature) -> Result<(), NoteError> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::Malformed("it has too many signatures"));
        }
        self.signatures.push(signature);
        Ok(())
    }
}

/// The note as text, as [`Note::parse`] reads it.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.body)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl Signature {
    pub(super) fn new(by: &Verifier, bytes: Vec<u8>) -> Self {
        Self { name: by.name().to_owned(), id: by.id(), bytes }
    }

    fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed("a signature line is not `— <name> <base64>`");
        let (name, data) = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')).ok_or(malformed.clone())?;
        let data = STANDARD.decode(data).map_err(|_| malformed.clone())?;
        match data.split_first_chunk::<4>() {
            Some((id, bytes)) if !bytes.is_empty() && is_key_name(name) => {
                Ok(Self { name: name.to_owned(), id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
            }
            Some(_) | None => Err(malformed),
        }
    }

    /// Who it says it is by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it says that it is by this key. No proof: [`Note::verified_by`] is.
    #[must_use]
    pub fn is_by(&self, verifier: &Verifier) -> bool {
        self.name == verifier.name() && self.id == verifier.id()
    }
}

/// The line, without a newline.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = [self.id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode(data))
    }
}

fn check_body(body: &str) -> Result<(), NoteError> {
    if !body.ends_with('\n') {
        return Err(NoteError::Malformed("its text does not end with a newline"));
    }
    if body.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::Malformed("control characters"));
    }
    Ok(())
}

/// An em dash and a space.
const DASH: &str = "\u{2014} ";
/// The specification asks for 16 at least.
const MAX_SIGNATURES: usize = 64;
