//! Reading the tree from its tiles: hashes, roots, proofs. Nothing that is read is believed to hang together: whoever asks
//! compares what comes out with a root that is signed.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entries::{Bundle, Entries};
use super::hash::{Hash, node_hash};
use super::path::{HEIGHT, Row, WIDTH};

/// Why the tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is missing", path.display())]
    Missing { path: PathBuf },
    #[error("{} {what}", path.display())]
    Malformed { path: PathBuf, what: &'static str },
    #[error("{index} is outside of a tree of {size}")]
    OutOfRange { index: u64, size: u64 },
}

/// A tile's index and bytes, by row.
type Cache = HashMap<Row, (u64, Arc<[u8]>)>;

/// The tree of one size, as its files have it.
#[derive(Debug)]
pub struct TileReader {
    dir: PathBuf,
    size: u64,
    /// The tile read last, of each row.
    cache: Mutex<Cache>,
}

impl TileReader {
    /// Of the log in `dir` (which holds `tile/`), at `size` entries: that of a checkpoint.
    #[must_use]
    pub fn new(dir: &Path, size: u64) -> Self {
        Self { dir: dir.to_owned(), size, cache: Mutex::default() }
    }

    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The root of the whole tree.
    ///
    /// # Errors
    /// Where a tile cannot be read.
    pub fn root(&self) -> Result<Hash, TileError> {
        self.range(0, self.size)
    }

    /// The hash over the leaves `index * 2^height .. (index + 1) * 2^height`, all of which the tree must have.
    ///
    /// # Errors
    /// Where it has not, or a tile cannot be read.
    pub fn node(&self, height: u32, index: u64) -> Result<Hash, TileError> {
        let row = Row::Hashes(height / HEIGHT);
        let within = height % HEIGHT;
        let outside = || TileError::OutOfRange { index, size: self.size };
        let first = index.checked_mul(1 << within).ok_or_else(outside)?;
        let count = 1u64 << within;
        if first.checked_add(count).is_none_or(|end| end > row.items(self.size)) {
            return Err(outside());
        }
        let tile = self.bytes(row, first / WIDTH)?;
        let start = place(first % WIDTH) * Hash::LENGTH;
        let bytes = tile.get(start..start + place(count) * Hash::LENGTH).ok_or_else(outside)?;
        let mut hashes: Vec<_> = bytes.chunks_exact(Hash::LENGTH).filter_map(Hash::from_slice).collect();
        while hashes.len() > 1 {
            hashes = hashes.chunks_exact(2).filter_map(pair).collect();
        }
        hashes.first().copied().ok_or_else(outside)
    }

    /// The leaf hash of entry `index`, as its tile has it.
    ///
    /// # Errors
    /// Where there is no such entry, or the tile cannot be read.
    pub fn leaf(&self, index: u64) -> Result<Hash, TileError> {
        self.node(0, index)
    }

