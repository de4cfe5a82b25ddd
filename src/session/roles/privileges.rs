//! From a grant's scope to PostgreSQL's privileges, and from those to GRANT and REVOKE. Pure: what exists comes in as
//! [`Objects`], what is to be said goes out as text.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{qualified, quoted};
use crate::access::{ObjectPattern, Operation, Privilege as Allowed, Scope};
use crate::catalog::{Objects, Oid, RelationKind, RelationObject, RoutineObject};

/// One privilege on one object, as an ACL holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// To connect to the database.
    Connect,
    Schema {
        schema: String,
        right: Right,
    },
    Table {
        schema: String,
        name: String,
        right: Right,
    },
    Column {
        schema: String,
        name: String,
        column: String,
        right: Right,
    },
    Sequence {
        schema: String,
        name: String,
        right: Right,
    },
    /// To call a function, procedure or aggregate.
    Routine {
        oid: Oid,
    },
}

/// What an ACL allows, in PostgreSQL's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    Connect,
    Create,
    Delete,
    Execute,
    Insert,
    References,
    Select,
    Truncate,
    Update,
    Usage,
}

impl Right {
    const ALL: [Right; 10] = [
        Right::Connect,
        Right::Create,
        Right::Delete,
        Right::Execute,
        Right::Insert,
        Right::References,
        Right::Select,
        Right::Truncate,
        Right::Update,
        Right::Usage,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Connect => "CONNECT",
            Right::Create => "CREATE",
            Right::Delete => "DELETE",
            Right::Execute => "EXECUTE",
            Right::Insert => "INSERT",
            Right::References => "REFERENCES",
            Right::Select => "SELECT",
            Right::Truncate => "TRUNCATE",
            Right::Update => "UPDATE",
            Right::Usage => "USAGE",
        }
    }

    /// The right that `aclexplode` calls `text`; `None` for those that no scope comes to.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == text)
    }
}

impl Privilege {
    /// The right alone.
    #[must_use]
    pub fn right(&self) -> Right {
        match self {
            Privilege::Connect => Right::Connect,
            Privilege::Routine { .. } => Right::Execute,
            Privilege::Schema { right, .. }
            | Privilege::Table { right, .. }
            | Privilege::Column { right, .. }
            | Privilege::Sequence { right, .. } => *right,
        }
    }
}

/// The privileges that a scope comes to on what exists now.
#[must_use]
pub fn wanted(scope: &Scope, objects: &Objects) -> BTreeSet<Privilege> {
    let mut wanted = BTreeSet::from([Privilege::Connect]);
    for allowed in &scope.allow {
        for relation in &objects.relations {
            if allowed.on.iter().any(|on| means(on, relation)) {
                relation_privileges(allowed, relation, objects, &mut wanted);
            }
        }
        if allowed.operations.contains(Operation::Ddl) && allowed.columns.is_none() {
            creation(&allowed.on, objects, &mut wanted);
        }
        for routine in &objects.routines {
            if allowed.functions.iter().any(|on| means_routine(on, routine)) {
                execution(routine, &mut wanted);
            }
        }
    }
    let schemas: BTreeSet<String> =
        wanted.iter().filter_map(|privilege| schema_of(privilege).map(str::to_owned)).collect();
    wanted.extend(schemas.into_iter().map(|schema| Privilege::Schema { schema, right: Right::Usage }));
    wanted
}

/// Sequences are not what `public.*` is meant to say: those have to be named, as in policy.
fn means(on: &ObjectPattern, relation: &RelationObject) -> bool {
    on.matches(&relation.schema, &relation.name) && (relation.kind != RelationKind::Sequence || on.name.is_some())
}

/// What comes with the server has to be named in full, as in policy.
fn means_routine(on: &ObjectPattern, routine: &RoutineObject) -> bool {
    on.matches(&routine.schema, &routine.name) && (!routine.builtin || (on.schema.is_some() && on.name.is_some()))
}

fn relation_privileges(
    allowed: &Allowed,
    relation: &RelationObject,
    objects: &Objects,
    wanted: &mut BTreeSet<Privilege>,
) {
    let mut writes_rows = false;
    for operation in allowed.operations.iter() {
        let (right, by_column) = match operation {
            Operation::Select => (Right::Select, true),
            Operation::Insert => (Right::Insert, true),
            Operation::Update => (Right::Update, true),
            Operation::Delete => (Right::Delete, false),
            Operation::Truncate => (Right::Truncate, false),
            // What else a schema change takes goes with ownership, which nobody is lent.
            Operation::Ddl => (Right::References, false),
        };
        if relation.kind == RelationKind::Sequence {
            if allowed.columns.is_none() && matches!(operation, Operation::Select | Operation::Update) {
                let (schema, name) = (relation.schema.clone(), relation.name.clone());
                wanted.insert(Privilege::Sequence { schema, name, right });
            }
            continue;
        }
        match &allowed.columns {
            None => {
                let (schema, name) = (relation.schema.clone(), relation.name.clone());
                wanted.insert(Privilege::Table { schema, name, right });
            }
            Some(columns) if by_column => {
                for column in relation.columns.iter().filter(|column| columns.contains(column)) {
                    let (schema, name, column) = (relation.schema.clone(), relation.name.clone(), column.clone());
                    wanted.insert(Privilege::Column { schema, name, column, right });
                }
            }
            // These take whole rows: columns cannot narrow them, so a scope of columns does not hold them.
            Some(_) => continue,
        }
        writes_rows |= matches!(operation, Operation::Insert | Operation::Update);
    }
    if writes_rows {
        behind_writes(relation, objects, wanted);
    }
}

