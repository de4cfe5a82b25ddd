//! What the archive lacks: segments that are closed, tiles of the log that are full.

use std::io;
use std::path::Path;

/// A segment that grows no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub name: String,
    pub first: u64,
    pub last: u64,
}

/// What is to be archived, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub segments: Vec<Closed>,
    /// Records after the position that are in no segment any more.
    pub missing: u64,
}

impl Plan {
    /// By the names of the files: a segment is closed when a later one exists, and ends before it.
    pub(super) fn of(dir: &Path, archived: u64) -> io::Result<Self> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            let digits = name.strip_prefix("journal-").and_then(|name| name.strip_suffix(".log"));
            let Some(digits) = digits.filter(|digits| digits.len() == 20) else { continue };
            if let Ok(first) = digits.parse::<u64>() {
                segments.push((first, name.to_owned()));
            }
        }
        segments.sort();
        let oldest = segments.first().map_or(archived + 1, |(first, _)| *first);
        let later = segments.iter().skip(1).map(|(first, _)| *first);
        let closed = segments.iter().zip(later).map(|((first, name), next)| Closed {
            name: name.clone(),
            first: *first,
            last: next.saturating_sub(1),
        });
        let segments = closed.filter(|segment| segment.last > archived && segment.last >= segment.first).collect();
        Ok(Self { segments, missing: oldest.saturating_sub(archived + 1) })
    }
}

/// The size of the tree that a checkpoint is of: its second line.
pub(super) fn tree_size(checkpoint: &[u8]) -> Option<u64> {
    std::str::from_utf8(checkpoint).ok()?.lines().nth(1)?.parse().ok()
}

/// The files of the tiles that a tree of `size` leaves has and one of `before` leaves had not, or had only in part:
/// of entries, then of hashes level by level, as the C2SP's tlog-tiles names them.
pub(super) fn tiles(before: u64, size: u64) -> impl Iterator<Item = String> {
    let entries = level("entries".to_owned(), 0, before, size);
    entries.chain((0..8).flat_map(move |number| level(number.to_string(), number, before, size)))
}

fn level(name: String, number: u32, before: u64, size: u64) -> impl Iterator<Item = String> {
    // Hashes of this level: one for each 256^number leaves; a tile holds 256.
    let (had, has) = (before >> (8 * number), size >> (8 * number));
    let full = (had >> 8)..(has >> 8);
    let width = has & 0xff;
    let partial = (width > 0 && (had != has || had & 0xff != width)).then_some((has >> 8, width));
    let of_full = name.clone();
    full.map(move |index| format!("tile/{of_full}/{}", path(index)))
        .chain(partial.map(move |(index, width)| format!("tile/{name}/{}.p/{width}", path(index))))
}

/// A tile's number in groups of three digits, all but the last with an `x` before them.
fn path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_what_is_closed_and_new_is_planned() {
        let dir = tempfile::tempdir().unwrap();
        for first in [101_u64, 201, 301] {
            std::fs::write(dir.path().join(format!("journal-{first:020}.log")), "").unwrap();
        }
        std::fs::write(dir.path().join("journal-1.log"), "").unwrap();
        let ranges = |archived| {
            let plan = Plan::of(dir.path(), archived).unwrap();
            let ranges: Vec<_> = plan.segments.iter().map(|closed| (closed.first, closed.last)).collect();
            (ranges, plan.missing)
        };
        assert_eq!(ranges(0), (vec![(101, 200), (201, 300)], 100));
        assert_eq!(ranges(100), (vec![(101, 200), (201, 300)], 0));
        assert_eq!(ranges(200), (vec![(201, 300)], 0));
        assert_eq!(ranges(300), (vec![], 0));
    }

    #[test]
    fn tiles_are_named_as_the_specification_does() {
        assert_eq!(path(0), "000");
        assert_eq!(path(1_234_067), "x001/x234/067");
        let names = |before, size| tiles(before, size).collect::<Vec<_>>();
        assert_eq!(names(0, 1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
        assert_eq!(names(1, 1), [""; 0]);
        assert_eq!(names(0, 256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        let expected = ["tile/entries/001", "tile/entries/002.p/3", "tile/0/001", "tile/0/002.p/3", "tile/1/000.p/2"];
        assert_eq!(names(256, 515), expected);
        assert_eq!(names(300, 515), expected);
    }

    #[test]
    fn a_checkpoint_says_its_trees_size() {
        assert_eq!(tree_size(b"origin\n20852163\nhash\n\nsignature\n"), Some(20_852_163));
        assert_eq!(tree_size(b"origin\n"), None);
        assert_eq!(tree_size(b"\xff\n1\n"), None);
    }
}
