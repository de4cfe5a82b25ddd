//! COPY.

use super::{Found, malformed, optimizable};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::{Kind, Token};
use crate::sql::parse;
use crate::sql::tree::{Action, Copy, CopyDirection, CopyEndpoint, CopySource, Name};

pub fn read(cursor: &mut Cursor<'_>) -> Found {
    cursor.advance(1);
    let source = source(cursor)?;
    let direction = match cursor.take_one(&["to", "from"]) {
        Some("to") => CopyDirection::To,
        Some("from") if !matches!(source, CopySource::Query(_)) => CopyDirection::From,
        Some(_) | None => return malformed(cursor),
    };
    let endpoint = endpoint(cursor)?;
    let options = cursor.until(&["where"]);
    if !options.iter().all(is_option) {
        return malformed(cursor);
    }
    let selection = match (direction, cursor.take(&["where"])) {
        (CopyDirection::From, true) => Some(parse::expression(cursor.rest())?),
        (CopyDirection::To, true) => return malformed(cursor),
        (_, false) => None,
    };
    Ok(("COPY", Action::Copy(Box::new(Copy { source, direction, endpoint, selection }))))
}

fn source(cursor: &mut Cursor<'_>) -> Result<CopySource, Unreadable> {
    if cursor.is_mark(0, '(') {
        let Some(inside) = cursor.group() else { return malformed(cursor) };
        return Ok(CopySource::Query(optimizable(inside)?.1));
    }
    if cursor.kind(1).is_some()
        && !matches!(cursor.word(1), "from" | "to")
        && !cursor.is_mark(1, '(')
        && !cursor.is_mark(1, '.')
    {
        cursor.take(&["binary"]);
    }
    let Some(name) = cursor.qualified_name() else { return malformed(cursor) };
    let mut columns = Vec::new();
    if cursor.is_mark(0, '(') {
        let Some(inside) = cursor.group() else { return malformed(cursor) };
        columns = names(inside)?;
    }
    Ok(CopySource::Table { name, columns })
}

/// A list of columns.
pub fn names(tokens: &[Token]) -> Result<Vec<Name>, Unreadable> {
    let mut names = Vec::new();
    for element in comma_separated(tokens) {
        let mut cursor = Cursor::new(element);
        match cursor.name() {
            Some(name) if cursor.is_done() => names.push(name),
            Some(_) | None => return malformed(&cursor),
        }
    }
    Ok(names)
}

fn endpoint(cursor: &mut Cursor<'_>) -> Result<CopyEndpoint, Unreadable> {
    if cursor.take_one(&["stdin", "stdout"]).is_some() {
        return Ok(CopyEndpoint::Client);
    }
    let program = cursor.take(&["program"]);
    match cursor.kind(0) {
        Some(Kind::String(_)) => cursor.advance(1),
        Some(_) | None => return malformed(cursor),
    }
    Ok(if program { CopyEndpoint::Program } else { CopyEndpoint::File })
}

/// Options hold words, columns and constants, but nothing that is evaluated.
fn is_option(token: &Token) -> bool {
    match &token.kind {
        Kind::Word(_) | Kind::Quoted(_) | Kind::String(_) | Kind::Integer(_) | Kind::Numeric(_) => true,
        Kind::Mark(mark) => matches!(mark, '(' | ')' | ','),
        Kind::Operator(symbol) => matches!(symbol.as_str(), "*" | "-"),
        Kind::Bit(_) | Kind::Parameter(_) | Kind::DoubleColon | Kind::DoubleDot | Kind::ColonEquals | Kind::Arrow => {
            false
        }
    }
}
