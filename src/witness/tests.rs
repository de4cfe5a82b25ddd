//! Tests of witnesses: what one signs, what it remembers, and a log that has itself witnessed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod answers;
mod keeping;

use std::path::Path;

use tempfile::TempDir;

use super::AddCheckpoint;
use crate::tlog::{Checkpoint, CheckpointFile, Cosigner, Note, Signer, TileReader, TileWriter, Verifier};

const ORIGIN: &str = "pgward/0123456789abcdef";

/// A log that grows.
struct Log {
    dir: TempDir,
    /// The one through which all write it: two that do not know of each other would write over each other's checkpoint.
    file: CheckpointFile,
    writer: TileWriter,
    signer: Signer,
    /// What its entries begin with: two logs that differ in it have different histories.
    word: &'static str,
}

impl Log {
    fn new(word: &'static str) -> Self {
        Self::with_key(word, &Signer::generate(ORIGIN).unwrap())
    }

    fn with_key(word: &'static str, signer: &Signer) -> Self {
        let dir = TempDir::new().unwrap();
        let writer = TileWriter::open(dir.path(), 0).unwrap();
        let file = CheckpointFile::of(dir.path());
        Self { dir, file, writer, signer: Signer::from_text(&signer.to_text().unwrap()).unwrap(), word }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn vkey(&self) -> Verifier {
        self.signer.verifier()
    }

    /// Grows to `size`, publishes and returns the checkpoint.
    fn grow(&mut self, size: u64) -> Note {
        while self.writer.size() < size {
            let entry = format!("{} {}", self.word, self.writer.size());
            self.writer.push(entry.as_bytes());
        }
        self.writer.flush(false).unwrap();
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: self.writer.root() };
        let note = Note::sign(&checkpoint.to_body(), &[&self.signer]).unwrap();
        self.file.put(&note, false).unwrap();
        self.writer.tidy().unwrap();
        note
    }

    /// What is submitted to a witness that knows `old`.
    fn submission(&self, old: u64, note: &Note) -> AddCheckpoint {
        let size = Checkpoint::of(note).unwrap().size;
        AddCheckpoint { old, proof: TileReader::new(self.path(), size).consistency(old).unwrap(), note: note.clone() }
    }
}

fn cosigner(name: &str) -> Cosigner {
    Cosigner::generate(name).unwrap()
}
