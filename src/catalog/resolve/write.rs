//! INSERT, UPDATE, DELETE, MERGE, COPY, TRUNCATE and LOCK: what they write, and what they read to do so.

use std::sync::Arc;

use super::Resolver;
use super::query::Output;
use super::scope::Item;
use crate::access::Operation;
use crate::catalog::footprint::{CalledBy, Effect, Oid, Unresolved};
use crate::catalog::snapshot::CastContext;
use crate::catalog::types::Type;
use crate::sql::tree::{
    Assignment, Copy, CopyDirection, CopySource, Delete, Expr, FromItem, Insert, Merge, MergeAction, Name, OnConflict,
    Query, RelationRef, SetExpr, Target, Update,
};

impl Resolver<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<Vec<Output>, Unresolved> {
        self.level(|resolver| {
            resolver.with(insert.with.as_ref())?;
            let target = resolver.use_relation(&insert.table, false)?;
            resolver.touch(target, Operation::Insert);
            let mut columns = match (&insert.source, insert.columns.as_slice()) {
                (None, []) => Vec::new(),
                (Some(_), []) => resolver.columns_of(target),
                (_, named) => resolver.named_columns(target, named)?,
            };
            // Fewer values than columns fill the first ones; what the rest gets by default is not written by the statement.
            if let (Some(width), []) = (insert.source.as_ref().and_then(width), insert.columns.as_slice()) {
                columns.truncate(width);
            }
            for (name, _) in &columns {
                resolver.touch_column(target, Operation::Insert, name);
            }
            for index in &insert.indices {
                resolver.expr(index)?;
            }
            if let Some(source) = &insert.source {
                let outputs = resolver.query(source)?;
                for ((_, column), output) in columns.iter().zip(outputs) {
                    resolver.assign(&output.of, *column);
                }
            }
            let item = resolver.table_item(target, insert.alias.as_ref())?;
            if let Some(conflict) = &insert.on_conflict {
                resolver.on_conflict(target, &item, conflict)?;
            }
            resolver.here()?.items = vec![item];
            resolver.returning(&insert.returning)
        })
    }

    fn on_conflict(&mut self, target: usize, item: &Item, conflict: &OnConflict) -> Result<(), Unresolved> {
        self.here()?.items = vec![item.clone()];
        for expr in &conflict.inference {
            self.expr(expr)?;
        }
        if conflict.constraint.is_some() {
            // The constraint's columns are read, and the snapshot does not know which.
            self.touch_row(target, Operation::Select);
        }
        let Some((assignments, condition)) = &conflict.update else { return Ok(()) };
        // `excluded` holds the row that was to be inserted: reading it reads nothing of the table.
        let computed: Arc<[_]> =
            item.columns.iter().map(|column| super::scope::Offered { sources: Vec::new(), ..column.clone() }).collect();
        let excluded = Item {
            name: Some("excluded".into()),
            schema: None,
            columns: computed,
            relation: None,
            system_columns: false,
            ..item.clone()
        };
        // A bare column means the target's: PostgreSQL calls it ambiguous, which is stricter.
        self.here()?.items = vec![item.clone(), Item { columns_visible: false, ..excluded }];
        self.assignments(target, assignments)?;
        condition.iter().try_for_each(|condition| self.condition(condition))
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<Vec<Output>, Unresolved> {
        self.level(|resolver| {
            resolver.with(update.with.as_ref())?;
            let target = resolver.use_relation(&update.table.name, update.table.only)?;
            resolver.touch(target, Operation::Update);
            let item = resolver.table_item(target, update.alias.name.as_ref())?;
            resolver.items_beside(item, &update.from)?;
            resolver.assignments(target, &update.assignments)?;
            if let Some(condition) = &update.selection {
                resolver.condition(condition)?;
            }
            resolver.returning(&update.returning)
        })
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<Vec<Output>, Unresolved> {
        self.level(|resolver| {
            resolver.with(delete.with.as_ref())?;
            let target = resolver.use_relation(&delete.table.name, delete.table.only)?;
            resolver.touch(target, Operation::Delete);
            let item = resolver.table_item(target, delete.alias.name.as_ref())?;
            resolver.items_beside(item, &delete.using)?;
            if let Some(condition) = &delete.selection {
                resolver.condition(condition)?;
            }
            resolver.returning(&delete.returning)
        })
    }

    pub(super) fn merge(&mut self, merge: &Merge) -> Result<Vec<Output>, Unresolved> {
        self.level(|resolver| {
            resolver.with(merge.with.as_ref())?;
            let target = resolver.use_relation(&merge.table.name, merge.table.only)?;
            // PostgreSQL joins the target with the source: it reads it, whatever the columns.
            resolver.touch(target, Operation::Select);
            let item = resolver.table_item(target, merge.alias.name.as_ref())?;
            resolver.add_items(std::slice::from_ref(&merge.source))?;
            let source = std::mem::take(&mut resolver.here()?.items);
            let both: Vec<Item> = [item].into_iter().chain(source.iter().cloned()).collect();
            resolver.here()?.items = both.clone();
            resolver.condition(&merge.on)?;
            for when in &merge.whens {
                let sees = match when.action {
                    MergeAction::Insert { .. } => source.clone(),
                    MergeAction::Update(_) | MergeAction::Delete | MergeAction::DoNothing => both.clone(),
                };
                resolver.here()?.items = sees;
                if let Some(condition) = &when.condition {
                    resolver.condition(condition)?;
                }
                resolver.merge_action(target, &when.action)?;
            }
            resolver.here()?.items = both;
            resolver.returning(&merge.returning)
        })
    }

    fn merge_action(&mut self, target: usize, action: &MergeAction) -> Result<(), Unresolved> {
        match action {
            MergeAction::Insert { columns, indices, values } => {
                for index in indices {
                    self.expr(index)?;
                }
                self.touch(target, Operation::Insert);
                let columns = match columns.as_slice() {
                    [] => self.columns_of(target),
                    named => self.named_columns(target, named)?,
                };
                for (name, _) in &columns {
                    self.touch_column(target, Operation::Insert, name);
                }
                for (index, value) in values.iter().enumerate() {
                    let of = self.expr(value)?;
                    if let Some((_, column)) = columns.get(index) {
                        self.assign(&of, *column);
                    }
                }
            }
            MergeAction::Update(assignments) => {
                self.touch(target, Operation::Update);
                self.assignments(target, assignments)?;
            }
            MergeAction::Delete => {
                self.touch(target, Operation::Delete);
            }
            MergeAction::DoNothing => {}
        }
        Ok(())
    }

    /// The target stands before the FROM items, which do not see it.
    fn items_beside(&mut self, target: Item, from: &[FromItem]) -> Result<(), Unresolved> {
        self.add_items(from)?;
        self.here()?.items.insert(0, target);
        Ok(())
    }

    /// RETURNING sees the changed row, its target the first of the items, as `old` and as `new` too (from 18 on).
    fn returning(&mut self, targets: &[Target]) -> Result<Vec<Output>, Unresolved> {
        if self.snapshot.server_version_num >= 180_000 && !targets.is_empty() {
            for name in ["old", "new"] {
                if self.item(None, name)?.is_none() {
                    self.name_changed_row(name)?;
                }
            }
        }
        self.targets(targets)
    }

    /// Lets `name` mean the changed row. What is read of it is read of the relation, be it the old row or the new one.
    pub(super) fn name_changed_row(&mut self, name: &str) -> Result<(), Unresolved> {
        let Some(target) = self.here()?.items.first().cloned() else { return Ok(()) };
        let row = Item { name: Some(name.into()), schema: None, columns_visible: false, ..target };
        self.here()?.items.push(row);
        Ok(())
    }

    fn assignments(&mut self, target: usize, assignments: &[Assignment]) -> Result<(), Unresolved> {
        for assignment in assignments {
            let columns = self.named_columns(target, &assignment.columns)?;
            for (name, _) in &columns {
                self.touch_column(target, Operation::Update, name);
            }
            for index in &assignment.indices {
                self.expr(index)?;
            }
            let of = self.expr(&assignment.value)?;
            let single = columns.len() == 1 && assignment.indices.is_empty() && assignment.value != Expr::Default;
            for (_, column) in columns {
                self.assign(if single { &of } else { &Type::Any }, column);
            }
        }
        Ok(())
    }

    /// What runs when a value of type `from` is stored in a column of type `to`.
    fn assign(&mut self, from: &Type, to: Oid) {
        self.weigh(from, to);
        if from.oid() != Some(to) {
            self.cast_functions(from, to, CastContext::Assignment);
        }
        for function in self.snapshot.type_functions(to) {
            self.call_function(function, CalledBy::Write, Vec::new());
        }
    }

    /// Every column of a used relation, with its type.
    fn columns_of(&self, use_index: usize) -> Vec<(Arc<str>, Oid)> {
        let relation = self.uses.get(use_index).and_then(|used| self.snapshot.relations.get(&used.relation));
        let columns = relation.into_iter().flat_map(|relation| &relation.columns);
        columns.map(|column| (Arc::clone(&column.name), column.of)).collect()
    }

    fn named_columns(&self, use_index: usize, names: &[Name]) -> Result<Vec<(Arc<str>, Oid)>, Unresolved> {
        let relation = self.uses.get(use_index).and_then(|used| self.snapshot.relations.get(&used.relation));
        let column = |name: &Name| {
            let found = relation.and_then(|relation| relation.column(name.as_str()));
            let found = found.ok_or_else(|| Unresolved::Column(name.to_string()))?;
            Ok((Arc::clone(&found.name), found.of))
        };
        names.iter().map(column).collect()
    }

    pub(super) fn copy(&mut self, copy: &Copy) -> Result<(), Unresolved> {
        let (name, columns) = match &copy.source {
            CopySource::Query(action) => return self.action(action),
            CopySource::Table { name, columns } => (name, columns),
        };
        // COPY … TO of a table reads that table alone, not its children.
        let (operation, only) = match copy.direction {
            CopyDirection::To => (Operation::Select, true),
            CopyDirection::From => (Operation::Insert, false),
        };
        self.level(|resolver| {
            let target = resolver.use_relation(name, only)?;
            resolver.touch(target, operation);
            let named = match columns.as_slice() {
                [] => resolver.columns_of(target),
                named => resolver.named_columns(target, named)?,
            };
            for (column, of) in named {
                resolver.touch_column(target, operation, &column);
                if operation == Operation::Insert {
                    resolver.assign(&Type::Unknown, of);
                }
            }
            if let Some(condition) = &copy.selection {
                let item = resolver.table_item(target, None)?;
                resolver.here()?.items = vec![item];
                resolver.condition(condition)?;
            }
            Ok(())
        })
    }

    pub(super) fn lock(&mut self, relations: &[RelationRef]) -> Result<(), Unresolved> {
        self.effects.push(Effect::Locks);
        for relation in relations {
            let target = self.use_relation(&relation.name, relation.only)?;
            // A privilege on single columns does not allow it.
            self.touch_row(target, Operation::Update);
        }
        Ok(())
    }

    /// RESTART IDENTITY sets sequences back, which is their owner's: it counts as a schema change of the table.
    pub(super) fn truncate(
        &mut self,
        relations: &[RelationRef],
        restart_identity: bool,
        cascade: bool,
    ) -> Result<(), Unresolved> {
        for relation in relations {
            let target = self.use_relation(&relation.name, relation.only)?;
            self.touch(target, Operation::Truncate);
            if restart_identity {
                self.touch(target, Operation::Ddl);
            }
            if cascade {
                self.effects.push(Effect::Cascades { relation: relation.name.to_string() });
            }
        }
        Ok(())
    }
}

/// How many columns a source of INSERT gives, where its text alone tells. `(row).*` in VALUES gives several and looks like
/// one here: only what cannot be a row counts.
fn width(source: &Query) -> Option<usize> {
    let single = |expr: &Expr| matches!(expr, Expr::Literal(_) | Expr::Default | Expr::Keyword(_));
    match &source.body {
        SetExpr::Values(rows) => {
            let all = rows.iter().flatten().all(single);
            rows.iter().map(Vec::len).max().filter(|_| all)
        }
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. } => None,
    }
}
