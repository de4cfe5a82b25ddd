//! What a witness remembers, in a directory of its own: for each log the latest checkpoint that it cosigned, and evidence of
//! logs that showed two histories. A checkpoint is on disk before its cosignature leaves.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::request::AddCheckpoint;
use crate::tlog::{Checkpoint, Hash, MAX_NOTE, Note, Signature, Verifier};

/// Why a witness cannot remember.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is in use by another witness", .0.display())]
    InUse(PathBuf),
    #[error("{} is not a checkpoint that this witness cosigned: {what}", path.display())]
    Spoilt { path: PathBuf, what: String },
}

/// What is known of one log.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) size: u64,
    pub(super) root: Hash,
    /// None before the first.
    note: Option<Note>,
}

/// The directory, held by this witness alone.
#[derive(Debug)]
pub(super) struct State {
    dir: PathBuf,
    /// By origin. One lock for all: a submission is checked in microseconds and written in milliseconds.
    known: Mutex<HashMap<String, Known>>,
    _lock: File,
}

/// The right to change what is known of one log.
#[derive(Debug)]
pub(super) struct Memory<'a> {
    path: PathBuf,
    dir: &'a Path,
    known: &'a mut Option<Known>,
}

impl Memory<'_> {
    /// On disk, then in mind.
    pub(super) fn remember(
        &mut self,
        checkpoint: &Checkpoint,
        note: &Note,
        cosignature: &Signature,
    ) -> Result<(), StateError> {
        let failed = |source| StateError::File { path: self.path.clone(), source };
        let mut note = note.clone();
        note.replace_signature(cosignature.clone()).map_err(|error| failed(io::Error::other(error)))?;
        write(&self.path, self.dir, note.to_string().as_bytes()).map_err(failed)?;
        *self.known = Some(Known { size: checkpoint.size, root: checkpoint.root, note: Some(note) });
        Ok(())
    }
}

impl State {
    pub(super) fn open(dir: &Path, logs: &BTreeMap<String, Vec<Verifier>>, own: &Verifier) -> Result<Self, StateError> {
        let lock = lock(dir)?;
        let mut known = HashMap::new();
        for (origin, keys) in logs {
            known.insert(origin.clone(), read(&dir.join(file_of(origin)), origin, keys, own)?);
        }
        Ok(Self { dir: dir.to_owned(), known: Mutex::new(known), _lock: lock })
    }

    /// Looks at what is known of a log, and may change it, in one step.
    pub(super) fn with<T>(&self, origin: &str, step: impl FnOnce(&Known, &mut Memory<'_>) -> T) -> T {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(origin).cloned().unwrap_or_else(Known::nothing);
        let mut after = None;
        let mut memory = Memory { path: self.dir.join(file_of(origin)), dir: &self.dir, known: &mut after };
        let outcome = step(&before, &mut memory);
        if let Some(after) = after {
            all.insert(origin.to_owned(), after);
        }
        outcome
    }

    /// Keeps two checkpoints of one log that do not belong together, or have not been proved to. A log that shows such a pair
    /// by its own signatures cannot say that it did not.
    pub(super) fn keep_evidence(&self, known: &Known, submitted: &AddCheckpoint, checkpoint: &Checkpoint) {
        let origin = &checkpoint.origin;
        tracing::error!(
            %origin,
            known_size = known.size,
            known_root = %known.root,
            submitted_size = checkpoint.size,
            submitted_root = %checkpoint.root,
            "a log shows a history that does not continue the one that was witnessed: nothing is signed, both are kept"
        );
        if let Err(error) = self.write_evidence(known, submitted, origin) {
            tracing::error!(%origin, %error, "the evidence could not be kept");
        }
    }

    fn write_evidence(&self, known: &Known, submitted: &AddCheckpoint, origin: &str) -> io::Result<()> {
        let dir = self.dir.join("evidence");
        make(&dir)?;
        if fs::read_dir(&dir)?.count() >= MAX_EVIDENCE {
            return Err(io::Error::other(format!("{} is full", dir.display())));
        }
        let mut text = String::from("What this witness had cosigned:\n\n");
        text.push_str(&known.note.as_ref().map_or_else(|| "(nothing)\n".to_owned(), Note::to_string));
        // Writing to a String does not fail.
        let _ = write!(text, "\nWhat was submitted to it:\n\n{}", submitted.to_body());
        // The same pair is kept once.
        let path = dir.join(format!("{}-{}", file_of(origin), hex(&Hash::of(text.as_bytes()).0, 8)));
        if path.exists() { Ok(()) } else { write(&path, &dir, text.as_bytes()) }
    }
}

impl Known {
    fn nothing() -> Self {
        Self { size: 0, root: Hash::of_nothing(), note: None }
    }
}

fn lock(dir: &Path) -> Result<File, StateError> {
    let failed = |source| StateError::File { path: dir.to_owned(), source };
    make(dir).map_err(failed)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join("lock"));
    let lock = lock.map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StateError::InUse(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// What is remembered of a log. That it is its, the signatures on it show: the log's own, or this witness's.
fn read(path: &Path, origin: &str, keys: &[Verifier], own: &Verifier) -> Result<Known, StateError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Known::nothing()),
        opened => opened.map_err(|source| StateError::File { path: path.to_owned(), source })?,
    };
    let spoilt = |what: String| StateError::Spoilt { path: path.to_owned(), what };
    let mut text = String::new();
    let read = file.take(MAX_NOTE as u64 + 1).read_to_string(&mut text);
    read.map_err(|source| StateError::File { path: path.to_owned(), source })?;
    let note = Note::parse(&text).map_err(|error| spoilt(error.to_string()))?;
    let (checkpoint, _) = Checkpoint::parse_extended(note.body()).map_err(|error| spoilt(error.to_string()))?;
    if checkpoint.origin != origin {
        return Err(spoilt(format!("it is of {}", checkpoint.origin)));
    }
    if !keys.iter().chain([own]).any(|key| note.verified_by(key).is_ok()) {
        return Err(spoilt("neither the log nor this witness signed it".to_owned()));
    }
    Ok(Known { size: checkpoint.size, root: checkpoint.root, note: Some(note) })
}

/// Durably: the file under its name holds `bytes` or what it held before.
fn write(path: &Path, dir: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

fn make(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Origins may hold slashes and what not.
fn file_of(origin: &str) -> String {
    hex(&Hash::of(origin.as_bytes()).0, 16)
}

fn hex(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}

/// Pairs that are kept: one is enough.
const MAX_EVIDENCE: usize = 1_000;
