//! Secrets in statements that are known by their words: roles, servers, subscriptions, settings, COPY to programs.

use super::Rule;
use super::walk::takes_secret;
use super::words::is_secret_name;
use crate::sql::lex::{Kind, Token};

/// Tells which tokens of one statement are secrets. `unread`: nothing else was understood of it, so every string behind a word
/// that speaks of secrets is one.
pub(super) fn mark(statement: &[Token], unread: bool, tell: &mut impl FnMut(usize, Rule)) {
    let first = word(statement, 0);
    match first {
        "create" | "alter" | "import" => definition(statement, tell),
        "set" => setting(statement, 0, tell),
        "copy" => program(statement, tell),
        _ => {}
    }
    if unread || !matches!(first, "select" | "with" | "insert" | "update" | "delete" | "merge" | "values" | "explain") {
        nearby(statement, unread, tell);
    } else {
        typed(statement, tell);
    }
}

/// `PASSWORD '…'` where an expression stands: a constant of a type with such a name.
fn typed(statement: &[Token], tell: &mut impl FnMut(usize, Rule)) {
    for index in 1..statement.len() {
        if is_string(statement, index) && is_secret_name(word(statement, index - 1)) {
            tell(index, "password");
        }
    }
}

/// CREATE and ALTER: `PASSWORD '…'`, `OPTIONS (…)`, `CONNECTION '…'`, `SET name = …`.
fn definition(statement: &[Token], tell: &mut impl FnMut(usize, Rule)) {
    let object = |words: &[&str]| (1..4).any(|at| words.contains(&word(statement, at)));
    for index in 0..statement.len() {
        match word(statement, index) {
            "password" if is_string(statement, index + 1) => tell(index + 1, "password"),
            "connection" if is_string(statement, index + 1) => tell(index + 1, "connection"),
            "options" if is_mark(statement, index + 1, '(') => options(statement, index + 1, tell),
            "set" if object(&["database", "role", "user", "system", "function", "procedure", "routine", "group"]) => {
                setting(statement, index, tell);
            }
            _ => {}
        }
    }
}

/// Every string between the parentheses of OPTIONS. What an option means is the wrapper's affair.
fn options(statement: &[Token], open: usize, tell: &mut impl FnMut(usize, Rule)) {
    for index in open + 1..statement.len() {
        if is_mark(statement, index, ')') {
            return;
        }
        if is_string(statement, index) {
            tell(index, "options");
        }
    }
}

/// `SET [SESSION | LOCAL] name { TO | = } values`, with `set` at the given place.
fn setting(statement: &[Token], set: usize, tell: &mut impl FnMut(usize, Rule)) {
    let mut at = set + 1;
    if matches!(word(statement, at), "session" | "local") {
        at += 1;
    }
    let mut name = word(statement, at).to_owned();
    while is_mark(statement, at + 1, '.') {
        at += 2;
        name.push('.');
        name.push_str(word(statement, at));
    }
    // For a role or database such a setting outlives the session, and is often what an application keeps its secrets in.
    let is_kept = set > 0 && name.contains('.');
    if !(is_secret_name(&name) || is_kept) {
        return;
    }
    let is_value = matches!(statement.get(at + 1).map(|token| &token.kind), Some(Kind::Operator(sign)) if sign == "=")
        || word(statement, at + 1) == "to";
    for index in at + 2..statement.len() {
        let constant = matches!(
            statement.get(index).map(|token| &token.kind),
            Some(
                Kind::String(_) | Kind::Bit(_) | Kind::Integer(_) | Kind::Numeric(_) | Kind::Word(_) | Kind::Quoted(_)
            )
        );
        if is_value && constant && word(statement, index) != "default" {
            tell(index, "setting");
        }
    }
}

/// COPY … PROGRAM '…': a command line, and what it is called with.
fn program(statement: &[Token], tell: &mut impl FnMut(usize, Rule)) {
    for index in 1..statement.len() {
        if word(statement, index - 1) == "program" && is_string(statement, index) {
            tell(index, "program");
        }
    }
}

/// A string next to a word that speaks of secrets; of what was not read, every one behind such a word.
fn nearby(statement: &[Token], unread: bool, tell: &mut impl FnMut(usize, Rule)) {
    let mut since = None;
    for index in 0..statement.len() {
        let name = word(statement, index);
        if !name.is_empty() && (is_secret_name(name) || takes_secret(name)) {
            since = Some(index);
        }
        let names_secret = matches!(statement.get(index).map(|token| &token.kind), Some(Kind::String(name)) if unread && is_secret_name(name));
        if since.is_some_and(|since| unread || index - since <= 2) && is_string(statement, index) {
            tell(index, "password");
        } else if names_secret {
            since = Some(index);
        }
    }
}

fn word(statement: &[Token], index: usize) -> &str {
    match statement.get(index).map(|token| &token.kind) {
        Some(Kind::Word(word) | Kind::Quoted(word)) => word.as_str(),
        Some(_) | None => "",
    }
}

fn is_string(statement: &[Token], index: usize) -> bool {
    statement.get(index).is_some_and(|token| matches!(token.kind, Kind::String(_)))
}

fn is_mark(statement: &[Token], index: usize, mark: char) -> bool {
    statement.get(index).is_some_and(|token| token.kind == Kind::Mark(mark))
}
