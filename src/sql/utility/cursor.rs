//! Cursors: DECLARE, FETCH, MOVE, CLOSE.

use super::{Found, finish, malformed};
use crate::sql::cursor::Cursor;
use crate::sql::lex::Kind;
use crate::sql::parse;
use crate::sql::tree::Action;

pub fn read(cursor: &mut Cursor<'_>) -> Found {
    match cursor.take_one(&["declare", "fetch", "move", "close"]) {
        Some("declare") => declare(cursor),
        Some("fetch") => fetch(cursor, "FETCH"),
        Some("move") => fetch(cursor, "MOVE"),
        Some(_) if cursor.take(&["all"]) => finish(cursor, "CLOSE CURSOR", Action::CloseCursor(None)),
        Some(_) | None => match cursor.name() {
            Some(name) => finish(cursor, "CLOSE CURSOR", Action::CloseCursor(Some(name))),
            None => malformed(cursor),
        },
    }
}

fn declare(cursor: &mut Cursor<'_>) -> Found {
    let Some(name) = cursor.name() else { return malformed(cursor) };
    while cursor.take_one(&["binary", "insensitive", "asensitive", "scroll"]).is_some()
        || cursor.take(&["no", "scroll"])
    {}
    if !cursor.take(&["cursor"]) {
        return malformed(cursor);
    }
    let hold = cursor.take(&["with", "hold"]);
    if !hold {
        cursor.take(&["without", "hold"]);
    }
    if !cursor.take(&["for"]) {
        return malformed(cursor);
    }
    let query = Box::new(parse::query(cursor.rest())?);
    Ok(("DECLARE CURSOR", Action::DeclareCursor { name, hold, query }))
}

/// The direction, in any of its forms, and the cursor's name, which is the last word.
fn fetch(cursor: &mut Cursor<'_>, kind: &'static str) -> Found {
    const DIRECTIONS: [&str; 9] =
        ["next", "prior", "first", "last", "absolute", "relative", "forward", "backward", "all"];
    while cursor.kind(1).is_some() {
        let number = matches!(cursor.kind(0), Some(Kind::Integer(_)));
        if number || cursor.is_operator(0, "-") || cursor.is_operator(0, "+") {
            cursor.advance(1);
        } else if cursor.take_one(&DIRECTIONS).is_none() && cursor.take_one(&["from", "in"]).is_none() {
            return malformed(cursor);
        }
    }
    match cursor.name() {
        Some(name) => finish(cursor, kind, Action::Fetch { cursor: name }),
        None => malformed(cursor),
    }
}