    /// The entry `index` (from 0).
    ///
    /// # Errors
    /// Where there is no such entry, or its bundle cannot be read.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, TileError> {
        let outside = || TileError::OutOfRange { index, size: self.size };
        if index >= self.size {
            return Err(outside());
        }
        self.bundle(index / WIDTH)?.get(place(index % WIDTH)).map(<[u8]>::to_vec).ok_or_else(outside)
    }

    /// The entries `256 * index ..`, up to 256 of them.
    ///
    /// # Errors
    /// Where the tree has none of them, or their bundle cannot be read or is cut.
    pub fn bundle(&self, index: u64) -> Result<Bundle, TileError> {
        let bytes = self.bytes(Row::Entries, index)?;
        let width = self.width(Row::Entries, index);
        Bundle::parse(bytes, place(width)).ok_or_else(|| TileError::Malformed {
            path: self.dir.join(Row::Entries.path(index, width)),
            what: "is not a bundle of as many entries as it should have",
        })
    }

    /// The entries from `from` on, in order, with their indexes. Ends behind the first error.
    #[must_use]
    pub fn entries(&self, from: u64) -> Entries<'_> {
        Entries::new(self, from)
    }

    /// The proof that entry `index` is in the tree.
    ///
    /// # Errors
    /// Where it is not, or a tile cannot be read.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, TileError> {
        if index >= self.size {
            return Err(TileError::OutOfRange { index, size: self.size });
        }
        let mut proof = Vec::new();
        let (mut start, mut count) = (0, self.size);
        while count > 1 {
            let left = left_of(count);
            if index - start < left {
                proof.push(self.range(start + left, count - left)?);
                count = left;
            } else {
                proof.push(self.range(start, left)?);
                start += left;
                count -= left;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// The proof that the tree of `old` entries is the beginning of this one; empty for 0 and for this size.
    ///
    /// # Errors
    /// Where `old` is greater than this size, or a tile cannot be read.
    pub fn consistency(&self, old: u64) -> Result<Vec<Hash>, TileError> {
        if old > self.size {
            return Err(TileError::OutOfRange { index: old, size: self.size });
        }
        let mut proof = Vec::new();
        if old == 0 {
            return Ok(proof);
        }
        let (mut start, mut count, mut rest) = (0, self.size, old);
        while rest != count {
            let left = left_of(count);
            if rest <= left {
                proof.push(self.range(start + left, count - left)?);
                count = left;
            } else {
                proof.push(self.range(start, left)?);
                start += left;
                count -= left;
                rest -= left;
            }
        }
        // A subtree that begins where the tree does is the earlier tree itself, whose root the verifier has.
        if start > 0 {
            proof.push(self.range(start, count)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// The hash over `count` leaves from `start`, where `start` is a multiple of the least power of two that is not below
    /// `count`: a subtree of RFC 6962, complete or the tree's end.
    fn range(&self, start: u64, count: u64) -> Result<Hash, TileError> {
        let mut complete = Vec::new();
        let (mut at, mut rest) = (start, count);
        while rest > 0 {
            let height = rest.ilog2();
            complete.push(self.node(height, at >> height)?);
            at += 1 << height;
            rest -= 1 << height;
        }
        let root = complete.into_iter().rev().reduce(|right, left| node_hash(left, right));
        Ok(root.unwrap_or_else(Hash::of_nothing))
    }

    /// The bytes of a tile of this size: of hashes exactly as many as there are, of entries at least.
    pub(super) fn bytes(&self, row: Row, index: u64) -> Result<Arc<[u8]>, TileError> {
        if let Some((_, bytes)) = self.cache().get(&row).filter(|(cached, _)| *cached == index) {
            return Ok(Arc::clone(bytes));
        }
        let bytes: Arc<[u8]> = self.load(row, index)?.into();
        self.cache().insert(row, (index, Arc::clone(&bytes)));
        Ok(bytes)
    }

    fn load(&self, row: Row, index: u64) -> Result<Vec<u8>, TileError> {
        let width = self.width(row, index);
        if width == 0 {
            return Err(TileError::OutOfRange { index, size: self.size });
        }
        // A writer may put a wider tile in the place of this one while it is looked for.
        for _ in 0..ATTEMPTS {
            for candidate in self.candidates(row, index, width) {
                let path = self.dir.join(row.path(index, candidate));
                match read(&path) {
                    Ok(bytes) => return cut(row, bytes, candidate, width, path),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(source) => return Err(TileError::Read { path, source }),
                }
            }
        }
        Err(TileError::Missing { path: self.dir.join(row.path(index, width)) })
    }

    /// The widths in which the tile may lie there: this one, the full one, or one between.
    fn candidates(&self, row: Row, index: u64, width: u64) -> Vec<u64> {
        if width == WIDTH {
            return vec![WIDTH];
        }
        let names = fs::read_dir(self.dir.join(row.partials(index))).into_iter().flatten().flatten();
        let mut wider: Vec<u64> = names
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|found| (width + 1..WIDTH).contains(found))
            .collect();
        wider.sort_unstable();
        let mut candidates = vec![width];
        candidates.append(&mut wider);
        candidates.push(WIDTH);
        candidates
    }

    /// How many items the tile has in a tree of this size.
    fn width(&self, row: Row, index: u64) -> u64 {
        let before = index.saturating_mul(WIDTH);
        row.items(self.size).saturating_sub(before).min(WIDTH)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pair(two: &[Hash]) -> Option<Hash> {
    match two {
        [left, right] => Some(node_hash(*left, *right)),
        [..] => None,
    }
}

/// The leaves of the left subtree of a tree of `count` (2 or more): the greatest power of two below it.
fn left_of(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

fn place(number: u64) -> usize {
    // At most 256, always.
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A tile of hashes that lies there in another width, cut to the one that was asked for.
fn cut(row: Row, mut bytes: Vec<u8>, found: u64, width: u64, path: PathBuf) -> Result<Vec<u8>, TileError> {
    match row {
        Row::Entries => Ok(bytes),
        Row::Hashes(_) if bytes.len() == place(found) * Hash::LENGTH => {
            bytes.truncate(place(width) * Hash::LENGTH);
            Ok(bytes)
        }
        Row::Hashes(_) => {
            Err(TileError::Malformed { path, what: "has not the length of as many hashes as it should have" })
        }
    }
}

const ATTEMPTS: usize = 3;
/// Of a full bundle of the longest entries.
const MAX_FILE: u64 = WIDTH * (2 + 65_535);
