//! The right edge of a growing tree: all that appending needs. Pure.

use super::hash::{Hash, node_hash};

/// The complete subtrees that a tree of this size is made of, at most one of each height.
#[derive(Clone, Debug)]
pub struct Frontier {
    size: u64,
    /// At height `h`, where bit `h` of `size` is set: the hash of that complete subtree. Elsewhere: leavings.
    nodes: [Hash; HEIGHTS],
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

impl Frontier {
    /// Of the tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self { size: 0, nodes: [Hash::default(); HEIGHTS] }
    }

    /// Of a tree of `size` leaves. `node(height, index)` gives the hash over the leaves
    /// `index * 2^height .. (index + 1) * 2^height`.
    ///
    /// # Errors
    /// What `node` answers.
    pub fn restore<E>(size: u64, mut node: impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Self, E> {
        let mut frontier = Self::new();
        frontier.size = size;
        for (height, slot) in (0..).zip(frontier.nodes.iter_mut()) {
            let complete = size >> height;
            if complete & 1 == 1 {
                *slot = node(height, complete - 1)?;
            }
        }
        Ok(frontier)
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        self.append_with(leaf, |_, _| {});
    }

    /// Appends a leaf and tells `completed` each subtree that it completes, by height, the leaf itself first.
    pub fn append_with(&mut self, leaf: Hash, mut completed: impl FnMut(u32, Hash)) {
        let mut hash = leaf;
        for (height, slot) in (0..).zip(self.nodes.iter_mut()) {
            completed(height, hash);
            if (self.size >> height) & 1 == 0 {
                *slot = hash;
                break;
            }
            hash = node_hash(*slot, hash);
        }
        self.size += 1;
    }

    /// The root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        let complete = (0..).zip(self.nodes.iter()).filter(|(height, _)| (self.size >> height) & 1 == 1);
        let root = complete.fold(None, |right, (_, left)| Some(right.map_or(*left, |right| node_hash(*left, right))));
        root.unwrap_or_else(Hash::of_nothing)
    }
}

/// Heights that a tree of 2^64 - 1 leaves can have complete subtrees of.
const HEIGHTS: usize = 64;
