//! A proof of one record, that anybody can check who knows the log's verifier key: the record, what the log holds of it, and
//! the way from there to a checkpoint that is signed. It gives away that one record's key, and no other's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::canonical;
use super::frame::{Content, Entry};
use super::frames::{FrameError, Frames, Step};
use super::keys::KeyReader;
use super::reader::Places;
use super::seal::{RecordKey, sha256};
use super::signing::known_verifiers;
use super::{ReadError, Record};
use crate::tlog::{
    Checkpoint, CheckpointFile, Hash, MAX_PROOF, Note, TileReader, Verifier, leaf_hash, verify_inclusion,
};

/// A proof, as it is handed on: one JSON document.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// `pgward-proof-1`
    format: String,
    /// Who signed the checkpoint, as the journal says. Believe somebody else's word for it.
    pub vkey: String,
    /// A signed note, with the witnesses' cosignatures where it has any.
    checkpoint: String,
    /// Of the leaf, from 0: the record's number less one.
    index: u64,
    entry: String,
    proof: Vec<String>,
    /// The payload as it lies in the journal; none where that is gone.
    sealed: Option<String>,
    /// Of this record alone; none where it was destroyed.
    key: Option<String>,
    /// The canonical bytes.
    pub record: Option<String>,
}

/// Why there is no proof of a record.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    #[error("the log has {size} records so far: record {seq} is none of them yet")]
    NotYet { seq: u64, size: u64 },
    #[error("records are numbered from 1")]
    Zero,
    /// What the files say does not lead to what is signed.
    #[error("record {seq} cannot be proved: {what}")]
    Damaged { seq: u64, what: String },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What a bundle proves.
#[derive(Clone, Debug, PartialEq)]
pub struct Proved {
    pub seq: u64,
    pub checkpoint: Checkpoint,
    /// None where the bundle proves only that there is such a record.
    pub record: Option<Record>,
    /// When each witness that was asked for cosigned, in seconds since 1970.
    pub witnessed: Vec<(String, u64)>,
}

/// Proves record `seq` of the journal in `places`, by the newest checkpoint that all witnesses cosigned, or else the newest.
/// Answers the record too, where it can be read.
///
/// # Errors
/// Where no checkpoint covers it, or the files do not lead to what is signed.
pub fn prove(places: impl Into<Places>, seq: u64) -> Result<(Bundle, Option<Record>), ProveError> {
    let places = places.into();
    let index = seq.checked_sub(1).ok_or(ProveError::Zero)?;
    let damaged = |what: String| ProveError::Damaged { seq, what };
    let (checkpoint, note) = covering(&places, seq)?;
    let vkey = signer(&places, &note).map_err(damaged)?;
    let tree = TileReader::new(&places.main, checkpoint.size);
    let bytes = tree.entry(index).map_err(|error| damaged(error.to_string()))?;
    let proof = tree.inclusion(index).map_err(|error| damaged(error.to_string()))?;
    verify_inclusion(leaf_hash(&bytes), index, checkpoint.size, &proof, checkpoint.root)
        .map_err(|error| damaged(error.to_string()))?;
    let entry = Entry::parse(&bytes).filter(|entry| entry.seq == seq);
    let entry = entry.ok_or_else(|| damaged("the log holds another entry there".to_owned()))?;
    let payload = payload(&places, &entry)?;
    let opened = payload.as_ref().map(|payload| payload.open(&entry)).transpose().map_err(damaged)?.flatten();
    let bundle = Bundle {
        format: FORMAT.to_owned(),
        vkey: vkey.to_string(),
        checkpoint: note.to_string(),
        index,
        entry: STANDARD.encode(&bytes),
        proof: proof.iter().map(Hash::to_base64).collect(),
        sealed: payload.as_ref().map(|payload| STANDARD.encode(&payload.sealed)),
        key: payload.as_ref().and_then(|payload| payload.key.as_ref()).map(|key| STANDARD.encode(key.as_bytes())),
        record: opened.as_ref().map(|(text, _)| text.clone()),
    };
    Ok((bundle, opened.map(|(_, record)| record)))
}

