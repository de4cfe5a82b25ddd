//! Prepared statements, channels, locks and the other small statements.

use super::{Found, finish, malformed, optimizable, relations};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::fingerprint::fingerprint;
use crate::sql::lex::{Kind, Token};
use crate::sql::parse;
use crate::sql::tree::{Action, Expr, Statement, TypeName};
use crate::sql::types::type_name;

pub fn read(cursor: &mut Cursor<'_>) -> Found {
    let first = cursor.word(0);
    cursor.advance(1);
    match first {
        "prepare" => prepare(cursor),
        "execute" => execute(cursor),
        "deallocate" => deallocate(cursor),
        "discard" => {
            let kind = match cursor.take_one(&["all", "plans", "sequences", "temp", "temporary"]) {
                Some("plans") => "DISCARD PLANS",
                Some("sequences") => "DISCARD SEQUENCES",
                Some("temp" | "temporary") => "DISCARD TEMP",
                Some(_) => "DISCARD ALL",
                None => return malformed(cursor),
            };
            finish(cursor, kind, Action::Discard)
        }
        "listen" => channel(cursor, "LISTEN"),
        "unlisten" => channel(cursor, "UNLISTEN"),
        "notify" => channel(cursor, "NOTIFY"),
        "lock" => lock(cursor),
        "truncate" => truncate(cursor),
        "call" => call(cursor),
        "do" => do_block(cursor),
        _ => malformed(cursor),
    }
}

fn prepare(cursor: &mut Cursor<'_>) -> Found {
    let Some(name) = cursor.name() else { return malformed(cursor) };
    let mut types = Vec::new();
    if cursor.is_mark(0, '(') {
        let Some(inside) = cursor.group() else { return malformed(cursor) };
        types = comma_separated(inside).into_iter().map(whole_type).collect::<Result<_, _>>()?;
    }
    if !cursor.take(&["as"]) {
        return malformed(cursor);
    }
    let body = cursor.rest();
    let (Some(start), Some(end)) = (body.first(), body.last()) else { return malformed(cursor) };
    let (kind, action) = optimizable(body)?;
    let range = start.range.start..end.range.end;
    let inner = Statement { kind, action, query: Some(range.clone()), range, fingerprint: fingerprint(body) };
    Ok(("PREPARE", Action::Prepare { name, types, inner: Box::new(inner) }))
}

fn whole_type(tokens: &[Token]) -> Result<TypeName, Unreadable> {
    let mut cursor = Cursor::new(tokens);
    match type_name(&mut cursor) {
        Some(found) if cursor.is_done() => Ok(found),
        Some(_) | None => malformed(&cursor),
    }
}

fn execute(cursor: &mut Cursor<'_>) -> Found {
    let Some(name) = cursor.name() else { return malformed(cursor) };
    let mut arguments = Vec::new();
    if cursor.is_mark(0, '(') {
        let Some(inside) = cursor.group() else { return malformed(cursor) };
        arguments = comma_separated(inside).into_iter().map(parse::expression).collect::<Result<_, _>>()?;
    }
    finish(cursor, "EXECUTE", Action::Execute { name, arguments })
}

fn deallocate(cursor: &mut Cursor<'_>) -> Found {
    if cursor.kind(1).is_some() {
        cursor.take(&["prepare"]);
    }
    let name = if cursor.take(&["all"]) {
        None
    } else {
        match cursor.name() {
            Some(name) => Some(name),
            None => return malformed(cursor),
        }
    };
    finish(cursor, "DEALLOCATE", Action::Deallocate(name))
}

fn channel(cursor: &mut Cursor<'_>, kind: &'static str) -> Found {
    if kind == "UNLISTEN" && cursor.is_operator(0, "*") {
        cursor.advance(1);
    } else if cursor.name().is_none() {
        return malformed(cursor);
    }
    if kind == "NOTIFY" && cursor.take_mark(',') {
        match cursor.kind(0) {
            Some(Kind::String(_)) => cursor.advance(1),
            Some(_) | None => return malformed(cursor),
        }
    }
    finish(cursor, kind, Action::Channel)
}

fn lock(cursor: &mut Cursor<'_>) -> Found {
    cursor.take(&["table"]);
    let relations = relations(cursor)?;
    if cursor.take(&["in"]) {
        while cursor.take_one(&["access", "row", "share", "update", "exclusive"]).is_some() {}
        if !cursor.take(&["mode"]) {
            return malformed(cursor);
        }
    }
    cursor.take(&["nowait"]);
    finish(cursor, "LOCK TABLE", Action::Lock { relations })
}

fn truncate(cursor: &mut Cursor<'_>) -> Found {
    cursor.take(&["table"]);
    let relations = relations(cursor)?;
    let restart_identity = cursor.take(&["restart", "identity"]);
    if !restart_identity {
        cursor.take(&["continue", "identity"]);
    }
    let cascade = cursor.take(&["cascade"]);
    if !cascade {
        cursor.take(&["restrict"]);
    }
    finish(cursor, "TRUNCATE TABLE", Action::Truncate { relations, restart_identity, cascade })
}

fn call(cursor: &mut Cursor<'_>) -> Found {
    match parse::expression(cursor.rest())? {
        Expr::Call(call) => Ok(("CALL", Action::Call(*call))),
        _ => malformed(cursor),
    }
}

/// DO: a string and perhaps a language, in any order.
fn do_block(cursor: &mut Cursor<'_>) -> Found {
    while !cursor.is_done() {
        if cursor.take(&["language"]) {
            match cursor.kind(0) {
                Some(Kind::Word(_) | Kind::Quoted(_) | Kind::String(_)) => cursor.advance(1),
                Some(_) | None => return malformed(cursor),
            }
        } else if matches!(cursor.kind(0), Some(Kind::String(_))) {
            cursor.advance(1);
        } else {
            return malformed(cursor);
        }
    }
    Ok(("DO", Action::Do))
}
