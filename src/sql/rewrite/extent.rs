//! How far an operand reaches, judged from tokens: what a prefix operator applies to, and where the words after an
//! expression in a grammar of its own begin. Follows the precedences of gram.y.

use crate::sql::cursor::Cursor;
use crate::sql::keywords::{Category, category};
use crate::sql::lex::Kind;
use crate::sql::types::{interval_fields, simple, type_name};

/// Moves past what a prefix operator applies to, which binds looser than arithmetic and tighter than all other operators.
/// `None` where no operand stands.
pub fn operand(cursor: &mut Cursor<'_>) -> Option<()> {
    loop {
        signed(cursor)?;
        if let Some(Kind::Operator(symbol)) = cursor.kind(0)
            && is_arithmetic(symbol)
        {
            cursor.advance(1);
        } else if cursor.take(&["at", "time", "zone"]) {
        } else {
            return Some(());
        }
    }
}

/// Moves past operators in front, and one operand with all that is hung on to it.
fn signed(cursor: &mut Cursor<'_>) -> Option<()> {
    loop {
        if let Some(Kind::Operator(_)) = cursor.kind(0) {
            cursor.advance(1);
        } else if cursor.word(0) == "operator" && cursor.is_mark(1, '(') {
            cursor.advance(1);
            cursor.group()?;
        } else {
            break;
        }
    }
    primary(cursor)
}

/// Moves past one operand, its calls, fields, subscripts and casts.
pub fn primary(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.is_mark(0, '(') {
        cursor.group()?;
    } else if cursor.word(0) == "case" {
        case(cursor)?;
    } else if !typed_literal(cursor) {
        match cursor.kind(0)? {
            Kind::Word(word) => match category(word) {
                Category::Reserved if !is_value(word) => return None,
                Category::Reserved | Category::FunctionOrType | Category::Column | Category::Free => {}
            },
            Kind::Quoted(_)
            | Kind::String(_)
            | Kind::Bit(_)
            | Kind::Integer(_)
            | Kind::Numeric(_)
            | Kind::Parameter(_) => {}
            Kind::Operator(_)
            | Kind::Mark(_)
            | Kind::DoubleColon
            | Kind::DoubleDot
            | Kind::ColonEquals
            | Kind::Arrow => return None,
        }
        cursor.advance(1);
    }
    let mut called = false;
    loop {
        let group = cursor.is_mark(0, '(');
        if !postfix(cursor, called)? {
            return Some(());
        }
        called = group || called;
    }
}

/// What may follow an operand and belongs to it; false if nothing does.
fn postfix(cursor: &mut Cursor<'_>, called: bool) -> Option<bool> {
    if cursor.is_mark(0, '(') || cursor.is_mark(0, '[') {
        cursor.group()?;
    } else if cursor.is_mark(0, '.') {
        cursor.advance(2);
    } else if cursor.kind(0) == Some(&Kind::DoubleColon) {
        cursor.advance(1);
        type_name(cursor)?;
    } else if cursor.word(0) == "filter" && cursor.is_mark(1, '(') {
        cursor.advance(1);
        cursor.group()?;
    } else if cursor.word(0) == "within" && cursor.word(1) == "group" && cursor.is_mark(2, '(') {
        cursor.advance(2);
        cursor.group()?;
    } else if called && cursor.word(0) == "over" {
        cursor.advance(1);
        if cursor.is_mark(0, '(') {
            cursor.group()?;
        } else {
            cursor.name()?;
        }
    } else if cursor.take(&["collate"]) {
        cursor.qualified_name()?;
    } else {
        return Some(cursor.take(&["at", "local"]));
    }
    Some(true)
}

/// Moves past CASE … END.
fn case(cursor: &mut Cursor<'_>) -> Option<()> {
    let mut depth = 0_usize;
    while !cursor.is_done() {
        match cursor.word(0) {
            "case" => depth += 1,
            "end" => depth -= 1,
            _ => {}
        }
        if cursor.is_mark(0, '(') || cursor.is_mark(0, '[') {
            cursor.group()?;
        } else {
            cursor.advance(1);
        }
        if depth == 0 {
            return Some(());
        }
    }
    None
}

