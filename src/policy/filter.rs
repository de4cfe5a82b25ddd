//! Which UPDATEs and DELETEs do without a condition on the rows of their table.
//!
//! A condition counts where it names a column of the table, or the row as a whole: `WHERE true`, `WHERE 1 = 1` and
//! `WHERE EXISTS (SELECT 1 FROM other)` change every row as surely as no condition at all. A bare column inside of a
//! subquery is taken for the subquery's own: a condition that means the table by it qualifies it. This guards against
//! slips, not against intent: `WHERE id = id` has a condition.

use crate::sql::tree::{
    Action, Alias, CopySource, Expr, FromItem, JoinConstraint, Merge, MergeAction, Name, Over, QualifiedName, Query,
    Select, SetExpr, Subquery, SubqueryKind, Target, Window, With,
};

/// The first UPDATE or DELETE in a statement that every row of its table would feel, and that table.
pub(super) fn unfiltered(action: &Action) -> Option<(&'static str, &QualifiedName)> {
    match action {
        Action::Query(query) | Action::DeclareCursor { query, .. } => in_query(query),
        Action::Insert(insert) => {
            in_with(insert.with.as_ref()).or_else(|| insert.source.as_ref().and_then(|source| in_query(source)))
        }
        Action::Update(update) => {
            let table = Table::of(&update.table.name, &update.alias);
            let filters = update.current_of.is_some() || table.is_named_in(update.selection.as_ref());
            in_with(update.with.as_ref()).or((!filters).then_some(("UPDATE", &update.table.name)))
        }
        Action::Delete(delete) => {
            let table = Table::of(&delete.table.name, &delete.alias);
            let filters = delete.current_of.is_some() || table.is_named_in(delete.selection.as_ref());
            in_with(delete.with.as_ref()).or((!filters).then_some(("DELETE", &delete.table.name)))
        }
        Action::Merge(merge) => in_with(merge.with.as_ref()).or_else(|| in_merge(merge)),
        Action::Copy(copy) => match &copy.source {
            CopySource::Query(action) => unfiltered(action),
            CopySource::Table { .. } => None,
        },
        // Without ANALYZE nothing runs.
        Action::Explain { analyze: false, .. } => None,
        Action::Explain { analyze: true, inner } => unfiltered(inner),
        Action::Prepare { inner, .. } => unfiltered(&inner.action),
        Action::Ddl(ddl) => ddl.query.as_ref().and_then(in_query),
        Action::Execute { .. }
        | Action::Deallocate(_)
        | Action::Fetch { .. }
        | Action::CloseCursor(_)
        | Action::Transaction(_)
        | Action::Set(_)
        | Action::Reset(_)
        | Action::Show(_)
        | Action::SetIdentity
        | Action::ResetIdentity
        | Action::SetConstraints
        | Action::Discard
        | Action::Channel
        | Action::Lock { .. }
        | Action::Truncate { .. }
        | Action::Call(_)
        | Action::Do
        | Action::Other => None,
    }
}

/// PostgreSQL lets data-modifying statements stand in the WITH at the top alone; looked for where the grammar has one.
fn in_query(query: &Query) -> Option<(&'static str, &QualifiedName)> {
    in_with(query.with.as_ref()).or_else(|| in_body(&query.body))
}

fn in_body(body: &SetExpr) -> Option<(&'static str, &QualifiedName)> {
    match body {
        SetExpr::Query(query) => in_query(query),
        SetExpr::SetOperation { left, right } => in_body(left).or_else(|| in_body(right)),
        SetExpr::Select(_) | SetExpr::Values(_) => None,
    }
}

fn in_with(with: Option<&With>) -> Option<(&'static str, &QualifiedName)> {
    with?.ctes.iter().find_map(|cte| unfiltered(&cte.body))
}

/// A MERGE has a condition for the join; whatever updates or deletes rows needs that, or one of its own.
fn in_merge(merge: &Merge) -> Option<(&'static str, &QualifiedName)> {
    let table = Table::of(&merge.table.name, &merge.alias);
    if table.is_named_in(Some(&merge.on)) {
        return None;
    }
    let changes = |action: &MergeAction| match action {
        MergeAction::Update(_) | MergeAction::Delete => true,
        MergeAction::Insert { .. } | MergeAction::DoNothing => false,
    };
    let bare =
        |when: &&crate::sql::tree::MergeWhen| changes(&when.action) && !table.is_named_in(when.condition.as_ref());
    merge.whens.iter().find(bare).map(|_| ("MERGE", &merge.table.name))
}

/// The table that is written, by the name that the statement's expressions know it by.
struct Table<'a> {
    name: Option<&'a Name>,
}

impl<'a> Table<'a> {
    fn of(name: &'a QualifiedName, alias: &'a Alias) -> Self {
        Self { name: alias.name.as_ref().or_else(|| name.parts.last()) }
    }

