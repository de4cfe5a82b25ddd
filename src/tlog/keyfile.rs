//! Secret keys in files: one line, readable by the owner alone, never written over.
//!
//! A rotation leaves the key before beside the new one, as `<file>.old`, until a checkpoint that both signed is published:
//! that checkpoint is the proof, to whoever knew the old key, that the new one is the log's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::cosignature::Cosigner;
use super::key::{KeyError, Signer};

/// Why a key's file cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is there already, and a key is never written over", path.display())]
    Exists { path: PathBuf },
    #[error("{} can be read by others (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("{}: {source}", path.display())]
    Key { path: PathBuf, source: KeyError },
    #[error("{} is there: the key before has yet to sign its last checkpoint; start pgward once", path.display())]
    Rotating { path: PathBuf },
}

/// A log's keys: the one that signs, and during a rotation the one before, which signs once more.
#[derive(Debug)]
pub struct Signers {
    pub current: Signer,
    pub retiring: Option<Signer>,
}

impl Signers {
    /// All that sign the next checkpoint, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<&Signer> {
        self.retiring.iter().chain([&self.current]).collect()
    }
}

/// Makes a new log's key.
///
/// # Errors
/// Where the file is there already or cannot be written, or `name` cannot be a key's.
pub fn create(path: &Path, name: &str) -> Result<Signer, KeyFileError> {
    let signer = Signer::generate(name).map_err(|source| in_file(path, source))?;
    write(path, &signer.to_text().map_err(|source| in_file(path, source))?)?;
    Ok(signer)
}

/// Reads a log's key, and the one before where a rotation is not over.
///
/// # Errors
/// Where a file is not there, others can read it, or it holds no key.
pub fn load(path: &Path) -> Result<Signers, KeyFileError> {
    let key = |path: &Path| Signer::from_text(&read(path)?).map_err(|source| in_file(path, source));
    let old = old_of(path);
    let retiring = if is_there(&old)? { Some(key(&old)?) } else { None };
    Ok(Signers { current: key(path)?, retiring })
}

/// Puts a new key of the same name in the place of the present one, which stays beside it. Whoever runs with the key has to
/// be started anew.
///
/// # Errors
/// Where the rotation before is not over, or a file cannot be read or written.
pub fn rotate(path: &Path) -> Result<Signers, KeyFileError> {
    let old = old_of(path);
    if is_there(&old)? {
        return Err(KeyFileError::Rotating { path: old });
    }
    let retiring = load(path)?.current;
    let current = Signer::generate(retiring.verifier().name()).map_err(|source| in_file(path, source))?;
    let fresh = beside(path, "new");
    // Left by a rotation that was cut short: nothing was signed with it.
    match fs::remove_file(&fresh) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(KeyFileError::File { path: fresh, source });
        }
        Ok(()) | Err(_) => {}
    }
    write(&fresh, &current.to_text().map_err(|source| in_file(path, source))?)?;
    // At every moment there is a key under the file's own name.
    let moved = fs::hard_link(path, &old).and_then(|()| fs::rename(&fresh, path)).and_then(|()| sync_parent(path));
    moved.map_err(|source| KeyFileError::File { path: path.to_owned(), source })?;
    Ok(Signers { current, retiring: Some(retiring) })
}

/// Ends a rotation: a checkpoint that both keys signed is published, and the key before goes.
///
/// # Errors
/// Where its file cannot be removed.
pub fn retire(path: &Path) -> Result<(), KeyFileError> {
    let old = old_of(path);
    match fs::remove_file(&old).and_then(|()| sync_parent(&old)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(KeyFileError::File { path: old, source }),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a new witness's key.
///
/// # Errors
/// As [`create`].
pub fn create_cosigner(path: &Path, name: &str) -> Result<Cosigner, KeyFileError> {
    let cosigner = Cosigner::generate(name).map_err(|source| in_file(path, source))?;
    write(path, &cosigner.to_text().map_err(|source| in_file(path, source))?)?;
    Ok(cosigner)
}

/// Reads a witness's key.
///
/// # Errors
/// As [`load`].
pub fn load_cosigner(path: &Path) -> Result<Cosigner, KeyFileError> {
    Cosigner::from_text(&read(path)?).map_err(|source| in_file(path, source))
}

fn write(path: &Path, text: &str) -> Result<(), KeyFileError> {
    let failed = |source| KeyFileError::File { path: path.to_owned(), source };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeyFileError::Exists { path: path.to_owned() });
        }
        Err(source) => return Err(failed(source)),
    };
    let text = Zeroizing::new(format!("{text}\n"));
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_parent(path)).map_err(failed)
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let failed = |source| KeyFileError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(Zeroizing::new(text.trim_end_matches('\n').to_owned()))
}

fn is_there(path: &Path) -> Result<bool, KeyFileError> {
    path.try_exists().map_err(|source| KeyFileError::File { path: path.to_owned(), source })
}

fn old_of(path: &Path) -> PathBuf {
    beside(path, "old")
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn in_file(path: &Path, source: KeyError) -> KeyFileError {
    KeyFileError::Key { path: path.to_owned(), source }
}

/// Far more than a key takes.
const MAX_FILE: u64 = 4096;
