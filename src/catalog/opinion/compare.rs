//! What of PostgreSQL's opinion is missing from a footprint. A footprint may hold more: what lies behind views, children and
//! partitions, what triggers, rules, defaults and foreign keys reach, the functions of types, every candidate of an overloaded
//! name, whole rows where single columns would do.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use super::{Opinion, Use};
use crate::access::Operation;
use crate::catalog::footprint::{Columns, Footprint, Oid, TouchedRelation};
use crate::catalog::snapshot::{FIRST_USER_OID, Snapshot};

/// How much of an opinion counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything.
    Full,
    /// Which relations they are: the question was put in another statement's words.
    Names,
}

/// One thing that PostgreSQL says the statement touches and the footprint does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// PostgreSQL reads so many statements in what was taken for one.
    Statements(usize),
    Relation {
        relation: String,
        operation: Option<Operation>,
    },
    Column {
        relation: String,
        column: String,
        operation: Operation,
    },
    WholeRow {
        relation: String,
    },
    Function(String),
    /// A function of a domain's check.
    Check(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Statements(number) => write!(f, "{number} statements"),
            Difference::Relation { relation, operation: Some(operation) } => write!(f, "{operation} on {relation}"),
            Difference::Relation { relation, operation: None } => write!(f, "relation {relation}"),
            Difference::Column { relation, column, operation } => {
                write!(f, "{operation} on column {column} of {relation}")
            }
            Difference::WholeRow { relation } => write!(f, "the whole row of {relation}"),
            Difference::Function(function) => write!(f, "function {function}"),
            Difference::Check(function) => write!(f, "function {function} of a domain's check"),
        }
    }
}

/// What `footprint` lacks; nothing where both agree. Sorted, without repetition.
#[must_use]
pub fn compare(snapshot: &Snapshot, footprint: &Footprint, opinion: &Opinion, depth: Depth) -> Vec<Difference> {
    let ours = Ours::new(snapshot, footprint);
    let mut missing = BTreeSet::new();
    if opinion.statements != 1 {
        missing.insert(Difference::Statements(opinion.statements));
    }
    for used in &opinion.uses {
        match depth {
            Depth::Full => ours.missing_use(used, &mut missing),
            Depth::Names => ours.missing_relation(used.relation, &mut missing),
        }
    }
    for relation in &opinion.relations {
        ours.missing_relation(*relation, &mut missing);
    }
    let inserted = |relation: Oid| {
        opinion.uses.iter().any(|used| used.relation == relation && used.operation == Operation::Insert)
    };
    for (relation, column) in &opinion.depends_on_columns {
        let is_named = ours.is_named(*relation, opinion);
        if !is_named || opinion.relations.contains(relation) {
            ours.missing_relation(*relation, &mut missing);
        }
        // ON CONFLICT depends on every column of the row that could not be inserted, and a field of a row on the column of that
        // name: what is read of the relations themselves is in the privileges, column by column.
        if depth == Depth::Full && !is_named && !inserted(*relation) {
            ours.missing_column(*relation, *column, &mut missing);
        }
    }
    if depth == Depth::Full {
        ours.missing_functions(opinion, &mut missing);
    }
    missing.into_iter().collect()
}

/// A footprint, to be looked into.
struct Ours<'f> {
    snapshot: &'f Snapshot,
    footprint: &'f Footprint,
    functions: HashSet<Oid>,
}

impl<'f> Ours<'f> {
    fn new(snapshot: &'f Snapshot, footprint: &'f Footprint) -> Self {
        Self { snapshot, footprint, functions: footprint.functions.iter().map(|function| function.oid).collect() }
    }

