//! CREATE, ALTER and DROP. What is understood in every part becomes [`Action::Ddl`]; anything more, [`Action::Other`].

use super::elements::{alteration, column_or_constraint};
use super::partitions::{partition_of, partitioned};
use super::{Found, objects, other, sequences};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::Token;
use crate::sql::parse;
use crate::sql::tree::{Action, Ddl, DdlObject, DdlTarget, QualifiedName};

/// A definition that was understood, or `None` for one to be treated as [`Action::Other`].
pub type Understood<T> = Result<Option<T>, Unreadable>;

pub fn read(tokens: &[Token]) -> Found {
    let cursor = Cursor::new(tokens);
    let (kind, fallback) = other::definition(&cursor)?;
    let mut reader = cursor;
    let ddl = match kind {
        "CREATE TABLE" => create_table(&mut reader),
        "CREATE VIEW" | "CREATE MATERIALIZED VIEW" => create_view(&mut reader),
        "CREATE INDEX" => create_index(&mut reader),
        "CREATE SCHEMA" => create_schema(&mut reader),
        "ALTER TABLE" => alter_table(&mut reader),
        "CREATE TYPE" => objects::create_type(&mut reader),
        "ALTER TYPE" => objects::alter_type(&mut reader),
        "CREATE SEQUENCE" => sequences::create(&mut reader),
        "ALTER SEQUENCE" => sequences::alter(&mut reader),
        "DROP TYPE" => drop_objects(&mut reader, DdlObject::Type),
        "DROP TABLE" => drop_objects(&mut reader, DdlObject::Table),
        "DROP VIEW" => drop_objects(&mut reader, DdlObject::View),
        "DROP MATERIALIZED VIEW" => drop_objects(&mut reader, DdlObject::MaterializedView),
        "DROP INDEX" => drop_objects(&mut reader, DdlObject::Index),
        "DROP SEQUENCE" => drop_objects(&mut reader, DdlObject::Sequence),
        "DROP SCHEMA" => drop_objects(&mut reader, DdlObject::Schema),
        _ => Ok(None),
    };
    // A part that cannot be read is a part that is not understood; the statement itself is recognised.
    let (kind, ddl) = match ddl {
        Ok(Some(ddl)) => (command(kind, &ddl), ddl),
        Ok(None) | Err(_) => return Ok((kind, fallback)),
    };
    Ok((kind, Action::Ddl(Box::new(ddl))))
}

