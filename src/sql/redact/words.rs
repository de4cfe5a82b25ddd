//! Names and texts that speak of secrets.

/// Parts of names of columns, settings, arguments and functions whose values are secrets, wherever in the name.
const PARTS: [&str; 9] =
    ["password", "passwd", "passphrase", "secret", "credential", "conninfo", "apikey", "api_key", "private_key"];
/// The same, as a whole name or its last word.
const LAST_WORDS: [&str; 6] = ["pwd", "token", "passcode", "access_key", "encryption_key", "pgpass"];

/// Whether what has this name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
        || LAST_WORDS.iter().any(|last| {
            name.strip_suffix(last).is_some_and(|before| before.is_empty() || before.ends_with(['_', '.', '-']))
        })
}

/// Whether a text says anything about secrets, so that it is worth looking closer.
pub(super) fn mentions_secret(text: &str) -> bool {
    first_secret(text).is_some() || text.contains("dblink") || text.contains("://")
}

/// What [`mentions_secret`] looks for, and where in each a pair of letters stands that is rare in other words.
const MENTIONED: [(&str, usize); 19] = [
    ("password", 2),
    ("passwd", 2),
    ("passphrase", 2),
    ("secret", 2),
    ("credential", 0),
    ("conninfo", 2),
    ("apikey", 1),
    ("api_key", 1),
    ("private_key", 2),
    ("pwd", 1),
    ("token", 1),
    ("passcode", 2),
    ("access_key", 4),
    ("encryption_key", 2),
    ("pgpass", 4),
    ("scram-sha-256", 1),
    ("identified", 6),
    ("dblink", 1),
    ("://", 1),
];

/// [`mentions_secret`] or [`holds_credentials`], of the text between two quotes, in one pass: for texts that are not to be
/// kept waiting. Says yes to no more than a few others.
pub(in crate::sql) fn may_mention_secret(value: &[u8]) -> bool {
    let pairs = value.windows(2).enumerate().filter_map(|(at, pair)| match pair {
        [one, two] => Some((at, [one | 0x20, two | 0x20])),
        _ => None,
    });
    let mut rare = pairs.filter(|(_, pair)| {
        matches!(pair, b"ss" | b"cr" | b"nn" | b"pi" | b"iv" | b"wd" | b"ok" | b"fi" | b"bl" | b"//")
    });
    let is_mentioned = |at: usize| {
        MENTIONED.iter().any(|(word, place)| {
            let start = at.checked_sub(*place);
            let here = start.and_then(|start| value.get(start..start + word.len()));
            here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    value.starts_with(b"md5") || rare.any(|(at, _)| is_mentioned(at))
}

/// Where the first word that speaks of a secret begins and ends.
pub(super) fn first_secret(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let places = PARTS.iter().chain(&LAST_WORDS).chain(&["scram-sha-256", "identified"]);
    places.filter_map(|word| lower.find(word).map(|at| (at, at + word.len()))).min()
}

/// Whether a text holds a password as connection strings, URLs, JSON and such like hold it: `password=…`, `"secret": …`,
/// `scheme://user:password@…`, or is a verifier of one.
#[must_use]
pub fn holds_credentials(text: &str) -> bool {
    // Nearly every value is told from one by this alone.
    let may = text.bytes().fold(false, |may, byte| may | matches!(byte, b'=' | b':' | b'$'));
    if !may && !text.starts_with("md5") {
        return false;
    }
    holds_url(text) || holds_pair(text) || text.contains("SCRAM-SHA-256$") || is_md5(text)
}

/// A URL with a password in front of its host.
fn holds_url(text: &str) -> bool {
    text.match_indices("://").any(|(at, mark)| {
        let rest = text.get(at + mark.len()..).unwrap_or_default();
        let authority = rest.split(['/', '?', '#', '\'', '"', '\n']).next().unwrap_or_default();
        // A password may itself hold what ends an authority where it was not encoded: the last @ of the word counts.
        let word = rest.split([' ', '\'', '"', '\n']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').or_else(|| word.rsplit_once('@')).map_or("", |(user, _)| user);
        user.contains(':')
    })
}

/// A name of a secret, and a value behind `=`, `:` or `=>`.
fn holds_pair(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    PARTS.iter().chain(&LAST_WORDS).any(|word| {
        lower.match_indices(word).any(|(at, word)| {
            let rest = lower.get(at + word.len()..).unwrap_or_default();
            // The rest of the name, and the quote behind it.
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let rest = rest.trim_start_matches(['"', '\'', '\\']).trim_start();
            let Some(value) = rest.strip_prefix(['=', ':']) else { return false };
            let value = value.trim_start_matches(['>', '=']).trim_start();
            !value.is_empty() && !value.starts_with(['$', '?', '%'])
        })
    })
}

/// `md5` and 32 digits: what pg_authid keeps.
fn is_md5(text: &str) -> bool {
    text.strip_prefix("md5").is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// The quick look finds whatever the others find.
    fn is_seen(value: &str) -> bool {
        let found = mentions_secret(value) || holds_credentials(value) || is_secret_name(value);
        !found || may_mention_secret(value.as_bytes())
    }

    #[test]
    fn every_word_that_speaks_of_a_secret_is_seen_at_once() {
        let others = ["scram-sha-256", "identified", "dblink", "://"];
        for word in PARTS.iter().chain(&LAST_WORDS).chain(&others) {
            assert!(mentions_secret(word), "{word}");
            for value in
                [word.to_string(), word.to_uppercase(), format!("a{word}b"), format!("p={word}"), format!("{word}:x")]
            {
                assert!(may_mention_secret(value.as_bytes()), "{value}");
            }
        }
        let md5 = format!("md5{}", "0f".repeat(16));
        assert!(holds_credentials(&md5) && may_mention_secret(md5.as_bytes()));
        for value in ["", "x", "passenger", "crop", "Jessica", "https:/ /x", "tok", "2020-01-01", "books & blue inks"] {
            assert!(!may_mention_secret(value.as_bytes()), "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_seen(
            value in "[a-z:/_=@' -]{0,6}(password|pwd|token|secret|dblink|://|md5|api_?key|access_key|conninfo|)[a-z:/_=@0-9'-]{0,40}"
        ) {
            prop_assert!(is_seen(&value), "{value}");
            prop_assert!(is_seen(&value.to_ascii_uppercase()), "{value}");
        }
    }
}
