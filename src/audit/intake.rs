//! Takes records up into the log: each frame becomes an entry of the Merkle tree.

use std::path::Path;

use super::frame::{Content, Frame, PREFIX_BYTES, Prefix, entry};
use super::frames::{FrameError, Frames, Step};
use super::handover::Fresh;
use super::keys::KeyReader;
use super::seal::{KeyId, sha256};
use crate::tlog::TileWriter;

/// The reading end of the segments and the writing end of the tree.
#[derive(Debug)]
pub(super) struct Intake {
    frames: Frames,
    keys: KeyReader,
    tiles: TileWriter,
}

impl Intake {
    /// Goes on after the records that `tiles` holds.
    pub(super) fn new(dir: &Path, tiles: TileWriter) -> Self {
        Self { frames: Frames::new(dir, tiles.size() + 1), keys: KeyReader::of(dir), tiles }
    }

    pub(super) fn tiles(&mut self) -> &mut TileWriter {
        &mut self.tiles
    }

    /// Takes up what the writer left, which follows what was taken up before or leaves a gap that the files fill.
    pub(super) fn take_fresh(&mut self, fresh: &Fresh) -> Result<(), String> {
        if fresh.key_ids().is_empty() || fresh.first_seq() <= self.tiles.size() {
            return Ok(());
        }
        if fresh.first_seq() > self.tiles.size() + 1 {
            self.take_up_to(fresh.first_seq() - 1)?;
        }
        let mut rest = fresh.frames();
        for key_id in fresh.key_ids() {
            let next = self.tiles.size() + 1;
            let what = || format!("record {next} was not handed over whole");
            let (prefix, behind) = rest.split_first_chunk::<PREFIX_BYTES>().ok_or_else(what)?;
            let length = Prefix::parse(*prefix).ok_or_else(what)?.length;
            let (body, behind) = behind.split_at_checked(length).ok_or_else(what)?;
            let frame = Frame::parse(body).filter(|frame| frame.seq == next).ok_or_else(what)?;
            self.push(&frame, key_id);
            rest = behind;
        }
        Ok(())
    }

    /// Takes up all records up to `seq` from the files, which must have been written.
    pub(super) fn take_up_to(&mut self, seq: u64) -> Result<(), String> {
        if self.tiles.size() >= seq {
            return Ok(());
        }
        // What was read ahead may have been cut or replaced since, and much may have been handed over.
        self.frames.restart(self.tiles.size() + 1);
        while self.tiles.size() < seq {
            let next = self.tiles.size() + 1;
            match self.frames.advance() {
                Ok(Step::Frame(_)) => self.take(next)?,
                Ok(Step::End { .. }) => return Err(format!("record {next} was written, but is not in the files")),
                Err(FrameError::Io(error)) => return Err(error.to_string()),
                Err(FrameError::Damaged { what, .. }) => return Err(format!("record {next}: {what}")),
            }
        }
        Ok(())
    }

    fn take(&mut self, next: u64) -> Result<(), String> {
        let frame = self.frames.frame().filter(|frame| frame.seq == next);
        let frame = frame.ok_or_else(|| format!("record {next} is missing from the files"))?;
        let key_id = match frame.content {
            Content::Elsewhere { key_id, .. } => key_id,
            Content::Here(_) => {
                let key = self.keys.record_key(frame.bucket, next).map_err(|error| error.to_string())?;
                key.ok_or_else(|| format!("record {next}: the key of its bucket is missing"))?.id()
            }
        };
        let digest = digest(&frame);
        self.tiles.push(&entry(next, frame.bucket, &digest, &key_id));
        Ok(())
    }

    fn push(&mut self, frame: &Frame<'_>, key_id: &KeyId) {
        self.tiles.push(&entry(frame.seq, frame.bucket, &digest(frame), key_id));
    }
}

/// That of the sealed payload.
fn digest(frame: &Frame<'_>) -> [u8; 32] {
    match frame.content {
        Content::Here(sealed) => sha256(sealed),
        Content::Elsewhere { digest, .. } => digest,
    }
}
