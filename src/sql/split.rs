//! A message's tokens, split into statements where PostgreSQL's grammar splits them: at semicolons outside of
//! parentheses. Empty statements vanish. A body of CREATE FUNCTION … BEGIN ATOMIC is split too: more statements are
//! seen than run, never fewer, and its first part is denied as what it is.

use super::lex::{Kind, Token};
use super::{Limits, Unreadable};

/// The statements' tokens, none of them empty, with balanced parentheses and brackets.
pub fn statements<'a>(tokens: &'a [Token], limits: &Limits) -> Result<Vec<&'a [Token]>, Unreadable> {
    let mut found = Vec::new();
    let mut open = Vec::new();
    let mut start = 0;
    for (index, token) in tokens.iter().enumerate() {
        let refuse = |message: &str| Unreadable { message: message.to_owned(), position: token.range.start };
        match token.kind {
            Kind::Mark('(') => open.push(')'),
            Kind::Mark('[') => open.push(']'),
            Kind::Mark(close @ (')' | ']')) if open.pop() != Some(close) => {
                return Err(refuse("an unbalanced parenthesis"));
            }
            Kind::Mark(';') if open.is_empty() => {
                found.push(tokens.get(start..index).unwrap_or_default());
                start = index + 1;
            }
            _ => {}
        }
        if open.len() > limits.depth {
            return Err(refuse("parentheses nested too deeply"));
        }
    }
    if !open.is_empty() {
        let position = tokens.last().map_or(0, |token| token.range.end);
        return Err(Unreadable { message: "an unbalanced parenthesis".to_owned(), position });
    }
    found.push(tokens.get(start..).unwrap_or_default());
    found.retain(|statement| !statement.is_empty());
    if found.len() > limits.statements {
        let position = tokens.last().map_or(0, |token| token.range.end);
        return Err(Unreadable { message: "too many statements in one message".to_owned(), position });
    }
    Ok(found)
}