    /// The uses of a relation by its own name.
    fn uses(&self, relation: Oid) -> impl Iterator<Item = &'f TouchedRelation> {
        let direct = |touched: &&TouchedRelation| touched.through.is_none() && touched.child_of.is_none();
        self.footprint.relations.iter().filter(direct).filter(move |touched| touched.oid == relation)
    }

    /// Whether a statement can depend on the relation without touching it: by `'t'::regclass`, or by a value that has the type
    /// of its rows.
    fn is_named(&self, relation: Oid, opinion: &Opinion) -> bool {
        if opinion.named.contains(&relation) {
            return true;
        }
        let Some(known) = self.snapshot.relations.get(&relation) else { return false };
        let is_row = |oid: &Oid| {
            let mut oid = *oid;
            // A domain over it, or an array of it.
            while let Some(entry) = self.snapshot.types.get(&oid).filter(|_| oid != known.row_type) {
                oid = if entry.kind == 'd' { entry.base } else { entry.element };
            }
            oid == known.row_type
        };
        opinion.types.iter().any(is_row)
    }

    fn missing_relation(&self, oid: Oid, missing: &mut BTreeSet<Difference>) {
        if self.uses(oid).next().is_none() {
            missing.insert(Difference::Relation { relation: self.relation_name(oid), operation: None });
        }
    }

    fn missing_use(&self, used: &Use, missing: &mut BTreeSet<Difference>) {
        let operation = used.operation;
        let relation = || self.relation_name(used.relation);
        let ours: Vec<&TouchedRelation> =
            self.uses(used.relation).filter(|touched| touched.operation == operation).collect();
        if ours.is_empty() {
            missing.insert(Difference::Relation { relation: relation(), operation: Some(operation) });
            return;
        }
        if self.footprint.unseen.contains(&used.relation) {
            return;
        }
        for number in &used.columns {
            match number {
                // The system's columns come with any use of the relation.
                ..0 => {}
                0 => {
                    if !self.columns_of(used.relation).all(|column| ours.iter().any(|touched| holds(touched, column))) {
                        missing.insert(Difference::WholeRow { relation: relation() });
                    }
                }
                1.. => {
                    let name = self.column_name(used.relation, *number);
                    if !ours.iter().any(|touched| holds(touched, &name)) {
                        missing.insert(Difference::Column { relation: relation(), column: name, operation });
                    }
                }
            }
        }
    }

    fn missing_column(&self, oid: Oid, number: i32, missing: &mut BTreeSet<Difference>) {
        let Ok(number @ 1..) = i16::try_from(number) else { return };
        let name = self.column_name(oid, number);
        if !self.footprint.unseen.contains(&oid) && !self.uses(oid).any(|touched| holds(touched, &name)) {
            let relation = self.relation_name(oid);
            missing.insert(Difference::Column { relation, column: name, operation: Operation::Select });
        }
    }

    fn missing_functions(&self, opinion: &Opinion, missing: &mut BTreeSet<Difference>) {
        let of_users = opinion.functions.iter().filter(|oid| **oid >= FIRST_USER_OID);
        let depended = opinion.depends_on_functions.iter().filter(|oid| !opinion.named.contains(oid));
        for function in of_users.chain(depended).chain(&opinion.calls) {
            if !self.functions.contains(function) {
                missing.insert(Difference::Function(self.function_name(*function)));
            }
        }
        let mut domains = opinion.domains.clone();
        while let Some(domain) = domains.pop() {
            let Some(entry) = self.snapshot.types.get(&domain).filter(|entry| entry.kind == 'd') else { continue };
            domains.push(entry.base);
            for check in entry.checks.iter().filter(|check| !self.functions.contains(check)) {
                missing.insert(Difference::Check(self.function_name(*check)));
            }
        }
    }

    fn columns_of(&self, relation: Oid) -> impl Iterator<Item = &'f str> {
        let known = self.snapshot.relations.get(&relation);
        known.into_iter().flat_map(|relation| relation.columns.iter().map(|column| &*column.name))
    }

    fn relation_name(&self, oid: Oid) -> String {
        match self.snapshot.relations.get(&oid) {
            Some(relation) => format!("{}.{}", self.snapshot.schema_name(relation.schema), relation.name),
            None => format!("number {oid}"),
        }
    }

    fn column_name(&self, relation: Oid, number: i16) -> String {
        let relation = self.snapshot.relations.get(&relation);
        let column = relation.and_then(|relation| relation.columns.iter().find(|column| column.number == number));
        column.map_or_else(|| format!("number {number}"), |column| column.name.to_string())
    }

    fn function_name(&self, oid: Oid) -> String {
        match self.snapshot.code.functions.get(&oid) {
            Some(function) => format!("{}.{}", self.snapshot.schema_name(function.schema), function.name),
            None => format!("number {oid}"),
        }
    }
}

fn holds(touched: &TouchedRelation, column: &str) -> bool {
    match &touched.columns {
        Columns::None => false,
        Columns::Named(names) => names.iter().any(|name| name == column),
        Columns::WholeRow => true,
    }
}
