//! The files of a journal: their names, their headers and their lines.
//!
//! The directory (0700) holds segments (0600), `journal-<first seq, 20 digits>.log`; their order by name is the order of
//! the records. Each segment is text:
//!
//! ```text
//! pgward-journal 1 <journal id> <first seq> <head before it, 64 hex digits>\n
//! <head after the record, 64 hex digits> <canonical JSON of the record>\n
//! …
//! ```
//!
//! A line is whole when its `\n` is there: canonical JSON holds none. So a segment can be read with `cut -c66- | jq`,
//! each segment can be checked alone, and one can be cut at the last whole line. Beside the segments lie `lock`, which
//! the one writer holds, and `reserve`, the space kept for the last records of a full disk.

use std::io::{self, BufRead, Read as _};
use std::path::{Path, PathBuf};

use super::canonical::MAX_RECORD_BYTES;
use super::chain::Head;

/// Length of a line's beginning: the head and a space.
pub(super) const LINE_PREFIX: usize = 65;

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

/// The first line of a segment, without its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) journal_id: String,
    pub(super) first_seq: u64,
    /// The head after record `first_seq - 1`.
    pub(super) before: Head,
}

impl Header {
    pub(super) fn render(&self) -> String {
        format!("{MAGIC} {} {} {}", self.journal_id, self.first_seq, self.before)
    }

    /// Reads what [`Self::render`] gives, and nothing else.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let mut words = text.strip_prefix(MAGIC)?.strip_prefix(' ')?.split(' ');
        let header = Self {
            journal_id: words.next()?.to_owned(),
            first_seq: words.next()?.parse().ok()?,
            before: Head::from_hex(words.next()?.as_bytes())?,
        };
        (header.render() == text).then_some(header)
    }
}

/// What lies at a place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole line.
    Whole,
    /// So many bytes, and then the file ends: a line that is being written, or was never finished.
    Torn(usize),
    /// More bytes than any line has.
    TooLong,
    End,
}

/// Reads the next line into `line`, without its newline.
pub(super) fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let read = (&mut *reader).take(MAX_LINE_BYTES).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Line::Whole);
    }
    Ok(match read {
        0 => Line::End,
        read if read as u64 == MAX_LINE_BYTES => Line::TooLong,
        read => Line::Torn(read),
    })
}

/// Splits a line, without its newline, into the head's digits and the canonical bytes.
pub(super) fn split_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, canonical) = line.split_at_checked(LINE_PREFIX)?;
    let (space, head) = prefix.split_last()?;
    (*space == b' ').then_some((head, canonical))
}

/// Appends a record's line.
pub(super) fn push_line(head: Head, canonical: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&head.to_hex());
    out.push(b' ');
    out.extend_from_slice(canonical);
    out.push(b'\n');
}

/// The longest line: the longest record with its numbers and its head.
const MAX_LINE_BYTES: u64 = MAX_RECORD_BYTES as u64 + 128;

const MAGIC: &str = "pgward-journal 1";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn headers_have_one_form() {
        let header = Header { journal_id: "abc".into(), first_seq: 42, before: Head::genesis("abc") };
        let text = header.render();
        assert_eq!(Header::parse(text.as_bytes()), Some(header));
        for other in [
            text.replace(" 42 ", " 042 "),
            text.replace(" 42 ", " +42 "),
            text.replace(" 42 ", "  42 "),
            format!("{text} "),
            text.replace("journal 1", "journal 2"),
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
