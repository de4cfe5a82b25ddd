//! What is signed, by whom, and the tree above the entries.

use std::path::Path;

use super::super::signing::{known_verifiers, read_checkpoint};
use super::{Expected, Problem};
use crate::tlog::{Checkpoint, Frontier, Hash, TileReader, verify_consistency};

/// The newest checkpoint, signed by whom it should be.
pub(super) fn signed_checkpoint(dir: &Path, expected: &Expected) -> Result<Checkpoint, Problem> {
    let found = read_checkpoint(dir).map_err(|what| Problem::whole(what).passing())?;
    let (checkpoint, note) = found.ok_or_else(|| Problem::whole("there is no checkpoint: nothing is signed"))?;
    let verifier = match &expected.verifier {
        Some(verifier) => verifier.clone(),
        None => {
            let known = known_verifiers(dir).map_err(|error| Problem::whole(format!("log.vkey: {error}")))?;
            known.into_iter().next_back().ok_or_else(|| Problem::whole("no key is named that signs the log"))?
        }
    };
    note.verified_by(&verifier).map_err(|error| Problem::whole(format!("the checkpoint: {error}")).passing())?;
    if checkpoint.origin != verifier.name() {
        return Err(Problem::whole(format!("the checkpoint is of another log, `{}`", checkpoint.origin)));
    }
    Ok(checkpoint)
}

/// Whether the log goes on from the checkpoint that was kept elsewhere.
pub(super) fn continues(tree: &TileReader, checkpoint: &Checkpoint, kept: &Checkpoint) -> Result<(), Problem> {
    let whole = |what: String| Problem::whole(what);
    if kept.size > checkpoint.size {
        let (kept, size) = (kept.size, checkpoint.size);
        return Err(whole(format!("the log was cut back: it has {size} records where it had {kept}")));
    }
    let proof = tree.consistency(kept.size).map_err(|error| whole(error.to_string()))?;
    verify_consistency(kept.size, kept.root, checkpoint.size, checkpoint.root, &proof)
        .map_err(|_| whole(format!("the log was written anew: its first {} records are not those it had", kept.size)))
}

/// The tree as its entries make it, built while they are walked.
#[derive(Debug, Default)]
pub(super) struct Built {
    frontier: Frontier,
    /// The hashes of each level of tiles above the lowest.
    levels: Vec<Vec<Hash>>,
}

impl Built {
    pub(super) fn push(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        self.frontier.append_with(leaf, |height, hash| {
            let Some(level) = (height / HEIGHT).checked_sub(1).filter(|_| height % HEIGHT == 0) else { return };
            let level = usize::try_from(level).unwrap_or(usize::MAX);
            if levels.len() <= level {
                levels.push(Vec::new());
            }
            if let Some(hashes) = levels.get_mut(level) {
                hashes.push(hash);
            }
        });
    }

    /// Whether the tiles above the lowest, and what is signed, are what the entries make.
    pub(super) fn agrees(&self, tree: &TileReader, checkpoint: &Checkpoint) -> Result<(), Problem> {
        for (hashes, level) in self.levels.iter().zip(1u32..) {
            for (hash, index) in hashes.iter().zip(0u64..) {
                let says = |what: &str| {
                    let first = (index << (HEIGHT * level)) + 1;
                    Problem::of(first, format!("the tile of level {level} over it and what follows {what}"))
                };
                let found =
                    tree.node(HEIGHT * level, index).map_err(|error| says(&format!("is not there: {error}")))?;
                if found != *hash {
                    return Err(says("was changed"));
                }
            }
        }
        if self.frontier.root() == checkpoint.root {
            return Ok(());
        }
        Err(Problem::whole("the log was written anew: its entries are not those that were signed"))
    }
}

/// Of a tile.
const HEIGHT: u32 = 8;
