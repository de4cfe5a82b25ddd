//! Where the segments of a directory end: the last record that is whole, and goes on from the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::cuts::Cuts;
use super::{broken, header_of, unreadable};
use crate::audit::JournalError;
use crate::audit::frame::{Content, Entry, Frame};
use crate::audit::frames::{FrameError, Frames, Location, Step};
use crate::audit::keys::KeyDirectory;
use crate::audit::seal::sha256;
use crate::audit::segment::Segment;
use crate::tlog::TileReader;

/// Where the journal's own segments end.
pub(super) struct MainEnd {
    pub(super) records: u64,
    /// The last segment, and where it ends; what comes after is to be cut.
    last: Option<Location>,
}

impl MainEnd {
    pub(super) fn scan(dir: &Path, size: u64, regions: &[RegionEnd]) -> Result<Self, JournalError> {
        let segments = Segment::list(dir).map_err(|error| unreadable(dir, &error))?;
        let Some(last) = segments.last() else { return Ok(Self { records: 0, last: None }) };
        let from = last.first_seq.min(size + 1);
        let holding = segments.iter().rev().find(|segment| segment.first_seq <= from).unwrap_or(last);
        let mut frames = Frames::new(dir, holding.first_seq);
        let tree = TileReader::new(dir, size);
        let mut end = Self { records: holding.first_seq.saturating_sub(1), last: None };
        // Segments may come to disk out of order: after the checkpoint, the first thing that is wrong is the end.
        loop {
            let next = end.records + 1;
            match frames.advance() {
                Ok(Step::Frame(at)) => {
                    let frame = frames.frame().filter(|frame| frame.seq == next);
                    match frame {
                        Some(frame) if next <= size => {
                            check(&frame, &tree).map_err(|what| broken(dir, next, what))?;
                        }
                        None if next <= size => return Err(broken(dir, next, "it is missing")),
                        Some(frame) if is_complete(&frame, regions) => {}
                        Some(_) | None => {
                            end.last = end.last.or(Some(at));
                            return Ok(end);
                        }
                    }
                    end.records = next;
                    end.last = frames.place();
                }
                Ok(Step::End { .. }) => {
                    end.last = frames.place().or(end.last);
                    return Ok(end);
                }
                Err(FrameError::Damaged { at, what: _ }) if next > size => {
                    end.last = end.last.or(Some(at));
                    return Ok(end);
                }
                Err(FrameError::Damaged { at: _, what }) => return Err(broken(dir, next, what)),
                Err(FrameError::Io(error)) => return Err(unreadable(dir, &error)),
            }
        }
    }

    /// Cuts what comes after, and answers the segment to go on with.
    pub(super) fn cut(&self, dir: &Path, cuts: &mut Cuts) -> Result<Option<(u64, u64)>, JournalError> {
        let Some(last) = self.last else { return Ok(None) };
        let failed = |error| unreadable(dir, &error);
        let later = Segment::list(dir).map_err(failed)?;
        for segment in later.iter().rev().filter(|segment| segment.first_seq > last.segment) {
            cuts.cut(&segment.path, 0).map_err(failed)?;
            std::fs::remove_file(&segment.path).map_err(failed)?;
        }
        let path = Segment::of(dir, last.segment).path;
        cuts.cut(&path, last.offset).map_err(failed)?;
        if last.offset > 0 {
            return Ok(Some((last.segment, last.offset)));
        }
        std::fs::remove_file(&path).map_err(failed)?;
        Ok(None)
    }
}

