//! The files of a journal: their names and their headers.
//!
//! A directory (0700) holds segments (0600), `journal-<first seq, 20 digits>.log`; their order by name is the order of the
//! records. A segment is one line of text, and then [frames](super::frame) without a gap:
//!
//! ```text
//! pgward-journal 2 <journal id> <first seq>\n
//! ```
//!
//! In a region's own directory the segments hold that region's records alone, so that numbers are missing in between.

use std::io;
use std::path::{Path, PathBuf};

/// A segment by its first record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) first_seq: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn of(dir: &Path, first_seq: u64) -> Self {
        Self { first_seq, path: dir.join(format!("journal-{first_seq:020}.log")) }
    }

    /// The segments in `dir`, oldest first. Other files are left alone.
    pub(super) fn list(dir: &Path) -> io::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let digits = name.strip_prefix("journal-").and_then(|name| name.strip_suffix(".log"));
            let Some(digits) = digits.filter(|digits| digits.len() == 20) else { continue };
            if let Ok(first_seq) = digits.parse() {
                segments.push(Self { first_seq, path });
            }
        }
        segments.sort();
        Ok(segments)
    }
}

/// The first line of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) journal_id: String,
    pub(super) first_seq: u64,
}

impl Header {
    /// With its newline.
    pub(super) fn render(&self) -> String {
        format!("{MAGIC} {} {}\n", self.journal_id, self.first_seq)
    }

    /// Reads what [`Self::render`] gives, and nothing else.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let mut words = text.strip_prefix(MAGIC)?.strip_prefix(' ')?.strip_suffix('\n')?.split(' ');
        let journal_id = words.next()?.to_owned();
        let header = Self { journal_id, first_seq: words.next()?.parse().ok()? };
        let is_id = header.journal_id.len() == 32 && header.journal_id.bytes().all(|b| b.is_ascii_hexdigit());
        (is_id && header.render() == text).then_some(header)
    }
}

/// No header is longer.
pub(super) const MAX_HEADER_BYTES: u64 = 128;

const MAGIC: &str = "pgward-journal 2";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn headers_have_one_form() {
        let header = Header { journal_id: "0123456789abcdef0123456789abcdef".into(), first_seq: 42 };
        let text = header.render();
        assert_eq!(Header::parse(text.as_bytes()), Some(header));
        for other in [
            text.replace(" 42", " 042"),
            text.replace(" 42", " +42"),
            text.replace(" 42", "  42"),
            format!("{text} "),
            text.trim_end().to_owned(),
            text.replace("0123456789abcdef ", " "),
            text.replace("journal 2", "journal 1"),
        ] {
            assert_eq!(Header::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn only_segments_are_listed_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "lock",
            "reserve",
            "journal-1.log",
            "journal-00000000000000000001.log.bak",
            "journal-x0000000000000000000.log",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let expected = [Segment::of(dir.path(), 1), Segment::of(dir.path(), 99), Segment::of(dir.path(), 1000)];
        for segment in expected.iter().rev() {
            std::fs::write(&segment.path, "").unwrap();
        }
        assert_eq!(Segment::list(dir.path()).unwrap(), expected);
    }
}
