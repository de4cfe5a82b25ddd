//! The text that a log signs: which log, how many entries, the root over them. Pure; C2SP tlog-checkpoint.

use super::hash::Hash;
use super::note::Note;

/// A log's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Entries.
    pub size: u64,
    pub root: Hash,
}

/// Why a text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: {0}")]
pub struct CheckpointError(&'static str);

impl Checkpoint {
    /// Three lines: origin, size in decimal, root in base64.
    #[must_use]
    pub fn to_body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Reads what [`Checkpoint::to_body`] gives, and nothing else.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn parse(body: &str) -> Result<Self, CheckpointError> {
        match Self::parse_extended(body)? {
            (checkpoint, "") => Ok(checkpoint),
            (_, _) => Err(CheckpointError("more than three lines")),
        }
    }

    /// Reads a checkpoint of any log, which may have lines behind the three: they are returned, each not empty.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse_extended(body: &str) -> Result<(Self, &str), CheckpointError> {
        let mut parts = body.splitn(4, '\n');
        let (Some(origin), Some(size), Some(root), Some(rest)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CheckpointError("fewer than three lines"));
        };
        if origin.is_empty() {
            return Err(CheckpointError("an empty origin"));
        }
        if !rest.is_empty() && (!rest.ends_with('\n') || rest.starts_with('\n') || rest.contains("\n\n")) {
            return Err(CheckpointError("an empty line"));
        }
        let size = parse_size(size).ok_or(CheckpointError("its size is not a decimal number without leading zeros"))?;
        let root = Hash::from_base64(root).ok_or(CheckpointError("its root is not the base64 of 32 bytes"))?;
        Ok((Self { origin: origin.to_owned(), size, root }, rest))
    }

    /// The checkpoint that a note is about.
    ///
    /// # Errors
    /// Where its text is none. Who signed it is not looked at.
    pub fn of(note: &Note) -> Result<Self, CheckpointError> {
        Self::parse(note.body())
    }
}

/// A size in the one form that a checkpoint has it in: decimal, without leading zeros, below 2^63.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let size: u64 = text.parse().ok().filter(|_| digits)?;
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && size <= i64::MAX.cast_unsigned()).then_some(size)
}