/// Moves past `date '…'` and the like.
fn typed_literal(cursor: &mut Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    let interval = ahead.word(0) == "interval";
    let found = simple(&mut ahead).is_some() && matches!(ahead.kind(0), Some(Kind::String(_)));
    if !found {
        return false;
    }
    ahead.advance(1);
    if interval && interval_fields(&mut ahead).is_none() {
        return false;
    }
    *cursor = ahead;
    true
}

fn is_arithmetic(symbol: &str) -> bool {
    matches!(symbol, "+" | "-" | "*" | "/" | "%" | "^")
}

/// Reserved words that are operands, or begin one.
fn is_value(word: &str) -> bool {
    matches!(
        word,
        "null"
            | "true"
            | "false"
            | "array"
            | "cast"
            | "current_catalog"
            | "current_date"
            | "current_role"
            | "current_time"
            | "current_timestamp"
            | "current_user"
            | "localtime"
            | "localtimestamp"
            | "session_user"
            | "user"
    )
}

/// Moves past a whole expression: up to the end, a comma, a colon, or a word that continues no expression.
pub fn expression(cursor: &mut Cursor<'_>) -> Option<()> {
    while matches!(cursor.word(0), "not") {
        cursor.advance(1);
    }
    loop {
        signed(cursor)?;
        loop {
            if matches!(cursor.word(0), "isnull" | "notnull") {
                cursor.advance(1);
            } else if cursor.word(0) == "is" {
                is_test(cursor);
            } else {
                break;
            }
        }
        if !continues(cursor)? {
            return Some(());
        }
    }
}

/// Moves past IS and its predicate, but for the right side of IS DISTINCT FROM.
fn is_test(cursor: &mut Cursor<'_>) {
    cursor.advance(1);
    cursor.take(&["not"]);
    if cursor.take(&["json"]) {
        cursor.take_one(&["value", "array", "object", "scalar"]);
        if cursor.take(&["with", "unique"]) || cursor.take(&["without", "unique"]) {
            cursor.take(&["keys"]);
        }
    } else if cursor.take_one(&["nfc", "nfd", "nfkc", "nfkd"]).is_some() {
        cursor.take(&["normalized"]);
    } else if cursor.word(0) != "distinct" {
        cursor.advance(1);
    }
}

/// Moves past an infix operator, whatever it is spelled as; false if none stands here.
fn continues(cursor: &mut Cursor<'_>) -> Option<bool> {
    if let Some(Kind::Operator(_)) = cursor.kind(0) {
        cursor.advance(1);
        quantifier(cursor);
    } else if cursor.word(0) == "operator" && cursor.is_mark(1, '(') {
        cursor.advance(1);
        cursor.group()?;
        quantifier(cursor);
    } else if cursor.take(&["distinct", "from"]) || cursor.take(&["at", "time", "zone"]) {
    } else {
        let mut ahead = cursor.clone();
        ahead.take(&["not"]);
        let word = ahead.take_one(&["and", "or", "in", "between", "like", "ilike", "similar", "overlaps", "escape"]);
        match word {
            None => return Some(false),
            Some("between") => {
                ahead.take_one(&["symmetric", "asymmetric"]);
            }
            Some("similar") => {
                ahead.take(&["to"]);
            }
            Some("like" | "ilike") => quantifier(&mut ahead),
            Some(_) => {}
        }
        *cursor = ahead;
        while cursor.take(&["not"]) {}
    }
    Some(true)
}

/// ANY, ALL and SOME stand before their parentheses as a function's name does.
fn quantifier(cursor: &mut Cursor<'_>) {
    if cursor.is_mark(1, '(') {
        cursor.take_one(&["any", "all", "some"]);
    }
}
