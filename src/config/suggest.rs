//! "Did you mean": the nearest of the words that would have been right.

/// What to say after an unknown word: the nearest right one, or all of them.
pub(super) fn instead_of<'a>(word: &str, right: impl Iterator<Item = &'a str>) -> String {
    let mut right: Vec<&str> = right.collect();
    right.sort_unstable();
    right.dedup();
    let nearest = right.iter().map(|candidate| (distance(word, candidate), *candidate)).min();
    match nearest {
        Some((edits, candidate)) if edits <= 1 + word.chars().count() / 4 => format!("did you mean \"{candidate}\"?"),
        Some(_) => format!("one of {}", right.join(", ")),
        None => "none is declared".to_owned(),
    }
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let at = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut least = (at(&above, j) + usize::from(l != r)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && left.get(i - 1) == Some(r) && right.get(j - 1) == Some(l);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in
            [("", "", 0), ("", "abc", 3), ("selct", "select", 1), ("lsiten", "listen", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn nearest_or_all_or_none() {
        let words = ["listen", "tls_cert", "tls_key"];
        assert_eq!(instead_of("lisen", words.into_iter()), "did you mean \"listen\"?");
        assert_eq!(instead_of("colour", words.into_iter()), "one of listen, tls_cert, tls_key");
        assert_eq!(instead_of("x", [].into_iter()), "none is declared");
    }
}
