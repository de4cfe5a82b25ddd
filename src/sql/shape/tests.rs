//! Shapes: what the scanner takes for literals, held against the lexer, and which texts may stand for others.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::sql::lex::{Kind, tokens};
use crate::sql::{Limits, read};

fn shared(text: &str) -> bool {
    let Some(outline) = scan(text) else { return false };
    let statements = read(text, &Limits::default()).unwrap();
    share(&outline, &statements[0], &Limits::default()).is_some()
}

/// Every literal of the outline is a token of that class; and of those tokens that a quick look can tell, none is missed.
fn agrees(text: &str) {
    let (Ok(tokens), Some(outline)) = (tokens(text), scan(text)) else { return };
    let mut at = 0;
    for literal in outline.literals() {
        assert!(literal.range().start >= at, "{text:?}: {literal:?}");
        at = literal.range().end;
    }
    for token in &tokens {
        let written = &text[token.range.clone()];
        let found = outline.literals().find(|literal| literal.range() == token.range).map(|literal| literal.class);
        match &token.kind {
            Kind::Integer(digits) => {
                let class = match (digits.parse::<i32>(), digits.parse::<i64>()) {
                    (Ok(_), _) => Class::Int4,
                    (Err(_), Ok(_)) => Class::Int8,
                    (Err(_), Err(_)) => Class::Large,
                };
                assert_eq!(found, Some(class), "{text:?}: {written}");
            }
            Kind::Numeric(_) => assert_eq!(found, Some(Class::Numeric), "{text:?}: {written}"),
            Kind::String(value) if written.starts_with('\'') && written.matches('\'').count() == 2 => {
                let is_word = |kind: &Kind| matches!(kind, Kind::Word(_));
                let joined = tokens.iter().any(|word| word.range.end == token.range.start && is_word(&word.kind));
                let secret = crate::sql::redact::may_mention_secret(value.as_bytes());
                let expected = (!joined && !secret).then_some(Class::String);
                assert_eq!(found, expected, "{text:?}: {written}");
            }
            _ => {}
        }
    }
}

#[test]
fn literals_are_found_where_the_lexer_finds_them() {
    for text in [
        "select 1, 2147483647, 2147483648, 9223372036854775807, 9223372036854775808, 00000000000000000000001",
        "select 1.5, .5, 5., 1e5, 1.e-3, a.5, t.a, x1, $1, a$1, 1+-1",
        "select 'a', 'it''s', '', E'a\\'b', e'\\\\', B'01', X'ff', N'n', U&'\\0061', $$1 'x' 2$$, $a$ $ $$ 'x' $a$, 'z'",
        "select \"a 'b' 1\", U&\"x 1\", 'c' -- 'd' 1\n, 'e' /* 'f' /* 1 */ 'g' */, 'h'",
        "select a--1\r, 'b' from t where x=-1 and y>-- '\n 0 and z*/* ' */5 = 1",
        "select date '2020-01-01', date'2020-01-01', interval '1' day, x::numeric(10, 2), 5-3, a-3, 'a''b' 'c'",
        "select 'a'\n'b', 'c' \t\n -- d\n 'e', E'f'\n'g\\'h'",
        "select é1, 'é', \"é'\", 1é",
        "select ''''''  , '''' , 'x'",
        "select 'token', 'TOKEN', 'tok', 'a://b', 'md5', 'dblink'",
    ] {
        agrees(text);
    }
}

#[test]
fn texts_of_one_shape_differ_in_their_literals_alone() {
    let is_like = |one: &str, other: &str| match (scan(one), scan(other)) {
        (Some(one), Some(other)) => one.shape().is_of(&other) && other.shape().is_of(&one),
        (_, _) => false,
    };
    for (one, other) in [
        ("select 1 from t where a = 'x'", "select 2147483647 from t where a = 'it''s'"),
        ("select 1.5", "select .25e7"),
        ("a in (1,2)", "a in (33,44)"),
        ("select 3000000000 /* 1 */", "select 9223372036854775807 /* 1 */"),
    ] {
        assert!(is_like(one, other), "{one} | {other}");
    }
    for (one, other) in [
        ("select 1", "select 2147483648"),
        ("select 1", "select 1.0"),
        ("select 1", "select '1'"),
        ("select 1", "select -1"),
        ("select 1", "select  1"),
        ("select 1", "SELECT 1"),
        ("select 1 /* 1 */", "select 1 /* 2 */"),
        ("select 1 -- a", "select 1 -- b"),
        ("select 'x', \"1\"", "select 'x', \"2\""),
        ("select 1, E'x'", "select 1, E'y'"),
        ("select 1, $$x$$", "select 1, $$y$$"),
        ("select 1, $1", "select 1, $2"),
        ("select 1, B'0'", "select 1, B'1'"),
        ("select 1, 'x'", "select 1, 'token'"),
        ("select 1, 'secret1'", "select 1, 'secret2'"),
        ("select 1", "select 1, 1"),
        ("select 'x\0'", "select 'y\0'"),
    ] {
        assert!(!is_like(one, other), "{one} | {other}");
    }
}

