//! Proves a journal from its files alone: every byte of every segment and of the log, the order of the records, and what must
//! hold between the records of a session. Names the first record that is not as it was written.
//!
//! | file | owns |
//! | --- | --- |
//! | `walk` | every record: its frame, its entry in the log, its payload |
//! | `head` | what is signed, by whom; the tree above the entries |
//! | `payload` | a payload: that it opens, and what it says |

mod head;
mod payload;
mod walk;

use std::io;
use std::time::Duration;

use self::walk::Walk;
use super::frames::FrameError;
use super::reader::Places;
use crate::tlog::{Checkpoint, Verifier};

/// What verifying found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    pub ok: bool,
    /// Records that are as they were written: all, or those before the first bad one.
    pub records: u64,
    /// The first record that was changed, dropped, moved, doubled or forged.
    pub first_bad: Option<u64>,
    /// What is wrong: with it, or with the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Of the records, those that a signed checkpoint covers.
    #[serde(default)]
    pub signed: u64,
    /// Of the records, those whose text is gone because its time ended.
    #[serde(default)]
    pub erased: u64,
    /// Of the records, those whose text lies where it was not looked for, or could not be opened for want of the keys.
    #[serde(default)]
    pub unread: u64,
}

/// What is known of a journal beside its files.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Who signs its checkpoints. Without it, whom the directory names is believed.
    pub verifier: Option<Verifier>,
    /// A checkpoint that was kept elsewhere: the journal must go on from there.
    pub checkpoint: Option<Checkpoint>,
    /// So many records were made.
    pub records: u64,
    /// This is no copy without keys: they must be there.
    pub keys: bool,
}

/// Verifies the journal in `places`. Whoever can write there can also name another key: give [`verify_against`] the log's
/// verifier key, and a checkpoint that was kept elsewhere, to find a journal that was written anew or cut back as a whole.
#[must_use]
pub fn verify(places: impl Into<Places>) -> Report {
    verify_against(places, &Expected::default())
}

/// Verifies the journal in `places`, and that it is the one that is known.
#[must_use]
pub fn verify_against(places: impl Into<Places>, expected: &Expected) -> Report {
    let places = places.into();
    let mut attempt = 0;
    loop {
        let mut walk = Walk::new(&places, expected);
        let result = walk.run();
        match result {
            // A live writer may be in the middle of a frame, or of a checkpoint: a moment later that is whole.
            Err(Problem { passing: true, .. }) if attempt < RETRIES => {
                attempt += 1;
                std::thread::sleep(PAUSE);
            }
            result => return walk.report(result),
        }
    }
}

const RETRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// Why a journal is not as it was written.
#[derive(Debug)]
struct Problem {
    what: String,
    /// The record that it is about; `None` where it is about the whole.
    seq: Option<u64>,
    /// It may be that a writer is just at it.
    passing: bool,
}

impl Problem {
    fn of(seq: u64, what: impl Into<String>) -> Self {
        Self { what: what.into(), seq: Some(seq), passing: false }
    }

    fn whole(what: impl Into<String>) -> Self {
        Self { what: what.into(), seq: None, passing: false }
    }

    fn passing(self) -> Self {
        Self { passing: true, ..self }
    }

    fn unreadable(seq: u64, error: &io::Error) -> Self {
        Self::of(seq, format!("it cannot be read: {error}"))
    }

    fn frame(seq: u64, error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => Self::unreadable(seq, &error),
            FrameError::Damaged { at, what } => {
                Self::of(seq, format!("{what} (segment {}, byte {})", at.segment, at.offset))
            }
        }
    }
}
