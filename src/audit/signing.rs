//! The key that signs the log's checkpoints, apart from every other key, and the list of keys that the log was signed with.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::JournalError;
use crate::tlog::keyfile::{self, KeyFileError, Signers};
use crate::tlog::{self, Checkpoint, CheckpointFile, Note, Verifier};

/// What signs checkpoints.
#[derive(Debug)]
pub(super) struct Signing {
    file: PathBuf,
    /// With the key before it, which signs beside it once, so that who knows that one learns of this.
    keys: Signers,
}

impl Signing {
    /// Reads the key in `file`, or makes it with `name`.
    ///
    /// Where the log was signed already its key must be there.
    pub(super) fn load(file: &Path, name: &str, is_signed: bool) -> Result<Self, JournalError> {
        let says = |error: KeyFileError| JournalError(error.to_string());
        if !file.try_exists().map_err(|error| JournalError(format!("{}: {error}", file.display())))? {
            if is_signed {
                let what = "the key that signs this journal is missing; put it back from a copy";
                return Err(JournalError(format!("{}: {what}", file.display())));
            }
            keyfile::create(file, name).map_err(says)?;
        }
        Ok(Self { file: file.to_owned(), keys: keyfile::load(file).map_err(says)? })
    }

    /// The log's origin: the name of its key.
    pub(super) fn origin(&self) -> String {
        self.keys.current.verifier().name().to_owned()
    }

    pub(super) fn verifier(&self) -> Verifier {
        self.keys.current.verifier()
    }

    /// The checkpoint, signed.
    pub(super) fn sign(&self, checkpoint: &Checkpoint) -> Result<Note, String> {
        Note::sign(&checkpoint.to_body(), &self.keys.all()).map_err(|error| error.to_string())
    }

    /// Whether the note bears the signature of this key, or of the one before.
    pub(super) fn signed(&self, note: &Note) -> bool {
        self.keys.all().into_iter().any(|key| note.verified_by(&key.verifier()).is_ok())
    }

    /// The checkpoint that was signed last, as it is remembered beside the key: who can write the directory alone cannot have
    /// the key sign something else instead.
    pub(super) fn remembered(&self) -> Result<Option<Checkpoint>, JournalError> {
        let says = |error: &dyn std::fmt::Display| {
            let what = "it says what the key signed last, and cannot be read; put it back, or verify the journal and remove it";
            JournalError(format!("{}: {error}: {what}", self.memory().display()))
        };
        let text = match std::fs::read_to_string(self.memory()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| says(&error))?,
        };
        let checkpoint = Checkpoint::parse(&text).map_err(|error| says(&error))?;
        Ok(Some(checkpoint).filter(|checkpoint| checkpoint.origin == self.origin()))
    }

    pub(super) fn memory(&self) -> PathBuf {
        let mut name = self.file.as_os_str().to_owned();
        name.push(".last");
        name.into()
    }

    fn remember(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let memory = self.memory();
        // Not the name that a new key is made under.
        let fresh = memory.with_extension("last.new");
        // The checkpoint is on disk already, so that this is never ahead of it.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(checkpoint.to_body().as_bytes())?;
        file.sync_all()?;
        tlog::replace(&fresh, &memory)
    }

    /// A checkpoint that all keys signed is published: it is remembered, and the key before has done its part, once it has
    /// named its successor.
    pub(super) fn published(&mut self, file: &CheckpointFile, checkpoint: &Checkpoint) -> Result<(), String> {
        self.remember(checkpoint).map_err(|error| format!("{}: {error}", self.memory().display()))?;
        if let Some(old) = &self.keys.retiring {
            file.put_rotation(old, &self.keys.current).map_err(|error| error.to_string())?;
            keyfile::retire(&self.file).map_err(|error| error.to_string())?;
            self.keys.retiring = None;
        }
        Ok(())
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
    CheckpointFile::of(dir).read().map_err(|error| format!("the checkpoint cannot be read: {error}"))
}

const VERIFIERS: &str = "log.vkey";
