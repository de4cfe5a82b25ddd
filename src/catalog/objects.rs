//! The application's own objects as a plain list, for whoever hands out privileges on them: no names to resolve, no
//! statement behind it. Never lists what came with the server, nor temporary objects.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::footprint::{Oid, RelationKind};
use super::snapshot::{FIRST_USER_OID, Relation, Snapshot};

/// What a database holds.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Schemas, the server's own left out.
    pub schemas: Vec<String>,
    pub relations: Vec<RelationObject>,
    /// Functions, procedures and aggregates; those that came with the server too, as a scope may name them.
    pub routines: Vec<RoutineObject>,
}

/// One table, view or sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationObject {
    pub schema: String,
    pub name: String,
    pub kind: RelationKind,
    pub columns: Vec<String>,
    /// The sequences that the defaults of its columns draw from, as schema and name.
    pub sequences: Vec<(String, String)>,
    /// The application's functions that PostgreSQL runs with the writer's own rights when a row is written: those of
    /// defaults, generated columns, CHECK constraints and index expressions, its partitions' and a view's tables' too.
    pub run_on_write: Vec<Oid>,
}

/// One function, procedure or aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutineObject {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    pub builtin: bool,
}

impl Snapshot {
    /// The application's objects, in the order of their names.
    #[must_use]
    pub fn objects(&self) -> Objects {
        let mut schemas: Vec<String> =
            self.schemas.keys().filter(|name| is_own(name)).map(ToString::to_string).collect();
        schemas.sort();
        let relations = self.relations.values().filter(|relation| is_own(self.schema_name(relation.schema)));
        let mut relations: Vec<RelationObject> = relations.filter_map(|relation| self.listed(relation)).collect();
        relations.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        let mut routines: BTreeMap<Oid, RoutineObject> = BTreeMap::new();
        for (oid, function) in &self.code.functions {
            let Some(schema) = self.schema_names.get(&function.schema) else { continue };
            let builtin = *oid < FIRST_USER_OID;
            let routine =
                RoutineObject { oid: *oid, schema: schema.to_string(), name: function.name.to_string(), builtin };
            routines.insert(*oid, routine);
        }
        Objects { schemas, relations, routines: routines.into_values().collect() }
    }

    /// Whether `"$user"` in the search path names a schema that exists: another login would then look names up elsewhere.
    #[must_use]
    pub fn path_depends_on_user(&self) -> bool {
        self.search_path.contains("$user") && self.schemas.contains_key(self.session_user.as_str())
    }

    fn listed(&self, relation: &Relation) -> Option<RelationObject> {
        match relation.kind {
            RelationKind::Table
            | RelationKind::Partitioned
            | RelationKind::View
            | RelationKind::MaterializedView
            | RelationKind::ForeignTable
            | RelationKind::Sequence => {}
            RelationKind::Composite | RelationKind::Index | RelationKind::Toast => return None,
        }
        let (mut sequences, mut run_on_write) = (BTreeSet::new(), BTreeSet::new());
        for written in self.written_through(relation) {
            run_on_write.extend(written.defaults.iter().chain(&written.run_on_write).copied());
            sequences.extend(written.sequences.iter().filter_map(|oid| self.sequence(*oid)));
        }
        Some(RelationObject {
            schema: self.schema_name(relation.schema).to_owned(),
            name: relation.name.to_string(),
            kind: relation.kind,
            columns: relation.columns.iter().map(|column| column.name.to_string()).collect(),
            sequences: sequences.into_iter().collect(),
            run_on_write: run_on_write.into_iter().collect(),
        })
    }

    /// The relation itself, what stands behind it where it is a view, and its children and partitions: a row that is
    /// written to one may end in any of the others.
    fn written_through<'s>(&'s self, relation: &'s Relation) -> Vec<&'s Relation> {
        let (mut seen, mut found, mut next) = (HashSet::new(), Vec::new(), vec![relation]);
        while let Some(relation) = next.pop() {
            if !seen.insert(relation.oid) {
                continue;
            }
            found.push(relation);
            next.extend(relation.children.iter().filter_map(|oid| self.relations.get(oid)));
            // PostgreSQL writes through views of one relation only.
            let read: BTreeSet<Oid> = relation.reads.iter().map(|read| read.relation).collect();
            if relation.kind == RelationKind::View && read.len() == 1 {
                next.extend(read.iter().filter_map(|oid| self.relations.get(oid)));
            }
        }
        found
    }

    fn sequence(&self, oid: Oid) -> Option<(String, String)> {
        let sequence = self.relations.get(&oid).filter(|sequence| sequence.kind == RelationKind::Sequence)?;
        Some((self.schema_name(sequence.schema).to_owned(), sequence.name.to_string()))
    }
}

fn is_own(schema: &str) -> bool {
    !schema.starts_with("pg_") && schema != "information_schema"
}
