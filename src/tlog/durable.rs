//! Bringing tiles to disk that were written without, and saying how far they are there: `tiles.settled` holds the number of
//! entries all of whose full tiles are on disk. A log without that file has them all there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::checkpoint::parse_size;
use super::path::{Row, WIDTH};
use super::reader::TileReader;

impl TileReader {
    /// Brings to disk every tile over the entries `from..to`, all of which full tiles must hold or a wider one.
    ///
    /// # Errors
    /// Where one cannot be.
    pub fn sync(&self, from: u64, to: u64) -> io::Result<()> {
        let mut span = WIDTH;
        self.sync_row(Row::Entries, span, from, to)?;
        for level in 0.. {
            if Row::Hashes(level).items(self.size()) == 0 {
                break;
            }
            self.sync_row(Row::Hashes(level), span, from, to)?;
            span = span.saturating_mul(WIDTH);
        }
        Ok(())
    }

    /// The tiles of one row, each over `span` entries.
    fn sync_row(&self, row: Row, span: u64, from: u64, to: u64) -> io::Result<()> {
        for index in from / span..to.div_ceil(span) {
            match File::open(self.dir().join(row.full(index))) {
                Ok(file) => file.sync_all()?,
                // A partial tile is written anew as the log grows, and from those entries on the segments are kept.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Brings to disk all tiles of the log in `dir` that were flushed. One call for the whole file system: one for each file would
/// cost more than writing them.
///
/// # Errors
/// Where that cannot be done, or an earlier writing back failed.
pub fn bring_to_disk(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}

/// The same, where the first `size` entries were flushed; says so there, and answers how far full tiles go.
///
/// # Errors
/// Where one of the two cannot be done.
pub fn settle(dir: &Path, size: u64) -> io::Result<u64> {
    bring_to_disk(dir)?;
    set_settled(dir, size)
}

/// Says that all full tiles over the first `size` entries are on disk.
///
/// # Errors
/// Where that cannot be written.
pub fn set_settled(dir: &Path, size: u64) -> io::Result<u64> {
    let settled = size - size % WIDTH;
    let fresh = dir.join("tiles.settled.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(format!("{settled}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, dir.join(SETTLED))?;
    File::open(dir)?.sync_all()?;
    Ok(settled)
}

/// How many entries' full tiles are on disk for certain; none where all are.
///
/// # Errors
/// Where the file cannot be read.
pub fn settled(dir: &Path) -> io::Result<Option<u64>> {
    match fs::read_to_string(dir.join(SETTLED)) {
        // What cannot be understood vouches for nothing.
        Ok(text) => Ok(Some(text.strip_suffix('\n').and_then(parse_size).unwrap_or(0))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

const SETTLED: &str = "tiles.settled";
