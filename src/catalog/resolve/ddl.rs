//! Schema changes: every target is touched as a whole, whether it exists already or not.

use super::Resolver;
use super::scope::Level;
use crate::access::Operation;
use crate::catalog::footprint::{Columns, Effect, RelationKind, TouchedRelation, Unresolved};
use crate::sql::tree::{Ddl, DdlObject, DdlTarget, QualifiedName, TypeName};

impl Resolver<'_> {
    pub(super) fn ddl(&mut self, ddl: &Ddl) -> Result<(), Unresolved> {
        for target in &ddl.targets {
            self.ddl_target(target)?;
        }
        // ALTER TABLE RENAME names what is and what is to be: the rows then lie under another name. Where they lie now has to be
        // known.
        if ddl.renames {
            let old = || ddl.targets.first().map_or_else(String::new, |target| target.name.to_string());
            self.renamed = Some(self.uses.first().ok_or_else(|| Unresolved::Relation(old()))?.relation);
        }
        for name in &ddl.references {
            let relation = self.use_relation(name, true)?;
            self.touch(relation, Operation::Ddl);
        }
        for name in &ddl.types {
            if !is_serial(name) {
                self.type_name(name)?;
            }
        }
        if ddl.cascade {
            let dropped = ddl.targets.first().map_or_else(String::new, |target| target.name.to_string());
            self.effects.push(Effect::Cascades { relation: dropped });
        }
        if let Some(query) = &ddl.query {
            self.query(query)?;
            self.effects.push(Effect::CreatesTable);
        }
        // Checks, defaults and index expressions see the target's columns, which may be the statement's own making.
        self.levels.push(Level { open: true, ..Level::default() });
        let result = ddl.expressions.iter().try_for_each(|expr| self.expr(expr).map(drop));
        self.levels.pop();
        result
    }

    fn ddl_target(&mut self, target: &DdlTarget) -> Result<(), Unresolved> {
        match target.kind {
            DdlObject::Schema => {
                let name = target.name.parts.last().map(ToString::to_string).unwrap_or_default();
                self.created.push(touched(name, String::new(), RelationKind::Composite));
                Ok(())
            }
            DdlObject::Index => {
                let parts: Vec<&str> = target.name.parts.iter().map(|part| part.as_str()).collect();
                let indexed = self.snapshot.relation(&parts).and_then(|relation| relation.indexed);
                // An index is its table's; one that does not exist yet has its table among the references.
                let Some(table) = indexed else { return Ok(()) };
                self.uses.push(super::Use { relation: table, only: true, touched: Vec::new() });
                self.touch(self.uses.len() - 1, Operation::Ddl);
                Ok(())
            }
            // A composite type is a relation too, but it is the type that is touched here.
            DdlObject::Type => self.create_as(&target.name, RelationKind::Composite),
            DdlObject::Table | DdlObject::View | DdlObject::MaterializedView | DdlObject::Sequence => {
                match self.use_relation(&target.name, true) {
                    Ok(relation) => {
                        self.touch(relation, Operation::Ddl);
                    }
                    Err(_) => self.create_as(&target.name, object_kind(target.kind))?,
                }
                Ok(())
            }
        }
    }

    /// A table that SELECT INTO makes.
    pub(super) fn create(&mut self, name: &QualifiedName) -> Result<(), Unresolved> {
        self.create_as(name, RelationKind::Table)
    }

    fn create_as(&mut self, name: &QualifiedName, kind: RelationKind) -> Result<(), Unresolved> {
        let parts: Vec<&str> = name.parts.iter().map(|part| part.as_str()).collect();
        let unknown = || Unresolved::Relation(name.to_string());
        let (schema, object) = self.snapshot.split(&parts).ok_or_else(unknown)?;
        let schema = schema.or_else(|| self.snapshot.creation_schema()).ok_or_else(unknown)?;
        self.created.push(touched(schema.to_owned(), object.to_owned(), kind));
        Ok(())
    }
}

/// `serial` and its kin are the grammar's: an integer with a sequence of its own.
fn is_serial(name: &TypeName) -> bool {
    let names = ["serial", "serial2", "serial4", "serial8", "bigserial", "smallserial"];
    matches!(name.name.parts.as_slice(), [only] if names.contains(&only.as_str()))
}

fn object_kind(object: DdlObject) -> RelationKind {
    match object {
        DdlObject::Table | DdlObject::Schema => RelationKind::Table,
        DdlObject::View => RelationKind::View,
        DdlObject::MaterializedView => RelationKind::MaterializedView,
        DdlObject::Index => RelationKind::Index,
        DdlObject::Sequence => RelationKind::Sequence,
        DdlObject::Type => RelationKind::Composite,
    }
}

/// Something that does not exist yet.
fn touched(schema: String, name: String, kind: RelationKind) -> TouchedRelation {
    TouchedRelation {
        oid: 0,
        schema,
        name,
        kind,
        operation: Operation::Ddl,
        columns: Columns::None,
        through: None,
        child_of: None,
    }
}
