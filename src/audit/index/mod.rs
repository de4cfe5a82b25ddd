//! Where in a finished segment the records lie that say something: one file beside the segments for each of them,
//! `index/<first seq, 20 digits>.idx` (0600, in a directory of 0700).
//!
//! An index is derived from its segment and proves nothing. Deleting it costs time alone: it is made again, and until then
//! its segment is read from end to end. It is checksummed, made under another name, and never changed. It only says where to
//! look: every record that a search answers was read from the journal and checked against the filter, so that an index can
//! neither make up a record nor show one that can no longer be read.
//!
//! | file | owns |
//! | --- | --- |
//! | `terms` | what a record is found by |
//! | `source` | a segment's records and where they lie: all that knows how a segment is written |
//! | `walk` | a record's canonical bytes, field by field. Pure |
//! | `list`, `texts`, `gather` | the records of one key; the trigrams of texts; all keys of a segment, gathered |
//! | `layout` | the file's header and numbers |
//! | `build` | a segment's index, made |
//! | `open` | an index, read: only what is needed of it |
//! | `cache` | the parts of indexes that every search needs, kept |
//! | `keeper` | the thread that makes the indexes that are missing |

mod build;
mod cache;
mod gather;
mod keeper;
mod layout;
mod list;
mod open;
mod source;
mod terms;
mod texts;
mod walk;

use std::io;
use std::path::{Path, PathBuf};

pub use build::bring_up_to_date;
pub(super) use cache::Cache;
pub(super) use keeper::Keeper;
pub(super) use layout::Slot;
pub(super) use open::OpenIndex;
pub(super) use source::fetch;
pub(super) use terms::{Key, Tag, key, row_buckets, trigrams};

/// Why an index is of no use: its segment is read instead.
#[derive(Debug, thiserror::Error)]
pub(super) enum Useless {
    #[error("there is none yet")]
    Missing,
    #[error("it was made of another segment than this")]
    Stale,
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("it cannot be read: {0}")]
    Io(io::Error),
    #[error("its segment cannot be read: {0}")]
    Segment(#[from] super::ReadError),
}

impl From<io::Error> for Useless {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early"),
            _ => Self::Io(error),
        }
    }
}

/// Removes the index of the segment that begins with `first_seq`, as is right once some of its records have been erased.
/// Where a journal is open, [`super::Finder::forget`] also stops one that is just being made.
///
/// # Errors
/// Where it is there and cannot be removed.
pub fn drop(dir: &Path, first_seq: u64) -> io::Result<()> {
    match std::fs::remove_file(path(dir, first_seq)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(DIRECTORY).join(format!("{first_seq:020}.idx"))
}

const DIRECTORY: &str = "index";
