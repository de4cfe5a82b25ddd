//! What a witness answers: a cosignature where the log grew from what the witness knows of it, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use super::request::AddCheckpoint;
use super::state::{Known, State, StateError};
use crate::tlog::{Checkpoint, Cosigner, Signature, Verifier, verify_consistency};

/// A witness: its key, the logs that it knows, and what it remembers of them.
#[derive(Debug)]
pub struct Witness {
    cosigner: Cosigner,
    /// By origin: a log that changes its key has several for a while.
    logs: BTreeMap<String, Vec<Verifier>>,
    state: State,
}

/// What comes of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Cosigned(Signature),
    /// It cannot be read.
    Malformed(String),
    /// No log of that origin is witnessed.
    UnknownLog,
    /// No key of that log signed it.
    Untrusted,
    /// The latest size that was cosigned is another than the submitter thinks.
    Stale {
        known: u64,
    },
    /// The log shows another tree of the size that was cosigned.
    Forked {
        known: u64,
    },
    /// The proof does not lead from what was cosigned to this.
    Inconsistent,
    /// The witness cannot remember it, and so does not sign it.
    Broken(String),
}

impl Witness {
    /// A witness of `logs`, by their verifier keys, that remembers in `dir`.
    ///
    /// # Errors
    /// Where the directory is in use, or what it holds cannot be believed.
    pub fn open(cosigner: Cosigner, logs: Vec<Verifier>, dir: &Path) -> Result<Self, StateError> {
        let mut by_origin: BTreeMap<String, Vec<Verifier>> = BTreeMap::new();
        for log in logs {
            by_origin.entry(log.name().to_owned()).or_default().push(log);
        }
        let state = State::open(dir, &by_origin, &cosigner.verifier())?;
        Ok(Self { cosigner, logs: by_origin, state })
    }

    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.cosigner.verifier()
    }

    /// Answers one submission at `now`, in seconds since 1970. What is cosigned is remembered first, on disk.
    pub fn add(&self, body: &str, now: u64) -> Answer {
        let submitted = match AddCheckpoint::parse(body) {
            Ok(submitted) => submitted,
            Err(what) => return Answer::Malformed(what),
        };
        let checkpoint = match Checkpoint::parse_extended(submitted.note.body()) {
            Ok((checkpoint, _)) => checkpoint,
            Err(error) => return Answer::Malformed(error.to_string()),
        };
        let Some(keys) = self.logs.get(&checkpoint.origin) else { return Answer::UnknownLog };
        if !keys.iter().any(|key| submitted.note.verified_by(key).is_ok()) {
            return Answer::Untrusted;
        }
        if submitted.old > checkpoint.size {
            return Answer::Malformed("the old size is greater than the checkpoint's".to_owned());
        }
        // Looking and remembering are one step: two submissions cannot both grow from the same size.
        self.state.with(&checkpoint.origin, |known, memory| {
            if let Some(refused) = self.refusal(known, &submitted, &checkpoint) {
                return refused;
            }
            match self.cosigner.cosign(&submitted.note, now) {
                Err(error) => Answer::Broken(error.to_string()),
                Ok(cosignature) => match memory.remember(&checkpoint, &submitted.note, &cosignature) {
                    Err(error) => Answer::Broken(error.to_string()),
                    Ok(()) => Answer::Cosigned(cosignature),
                },
            }
        })
    }

    fn refusal(&self, known: &Known, submitted: &AddCheckpoint, checkpoint: &Checkpoint) -> Option<Answer> {
        if checkpoint.size == known.size && checkpoint.root != known.root {
            self.state.keep_evidence(known, submitted, checkpoint);
            return Some(Answer::Forked { known: known.size });
        }
        if submitted.old != known.size {
            return Some(Answer::Stale { known: known.size });
        }
        let grown = verify_consistency(known.size, known.root, checkpoint.size, checkpoint.root, &submitted.proof);
        if grown.is_err() {
            self.state.keep_evidence(known, submitted, checkpoint);
            return Some(Answer::Inconsistent);
        }
        None
    }
}
