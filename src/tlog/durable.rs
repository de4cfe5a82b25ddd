//! Brings tiles to disk that were written without: before what they were made of is removed.

use std::fs::File;
use std::io;

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
