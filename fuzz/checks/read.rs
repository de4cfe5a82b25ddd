//! The reader: statements stand in order and within the text, and each read alone is the same statement.

use pgward::sql::tree::{Action, Statement};
use pgward::sql::{Limits, read};

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(statements) = read(text, &Limits::default()) else { return };
    let mut end = 0;
    for statement in &statements {
        assert!(statement.range.start >= end && statement.range.start < statement.range.end, "out of order");
        end = statement.range.end;
        let alone = read(&text[statement.range.clone()], &Limits::default()).expect("a statement alone");
        assert_eq!(alone.len(), 1);
        same(statement, &alone[0]);
    }
    assert!(end <= text.len());
}

fn same(there: &Statement, alone: &Statement) {
    assert_eq!((there.kind, there.fingerprint), (alone.kind, alone.fingerprint));
    match (&there.action, &alone.action) {
        // What is prepared knows its own place in the text.
        (Action::Prepare { name, types, inner }, Action::Prepare { name: other, types: others, inner: alone }) => {
            assert_eq!((name, types), (other, others));
            same(inner, alone);
        }
        (there, alone) => assert_eq!(there, alone),
    }
}