/// Whether the frame is what the log commits to.
fn check(frame: &Frame<'_>, tree: &TileReader) -> Result<(), &'static str> {
    let entry = tree.entry(frame.seq - 1).ok().and_then(|bytes| Entry::parse(&bytes));
    let entry = entry.ok_or("the log has no entry for it")?;
    let digest = match frame.content {
        Content::Here(sealed) => sha256(sealed),
        Content::Elsewhere { digest, .. } => digest,
    };
    if (entry.seq, entry.bucket, entry.digest) == (frame.seq, frame.bucket, digest) {
        Ok(())
    } else {
        Err("it is not what the log commits to")
    }
}

/// Whether the payload of a frame after the last checkpoint is where it should be.
fn is_complete(frame: &Frame<'_>, regions: &[RegionEnd]) -> bool {
    match frame.content {
        Content::Here(_) => true,
        Content::Elsewhere { .. } => regions.iter().any(|region| region.fresh.contains_key(&frame.seq)),
    }
}

/// Where the segments of a region's directory end.
pub(super) struct RegionEnd {
    /// The frames after the last checkpoint.
    fresh: BTreeMap<u64, Location>,
    last: Option<Location>,
}

impl RegionEnd {
    pub(super) fn scan(dir: &Path, tree: &TileReader) -> Result<Self, JournalError> {
        let size = tree.size();
        let segments = Segment::list(dir).map_err(|error| unreadable(dir, &error))?;
        let mut end = Self { fresh: BTreeMap::new(), last: None };
        let mut frames = Frames::new(dir, segments.last().map_or(1, |last| last.first_seq).min(size + 1));
        let mut before = 0;
        loop {
            match frames.advance() {
                Ok(Step::Frame(at)) => {
                    before = frames.frame().map_or(0, |frame| frame.seq);
                    if before > size {
                        end.fresh.insert(before, at);
                    }
                    end.last = frames.place();
                }
                Ok(Step::End { .. }) => {
                    end.last = frames.place().or(end.last);
                    break;
                }
                Err(FrameError::Damaged { at, what: _ }) => {
                    end.last = end.last.or(Some(at));
                    break;
                }
                Err(FrameError::Io(error)) => return Err(unreadable(dir, &error)),
            }
        }
        match covered_after(dir, before, tree)? {
            Some(seq) => Err(broken(dir, seq, "it is missing or damaged where its region keeps it")),
            None => Ok(end),
        }
    }

    /// Cuts the frames of records that the journal does not have, and answers the segment to go on with.
    pub(super) fn cut(&self, dir: &Path, records: u64, cuts: &mut Cuts) -> Result<Option<(u64, u64)>, JournalError> {
        let surplus = self.fresh.range(records + 1..).next().map(|(_, at)| *at);
        let Some(end) = surplus.or(self.last) else { return Ok(None) };
        let failed = |error| unreadable(dir, &error);
        let segments = Segment::list(dir).map_err(failed)?;
        for later in segments.iter().filter(|segment| segment.first_seq > end.segment) {
            cuts.cut(&later.path, 0).map_err(failed)?;
            std::fs::remove_file(&later.path).map_err(failed)?;
        }
        let segment = Segment::of(dir, end.segment);
        cuts.cut(&segment.path, end.offset).map_err(failed)?;
        if end.offset > header_of(&segment)?.render().len() as u64 {
            return Ok(Some((end.segment, end.offset)));
        }
        // Its first record is gone, which its name says; the next one begins a segment of its own.
        std::fs::remove_file(&segment.path).map_err(failed)?;
        Ok(None)
    }
}

/// The first record after `before` that the log has and that must be in a region's directory: its key is there.
fn covered_after(dir: &Path, before: u64, tree: &TileReader) -> Result<Option<u64>, JournalError> {
    let buckets = KeyDirectory::of(dir).list().map_err(|error| unreadable(dir, &error))?;
    let live: BTreeSet<u32> = buckets.iter().filter(|bucket| bucket.key().is_some()).map(|it| it.number).collect();
    let held: BTreeSet<u64> = buckets.iter().flat_map(|bucket| bucket.held().collect::<Vec<_>>()).collect();
    if live.is_empty() && held.is_empty() {
        return Ok(None);
    }
    for entry in tree.entries(before) {
        let (index, bytes) = entry.map_err(|error| JournalError(format!("{}: the log: {error}", dir.display())))?;
        if Entry::parse(&bytes).is_some_and(|entry| live.contains(&entry.bucket) || held.contains(&entry.seq)) {
            return Ok(Some(index + 1));
        }
    }
    Ok(None)
}
