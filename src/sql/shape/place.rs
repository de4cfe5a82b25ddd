//! Where literals stand in a statement, and whether anything may depend on what they say.
//!
//! A list of places where nothing does, not of places where something does: what a comparison or a calculation works on, what
//! is stored in a column, what a well-known function of values is given, and how many rows are wanted. Whatever stands anywhere
//! else counts. What a literal there is turned into is for the catalogs to tell, and is not looked at here.

use std::collections::HashSet;

use crate::sql::tree::{
    Action, Assignment, Call, Cte, Delete, Expr, FromItem, Insert, JoinConstraint, Literal, OnConflict, Over,
    QualifiedName, Query, Select, SetExpr, SubqueryKind, Target, Update, Window, With,
};

/// The literals that were met.
#[derive(Debug, Default)]
pub(super) struct Places<'t> {
    /// Of those that nothing depends on, what they say.
    pub(super) free: HashSet<&'t str>,
    /// Of the others.
    pub(super) bound: HashSet<&'t str>,
    /// Part of the statement was not looked at, or asks for something that is judged by a literal.
    pub(super) hidden: bool,
}

/// What is true of a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A value like any other.
    Value,
    /// Something may depend on what stands here.
    Counts,
}

/// The literals of a statement; `None` where it is of a kind that is always looked at whole.
pub(super) fn places(action: &Action) -> Option<Places<'_>> {
    let mut places = Places::default();
    places.action(action)?;
    Some(places)
}

impl<'t> Places<'t> {
    fn action(&mut self, action: &'t Action) -> Option<()> {
        match action {
            Action::Query(query) => self.query(query),
            Action::Insert(insert) => self.insert(insert),
            Action::Update(update) => self.update(update),
            Action::Delete(delete) => self.delete(delete),
            Action::Merge(_)
            | Action::Copy(_)
            | Action::Explain { .. }
            | Action::Prepare { .. }
            | Action::Execute { .. }
            | Action::Deallocate(_)
            | Action::DeclareCursor { .. }
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
            | Action::Ddl(_)
            | Action::Call(_)
            | Action::Do
            | Action::Other => None,
        }
    }

    fn insert(&mut self, insert: &'t Insert) -> Option<()> {
        let Insert { with, table: _, alias: _, columns: _, indices, source, on_conflict, returning } = insert;
        self.with(with.as_ref())?;
        self.all(indices, Place::Counts);
        source.iter().try_for_each(|source| self.query(source))?;
        if let Some(OnConflict { inference, constraint: _, update }) = on_conflict {
            self.all(inference, Place::Counts);
            if let Some((sets, condition)) = update {
                self.assignments(sets);
                self.conditions(condition);
            }
        }
        self.targets(returning);
        Some(())
    }

    fn update(&mut self, update: &'t Update) -> Option<()> {
        let Update { with, table: _, alias: _, assignments, from, selection, current_of, returning } = update;
        if current_of.is_some() {
            return None;
        }
        self.with(with.as_ref())?;
        self.assignments(assignments);
        from.iter().try_for_each(|item| self.item(item))?;
        self.conditions(selection);
        self.targets(returning);
        Some(())
    }

    fn delete(&mut self, delete: &'t Delete) -> Option<()> {
        let Delete { with, table: _, alias: _, using, selection, current_of, returning } = delete;
        if current_of.is_some() {
            return None;
        }
        self.with(with.as_ref())?;
        using.iter().try_for_each(|item| self.item(item))?;
        self.conditions(selection);
        self.targets(returning);
        Some(())
    }

    fn assignments(&mut self, sets: &'t [Assignment]) {
        for Assignment { columns: _, indices, value } in sets {
            self.all(indices, Place::Counts);
            self.expr(value, Place::Value);
        }
    }

    fn with(&mut self, with: Option<&'t With>) -> Option<()> {
        with.iter()
            .flat_map(|with| &with.ctes)
            .try_for_each(|Cte { name: _, columns: _, body, added: _ }| self.action(body))
    }

    fn query(&mut self, query: &'t Query) -> Option<()> {
        let Query { with, body, order_by, limits, locks: _ } = query;
        self.with(with.as_ref())?;
        self.body(body)?;
        // `ORDER BY 1` is the first column.
        self.all(order_by, Place::Counts);
        self.all(limits, Place::Value);
        Some(())
    }