/// Leaves the record and its key out: a log is no place for them.
impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle").field("index", &self.index).field("vkey", &self.vkey).finish_non_exhaustive()
    }
}

impl Bundle {
    /// Reads a bundle. Nothing of it is believed yet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let bundle: Self = serde_json::from_slice(bytes).map_err(|error| format!("it is not a proof: {error}"))?;
        if bundle.format != FORMAT {
            return Err(format!("it is a proof in the form `{}`, which is not known here", bundle.format));
        }
        Ok(bundle)
    }

    /// Checks everything in the bundle: `logs` are the keys that the log is known by, `witnesses` those that must have
    /// cosigned the checkpoint.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, logs: &[Verifier], witnesses: &[Verifier]) -> Result<Proved, String> {
        let note = Note::parse(&self.checkpoint).map_err(|error| format!("the checkpoint: {error}"))?;
        let checkpoint = Checkpoint::of(&note).map_err(|error| format!("the checkpoint: {error}"))?;
        if !logs.iter().any(|key| key.name() == checkpoint.origin && note.verified_by(key).is_ok()) {
            return Err(format!("the checkpoint is not signed by a known key of the log {}", checkpoint.origin));
        }
        let cosigned = |witness: &Verifier| {
            let time = note.cosigned_at(witness).map_err(|error| format!("the checkpoint: {error}"))?;
            Ok((witness.name().to_owned(), time))
        };
        let witnessed = witnesses.iter().map(cosigned).collect::<Result<_, String>>()?;
        let entry = self.included(&checkpoint)?;
        let record = self.opened(&entry)?;
        Ok(Proved { seq: entry.seq, checkpoint, record, witnessed })
    }

    /// The entry, where the proof leads from it to the root.
    fn included(&self, checkpoint: &Checkpoint) -> Result<Entry, String> {
        let bytes = decode("the entry", &self.entry)?;
        if self.proof.len() > MAX_PROOF {
            return Err("the proof is too long".to_owned());
        }
        let hash = |text: &String| Hash::from_base64(text).ok_or("the proof holds what is no hash");
        let proof = self.proof.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
        verify_inclusion(leaf_hash(&bytes), self.index, checkpoint.size, &proof, checkpoint.root)
            .map_err(|error| error.to_string())?;
        let entry = Entry::parse(&bytes).filter(|entry| entry.seq.checked_sub(1) == Some(self.index));
        entry.ok_or_else(|| "the entry is not that of the record".to_owned())
    }

    /// The record, as far as the bundle shows it: what is shown is what the entry commits to.
    fn opened(&self, entry: &Entry) -> Result<Option<Record>, String> {
        let sealed = self.sealed.as_ref().map(|text| decode("the payload", text)).transpose()?;
        if sealed.as_ref().is_some_and(|sealed| sha256(sealed) != entry.digest) {
            return Err("the payload is not what the log commits to".to_owned());
        }
        let key = match &self.key {
            None => None,
            Some(text) => Some(RecordKey::from_bytes(&decode("the key", text)?).ok_or("the key has not 32 bytes")?),
        };
        if key.as_ref().is_some_and(|key| key.id() != entry.key_id) {
            return Err("the key is not the one that the log commits to".to_owned());
        }
        match (&self.record, sealed, key) {
            (None, _, _) => Ok(None),
            (Some(record), Some(sealed), Some(key)) => {
                let payload = Payload { sealed, key: Some(key) };
                match payload.open(entry)? {
                    Some((text, opened)) if text == *record => Ok(Some(opened)),
                    Some(_) | None => Err("the record is not the one that the log commits to".to_owned()),
                }
            }
            (Some(_), _, _) => Err("a record without its payload and its key is proved by nothing".to_owned()),
        }
    }
}

