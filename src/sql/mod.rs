//! SQL as PostgreSQL reads it: text → statements. The only user of `sqlparser`. Pure.

pub mod tree;

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
