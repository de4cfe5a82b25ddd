//! Every record in order: its frame, its entry in the log, its payload.

use std::collections::BTreeMap;

use super::super::frame::{Content, Entry, Frame};
use super::super::frames::{Frames, Step};
use std::path::{Path, PathBuf};

use super::super::reader::Places;
use super::super::reserve::FILLING;
use super::super::seal::sha256;
use super::head::{Built, continues, signed_checkpoint};
use super::payload::{Contents, Opener, Seen};
use super::{Expected, Problem, Report};
use crate::tlog::{Checkpoint, TileReader, leaf_hash};

pub(super) struct Walk<'a> {
    places: &'a Places,
    expected: &'a Expected,
    report: Report,
    frames: Frames,
    /// The frame that was read ahead is wanted later: records before it are gone.
    ahead: Option<u64>,
    opener: Opener,
    regions: Vec<Region>,
    contents: Contents,
    /// Of each bucket that is erased, the first record.
    erased: BTreeMap<u32, u64>,
}

struct Region {
    frames: Frames,
    opener: Opener,
    ahead: Option<u64>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(places: &'a Places, expected: &'a Expected) -> Self {
        let region =
            |dir: &PathBuf| Region { frames: Frames::new(dir, 1), opener: Opener::of(dir, expected.keys), ahead: None };
        Self {
            places,
            expected,
            report: Report::default(),
            frames: Frames::new(&places.main, 1),
            ahead: None,
            opener: Opener::of(&places.main, expected.keys),
            regions: places.regions.iter().map(region).collect(),
            contents: Contents::default(),
            erased: BTreeMap::new(),
        }
    }

    pub(super) fn run(&mut self) -> Result<(), Problem> {
        if !self.places.main.is_dir() {
            return Err(Problem::whole("there is no journal in this directory"));
        }
        let signed = signed_checkpoint(&self.places.main, self.expected);
        // The records come first, so that the first bad one is named even where what is signed is bad, too.
        let size = signed.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let tree = TileReader::new(&self.places.main, size);
        let built = self.covered(&tree)?;
        self.beyond(size)?;
        let checkpoint = signed?;
        reserve(&self.places.main)?;
        self.purges()?;
        self.heads(&tree, &built, &checkpoint)?;
        self.report.signed = size;
        if self.expected.records > self.report.records {
            let made = self.expected.records;
            let what = format!("the journal ends before it, but {made} records were made");
            return Err(Problem::of(self.report.records + 1, what));
        }
        Ok(())
    }

    pub(super) fn report(self, result: Result<(), Problem>) -> Report {
        match result {
            Ok(()) => Report { ok: true, ..self.report },
            Err(problem) => Report { ok: false, first_bad: problem.seq, problem: Some(problem.what), ..self.report },
        }
    }

    /// Whether each erasure was recorded. A copy without keys does not tell what is erased.
    fn purges(&self) -> Result<(), Problem> {
        let unsaid = self.erased.iter().find(|(bucket, _)| !self.contents.says_purged(**bucket));
        match unsaid {
            Some((bucket, seq)) => {
                let what = format!("its text was erased with bucket {bucket}, of which no record says so");
                Err(Problem::of(*seq, what))
            }
            None => Ok(()),
        }
    }

    fn heads(&self, tree: &TileReader, built: &Built, checkpoint: &Checkpoint) -> Result<(), Problem> {
        built.agrees(tree, checkpoint)?;
        match &self.expected.checkpoint {
            Some(kept) => continues(tree, checkpoint, kept),
            None => Ok(()),
        }
    }

    /// The records that the log has.
    fn covered(&mut self, tree: &TileReader) -> Result<Built, Problem> {
        let mut built = Built::default();
        let mut seq = 0;
        for index in 0..tree.size().div_ceil(BUNDLE) {
            let bundle = tree.bundle(index);
            let bundle = bundle.map_err(|error| Problem::of(seq + 1, format!("its entry cannot be read: {error}")))?;
            for bytes in bundle.iter() {
                seq += 1;
                let leaf = leaf_hash(bytes);
                let kept = tree.leaf(seq - 1).map_err(|error| Problem::of(seq, error.to_string()))?;
                let entry = Entry::parse(bytes).filter(|entry| entry.seq == seq && leaf == kept);
                let entry = entry.ok_or_else(|| Problem::of(seq, "its entry in the log was changed"))?;
                built.push(leaf);
                self.record(&entry)?;
                self.report.records = seq;
            }
        }
        Ok(built)
    }

    /// Whether the files hold what the entry commits to.
    fn record(&mut self, entry: &Entry) -> Result<(), Problem> {
        let seq = entry.seq;
        if !self.advance_to(seq)? {
            // The segment is gone: it may be, once nothing in it could be read any more.
            if !self.opener.is_erased(entry) && !self.regions.iter_mut().any(|region| region.opener.is_erased(entry)) {
                return Err(Problem::of(seq, "it is missing"));
            }
            self.saw(Seen::Erased, entry);
            return Ok(());
        }
        let frame = self.frames.frame().ok_or_else(|| Problem::of(seq, "it is no frame"))?;
        let is_same = |digest: &[u8; 32]| frame.bucket == entry.bucket && *digest == entry.digest;
        match frame.content {
            Content::Here(sealed) => {
                if !is_same(&sha256(sealed)) {
                    return Err(Problem::of(seq, "it is not what the log commits to"));
                }
                let length = sealed.len();
                let seen = open(&mut self.opener, entry, self.frames.body_mut(), length, &mut self.contents)?;
                self.saw(seen, entry);
                Ok(())
            }
            Content::Elsewhere { digest, key_id } => {
                if !is_same(&digest) || key_id != entry.key_id {
                    return Err(Problem::of(seq, "it is not what the log commits to"));
                }
                self.elsewhere(entry)
            }
        }
    }

