//! Labelled data: a grant reaches no label that its approvers were not shown. Which labels a scope may touch is known by the names
//! in it when access is asked for; what a view or a function reaches beyond them shows only when it is used.

use std::collections::BTreeSet;

use super::context::{DataClass, DatabasePolicy};
use super::denial::Refusal;
use crate::access::{Grant, Operation, Origin};
use crate::catalog::{Columns, Footprint, TouchedRelation};

/// Whether all labels that a statement touches, and that anybody's approval depends on, were shown to the approvers.
pub(super) fn check(footprint: &Footprint, grant: &Grant, database: &DatabasePolicy) -> Result<(), Refusal> {
    let rules = &grant.scope.rules;
    // What nobody approved may touch no labelled data at all.
    let is_watched = |label: &String| match grant.origin {
        Origin::Rule => true,
        Origin::Asked | Origin::BreakGlass => rules.approval_rules.iter().any(|rule| rule.labels.contains(label)),
    };
    if grant.origin != Origin::Rule && rules.approval_rules.iter().all(|rule| rule.labels.is_empty()) {
        return Ok(());
    }
    for touched in footprint.relations.iter().chain(&footprint.sources) {
        let labels = database.data.iter().filter(|class| speaks_of(class, touched)).flat_map(|class| &class.labels);
        if let Some(label) = labels.into_iter().find(|label| is_watched(label) && !rules.labels.contains(label)) {
            return Err(Refusal::Label { relation: touched.clone(), label: label.clone() });
        }
    }
    Ok(())
}

/// The labels of the data that a statement touches, by name, for people.
pub(super) fn of(footprint: &Footprint, database: &DatabasePolicy) -> Vec<String> {
    let touched = footprint.relations.iter().chain(&footprint.sources);
    let classes = touched.flat_map(|touched| {
        // Who removes rows reads no column, and removes all.
        let all = matches!(touched.operation, Operation::Delete | Operation::Truncate);
        let holds = move |class: &&DataClass| {
            speaks_of(class, touched) || all && class.on.matches(&touched.schema, &touched.name)
        };
        database.data.iter().filter(holds)
    });
    let labels: BTreeSet<&String> = classes.flat_map(|class| &class.labels).collect();
    labels.into_iter().cloned().collect()
}

fn speaks_of(class: &DataClass, touched: &TouchedRelation) -> bool {
    let columns = match (&touched.columns, &class.columns) {
        (_, None) | (Columns::WholeRow, _) => true,
        (Columns::None, Some(_)) => false,
        (Columns::Named(names), Some(classed)) => names.iter().any(|name| classed.contains(name)),
    };
    columns && class.on.matches(&touched.schema, &touched.name)
}