/// What a written row makes PostgreSQL run with the writer's own rights.
fn behind_writes(relation: &RelationObject, objects: &Objects, wanted: &mut BTreeSet<Privilege>) {
    for (schema, name) in &relation.sequences {
        wanted.insert(Privilege::Sequence { schema: schema.clone(), name: name.clone(), right: Right::Usage });
    }
    for routine in objects.routines.iter().filter(|routine| relation.run_on_write.contains(&routine.oid)) {
        execution(routine, wanted);
    }
}

fn execution(routine: &RoutineObject, wanted: &mut BTreeSet<Privilege>) {
    wanted.insert(Privilege::Routine { oid: routine.oid });
    if !routine.builtin {
        wanted.insert(Privilege::Schema { schema: routine.schema.clone(), right: Right::Usage });
    }
}

/// Where new objects may be made.
fn creation(on: &[ObjectPattern], objects: &Objects, wanted: &mut BTreeSet<Privilege>) {
    let named = |schema: &&String| on.iter().any(|on| on.schema.as_ref().is_none_or(|name| name == *schema));
    for schema in objects.schemas.iter().filter(named) {
        wanted.insert(Privilege::Schema { schema: schema.clone(), right: Right::Create });
    }
}

fn schema_of(privilege: &Privilege) -> Option<&str> {
    match privilege {
        Privilege::Connect | Privilege::Routine { .. } => None,
        Privilege::Schema { schema, .. }
        | Privilege::Table { schema, .. }
        | Privilege::Column { schema, .. }
        | Privilege::Sequence { schema, .. } => Some(schema),
    }
}

/// Whether privileges are given or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Grant,
    Revoke,
}

/// What the texts need to be told.
#[derive(Debug)]
pub struct Wording<'a> {
    pub role: &'a str,
    pub database: &'a str,
    /// Functions with their arguments, as `regprocedure` prints them.
    pub signatures: &'a BTreeMap<Oid, String>,
}

/// The statements that give or take privileges: one for each right and kind of object, so that PostgreSQL finds for each
/// whose it is to give.
#[must_use]
pub fn statements<'p>(
    change: Change,
    privileges: impl IntoIterator<Item = &'p Privilege>,
    wording: &Wording<'_>,
) -> Vec<String> {
    let mut whole: BTreeMap<(&'static str, Right), Vec<String>> = BTreeMap::new();
    let mut columns: BTreeMap<(String, Right), Vec<String>> = BTreeMap::new();
    for privilege in privileges {
        let (kind, object) = match privilege {
            Privilege::Connect => ("DATABASE", quoted(wording.database)),
            Privilege::Schema { schema, .. } => ("SCHEMA", quoted(schema)),
            Privilege::Table { schema, name, .. } => ("TABLE", qualified(schema, name)),
            Privilege::Sequence { schema, name, .. } => ("SEQUENCE", qualified(schema, name)),
            Privilege::Routine { oid } => match wording.signatures.get(oid) {
                Some(signature) => ("ROUTINE", signature.clone()),
                None => continue,
            },
            Privilege::Column { schema, name, column, right } => {
                columns.entry((qualified(schema, name), *right)).or_default().push(quoted(column));
                continue;
            }
        };
        whole.entry((kind, privilege.right())).or_default().push(object);
    }
    let (verb, preposition) = match change {
        Change::Grant => ("GRANT", "TO"),
        Change::Revoke => ("REVOKE", "FROM"),
    };
    let role = quoted(wording.role);
    let whole = whole.into_iter().map(|((kind, right), objects)| {
        format!("{verb} {} ON {kind} {} {preposition} {role}", right.as_str(), objects.join(", "))
    });
    let columns = columns.into_iter().map(|((table, right), columns)| {
        format!("{verb} {} ({}) ON TABLE {table} {preposition} {role}", right.as_str(), columns.join(", "))
    });
    whole.chain(columns).collect()
}

#[cfg(test)]
mod tests;
