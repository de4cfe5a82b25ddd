//! A log that can be proved: an append-only Merkle tree (RFC 6962), its files, its signed checkpoints and their proofs.
//!
//! | file | owns | after |
//! | --- | --- | --- |
//! | `hash`, `tree`, `proof` | hashes; the right edge of a growing tree; checking proofs. Pure | RFC 6962, RFC 9162 |
//! | `path`, `strip`, `tiles`, `resume`, `durable`, `reader`, `entries` | the tree as files: names, writing, reading | C2SP tlog-tiles |
//! | `key`, `note`, `cosignature` | signing keys and signed notes; what a witness signs. Pure | C2SP signed-note, tlog-cosignature |
//! | `checkpoint` | the text that a log signs. Pure | C2SP tlog-checkpoint |
//! | `keyfile`, `publish` | secret keys in files; the newest checkpoint in its file | |
//!
//! Nothing here knows what an entry means.

mod checkpoint;
mod cosignature;
mod durable;
mod entries;
mod hash;
mod key;
pub mod keyfile;
mod note;
mod path;
mod proof;
mod publish;
mod reader;
mod resume;
mod strip;
#[cfg(test)]
mod tests;
mod tiles;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointError, parse_size};
pub use cosignature::Cosigner;
pub use durable::{bring_to_disk, set_settled, settle, settled};
pub use entries::{Bundle, Entries};
pub use hash::{Hash, leaf_hash, node_hash};
pub use key::{Algorithm, KeyError, Signer, Verifier, is_key_name};
pub use note::{MAX_NOTE, Note, NoteError, Signature};
pub use proof::{MAX_PROOF, ProofError, verify_consistency, verify_inclusion};
pub use publish::{CheckpointFile, PublishError, replace};
pub use reader::{TileError, TileReader};
pub use tiles::TileWriter;
pub use tree::Frontier;