    fn body(&mut self, body: &'t SetExpr) -> Option<()> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(rows) => {
                self.all(rows.iter().flatten(), Place::Value);
                Some(())
            }
            SetExpr::SetOperation { left, right } => {
                self.body(left)?;
                self.body(right)
            }
        }
    }

    fn select(&mut self, select: &'t Select) -> Option<()> {
        let Select { distinct_on, targets, into, from, selection, group_by, having, windows } = select;
        if into.is_some() {
            return None;
        }
        self.all(distinct_on, Place::Counts);
        self.targets(targets);
        from.iter().try_for_each(|item| self.item(item))?;
        self.conditions(selection);
        self.all(group_by, Place::Counts);
        self.conditions(having);
        windows.iter().for_each(|(_, window)| self.window(window));
        Some(())
    }

    fn targets(&mut self, targets: &'t [Target]) {
        for target in targets {
            match target {
                Target::Expr { expr, alias: _ } => self.expr(expr, Place::Value),
                Target::FieldStar(expr) => self.expr(expr, Place::Counts),
                Target::Star | Target::QualifiedStar(_) | Target::RowAlias(_) => {}
            }
        }
    }

    fn item(&mut self, item: &'t FromItem) -> Option<()> {
        match item {
            FromItem::Relation { relation, alias: _, sample } => {
                // Settings are judged by the name that is asked for.
                let settings = relation.name.parts.last().is_some_and(|name| name.as_str() == "pg_settings");
                (sample.is_none() && !settings).then_some(())
            }
            FromItem::Functions { calls, lateral: _, ordinality: _, alias: _, definitions } => {
                // Columns that a statement defines are of types that it names.
                definitions.iter().all(Vec::is_empty).then_some(())?;
                calls.iter().for_each(|call| self.call(call));
                Some(())
            }
            FromItem::Subquery { query, lateral: _, alias: _ } => self.query(query),
            FromItem::Join { left, right, constraint, alias: _ } => {
                self.item(left)?;
                self.item(right)?;
                match constraint {
                    JoinConstraint::On(condition) => self.condition(condition),
                    JoinConstraint::Using(..) | JoinConstraint::Natural | JoinConstraint::None => {}
                }
                Some(())
            }
        }
    }

    fn window(&mut self, window: &'t Window) {
        let Window { base: _, partition_by, order_by, bounds } = window;
        self.all(partition_by.iter().chain(order_by).chain(bounds), Place::Counts);
    }

    fn conditions(&mut self, conditions: impl IntoIterator<Item = &'t Expr>) {
        conditions.into_iter().for_each(|condition| self.condition(condition));
    }

    /// A condition: one that says nothing of any row counts, as guard rails weigh those.
    fn condition(&mut self, condition: &'t Expr) {
        match condition {
            Expr::Boolean(parts) => self.conditions(parts),
            other => self.expr(other, if depends_on_rows(other) { Place::Value } else { Place::Counts }),
        }
    }

    fn all(&mut self, exprs: impl IntoIterator<Item = &'t Expr>, place: Place) {
        exprs.into_iter().for_each(|expr| self.expr(expr, place));
    }

    fn expr(&mut self, expr: &'t Expr, place: Place) {
        match expr {
            Expr::Literal(literal) => self.literal(literal, place),
            Expr::Operator { name: _, left, right } => {
                // What is reckoned with stands for no column of the result.
                let place = if place == Place::Counts && !depends_on_rows(expr) { Place::Counts } else { Place::Value };
                left.iter().for_each(|left| self.expr(left, place));
                self.expr(right, place);
            }
            Expr::Boolean(parts) => self.conditions(parts),
            Expr::Call(call) => self.call(call),
            Expr::Cast { expr, to: _ } | Expr::Collate { expr, collation: _ } => self.expr(expr, place),
            Expr::Field { expr, name: _ } => self.expr(expr, Place::Counts),
            Expr::Subscript { expr, indices, slice: _ } => {
                self.expr(expr, place);
                self.all(indices, Place::Counts);
            }
            Expr::Row(parts) | Expr::Array(parts) => self.all(parts, place),
            Expr::Common { name, arguments } => {
                let is_known = matches!(*name, "coalesce" | "greatest" | "least" | "nullif");
                self.all(arguments, if is_known { place } else { Place::Counts });
            }
            Expr::Case { operand, whens, otherwise } => {
                operand.iter().for_each(|operand| self.expr(operand, place));
                for (when, then) in whens {
                    if operand.is_some() {
                        self.expr(when, place)
                    } else {
                        self.condition(when)
                    }
                    self.expr(then, place);
                }
                otherwise.iter().for_each(|otherwise| self.expr(otherwise, place));
            }
            Expr::Subquery(subquery) => {
                match &subquery.kind {
                    SubqueryKind::Quantified { left, operator: _ } => self.expr(left, place),
                    SubqueryKind::Scalar | SubqueryKind::Exists | SubqueryKind::Array => {}
                }
                self.hidden |= self.query(&subquery.query).is_none();
            }
            Expr::Column(_) | Expr::Parameter(_) | Expr::Keyword(_) | Expr::WholeRow(_) | Expr::Default => {}
        }
    }

    fn literal(&mut self, literal: &'t Literal, place: Place) {
        let said: &str = match literal {
            Literal::Integer(said) | Literal::Numeric(said) | Literal::String(said) | Literal::Bit(said) => said,
            // Words, which stay in the shape.
            Literal::Null | Literal::Boolean(_) => return,
        };
        match place {
            Place::Value => self.free.insert(said),
            Place::Counts => self.bound.insert(said),
        };
    }

    fn call(&mut self, call: &'t Call) {
        let Call { name, arguments, star: _, variadic: _, order_by, within_group, filter, over } = call;
        let of_values = is_of_values(name);
        let place = if of_values { Place::Value } else { Place::Counts };
        self.hidden |= !of_values && gives_settings(name);
        for argument in arguments {
            self.expr(&argument.expr, if argument.name.is_some() { Place::Counts } else { place });
        }
        self.all(order_by.iter().chain(within_group), Place::Counts);
        self.conditions(filter);
        match over {
            Some(Over::Inline(window)) => self.window(window),
            Some(Over::Named(_)) | None => {}
        }
    }
}

