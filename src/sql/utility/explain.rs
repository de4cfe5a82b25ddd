//! EXPLAIN, with its options in both syntaxes.

use super::{Found, malformed};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::{Kind, Token};
use crate::sql::tree::Action;

pub fn read(cursor: &mut Cursor<'_>) -> Found {
    let analyze = options(cursor)?;
    let first = cursor.word(0);
    let explainable = cursor.is_mark(0, '(')
        || begins_statement(cursor)
        || matches!(first, "insert" | "update" | "delete" | "merge" | "declare" | "create" | "refresh" | "execute");
    if !explainable {
        return malformed(cursor);
    }
    let (_, inner) = super::action(cursor.rest())?;
    Ok(("EXPLAIN", Action::Explain { analyze, inner: Box::new(inner) }))
}

/// Moves to the statement that is explained; answers whether it runs.
pub fn options(cursor: &mut Cursor<'_>) -> Result<bool, Unreadable> {
    cursor.advance(1);
    let mut analyze = false;
    if cursor.is_mark(0, '(') && !begins_statement(&Cursor::at(cursor.rest(), 1)) {
        let Some(options) = cursor.group() else { return malformed(cursor) };
        analyze = options_analyze(options)?;
    } else {
        if cursor.take_one(&["analyze", "analyse"]).is_some() {
            analyze = true;
        }
        cursor.take(&["verbose"]);
    }
    Ok(analyze)
}

/// Options are words; a statement in parentheses begins with one that no option is.
fn begins_statement(cursor: &Cursor<'_>) -> bool {
    cursor.is_mark(0, '(') || matches!(cursor.word(0), "select" | "with" | "table" | "values")
}

fn options_analyze(tokens: &[Token]) -> Result<bool, Unreadable> {
    let mut analyze = false;
    for option in comma_separated(tokens) {
        let mut cursor = Cursor::new(option);
        let Some(name) = cursor.label() else { return malformed(&cursor) };
        let on = match cursor.kind(0) {
            None => true,
            Some(Kind::Word(value) | Kind::Quoted(value) | Kind::String(value)) => {
                !matches!(value.to_ascii_lowercase().as_str(), "false" | "off")
            }
            Some(Kind::Integer(value) | Kind::Numeric(value)) => value != "0",
            Some(_) => return malformed(&cursor),
        };
        cursor.advance(1);
        if !cursor.is_done() {
            return malformed(&cursor);
        }
        // One that is given twice counts as on if it is on once.
        analyze |= on && matches!(name.as_str(), "analyze" | "analyse");
    }
    Ok(analyze)
}
