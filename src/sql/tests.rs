//! The whole way from text to statements.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod corpora;
mod grammar;
mod limits;
mod queries;
mod random;

use super::tree::{Action, Statement};
use super::{Limits, Unreadable, read};

fn try_read(text: &str) -> Result<Vec<Statement>, Unreadable> {
    read(text, &Limits::default())
}

/// The one statement of a text.
fn one(text: &str) -> Statement {
    let mut statements = try_read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0)
}

/// Every `QualifiedName` under a label in the tree's debug form: enough to see that none is lost.
fn mentions(statement: &Statement, label: &str) -> Vec<String> {
    let text = format!("{:?}", statement.action);
    let mut found: Vec<String> = text
        .split(label)
        .skip(1)
        .map(|rest| {
            let names = rest.split("] }").next().unwrap_or_default();
            let parts: Vec<&str> = names.split("Name(\"").skip(1).filter_map(|part| part.split("\")").next()).collect();
            parts.join(".")
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The relations that a statement names, sorted.
fn relations(statement: &Statement) -> Vec<String> {
    let mut found = mentions(statement, "RelationRef { name: QualifiedName {");
    if let Action::Insert(insert) = &statement.action {
        found.push(insert.table.to_string());
    }
    found.sort();
    found
}

#[test]
fn statements_are_split_as_postgresql_splits_them() {
    for (text, kinds) in [
        ("", vec![]),
        (" ; ;; -- x", vec![]),
        ("SELECT 1;;;SELECT 2", vec!["SELECT", "SELECT"]),
        ("BEGIN; SELECT ';'; COMMIT", vec!["BEGIN", "SELECT", "COMMIT"]),
        ("COPY t FROM STDIN; DELETE FROM secret", vec!["COPY", "DELETE"]),
        ("CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)", vec!["CREATE RULE"]),
    ] {
        let found: Vec<_> = try_read(text).unwrap().iter().map(|statement| statement.kind).collect();
        assert_eq!(found, kinds, "{text}");
    }
}

#[test]
fn ranges_are_the_statements_text() {
    let text = " SELECT 1 ; /* x */ SELECT 'é' ;";
    let found: Vec<_> = try_read(text).unwrap().iter().map(|statement| &text[statement.range.clone()]).collect();
    assert_eq!(found, ["SELECT 1", "SELECT 'é'"]);
}
