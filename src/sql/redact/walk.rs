//! Secrets by syntax: constants and parameters that the tree puts where a secret belongs.

use std::collections::HashMap;

use super::words::is_secret_name;
use super::{Rule, holds_credentials};
use crate::sql::tree::{
    Action, Assignment, Call, CopySource, Cte, Ddl, Delete, Expr, FromItem, Insert, JoinConstraint, Literal, Merge,
    MergeAction, Name, Over, QualifiedName, Query, Select, SetExpr, Subquery, SubqueryKind, Target, Update, Window,
    With,
};

/// Functions that connect elsewhere, all of whose constants go; [`FIRST_CONNECTS`] are those whose first argument says where.
const CONNECTS: [&str; 4] = ["dblink_connect", "dblink_connect_u", "dblink_fdw_validator", "postgres_fdw_validator"];
const FIRST_CONNECTS: [&str; 6] =
    ["dblink", "dblink_exec", "dblink_open", "dblink_fetch", "dblink_close", "dblink_send_query"];
/// pgcrypto's functions that take a password or a key.
const ENCRYPTS: [&str; 12] = [
    "crypt",
    "hmac",
    "encrypt",
    "decrypt",
    "encrypt_iv",
    "decrypt_iv",
    "pgp_sym_encrypt",
    "pgp_sym_encrypt_bytea",
    "pgp_sym_decrypt",
    "pgp_sym_decrypt_bytea",
    "pgp_pub_decrypt",
    "pgp_pub_decrypt_bytea",
];

/// Whether a function of this name is given secrets.
pub(super) fn takes_secret(name: &str) -> bool {
    CONNECTS.contains(&name) || FIRST_CONNECTS.contains(&name) || ENCRYPTS.contains(&name)
}

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

fn expressions<'e>(all: impl IntoIterator<Item = &'e Expr>, found: &mut Found) {
    all.into_iter().for_each(|expr| expression(expr, found));
}

fn expression(expr: &Expr, found: &mut Found) {
    match expr {
        Expr::Literal(Literal::String(value)) if holds_credentials(value) => {
            found.secrets.insert(value.clone(), "connection");
        }
        Expr::Call(call) => self::call(call, found),
        Expr::Subquery(subquery) => self::subquery(subquery, found),
        Expr::Operator { name: _, left, right } => {
            let sides: Vec<&Expr> = left.iter().chain([right]).map(Box::as_ref).collect();
            together(&sides, found);
        }
        Expr::Common { name: _, arguments } => together(&arguments.iter().collect::<Vec<_>>(), found),
        Expr::Case { operand, whens, otherwise } => {
            let conditions = operand.iter().map(Box::as_ref).chain(whens.iter().map(|(when, _)| when));
            together(&conditions.collect::<Vec<_>>(), found);
            expressions(whens.iter().map(|(_, then)| then), found);
            expressions(otherwise.iter().map(Box::as_ref), found);
        }
        Expr::Subscript { expr, indices, slice: _ } => {
            expression(expr, found);
            expressions(indices, found);
        }
        Expr::Cast { expr, to: _ } | Expr::Collate { expr, collation: _ } | Expr::Field { expr, name: _ } => {
            expression(expr, found);
        }
        Expr::Boolean(parts) | Expr::Row(parts) | Expr::Array(parts) => expressions(parts, found),
        Expr::Column(_)
        | Expr::Literal(_)
        | Expr::Parameter(_)
        | Expr::Keyword(_)
        | Expr::WholeRow(_)
        | Expr::Default => {}
    }
}

/// What stands beside a column of secrets is compared with one.
fn together(parts: &[&Expr], found: &mut Found) {
    expressions(parts.iter().copied(), found);
    if parts.iter().any(|part| reads_secret(part)) {
        parts.iter().for_each(|part| mark(part, "password", found));
    }
}

fn subquery(subquery: &Subquery, found: &mut Found) {
    match &subquery.kind {
        SubqueryKind::Quantified { left, operator: _ } => {
            expression(left, found);
            if reads_secret(left) {
                columns_of(&[Name::from("password")], &subquery.query.body, found);
            }
        }
        SubqueryKind::Scalar | SubqueryKind::Exists | SubqueryKind::Array => {}
    }
    query(&subquery.query, found);
}

