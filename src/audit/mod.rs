//! The journal: what was asked, allowed, refused and done, in a sequence that shows tampering.
//!
//! | file | owns |
//! | --- | --- |
//! | `record`, `receipt` | one entry; the proof that one was made |
//! | `canonical`, `chain` | an entry's bytes; the hash chain over them. Pure |
//! | `segment`, `medium`, `reserve` | the files: their layout; the operations on them; the space set aside |
//! | `recovery`, `appender`, `syncer`, `journal` | where a journal ended; writing; group commit; what callers hold |
//! | `reader`, `subscription`, `search`, `story`, `export`, `verify` | reading the files, which needs no writer |
//!
//! A record is in the journal before its statement goes on; a record that cannot be made stops the statement.

mod appender;
pub mod canonical;
mod chain;
mod counters;
pub mod export;
mod journal;
mod medium;
mod reader;
mod receipt;
mod record;
mod recovery;
mod reserve;
mod search;
mod segment;
mod sessions;
mod story;
mod subscription;
mod syncer;
#[cfg(test)]
mod tests;
mod verify;

use std::path::PathBuf;

pub use chain::Head;
pub use counters::Counters;
pub use export::{Format, begin as begin_export, export, export_one};
pub use journal::Journal;
pub use reader::{Entry, ReadError, Reader};
pub use receipt::Receipt;
pub use record::{EndedBy, Event, Protocol, Record, RecordedRelation, RecordedVerdict};
pub use search::{Filter, MAX_RESULTS, search};
pub use story::{Selector, Statement, Story, story};
pub use subscription::Subscription;
pub use verify::{Report, verify, verify_up_to};

/// When a record counts as made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In the kernel: survives the process.
    Written,
    /// On disk: survives the machine.
    Synced,
}

/// Where and how the journal is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dir: PathBuf,
    pub durability: Durability,
}

/// The journal did not take a record: nothing may pass.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit journal cannot be written: {0}")]
pub struct JournalError(pub String);
