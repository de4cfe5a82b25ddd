//! CREATE SEQUENCE and ALTER SEQUENCE: the options, the table that a sequence belongs to, and where it goes when it is
//! renamed. An owner, and LOGGED or UNLOGGED afterwards, are not understood.

use super::ddl::{Understood, empty};
use crate::sql::cursor::Cursor;
use crate::sql::lex::Kind;
use crate::sql::tree::{Ddl, DdlObject, DdlTarget, QualifiedName};
use crate::sql::types::type_name;

/// `CREATE [TEMP | UNLOGGED] SEQUENCE [IF NOT EXISTS] name option…`
pub fn create(cursor: &mut Cursor<'_>) -> Understood<Ddl> {
    Ok(created(cursor))
}

fn created(cursor: &mut Cursor<'_>) -> Option<Ddl> {
    cursor.advance(1);
    cursor.take_one(&["local", "global"]);
    let temporary = cursor.take_one(&["temporary", "temp"]).is_some();
    cursor.take(&["unlogged"]);
    cursor.take(&["sequence"]).then_some(())?;
    cursor.take(&["if", "not", "exists"]);
    let mut ddl = Ddl { temporary, ..empty(DdlObject::Sequence, cursor.qualified_name()?) };
    options(cursor, &mut ddl)?;
    Some(ddl)
}

/// `ALTER SEQUENCE [IF EXISTS] name option… | RENAME TO name | SET SCHEMA schema`
pub fn alter(cursor: &mut Cursor<'_>) -> Understood<Ddl> {
    Ok(altered(cursor))
}

fn altered(cursor: &mut Cursor<'_>) -> Option<Ddl> {
    cursor.advance(2);
    cursor.take(&["if", "exists"]);
    let name = cursor.qualified_name()?;
    let mut ddl = empty(DdlObject::Sequence, name.clone());
    if cursor.take(&["rename", "to"]) {
        let mut new = name;
        *new.parts.last_mut()? = cursor.name()?;
        return moved(cursor, ddl, new);
    }
    if cursor.take(&["set", "schema"]) {
        let schema = cursor.name()?;
        let own = name.parts.last()?.clone();
        return moved(cursor, ddl, QualifiedName { parts: vec![schema, own] });
    }
    (!cursor.is_done()).then_some(())?;
    options(cursor, &mut ddl)?;
    Some(ddl)
}

/// The new place is a target too.
fn moved(cursor: &Cursor<'_>, mut ddl: Ddl, name: QualifiedName) -> Option<Ddl> {
    ddl.targets.push(DdlTarget { kind: DdlObject::Sequence, name });
    ddl.renames = true;
    cursor.is_done().then_some(ddl)
}

/// `SeqOptList` to the end, as far as PostgreSQL documents it.
fn options(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Option<()> {
    while !cursor.is_done() {
        option(cursor, ddl)?;
    }
    Some(())
}

fn option(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Option<()> {
    if cursor.take(&["as"]) {
        ddl.types.push(type_name(cursor)?);
        return Some(());
    }
    if cursor.take(&["owned", "by"]) {
        return owned(cursor, ddl);
    }
    if cursor.take(&["no"]) {
        return cursor.take_one(&["minvalue", "maxvalue", "cycle"]).map(drop);
    }
    match cursor.take_one(&["cycle", "cache", "minvalue", "maxvalue", "increment", "start", "restart"])? {
        "cycle" => Some(()),
        "increment" => {
            cursor.take(&["by"]);
            number(cursor)
        }
        "start" => {
            cursor.take(&["with"]);
            number(cursor)
        }
        // Without a number it starts again where it started.
        "restart" if cursor.take(&["with"]) => number(cursor),
        "restart" => {
            let _ = number(cursor);
            Some(())
        }
        _ => number(cursor),
    }
}

/// `NONE`, or a column, whose table it is from then on: it goes when that is dropped.
fn owned(cursor: &mut Cursor<'_>, ddl: &mut Ddl) -> Option<()> {
    if cursor.take(&["none"]) {
        return (!cursor.is_mark(0, '.')).then_some(());
    }
    let mut table = cursor.qualified_name()?;
    table.parts.pop();
    (!table.parts.is_empty()).then_some(())?;
    ddl.references.push(table);
    Some(())
}

/// `NumericOnly`. Moves only if one stands here.
fn number(cursor: &mut Cursor<'_>) -> Option<()> {
    let signs = usize::from(cursor.is_operator(0, "-") || cursor.is_operator(0, "+"));
    matches!(cursor.kind(signs), Some(Kind::Integer(_) | Kind::Numeric(_))).then(|| cursor.advance(signs + 1))
}
