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
            _itself => Some(statement.range.clone()),
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
        _others => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::access::Scope;
    use crate::sql::{self, Limits};

    fn grant(only: &str, uses: Option<u32>, used: u32) -> Grant {
        let scope: Scope = serde_json::from_value(serde_json::json!({
            "name": "all", "database": "shop", "regions": [], "requesters": [], "approvers": [], "approvals": 1,
            "max_duration": {"secs": 60, "nanos": 0}, "guards": {}, "allow": []
        }))
        .unwrap();
        let supposed = Grant::supposed(&scope.into(), jiff::Timestamp::UNIX_EPOCH);
        Grant { statement: Some(only.to_owned()), uses, used, ..supposed }
    }

    fn lets(text: &str, grant: &Grant, goes_on: bool) -> Result<(), Refusal> {
        let statements = sql::read(text, &Limits::default()).unwrap();
        let statement = statements.first().unwrap();
        check(statement, &Wording::of(statement, text), grant, goes_on)
    }

    #[test]
    fn the_statement_and_what_stands_around_it() {
        let grant = grant("SELECT a FROM t WHERE b = 1", None, 0);
        for text in [
            "select a from t where b = 1;",
            "EXPLAIN SELECT a FROM t WHERE b = 1",
            "PREPARE p AS SELECT a FROM t WHERE b = 1",
            "EXECUTE p",
            "EXPLAIN EXECUTE p",
            "BEGIN",
            "SET statement_timeout = 1",
        ] {
            assert!(lets(text, &grant, false).is_ok(), "{text}");
        }
        for text in [
            "SELECT a FROM t WHERE b = 2",
            "EXPLAIN ANALYZE SELECT a FROM t WHERE b = 1",
            "PREPARE p AS SELECT a FROM t WHERE b = 2",
            "EXPLAIN ANALYZE EXECUTE p",
            "COPY (SELECT a FROM t WHERE b = 1) TO STDOUT",
            "DECLARE c CURSOR FOR SELECT a FROM t WHERE b = 1",
            "FETCH 1 FROM c",
        ] {
            assert!(matches!(lets(text, &grant, false), Err(Refusal::OtherStatement)), "{text}");
        }
    }

    #[test]
    fn what_is_used_up_begins_no_more() {
        let (open, done) = (grant("SELECT 1", Some(2), 1), grant("SELECT 1", Some(2), 2));
        assert!(lets("SELECT 1", &open, false).is_ok());
        assert!(matches!(lets("SELECT 1", &done, false), Err(Refusal::UsedUp(2))));
        assert!(matches!(lets("EXECUTE p", &done, false), Ok(())), "what it runs is judged by itself");
        assert!(lets("SELECT 1", &done, true).is_ok(), "what has begun goes on");
        for text in ["EXPLAIN SELECT 1", "PREPARE p AS SELECT 1", "COMMIT"] {
            assert!(lets(text, &done, false).is_ok(), "{text}");
        }
    }
}
