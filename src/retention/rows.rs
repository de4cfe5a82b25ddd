//! The conditions in SQL: which rows are overdue, which are held, which others need, and which are due.
//!
//! Each condition stands where exactly one table is in sight, so that the bare names of a policy's or a hold's own condition mean
//! that table's columns and no others.

use super::facts::{Facts, ForeignKey, OnDelete, Table};
use super::policy::{Action, Change, Hold, Policy};
use super::sql::{identifier, literal};

/// Conditions over the rows of one database at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub facts: &'a Facts,
    pub holds: &'a [Hold],
    /// The policies whose deletions come before: what they take with them is in nobody's way.
    pub before: &'a [(&'a Policy, String)],
}

/// Deeper than any chain of foreign keys that is checked to be without a cycle.
const DEEPEST: usize = 32;

impl Rows<'_> {
    /// Past its time, and wanted gone by the policy's own condition.
    #[must_use]
    pub fn overdue(policy: &Policy, table: &Table, alias: &str, cutoff: &str) -> String {
        let column = format!("{alias}.{}", identifier(&policy.column));
        let base = table.column(&policy.column).map_or("", |column| column.base.as_str());
        let past = format!("{column} OPERATOR(pg_catalog.<) {}", instant(base, cutoff));
        match &policy.only {
            None => past,
            Some(only) => format!("{past} AND ({only}) IS TRUE"),
        }
    }

    /// Due: overdue, and neither held nor needed; of what is anonymised only what is not yet.
    #[must_use]
    pub fn due(&self, policy: &Policy, table: &Table, alias: &str, cutoff: &str) -> String {
        let mut all = vec![Self::overdue(policy, table, alias, cutoff)];
        all.extend(self.keeping(policy, table, alias).iter().map(|why| format!("NOT ({why})")));
        if let Action::Anonymise(changes) = &policy.action {
            let undone: Vec<String> =
                changes.iter().filter_map(|(column, change)| undone(table, alias, column, change)).collect();
            all.push(format!("({})", undone.join(" OR ")));
        }
        all.join(" AND ")
    }

    /// What keeps a row from what the policy does, each a condition of its own.
    #[must_use]
    pub fn keeping(&self, policy: &Policy, table: &Table, alias: &str) -> Vec<String> {
        match policy.action {
            Action::Report => Vec::new(),
            Action::Anonymise(_) => self.held(table),
            Action::Delete { .. } => self.staying(table, alias, 1),
        }
    }

    /// The rows of a table that holds name. A condition that is unknown of a row holds it.
    #[must_use]
    pub fn held(&self, table: &Table) -> Vec<String> {
        let on = table.relation();
        // Foreign keys may come from a part alone, and holds are on the whole.
        let is_part = |whole: &Table| self.facts.parts_of(whole).contains(&on);
        let means = |hold: &&Hold| hold.on == on || self.facts.table(&hold.on).is_some_and(is_part);
        let holds = self.holds.iter().filter(means);
        holds
            .map(|hold| hold.rows.as_ref().map_or("true".to_owned(), |rows| format!("({rows}) IS NOT FALSE")))
            .collect()
    }

    /// What keeps a row from being deleted: a hold on it, or rows that refer to it and stay.
    fn staying(&self, table: &Table, alias: &str, depth: usize) -> Vec<String> {
        if depth > DEEPEST {
            return vec!["true".to_owned()];
        }
        let mut why = self.held(table);
        for (key, child) in self.facts.referring(table) {
            why.extend(
                self.needing(key, child, depth).into_iter().map(|need| self.exists(key, child, alias, depth, &need)),
            );
        }
        why
    }

    /// Of the rows that refer to a row by one key: which of them need it. No condition at all where none do.
    fn needing(&self, key: &ForeignKey, child: &Table, depth: usize) -> Vec<String> {
        let inner = alias(depth);
        match key.on_delete {
            OnDelete::SetNull | OnDelete::SetDefault => self.held(child),
            OnDelete::Cascade => self.staying(child, &inner, depth + 1),
            OnDelete::NoAction | OnDelete::Restrict => {
                let before = self.before.iter().find(|(policy, _)| policy.deletes() && policy.on == child.relation());
                match before {
                    None => vec!["true".to_owned()],
                    Some((policy, cutoff)) => {
                        let overdue = Self::overdue(policy, child, &inner, cutoff);
                        let mut all = vec![format!("({overdue}) IS NOT TRUE")];
                        all.extend(self.staying(child, &inner, depth + 1));
                        all
                    }
                }
            }
        }
    }

    /// The rows that need a row of `table`, by one foreign key; `None` where whoever refers by it never does.
    #[must_use]
    pub fn needed_by(&self, key: &ForeignKey, child: &Table, alias: &str) -> Option<String> {
        let needs = self.needing(key, child, 1);
        let all: Vec<String> = needs.iter().map(|need| self.exists(key, child, alias, 1, need)).collect();
        (!all.is_empty()).then(|| all.join(" OR "))
    }

    fn exists(&self, key: &ForeignKey, child: &Table, outer: &str, depth: usize, condition: &str) -> String {
        let inner = alias(depth);
        let from = child.relation().sql();
        format!("EXISTS (SELECT FROM {from} AS {inner} WHERE {} AND ({condition}))", matching(key, &inner, outer))
    }

    /// Rows of `child` that go with those rows of its parent that `parents` is true of.
    #[must_use]
    pub fn going_with(
        key: &ForeignKey,
        child_alias: &str,
        parent: &Table,
        parent_alias: &str,
        parents: &str,
    ) -> String {
        let from = parent.relation().sql();
        let matching = matching(key, child_alias, parent_alias);
        format!("EXISTS (SELECT FROM {from} AS {parent_alias} WHERE {matching} AND ({parents}))")
    }
}

