//! The file operations that the journal rests on, behind two small traits, so that tests can fill a disk or break one.

use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::JournalError;
use super::segment::Segment;

/// One open file that only grows at its end or is cut there.
pub(super) trait Appendable: Debug + Send + Sync {
    /// One write(2) at the end; may write less.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    fn cut(&self, length: u64) -> io::Result<()>;
    /// An error where the file has no name any more.
    fn length(&self) -> io::Result<u64>;
    /// fdatasync(2)
    fn sync(&self) -> io::Result<()>;
}

/// Where segments and the reserve lie.
pub(super) trait Medium: Debug + Send + Sync {
    /// A new, empty segment, its name on disk.
    fn create(&self, first_seq: u64) -> io::Result<Arc<dyn Appendable>>;
    /// The last segment, to go on writing it.
    fn reopen(&self, first_seq: u64) -> io::Result<Arc<dyn Appendable>>;
    /// Removes a segment.
    fn remove(&self, first_seq: u64) -> io::Result<()>;
    /// The reserve's file, made if need be.
    fn reserve(&self) -> io::Result<Arc<dyn Appendable>>;
}

/// A directory of the file system, locked for this writer as long as the value lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory if need be and takes its lock.
    pub(super) fn lock(path: &Path) -> Result<Self, JournalError> {
        let says = |what: &str, error: io::Error| JournalError(format!("{what} {}: {error}", path.display()));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| says("cannot make", e))?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(says("cannot make", error)),
            Ok(()) | Err(_) => {}
        }
        let mode = std::fs::metadata(path).map_err(|e| says("cannot read", e))?.permissions().mode();
        if mode & 0o022 != 0 {
            let shown = path.display();
            return Err(JournalError(format!(
                "{shown} may be written by others (mode {:o}); chmod 0700 it",
                mode & 0o777
            )));
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(|e| says("cannot make the lock in", e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(JournalError(format!("{} is in use by another pgward; a journal has one writer", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(says("cannot lock", error)),
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Medium for Directory {
    fn create(&self, first_seq: u64) -> io::Result<Arc<dyn Appendable>> {
        let path = Segment::of(&self.path, first_seq).path;
        // The file may be there already, empty, where an earlier attempt failed after it was made.
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        if file.metadata()?.len() > 0 {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.sync()?;
        Ok(Arc::new(file))
    }

    fn reopen(&self, first_seq: u64) -> io::Result<Arc<dyn Appendable>> {
        let path = Segment::of(&self.path, first_seq).path;
        Ok(Arc::new(OpenOptions::new().append(true).open(path)?))
    }

    fn remove(&self, first_seq: u64) -> io::Result<()> {
        std::fs::remove_file(Segment::of(&self.path, first_seq).path)?;
        self.sync()
    }

    fn reserve(&self) -> io::Result<Arc<dyn Appendable>> {
        let path = self.path.join("reserve");
        Ok(Arc::new(OpenOptions::new().append(true).create(true).mode(0o600).open(path)?))
    }
}

impl Appendable for File {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        loop {
            match file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        let metadata = self.metadata()?;
        if metadata.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed"));
        }
        Ok(metadata.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
