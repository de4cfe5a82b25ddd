//! What stands inside CREATE TABLE and ALTER TABLE: columns, constraints, and the plain alterations.
//!
//! Each reader says whether it understood all of its tokens; `false` makes the statement one that policy has no rule for.

use super::copy::names;
use super::partitions::partition_bound;
use crate::sql::Unreadable;
use crate::sql::cursor::Cursor;
use crate::sql::lex::Token;
use crate::sql::parse;
use crate::sql::tree::{Ddl, DdlObject};
use crate::sql::types::type_name;

type Understood = Result<bool, Unreadable>;

/// An element of CREATE TABLE.
pub fn column_or_constraint(tokens: &[Token], ddl: &mut Ddl) -> Understood {
    let mut cursor = Cursor::new(tokens);
    if cursor.take(&["like"]) {
        let Some(name) = cursor.qualified_name() else { return Ok(false) };
        ddl.references.push(name);
        // What is copied belongs to the table that is named; defaults may run functions, which is not understood.
        while cursor.take_one(&["including", "excluding"]).is_some() {
            if cursor.take_one(&["comments", "constraints", "indexes", "storage", "compression"]).is_none() {
                return Ok(false);
            }
        }
        return Ok(cursor.is_done());
    }
    if matches!(cursor.word(0), "constraint" | "check" | "unique" | "primary" | "foreign" | "exclude") {
        return constraint(&mut cursor, ddl);
    }
    column(&mut cursor, ddl)
}