    fn is_named_in(&self, condition: Option<&Expr>) -> bool {
        condition.is_some_and(|condition| self.expr(condition, false))
    }

    /// `t`, `s.t`: a row of the table.
    fn is_row(&self, parts: &[Name]) -> bool {
        parts.last() == self.name
    }

    fn column(&self, parts: &[Name], inside: bool) -> bool {
        match parts {
            [only] => !inside || Some(only) == self.name,
            [relation @ .., _column] => self.is_row(relation),
            [] => false,
        }
    }

    fn any<'b>(&self, exprs: impl IntoIterator<Item = &'b Expr>, inside: bool) -> bool {
        exprs.into_iter().any(|expr| self.expr(expr, inside))
    }

    /// `inside` of a subquery bare names are its own.
    fn expr(&self, expr: &Expr, inside: bool) -> bool {
        match expr {
            Expr::Column(name) => self.column(&name.parts, inside),
            Expr::WholeRow(name) => self.is_row(&name.parts),
            Expr::Literal(_) | Expr::Parameter(_) | Expr::Keyword(_) | Expr::Default => false,
            Expr::Call(call) => {
                let over = match &call.over {
                    Some(Over::Inline(window)) => self.window(window, inside),
                    Some(Over::Named(_)) | None => false,
                };
                let arguments = call.arguments.iter().map(|argument| &argument.expr);
                let others = call.order_by.iter().chain(&call.within_group).chain(&call.filter);
                over || self.any(arguments.chain(others), inside)
            }
            Expr::Operator { name: _, left, right } => {
                left.as_ref().is_some_and(|left| self.expr(left, inside)) || self.expr(right, inside)
            }
            Expr::Boolean(exprs)
            | Expr::Row(exprs)
            | Expr::Array(exprs)
            | Expr::Common { name: _, arguments: exprs } => self.any(exprs, inside),
            Expr::Cast { expr, to: _ } | Expr::Collate { expr, collation: _ } | Expr::Field { expr, name: _ } => {
                self.expr(expr, inside)
            }
            Expr::Subscript { expr, indices, slice: _ } => self.expr(expr, inside) || self.any(indices, inside),
            Expr::Case { operand, whens, otherwise } => {
                let whens = whens.iter().any(|(when, then)| self.expr(when, inside) || self.expr(then, inside));
                whens || self.any(operand.iter().chain(otherwise).map(AsRef::as_ref), inside)
            }
            Expr::Subquery(subquery) => self.subquery(subquery, inside),
        }
    }

    fn window(&self, window: &Window, inside: bool) -> bool {
        self.any(window.partition_by.iter().chain(&window.order_by).chain(&window.bounds), inside)
    }

    fn subquery(&self, subquery: &Subquery, inside: bool) -> bool {
        let left = match &subquery.kind {
            SubqueryKind::Quantified { left, operator: _ } => self.expr(left, inside),
            SubqueryKind::Scalar | SubqueryKind::Exists | SubqueryKind::Array => false,
        };
        left || self.query(&subquery.query)
    }

    fn query(&self, query: &Query) -> bool {
        let ctes = query.with.iter().flat_map(|with| &with.ctes);
        let in_cte = |action: &Action| match action {
            Action::Query(query) => self.query(query),
            // Data-modifying statements do not stand in subqueries.
            _other => false,
        };
        ctes.map(|cte| &cte.body).any(in_cte)
            || self.body(&query.body)
            || self.any(query.order_by.iter().chain(&query.limits), true)
    }

    fn body(&self, body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(rows) => self.any(rows.iter().flatten(), true),
            SetExpr::SetOperation { left, right } => self.body(left) || self.body(right),
        }
    }

    fn select(&self, select: &Select) -> bool {
        let target = |target: &Target| match target {
            Target::Expr { expr, alias: _ } | Target::FieldStar(expr) => self.expr(expr, true),
            Target::QualifiedStar(name) => self.is_row(&name.parts),
            Target::Star | Target::RowAlias(_) => false,
        };
        let clauses = select.distinct_on.iter().chain(&select.selection).chain(&select.group_by).chain(&select.having);
        select.targets.iter().any(target)
            || select.from.iter().any(|item| self.item(item))
            || self.any(clauses, true)
            || select.windows.iter().any(|(_, window)| self.window(window, true))
    }

    fn item(&self, item: &FromItem) -> bool {
        match item {
            FromItem::Relation { .. } => false,
            FromItem::Functions { calls, .. } => {
                calls.iter().any(|call| self.any(call.arguments.iter().map(|argument| &argument.expr), true))
            }
            FromItem::Subquery { query, .. } => self.query(query),
            FromItem::Join { left, right, constraint, alias: _ } => {
                let on = match constraint {
                    JoinConstraint::On(condition) => self.expr(condition, true),
                    JoinConstraint::Using(..) | JoinConstraint::Natural | JoinConstraint::None => false,
                };
                on || self.item(left) || self.item(right)
            }
        }
    }
}

#[cfg(test)]
mod tests;
