//! What is cut of a torn tail, written down before it goes.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

use super::unreadable;
use crate::audit::JournalError;

/// Bytes after the last whole record that were cut.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(in crate::audit) struct Cut {
    pub(in crate::audit) file: String,
    pub(in crate::audit) bytes: u64,
    /// SHA-256 of them.
    pub(in crate::audit) digest: String,
}

/// What is cut, written down before it is: it is recorded even where that takes another start.
pub(super) struct Cuts {
    file: PathBuf,
    pub(super) made: Vec<Cut>,
}

impl Cuts {
    pub(super) fn load(dir: &Path) -> Result<Self, JournalError> {
        let file = dir.join(CUTS);
        let made = match std::fs::read(&file) {
            // Half of it: nothing was cut yet.
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable(&file, &error)),
        };
        Ok(Self { file, made })
    }

    /// Cuts what comes after the first `length` bytes.
    pub(super) fn cut(&mut self, path: &Path, length: u64) -> std::io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        file.seek(SeekFrom::Start(length))?;
        let mut context = Context::new(&SHA256);
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            context.update(buffer.get(..read).unwrap_or_default());
            bytes += read as u64;
        }
        if bytes == 0 {
            return Ok(());
        }
        let digest = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.made.push(Cut { file: name, bytes, digest });
        self.save()?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn save(&self) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.file)?;
        file.write_all(&serde_json::to_vec(&self.made)?)?;
        file.sync_all()
    }
}

/// The cuts are recorded: what was written down of them can go.
pub(in crate::audit) fn forget_cuts(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(dir.join(CUTS)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

const CUTS: &str = "cuts.json";
