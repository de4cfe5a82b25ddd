//! SET, RESET and SHOW in all their spellings.

use super::transaction::modes;
use super::{Found, finish, malformed};
use crate::sql::Unreadable;
use crate::sql::cursor::Cursor;
use crate::sql::lex::Kind;
use crate::sql::tree::{Action, Setting, Transaction};

/// Parameters that are identities, whichever way they are set.
fn is_identity(name: &str) -> bool {
    matches!(name, "role" | "session_authorization")
}

pub fn set(cursor: &mut Cursor<'_>) -> Found {
    cursor.advance(1);
    if cursor.take(&["constraints"]) {
        return constraints(cursor);
    }
    if cursor.take(&["session", "characteristics", "as", "transaction"]) {
        let modes = modes(cursor)?;
        return finish(cursor, "SET", Action::Transaction(Transaction::SetSessionModes(modes)));
    }
    let scoped = !cursor.is_operator(1, "=") && cursor.word(1) != "to" && cursor.word(1) != "authorization";
    let local = scoped && cursor.take(&["local"]);
    if scoped && !local {
        cursor.take(&["session"]);
    }
    if cursor.word(0) == "transaction" && !cursor.is_operator(1, "=") && cursor.word(1) != "to" {
        cursor.advance(1);
        return transaction(cursor);
    }
    if cursor.take(&["session", "authorization"]) {
        return identity(cursor, false);
    }
    if takes_role(cursor) {
        return identity(cursor, true);
    }
    let setting = setting(cursor, local)?;
    let action = if !is_identity(&setting.name) {
        Action::Set(setting)
    } else if is_own(&setting) {
        Action::ResetIdentity
    } else {
        Action::SetIdentity
    };
    finish(cursor, "SET", action)
}

fn transaction(cursor: &mut Cursor<'_>) -> Found {
    if cursor.take(&["snapshot"]) {
        if !matches!(cursor.kind(0), Some(Kind::String(_))) {
            return malformed(cursor);
        }
        cursor.advance(1);
        return finish(cursor, "SET", Action::Transaction(Transaction::SetSnapshot));
    }
    let modes = modes(cursor)?;
    finish(cursor, "SET", Action::Transaction(Transaction::SetModes(modes)))
}

/// SET ROLE name, but not SET role = name.
fn takes_role(cursor: &mut Cursor<'_>) -> bool {
    !cursor.is_operator(1, "=") && !matches!(cursor.word(1), "to" | "from") && cursor.take(&["role"])
}

fn identity(cursor: &mut Cursor<'_>, role: bool) -> Found {
    let own = match cursor.kind(0) {
        // Only as a word does DEFAULT mean that; NONE is what the name says, however it is spelled.
        Some(Kind::Word(word)) if word == "default" => !role,
        Some(Kind::Word(name) | Kind::Quoted(name) | Kind::String(name)) => role && name == "none",
        Some(_) | None => return malformed(cursor),
    };
    cursor.advance(1);
    finish(cursor, "SET", if own { Action::ResetIdentity } else { Action::SetIdentity })
}

/// Whether an identity is set to the session's own. `session_authorization = default` is that only as DEFAULT.
fn is_own(setting: &Setting) -> bool {
    match setting.values.as_deref() {
        None => true,
        Some([only]) => setting.name == "role" && only == "none",
        Some(_) => false,
    }
}

/// SET CONSTRAINTS names DEFERRED or IMMEDIATE.
fn constraints(cursor: &mut Cursor<'_>) -> Found {
    if !cursor.take(&["all"]) {
        loop {
            if cursor.qualified_name().is_none() {
                return malformed(cursor);
            }
            if !cursor.take_mark(',') {
                break;
            }
        }
    }
    if cursor.take_one(&["deferred", "immediate"]).is_none() {
        return malformed(cursor);
    }
    finish(cursor, "SET CONSTRAINTS", Action::SetConstraints)
}

