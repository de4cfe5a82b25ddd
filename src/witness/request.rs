//! The body of `POST /add-checkpoint`: the size that the witness knows, a consistency proof from there, and the checkpoint.

use std::fmt::Write as _;

use crate::tlog::{Hash, MAX_NOTE, Note, parse_size};

/// The longest body that is read.
pub const MAX_BODY: usize = MAX_NOTE + 64 * 45 + 64;

/// What is submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    pub old: u64,
    pub proof: Vec<Hash>,
    pub note: Note,
}

impl AddCheckpoint {
    /// `old <size>`, a line for each hash, an empty line, the checkpoint.
    #[must_use]
    pub fn to_body(&self) -> String {
        let mut body = format!("old {}\n", self.old);
        for hash in &self.proof {
            // Writing to a String does not fail.
            let _ = writeln!(body, "{hash}");
        }
        let _ = write!(body, "\n{}", self.note);
        body
    }

    /// Reads what [`AddCheckpoint::to_body`] gives.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(body: &str) -> Result<Self, String> {
        let (first, mut rest) = body.split_once('\n').ok_or("the first line does not end")?;
        let old = first.strip_prefix("old ").and_then(parse_size).ok_or("the first line is not `old <size>`")?;
        let mut proof = Vec::new();
        loop {
            let (line, behind) = rest.split_once('\n').ok_or("no empty line behind the proof")?;
            rest = behind;
            if line.is_empty() {
                break;
            }
            if proof.len() == MAX_LINES {
                return Err(format!("more than {MAX_LINES} lines of proof"));
            }
            proof.push(Hash::from_base64(line).ok_or("a line of the proof is not the base64 of 32 bytes")?);
        }
        let note = Note::parse(rest).map_err(|error| error.to_string())?;
        Ok(Self { old, proof, note })
    }
}

/// The specification's bound.
const MAX_LINES: usize = 63;
