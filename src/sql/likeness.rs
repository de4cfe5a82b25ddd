//! What two texts have in common that say the same one statement: its tokens, constants and all. White space, comments, the case
//! of unquoted words and semicolons around it do not count. Unlike the [`fingerprint`](super::fingerprint), which two
//! statements with other constants share: who has approved `DELETE … WHERE id = 1` has not approved `id = 2`.

use aws_lc_rs::digest::{Context, SHA256};

use super::lex::{self, Kind, Token};
use super::{Limits, split};

/// SHA-256 over the tokens of one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness([u8; 32]);

impl Likeness {
    /// Of the statement that is alone in `text`; `None` where it is not alone, or no tokens can be read.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let tokens = lex::tokens(text).ok()?;
        match split::statements(&tokens, &Limits::default()).ok()?.as_slice() {
            [only] => Self::of_tokens(only),
            [..] => None,
        }
    }

    fn of_tokens(tokens: &[Token]) -> Option<Self> {
        let mut digest = Context::new(&SHA256);
        for token in tokens {
            let (tag, said) = parts(&token.kind);
            // With its kind and length in front, no token runs into the next.
            digest.update(&[tag]);
            digest.update(&(said.len() as u64).to_be_bytes());
            digest.update(said.as_bytes());
        }
        digest.finish().as_ref().try_into().ok().map(Self)
    }
}

/// A letter for the kind of token, and what it says. A quoted name is never an unquoted one: which words may be either is
/// PostgreSQL's to know.
fn parts(kind: &Kind) -> (u8, String) {
    match kind {
        Kind::Word(word) => (b'w', word.clone()),
        Kind::Quoted(name) => (b'q', name.clone()),
        Kind::String(value) => (b's', value.clone()),
        Kind::Bit(value) => (b'b', value.clone()),
        Kind::Integer(value) => (b'i', value.clone()),
        Kind::Numeric(value) => (b'n', value.clone()),
        Kind::Parameter(number) => (b'p', number.to_string()),
        Kind::Operator(symbol) => (b'o', symbol.clone()),
        Kind::Mark(mark) => (b'm', mark.to_string()),
        Kind::DoubleColon => (b't', String::new()),
        Kind::DoubleDot => (b'd', String::new()),
        Kind::ColonEquals => (b'e', String::new()),
        Kind::Arrow => (b'a', String::new()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(text: &str) -> Likeness {
        Likeness::of(text).unwrap()
    }

    #[test]
    fn white_space_case_comments_and_semicolons_do_not_matter() {
        for (left, right) in [
            ("SELECT a FROM t WHERE b = 1", "select  A\n from T /* why */ where b=1 -- so\n;"),
            ("SELECT 'x'", ";; select E'x' ;"),
            ("SELECT a FROM t WHERE b <> $1", "select a from t where b != $1"),
            ("SELECT 'ab'", "select 'a'\n'b'"),
        ] {
            assert_eq!(of(left), of(right), "{right}");
        }
    }

    #[test]
    fn constants_names_parameters_and_order_matter() {
        for (left, right) in [
            ("DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 2"),
            ("DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = '1'"),
            ("DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = $1"),
            ("DELETE FROM t WHERE id = $1", "DELETE FROM t WHERE id = $2"),
            ("SELECT 'a'", "SELECT 'A'"),
            ("SELECT 'a '", "SELECT 'a'"),
            ("SELECT a", "SELECT \"A\""),
            ("SELECT a", "SELECT b"),
            ("SELECT current_user", "SELECT \"current_user\""),
            ("SELECT a, b", "SELECT b, a"),
            ("SELECT a b", "SELECT ab"),
            ("SELECT 1.0", "SELECT 1.00"),
            ("SELECT B'1'", "SELECT '1'"),
            ("SELECT 'a', 'b'", "SELECT 'a'',''b'"),
            ("SELECT a FROM t", "SELECT a FROM t LIMIT 1"),
        ] {
            assert_ne!(of(left), of(right), "{right}");
        }
    }

    #[test]
    fn only_one_statement_is_like_another() {
        for text in ["", ";", "-- nothing", "SELECT 1; SELECT 1", "SELECT 'open", "SELECT (1"] {
            assert_eq!(Likeness::of(text), None, "{text}");
        }
    }
}
