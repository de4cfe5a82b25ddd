//! What a statement that writes may carry over: everything that it reads, but for the very row that it writes.

use super::finish::{Place, Reached, shown};
use super::{ColumnSet, Resolver, Use};
use crate::access::Operation;
use crate::catalog::footprint::{RelationKind, TouchedRelation};
use crate::catalog::snapshot::{Relation, Snapshot};

impl Resolver<'_> {
    /// Where nothing is written there is nothing to carry over.
    pub(super) fn sources(&mut self, uses: &[Use], creates: bool) -> Vec<TouchedRelation> {
        let mut found = Reached::default();
        if !creates && !uses.iter().any(writes) {
            return found.into_entries();
        }
        let snapshot = self.snapshot;
        for used in uses {
            let Some(relation) = snapshot.relations.get(&used.relation) else { continue };
            for (operation, columns) in &used.touched {
                let columns = shown(columns.clone());
                match operation {
                    Operation::Select if !stays_in_its_row(snapshot, relation, used) => {
                        self.reach(relation, used.only, Operation::Select, &columns, Place::default(), &mut found);
                    }
                    Operation::Ddl if relation.kind == RelationKind::MaterializedView => {
                        self.behind(relation, Operation::Select, Place::default(), &mut found);
                    }
                    _ => {}
                }
            }
        }
        found.into_entries()
    }
}

fn writes(used: &Use) -> bool {
    used.touched.iter().any(|(operation, _)| match operation {
        Operation::Insert | Operation::Update | Operation::Ddl => true,
        Operation::Select | Operation::Delete | Operation::Truncate => false,
    })
}

/// Whether what is read of a written relation can only be the row that is written, where it lies: what RETURNING reads,
/// and what an UPDATE reads that moves no row to another partition.
fn stays_in_its_row(snapshot: &Snapshot, relation: &Relation, used: &Use) -> bool {
    let of = |wanted| used.touched.iter().find(|(operation, _)| *operation == wanted).map(|(_, columns)| columns);
    match (of(Operation::Insert), of(Operation::Update)) {
        (None, None) => false,
        (Some(_), None) => true,
        (_, Some(updated)) => relation.kind != RelationKind::View && !moves_rows(snapshot, relation, updated),
    }
}

/// Whether a partition key is among what is updated, at any level of the tree.
fn moves_rows(snapshot: &Snapshot, relation: &Relation, updated: &ColumnSet) -> bool {
    let key = &relation.partition_key;
    let hits_key = key.contains(&0) || relation.names_of(key).iter().any(|name| updated.names.contains(name));
    let below = || relation.children.iter().filter_map(|child| snapshot.relations.get(child));
    hits_key && (updated.whole || !updated.names.is_empty())
        || relation.kind == RelationKind::Partitioned && below().any(|child| moves_rows(snapshot, child, updated))
}