fn call(call: &Call, found: &mut Found) {
    for argument in &call.arguments {
        expression(&argument.expr, found);
        if argument.name.as_ref().is_some_and(is_secret) {
            mark(&argument.expr, "password", found);
        }
    }
    expressions(&call.order_by, found);
    expressions(&call.within_group, found);
    expressions(&call.filter, found);
    if let Some(Over::Inline(window)) = &call.over {
        self::window(window, found);
    }
    let name = last(&call.name);
    let arguments = || call.arguments.iter().map(|argument| &argument.expr);
    let mut all = |rule| arguments().for_each(|argument| mark(argument, rule, found));
    if CONNECTS.contains(&name) {
        all("dblink");
    } else if ENCRYPTS.contains(&name) {
        all("crypto");
    } else if is_secret_name(name) || arguments().any(reads_secret) {
        all("password");
    } else if FIRST_CONNECTS.contains(&name) {
        arguments().take(1).for_each(|argument| mark(argument, "dblink", found));
    } else if name == "set_config" && arguments().next().is_some_and(names_secret) {
        arguments().skip(1).take(1).for_each(|argument| mark(argument, "setting", found));
    }
}

fn names_secret(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(Literal::String(name)) => is_secret_name(name),
        Expr::Cast { expr, to: _ } => names_secret(expr),
        // Only known when it runs.
        _ => true,
    }
}

/// Whether a column of secrets is read, as far as its name tells; not within queries of its own.
fn reads_secret(expr: &Expr) -> bool {
    match expr {
        Expr::Column(name) => is_secret_name(last(name)),
        Expr::Field { expr, name } => is_secret(name) || reads_secret(expr),
        Expr::Cast { expr, to: _ } | Expr::Collate { expr, collation: _ } => reads_secret(expr),
        Expr::Subscript { expr, indices, slice: _ } => reads_secret(expr) || indices.iter().any(reads_secret),
        Expr::Operator { name: _, left, right } => {
            left.as_ref().is_some_and(|left| reads_secret(left)) || reads_secret(right) || names_key(right)
        }
        Expr::Row(parts) | Expr::Array(parts) | Expr::Common { name: _, arguments: parts } => {
            parts.iter().any(reads_secret)
        }
        Expr::Call(call) => call.arguments.iter().any(|argument| reads_secret(&argument.expr)),
        Expr::Boolean(_)
        | Expr::Case { .. }
        | Expr::Literal(_)
        | Expr::Parameter(_)
        | Expr::Subquery(_)
        | Expr::Keyword(_)
        | Expr::WholeRow(_)
        | Expr::Default => false,
    }
}

/// `data ->> 'password'`
fn names_key(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(Literal::String(name)) if is_secret_name(name))
}

/// Marks every constant and parameter of an expression; a query within it is looked at by itself.
fn mark(expr: &Expr, rule: Rule, found: &mut Found) {
    match expr {
        Expr::Literal(
            Literal::String(value) | Literal::Bit(value) | Literal::Integer(value) | Literal::Numeric(value),
        ) => {
            found.secrets.entry(value.clone()).or_insert(rule);
        }
        Expr::Parameter(number) => found.parameters.push(*number),
        Expr::Call(call) => call.arguments.iter().for_each(|argument| mark(&argument.expr, rule, found)),
        Expr::Operator { name: _, left, right } => {
            left.iter().chain([right]).for_each(|side| mark(side, rule, found));
        }
        Expr::Cast { expr, to: _ } | Expr::Collate { expr, collation: _ } | Expr::Field { expr, name: _ } => {
            mark(expr, rule, found);
        }
        Expr::Subscript { expr, indices: _, slice: _ } => mark(expr, rule, found),
        Expr::Boolean(parts) | Expr::Row(parts) | Expr::Array(parts) | Expr::Common { name: _, arguments: parts } => {
            parts.iter().for_each(|part| mark(part, rule, found))
        }
        Expr::Case { operand: _, whens, otherwise } => {
            whens.iter().for_each(|(_, then)| mark(then, rule, found));
            otherwise.iter().for_each(|otherwise| mark(otherwise, rule, found));
        }
        Expr::Subquery(subquery) => columns_of(&[Name::from("password")], &subquery.query.body, found),
        Expr::Literal(Literal::Null | Literal::Boolean(_))
        | Expr::Column(_)
        | Expr::Keyword(_)
        | Expr::WholeRow(_)
        | Expr::Default => {}
    }
}

fn is_secret(name: &Name) -> bool {
    is_secret_name(name.as_str())
}

fn last(name: &QualifiedName) -> &str {
    name.parts.last().map(Name::as_str).unwrap_or_default()
}
