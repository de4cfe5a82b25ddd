//! The names of tiles: `tile/<level>/<index>`, `tile/entries/<index>`, and `.p/<width>` behind those that are not full.

use std::fmt::Write as _;

/// Hashes in a full tile, entries in a full bundle.
pub(super) const WIDTH: u64 = 256;
/// Levels of the tree in one level of tiles.
pub(super) const HEIGHT: u32 = 8;

/// What a row of tiles holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Row {
    /// Hashes, 256 to the power of the level leaves under each.
    Hashes(u32),
    Entries,
}

impl Row {
    /// The path of a full tile, from the log's directory.
    pub(super) fn full(self, index: u64) -> String {
        let mut path = match self {
            Self::Hashes(level) => format!("tile/{level}/"),
            Self::Entries => "tile/entries/".to_owned(),
        };
        push_index(index, &mut path);
        path
    }

    /// The directory of a tile's partial forms.
    pub(super) fn partials(self, index: u64) -> String {
        let mut path = self.full(index);
        path.push_str(".p");
        path
    }

    /// The path of a tile of this width, 256 being full.
    pub(super) fn path(self, index: u64, width: u64) -> String {
        if width >= WIDTH { self.full(index) } else { format!("{}/{width}", self.partials(index)) }
    }

    /// How many items this row has in a tree of `size` leaves.
    pub(super) fn items(self, size: u64) -> u64 {
        match self {
            Self::Hashes(level) => size.checked_shr(level.saturating_mul(HEIGHT)).unwrap_or(0),
            Self::Entries => size,
        }
    }
}

/// Three digits to a part, all but the last with an `x` before them, so that no file is called what a directory is.
fn push_index(index: u64, path: &mut String) {
    let mut parts = Vec::new();
    let mut rest = index;
    loop {
        parts.push(rest % 1000);
        rest /= 1000;
        if rest == 0 {
            break;
        }
    }
    while let Some(part) = parts.pop() {
        let more = if parts.is_empty() { "" } else { "x" };
        let end = if parts.is_empty() { "" } else { "/" };
        // Writing to a String does not fail.
        let _ = write!(path, "{more}{part:03}{end}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_written_in_parts_of_three_digits() {
        let cases = [
            (0, "000"),
            (7, "007"),
            (999, "999"),
            (1000, "x001/000"),
            (1_234_067, "x001/x234/067"),
            (u64::MAX, "x018/x446/x744/x073/x709/x551/615"),
        ];
        for (index, path) in cases {
            assert_eq!(Row::Entries.full(index), format!("tile/entries/{path}"));
        }
        assert_eq!(Row::Hashes(2).path(1_234_067, 17), "tile/2/x001/x234/067.p/17");
        assert_eq!(Row::Hashes(0).path(5, 256), "tile/0/005");
    }

    /// The example of the specification: a tree of 70,000.
    #[test]
    fn rows_have_the_items_that_the_specification_counts() {
        let widths: Vec<_> = (0..4).map(|level| Row::Hashes(level).items(70_000)).collect();
        assert_eq!(widths, [273 * 256 + 112, 256 + 17, 1, 0]);
    }
}
