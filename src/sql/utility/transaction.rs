//! Transaction control.

use super::{Found, finish, malformed};
use crate::sql::Unreadable;
use crate::sql::cursor::Cursor;
use crate::sql::lex::Kind;
use crate::sql::tree::{Action, Transaction, TransactionModes};

pub fn read(cursor: &mut Cursor<'_>) -> Found {
    let (kind, transaction) = match cursor.take_one(&[
        "begin",
        "start",
        "commit",
        "end",
        "rollback",
        "abort",
        "savepoint",
        "release",
        "prepare",
    ]) {
        Some("begin") => {
            cursor.take_one(&["work", "transaction"]);
            ("BEGIN", Transaction::Begin(modes(cursor)?))
        }
        Some("start") => {
            if !cursor.take(&["transaction"]) {
                return malformed(cursor);
            }
            ("START TRANSACTION", Transaction::Begin(modes(cursor)?))
        }
        Some("commit") if cursor.take(&["prepared"]) => ("COMMIT PREPARED", two_phase(cursor)?),
        Some("rollback") if cursor.take(&["prepared"]) => ("ROLLBACK PREPARED", two_phase(cursor)?),
        Some("prepare") if cursor.take(&["transaction"]) => ("PREPARE TRANSACTION", two_phase(cursor)?),
        Some("commit" | "end") => {
            cursor.take_one(&["work", "transaction"]);
            ("COMMIT", Transaction::Commit { chain: chain(cursor) })
        }
        Some("rollback" | "abort") => rollback(cursor)?,
        Some("savepoint") => match cursor.name() {
            Some(name) => ("SAVEPOINT", Transaction::Savepoint(name)),
            None => return malformed(cursor),
        },
        Some("release") => {
            take_savepoint(cursor);
            match cursor.name() {
                Some(name) => ("RELEASE", Transaction::Release(name)),
                None => return malformed(cursor),
            }
        }
        Some(_) | None => return malformed(cursor),
    };
    finish(cursor, kind, Action::Transaction(transaction))
}

fn rollback(cursor: &mut Cursor<'_>) -> Result<(&'static str, Transaction), Unreadable> {
    cursor.take_one(&["work", "transaction"]);
    if !cursor.take(&["to"]) {
        return Ok(("ROLLBACK", Transaction::Rollback { chain: chain(cursor) }));
    }
    take_savepoint(cursor);
    match cursor.name() {
        Some(name) => Ok(("ROLLBACK", Transaction::RollbackTo(name))),
        None => malformed(cursor),
    }
}

/// The noise word, unless it is the name itself.
fn take_savepoint(cursor: &mut Cursor<'_>) {
    if cursor.kind(1).is_some() {
        cursor.take(&["savepoint"]);
    }
}

fn two_phase(cursor: &mut Cursor<'_>) -> Result<Transaction, Unreadable> {
    if !matches!(cursor.kind(0), Some(Kind::String(_))) {
        return malformed(cursor);
    }
    cursor.advance(1);
    Ok(Transaction::TwoPhase)
}

fn chain(cursor: &mut Cursor<'_>) -> bool {
    cursor.take(&["and", "chain"]) || {
        cursor.take(&["and", "no", "chain"]);
        false
    }
}

/// A list of transaction modes, commas between them or not.
pub fn modes(cursor: &mut Cursor<'_>) -> Result<TransactionModes, Unreadable> {
    let mut modes = TransactionModes::default();
    while !cursor.is_done() {
        if cursor.take(&["isolation", "level"]) {
            let known = cursor.take(&["serializable"])
                || cursor.take(&["repeatable", "read"])
                || cursor.take(&["read", "committed"])
                || cursor.take(&["read", "uncommitted"]);
            if !known {
                return malformed(cursor);
            }
        } else if cursor.take(&["read", "only"]) {
            modes.read_only = Some(true);
        } else if cursor.take(&["read", "write"]) {
            modes.read_only = Some(false);
        } else if !cursor.take(&["deferrable"]) && !cursor.take(&["not", "deferrable"]) {
            return malformed(cursor);
        }
        cursor.take_mark(',');
    }
    Ok(modes)
}