/// A record's payload, and its key where that still exists.
#[derive(Debug)]
struct Payload {
    sealed: Vec<u8>,
    key: Option<RecordKey>,
}

impl Payload {
    /// The record's text and the record; none without the key.
    fn open(&self, entry: &Entry) -> Result<Option<(String, Record)>, String> {
        let Some(key) = &self.key else { return Ok(None) };
        let mut sealed = self.sealed.clone();
        let opened = key.open(entry.seq, entry.bucket, &mut sealed).ok_or("the payload does not open with its key")?;
        let record = canonical::parse(opened).map_err(|error| format!("the payload is no record: {error}"))?;
        if record.seq != entry.seq {
            return Err(format!("the payload says that it is record {}", record.seq));
        }
        let text = String::from_utf8(opened.to_vec()).map_err(|_| "the payload is not text")?;
        Ok(Some((text, record)))
    }
}

/// The checkpoint that proves most: one that all witnesses cosigned, where it covers the record.
fn covering(places: &Places, seq: u64) -> Result<(Checkpoint, Note), ProveError> {
    let file = CheckpointFile::of(&places.main);
    let damaged = |error: crate::tlog::PublishError| ProveError::Damaged { seq, what: error.to_string() };
    // A witnessed one that cannot be read proves less, and no harm.
    let witnessed = file.read_witnessed().ok().flatten().filter(|(checkpoint, _)| checkpoint.size >= seq);
    let found = match witnessed {
        Some(witnessed) => Some(witnessed),
        None => file.read().map_err(damaged)?,
    };
    match found {
        Some((checkpoint, note)) if checkpoint.size >= seq => Ok((checkpoint, note)),
        Some((checkpoint, _)) => Err(ProveError::NotYet { seq, size: checkpoint.size }),
        None => Err(ProveError::NotYet { seq, size: 0 }),
    }
}

/// The newest key that the journal names among those that signed the note.
fn signer(places: &Places, note: &Note) -> Result<Verifier, String> {
    let known = known_verifiers(&places.main).map_err(|error| format!("log.vkey: {error}"))?;
    let signed = known.into_iter().rev().find(|key| note.verified_by(key).is_ok());
    signed.ok_or_else(|| "the checkpoint is not signed by a key that the journal names".to_owned())
}

/// What lies in the files of a record; none where it is gone or out of reach. What does not fit its entry is damage.
fn payload(places: &Places, entry: &Entry) -> Result<Option<Payload>, ProveError> {
    for dir in std::iter::once(&places.main).chain(&places.regions) {
        let mut frames = Frames::new(dir, entry.seq);
        match frames.advance().map_err(|error| unreadable(entry.seq, error))? {
            Step::Frame(_) => {}
            Step::End { .. } => continue,
        }
        let Some(frame) = frames.frame().filter(|frame| frame.seq == entry.seq) else { continue };
        let Content::Here(sealed) = frame.content else { continue };
        if sha256(sealed) != entry.digest || frame.bucket != entry.bucket {
            return Err(damaged(entry.seq, "it is not what the log commits to"));
        }
        let key = KeyReader::of(dir).record_key(entry.bucket, entry.seq).map_err(ReadError::from)?;
        if key.as_ref().is_some_and(|key| key.id() != entry.key_id) {
            return Err(damaged(entry.seq, "its key is not the one that the log commits to"));
        }
        return Ok(Some(Payload { sealed: sealed.to_vec(), key }));
    }
    Ok(None)
}

fn unreadable(seq: u64, error: FrameError) -> ProveError {
    match error {
        FrameError::Io(error) => ReadError::Io(error).into(),
        FrameError::Damaged { at: _, what } => damaged(seq, what),
    }
}

fn damaged(seq: u64, what: &str) -> ProveError {
    ProveError::Damaged { seq, what: what.to_owned() }
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|_| format!("{what} is not base64"))
}

const FORMAT: &str = "pgward-proof-1";
