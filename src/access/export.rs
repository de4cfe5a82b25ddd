//! How much data may leave its region under one grant: the bounds, and what counts against them.

use std::fmt;

use super::Bytes;

/// Rows and bytes as they are counted on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub rows: u64,
    pub bytes: u64,
}

/// What may leave a region under one grant, to clients that stand elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// Anything, also into relations of other regions.
    Unlimited,
    Limited(ExportLimit),
}

/// The most that may leave; what is not named is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportLimit {
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

impl Export {
    /// Nothing may leave.
    pub const NONE: Self = Self::Limited(ExportLimit { rows: Some(0), bytes: Some(0) });
}

impl ExportLimit {
    /// Whether nothing more may leave once `used` has.
    #[must_use]
    pub fn is_reached(&self, used: Amount) -> bool {
        self.rows.is_some_and(|rows| used.rows >= rows) || self.bytes.is_some_and(|bytes| used.bytes >= bytes)
    }

    /// What is left of it once `used` has gone; [`u64::MAX`] where there is no bound.
    #[must_use]
    pub fn left(&self, used: Amount) -> Amount {
        let left = |limit: Option<u64>, used: u64| limit.map_or(u64::MAX, |limit| limit.saturating_sub(used));
        Amount { rows: left(self.rows, used.rows), bytes: left(self.bytes, used.bytes) }
    }
}

impl Amount {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_add(other.rows), bytes: self.bytes.saturating_add(other.bytes) }
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_sub(other.rows), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    /// The smaller of each.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self { rows: self.rows.min(other.rows), bytes: self.bytes.min(other.bytes) }
    }

    /// Whether `other` fits into it.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.rows >= other.rows && self.bytes >= other.bytes
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {}", self.rows, Bytes(self.bytes))
    }
}

impl fmt::Display for ExportLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rows, self.bytes) {
            (Some(rows), Some(bytes)) => write!(f, "{rows} rows and {}", Bytes(bytes)),
            (Some(rows), None) => write!(f, "{rows} rows"),
            (None, Some(bytes)) => write!(f, "{}", Bytes(bytes)),
            (None, None) => f.write_str("no amount"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_reached_by_either_of_its_amounts() {
        let limit = ExportLimit { rows: Some(10), bytes: Some(100) };
        let used = |rows, bytes| Amount { rows, bytes };
        assert!(!limit.is_reached(used(9, 99)));
        assert!(limit.is_reached(used(10, 0)));
        assert!(limit.is_reached(used(0, 100)));
        assert_eq!(limit.left(used(4, 200)), used(6, 0));
        let rows = ExportLimit { rows: Some(10), bytes: None };
        assert!(!rows.is_reached(used(9, u64::MAX)));
        assert_eq!(rows.left(used(1, 5)), used(9, u64::MAX));
        let Export::Limited(none) = Export::NONE else { return };
        assert!(none.is_reached(Amount::default()));
    }
}
