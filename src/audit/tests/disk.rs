//! A directory of real files on a disk that is as full, and as broken, as a test wants.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use super::super::medium::{Appendable, Directory, Medium};

/// What the test turns.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Bytes that still fit.
    pub(super) free: AtomicU64,
    pub(super) cut_fails: AtomicBool,
    pub(super) sync_fails: AtomicBool,
    pub(super) syncs: AtomicU64,
    /// Held while a sync runs, so that a test can make it wait.
    pub(super) sync_gate: Mutex<()>,
}

impl Disk {
    pub(super) fn with_free(bytes: u64) -> Arc<Self> {
        Arc::new(Self { free: AtomicU64::new(bytes), ..Self::default() })
    }
}

#[derive(Debug)]
pub(super) struct Limited {
    directory: Directory,
    disk: Arc<Disk>,
}

impl Limited {
    pub(super) fn boxed(dir: &Path, disk: Arc<Disk>) -> Box<dyn Medium> {
        Box::new(Self { directory: Directory::lock(dir).unwrap(), disk })
    }

    fn wrap(&self, file: Arc<dyn Appendable>) -> Arc<dyn Appendable> {
        Arc::new(LimitedFile { file, disk: Arc::clone(&self.disk) })
    }
}

impl Medium for Limited {
    fn create(&self, first_seq: u64) -> io::Result<Arc<dyn Appendable>> {
        Ok(self.wrap(self.directory.create(first_seq)?))
    }

    fn reopen(&self, first_seq: u64) -> io::Result<Arc<dyn Appendable>> {
        Ok(self.wrap(self.directory.reopen(first_seq)?))
    }

    fn remove(&self, first_seq: u64) -> io::Result<()> {
        self.directory.remove(first_seq)
    }

    fn reserve(&self) -> io::Result<Arc<dyn Appendable>> {
        Ok(self.wrap(self.directory.reserve()?))
    }
}

#[derive(Debug)]
struct LimitedFile {
    file: Arc<dyn Appendable>,
    disk: Arc<Disk>,
}

impl Appendable for LimitedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let free = self.disk.free.load(SeqCst);
        if free == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fits = bytes.len().min(usize::try_from(free).unwrap());
        let written = self.file.append(&bytes[..fits])?;
        self.disk.free.fetch_sub(written as u64, SeqCst);
        Ok(written)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        if self.disk.cut_fails.load(SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        let before = self.file.length()?;
        self.file.cut(length)?;
        self.disk.free.fetch_add(before - length, SeqCst);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.disk.sync_gate.lock());
        self.disk.syncs.fetch_add(1, SeqCst);
        if self.disk.sync_fails.load(SeqCst) { Err(io::Error::other("the disk is broken")) } else { self.file.sync() }
    }
}