    /// A payload that a region keeps.
    fn elsewhere(&mut self, entry: &Entry) -> Result<(), Problem> {
        for region in &mut self.regions {
            let found = region.advance_to(entry.seq)?;
            if let Some(header) = region.frames.header() {
                self.contents.journal(entry.seq, &header.journal_id)?;
            }
            if found {
                let sealed = match region.frames.frame().map(|frame| frame.content) {
                    Some(Content::Here(sealed)) if sha256(sealed) == entry.digest => sealed.len(),
                    Some(_) | None => {
                        return Err(Problem::of(entry.seq, "what its region keeps is not what the log commits to"));
                    }
                };
                let body = region.frames.body_mut();
                let seen = open(&mut region.opener, entry, body, sealed, &mut self.contents)?;
                self.saw(seen, entry);
                return Ok(());
            }
        }
        let erased = self.regions.iter_mut().any(|region| region.opener.is_erased(entry));
        if !erased && !self.regions.is_empty() {
            return Err(Problem::of(entry.seq, "it is missing where its region keeps it"));
        }
        self.saw(if erased { Seen::Erased } else { Seen::Sealed }, entry);
        Ok(())
    }

    fn saw(&mut self, seen: Seen, entry: &Entry) {
        match seen {
            Seen::Read => {}
            Seen::Erased => {
                self.report.erased += 1;
                self.erased.entry(entry.bucket).or_insert(entry.seq);
                self.contents.pass_over();
            }
            Seen::Sealed => {
                self.report.unread += 1;
                self.contents.pass_over();
            }
        }
    }

    /// The records that no checkpoint covers yet.
    fn beyond(&mut self, size: u64) -> Result<(), Problem> {
        let mut seq = size + 1;
        loop {
            if !self.advance_to(seq)? {
                return match self.ahead {
                    Some(_) => Err(Problem::of(seq, "it is missing")),
                    None => Ok(()),
                };
            }
            let frame = self.frames.frame().ok_or_else(|| Problem::of(seq, "it is no frame"))?;
            let entry = unsigned_entry(&frame, &mut self.opener)?;
            self.record(&entry)?;
            self.report.records = seq;
            seq += 1;
        }
    }

    /// Goes to the frame of record `seq`; false where there is none.
    fn advance_to(&mut self, seq: u64) -> Result<bool, Problem> {
        let found = advance(&mut self.frames, &mut self.ahead, seq)?;
        if let Some(header) = self.frames.header() {
            self.contents.journal(seq, &header.journal_id)?;
        }
        Ok(found)
    }
}

impl Region {
    fn advance_to(&mut self, seq: u64) -> Result<bool, Problem> {
        advance(&mut self.frames, &mut self.ahead, seq)
    }
}

/// The space set aside holds nothing but its filling: it proves nothing, but a change of it is somebody's all the same.
fn reserve(dir: &Path) -> Result<(), Problem> {
    match std::fs::read(dir.join("reserve")) {
        Ok(bytes) if bytes.iter().any(|byte| *byte != FILLING) => Err(Problem::whole("the reserve was changed")),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Problem::whole(format!("the reserve cannot be read: {error}"))),
    }
}

/// The entry that the log will have of a frame.
fn unsigned_entry(frame: &Frame<'_>, opener: &mut Opener) -> Result<Entry, Problem> {
    let (seq, bucket) = (frame.seq, frame.bucket);
    let (digest, key_id) = match frame.content {
        Content::Elsewhere { digest, key_id } => (digest, key_id),
        Content::Here(sealed) => (sha256(sealed), opener.key_id(seq, bucket)?),
    };
    Ok(Entry { seq, bucket, digest, key_id })
}

fn advance(frames: &mut Frames, ahead: &mut Option<u64>, seq: u64) -> Result<bool, Problem> {
    while ahead.is_none_or(|ahead| ahead < seq) {
        match frames.advance().map_err(|error| Problem::frame(seq, error))? {
            Step::Frame(_) => *ahead = frames.frame().map(|frame| frame.seq),
            Step::End { torn: 0 } => {
                *ahead = None;
                return Ok(false);
            }
            Step::End { torn: _ } => {
                let what = "it is not whole: the file ends in the middle of it";
                return Err(Problem::of(seq, what).passing());
            }
        }
    }
    Ok(*ahead == Some(seq))
}

/// Opens the last `length` bytes of `body`, and takes in what they say.
fn open(
    opener: &mut Opener,
    entry: &Entry,
    body: &mut [u8],
    length: usize,
    contents: &mut Contents,
) -> Result<Seen, Problem> {
    let start = body.len().saturating_sub(length);
    let (seen, canonical) = opener.open(entry, body.get_mut(start..).unwrap_or_default())?;
    if seen == Seen::Read {
        contents.take(entry.seq, canonical)?;
    }
    Ok(seen)
}

/// Entries in a bundle.
const BUNDLE: u64 = 256;
