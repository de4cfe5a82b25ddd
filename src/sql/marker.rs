//! Names that carry what sqlparser's grammar has no place for, through its tree and out again.
//!
//! A mark begins with a zero byte. No text has one (the lexer refuses it), so that a mark is never a user's name; and
//! where the conversion meets one that it does not expect, it refuses the statement.

/// What every mark begins with.
const SIGN: char = '\0';

/// A mark without payload.
pub fn plain(kind: &str) -> String {
    format!("{SIGN}{kind}")
}

/// A mark that carries an index or a word.
pub fn with(kind: &str, payload: impl std::fmt::Display) -> String {
    format!("{SIGN}{kind}:{payload}")
}

/// The kind and payload of a mark; `None` for a name of the user's.
pub fn split(name: &str) -> Option<(&str, &str)> {
    let body = name.strip_prefix(SIGN)?;
    Some(body.split_once(':').unwrap_or((body, "")))
}

/// The mark's payload, if the name is a mark of that kind.
pub fn payload<'a>(name: &'a str, kind: &str) -> Option<&'a str> {
    let (found, payload) = split(name)?;
    (found == kind).then_some(payload)
}
