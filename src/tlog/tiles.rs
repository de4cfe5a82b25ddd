//! Writing the tree: entries are pushed, their tiles go to disk by [`TileWriter::flush`].

use std::io;
use std::path::Path;

use super::hash::{Hash, leaf_hash};
use super::path::{HEIGHT, Row, WIDTH};
use super::reader::TileReader;
use super::strip::{Disk, Strip};
use super::tree::Frontier;

/// The writer of a log's tiles. One at a time: who calls holds the directory's lock.
///
/// What is pushed stays in memory until it is flushed. A checkpoint of a size may be published when that size has been
/// flushed; when it has been, [`TileWriter::tidy`] may remove what only the sizes before it needed.
#[derive(Debug)]
pub struct TileWriter {
    disk: Disk,
    frontier: Frontier,
    entries: Strip,
    /// By level.
    hashes: Vec<Strip>,
    /// How many levels there were when the state was marked that is to be flushed next.
    marked: Option<usize>,
    /// The tree when a tile of leaves was full last, and how many levels it had.
    full: Option<(Frontier, usize)>,
    /// An entry that no bundle can hold was pushed: nothing may be flushed any more.
    too_long: Option<u64>,
    /// So many of the first entries cannot be made again.
    safe: u64,
}

impl TileWriter {
    /// Goes on with the log in `dir` (which holds `tile/`) from `size` entries, 0 for a new one.
    ///
    /// Tiles that an earlier writer made for greater sizes are written anew as the log grows.
    ///
    /// # Errors
    /// Where the tiles of that size are not there or have not the right length.
    pub fn open(dir: &Path, size: u64) -> io::Result<Self> {
        let reader = TileReader::new(dir, size);
        let frontier = Frontier::restore(size, |height, index| reader.node(height, index)).map_err(io::Error::other)?;
        let mut hashes = Vec::new();
        for level in 0..LEVELS {
            let row = Row::Hashes(level);
            if level > 0 && row.items(size) == 0 {
                break;
            }
            hashes.push(Self::strip(&reader, row, size)?);
        }
        let entries = Self::strip(&reader, Row::Entries, size)?;
        Ok(Self::of_parts(Disk::new(dir), frontier, entries, hashes))
    }

    pub(super) fn of_parts(disk: Disk, frontier: Frontier, entries: Strip, hashes: Vec<Strip>) -> Self {
        Self { disk, frontier, entries, hashes, marked: None, full: None, too_long: None, safe: 0 }
    }

    fn strip(reader: &TileReader, row: Row, size: u64) -> io::Result<Strip> {
        let (index, width) = (row.items(size) / WIDTH, row.items(size) % WIDTH);
        let bytes = match row {
            Row::Hashes(_) | Row::Entries if width == 0 => Vec::new(),
            Row::Hashes(_) => reader.bytes(row, index).map_err(io::Error::other)?.to_vec(),
            Row::Entries => reader.bundle(index).map_err(io::Error::other)?.bytes().to_vec(),
        };
        Ok(Strip::at(row, size, bytes, reader.dir()))
    }

    /// Appends an entry (at most 65,535 bytes) and returns its leaf hash.
    pub fn push(&mut self, entry: &[u8]) -> Hash {
        let leaf = leaf_hash(entry);
        match u16::try_from(entry.len()) {
            Ok(length) => self.entries.push_entry(length, entry),
            Err(_) => {
                self.too_long.get_or_insert(self.frontier.size());
            }
        }
        let (hashes, dir, size) = (&mut self.hashes, self.disk.dir(), self.frontier.size());
        self.frontier.append_with(leaf, |height, hash| {
            if height % HEIGHT != 0 {
                return;
            }
            let level = height / HEIGHT;
            if hashes.len() <= level as usize {
                hashes.push(Strip::at(Row::Hashes(level), size, Vec::new(), dir));
            }
            if let Some(strip) = hashes.get_mut(level as usize) {
                strip.push(&hash.0);
            }
        });
        if self.frontier.size().is_multiple_of(WIDTH) {
            self.hashes.iter_mut().for_each(Strip::note_end);
            self.full = Some((self.frontier.clone(), self.hashes.len()));
        }
        leaf
    }

    /// Entries pushed so far, flushed or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over all entries pushed so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The right edge of the tree.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Puts on disk all that was pushed, so that the tree of the present size can be read from files. With `sync`, what it
    /// writes survives the machine; what an earlier call without `sync` wrote may not. After an error it can be called again.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn flush(&mut self, sync: bool) -> io::Result<()> {
        if let Some(index) = self.too_long {
            let says = format!("entry {index} is longer than a bundle can hold");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, says));
        }
        let sync = sync || self.is_precious();
        self.entries.flush(&mut self.disk, sync)?;
        let levels = self.marked.unwrap_or(self.hashes.len());
        for strip in self.hashes.iter_mut().take(levels) {
            strip.flush(&mut self.disk, sync)?;
        }
        self.disk.finish(sync)?;
        self.marked = None;
        Ok(())
    }

    /// Has the next flush put on disk the tree of the present size, whatever is pushed until then, and answers that and its root.
    /// A partial tile of entries that no checkpoint covers would be in the way of who goes on after a crash.
    pub fn mark(&mut self) -> (u64, Hash) {
        self.entries.mark();
        self.hashes.iter_mut().for_each(Strip::mark);
        self.marked = Some(self.hashes.len());
        (self.size(), self.root())
    }

    /// The same for the size at which a tile of leaves was full last: most tiles of that one are full. `None` where there was
    /// no such size yet.
    pub fn mark_full(&mut self) -> Option<(u64, Hash)> {
        let (frontier, levels) = self.full.as_ref()?;
        self.entries.mark_full();
        self.hashes.iter_mut().take(*levels).for_each(Strip::mark_noted);
        self.marked = Some(*levels);
        Some((frontier.size(), frontier.root()))
    }

    /// Writes the full tiles alone, so that they need not be kept in memory; [`Self::flush`] is still to come.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn flush_full(&mut self) -> io::Result<()> {
        if self.too_long.is_none() {
            let sync = self.is_precious();
            self.entries.flush_full(&mut self.disk, sync)?;
            self.hashes.iter_mut().try_for_each(|strip| strip.flush_full(&mut self.disk, sync))?;
            if sync {
                self.disk.finish(sync)?;
            }
        }
        Ok(())
    }

    /// Brings to disk, whatever a flush is asked for, tiles that hold any of the first `entries`: nobody could make them again.
    pub fn keep_safe(&mut self, entries: u64) {
        self.safe = self.safe.max(entries);
    }

    fn is_precious(&self) -> bool {
        self.entries.first_unwritten() * WIDTH < self.safe
    }

    /// Removes the partial tiles that the newest flush made superfluous: to be called when the checkpoint of the size that
    /// was flushed is in its place.
    ///
    /// # Errors
    /// Where a file cannot be removed; it is tried again by the next call.
    pub fn tidy(&mut self) -> io::Result<()> {
        let dir = self.disk.dir();
        self.entries.tidy(dir)?;
        self.hashes.iter_mut().try_for_each(|strip| strip.tidy(dir))
    }
}

/// Levels of tiles that a tree of 2^64 - 1 leaves can have.
const LEVELS: u32 = u64::BITS / HEIGHT;