#[test]
fn a_text_stands_for_others_where_no_literal_counts() {
    for text in [
        "SELECT abalance FROM pgbench_accounts WHERE aid = 4711",
        "UPDATE pgbench_accounts SET abalance = abalance + -42 WHERE aid = 7",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, -4, CURRENT_TIMESTAMP)",
        "DELETE FROM t WHERE id IN (1, 2, 3) AND note LIKE '%x%' AND at BETWEEN '2020-01-01' AND '2021-01-01'",
        "SELECT a, 'x' AS kind, coalesce(b, 0) FROM t WHERE c->>'key' = 'y' ORDER BY a LIMIT 10 OFFSET 20",
        "WITH r AS (SELECT id FROM t WHERE a > 5) SELECT count(*) FROM r JOIN u ON u.id = r.id AND u.kind = 'z'",
        "INSERT INTO t (a, b) VALUES ('x', 1.5), ('y', 2.5) ON CONFLICT (a) DO UPDATE SET b = t.b + 1 WHERE t.b < 9 RETURNING a",
        "SELECT date_trunc('day', at), sum(x) FROM t WHERE at >= date '2020-01-01' - interval '7 days' GROUP BY date_trunc('day', at)",
        "SELECT CASE WHEN a > 1 THEN 'big' ELSE 'small' END FROM t",
        "SELECT * FROM generate_series(1, 10) AS g (n) WHERE n % 2 = 0",
    ] {
        assert!(shared(text), "{text}");
    }
}

#[test]
fn a_text_stands_for_itself_where_a_literal_counts() {
    for text in [
        "SELECT a, b FROM t ORDER BY 1",
        "SELECT a, count(*) FROM t GROUP BY 1",
        "SELECT DISTINCT ON (1) a FROM t",
        "SELECT nextval('s')",
        "SELECT currval('s'), 1",
        "SELECT pg_relation_size('t')",
        "SELECT to_regclass('t')",
        "SELECT has_table_privilege('t', 'select')",
        "SELECT has_table_privilege('bob', 't', 'select')",
        "SELECT current_setting('work_mem')",
        "SELECT set_config('work_mem', '1', false)",
        "SELECT * FROM t WHERE a = current_setting('x') AND b = 1",
        "SELECT current_setting(a) FROM t WHERE b = 1",
        "SELECT query_to_xml('select 1', true, true, '')",
        "SELECT * FROM dblink('host=x', 'select 1') AS t (a int)",
        "SELECT pg_read_file('x')",
        "SELECT lo_import('x')",
        "SELECT setting FROM pg_settings WHERE name = 'work_mem'",
        "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'work_mem'",
        "SELECT * FROM pg_show_all_settings() WHERE name = 'work_mem'",
        "DELETE FROM t WHERE 1 = 1",
        "DELETE FROM t WHERE 'x' = 'x' OR a = 1",
        "UPDATE t SET a = 1 WHERE 1 < 2",
        "UPDATE t SET password = 'x'",
        "SELECT * FROM t WHERE password = 'x'",
        "INSERT INTO users (name, api_key) VALUES ('x', 'y')",
        "SELECT * FROM t WHERE a LIKE 'x' ESCAPE '!'",
        "SELECT * FROM t TABLESAMPLE system (1) WHERE a = 1",
        "SELECT a[1] FROM t",
        "UPDATE t SET a[1] = 2",
        "SELECT x::numeric(10, 2) FROM t",
        "SELECT x::float(24) FROM t",
        "SELECT CURRENT_TIMESTAMP(3)",
        "SELECT jsonb_path_query(a, '$.x') FROM t",
        "SELECT JSON_VALUE(a, '$.x') FROM t",
        "SELECT sum(a) OVER (ORDER BY b ROWS 5 PRECEDING) FROM t",
        "SELECT my.lower('x')",
        "SELECT 1 INTO t",
        "EXPLAIN SELECT 1",
        "SHOW work_mem; SELECT 1",
        "SET work_mem = '1'",
        "COPY (SELECT 1) TO STDOUT",
        "CREATE TABLE t (a int DEFAULT 5)",
        "ALTER ROLE bob PASSWORD 'x'",
        "PREPARE p AS SELECT 1",
        "EXECUTE p (1)",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH 5 FROM c",
        "UPDATE t SET a = 1 WHERE CURRENT OF c",
        "CALL p(1)",
        "DO 'x'",
        "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = 1",
        "SELECT 1 /* password=x */",
        "SELECT 'a'\n'b'",
        "SELECT U&'!0061' UESCAPE '!'",
        "SELECT 1; SELECT 2",
        "SELECT a FROM t ORDER BY CASE WHEN b THEN 1 ELSE 2 END",
        "SELECT count(*) FROM t HAVING 1 = 1",
        "SELECT * FROM t JOIN u ON 1 = 1",
    ] {
        let Some(outline) = scan(text) else { continue };
        let Ok(statements) = read(text, &Limits::default()) else { panic!("not read: {text}") };
        let found = match statements.as_slice() {
            [only] => share(&outline, only, &Limits::default()).is_some(),
            [..] => false,
        };
        assert!(!found, "{text}");
    }
}

