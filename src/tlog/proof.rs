//! Checking proofs: that a leaf is in a tree, that one tree is the beginning of another. Pure; RFC 9162, section 2.1.

use super::hash::{Hash, node_hash};

/// The most hashes that a proof can have.
pub const MAX_PROOF: usize = 64;

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the entry's index {index} is not in a tree of {size}")]
    OutOfRange { index: u64, size: u64 },
    #[error("a tree of {old} cannot be the beginning of a tree of {new}")]
    Shrunk { old: u64, new: u64 },
    #[error("the proof has not the length that trees of these sizes ask for")]
    Length,
    #[error("the proof does not lead to the root of the {0} tree")]
    Root(Tree),
}

/// Which of two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    Earlier,
    Later,
}

impl std::fmt::Display for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Earlier => "earlier",
            Self::Later => "later",
        })
    }
}

/// Proves that `leaf` is the leaf `index` (from 0) of the tree of `size` leaves with this root.
///
/// # Errors
/// Where it is not, or the proof does not show it.
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { index, size });
    }
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(*sibling, hash);
            // A last node without a sibling is its parent's hash: it goes up until it is a right child.
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, *sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    match (last, hash == root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root(Tree::Later)),
        (_, _) => Err(ProofError::Length),
    }
}

/// Proves that the tree of `old` leaves is the beginning of the tree of `new` leaves.
///
/// The tree without leaves is the beginning of every tree, by an empty proof; so is a tree of itself.
///
/// # Errors
/// Where it is not, or the proof does not show it.
pub fn verify_consistency(
    old: u64,
    old_root: Hash,
    new: u64,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    if old == 0 || old == new {
        let empty = Hash::of_nothing();
        return match (proof.is_empty(), old > 0 || old_root == empty, old < new || old_root == new_root) {
            (false, _, _) => Err(ProofError::Length),
            (true, false, _) => Err(ProofError::Root(Tree::Earlier)),
            (true, true, false) => Err(ProofError::Root(Tree::Later)),
            (true, true, true) => Ok(()),
        };
    }
    let (mut place, mut last) = (old - 1, new - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    // Where the earlier tree is one complete subtree, its root is the first node and the proof leaves it out.
    let (first, rest) = match (old.is_power_of_two(), proof.split_first()) {
        (true, _) => (old_root, proof),
        (false, Some((first, rest))) => (*first, rest),
        (false, None) => return Err(ProofError::Length),
    };
    let (mut earlier, mut later) = (first, first);
    for node in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            earlier = node_hash(*node, earlier);
            later = node_hash(*node, later);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            later = node_hash(later, *node);
        }
        place >>= 1;
        last >>= 1;
    }
    match (last, earlier == old_root, later == new_root) {
        (0, true, true) => Ok(()),
        (0, false, _) => Err(ProofError::Root(Tree::Earlier)),
        (0, true, false) => Err(ProofError::Root(Tree::Later)),
        (_, _, _) => Err(ProofError::Length),
    }
}