/// CREATE TABLE AS has a tag of its own.
fn command(kind: &'static str, ddl: &Ddl) -> &'static str {
    if kind == "CREATE TABLE" && ddl.query.is_some() { "CREATE TABLE AS" } else { kind }
}

/// A definition of one object without anything in it yet.
pub fn empty(kind: DdlObject, name: QualifiedName) -> Ddl {
    Ddl {
        targets: vec![DdlTarget { kind, name }],
        references: Vec::new(),
        types: Vec::new(),
        expressions: Vec::new(),
        query: None,
        temporary: false,
        cascade: false,
        renamed_columns: Vec::new(),
        renames: false,
    }
}

fn create_table(cursor: &mut Cursor<'_>) -> Understood<Ddl> {
    cursor.advance(1);
    cursor.take_one(&["local", "global"]);
    let temporary = cursor.take_one(&["temporary", "temp"]).is_some();
    cursor.take(&["unlogged"]);
    if !cursor.take(&["table"]) {
        return Ok(None);
    }
    cursor.take(&["if", "not", "exists"]);
    let Some(name) = cursor.qualified_name() else { return Ok(None) };
    let mut ddl = Ddl { temporary, ..empty(DdlObject::Table, name) };
    if cursor.is_mark(0, '(') && !as_query_follows(cursor) {
        let Some(inside) = cursor.group() else { return Ok(None) };
        for element in comma_separated(inside) {
            if !column_or_constraint(element, &mut ddl)? {
                return Ok(None);
            }
        }
        if !partitioned(cursor, &mut ddl)? {
            return Ok(None);
        }
        take_storage(cursor);
        return Ok(cursor.is_done().then_some(ddl));
    }
    if cursor.take(&["partition", "of"]) {
        if !partition_of(cursor, &mut ddl)? || !partitioned(cursor, &mut ddl)? {
            return Ok(None);
        }
        take_storage(cursor);
        return Ok(cursor.is_done().then_some(ddl));
    }
    if cursor.is_mark(0, '(') {
        cursor.group();
    }
    take_storage(cursor);
    if !cursor.take(&["as"]) || cursor.word(0) == "execute" {
        return Ok(None);
    }
    ddl.query = Some(parse::query(without_data(cursor.rest()))?);
    Ok(Some(ddl))
}

/// Whether the parentheses here are the columns of CREATE TABLE … AS.
fn as_query_follows(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.group();
    take_storage(&mut ahead);
    ahead.word(0) == "as"
}

/// WITH (…), ON COMMIT …; a tablespace is a place of its own and not understood.
fn take_storage(cursor: &mut Cursor<'_>) {
    if cursor.word(0) == "with" && cursor.is_mark(1, '(') {
        cursor.advance(1);
        cursor.group();
    }
    cursor.take(&["without", "oids"]);
    if cursor.take(&["on", "commit"]) && !cursor.take(&["preserve", "rows"]) && !cursor.take(&["delete", "rows"]) {
        cursor.take(&["drop"]);
    }
}

/// The query without the WITH [NO] DATA after it.
fn without_data(tokens: &[Token]) -> &[Token] {
    let mut query = tokens;
    for end in [&["with", "no", "data"][..], &["with", "data"]] {
        if let Some(start) = tokens.len().checked_sub(end.len())
            && Cursor::at(tokens, start).take(end)
        {
            query = tokens.get(..start).unwrap_or_default();
            break;
        }
    }
    query
}

/// The query without the WITH [NO] DATA or WITH … CHECK OPTION after it.
pub fn without_options(tokens: &[Token]) -> &[Token] {
    let mut query = without_data(tokens);
    for end in [
        &["with", "check", "option"][..],
        &["with", "local", "check", "option"],
        &["with", "cascaded", "check", "option"],
    ] {
        if let Some(start) = query.len().checked_sub(end.len())
            && Cursor::at(query, start).take(end)
        {
            query = query.get(..start).unwrap_or_default();
        }
    }
    query
}

fn create_view(cursor: &mut Cursor<'_>) -> Understood<Ddl> {
    cursor.advance(1);
    cursor.take(&["or", "replace"]);
    cursor.take_one(&["local", "global"]);
    let temporary = cursor.take_one(&["temporary", "temp"]).is_some();
    let kind = if cursor.take(&["materialized"]) { DdlObject::MaterializedView } else { DdlObject::View };
    if !cursor.take(&["view"]) {
        return Ok(None);
    }
    cursor.take(&["if", "not", "exists"]);
    let Some(name) = cursor.qualified_name() else { return Ok(None) };
    if cursor.is_mark(0, '(') {
        cursor.group();
    }
    if !cursor.take(&["as"]) {
        return Ok(None);
    }
    let query = without_options(cursor.rest());
    Ok(Some(Ddl { temporary, query: Some(parse::query(query)?), ..empty(kind, name) }))
}

fn create_index(cursor: &mut Cursor<'_>) -> Understood<Ddl> {
    cursor.advance(1);
    cursor.take(&["unique"]);
    if !cursor.take(&["index"]) {
        return Ok(None);
    }
    cursor.take(&["concurrently"]);
    cursor.take(&["if", "not", "exists"]);
    let name = if cursor.word(0) == "on" { None } else { cursor.qualified_name() };
    if !cursor.take(&["on"]) {
        return Ok(None);
    }
    cursor.take(&["only"]);
    let Some(table) = cursor.qualified_name() else { return Ok(None) };
    if cursor.take(&["using"]) && cursor.name().is_none() {
        return Ok(None);
    }
    if !cursor.is_mark(0, '(') {
        return Ok(None);
    }
    let Some(elements) = cursor.group() else { return Ok(None) };
    // An index without a name gets one from the server, in the schema of its table.
    let mut ddl = empty(DdlObject::Index, name.unwrap_or_else(|| table.clone()));
    ddl.references.push(table);
    ddl.expressions = parse::index_elements(elements)?;
    if cursor.take(&["include"]) {
        let Some(inside) = cursor.group() else { return Ok(None) };
        ddl.expressions.append(&mut parse::index_elements(inside)?);
    }
    cursor.take(&["nulls", "not", "distinct"]);
    take_storage(cursor);
    if cursor.take(&["where"]) {
        ddl.expressions.push(parse::expression(cursor.until(&[]))?);
    }
    Ok(cursor.is_done().then_some(ddl))
}

/// Only the schema itself; elements inside it or an owner are not understood.
fn create_schema(cursor: &mut Cursor<'_>) -> Understood<Ddl> {
    cursor.advance(2);
    cursor.take(&["if", "not", "exists"]);
    let Some(name) = cursor.name() else { return Ok(None) };
    let ddl = empty(DdlObject::Schema, QualifiedName { parts: vec![name] });
    Ok(cursor.is_done().then_some(ddl))
}

fn alter_table(cursor: &mut Cursor<'_>) -> Understood<Ddl> {
    cursor.advance(2);
    cursor.take(&["if", "exists"]);
    let Some(table) = super::relation(cursor) else { return Ok(None) };
    let mut ddl = empty(DdlObject::Table, table.name);
    for action in comma_separated(cursor.rest()) {
        if !alteration(action, &mut ddl)? {
            return Ok(None);
        }
    }
    Ok(Some(ddl))
}

fn drop_objects(cursor: &mut Cursor<'_>, kind: DdlObject) -> Understood<Ddl> {
    cursor.advance(if kind == DdlObject::MaterializedView { 3 } else { 2 });
    if kind == DdlObject::Index {
        cursor.take(&["concurrently"]);
    }
    cursor.take(&["if", "exists"]);
    let mut targets = Vec::new();
    loop {
        let Some(name) = cursor.qualified_name() else { return Ok(None) };
        targets.push(DdlTarget { kind, name });
        if !cursor.take_mark(',') {
            break;
        }
    }
    let cascade = cursor.take(&["cascade"]);
    if !cascade {
        cursor.take(&["restrict"]);
    }
    let mut targets = targets.into_iter();
    let Some(first) = targets.next() else { return Ok(None) };
    let mut ddl = Ddl { cascade, ..empty(kind, first.name) };
    ddl.targets.extend(targets);
    Ok(cursor.is_done().then_some(ddl))
}