#[test]
fn the_corpora_agree() {
    for line in include_str!("../../../tests/corpora/clients.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        agrees(row["sql"].as_str().unwrap());
    }
    for line in include_str!("../../../tests/corpora/grammar.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        agrees(row["sql"].as_str().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_text_agrees(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        agrees(&pieces.concat());
    }

    /// Putting other literals of the same classes into a text gives a text of the same shape, which the lexer cuts alike.
    #[test]
    fn other_literals_leave_the_shape(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24),
        strings in prop::collection::vec("[a-z' ;-]{0,8}", 24),
        numbers in prop::collection::vec(0_u32..=0x7fff_ffff, 24),
    ) {
        let text = pieces.concat();
        let (Ok(before), Some(outline)) = (tokens(&text), scan(&text)) else { return Ok(()) };
        let whole = outline.literals().all(|literal| before.iter().any(|token| token.range == literal.range()));
        if !whole {
            return Ok(());
        }
        let (mut other, mut at) = (String::new(), 0);
        for (index, literal) in outline.literals().enumerate() {
            other.push_str(&text[at..literal.range().start]);
            match literal.class {
                Class::String => other.push_str(&format!("'{}'", strings[index % 24].replace('\'', "''"))),
                Class::Int4 => other.push_str(&numbers[index % 24].to_string()),
                Class::Int8 | Class::Large | Class::Numeric => other.push_str(&text[literal.range()]),
            }
            at = literal.range().end;
        }
        other.push_str(&text[at..]);
        let is_like = scan(&other).is_some_and(|other| outline.shape().is_of(&other));
        prop_assert!(is_like, "{text:?} {other:?}");
        let after = tokens(&other);
        prop_assert!(after.is_ok(), "{text:?} {other:?}");
        let kinds = |tokens: &[crate::sql::lex::Token]| tokens.iter().map(|token| match &token.kind {
            Kind::String(_) => Kind::String(String::new()),
            Kind::Integer(_) => Kind::Integer(String::new()),
            other => other.clone(),
        }).collect::<Vec<_>>();
        prop_assert_eq!(kinds(&before), kinds(&after.unwrap()), "{:?} {:?}", text, other);
    }
}

const PIECES: &[&str] = &[
    "'",
    "''",
    "'a'",
    "'b c'",
    "\"",
    "\"a\"",
    "E'",
    "e'\\''",
    "\\",
    "B'01'",
    "x'f'",
    "N'",
    "U&'",
    "U&\"a\"",
    " uescape '!'",
    "$",
    "$$",
    "$a$",
    "$1",
    "1",
    "23",
    "4.5",
    ".",
    "..",
    "5e3",
    "e",
    "E5",
    "2147483648",
    "99999999999999999999",
    "a",
    "select ",
    " ",
    "\n",
    "\r",
    "--",
    "-",
    "/*",
    "*/",
    "/",
    "*",
    "+",
    "::",
    ":",
    "=",
    "(",
    ")",
    "[",
    "]",
    ",",
    ";",
    "é",
    "_",
    "date ",
    "token",
    "0x1f",
    "|",
    "'it''s'",
];
