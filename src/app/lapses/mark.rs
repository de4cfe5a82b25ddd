//! The file that says up to when all is recorded: as it was or as it is now, never half.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

#[derive(serde::Serialize, serde::Deserialize)]
struct Mark {
    upto: Timestamp,
}

/// `None` where there is none, or none that can be read.
pub(super) fn read(path: &Path) -> Option<Timestamp> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "what lapsed while pgward was down is not recorded");
            return None;
        }
    };
    match serde_json::from_slice::<Mark>(&bytes) {
        Ok(mark) => Some(mark.upto),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "what lapsed while pgward was down is not recorded");
            None
        }
    }
}

pub(super) async fn write(path: &Path, upto: Timestamp) -> io::Result<()> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || replace(&path, upto)).await.map_err(io::Error::other)?
}

fn replace(path: &PathBuf, upto: Timestamp) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(&Mark { upto })?)?;
    file.sync_data()?;
    fs::rename(&beside, path)
}