/// `name type` and its constraints.
fn column(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Understood {
    if cursor.name().is_none() {
        return Ok(false);
    }
    let Some(found) = type_name(cursor) else { return Ok(false) };
    ddl.types.push(found);
    while !cursor.is_done() {
        if !column_constraint(cursor, ddl)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The words that begin the next constraint of a column, and so end an expression before.
const NEXT: [&str; 12] = [
    "constraint",
    "null",
    "check",
    "unique",
    "primary",
    "references",
    "default",
    "generated",
    "collate",
    "deferrable",
    "initially",
    "not",
];

fn column_constraint(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Understood {
    if cursor.take(&["constraint"]) && cursor.name().is_none() {
        return Ok(false);
    }
    if cursor.take(&["not", "null"]) || cursor.take(&["null"]) {
        return Ok(true);
    }
    if cursor.take(&["collate"]) {
        return Ok(cursor.qualified_name().is_some());
    }
    if cursor.take(&["default"]) {
        let first = cursor.clone();
        // The first token belongs to the default even if it is one of the words: DEFAULT NULL, DEFAULT NOT true.
        if matches!(first.word(0), "null" | "not") {
            cursor.advance(1);
        }
        cursor.until(&NEXT);
        let length = cursor.index() - first.index();
        ddl.expressions.push(parse::expression(first.rest().get(..length).unwrap_or_default())?);
        return Ok(true);
    }
    if cursor.take(&["generated"]) {
        return generated(cursor, ddl);
    }
    if cursor.take(&["unique"]) || cursor.take(&["primary", "key"]) {
        cursor.take(&["nulls", "not", "distinct"]);
        return Ok(true);
    }
    if cursor.take(&["check"]) {
        return check(cursor, ddl);
    }
    if cursor.take(&["references"]) {
        return references(cursor, ddl);
    }
    Ok(take_deferral(cursor))
}

/// GENERATED … AS IDENTITY [(…)], or AS (expression) STORED.
fn generated(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Understood {
    if !cursor.take(&["always"]) && !cursor.take(&["by", "default"]) || !cursor.take(&["as"]) {
        return Ok(false);
    }
    if cursor.take(&["identity"]) {
        return Ok(!cursor.is_mark(0, '('));
    }
    if !cursor.is_mark(0, '(') {
        return Ok(false);
    }
    let Some(inside) = cursor.group() else { return Ok(false) };
    ddl.expressions.push(parse::expression(inside)?);
    Ok(cursor.take_one(&["stored", "virtual"]).is_some())
}

fn check(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Understood {
    if !cursor.is_mark(0, '(') {
        return Ok(false);
    }
    let Some(inside) = cursor.group() else { return Ok(false) };
    ddl.expressions.push(parse::expression(inside)?);
    cursor.take(&["no", "inherit"]);
    cursor.take(&["not", "valid"]);
    Ok(true)
}

fn references(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Understood {
    let Some(name) = cursor.qualified_name() else { return Ok(false) };
    ddl.references.push(name);
    if cursor.is_mark(0, '(') {
        cursor.group();
    }
    loop {
        let action = cursor.take(&["on", "delete"]) || cursor.take(&["on", "update"]);
        if action {
            let known = cursor.take(&["no", "action"])
                || cursor.take_one(&["restrict", "cascade"]).is_some()
                || cursor.take(&["set", "null"])
                || cursor.take(&["set", "default"]);
            if !known {
                return Ok(false);
            }
            if cursor.is_mark(0, '(') {
                cursor.group();
            }
        } else if !(cursor.take(&["match"]) && cursor.take_one(&["full", "partial", "simple"]).is_some()) {
            break;
        }
    }
    while take_deferral(cursor) {}
    cursor.take(&["not", "valid"]);
    Ok(true)
}

fn take_deferral(cursor: &mut Cursor<'_>) -> bool {
    cursor.take(&["deferrable"])
        || cursor.take(&["not", "deferrable"])
        || cursor.take(&["initially", "deferred"])
        || cursor.take(&["initially", "immediate"])
}

/// A constraint of the table; EXCLUDE calls operators and is not understood.
fn constraint(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Understood {
    if cursor.take(&["constraint"]) && cursor.name().is_none() {
        return Ok(false);
    }
    let understood = if cursor.take(&["check"]) {
        check(cursor, ddl)?
    } else if cursor.take(&["unique"]) || cursor.take(&["primary", "key"]) {
        cursor.take(&["nulls", "not", "distinct"]);
        if cursor.take(&["using", "index"]) {
            cursor.name().is_some()
        } else {
            let columns = columns(cursor)?;
            if cursor.take(&["include"]) { columns && self::columns(cursor)? } else { columns }
        }
    } else if cursor.take(&["foreign", "key"]) {
        columns(cursor)? && cursor.take(&["references"]) && references(cursor, ddl)?
    } else {
        false
    };
    while take_deferral(cursor) {}
    cursor.take(&["not", "valid"]);
    Ok(understood && cursor.is_done())
}

fn columns(cursor: &mut Cursor<'_>) -> Understood {
    if !cursor.is_mark(0, '(') {
        return Ok(false);
    }
    let Some(inside) = cursor.group() else { return Ok(false) };
    names(inside).map(|_| true)
}

/// One action of ALTER TABLE.
pub fn alteration(tokens: &[Token], ddl: &mut Ddl) -> Understood {
    let mut cursor = Cursor::new(tokens);
    if cursor.take(&["add"]) {
        if cursor.take(&["column"]) {
            cursor.take(&["if", "not", "exists"]);
            return column(&mut cursor, ddl);
        }
        cursor.take(&["if", "not", "exists"]);
        return match cursor.word(0) {
            "constraint" | "check" | "unique" | "primary" | "foreign" | "exclude" => constraint(&mut cursor, ddl),
            _ => column(&mut cursor, ddl),
        };
    }
    if cursor.take(&["drop"]) {
        if !cursor.take(&["constraint"]) {
            cursor.take(&["column"]);
        }
        cursor.take(&["if", "exists"]);
        let named = cursor.name().is_some();
        if cursor.take(&["cascade"]) {
            ddl.cascade = true;
        } else {
            cursor.take(&["restrict"]);
        }
        return Ok(named && cursor.is_done());
    }
    // Parameters of storage; what else SET begins is not understood.
    if matches!(cursor.word(0), "set" | "reset") && cursor.is_mark(1, '(') {
        cursor.advance(1);
        return Ok(cursor.group().is_some() && cursor.is_done());
    }
    if cursor.take(&["validate", "constraint"]) {
        return Ok(cursor.name().is_some() && cursor.is_done());
    }
    if cursor.take(&["attach", "partition"]) {
        let Some(partition) = cursor.qualified_name() else { return Ok(false) };
        ddl.references.push(partition);
        return Ok(partition_bound(&mut cursor, ddl)? && cursor.is_done());
    }
    if cursor.take(&["detach", "partition"]) {
        let Some(partition) = cursor.qualified_name() else { return Ok(false) };
        ddl.references.push(partition);
        cursor.take_one(&["concurrently", "finalize"]);
        return Ok(cursor.is_done());
    }
    if cursor.take(&["rename"]) {
        return Ok(rename(&mut cursor, ddl));
    }
    if cursor.take(&["alter"]) {
        cursor.take(&["column"]);
        return alter_column(&mut cursor, ddl);
    }
    Ok(false)
}

/// RENAME [COLUMN] a TO b, RENAME CONSTRAINT a TO b, RENAME TO b: the new table is a target too.
fn rename(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> bool {
    if cursor.take(&["to"]) {
        let Some(new) = cursor.name() else { return false };
        if let Some(target) = ddl.targets.first() {
            let mut target = target.clone();
            if let Some(last) = target.name.parts.last_mut() {
                *last = new;
            }
            target.kind = DdlObject::Table;
            ddl.targets.push(target);
            ddl.renames = true;
        }
        return cursor.is_done();
    }
    let is_column = !cursor.take(&["constraint"]);
    if is_column {
        cursor.take(&["column"]);
    }
    let Some(old) = cursor.name() else { return false };
    if is_column {
        ddl.renamed_columns.push(old);
    }
    cursor.take(&["to"]) && cursor.name().is_some() && cursor.is_done()
}

/// TYPE, DEFAULT and NOT NULL of a column.
fn alter_column(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Understood {
    if cursor.name().is_none() {
        return Ok(false);
    }
    if cursor.take(&["set", "default"]) {
        ddl.expressions.push(parse::expression(cursor.rest())?);
        return Ok(true);
    }
    if cursor.take(&["set", "data", "type"]) || cursor.take(&["type"]) {
        let Some(found) = type_name(cursor) else { return Ok(false) };
        ddl.types.push(found);
        if cursor.take(&["collate"]) && cursor.qualified_name().is_none() {
            return Ok(false);
        }
        if cursor.take(&["using"]) {
            ddl.expressions.push(parse::expression(cursor.rest())?);
            return Ok(true);
        }
        return Ok(cursor.is_done());
    }
    let plain = cursor.take(&["set", "not", "null"])
        || cursor.take(&["drop", "not", "null"])
        || cursor.take(&["drop", "default"]);
    Ok(plain && cursor.is_done())
}
