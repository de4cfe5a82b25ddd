//! SQL as PostgreSQL reads it: text → statements. The only user of `sqlparser`. Pure.
//!
//! The text is cut into tokens exactly as PostgreSQL cuts it ([`lex`]), split into statements at its semicolons, and each
//! statement read by its first words: utility statements here, queries and data-modifying statements by sqlparser, which
//! is handed our tokens ([`rewrite`]) and whose tree is taken over whole ([`convert`]).
//!
//! Invariant: what cannot be carried into [`tree`] makes the text [`Unreadable`]; nothing is left out of a statement
//! that is returned, and no statement out of a text.

mod convert;
mod cursor;
mod fingerprint;
pub mod keywords;
pub mod lex;
mod likeness;
mod limits;
mod marker;
mod parameters;
mod parse;
mod redact;
mod rewrite;
pub mod shape;
mod split;
pub mod tree;
mod types;
mod utility;
mod wrapped;

pub use likeness::Likeness;
pub use parameters::with_nulls;
pub use redact::{REDACTED, Redacted, holds_credentials, redact, redact_all, redact_execute, redacted};
pub use tree::Statement;

/// Bounds on what is analysed at all; checked before any parsing.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one message's text.
    pub text: usize,
    /// Depth of nesting of parentheses and brackets.
    pub depth: usize,
    /// Operators, set operations and the like in one statement: each deepens the tree.
    pub chain: usize,
    /// Statements in one message.
    pub statements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text: 256 * 1024, depth: 64, chain: 5_000, statements: 1_000 }
    }
}

/// Why a text could not be read: SQLSTATE 0A000, never 42501.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// What was wrong, in words a user understands.
    pub message: String,
    /// Byte offset in the text where it was noticed.
    pub position: usize,
}

/// Reads a message's text: one entry for each statement that PostgreSQL would run.
///
/// The parser recurses, by an amount that is known from the tokens: where the caller's stack has less left than that, it
/// is lent a large one, so that this may be called from any thread. The time is bounded by `limits`.
pub fn read(text: &str, limits: &Limits) -> Result<Vec<Statement>, Unreadable> {
    if text.len() > limits.text {
        return Err(Unreadable { message: "the text is too long to be analysed".to_owned(), position: limits.text });
    }
    let tokens = lex::tokens(text)?;
    let statements = split::statements(&tokens, limits)?;
    let weight = limits::check(&statements, limits)?;
    let read_all = || statements.iter().map(|tokens| statement(tokens)).collect();
    stacker::maybe_grow(weight.stack(), LARGE_STACK, || recovering(read_all))
}

/// The letter of the statement that is alone in a text: from its first token to its last. `None` where it is not alone.
#[must_use]
pub fn lone_statement(text: &str) -> Option<&str> {
    let tokens = lex::tokens(text).ok()?;
    match split::statements(&tokens, &Limits::default()).ok()?.as_slice() {
        [[first, .., last]] => text.get(first.range.start..last.range.end),
        [[only]] => text.get(only.range.clone()),
        [..] => None,
    }
}

fn statement(tokens: &[lex::Token]) -> Result<Statement, Unreadable> {
    let (kind, action) = utility::action(tokens)?;
    let range = match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => first.range.start..last.range.end,
        (_, _) => 0..0,
    };
    let query = wrapped::query(tokens, &action);
    Ok(Statement { kind, action, range, query, fingerprint: fingerprint::fingerprint(tokens) })
}

/// Bytes; mostly address space, as pages are only taken when touched.
const LARGE_STACK: usize = 256 * 1024 * 1024;

/// A fault of the parser's is that text's alone.
fn recovering<T>(work: impl FnOnce() -> Result<T, Unreadable>) -> Result<T, Unreadable> {
    let failed = |_| Unreadable { message: "the text could not be analysed".to_owned(), position: 0 };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|fault| Err(failed(fault)))
}

#[cfg(test)]
mod tests;
