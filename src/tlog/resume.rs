//! Going on from full tiles alone: what came after them, and the partial tiles above them, may not have reached the disk.

use std::io;
use std::path::Path;

use super::hash::{Hash, node_hash};
use super::path::{HEIGHT, Row, WIDTH};
use super::reader::{TileError, TileReader};
use super::strip::{Disk, Strip};
use super::tiles::TileWriter;
use super::tree::Frontier;

impl TileWriter {
    /// Goes on with the log in `dir` from `size` entries, a multiple of 256, looking at full tiles alone. Tiles of greater sizes
    /// are written anew as the log grows, where they are not what they should be.
    ///
    /// # Errors
    /// Where a full tile of that size is not there or has not the right length.
    pub fn resume(dir: &Path, size: u64) -> io::Result<Self> {
        let reader = TileReader::new(dir, size);
        // By level from 1: the hashes of the partial tile at its end.
        let mut edges: Vec<Vec<Hash>> = Vec::new();
        for level in 1..u64::BITS / HEIGHT {
            let items = Row::Hashes(level).items(size);
            if items == 0 {
                break;
            }
            let first = items - items % WIDTH;
            let edge = (first..items).map(|index| tile_root(&reader, level - 1, index)).collect::<Result<_, _>>();
            edges.push(edge.map_err(io::Error::other)?);
        }
        let frontier = Frontier::restore(size, |height, index| edge_node(&edges, height, index));
        let frontier = frontier.map_err(|()| io::Error::other("the log ends within a tile"))?;
        let mut hashes = vec![Strip::anew(Row::Hashes(0), size, Vec::new(), dir)];
        for (level, edge) in (1..).zip(&edges) {
            let bytes = edge.iter().flat_map(|hash| hash.0).collect();
            hashes.push(Strip::anew(Row::Hashes(level), size, bytes, dir));
        }
        let entries = Strip::anew(Row::Entries, size, Vec::new(), dir);
        Ok(Self::of_parts(Disk::comparing(dir), frontier, entries, hashes))
    }
}

/// The hash over a full tile.
fn tile_root(reader: &TileReader, level: u32, index: u64) -> Result<Hash, TileError> {
    let bytes = reader.bytes(Row::Hashes(level), index)?;
    let hashes: Vec<Hash> = bytes.chunks_exact(Hash::LENGTH).filter_map(Hash::from_slice).collect();
    Ok(fold(hashes))
}

/// The complete subtree at `height`, which lies in the edge of its level.
fn edge_node(edges: &[Vec<Hash>], height: u32, index: u64) -> Result<Hash, ()> {
    let level = usize::try_from(height / HEIGHT).map_err(drop)?;
    let edge = level.checked_sub(1).and_then(|level| edges.get(level)).ok_or(())?;
    let count = 1usize << (height % HEIGHT);
    let first = usize::try_from((index << (height % HEIGHT)) % WIDTH).map_err(drop)?;
    edge.get(first..first + count).map(|hashes| fold(hashes.to_vec())).ok_or(())
}

/// The hash over as many hashes as a power of two.
fn fold(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(*left, *right)).collect();
    }
    hashes.first().copied().unwrap_or_default()
}
