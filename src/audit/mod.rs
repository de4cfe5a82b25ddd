//! The journal: what was asked, allowed, refused and done, in a sequence that shows tampering.
//!
//! | file | owns |
//! | --- | --- |
//! | `record`, `receipt`, `hash_key` | one entry; the proof that one was made; what hashes of values in it are keyed with |
//! | `canonical`, `compact`, `draft`, `seal`, `frame` | an entry's bytes, of fields and of parts; sealing them; what stands in a file. Pure |
//! | `retention`, `keys`, `purge`, `hold` | how long texts are kept; the keys that are destroyed then; doing so; what is kept all the same |
//! | `segment`, `stream`, `medium`, `reserve` | the files: their names; writing one directory's; the operations on them; the space set aside |
//! | `recovery`, `appender`, `numbers`, `syncer`, `journal` | where a journal ended; writing; numbering sessions; group commit; what callers hold |
//! | `turn` | one write for what the sessions of a thread want recorded at the same time |
//! | `handover`, `intake`, `notary`, `settling`, `signing` | the log over the records: what was just written; taking it up; checkpoints; tiles on disk; the key |
//! | `bundle` | a proof of one record, to be handed on |
//! | `frames`, `reader`, `subscription`, `export`, `verify` | reading the files, which needs no writer |
//! | `search`, `sieve` | what can be asked for; telling by an unparsed record that it is not asked for |
//! | `index`, `plan`, `find` | where in a segment the records lie that say something; asking that; finding records |
//! | `story`, `replay` | a statement with all that led to it; a session as psql would have shown it |
//!
//! A record is in the journal before its statement goes on; a record that cannot be made stops the statement.

mod appender;
mod bundle;
pub mod canonical;
mod compact;
mod counters;
mod draft;
pub mod export;
mod find;
mod frame;
mod frames;
mod handover;
mod hash_key;
mod hold;
pub mod index;
mod intake;
mod journal;
mod keys;
mod medium;
mod notary;
mod numbers;
mod plan;
mod purge;
mod reader;
mod receipt;
mod record;
mod recovery;
mod replay;
mod reserve;
mod retention;
mod seal;
mod search;
mod segment;
mod sessions;
mod settling;
mod sieve;
mod signing;
mod story;
mod stream;
mod subscription;
mod syncer;
#[cfg(test)]
mod tests;
mod turn;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

pub use bundle::{Bundle, ProveError, Proved, prove};
pub use counters::Counters;
pub use draft::{Allowed, EndDraft, GrantPart, RelationsPart, SessionPart, StatementDraft};
pub use export::{Format, begin as begin_export, export, export_one};
pub use find::Finder;
pub use frames::Location;
pub use hash_key::HashKey;
pub use hold::{Hold, HoldError, holds};
pub use journal::{Journal, Unsettled};
pub use purge::Purged;
pub use reader::{Entry, Places, ReadError, Reader};
pub use receipt::Receipt;
pub use record::{EndedBy, Event, Protocol, Record, RecordedRelation, RecordedVerdict};
pub use replay::{Replay, Step};
pub use retention::{Kind, Retention, Shelf};
pub use search::{Filter, MAX_RESULTS, RowRange, search};
pub use story::{Selector, Statement, Story, story};
pub use subscription::Subscription;
pub use turn::{Joined, Seat, Turn, Turns};
pub use verify::{Expected, Report, verify, verify_against};

/// When a record counts as made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In the kernel: survives the process.
    Written,
    /// On disk: survives the machine.
    Synced,
}

/// Where and how the journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub dir: PathBuf,
    pub durability: Durability,
    /// The file with the key that signs checkpoints; made if need be.
    pub signing_key: PathBuf,
    /// The log's name, which its key bears; one that no other log has, if left out.
    pub origin: Option<String>,
    /// The first takes what no other takes, and has no directory of its own.
    pub shelves: Vec<Shelf>,
}

impl Settings {
    /// One directory, whose texts are kept for ever; the key beside it.
    #[must_use]
    pub fn new(dir: PathBuf, durability: Durability) -> Self {
        let mut signing_key = dir.clone().into_os_string();
        signing_key.push(".key");
        let shelf = Shelf { region: None, dir: None, retention: Retention::all(Duration::MAX) };
        Self { dir, durability, signing_key: signing_key.into(), origin: None, shelves: vec![shelf] }
    }

    /// Where the files lie.
    #[must_use]
    pub fn places(&self) -> Places {
        let regions = self.shelves.iter().filter_map(|shelf| shelf.dir.clone()).collect();
        Places { main: self.dir.clone(), regions }
    }
}

/// The journal did not take a record: nothing may pass.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit journal cannot be written: {0}")]
pub struct JournalError(pub String);

/// Whether `name` can name a log.
#[must_use]
pub fn is_origin(name: &str) -> bool {
    crate::tlog::is_key_name(name)
}