/// The alias at a depth of nesting.
pub(super) fn alias(depth: usize) -> String {
    format!("t{depth}")
}

/// That the child's row refers to the parent's.
pub(super) fn matching(key: &ForeignKey, child: &str, parent: &str) -> String {
    let pairs = key.child_columns.iter().zip(&key.parent_columns);
    let all: Vec<String> =
        pairs.map(|(of, to)| format!("{child}.{} = {parent}.{}", identifier(of), identifier(to))).collect();
    all.join(" AND ")
}

/// An instant, for a comparison with a column of this type; days and times without a zone are UTC's.
pub(super) fn instant(base: &str, cutoff: &str) -> String {
    let instant = format!("{}::pg_catalog.timestamptz", literal(cutoff));
    match base {
        "timestamp without time zone" => format!("pg_catalog.timezone('UTC', {instant})"),
        "date" => format!("pg_catalog.timezone('UTC', {instant})::pg_catalog.date"),
        _with_zone => instant,
    }
}

/// What `random` puts before a UUID.
const ANONYMOUS: &str = "anonymous-";

/// That a change was not yet done to a row.
fn undone(table: &Table, alias: &str, column: &str, change: &Change) -> Option<String> {
    let found = table.column(column)?;
    let name = format!("{alias}.{}", identifier(column));
    Some(match change {
        Change::Null => format!("{name} IS NOT NULL"),
        Change::Random => {
            format!("({name} IS NOT NULL AND NOT pg_catalog.starts_with({name}::pg_catalog.text, '{ANONYMOUS}'))")
        }
        Change::First(_) | Change::Constant(_) | Change::Default => {
            format!("{name} IS DISTINCT FROM {}", changed(found, &name, change))
        }
    })
}

/// What a column is set to. `name` is the column where it is read.
pub(super) fn changed(column: &super::facts::Column, name: &str, change: &Change) -> String {
    let kind = &column.kind;
    match change {
        Change::Null => "NULL".to_owned(),
        Change::Default => column.default.clone().unwrap_or_else(|| "NULL".to_owned()),
        Change::Constant(text) => format!("{}::{kind}", literal(text)),
        Change::Random => {
            format!(
                "CASE WHEN {name} IS NULL THEN NULL ELSE '{ANONYMOUS}' || pg_catalog.gen_random_uuid()::pg_catalog.text END"
            )
        }
        Change::First(count) => format!("pg_catalog.\"left\"({name}::pg_catalog.text, {count})::{kind}"),
    }
}
