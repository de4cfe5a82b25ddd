//! Guard rails: what a scope's grants refuse although it lies within what they allow.

use super::context::Context;
use super::denial::Refusal;
use super::verdict::{Denial, Rule};
use super::{catalogs, filter, functions, statements};
use crate::access::{Operation, Scope};
use crate::catalog::Footprint;
use crate::sql::tree::{Action, Statement, Transaction};

/// A guard rail of a scope that a statement has met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// An UPDATE or DELETE of every row.
    Unfiltered { kind: &'static str, table: String },
    /// Nobody has said why.
    NoReason,
    /// It asks for a transaction that writes.
    ReadWrite(&'static str),
    /// It brings back settings under which transactions write.
    Restores(&'static str),
}

/// Whether a statement that `scope` allows keeps within its guard rails.
pub(super) fn check(
    statement: &Statement,
    footprint: &Footprint,
    scope: &Scope,
    context: &Context,
) -> Result<(), Refusal> {
    let guards = &scope.guards;
    if !guards.unfiltered_writes
        && let Some((kind, table)) = filter::unfiltered(&statement.action)
    {
        return Err(Refusal::Guard(Guard::Unfiltered { kind, table: table.to_string() }));
    }
    if guards.require_reason && !context.session.has_reason && !is_free(statement, footprint, context) {
        return Err(Refusal::Guard(Guard::NoReason));
    }
    Ok(())
}

/// What a session may do before it has said why: its own plumbing, and reading the catalogs as drivers do.
fn is_free(statement: &Statement, footprint: &Footprint, context: &Context) -> bool {
    if statements::is_plumbing(&statement.action) {
        return true;
    }
    let reads = |action: &Action| matches!(action, Action::Query(_) | Action::DeclareCursor { .. });
    let only_reads = match &statement.action {
        Action::Prepare { inner, .. } => reads(&inner.action),
        Action::Explain { inner, .. } => reads(inner),
        action => reads(action) || matches!(action, Action::Fetch { .. } | Action::Execute { .. }),
    };
    only_reads
        && footprint.effects.is_empty()
        && footprint
            .relations
            .iter()
            .all(|touched| touched.operation == Operation::Select && catalogs::is_catalog(&touched.schema))
        && footprint.functions.iter().all(|function| functions::is_free(function, &context.search_paths))
}

/// The refusal of everything in a transaction that may write, once no grant is live that does: its end alone is let
/// through.
pub(super) fn left_writing(statement: &Statement, context: &Context) -> Option<Denial> {
    let writes = |scope: &Scope| !scope.is_read_only();
    let is_left = context.session.writable && !context.live().any(|grant| writes(&grant.scope));
    let ends = matches!(
        statement.action,
        Action::Transaction(Transaction::Commit { chain: false } | Transaction::Rollback { chain: false })
    );
    (is_left && !ends).then(|| Denial {
        rule: Rule::Guard,
        message: "the transaction may write, and the grant for that has ended".to_owned(),
        detail: "Every grant that is live now is read-only (rule guard)".to_owned(),
        hint: Some("COMMIT or ROLLBACK; what begins after that is READ ONLY.".to_owned()),
    })
}

impl Guard {
    /// The primary message and the reason.
    pub(super) fn words(&self) -> (String, String) {
        match self {
            Guard::Unfiltered { kind, table } => (
                format!("{kind} of every row of {table} is not permitted"),
                format!("The scope wants a condition that names a column of {table}."),
            ),
            Guard::NoReason => (
                "a reason is needed first".to_owned(),
                "Nothing runs under this scope before the session has said why.".to_owned(),
            ),
            Guard::ReadWrite(what) => (
                format!("permission denied for {what}"),
                "The scope is read-only: its transactions are READ ONLY.".to_owned(),
            ),
            Guard::Restores(what) => (
                format!("permission denied for {what}"),
                "It would let transactions write again, and every live grant is read-only.".to_owned(),
            ),
        }
    }

    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Guard::Unfiltered { kind: "MERGE", table } => format!("Join {table} ON one of its columns."),
            Guard::Unfiltered { table, .. } => format!("Add a WHERE clause that names a column of {table}."),
            Guard::NoReason => "SET pgward.reason = '…'".to_owned(),
            Guard::ReadWrite(_) => return None,
            Guard::Restores(_) => "Connect again.".to_owned(),
        };
        Some(hint)
    }
}

#[cfg(test)]
mod tests;
