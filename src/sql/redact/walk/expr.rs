//! Secrets by syntax, within expressions: what is compared with a secret, given to a function as one, or looks like one.

use super::{Found, columns_of, is_secret, query};
use crate::sql::redact::words::is_secret_name;
use crate::sql::redact::{Rule, holds_credentials};
use crate::sql::tree::{Call, Expr, Literal, Name, Over, QualifiedName, Subquery, SubqueryKind};

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
pub(in crate::sql::redact) fn takes_secret(name: &str) -> bool {
    CONNECTS.contains(&name) || FIRST_CONNECTS.contains(&name) || ENCRYPTS.contains(&name)
}

pub(super) fn expressions<'e>(all: impl IntoIterator<Item = &'e Expr>, found: &mut Found) {
    all.into_iter().for_each(|expr| expression(expr, found));
}

pub(super) fn expression(expr: &Expr, found: &mut Found) {
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

pub(super) fn call(call: &Call, found: &mut Found) {
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
        super::window(window, found);
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
pub(super) fn mark(expr: &Expr, rule: Rule, found: &mut Found) {
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

fn last(name: &QualifiedName) -> &str {
    name.parts.last().map(Name::as_str).unwrap_or_default()
}
