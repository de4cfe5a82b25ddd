//! New names for what the configuration classifies by name: they would take data out of its class. Whoever runs the database may
//! give them, not a client.

use super::context::{DataClass, DatabasePolicy};
use super::denial::Refusal;
use crate::access::Operation;
use crate::catalog::{Footprint, TouchedRelation};
use crate::sql::tree::{Action, Statement};

/// Whether all that a statement renames stays in its classes.
pub(super) fn check(statement: &Statement, footprint: &Footprint, database: &DatabasePolicy) -> Result<(), Refusal> {
    let Action::Ddl(ddl) = &statement.action else { return Ok(()) };
    let altered = |touched: &&TouchedRelation| touched.operation == Operation::Ddl && touched.oid != 0;
    let Some(relation) = footprint.relations.iter().find(altered) else { return Ok(()) };
    let classified = |class: &DataClass, column: &str| class.columns.iter().flatten().any(|known| known == column);
    for column in &ddl.renamed_columns {
        let column = column.as_str();
        if classes(relation, database).iter().any(|class| classified(class, column)) {
            return Err(Refusal::Renames { relation: relation.clone(), column: Some(column.to_owned()) });
        }
    }
    if ddl.renames {
        let new = footprint.relations.iter().find(|touched| touched.operation == Operation::Ddl && touched.oid == 0);
        let of_new = new.map(|new| classes(new, database)).unwrap_or_default();
        if !same(&classes(relation, database), &of_new) {
            return Err(Refusal::Renames { relation: relation.clone(), column: None });
        }
    }
    Ok(())
}

/// The classes that speak of a relation, or of columns of it.
fn classes<'p>(relation: &TouchedRelation, database: &'p DatabasePolicy) -> Vec<&'p DataClass> {
    database.data.iter().filter(|class| class.on.matches(&relation.schema, &relation.name)).collect()
}

fn same(one: &[&DataClass], other: &[&DataClass]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| std::ptr::eq(*one, *other))
}
