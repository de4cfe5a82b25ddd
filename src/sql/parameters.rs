//! A query without its parameters: for questions about more of them than a function may have.

use super::lex::{Kind, tokens};

/// The text with a null of the parameter's type in place of each `$n`; `types` are written so that they mean the same
/// anywhere. `None` where the text cannot be cut into tokens or names a parameter that has no type.
#[must_use]
pub fn with_nulls(text: &str, types: &[String]) -> Option<String> {
    let mut filled = String::with_capacity(text.len() * 2);
    let mut at = 0;
    for token in tokens(text).ok()? {
        let Kind::Parameter(number) = token.kind else { continue };
        let of = types.get(usize::from(number).checked_sub(1)?)?;
        filled.push_str(text.get(at..token.range.start)?);
        filled.push_str(" (NULL::");
        filled.push_str(of);
        filled.push_str(") ");
        at = token.range.end;
    }
    filled.push_str(text.get(at..)?);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_nulls_and_nothing_else_changes() {
        let types = ["pg_catalog.int4".to_owned(), "pg_catalog.text".to_owned()];
        for (text, expected) in [
            ("SELECT $1", Some("SELECT  (NULL::pg_catalog.int4) ")),
            ("a IN ($2,$1)", Some("a IN ( (NULL::pg_catalog.text) , (NULL::pg_catalog.int4) )")),
            ("SELECT '$1', \"$1\", $$ $1 $$ /* $1 */ -- $1", Some("SELECT '$1', \"$1\", $$ $1 $$ /* $1 */ -- $1")),
            ("SELECT $3", None),
            ("SELECT 'a", None),
        ] {
            assert_eq!(with_nulls(text, &types).as_deref(), expected, "{text}");
        }
    }
}
