//! What identifies a statement but for its constants.

use aws_lc_rs::digest::{SHA256, digest};

use super::lex::{Kind, Token};
use super::tree::Fingerprint;

/// SHA-256 over the tokens, constants replaced by one placeholder and lists of constants by one constant.
pub fn fingerprint(tokens: &[Token]) -> Fingerprint {
    let mut parts: Vec<&Kind> = Vec::with_capacity(tokens.len());
    for token in tokens {
        parts.push(&token.kind);
    }
    let mut text = String::with_capacity(tokens.len() * 6);
    let mut index = 0;
    while let Some(kind) = parts.get(index) {
        write(&mut text, kind);
        index += 1;
        // `?, ?, ?` and `(?), (?)` say no more than their first element.
        if is_constant(kind) {
            while parts.get(index) == Some(&&Kind::Mark(','))
                && parts.get(index + 1).is_some_and(|next| is_constant(next))
            {
                index += 2;
            }
        } else if **kind == Kind::Mark(')') && text.ends_with(ROW) {
            while row(&parts, index) {
                index = skip_row(&parts, index);
            }
        }
    }
    let hash = digest(&SHA256, text.as_bytes());
    let mut short = [0; 16];
    short.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    Fingerprint(short)
}

/// How a row of constants is written.
const ROW: &str = "(\u{1}?\u{1})\u{1}";

fn is_constant(kind: &Kind) -> bool {
    matches!(kind, Kind::String(_) | Kind::Bit(_) | Kind::Integer(_) | Kind::Numeric(_) | Kind::Parameter(_))
        || matches!(kind, Kind::Word(word) if matches!(word.as_str(), "null" | "true" | "false" | "default"))
}

/// Whether `, (?, ?)` stands here.
fn row(parts: &[&Kind], at: usize) -> bool {
    let end = skip_row(parts, at);
    end > at + 3
        && parts.get(at) == Some(&&Kind::Mark(','))
        && parts.get(at + 1) == Some(&&Kind::Mark('('))
        && parts.get(end - 1) == Some(&&Kind::Mark(')'))
}

fn skip_row(parts: &[&Kind], at: usize) -> usize {
    let mut end = at + 2;
    while parts.get(end).is_some_and(|kind| is_constant(kind) || **kind == Kind::Mark(',')) {
        end += 1;
    }
    end + 1
}

/// Each token ends in a byte that no name has unescaped, so that no two statements run together alike.
fn write(text: &mut String, kind: &Kind) {
    match kind {
        _ if is_constant(kind) => text.push('?'),
        Kind::Word(word) => text.push_str(word),
        Kind::Quoted(name) => {
            // A quoted name that could have been written bare is the same name.
            let bare = super::keywords::category(name) == super::keywords::Category::Free
                && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_')
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            if bare {
                text.push_str(name);
            } else {
                text.push('"');
                text.push_str(&name.replace('\u{1}', "\u{1}\u{1}"));
            }
        }
        Kind::Operator(symbol) => text.push_str(symbol),
        Kind::Mark(mark) => text.push(*mark),
        Kind::DoubleColon => text.push_str("::"),
        Kind::DoubleDot => text.push_str(".."),
        Kind::ColonEquals => text.push_str(":="),
        Kind::Arrow => text.push_str("=>"),
        Kind::String(_) | Kind::Bit(_) | Kind::Integer(_) | Kind::Numeric(_) | Kind::Parameter(_) => {}
    }
    text.push('\u{1}');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sql::lex::tokens;

    fn of(text: &str) -> Fingerprint {
        fingerprint(&tokens(text).unwrap())
    }

    #[test]
    fn constants_white_space_and_case_do_not_matter() {
        for (left, right) in [
            ("select a from t where b = 1", "SELECT  a FROM \"t\" /* x */ WHERE b='x'"),
            ("select 1 where a in (1)", "select 1 where a in (1, $2, 'x')"),
            ("insert into t values (1, 2)", "insert into t values (3, 4), (5, 6), (7, null)"),
        ] {
            assert_eq!(of(left), of(right), "{right}");
        }
    }

    #[test]
    fn names_and_shape_matter() {
        for (left, right) in [
            ("select a from t", "select b from t"),
            ("select a from t", "select \"A\" from t"),
            ("select a, b", "select a b"),
            ("select 1", "select 1, a"),
            ("select \"a b\"", "select a b"),
            ("insert into t values (1)", "insert into t values (1), (a)"),
        ] {
            assert_ne!(of(left), of(right), "{right}");
        }
    }
}
