//! Takes records up into the log: each frame becomes an entry of the Merkle tree.

use std::path::Path;

use super::frame::{Content, entry};
use super::frames::{FrameError, Frames, Step};
use super::keys::KeyReader;
use super::seal::sha256;
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

    /// Takes up all records up to `seq`, which must have been written.
    pub(super) fn take_up_to(&mut self, seq: u64) -> Result<(), String> {
        self.frames.forget_ahead().map_err(|error| error.to_string())?;
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
        let (digest, key_id) = match frame.content {
            Content::Elsewhere { digest, key_id } => (digest, key_id),
            Content::Here(sealed) => {
                let key = self.keys.record_key(frame.bucket, next).map_err(|error| error.to_string())?;
                let key = key.ok_or_else(|| format!("record {next}: the key of its bucket is missing"))?;
                (sha256(sealed), key.id())
            }
        };
        self.tiles.push(&entry(next, frame.bucket, &digest, &key_id));
        Ok(())
    }
}
