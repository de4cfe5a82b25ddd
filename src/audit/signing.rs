//! The key that signs the log's checkpoints, apart from every other key, and the list of keys that the log was signed with.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::JournalError;
use crate::tlog::{Checkpoint, Note, Signer, Verifier};

/// What signs checkpoints.
#[derive(Debug)]
pub(super) struct Signing {
    signer: Signer,
    /// The key before it, which signs beside it once, so that who knows that one learns of this.
    old: Option<Signer>,
}

impl Signing {
    /// Reads the key in `file`, or makes it with `name`.
    pub(super) fn load(file: &Path, name: &str) -> Result<Self, JournalError> {
        let says = |error: &dyn std::fmt::Display| JournalError(format!("{}: {error}", file.display()));
        let signer = match read(file).map_err(|error| says(&error))? {
            Some(text) => Signer::from_text(&text).map_err(|error| says(&error))?,
            None => {
                let signer = Signer::generate(name).map_err(|error| says(&error))?;
                let text = signer.to_text().map_err(|error| says(&error))?;
                create(file, text.as_bytes()).map_err(|error| says(&error))?;
                signer
            }
        };
        let old = read(&old_file(file)).map_err(|error| says(&error))?;
        let old = old.map(|text| Signer::from_text(&text)).transpose().map_err(|error| says(&error))?;
        Ok(Self { signer, old })
    }

    /// The log's origin: the name of its key.
    pub(super) fn origin(&self) -> String {
        self.signer.verifier().name().to_owned()
    }

    pub(super) fn verifier(&self) -> Verifier {
        self.signer.verifier()
    }

    /// The checkpoint, signed.
    pub(super) fn sign(&self, checkpoint: &Checkpoint) -> Result<Note, String> {
        let signers: Vec<&Signer> = self.old.iter().chain([&self.signer]).collect();
        Note::sign(&checkpoint.to_body(), &signers).map_err(|error| error.to_string())
    }

    /// Whether the note bears the signature of this key, or of the one before.
    pub(super) fn signed(&self, note: &Note) -> bool {
        let mut keys = self.old.iter().chain([&self.signer]);
        keys.any(|key| note.verified_by(&key.verifier()).is_ok())
    }
}

/// The verifier keys that `dir` names, oldest first: whoever can write there can name others.
pub(super) fn known_verifiers(dir: &Path) -> io::Result<Vec<Verifier>> {
    let text = match std::fs::read_to_string(dir.join(VERIFIERS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    text.lines()
        .map(|line| Verifier::parse(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)))
        .collect()
}

/// Adds the key to those that `dir` names; answers whether another one stood last.
pub(super) fn name_verifier(dir: &Path, verifier: &Verifier) -> io::Result<bool> {
    let known = known_verifiers(dir)?;
    if known.last() == Some(verifier) {
        return Ok(false);
    }
    let path = dir.join(VERIFIERS);
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(format!("{verifier}\n").as_bytes())?;
    file.sync_all()?;
    Ok(!known.is_empty())
}

/// The newest checkpoint in `dir`.
pub(super) fn read_checkpoint(dir: &Path) -> Result<Option<(Checkpoint, Note)>, String> {
    let text = match std::fs::read_to_string(dir.join(CHECKPOINT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| format!("the checkpoint cannot be read: {error}"))?,
    };
    let note = Note::parse(&text).map_err(|error| format!("the checkpoint is damaged: {error}"))?;
    let checkpoint = Checkpoint::of(&note).map_err(|error| format!("the checkpoint is damaged: {error}"))?;
    Ok(Some((checkpoint, note)))
}

/// Puts the checkpoint in the place of the one before.
pub(super) fn write_checkpoint(dir: &Path, note: &Note) -> io::Result<()> {
    let fresh = dir.join("checkpoint.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(note.to_string().as_bytes())?;
    std::fs::rename(&fresh, dir.join(CHECKPOINT))
}

fn old_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

fn read(file: &Path) -> io::Result<Option<Zeroizing<String>>> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(|text| Some(Zeroizing::new(text))),
    }
}

fn create(file: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text)?;
    file.sync_all()
}

const VERIFIERS: &str = "log.vkey";
const CHECKPOINT: &str = "checkpoint";