fn setting(cursor: &mut Cursor<'_>, local: bool) -> Result<Setting, Unreadable> {
    let special = if cursor.take(&["time", "zone"]) {
        Some(("timezone", zone(cursor)?))
    } else if cursor.word(0) == "schema" && matches!(cursor.kind(1), Some(Kind::String(_))) {
        cursor.advance(1);
        Some(("search_path", values(cursor)?))
    } else if cursor.word(0) == "names" && !cursor.is_operator(1, "=") && cursor.word(1) != "to" {
        cursor.advance(1);
        let values = if cursor.is_done() { None } else { values(cursor)? };
        Some(("client_encoding", values))
    } else if cursor.take(&["xml", "option"]) {
        Some(("xmloption", values(cursor)?))
    } else {
        None
    };
    if let Some((name, values)) = special {
        return Ok(Setting { name: name.to_owned(), local, values });
    }
    let Some(name) = parameter(cursor) else { return malformed(cursor) };
    if cursor.take(&["from", "current"]) {
        // The value that it has, which the text does not tell: of use in the definition of a function alone.
        return Ok(Setting { name, local, values: Some(Vec::new()) });
    }
    if cursor.is_operator(0, "=") {
        cursor.advance(1);
    } else if !cursor.take(&["to"]) {
        return malformed(cursor);
    }
    Ok(Setting { name, local, values: values(cursor)? })
}

/// A parameter's name; PostgreSQL compares them without regard to case.
fn parameter(cursor: &mut Cursor<'_>) -> Option<String> {
    let name = cursor.qualified_name()?;
    let parts: Vec<&str> = name.parts.iter().map(crate::sql::tree::Name::as_str).collect();
    Some(parts.join(".").to_ascii_lowercase())
}

/// `var_list`, or `None` for DEFAULT.
fn values(cursor: &mut Cursor<'_>) -> Result<Option<Vec<String>>, Unreadable> {
    if cursor.take(&["default"]) {
        return Ok(None);
    }
    let mut values = Vec::new();
    loop {
        values.push(value(cursor)?);
        if !cursor.take_mark(',') {
            return Ok(Some(values));
        }
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<String, Unreadable> {
    let mut value = String::new();
    if cursor.is_operator(0, "-") || cursor.is_operator(0, "+") {
        if cursor.is_operator(0, "-") {
            value.push('-');
        }
        cursor.advance(1);
        if !matches!(cursor.kind(0), Some(Kind::Integer(_) | Kind::Numeric(_))) {
            return malformed(cursor);
        }
    }
    match cursor.kind(0) {
        Some(
            Kind::Word(text) | Kind::Quoted(text) | Kind::String(text) | Kind::Integer(text) | Kind::Numeric(text),
        ) => {
            value.push_str(text);
        }
        Some(_) | None => return malformed(cursor),
    }
    cursor.advance(1);
    Ok(value)
}

/// `zone_value`; LOCAL is DEFAULT.
fn zone(cursor: &mut Cursor<'_>) -> Result<Option<Vec<String>>, Unreadable> {
    if cursor.take(&["local"]) {
        return Ok(None);
    }
    if cursor.take(&["interval"]) {
        if cursor.is_mark(0, '(') {
            cursor.group();
        }
        let value = value(cursor)?;
        if crate::sql::types::interval_fields(cursor).is_none() {
            return malformed(cursor);
        }
        return Ok(Some(vec![value]));
    }
    values(cursor)
}

/// The parameter that RESET and SHOW name in words of their own.
fn named(cursor: &mut Cursor<'_>) -> Option<String> {
    let spelled = if cursor.take(&["time", "zone"]) {
        "timezone"
    } else if cursor.take(&["transaction", "isolation", "level"]) {
        "transaction_isolation"
    } else if cursor.take(&["session", "authorization"]) {
        "session_authorization"
    } else {
        return parameter(cursor);
    };
    Some(spelled.to_owned())
}

pub fn reset(cursor: &mut Cursor<'_>) -> Found {
    cursor.advance(1);
    if cursor.take(&["all"]) {
        return finish(cursor, "RESET", Action::Reset(None));
    }
    match named(cursor) {
        Some(name) if is_identity(&name) => finish(cursor, "RESET", Action::ResetIdentity),
        Some(name) => finish(cursor, "RESET", Action::Reset(Some(name))),
        None => malformed(cursor),
    }
}

pub fn show(cursor: &mut Cursor<'_>) -> Found {
    cursor.advance(1);
    if cursor.take(&["all"]) {
        return finish(cursor, "SHOW", Action::Show(None));
    }
    match named(cursor) {
        Some(name) => finish(cursor, "SHOW", Action::Show(Some(name))),
        None => malformed(cursor),
    }
}
