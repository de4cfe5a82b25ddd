//! One row of tiles as it grows: what is not on disk yet, and what on disk is behind.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::path::{Row, WIDTH};

/// The end of a row.
#[derive(Debug)]
pub(super) struct Strip {
    row: Row,
    /// Full tiles that are not on disk yet.
    full: Vec<(u64, Vec<u8>)>,
    /// The tile that grows: its index, its items, how many, and how many of them lie on disk.
    index: u64,
    bytes: Vec<u8>,
    width: u64,
    on_disk: u64,
    /// The end that the next flush is to put on disk, where that is not the present one.
    marked: Option<End>,
    /// The end when a tile of leaves was full last.
    noted: Option<End>,
    /// Partial tiles that a full one takes the place of, when it is on disk.
    replaced: Vec<PathBuf>,
    /// Partial tiles that nothing of the flushed size needs.
    stale: Vec<PathBuf>,
}

/// Where a row ended: the index of its partial tile, its width and its bytes.
#[derive(Clone, Copy, Debug)]
struct End {
    index: u64,
    width: u64,
    bytes: usize,
}

impl Strip {
    /// The row's end in a tree of `size` leaves; `bytes` is its partial tile as it lies on disk, empty where there is none.
    pub(super) fn at(row: Row, size: u64, bytes: Vec<u8>, dir: &Path) -> Self {
        let (index, width) = (row.items(size) / WIDTH, row.items(size) % WIDTH);
        let (full, replaced, stale) = (Vec::new(), Vec::new(), Vec::new());
        // Where only a wider one lies there, this one is written by the next flush.
        let on_disk = if dir.join(row.path(index, width)).is_file() { width } else { 0 };
        let mut strip = Self { row, full, index, bytes, width, on_disk, marked: None, noted: None, replaced, stale };
        strip.find_stale(dir);
        strip
    }

    /// The same, where what lies on disk of the partial tile is not believed.
    pub(super) fn anew(row: Row, size: u64, bytes: Vec<u8>, dir: &Path) -> Self {
        let mut strip = Self::at(row, size, bytes, dir);
        if strip.on_disk > 0 {
            let partial = strip.take_partial();
            strip.stale.extend(partial);
        }
        strip
    }

    /// A bundle's item: the entry behind its length.
    pub(super) fn push_entry(&mut self, length: u16, entry: &[u8]) {
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.push(entry);
    }

    pub(super) fn push(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
        self.width += 1;
        if self.width == WIDTH {
            let next = Vec::with_capacity(self.bytes.len());
            self.full.push((self.index, std::mem::replace(&mut self.bytes, next)));
            let partial = self.take_partial();
            self.replaced.extend(partial);
            self.index += 1;
            self.width = 0;
        }
    }

    /// The first tile that is not on disk as it is.
    pub(super) fn first_unwritten(&self) -> u64 {
        self.full.first().map_or(self.index, |(index, _)| *index)
    }

    /// Puts on disk what is not there. After an error all of it can be asked for again.
    pub(super) fn flush(&mut self, disk: &mut Disk, sync: bool) -> io::Result<()> {
        self.flush_full(disk, sync)?;
        self.stale.append(&mut self.replaced);
        let end = self.marked.unwrap_or(self.end());
        // Where the tile became full since it was marked, that stands in its place.
        if end.index == self.index && end.width > self.on_disk {
            let path = self.row.path(end.index, end.width);
            disk.write(&path, self.bytes.get(..end.bytes).unwrap_or_default(), sync)?;
            // An earlier writer may have left one of the same width.
            self.stale.retain(|stale| *stale != Path::new(&path));
            let before = self.take_partial();
            self.stale.extend(before);
            self.on_disk = end.width;
        }
        self.marked = None;
        Ok(())
    }

    /// Has the next flush put on disk what there is now, and none of what comes until then but full tiles.
    pub(super) fn mark(&mut self) {
        self.marked = Some(self.end());
    }

