//! Relations against a scope: privilege and columns. Where their rows lie is [`super::residency`]'s.

use super::catalogs;
use super::denial::Refusal;
use crate::access::{Grant, ObjectPattern, Operation, Privilege};
use crate::catalog::{Columns, RelationKind, TouchedRelation};

/// Whether `grant` lets this relation be touched like this.
pub(super) fn check(touched: &TouchedRelation, grant: &Grant) -> Result<(), Refusal> {
    if catalogs::is_catalog(&touched.schema) {
        return catalog(touched);
    }
    // What lies behind a view is the view owner's, and a child's rows are read as the parent's: as in PostgreSQL.
    if touched.through.is_none() && touched.child_of.is_none() {
        privilege(touched, &grant.scope.allow)?;
    }
    Ok(())
}

/// Whether a scope's privileges allow the use of a relation, its region aside.
pub(super) fn covers(touched: &TouchedRelation, allow: &[Privilege]) -> bool {
    privilege(touched, allow).is_ok()
}

fn catalog(touched: &TouchedRelation) -> Result<(), Refusal> {
    if touched.through.is_some() {
        return Ok(());
    }
    if touched.operation != Operation::Select {
        return Err(Refusal::Catalog { relation: touched.clone(), column: None });
    }
    catalogs::may_read(&touched.schema, &touched.name, &touched.columns)
        .map_err(|column| Refusal::Catalog { relation: touched.clone(), column })
}

fn privilege(touched: &TouchedRelation, allow: &[Privilege]) -> Result<(), Refusal> {
    // Sequences and the like are not what `public.*` is meant to say: reading one needs its name.
    let needs_name = match touched.kind {
        RelationKind::Sequence | RelationKind::Index | RelationKind::Toast => touched.operation != Operation::Ddl,
        RelationKind::Table
        | RelationKind::Partitioned
        | RelationKind::View
        | RelationKind::MaterializedView
        | RelationKind::ForeignTable
        | RelationKind::Composite => false,
    };
    // A schema is the database's: `schema.*` means what lies in it, not the schema itself.
    let is_schema = touched.kind == RelationKind::Composite && touched.name.is_empty();
    let covers = |on: &ObjectPattern| match is_schema {
        true => on.schema.is_none() && on.name.is_none(),
        false => on.matches(&touched.schema, &touched.name) && (on.name.is_some() || !needs_name),
    };
    let names =
        |privilege: &&Privilege| privilege.operations.contains(touched.operation) && privilege.on.iter().any(covers);
    let matching: Vec<&Privilege> = allow.iter().filter(names).collect();
    if matching.is_empty() {
        return Err(Refusal::Relation(touched.clone()));
    }
    if matching.iter().any(|privilege| privilege.columns.is_none()) {
        return Ok(());
    }
    match touched.operation {
        // These take whole rows: columns cannot narrow them.
        Operation::Delete | Operation::Truncate | Operation::Ddl => return Err(Refusal::Relation(touched.clone())),
        Operation::Select | Operation::Insert | Operation::Update => {}
    }
    let allowed = |column: &String| matching.iter().any(|one| one.columns.iter().flatten().any(|name| name == column));
    match &touched.columns {
        Columns::None => Ok(()),
        Columns::Named(names) => match names.iter().find(|column| !allowed(column)) {
            None => Ok(()),
            Some(column) => Err(Refusal::Column { relation: touched.clone(), column: Some(column.clone()) }),
        },
        Columns::WholeRow => Err(Refusal::Column { relation: touched.clone(), column: None }),
    }
}
