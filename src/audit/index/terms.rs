//! What a record is found by: short keys of a tag and a value. An index may find too much, never too little, so a key is
//! given for everything that a filter can ask for, and each record that is found is checked again.

use aws_lc_rs::digest::{SHA256, digest};

/// What a key speaks of; its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) enum Tag {
    Principal,
    Database,
    Grant,
    Request,
    Session,
    Relation,
    Column,
    Kind,
    Verdict,
    Event,
    Region,
    Fingerprint,
    Rule,
    /// A statement has those of its end, too.
    Sqlstate,
    /// Rows by their logarithm; likewise.
    Rows,
    /// Records that hold a statement's text.
    HasText,
    /// Records with text of which not every piece is in the index.
    UnindexedText,
    /// Ends of statements that do not lie in this segment.
    Foreign,
}

impl Tag {
    const fn byte(self) -> u8 {
        match self {
            Self::Principal => b'p',
            Self::Database => b'd',
            Self::Grant => b'g',
            Self::Request => b'q',
            Self::Session => b's',
            Self::Relation => b'r',
            Self::Column => b'c',
            Self::Kind => b'k',
            Self::Verdict => b'v',
            Self::Event => b'e',
            Self::Region => b'a',
            Self::Fingerprint => b'f',
            Self::Rule => b'u',
            Self::Sqlstate => b'x',
            Self::Rows => b'n',
            Self::HasText => b't',
            Self::UnindexedText => b'l',
            Self::Foreign => b'o',
        }
    }
}

/// A tag and a value.
pub(in crate::audit) type Key = Vec<u8>;

/// The key of a value. A long one stands as its digest.
pub(in crate::audit) fn key(tag: Tag, value: &str) -> Key {
    let mut key = Vec::with_capacity(2 + value.len());
    write_key(tag, value, &mut key);
    key
}

pub(super) fn write_key(tag: Tag, value: &str, key: &mut Key) {
    key.clear();
    key.push(tag.byte());
    if value.len() <= MAX_VALUE {
        key.push(b'=');
        key.extend_from_slice(value.as_bytes());
    } else {
        key.push(b'#');
        key.extend_from_slice(digest(&SHA256, value.as_bytes()).as_ref());
    }
}

/// The longest value that stands as it is: identifiers of three parts fit.
const MAX_VALUE: usize = 200;

/// The keys of every number of rows between two.
pub(in crate::audit) fn row_buckets(least: u64, most: u64) -> Vec<Key> {
    (bucket(least)..=bucket(most)).map(|bucket| key(Tag::Rows, &bucket.to_string())).collect()
}

/// How many binary digits a number has.
pub(super) fn bucket(rows: u64) -> u32 {
    u64::BITS - rows.leading_zeros()
}

/// The whole name, and what stands behind each dot.
pub(super) fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    let behind = name.match_indices('.').filter_map(|(at, _)| name.get(at + 1..));
    std::iter::once(name).chain(behind)
}

/// Every three bytes in a row of a text that is in lower case, sorted, each once.
pub(in crate::audit) fn trigrams(lowercase: &str) -> Vec<u32> {
    let mut found: Vec<u32> = lowercase
        .as_bytes()
        .windows(3)
        .map(|window| window.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fall_into_buckets_that_cover_them() {
        let key_of = |rows: u64| key(Tag::Rows, &bucket(rows).to_string());
        for rows in [0, 1, 2, 3, 4, 1000, 1023, 1024, u64::MAX] {
            for (least, most) in [(rows, rows), (0, rows), (rows, u64::MAX)] {
                assert!(row_buckets(least, most).contains(&key_of(rows)), "{rows} in {least}..{most}");
            }
        }
        assert!(!row_buckets(1025, u64::MAX).contains(&key_of(1000)));
    }

    #[test]
    fn names_are_found_by_what_stands_behind_a_dot() {
        assert_eq!(suffixes("public.orders.id").collect::<Vec<_>>(), ["public.orders.id", "orders.id", "id"]);
        assert_eq!(suffixes("id").collect::<Vec<_>>(), ["id"]);
    }

    #[test]
    fn long_values_have_keys_of_bounded_length() {
        let long = "x".repeat(10_000);
        assert!(key(Tag::Relation, &long).len() < MAX_VALUE);
        assert_ne!(key(Tag::Relation, &long), key(Tag::Relation, &format!("{long}x")));
    }
}
