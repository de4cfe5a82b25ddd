//! Statements about objects that a schema change covers: COMMENT, ANALYZE and VACUUM of tables, and types. What is
//! understood in every part becomes [`Action::Ddl`]; anything more stays what its first words say.

use super::ddl::{Understood, empty};
use super::{Found, copy, other};
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::{Kind, Token};
use crate::sql::tree::{Action, Ddl, DdlObject, DdlTarget, QualifiedName};
use crate::sql::types::type_name;

/// COMMENT, ANALYZE, VACUUM.
pub fn read(cursor: &Cursor<'_>) -> Found {
    let (kind, fallback) = other::read(cursor)?;
    let mut reader = cursor.clone();
    let ddl = match kind {
        "COMMENT" => comment(&mut reader),
        "ANALYZE" | "VACUUM" => analyze(&mut reader),
        _ => None,
    };
    Ok((kind, ddl.map_or(fallback, |ddl| Action::Ddl(Box::new(ddl)))))
}

/// `COMMENT ON object IS text`.
fn comment(cursor: &mut Cursor<'_>) -> Option<Ddl> {
    cursor.advance(2);
    let (kind, name) = commented(cursor)?;
    if !cursor.take(&["is"]) {
        return None;
    }
    match cursor.kind(0) {
        Some(Kind::String(_)) => cursor.advance(1),
        Some(_) | None if cursor.take(&["null"]) => {}
        Some(_) | None => return None,
    }
    cursor.is_done().then(|| empty(kind, name))
}

fn commented(cursor: &mut Cursor<'_>) -> Option<(DdlObject, QualifiedName)> {
    let kind = if cursor.take(&["materialized", "view"]) {
        DdlObject::MaterializedView
    } else {
        match cursor.take_one(&["table", "view", "sequence", "index", "schema", "type", "column", "constraint"])? {
            "table" => DdlObject::Table,
            "view" => DdlObject::View,
            "sequence" => DdlObject::Sequence,
            "index" => DdlObject::Index,
            "schema" => DdlObject::Schema,
            "type" => DdlObject::Type,
            "column" => {
                // Its last part is the column.
                let mut name = cursor.qualified_name()?;
                name.parts.pop();
                return (!name.parts.is_empty()).then_some((DdlObject::Table, name));
            }
            _ => {
                cursor.name()?;
                let found = cursor.take(&["on"]) && cursor.word(0) != "domain";
                return Some((DdlObject::Table, cursor.qualified_name().filter(|_| found)?));
            }
        }
    };
    Some((kind, cursor.qualified_name()?))
}

/// ANALYZE and VACUUM of tables by name: without any they are of the whole database.
fn analyze(cursor: &mut Cursor<'_>) -> Option<Ddl> {
    cursor.advance(1);
    if cursor.is_mark(0, '(') {
        let options = cursor.group()?;
        options.iter().all(is_option).then_some(())?;
    }
    while cursor.take_one(&["full", "freeze", "verbose", "analyze", "analyse"]).is_some() {}
    let mut targets = Vec::new();
    loop {
        cursor.take(&["only"]);
        let name = cursor.qualified_name()?;
        if cursor.is_mark(0, '(') {
            copy::names(cursor.group()?).ok()?;
        }
        targets.push(DdlTarget { kind: DdlObject::Table, name });
        if !cursor.take_mark(',') {
            break;
        }
    }
    let mut ddl = empty(DdlObject::Table, targets.first()?.name.clone());
    ddl.targets = targets;
    cursor.is_done().then_some(ddl)
}

fn is_option(token: &Token) -> bool {
    matches!(token.kind, Kind::Word(_) | Kind::String(_) | Kind::Integer(_) | Kind::Mark(',') | Kind::Operator(_))
}

/// `CREATE TYPE name AS ENUM (…)`, `AS (column type, …)`.
pub fn create_type(cursor: &mut Cursor<'_>) -> Understood<Ddl> {
    Ok(created_type(cursor))
}

fn created_type(cursor: &mut Cursor<'_>) -> Option<Ddl> {
    cursor.advance(2);
    let mut ddl = empty(DdlObject::Type, cursor.qualified_name()?);
    if !cursor.take(&["as"]) {
        return None;
    }
    if cursor.take(&["enum"]) {
        let labels = cursor.group()?;
        let known = labels.iter().all(|token| matches!(token.kind, Kind::String(_) | Kind::Mark(',')));
        return (known && cursor.is_done()).then_some(ddl);
    }
    if !cursor.is_mark(0, '(') {
        return None;
    }
    for element in comma_separated(cursor.group()?) {
        let mut column = Cursor::new(element);
        column.name()?;
        ddl.types.push(type_name(&mut column)?);
        if column.take(&["collate"]) {
            column.qualified_name()?;
        }
        column.is_done().then_some(())?;
    }
    cursor.is_done().then_some(ddl)
}

/// `ALTER TYPE name ADD VALUE …`, `RENAME VALUE …`: nothing that runs code.
pub fn alter_type(cursor: &mut Cursor<'_>) -> Understood<Ddl> {
    Ok(altered_type(cursor))
}

fn altered_type(cursor: &mut Cursor<'_>) -> Option<Ddl> {
    cursor.advance(2);
    let ddl = empty(DdlObject::Type, cursor.qualified_name()?);
    let text = |cursor: &mut Cursor<'_>| match cursor.kind(0) {
        Some(Kind::String(_)) => {
            cursor.advance(1);
            Some(())
        }
        Some(_) | None => None,
    };
    if cursor.take(&["add", "value"]) {
        cursor.take(&["if", "not", "exists"]);
        text(cursor)?;
        if cursor.take_one(&["before", "after"]).is_some() {
            text(cursor)?;
        }
    } else if cursor.take(&["rename", "value"]) {
        text(cursor)?;
        cursor.take(&["to"]).then_some(())?;
        text(cursor)?;
    } else {
        return None;
    }
    cursor.is_done().then_some(ddl)
}
