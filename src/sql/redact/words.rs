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
