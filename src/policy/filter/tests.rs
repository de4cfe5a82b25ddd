//! Which statements change every row of a table, by their text.
#![allow(clippy::unwrap_used)]

use super::unfiltered;
use crate::sql::{Limits, read};

fn check(text: &str, expected: Option<(&str, &str)>) {
    let statements = read(text, &Limits::default()).unwrap();
    let found = statements.iter().find_map(|statement| unfiltered(&statement.action));
    let found = found.map(|(kind, table)| (kind, table.to_string()));
    assert_eq!(found.as_ref().map(|(kind, table)| (*kind, table.as_str())), expected, "{text}");
}

#[test]
fn a_condition_names_a_column_of_its_table() {
    let every = Some(("UPDATE", "t"));
    for (text, expected) in [
        ("UPDATE t SET a = 1", every),
        ("UPDATE t SET a = 1 WHERE id = 1", None),
        ("UPDATE t SET a = 1 WHERE t.id = 1", None),
        ("UPDATE t SET a = 1 WHERE (t).id = 1", None),
        ("UPDATE t AS x SET a = 1 WHERE x.id = 1", None),
        ("UPDATE s.t SET a = 1 WHERE s.t.id = 1", None),
        ("UPDATE t SET a = 1 WHERE true", every),
        ("UPDATE t SET a = 1 WHERE 1 = 1", every),
        ("UPDATE t SET a = 1 WHERE $1 > now()", every),
        ("UPDATE t SET a = 1 WHERE lower(t.name) LIKE 'x%'", None),
        ("UPDATE t SET a = 1 WHERE CASE WHEN t IS NULL THEN false ELSE true END", None),
        ("UPDATE t SET a = 1 WHERE ctid = '(0,1)'", None),
        ("UPDATE t SET a = 1 WHERE CURRENT OF c", None),
        ("UPDATE t SET a = o.a FROM o WHERE o.id = 1", every),
        ("UPDATE t SET a = o.a FROM o WHERE o.id = t.id", None),
        ("UPDATE t SET a = 1 WHERE id IN (SELECT id FROM o)", None),
        ("UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM o WHERE o.id = 1)", every),
        ("UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM o WHERE id = 1)", every),
        ("UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM o WHERE o.id = t.id)", None),
        ("UPDATE t SET a = 1 WHERE (SELECT count(*) FROM o JOIN p ON p.id = t.id) > 0", None),
    ] {
        check(text, expected);
    }
}

#[test]
fn wherever_it_stands() {
    let every = Some(("DELETE", "t"));
    for (text, expected) in [
        ("DELETE FROM t", every),
        ("DELETE FROM t USING o WHERE t.id = o.id", None),
        ("DELETE FROM t USING o WHERE o.id = 1", every),
        ("WITH d AS (DELETE FROM t RETURNING id) SELECT count(*) FROM d", every),
        ("WITH d AS (DELETE FROM t WHERE id = 1 RETURNING id) INSERT INTO o SELECT id FROM d", None),
        ("WITH d AS (DELETE FROM t RETURNING id) INSERT INTO o SELECT id FROM d", every),
        ("WITH d AS (DELETE FROM t RETURNING id) UPDATE o SET a = 1 WHERE o.id = 1", every),
        ("INSERT INTO o WITH d AS (SELECT 1) SELECT * FROM d", None),
        ("COPY (DELETE FROM t RETURNING id) TO STDOUT", every),
        ("PREPARE p AS DELETE FROM t", every),
        ("EXPLAIN ANALYZE DELETE FROM t", every),
        ("EXPLAIN DELETE FROM t", None),
        ("SELECT 1; DELETE FROM t", every),
        ("TRUNCATE t", None),
        ("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1", None),
        ("MERGE INTO t USING o ON t.id = o.id WHEN MATCHED THEN DELETE", None),
        ("MERGE INTO t USING o ON true WHEN MATCHED THEN DELETE", Some(("MERGE", "t"))),
        ("MERGE INTO t USING o ON true WHEN MATCHED AND t.id = 1 THEN DELETE", None),
        ("MERGE INTO t USING o ON true WHEN NOT MATCHED THEN INSERT VALUES (1)", None),
    ] {
        check(text, expected);
    }
}
