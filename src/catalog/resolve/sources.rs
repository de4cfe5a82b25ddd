//! What a statement that writes may carry over: everything that it reads, but for the very row that it writes.

use super::finish::{Place, Reached, shown};
use super::{ColumnSet, Resolver, Use};
use crate::access::Operation;
use crate::catalog::footprint::{Columns, RelationKind, TouchedRelation};
use crate::catalog::snapshot::{Relation, Snapshot};

impl Resolver<'_> {
    /// Where nothing is written there is nothing to carry over. `created` is what the statement makes.
    pub(super) fn sources(&mut self, uses: &[Use], created: usize) -> Vec<TouchedRelation> {
        let mut found = Reached::default();
        let written = created + uses.iter().filter(|used| writes(used)).count();
        if written == 0 {
            return found.into_entries();
        }
        let snapshot = self.snapshot;
        for used in uses {
            let Some(relation) = snapshot.relations.get(&used.relation) else { continue };
            if self.renamed == Some(relation.oid) {
                self.reach(relation, false, Operation::Select, &Columns::WholeRow, Place::default(), &mut found);
            }
            let stays = written == 1 && stays_in_its_row(snapshot, relation, used);
            for (operation, columns) in &used.touched {
                let columns = shown(columns.clone());
                match operation {
                    // What one part of the statement writes and returns, another may write elsewhere.
                    Operation::Select if !stays => {
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

/// Whether data is written. Rows that are locked count as updated ones without any column.
fn writes(used: &Use) -> bool {
    used.touched.iter().any(|(operation, columns)| match operation {
        Operation::Insert | Operation::Ddl => true,
        Operation::Update => columns.whole || !columns.names.is_empty(),
        Operation::Select | Operation::Delete | Operation::Truncate => false,
    })
}

/// Whether what is read of a written relation can only be the row that is written, where it lies: what RETURNING reads,
/// and what an UPDATE reads that moves no row to another partition.
fn stays_in_its_row(snapshot: &Snapshot, relation: &Relation, used: &Use) -> bool {
    let of = |wanted| used.touched.iter().find(|(operation, _)| *operation == wanted).map(|(_, columns)| columns);
    let updated = of(Operation::Update).filter(|columns| columns.whole || !columns.names.is_empty());
    match (of(Operation::Insert), updated) {
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
    hits_key || relation.kind == RelationKind::Partitioned && below().any(|child| moves_rows(snapshot, child, updated))
}
