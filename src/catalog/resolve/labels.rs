//! The names that PostgreSQL gives to unnamed result columns (`FigureColname` in `parse_target.c`).

use std::sync::Arc;

use crate::sql::tree::{Expr, Query, SetExpr, SubqueryKind, Target};

/// How firmly a name holds: a cast's type name gives way to a name found deeper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    None,
    Weak,
    Firm,
}

/// The label of `expr` in a select list.
pub(super) fn label(expr: &Expr) -> Arc<str> {
    match figure(expr) {
        (Strength::None, _) => "?column?".into(),
        (_, name) => name.into(),
    }
}

fn figure(expr: &Expr) -> (Strength, &str) {
    match expr {
        Expr::Column(name) | Expr::WholeRow(name) => {
            (Strength::Firm, name.parts.last().map_or("?column?", |part| part.as_str()))
        }
        Expr::Field { name, .. } => (Strength::Firm, name.as_str()),
        Expr::Subscript { expr, .. } | Expr::Collate { expr, .. } => figure(expr),
        Expr::Call(call) => (Strength::Firm, call.name.parts.last().map_or("?column?", |part| part.as_str())),
        Expr::Cast { expr, to } => match figure(expr) {
            (Strength::Firm, name) => (Strength::Firm, name),
            (Strength::Weak | Strength::None, _) => {
                (Strength::Weak, to.name.parts.last().map_or("?column?", |part| part.as_str()))
            }
        },
        Expr::Case { otherwise, .. } => match otherwise.as_deref().map(figure) {
            Some((Strength::Firm, name)) => (Strength::Firm, name),
            Some((Strength::Weak | Strength::None, _)) | None => (Strength::Weak, "case"),
        },
        Expr::Array(_) => (Strength::Firm, "array"),
        Expr::Row(_) => (Strength::Firm, "row"),
        Expr::Common { name, .. } => (Strength::Firm, name),
        Expr::Keyword(name) => (Strength::Firm, name),
        Expr::Subquery(subquery) => match &subquery.kind {
            SubqueryKind::Exists => (Strength::Firm, "exists"),
            SubqueryKind::Array => (Strength::Firm, "array"),
            SubqueryKind::Scalar => first_target(&subquery.query),
            SubqueryKind::Quantified { .. } => (Strength::None, ""),
        },
        Expr::Literal(crate::sql::tree::Literal::Boolean(_)) => (Strength::Weak, "bool"),
        Expr::Literal(_) | Expr::Parameter(_) | Expr::Operator { .. } | Expr::Boolean(_) | Expr::Default => {
            (Strength::None, "")
        }
    }
}

/// A scalar subquery is called what its only column is called.
fn first_target(query: &Query) -> (Strength, &str) {
    let mut body = &query.body;
    loop {
        match body {
            SetExpr::Query(inner) => body = &inner.body,
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Values(_) => return (Strength::Firm, "column1"),
            SetExpr::Select(select) => {
                return match select.targets.first() {
                    Some(Target::Expr { alias: Some(alias), .. }) => (Strength::Firm, alias.as_str()),
                    Some(Target::Expr { expr, alias: None }) => match figure(expr) {
                        (Strength::None, _) => (Strength::Firm, "?column?"),
                        (Strength::Weak | Strength::Firm, name) => (Strength::Firm, name),
                    },
                    Some(Target::Star | Target::QualifiedStar(_) | Target::FieldStar(_) | Target::RowAlias(_))
                    | None => (Strength::None, ""),
                };
            }
        }
    }
}
