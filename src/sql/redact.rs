//! Secrets in statements, taken out before a text is written down anywhere.

use std::borrow::Cow;
use std::ops::Range;

use super::lex::{Kind, Token, tokens};

/// What stands in place of a secret.
const REDACTED: &str = "'***'";

/// The text with passwords replaced: the string after `PASSWORD`, and every string in the options of a user mapping,
/// foreign server or subscription. A text that cannot be read loses all that follows the word.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let Ok(tokens) = tokens(text) else { return blunt(text) };
    let mut secrets = Vec::new();
    for statement in tokens.split(|token| token.kind == Kind::Mark(';')) {
        collect(statement, &mut secrets);
    }
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for secret in secrets {
        clean.push_str(text.get(at..secret.start).unwrap_or_default());
        clean.push_str(REDACTED);
        at = secret.end;
    }
    clean.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(clean)
}

fn collect(statement: &[Token], secrets: &mut Vec<Range<usize>>) {
    let word = |index: usize| match statement.get(index).map(|token| &token.kind) {
        Some(Kind::Word(word) | Kind::Quoted(word)) => word.as_str(),
        Some(_) | None => "",
    };
    let connection = (0..statement.len()).any(|index| {
        word(index) == "subscription"
            || word(index) == "server"
            || (word(index) == "user" && word(index + 1) == "mapping")
    });
    let definition = matches!(word(0), "create" | "alter");
    for (index, token) in statement.iter().enumerate() {
        if !matches!(token.kind, Kind::String(_)) {
            continue;
        }
        // `PASSWORD = '…'` and `password => '…'` are calls and options; nearby is near enough.
        let after_password =
            (1..=2).any(|back| index.checked_sub(back).is_some_and(|at| word(at).contains("password")));
        if after_password || (definition && connection) {
            secrets.push(token.range.clone());
        }
    }
}

/// For what cannot be cut into tokens.
fn blunt(text: &str) -> Cow<'_, str> {
    match text.to_ascii_lowercase().find("password") {
        Some(at) => Cow::Owned(format!("{}{REDACTED}", text.get(..at + "password".len()).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_stay() {
        for (text, expected) in [
            ("ALTER ROLE a PASSWORD 'x' VALID UNTIL 'y'", "ALTER ROLE a PASSWORD '***' VALID UNTIL 'y'"),
            (
                "CREATE USER a ENCRYPTED PASSWORD $$x$$; SELECT 'x'",
                "CREATE USER a ENCRYPTED PASSWORD '***'; SELECT 'x'",
            ),
            (
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password 'x')",
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (user '***', password '***')",
            ),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'host=x password=y' PUBLICATION p",
                "CREATE SUBSCRIPTION s CONNECTION '***' PUBLICATION p",
            ),
            ("ALTER ROLE a PASSWORD 'x", "ALTER ROLE a PASSWORD'***'"),
            ("SELECT 'x'", "SELECT 'x'"),
            ("SELECT a FROM users WHERE password = 'x'", "SELECT a FROM users WHERE password = '***'"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }
}
