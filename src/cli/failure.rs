//! What went wrong, in PostgreSQL's style: a short message, the facts, and what to do next.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::output::escape;
use crate::audit::ReadError;
use crate::control::Problem;

/// A command that was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    pub hint: Option<String>,
    /// Everything is said already; only the exit code remains.
    pub silent: bool,
}

impl Failure {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), silent: false }
    }

    /// Says it on stderr.
    pub fn report(&self) {
        if !self.silent {
            // Where stderr is gone there is nobody to tell.
            let _ = io::stderr().write_all(self.to_text().as_bytes());
        }
    }

    fn to_text(&self) -> String {
        let mut text = format!("error: {}\n", escape(&self.message));
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "hint: {}", escape(hint));
        }
        text
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { message: problem.detail, hint: problem.hint, silent: false }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { message: error.to_string(), hint: None, silent: error.kind() == io::ErrorKind::BrokenPipe }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::new(error.to_string(), "check --dir; `pgward audit verify --dir` tells more")
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(
            format!("an answer could not be read: {error}"),
            "check that pgward is of the same version at both ends",
        )
    }
}

impl From<anyhow::Error> for Failure {
    /// The whole chain of causes, outermost first. Lines stay lines: a configuration's errors may be several.
    fn from(error: anyhow::Error) -> Self {
        Self { message: format!("{error:#}"), hint: None, silent: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_like_postgresql_and_cannot_drive_the_terminal() {
        let failure = Failure::new("no \u{1b}[31mscope", "ask");
        assert_eq!(failure.to_text(), "error: no \\u{1b}[31mscope\nhint: ask\n");
    }
}
