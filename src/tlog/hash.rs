//! SHA-256 as RFC 6962 uses it: one prefix for leaves, another for inner nodes, so that neither passes for the other.

use std::fmt;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A hash of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Hash(pub [u8; Hash::LENGTH]);

impl Hash {
    /// Bytes in a hash.
    pub const LENGTH: usize = 32;

    /// SHA-256 of `bytes`, without a prefix.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&digest(&SHA256, bytes))
    }

    /// The root of the tree without leaves: SHA-256 of nothing.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self::of(&[])
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Of exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Standard base64 with padding: 44 characters.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The one base64 form that [`Hash::to_base64`] writes; nothing else.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().and_then(|bytes| Self::from_slice(&bytes))
    }

    fn from_digest(digest: &Digest) -> Self {
        // A SHA-256 digest has 32 bytes; a shorter one would match nothing.
        Self::from_slice(digest.as_ref()).unwrap_or_default()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({})", self.to_base64())
    }
}

/// `SHA-256(0x00 ‖ entry)`
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut buffer = [LEAF; SHORT + 1];
    match buffer.get_mut(1..=entry.len()) {
        // One call over one buffer takes half the time of a context.
        Some(room) => {
            room.copy_from_slice(entry);
            Hash::of(buffer.get(..=entry.len()).unwrap_or_default())
        }
        None => {
            let mut context = Context::new(&SHA256);
            context.update(&[LEAF]);
            context.update(entry);
            Hash::from_digest(&context.finish())
        }
    }
}

/// `SHA-256(0x01 ‖ left ‖ right)`
#[must_use]
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    let mut buffer = [NODE; 1 + 2 * Hash::LENGTH];
    let (_, children) = buffer.split_at_mut(1);
    let (first, second) = children.split_at_mut(Hash::LENGTH);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    Hash::of(&buffer)
}

const LEAF: u8 = 0;
const NODE: u8 = 1;
/// Entries up to this length are hashed in one call.
const SHORT: usize = 127;
