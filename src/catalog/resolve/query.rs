//! Queries: WITH, select lists, set operations, ORDER BY and GROUP BY with their alias rules, row locks.

use std::ops::Range;
use std::sync::Arc;

use super::labels::label;
use super::scope::{CommonTable, CommonTableState, Item, Offered};
use super::{Resolver, Use};
use crate::access::Operation;
use crate::catalog::footprint::{Effect, Unresolved};
use crate::catalog::types::{BOOL, INT8, Type};
use crate::sql::tree::{
    Action, Cte, Expr, FromItem, Literal, Name, Query, RowLock, Select, SetExpr, Target, Window, With,
};

/// One column of a query's result.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub name: Arc<str>,
    pub of: Type,
}

/// The clauses around a query's body that see what the body sees.
struct Tail<'q> {
    order_by: &'q [Expr],
    limits: &'q [Expr],
    locks: &'q [RowLock],
}

impl<'q> Tail<'q> {
    fn of(query: &'q Query) -> Self {
        Self { order_by: &query.order_by, limits: &query.limits, locks: &query.locks }
    }
}

impl Resolver<'_> {
    /// A query in a level of its own.
    pub(super) fn query(&mut self, query: &Query) -> Result<Vec<Output>, Unresolved> {
        self.deeper(|resolver| resolver.query_level(query))
    }

    fn query_level(&mut self, query: &Query) -> Result<Vec<Output>, Unresolved> {
        self.level(|resolver| {
            // `(SELECT …) ORDER BY x` is one query to PostgreSQL: the clauses outside the parentheses see what is inside.
            let (mut inner, mut tails) = (query, vec![Tail::of(query)]);
            resolver.with(query.with.as_ref())?;
            while let SetExpr::Query(next) = &inner.body {
                inner = next;
                resolver.with(inner.with.as_ref())?;
                tails.push(Tail::of(inner));
            }
            let from = resolver.uses.len();
            let outputs = resolver.body(&inner.body)?;
            // Rows of what FROM reads are locked, not those of subqueries in conditions.
            let read = from..resolver.here()?.from_end.unwrap_or(resolver.uses.len());
            for tail in tails {
                resolver.tail(&tail, &outputs, read.clone())?;
            }
            Ok(outputs)
        })
    }

    fn tail(&mut self, tail: &Tail<'_>, outputs: &[Output], read: Range<usize>) -> Result<(), Unresolved> {
        self.sort(tail.order_by, outputs)?;
        for limit in tail.limits {
            let of = self.expr(limit)?;
            self.coerced(&of, INT8);
        }
        for lock in tail.locks {
            self.lock_rows(lock, read.clone())?;
        }
        Ok(())
    }

    /// The body of a query, in the level that its caller has opened. ORDER BY may follow there.
    fn body(&mut self, body: &SetExpr) -> Result<Vec<Output>, Unresolved> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(rows) => {
                let outputs = self.values(rows)?;
                self.offer_outputs(&outputs)?;
                Ok(outputs)
            }
            SetExpr::SetOperation { left, right } => {
                let outputs = self.set_operation(left, right)?;
                self.offer_outputs(&outputs)?;
                Ok(outputs)
            }
        }
    }

    /// ORDER BY after a set operation or VALUES sees the result's columns and nothing else.
    fn offer_outputs(&mut self, outputs: &[Output]) -> Result<(), Unresolved> {
        let item = Self::computed_item(None, outputs);
        self.here()?.items.push(item);
        Ok(())
    }

    /// Long chains of set operations lean to the left: followed by a loop, not by recursion.
    fn set_operation(&mut self, left: &SetExpr, right: &SetExpr) -> Result<Vec<Output>, Unresolved> {
        let (mut arms, mut first) = (vec![right], left);
        while let SetExpr::SetOperation { left, right } = first {
            arms.push(right);
            first = left;
        }
        let mut outputs = self.level(|resolver| resolver.body(first))?;
        for arm in arms.into_iter().rev() {
            let others = self.deeper(|resolver| resolver.level(|resolver| resolver.body(arm)))?;
            for (output, other) in outputs.iter_mut().zip(others) {
                output.of = self.unified(&[output.of.clone(), other.of]);
            }
        }
        Ok(outputs)
    }

    fn values(&mut self, rows: &[Vec<Expr>]) -> Result<Vec<Output>, Unresolved> {
        let mut columns: Vec<Type> = Vec::new();
        for (number, row) in rows.iter().enumerate() {
            for (index, value) in row.iter().enumerate() {
                let of = self.expr(value)?;
                match columns.get_mut(index) {
                    Some(column) => *column = self.unified(&[column.clone(), of]),
                    None if number == 0 => columns.push(of),
                    None => {}
                }
            }
        }
        let named = |(index, of): (usize, Type)| Output { name: format!("column{}", index + 1).into(), of };
        Ok(columns.into_iter().enumerate().map(named).collect())
    }

    fn select(&mut self, select: &Select) -> Result<Vec<Output>, Unresolved> {
        let in_exists = std::mem::take(&mut self.in_exists);
        let first = self.uses.len();
        self.add_items(&select.from)?;
        self.here()?.from_end = Some(self.uses.len());
        let unseen = in_exists && self.shows_catalogs_only(select, first);
        let outputs = if unseen {
            self.unseen.extend(self.uses.iter().skip(first).map(|used| used.relation));
            Vec::new()
        } else {
            self.targets(&select.targets)?
        };
        for condition in select.selection.iter().chain(&select.having) {
            self.condition(condition)?;
        }
        self.group(&select.group_by, &outputs)?;
        self.sort(&select.distinct_on, &outputs)?;
        for (_, window) in &select.windows {
            self.window(window)?;
        }
        if let Some(into) = &select.into {
            self.effects.push(Effect::CreatesTable);
            self.create(into)?;
        }
        Ok(outputs)
    }

    /// `*` of the server's own catalogs alone. In EXISTS nobody sees what it stands for, and PostgreSQL asks for no privilege
    /// on their columns; on those of other relations it does.
    fn shows_catalogs_only(&self, select: &Select, first_use: usize) -> bool {
        let is_relation = |item: &FromItem| matches!(item, FromItem::Relation { .. });
        let uses = self.uses.get(first_use..).unwrap_or_default();
        let is_catalog = |used: &Use| {
            let relation = self.snapshot.relations.get(&used.relation);
            let schema = relation.and_then(|relation| self.snapshot.schema_names.get(&relation.schema));
            schema.is_some_and(|schema| matches!(&**schema, "pg_catalog" | "information_schema"))
        };
        matches!(select.targets.as_slice(), [Target::Star])
            && select.from.iter().all(is_relation)
            && uses.len() == select.from.len()
            && uses.iter().all(is_catalog)
    }

    /// A condition, which PostgreSQL casts to a boolean if it can.
    pub(super) fn condition(&mut self, condition: &Expr) -> Result<(), Unresolved> {
        let of = self.expr(condition)?;
        self.coerced(&of, BOOL);
        Ok(())
    }

    pub(super) fn window(&mut self, window: &Window) -> Result<(), Unresolved> {
        for expr in window.partition_by.iter().chain(&window.order_by).chain(&window.bounds) {
            self.expr(expr)?;
        }
        Ok(())
    }

    /// A select list or RETURNING.
    pub(super) fn targets(&mut self, targets: &[Target]) -> Result<Vec<Output>, Unresolved> {
        let mut outputs = Vec::new();
        for target in targets {
            match target {
                Target::Expr { expr, alias } => {
                    let of = self.expr(expr)?;
                    let name = alias.as_ref().map_or_else(|| label(expr), |alias| alias.as_str().into());
                    outputs.push(Output { name, of });
                }
                Target::Star => {
                    let items: Vec<Item> =
                        self.here()?.items.iter().filter(|item| item.columns_visible).cloned().collect();
                    for item in items {
                        self.expand(&item, &mut outputs)?;
                    }
                }
                Target::QualifiedStar(name) => {
                    let item = self.named_item(name)?.ok_or_else(|| Unresolved::Relation(name.to_string()))?;
                    self.expand(&item, &mut outputs)?;
                }
                Target::FieldStar(expr) => self.expand_row(expr, &mut outputs)?,
                Target::RowAlias(name) => self.name_changed_row(name.as_str())?,
            }
        }
        Ok(outputs)
    }

    fn expand(&mut self, item: &Item, outputs: &mut Vec<Output>) -> Result<(), Unresolved> {
        self.spend(item.columns.len())?;
        for column in item.columns.iter() {
            let of = self.read(column);
            outputs.push(Output { name: Arc::clone(&column.name), of });
        }
        Ok(())
    }

    /// `(expr).*`. What pgward cannot tell the columns of adds none: a reference to one of them then fails.
    fn expand_row(&mut self, expr: &Expr, outputs: &mut Vec<Output>) -> Result<(), Unresolved> {
        let row = match expr {
            Expr::Column(name) => self.row_reference(name)?,
            Expr::WholeRow(name) => self.named_item(name)?,
            _computed => None,
        };
        if let Some(item) = row {
            // As to PostgreSQL's privileges, `(t).*` reads the whole row.
            self.whole_row(&item)?;
            return self.expand(&item, outputs);
        }
        let of = self.expr(expr)?;
        for (name, of) in self.fields(&of).unwrap_or_default() {
            outputs.push(Output { name, of });
        }
        Ok(())
    }

    /// ORDER BY and DISTINCT ON: a bare name is an output's before it is a column's (`findTargetlistEntrySQL92`).
    fn sort(&mut self, keys: &[Expr], outputs: &[Output]) -> Result<(), Unresolved> {
        for key in keys {
            let output = |name: &Name| outputs.iter().find(|output| *output.name == *name.as_str());
            if bare_name(key).and_then(output).is_some() {
                continue;
            }
            // `name USING operator` comes as a comparison with NULL. Where the name could be a column's too, it counts.
            if let Expr::Operator { name: operator, left: Some(left), right } = key
                && **right == Expr::Literal(Literal::Null)
                && let Some(name) = bare_name(left)
                && let Some(of) = output(name).map(|output| output.of.clone().settled())
                && !self.has_column(name.as_str()).unwrap_or(false)
            {
                self.operator(operator, Some(of.clone()), of)?;
                continue;
            }
            self.expr(key)?;
        }
        Ok(())
    }

    /// GROUP BY: a bare name is a column's of this level before it is an output's.
    fn group(&mut self, keys: &[Expr], outputs: &[Output]) -> Result<(), Unresolved> {
        for key in keys {
            let Some(name) = bare_name(key) else {
                self.expr(key)?;
                continue;
            };
            if self.bare(name.as_str(), false)?.is_some() {
                continue;
            }
            if outputs.iter().all(|output| *output.name != *name.as_str()) {
                self.expr(key)?;
            }
        }
        Ok(())
    }

    /// FOR UPDATE and the like: the relations named, or all that FROM reads, need UPDATE as well.
    fn lock_rows(&mut self, lock: &RowLock, read: Range<usize>) -> Result<(), Unresolved> {
        self.effects.push(Effect::Locks);
        for name in &lock.of {
            let item = self.named_item(name)?.ok_or_else(|| Unresolved::Relation(name.to_string()))?;
            match item.relation {
                Some(use_index) => {
                    self.touch(use_index, Operation::Update);
                }
                None => self.lock_all(read.clone()),
            }
        }
        if lock.of.is_empty() {
            self.lock_all(read);
        }
        Ok(())
    }

    fn lock_all(&mut self, read: Range<usize>) {
        for use_index in read {
            self.touch(use_index, Operation::Update);
        }
    }

    pub(super) fn with(&mut self, with: Option<&With>) -> Result<(), Unresolved> {
        let Some(with) = with else { return Ok(()) };
        if !with.recursive {
            for cte in &with.ctes {
                let outputs = self.common_body(&cte.body)?;
                let state = CommonTableState::Known(columns(outputs, cte));
                self.tables.push(CommonTable { name: cte.name.as_str().into(), state });
            }
            return Ok(());
        }
        let base = self.tables.len();
        for cte in &with.ctes {
            self.tables.push(CommonTable { name: cte.name.as_str().into(), state: CommonTableState::Ahead });
        }
        for (index, cte) in with.ctes.iter().enumerate() {
            let outputs = self.recursive_body(cte, base + index)?;
            self.define(base + index, cte, outputs);
        }
        Ok(())
    }

    fn define(&mut self, at: usize, cte: &Cte, outputs: Vec<Output>) {
        if let Some(table) = self.tables.get_mut(at) {
            table.state = CommonTableState::Known(columns(outputs, cte));
        }
    }

    fn common_body(&mut self, body: &Action) -> Result<Vec<Output>, Unresolved> {
        match body {
            Action::Query(query) => self.query(query),
            Action::Insert(insert) => self.insert(insert),
            Action::Update(update) => self.update(update),
            Action::Delete(delete) => self.delete(delete),
            Action::Merge(merge) => self.merge(merge),
            other => self.action(other).map(|()| Vec::new()),
        }
    }

    /// The columns of a recursive table are those of its first arm, which the second one refers to.
    fn recursive_body(&mut self, cte: &Cte, at: usize) -> Result<Vec<Output>, Unresolved> {
        let Action::Query(query) = &cte.body else { return self.common_body(&cte.body) };
        let SetExpr::SetOperation { left, right } = &query.body else { return self.query(query) };
        self.level(|resolver| {
            resolver.with(query.with.as_ref())?;
            let from = resolver.uses.len();
            let mut outputs = resolver.level(|resolver| resolver.body(left))?;
            for output in &mut outputs {
                output.of = output.of.clone().settled();
            }
            resolver.define(at, cte, outputs.clone());
            resolver.level(|resolver| resolver.body(right))?;
            resolver.offer_outputs(&outputs)?;
            let read = from..resolver.uses.len();
            resolver.tail(&Tail::of(query), &outputs, read)?;
            Ok(outputs)
        })
    }

    /// A FROM item whose columns are computed already: reading them touches nothing more.
    pub(super) fn computed_item(name: Option<Arc<str>>, outputs: &[Output]) -> Item {
        let offered = |output: &Output| Offered {
            name: Arc::clone(&output.name),
            of: output.of.clone().settled(),
            sources: Vec::new(),
        };
        let columns: Arc<[Offered]> = outputs.iter().map(offered).collect();
        let row_type = Type::Row(columns.iter().map(|column| (Arc::clone(&column.name), column.of.clone())).collect());
        Item {
            name,
            schema: None,
            columns,
            relation: None,
            system_columns: false,
            row_type,
            columns_visible: true,
            lateral_only: false,
        }
    }
}

fn renamed(outputs: Vec<Output>, names: &[Name]) -> Vec<(Arc<str>, Type)> {
    let name_at = |index: usize, own: Arc<str>| names.get(index).map_or(own, |name| name.as_str().into());
    let named = |(index, output): (usize, Output)| (name_at(index, output.name), output.of.settled());
    outputs.into_iter().enumerate().map(named).collect()
}

/// The columns of a table of WITH; those that SEARCH and CYCLE add are rows of its own.
fn columns(outputs: Vec<Output>, cte: &Cte) -> Vec<(Arc<str>, Type)> {
    let mut columns = renamed(outputs, &cte.columns);
    columns.extend(cte.added.iter().map(|name| (Arc::from(name.as_str()), Type::Any)));
    columns
}

fn bare_name(expr: &Expr) -> Option<&Name> {
    match expr {
        Expr::Column(name) => match name.parts.as_slice() {
            [only] => Some(only),
            _ => None,
        },
        _not_a_name => None,
    }
}
