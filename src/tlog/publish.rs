//! The newest checkpoint in its file. Two write there: the log, that puts a newer one in its place, and who gathers witnesses'
//! cosignatures, that adds to the one that lies there. They share a [`CheckpointFile`], so that neither undoes the other.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::key::{Signer, Verifier};
use super::note::{MAX_NOTE, Note, NoteError, Signature};

/// Why a checkpoint cannot be read or put in its place.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Note { path: PathBuf, source: NoteError },
    #[error("{}: {source}", path.display())]
    Checkpoint { path: PathBuf, source: CheckpointError },
}

/// A log's `checkpoint` and `checkpoint.witnessed`. Clones are the same file.
#[derive(Clone, Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    writing: Arc<Mutex<()>>,
}

impl CheckpointFile {
    /// Of the log in `dir`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self { path: dir.join("checkpoint"), writing: Arc::default() }
    }

    /// The newest checkpoint, with what signatures it has; none where there is none yet. Not verified.
    ///
    /// # Errors
    /// Where the file cannot be read or holds something else.
    pub fn read(&self) -> Result<Option<(Checkpoint, Note)>, PublishError> {
        self.read_at(&self.path)
    }

    /// The newest checkpoint that all witnesses cosigned. Not verified.
    ///
    /// # Errors
    /// As [`CheckpointFile::read`].
    pub fn read_witnessed(&self) -> Result<Option<(Checkpoint, Note)>, PublishError> {
        self.read_at(&self.witnessed())
    }

    /// Puts `note` in the place of the checkpoint before; with `sync`, it survives the machine.
    ///
    /// # Errors
    /// Where it cannot be written: the one before then stays.
    pub fn put(&self, note: &Note, sync: bool) -> Result<(), PublishError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&self.path, note, sync)
    }

    /// Adds cosignatures to the checkpoint with this text, if it still is the newest. Answers whether it was.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn cosign(&self, body: &str, cosignatures: &[Signature]) -> Result<bool, PublishError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, mut note)) = self.read()?.filter(|(_, note)| note.body() == body) else {
            return Ok(false);
        };
        for cosignature in cosignatures {
            note.replace_signature(cosignature.clone()).map_err(|source| self.malformed(source))?;
        }
        self.write(&self.path, &note, true)?;
        Ok(true)
    }

    /// Keeps `note`, which all witnesses cosigned, as the newest such.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn put_witnessed(&self, note: &Note) -> Result<(), PublishError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&self.witnessed(), note, true)
    }

    /// Writes down, signed by both, that the log's key `old` is followed by `new`: by it, who knows the one comes to know the
    /// other.
    ///
    /// # Errors
    /// Where it cannot be signed or written.
    pub fn put_rotation(&self, old: &Signer, new: &Signer) -> Result<(), PublishError> {
        let path = self.path.with_file_name(format!("{ROTATION}{:08x}", new.verifier().id()));
        let body = format!("{ROTATION_TITLE}\n{}\n{}\n", old.verifier(), new.verifier());
        let note = Note::sign(&body, &[old, new]);
        let note = note.map_err(|source| PublishError::Note { path: path.clone(), source })?;
        write(&path, note.to_string().as_bytes(), true).map_err(|source| PublishError::File { path, source })
    }

    /// The newest key that the log came to from `known`; `known` itself where there was no rotation since.
    #[must_use]
    pub fn follow(&self, known: Verifier) -> Verifier {
        let mut notes = self.rotations().unwrap_or_default();
        let mut newest = known;
        // Each is followed once: no circle keeps anybody here.
        while let Some((position, next)) =
            notes.iter().enumerate().find_map(|(position, note)| Some((position, successor(note, &newest)?)))
        {
            notes.swap_remove(position);
            newest = next;
        }
        newest
    }

    fn rotations(&self) -> io::Result<Vec<Note>> {
        let mut notes = Vec::new();
        for entry in fs::read_dir(self.path.parent().unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(ROTATION));
            if is_one && notes.len() < MAX_ROTATIONS {
                let mut text = String::new();
                File::open(entry.path())?.take(MAX_NOTE as u64 + 1).read_to_string(&mut text)?;
                notes.extend(Note::parse(&text).ok());
            }
        }
        Ok(notes)
    }

    fn read_at(&self, path: &Path) -> Result<Option<(Checkpoint, Note)>, PublishError> {
        let failed = |source| PublishError::File { path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mut text = String::new();
        file.take(MAX_NOTE as u64 + 1).read_to_string(&mut text).map_err(failed)?;
        let note = Note::parse(&text).map_err(|source| PublishError::Note { path: path.to_owned(), source })?;
        let checkpoint = Checkpoint::of(&note);
        let checkpoint = checkpoint.map_err(|source| PublishError::Checkpoint { path: path.to_owned(), source })?;
        Ok(Some((checkpoint, note)))
    }

    fn write(&self, path: &Path, note: &Note, sync: bool) -> Result<(), PublishError> {
        let written = write(path, note.to_string().as_bytes(), sync);
        written.map_err(|source| PublishError::File { path: path.to_owned(), source })
    }

    fn witnessed(&self) -> PathBuf {
        self.path.with_extension("witnessed")
    }

    fn malformed(&self, source: NoteError) -> PublishError {
        PublishError::Note { path: self.path.clone(), source }
    }
}

fn write(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    if sync {
        file.sync_all()?;
    }
    replace(Path::new(&temporary), path)?;
    match path.parent().filter(|_| sync) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Puts the file `fresh` into the place of `path`, whose file takes the other name: it is written over the next time. To free a
/// file each second would have ext4 look at all that were freed in the last minutes whenever one is made.
///
/// # Errors
/// Where it cannot be moved.
pub fn replace(fresh: &Path, path: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(rustix::fs::CWD, fresh, rustix::fs::CWD, path, rustix::fs::RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // There is none yet, or the file system cannot exchange.
        Err(_) => fs::rename(fresh, path),
    }
}

/// The key that `note` says follows `known`, where both signed that.
fn successor(note: &Note, known: &Verifier) -> Option<Verifier> {
    let mut lines = note.body().lines();
    let is_from_known = lines.next() == Some(ROTATION_TITLE) && lines.next() == Some(known.to_string().as_str());
    let next = Verifier::parse(lines.next()?).ok()?;
    let is_of_this_log = next.name() == known.name() && next.algorithm() == known.algorithm() && lines.next().is_none();
    let is_signed = note.verified_by(known).is_ok() && note.verified_by(&next).is_ok();
    (is_from_known && is_of_this_log && is_signed).then_some(next)
}

/// `rotation-<id of the new key>`
const ROTATION: &str = "rotation-";
/// No checkpoint begins so: its second line is a number.
const ROTATION_TITLE: &str = "pgward key rotation 1";
/// That are read.
const MAX_ROTATIONS: usize = 1_000;