    /// The same for the end that was noted last.
    pub(super) fn mark_noted(&mut self) {
        self.marked = self.noted;
    }

    /// The same for the last full tile.
    pub(super) fn mark_full(&mut self) {
        self.marked = Some(End { index: self.index, width: 0, bytes: 0 });
    }

    /// Notes the present end.
    pub(super) fn note_end(&mut self) {
        self.noted = Some(self.end());
    }

    fn end(&self) -> End {
        End { index: self.index, width: self.width, bytes: self.bytes.len() }
    }

    /// Puts the full tiles on disk alone.
    pub(super) fn flush_full(&mut self, disk: &mut Disk, sync: bool) -> io::Result<()> {
        for (index, bytes) in &self.full {
            disk.write(&self.row.full(*index), bytes, sync)?;
        }
        self.full.clear();
        Ok(())
    }

    /// Removes partial tiles that nothing of the present size needs.
    pub(super) fn tidy(&mut self, dir: &Path) -> io::Result<()> {
        while let Some(path) = self.stale.last() {
            let path = dir.join(path);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            // Goes only when it is empty, which it is behind a full tile.
            if let Some(parent) = path.parent() {
                let _ = fs::remove_dir(parent);
            }
            self.stale.pop();
        }
        Ok(())
    }

    /// The partial tile on disk, which is about to be behind.
    fn take_partial(&mut self) -> Option<PathBuf> {
        let width = std::mem::take(&mut self.on_disk);
        (width > 0).then(|| self.row.path(self.index, width).into())
    }

    /// What an earlier writer left: partial tiles of other widths here, and partial tiles of the tiles before, that are full.
    fn find_stale(&mut self, dir: &Path) {
        let mut index = self.index;
        loop {
            let partials = self.row.partials(index);
            let found = fs::read_dir(dir.join(&partials)).ok();
            let behind = found.is_none() && index < self.index;
            for entry in found.into_iter().flatten().flatten() {
                let name = entry.file_name();
                let current = index == self.index && name.to_str() == Some(self.on_disk.to_string().as_str());
                if !current {
                    self.stale.push(Path::new(&partials).join(name));
                }
            }
            match index.checked_sub(1) {
                Some(before) if !behind => index = before,
                Some(_) | None => break,
            }
        }
    }
}

/// Writes whole files under other names and then renames them.
#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    /// Directories in which names changed since they were last synced.
    changed: BTreeSet<PathBuf>,
    /// Leaves a file alone that is already what it should be.
    compares: bool,
}

impl Disk {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), changed: BTreeSet::new(), compares: false }
    }

    /// One that leaves what is right already as it is, until [`Self::finish`].
    pub(super) fn comparing(dir: &Path) -> Self {
        Self { compares: true, ..Self::new(dir) }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file; with `sync`, its content is on disk before it has its name.
    pub(super) fn write(&mut self, name: &str, bytes: &[u8], sync: bool) -> io::Result<()> {
        let path = self.dir.join(name);
        if self.compares && !sync && fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(&self.dir).to_owned();
        self.make(&parent)?;
        let temporary = path.with_file_name(TEMPORARY);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        if sync {
            file.sync_all()?;
        }
        fs::rename(&temporary, &path)?;
        self.changed.insert(parent);
        Ok(())
    }

    /// With `sync`, makes the names durable too.
    pub(super) fn finish(&mut self, sync: bool) -> io::Result<()> {
        if sync {
            for dir in &self.changed {
                match File::open(dir) {
                    Ok(dir) => dir.sync_all()?,
                    // Of partial tiles that have been tidied away.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.changed.clear();
        self.compares = false;
        Ok(())
    }

    fn make(&mut self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        if let Some(parent) = dir.parent() {
            self.make(parent)?;
            self.changed.insert(parent.to_owned());
        }
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

const TEMPORARY: &str = "new";
