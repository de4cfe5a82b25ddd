//! How far a sink is, in a file that is either as it was or as it is now, never half.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use crate::audit::{Entry, Places, Reader};

/// What a sink's receiver has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Position {
    /// The journal's id: a position in another journal says nothing.
    pub journal: String,
    /// All records up to this one.
    pub seq: u64,
    /// The last records of the last deliveries, oldest first: whether the journal is still the one that they were read from.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub marks: VecDeque<Mark>,
    /// For an archive: the leaves of the log that are archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<u64>,
    /// The receiver wants no more: the mark of the configuration under which it said so. Another begins again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
}

/// A record that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Mark {
    pub seq: u64,
    /// Of the record's canonical bytes: the first half of their SHA-256.
    pub digest: String,
}

/// Deliveries that are remembered.
const MARKS: usize = 16;

impl Mark {
    pub(super) fn of(entry: &Entry) -> Self {
        let digest = digest::digest(&digest::SHA256, &entry.canonical);
        let digest = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { seq: entry.record.seq, digest }
    }

    /// Whether the journal at `places` has this record. One that was erased counts: what follows it is what followed it.
    fn stands(&self, places: &Places) -> bool {
        match Reader::new(places, self.seq).read() {
            Ok(Some(entry)) if entry.record.seq == self.seq => Self::of(&entry) == *self,
            Ok(Some(_)) => true,
            Ok(None) => false,
            // Reading on will meet the error again, and say so.
            Err(_) => true,
        }
    }
}

impl Position {
    /// The beginning of a journal.
    pub(super) fn none(journal: &str) -> Self {
        Self { journal: journal.to_owned(), seq: 0, marks: VecDeque::new(), leaves: None, gone: None }
    }

    pub(super) fn advance(&mut self, mark: Mark) {
        self.seq = mark.seq;
        if self.marks.len() == MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// Goes back to the last delivery that the journal at `places` knows of. A machine that lost power may have lost records that
    /// a receiver has; their numbers are then given to others. Answers whether that was so.
    pub(super) fn go_back(&mut self, places: &Places, head: u64) -> bool {
        let before = self.seq;
        while let Some(mark) = self.marks.back() {
            if mark.stands(places) {
                break;
            }
            self.marks.pop_back();
            self.seq = self.marks.back().map_or(0, |mark| mark.seq);
        }
        if self.marks.is_empty() && self.seq > head {
            self.seq = 0;
        }
        self.seq != before
    }
}

/// The file of one sink's position.
#[derive(Clone, Debug)]
pub(super) struct PositionFile {
    path: PathBuf,
}

impl PositionFile {
    /// `<directory>/<folder>/<name>.json`; the folder is made if need be.
    pub(super) fn of(directory: &Path, folder: &str, name: &str) -> io::Result<Self> {
        let folder = directory.join(folder);
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) | Ok(()) => {}
        }
        Ok(Self { path: folder.join(format!("{name}.json")) })
    }

    /// The position in this journal. One that cannot be read, or is of another journal, is none: records that come twice
    /// are better than records that never come.
    pub(super) fn read(&self, journal: &str) -> Option<Position> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "a sink's position cannot be read: it begins anew");
                return None;
            }
        };
        match serde_json::from_slice::<Position>(&bytes) {
            Ok(position) if position.journal == journal => Some(position),
            Ok(_) => {
                tracing::warn!(path = %self.path.display(), "a sink's position is of another journal: it begins anew");
                None
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "a sink's position cannot be read: it begins anew");
                None
            }
        }
    }

    /// Keeps the position, on disk when it returns.
    pub(super) async fn write(&self, position: Position) -> io::Result<()> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || replace(&path, &position)).await.map_err(io::Error::other)?
    }
}

fn replace(path: &Path, position: &Position) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    // What a crash may have left.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
    let mut bytes = serde_json::to_vec(position)?;
    bytes.push(b'\n');
    file.write_all(&bytes)?;
    file.sync_data()?;
    fs::rename(&beside, path)
}
