//! Grants for one statement: which statements such a grant lets through, and which of those count as a use of it.

use std::cell::OnceCell;

use super::context::Context;
use super::denial::Refusal;
use super::statements::is_plumbing;
use super::verdict::Denial;
use crate::access::Grant;
use crate::sql::Likeness;
use crate::sql::tree::{Action, Statement};

/// The words of a statement, as grants for one statement are held against them; read only where there is such a grant.
#[derive(Debug)]
pub(super) struct Wording<'a> {
    text: &'a str,
    likeness: OnceCell<Option<Likeness>>,
}

impl<'a> Wording<'a> {
    /// Of a statement that stands in `text`: of an EXPLAIN that runs nothing, and of a PREPARE, the query that it is about.
    pub(super) fn of(statement: &Statement, text: &'a str) -> Self {
        let range = match &statement.action {
            Action::Explain { analyze: false, .. } | Action::Prepare { .. } => statement.query.clone(),
            ref _itself => Some(statement.range.clone()),
        };
        Self::alone(range.and_then(|range| text.get(range)).unwrap_or_default())
    }

    /// Of the statement that is alone in `text`.
    pub(super) fn alone(text: &'a str) -> Self {
        Self { text, likeness: OnceCell::new() }
    }

    /// Whether it is the one that a grant is for. What cannot be read is like nothing.
    fn is(&self, only: &str) -> bool {
        let likeness = self.likeness.get_or_init(|| Likeness::of(self.text));
        likeness.is_some() && *likeness == Likeness::of(only)
    }
}

/// Whether `grant` lets this statement through, as far as it is for one statement.
pub(super) fn check(statement: &Statement, wording: &Wording<'_>, grant: &Grant, goes_on: bool) -> Result<(), Refusal> {
    let Some(only) = &grant.statement else { return Ok(()) };
    if is_plumbing(&statement.action) || runs_by_name(&statement.action) {
        return Ok(());
    }
    if !wording.is(only) {
        return Err(Refusal::OtherStatement);
    }
    // Those around it and its EXPLAIN use nothing up, and what has begun may be read to its end.
    match grant.uses.filter(|_| grant.is_used_up() && counts(&statement.action) && !goes_on) {
        Some(uses) => Err(Refusal::UsedUp(uses)),
        None => Ok(()),
    }
}

/// The denial of a statement whose grant was used up in the meantime.
#[must_use]
pub fn used_up(grant: &Grant, context: &Context) -> Denial {
    Refusal::UsedUp(grant.uses.unwrap_or_default()).into_denial(grant, context)
}

/// Whether a statement that a grant for one statement allows is a use of it: it runs.
#[must_use]
pub fn counts(action: &Action) -> bool {
    let runs = !matches!(action, Action::Explain { analyze: false, .. } | Action::Prepare { .. });
    runs && !is_plumbing(action)
}

/// What such a statement runs is judged by itself, together with what it is run with.
fn runs_by_name(action: &Action) -> bool {
    match action {
        Action::Execute { .. } => true,
        Action::Explain { analyze: false, inner } => runs_by_name(inner),
        ref _others => false,
    }
}
