//! Secrets by syntax: constants and parameters that the tree puts where a secret belongs.

mod expr;

use std::collections::HashMap;

pub(super) use expr::takes_secret;
use expr::{call, expression, expressions, mark};

use super::Rule;
use super::words::is_secret_name;
use crate::sql::tree::{
    Action, Assignment, CopySource, Cte, Ddl, Delete, FromItem, Insert, JoinConstraint, Merge, MergeAction, Name,
    Query, Select, SetExpr, Target, Update, Window, With,
};

/// What was found in one statement.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Constants as the lexer reads them, and why each is a secret.
    pub(super) secrets: HashMap<String, Rule>,
    /// The numbers of parameters.
    pub(super) parameters: Vec<u16>,
}

pub(super) fn statement(action: &Action, found: &mut Found) {
    match action {
        Action::Query(query) => self::query(query, found),
        Action::Insert(insert) => self::insert(insert, found),
        Action::Update(update) => self::update(update, found),
        Action::Delete(delete) => self::delete(delete, found),
        Action::Merge(merge) => self::merge(merge, found),
        Action::Copy(copy) => {
            if let CopySource::Query(action) = &copy.source {
                statement(action, found);
            }
            expressions(&copy.selection, found);
        }
        Action::Explain { analyze: _, inner } => statement(inner, found),
        Action::Prepare { name: _, types: _, inner } => statement(&inner.action, found),
        Action::Execute { name: _, arguments } => expressions(arguments, found),
        Action::DeclareCursor { name: _, hold: _, query } => self::query(query, found),
        Action::Ddl(ddl) => self::ddl(ddl, found),
        Action::Call(call) => self::call(call, found),
        // Their secrets stand in their words.
        Action::Deallocate(_)
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
        | Action::Do
        | Action::Other => {}
    }
}

/// The arguments of an EXECUTE that stand for parameters with these numbers.
pub(super) fn arguments(action: &Action, numbers: &[u16], found: &mut Found) {
    match action {
        Action::Explain { analyze: _, inner } => arguments(inner, numbers, found),
        Action::Execute { name: _, arguments } => {
            let is_secret = |index: usize| numbers.iter().any(|number| usize::from(*number) == index + 1);
            let secret = arguments.iter().enumerate().filter(|(index, _)| is_secret(*index));
            secret.for_each(|(_, argument)| mark(argument, "password", found));
        }
        _ => {}
    }
}

fn ddl(ddl: &Ddl, found: &mut Found) {
    expressions(&ddl.expressions, found);
    if let Some(query) = &ddl.query {
        self::query(query, found);
    }
}

fn query(query: &Query, found: &mut Found) {
    with(&query.with, found);
    set_expr(&query.body, found);
    expressions(&query.order_by, found);
    expressions(&query.limits, found);
}

fn with(with: &Option<With>, found: &mut Found) {
    for Cte { name: _, columns, body, added: _ } in with.iter().flat_map(|with| &with.ctes) {
        statement(body, found);
        if let Action::Query(query) = body {
            columns_of(columns, &query.body, found);
        }
    }
}

fn set_expr(body: &SetExpr, found: &mut Found) {
    match body {
        SetExpr::Select(select) => self::select(select, found),
        SetExpr::Query(query) => self::query(query, found),
        SetExpr::Values(rows) => rows.iter().for_each(|row| expressions(row, found)),
        SetExpr::SetOperation { left, right } => {
            set_expr(left, found);
            set_expr(right, found);
        }
    }
}

fn select(select: &Select, found: &mut Found) {
    targets(&select.targets, found);
    expressions(&select.distinct_on, found);
    select.from.iter().for_each(|item| from_item(item, found));
    expressions(&select.selection, found);
    expressions(&select.group_by, found);
    expressions(&select.having, found);
    select.windows.iter().for_each(|(_, window)| self::window(window, found));
}

fn targets(targets: &[Target], found: &mut Found) {
    for target in targets {
        match target {
            Target::Expr { expr, alias } => {
                if alias.as_ref().is_some_and(is_secret) {
                    mark(expr, "password", found);
                }
                expression(expr, found);
            }
            Target::FieldStar(expr) => expression(expr, found),
            Target::Star | Target::QualifiedStar(_) | Target::RowAlias(_) => {}
        }
    }
}

