//! Statements by their first words. Those that PostgreSQL's grammar does not share with queries are read here, from
//! tokens; the rest go to the parser.

mod copy;
mod cursor;
mod ddl;
mod elements;
mod explain;
mod objects;
mod other;
mod partitions;
mod sequences;
mod session;
mod set;
mod transaction;

pub use ddl::without_options;
pub use explain::options as explain_options;

use super::Unreadable;
use super::cursor::Cursor;
use super::lex::{Kind, Token};
use super::parse;
use super::tree::{Action, RelationRef};

/// What a reader makes of a statement.
type Found = Result<(&'static str, Action), Unreadable>;

/// The kind and the action of a statement that is not empty.
pub fn action(tokens: &[Token]) -> Found {
    let mut cursor = Cursor::new(tokens);
    let first = cursor.word(0);
    match first {
        "select" | "values" | "table" | "with" | "insert" | "update" | "delete" | "merge" => optimizable(tokens),
        "" if cursor.is_mark(0, '(') => optimizable(tokens),
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            transaction::read(&mut cursor)
        }
        "prepare" if cursor.word(1) == "transaction" && matches!(cursor.kind(2), Some(Kind::String(_))) => {
            transaction::read(&mut cursor)
        }
        "set" => set::set(&mut cursor),
        "reset" => set::reset(&mut cursor),
        "show" => set::show(&mut cursor),
        "copy" => copy::read(&mut cursor),
        "declare" | "fetch" | "move" | "close" => cursor::read(&mut cursor),
        "explain" => explain::read(&mut cursor),
        "prepare" | "execute" | "deallocate" | "discard" | "listen" | "unlisten" | "notify" | "lock" | "truncate"
        | "call" | "do" => session::read(&mut cursor),
        "create" | "alter" | "drop" => ddl::read(tokens),
        "comment" | "analyze" | "analyse" | "vacuum" => objects::read(&cursor),
        _ => other::read(&cursor),
    }
}

/// A query or a data-modifying statement.
pub fn optimizable(tokens: &[Token]) -> Found {
    let action = parse::statement(tokens)?;
    let kind = match &action {
        Action::Insert(_) => "INSERT",
        Action::Update(_) => "UPDATE",
        Action::Delete(_) => "DELETE",
        Action::Merge(_) => "MERGE",
        _ => "SELECT",
    };
    Ok((kind, action))
}

/// The end of a statement that was read whole.
fn finish(cursor: &Cursor<'_>, kind: &'static str, action: Action) -> Found {
    if cursor.is_done() { Ok((kind, action)) } else { Err(cursor.refuse(near(cursor))) }
}

/// For a statement that PostgreSQL's grammar does not have.
fn malformed<T>(cursor: &Cursor<'_>) -> Result<T, Unreadable> {
    Err(cursor.refuse(near(cursor)))
}

fn near(cursor: &Cursor<'_>) -> String {
    match cursor.kind(0) {
        None => "the statement ends too early".to_owned(),
        Some(Kind::Word(word) | Kind::Quoted(word)) => format!("syntax that is not understood near \"{word}\""),
        Some(_) => "syntax that is not understood".to_owned(),
    }
}

/// `relation_expr`: a table, with ONLY before it or a star after it.
fn relation(cursor: &mut Cursor<'_>) -> Option<RelationRef> {
    let only = cursor.take(&["only"]);
    let parenthesised = only && cursor.take_mark('(');
    let name = cursor.qualified_name()?;
    if parenthesised && !cursor.take_mark(')') {
        return None;
    }
    if !only && cursor.is_operator(0, "*") {
        cursor.advance(1);
    }
    Some(RelationRef { name, only })
}

fn relations(cursor: &mut Cursor<'_>) -> Result<Vec<RelationRef>, Unreadable> {
    let mut found = Vec::new();
    loop {
        match relation(cursor) {
            Some(relation) => found.push(relation),
            None => return malformed(cursor),
        }
        if !cursor.take_mark(',') {
            return Ok(found);
        }
    }
}