/// Whether an expression is not the same whatever the rows: it reads something, or asks for something that may.
fn depends_on_rows(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::WholeRow(_) | Expr::Subquery(_) | Expr::Parameter(_) => true,
        Expr::Literal(_) | Expr::Keyword(_) | Expr::Default => false,
        Expr::Call(call) => call.star || call.arguments.iter().any(|argument| depends_on_rows(&argument.expr)),
        Expr::Operator { name: _, left, right } => {
            left.as_ref().is_some_and(|left| depends_on_rows(left)) || depends_on_rows(right)
        }
        Expr::Boolean(parts) | Expr::Row(parts) | Expr::Array(parts) | Expr::Common { name: _, arguments: parts } => {
            parts.iter().any(depends_on_rows)
        }
        Expr::Cast { expr, to: _ } | Expr::Collate { expr, collation: _ } | Expr::Field { expr, name: _ } => {
            depends_on_rows(expr)
        }
        Expr::Subscript { expr, indices, slice: _ } => depends_on_rows(expr) || indices.iter().any(depends_on_rows),
        Expr::Case { operand, whens, otherwise } => {
            operand.iter().chain(otherwise).any(|expr| depends_on_rows(expr))
                || whens.iter().any(|(when, then)| depends_on_rows(when) || depends_on_rows(then))
        }
    }
}

/// Whether a function is judged by the setting that is asked for.
fn gives_settings(name: &QualifiedName) -> bool {
    name.parts
        .last()
        .is_some_and(|name| matches!(name.as_str(), "current_setting" | "set_config" | "pg_show_all_settings"))
}

/// Whether a function works on values alone: none of its arguments is a name, a setting, a path, a pattern of another
/// language's, or text that is run. Sorted.
fn is_of_values(name: &QualifiedName) -> bool {
    let name = match name.parts.as_slice() {
        [name] => name,
        [schema, name] if schema.as_str() == "pg_catalog" => name,
        [..] => return false,
    };
    OF_VALUES.binary_search(&name.as_str()).is_ok()
}

#[rustfmt::skip]
const OF_VALUES: &[&str] = &[
    "abs", "age", "array_agg", "array_append", "array_length", "array_position", "array_prepend", "array_remove",
    "array_to_string", "avg", "bit_length", "bool_and", "bool_or", "btrim", "cardinality", "ceil", "ceiling",
    "char_length", "character_length", "chr", "coalesce", "concat", "concat_ws", "count", "date_bin", "date_part",
    "date_trunc", "div", "every", "extract", "first_value", "floor", "generate_series", "greatest", "initcap",
    "isfinite", "json_agg", "json_build_array", "json_build_object", "jsonb_agg", "jsonb_build_array",
    "jsonb_build_object", "lag", "last_value", "lead", "least", "left", "length", "ln", "log", "lower", "lpad", "ltrim",
    "make_date", "make_interval", "make_time", "make_timestamp", "make_timestamptz", "max", "md5", "min", "mod",
    "nth_value", "ntile", "nullif", "octet_length", "overlaps", "overlay", "position", "power", "repeat", "replace",
    "reverse", "right", "round", "row_number", "rpad", "rtrim", "sign", "split_part", "sqrt", "starts_with",
    "string_agg", "string_to_array", "strpos", "substr", "substring", "sum", "timezone", "to_char", "to_date",
    "to_number", "to_timestamp", "translate", "trunc", "unnest", "upper", "width_bucket",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_functions_is_sorted() {
        assert!(OF_VALUES.is_sorted());
    }
}