fn from_item(item: &FromItem, found: &mut Found) {
    match item {
        FromItem::Relation { relation: _, alias: _, sample } => sample.iter().for_each(|sample| call(sample, found)),
        FromItem::Functions { calls, .. } => calls.iter().for_each(|one| call(one, found)),
        FromItem::Subquery { query, lateral: _, alias } => {
            self::query(query, found);
            columns_of(&alias.columns, &query.body, found);
        }
        FromItem::Join { left, right, constraint, alias: _ } => {
            from_item(left, found);
            from_item(right, found);
            match constraint {
                JoinConstraint::On(expr) => expression(expr, found),
                JoinConstraint::Using(..) | JoinConstraint::Natural | JoinConstraint::None => {}
            }
        }
    }
}

/// What a list of columns gets from the rows of a query.
fn columns_of(columns: &[Name], body: &SetExpr, found: &mut Found) {
    if !columns.iter().any(is_secret) {
        return;
    }
    match body {
        SetExpr::Values(rows) => {
            for row in rows {
                let secret = columns.iter().zip(row).filter(|(column, _)| is_secret(column));
                secret.for_each(|(_, value)| mark(value, "password", found));
            }
        }
        SetExpr::Select(select) => {
            let secret = columns.iter().zip(&select.targets).filter(|(column, _)| is_secret(column));
            for (_, target) in secret {
                if let Target::Expr { expr, alias: _ } = target {
                    mark(expr, "password", found);
                }
            }
        }
        SetExpr::Query(query) => columns_of(columns, &query.body, found),
        SetExpr::SetOperation { left, right } => {
            columns_of(columns, left, found);
            columns_of(columns, right, found);
        }
    }
}

fn insert(insert: &Insert, found: &mut Found) {
    with(&insert.with, found);
    expressions(&insert.indices, found);
    if let Some(source) = &insert.source {
        query(source, found);
        columns_of(&insert.columns, &source.body, found);
    }
    if let Some(conflict) = &insert.on_conflict {
        expressions(&conflict.inference, found);
        if let Some((sets, selection)) = &conflict.update {
            assignments(sets, found);
            expressions(selection, found);
        }
    }
    targets(&insert.returning, found);
}

fn update(update: &Update, found: &mut Found) {
    with(&update.with, found);
    assignments(&update.assignments, found);
    update.from.iter().for_each(|item| from_item(item, found));
    expressions(&update.selection, found);
    targets(&update.returning, found);
}

fn delete(delete: &Delete, found: &mut Found) {
    with(&delete.with, found);
    delete.using.iter().for_each(|item| from_item(item, found));
    expressions(&delete.selection, found);
    targets(&delete.returning, found);
}

fn merge(merge: &Merge, found: &mut Found) {
    with(&merge.with, found);
    from_item(&merge.source, found);
    expression(&merge.on, found);
    for when in &merge.whens {
        expressions(&when.condition, found);
        match &when.action {
            MergeAction::Insert { columns, indices, values } => {
                expressions(indices, found);
                expressions(values, found);
                let secret = columns.iter().zip(values).filter(|(column, _)| is_secret(column));
                secret.for_each(|(_, value)| mark(value, "password", found));
            }
            MergeAction::Update(sets) => assignments(sets, found),
            MergeAction::Delete | MergeAction::DoNothing => {}
        }
    }
    targets(&merge.returning, found);
}

fn assignments(sets: &[Assignment], found: &mut Found) {
    for Assignment { columns, indices, value } in sets {
        expressions(indices, found);
        expression(value, found);
        if columns.iter().any(is_secret) {
            mark(value, "password", found);
        }
    }
}

fn window(window: &Window, found: &mut Found) {
    expressions(&window.partition_by, found);
    expressions(&window.order_by, found);
    expressions(&window.bounds, found);
}

fn is_secret(name: &Name) -> bool {
    is_secret_name(name.as_str())
}
