//! Single conversions, by what their tree says.

use super::*;
use crate::sql::tree::{
    CopyDirection, CopyEndpoint, DdlObject, Expr, Literal, Query, SetExpr, Setting, Target, Transaction,
    TransactionModes,
};

fn query(text: &str) -> Query {
    match one(text).action {
        Action::Query(query) => *query,
        other => panic!("{text}: {other:?}"),
    }
}

/// The first target of a SELECT.
fn expr(text: &str) -> Expr {
    let text = format!("SELECT {text} FROM t");
    let SetExpr::Select(select) = query(&text).body else { panic!("{text}") };
    match select.targets.into_iter().next() {
        Some(Target::Expr { expr, alias: _ }) => expr,
        other => panic!("{text}: {other:?}"),
    }
}

/// An expression in prefix form, for short expectations.
fn show(expr: &Expr) -> String {
    let list = |exprs: &[Expr]| exprs.iter().map(show).collect::<Vec<_>>().join(" ");
    match expr {
        Expr::Column(name) => name.to_string(),
        Expr::Literal(literal) => match literal {
            Literal::Null => "null".into(),
            Literal::Boolean(value) => value.to_string(),
            Literal::Integer(text) | Literal::Numeric(text) => text.clone(),
            Literal::String(text) => format!("'{text}'"),
            Literal::Bit(text) => format!("bit'{text}'"),
        },
        Expr::Parameter(number) => format!("${number}"),
        Expr::Call(call) => {
            let arguments: Vec<Expr> = call.arguments.iter().map(|argument| argument.expr.clone()).collect();
            format!("{}({})", call.name, list(&arguments))
        }
        Expr::Operator { name, left, right } => {
            let schema = name.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
            let left = left.as_ref().map(|left| show(left) + " ").unwrap_or_default();
            format!("({schema}{} {left}{})", name.symbol, show(right))
        }
        Expr::Boolean(exprs) => format!("bool[{}]", list(exprs)),
        Expr::Cast { expr, to } => format!("{}::{}{}", show(expr), to.name, if to.array { "[]" } else { "" }),
        Expr::Collate { expr, collation } => format!("{} collate {collation}", show(expr)),
        Expr::Subquery(subquery) => {
            format!("query<{}>", format!("{:?}", subquery.kind).split([' ', '(']).next().unwrap())
        }
        Expr::Field { expr, name } => format!("({}).{name}", show(expr)),
        Expr::Subscript { expr, indices, slice: _ } => format!("{}[{}]", show(expr), list(indices)),
        Expr::Row(exprs) => format!("row({})", list(exprs)),
        Expr::Array(exprs) => format!("array[{}]", list(exprs)),
        Expr::Case { operand, whens, otherwise } => {
            let whens: Vec<_> = whens.iter().map(|(when, then)| format!("{}:{}", show(when), show(then))).collect();
            let operand = operand.as_ref().map(|operand| show(operand)).unwrap_or_default();
            format!(
                "case {operand}|{}|{}",
                whens.join(" "),
                otherwise.as_ref().map(|expr| show(expr)).unwrap_or_default()
            )
        }
        Expr::Common { name, arguments } => format!("{name}{{{}}}", list(arguments)),
        Expr::Keyword(word) => format!("<{word}>"),
        Expr::WholeRow(name) => format!("{name}.*"),
        Expr::Default => "default".into(),
    }
}

#[test]
fn expressions_mean_what_gram_y_makes_of_them() {
    for (text, expected) in [
        ("a + b * c", "(+ a (* b c))"),
        ("a || b || c", "(|| (|| a b) c)"),
        ("NOT a AND b OR c", "bool[bool[a] b c]"),
        ("a = 1 AND (b = 2 OR c)", "bool[(= a 1) (= b 2) c]"),
        ("a != b", "(<> a b)"),
        ("a OPERATOR(s.@@) b", "(s.@@ a b)"),
        ("- a", "(- a)"),
        ("|/ a", "(|/ a)"),
        ("a IN (1, 'x')", "bool[(= a 1) (= a 'x')]"),
        ("a NOT IN (1)", "bool[(<> a 1)]"),
        ("a IN (SELECT 1)", "query<Quantified>"),
        ("a = ANY (SELECT 1)", "query<Quantified>"),
        ("a = ANY (b)", "(= a b[])"),
        ("a OPERATOR(pg_catalog.=) ALL (ARRAY[1])", "(pg_catalog.= a array[1][])"),
        ("a BETWEEN SYMMETRIC 1 AND 2", "bool[(>= a 1) (<= a 2)]"),
        ("a NOT BETWEEN 1 AND 2", "bool[(< a 1) (> a 2)]"),
        ("a IS NOT DISTINCT FROM b", "(= a b)"),
        ("a IS NOT TRUE", "bool[a]"),
        ("a ISNULL", "bool[a]"),
        ("a IS NOT JSON OBJECT WITH UNIQUE KEYS", "bool[a]"),
        ("a IS NFC NORMALIZED", "pg_catalog.is_normalized(a)"),
        ("a LIKE b", "(~~ a b)"),
        ("a NOT ILIKE b", "(!~~* a b)"),
        ("a LIKE b ESCAPE '!'", "(~~ a pg_catalog.like_escape(b '!'))"),
        ("a LIKE ANY (b)", "(~~ a b[])"),
        ("a SIMILAR TO b", "(~ a pg_catalog.similar_to_escape(b))"),
        ("a AT TIME ZONE 'UTC'", "pg_catalog.timezone('UTC' a)"),
        ("a AT LOCAL", "pg_catalog.timezone(a)"),
        ("(a, b) OVERLAPS (c, d)", "pg_catalog.overlaps(a b c d)"),
        ("EXTRACT(year FROM a)", "pg_catalog.extract('year' a)"),
        ("POSITION(a IN b)", "pg_catalog.position(a b)"),
        ("SUBSTRING(a FROM 1 FOR 2)", "pg_catalog.substring(a 1 2)"),
        ("SUBSTRING(a, 1)", "substring(a 1)"),
        ("SUBSTRING(a SIMILAR b ESCAPE c)", "pg_catalog.substring(a b c)"),
        // SIMILAR TO is an operator, and the function then one by its name.
        ("SUBSTRING(a SIMILAR TO b, 1)", "substring((~ a pg_catalog.similar_to_escape(b)) 1)"),
        ("SUBSTRING(COLLATION FOR (a), 1)", "substring(pg_catalog.pg_collation_for(a) 1)"),
        ("OVERLAY(a PLACING b FROM 1)", "pg_catalog.overlay(a b 1)"),
        ("TRIM(a)", "pg_catalog.btrim(a)"),
        ("TRIM(LEADING 'x' FROM a)", "pg_catalog.ltrim('x' a)"),
        ("TRIM(TRAILING FROM a)", "pg_catalog.rtrim(a)"),
        ("NORMALIZE(a, NFKC)", "pg_catalog.normalize(a)"),
        ("COLLATION FOR (a)", "pg_catalog.pg_collation_for(a)"),
        ("CAST(a AS double precision)", "a::pg_catalog.float8"),
        ("a::int[]::text", "a::pg_catalog.int4[]::text"),
        ("date '2020-01-01'", "'2020-01-01'::date"),
        ("INTERVAL '1' DAY TO SECOND(3)", "'1'::pg_catalog.interval"),
        ("timestamp with time zone 'x'", "'x'::pg_catalog.timestamptz"),
        ("s.mood 'x'", "'x'::s.mood"),
        ("N'x'", "'x'::pg_catalog.bpchar"),
        ("B'01'", "bit'b01'"),
        ("a COLLATE s.\"C\"", "a collate s.C"),
        ("a::text COLLATE \"C\" || b", "(|| a::text collate C b)"),
        ("a[1:2][b]", "a[1 2][b]"),
        ("(f(a)).b.c", "((f(a)).b).c"),
        ("row_to_json(t.*)", "row_to_json(t.*)"),
        ("t.*::text", "t.*::text"),
        ("ROW(a, t.*)", "row(a t.*)"),
        ("ARRAY(SELECT 1)", "query<Array>"),
        ("EXISTS (SELECT 1)", "query<Exists>"),
        ("CASE a WHEN 1 THEN b ELSE c END", "case a|1:b|c"),
        ("COALESCE(a, b)", "coalesce{a b}"),
        ("NULLIF(a, b)", "nullif{(= a b)}"),
        ("CURRENT_TIMESTAMP(3)", "<current_timestamp>"),
        ("current_schema()", "current_schema()"),
        ("left(a, 1)", "left(a 1)"),
        ("f(VARIADIC a)", "f(a)"),
        ("f(x => a, y := b)", "f(a b)"),
        ("$1", "$1"),
        ("\"Select\"", "Select"),
        ("name", "name"),
        ("a.select", "a.select"),
    ] {
        assert_eq!(show(&expr(text)), expected, "{text}");
    }
}

#[test]
fn reserved_words_are_no_names() {
    for text in [
        "SELECT a OR FROM t",
        "SELECT a END FROM t",
        "SELECT a NOT FROM t",
        "SELECT * FROM user",
        "SELECT * FROM t left",
        "SELECT a LIKE FROM t",
        "SELECT 1 AT TIME ZONE FROM",
        "SELECT a AND, 1 FROM t",
        "SELECT freeze FROM t",
    ] {
        let outcome = try_read(text);
        let function = matches!(&outcome, Ok(found) if format!("{found:?}").contains("Functions"));
        assert!(outcome.is_err() || function, "{text}: {outcome:?}");
    }
}

/// A table may have the name of a function that the grammar spells with words.
#[test]
fn the_table_of_insert_is_no_function() {
    for name in ["position", "substring", "overlay", "trim", "extract", "coalesce", "normalize", "xmlelement"] {
        let Action::Insert(insert) = one(&format!("INSERT INTO {name} (a) VALUES (1)")).action else {
            panic!("{name}");
        };
        assert_eq!(insert.table.to_string(), name);
    }
}

/// What stands behind DISTINCT ON is an expression's start, not an operand's end.
#[test]
fn distinct_on_ends_no_operand() {
    for (text, found) in [
        ("SELECT DISTINCT ON (a) N'x' FROM t", "pg_catalog.bpchar"),
        ("SELECT DISTINCT ON (a) date 'x' FROM t", "date"),
        ("SELECT DISTINCT ON (a) hr.mood 'x' FROM t", "hr.mood"),
    ] {
        assert_eq!(mentions(&one(text), "to: TypeName { name: QualifiedName {"), [found], "{text}");
    }
}

#[test]
fn other_dialects_are_not_read() {
    for text in [
        "SELECT TOP 1 a FROM t",
        "SELECT a FROM t QUALIFY x",
        "SELECT a FROM t PREWHERE x",
        "SELECT a FROM t LATERAL VIEW f(x) y",
        "SELECT :a",
        "SELECT @a := 1",
        "SELECT {a: 1}",
        "SELECT x -> x + 1 FROM t GROUP BY a WITH ROLLUP",
        "SELECT a FROM t LIMIT 1, 2",
        "SELECT a FROM t FOR JSON AUTO",
        "SELECT * EXCEPT (a) FROM t",
        "SELECT * EXCLUDE (a) FROM t",
        "SELECT a FROM t WITH (NOLOCK)",
        "SELECT CONVERT(int, a) FROM t GROUP BY ALL WITH TOTALS",
        "REPLACE INTO t VALUES (1)",
        "INSERT OR IGNORE INTO t VALUES (1)",
        "INSERT INTO t SET a = 1",
        "INSERT t VALUES (1)",
        "DELETE t FROM t",
        "UPDATE t JOIN u ON x SET a = 1",
        "UPDATE t SET a = 1 LIMIT 1",
        "SELECT a FROM t a b",
        "FROM t SELECT a",
        "SELECT f(SELECT 1)",
        "SELECT a FROM t WHERE a RLIKE b",
        "SELECT 'a' 'b'",
        // A string is no alias, and no function's argument without parentheses.
        "SELECT (a) 'b'",
        "SELECT a AS 'b'",
        "SELECT a FROM t 'b'",
        "SELECT upper(rows '1')",
        "SELECT B'0''1'",
        "USE x",
        "SELECT 1 UNION BY NAME SELECT 2",
        "SELECT 1 MINUS SELECT 2 FROM t",
        "SELECT a FROM t SETTINGS x = 1",
        "SELECT TRY_CAST(a AS int)",
    ] {
        assert!(try_read(text).is_err(), "{text}: {:?}", try_read(text));
    }
}

#[test]
fn every_relation_is_found() {
    for (text, expected) in [
        ("SELECT * FROM ONLY a, ONLY (s.b) x", vec!["a", "s.b"]),
        ("SELECT * FROM a TABLESAMPLE system (1), b CROSS JOIN c", vec!["a", "b", "c"]),
        ("TABLE a", vec!["a"]),
        ("VALUES (1) UNION TABLE a", vec!["a"]),
        (
            "SELECT (SELECT 1 FROM a) FROM b ORDER BY (SELECT 1 FROM c) LIMIT (SELECT 1 FROM d)",
            vec!["a", "b", "c", "d"],
        ),
        ("SELECT sum(x) OVER (ORDER BY (SELECT 1 FROM a)) FROM b", vec!["a", "b"]),
        ("SELECT x FROM a WINDOW w AS (PARTITION BY (SELECT 1 FROM b))", vec!["a", "b"]),
        ("SELECT count(*) FILTER (WHERE (SELECT true FROM a)) OVER (PARTITION BY (SELECT 1 FROM b))", vec!["a", "b"]),
        ("SELECT x FROM a GROUP BY GROUPING SETS ((x), ROLLUP ((SELECT 1 FROM b)), ())", vec!["a", "b"]),
        ("SELECT DISTINCT ON ((SELECT 1 FROM a)) x FROM b HAVING (SELECT true FROM c)", vec!["a", "b", "c"]),
        ("WITH x AS MATERIALIZED (DELETE FROM a RETURNING *) SELECT * FROM b", vec!["a", "b"]),
        (
            "INSERT INTO a SELECT * FROM b ON CONFLICT (x, (SELECT 1 FROM e)) WHERE (SELECT true FROM c) DO UPDATE SET x = (SELECT 1 FROM d)",
            vec!["a", "b", "c", "d", "e"],
        ),
        (
            "UPDATE ONLY a SET x[(SELECT 1 FROM b)] = 1, (y, z) = (SELECT 1, 2 FROM c) FROM d WHERE (SELECT true FROM e) RETURNING (SELECT 1 FROM f)",
            vec!["a", "b", "c", "d", "e", "f"],
        ),
        ("DELETE FROM a USING b, LATERAL (SELECT * FROM c) d", vec!["a", "b", "c"]),
        (
            "MERGE INTO a USING (SELECT * FROM b) s ON (SELECT true FROM c) WHEN NOT MATCHED AND (SELECT true FROM d) THEN INSERT VALUES ((SELECT 1 FROM e))",
            vec!["a", "b", "c", "d", "e"],
        ),
        ("SELECT * FROM ROWS FROM (f((SELECT 1 FROM a)), g(2)) AS x", vec!["a"]),
        ("SELECT * FROM a JOIN b USING (x) AS j JOIN c ON (SELECT true FROM d)", vec!["a", "b", "c", "d"]),
        ("EXPLAIN (ANALYZE) INSERT INTO a SELECT * FROM b", vec!["b"]),
        ("DECLARE c CURSOR WITH HOLD FOR TABLE a", vec!["a"]),
        ("PREPARE p AS SELECT * FROM a", vec!["a"]),
        ("COPY (SELECT * FROM a) TO STDOUT", vec!["a"]),
        ("COPY t FROM STDIN WITH (FORMAT csv) WHERE (SELECT true FROM a)", vec!["a"]),
        ("CREATE TABLE t (x int DEFAULT 1 CHECK ((SELECT true FROM a)))", vec!["a"]),
        ("CREATE TABLE t AS SELECT * FROM a WITH NO DATA", vec!["a"]),
        ("CREATE INDEX ON t (f(x)) WHERE (SELECT true FROM a)", vec!["a"]),
        ("ALTER TABLE t ALTER x TYPE int USING (SELECT 1 FROM a)", vec!["a"]),
    ] {
        assert_eq!(relations(&one(text)), expected, "{text}");
    }
}

#[test]
fn settings_come_under_their_names() {
    let set = |name: &str, local, values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Action::Set(Setting { name: name.to_owned(), local, values: Some(values) })
    };
    for (text, expected) in [
        ("SET Search_Path = \"A\", b", set("search_path", false, &["A", "b"])),
        ("SET LOCAL x.y TO 'z'", set("x.y", true, &["z"])),
        ("SET SESSION x = -1", set("x", false, &["-1"])),
        ("SET x TO on", set("x", false, &["on"])),
        ("SET TIME ZONE 'UTC'", set("timezone", false, &["UTC"])),
        ("SET TIME ZONE INTERVAL '1' HOUR TO MINUTE", set("timezone", false, &["1"])),
        ("SET TIME ZONE LOCAL", Action::Set(Setting { name: "timezone".into(), local: false, values: None })),
        ("SET NAMES 'UTF8'", set("client_encoding", false, &["UTF8"])),
        ("SET SCHEMA 'a'", set("search_path", false, &["a"])),
        ("SET XML OPTION DOCUMENT", set("xmloption", false, &["document"])),
        ("SET x TO DEFAULT", Action::Set(Setting { name: "x".into(), local: false, values: None })),
        ("SET ROLE a", Action::SetIdentity),
        ("SET LOCAL ROLE 'a'", Action::SetIdentity),
        ("SET role = a", Action::SetIdentity),
        ("SET \"Role\" TO a", Action::SetIdentity),
        ("SET SESSION AUTHORIZATION DEFAULT", Action::ResetIdentity),
        ("SET SESSION SESSION AUTHORIZATION a", Action::SetIdentity),
        ("SET session_authorization = a", Action::SetIdentity),
        ("RESET ROLE", Action::ResetIdentity),
        ("RESET SESSION AUTHORIZATION", Action::ResetIdentity),
        ("RESET \"session_authorization\"", Action::ResetIdentity),
        ("SET ROLE NONE", Action::ResetIdentity),
        ("SET ROLE 'none'", Action::ResetIdentity),
        ("SET ROLE \"NONE\"", Action::SetIdentity),
        ("SET LOCAL ROLE none", Action::ResetIdentity),
        ("SET role TO DEFAULT", Action::ResetIdentity),
        ("SET role FROM CURRENT", Action::SetIdentity),
        ("SET role = none, postgres", Action::SetIdentity),
        ("SET SESSION AUTHORIZATION \"default\"", Action::SetIdentity),
        ("SET SESSION AUTHORIZATION 'default'", Action::SetIdentity),
        ("SET SESSION AUTHORIZATION none", Action::SetIdentity),
        ("SET session_authorization = none", Action::SetIdentity),
        ("SET U&\"\\0072ole\" = postgres", Action::SetIdentity),
        ("RESET ALL", Action::Reset(None)),
        ("RESET TIME ZONE", Action::Reset(Some("timezone".into()))),
        ("SHOW ALL", Action::Show(None)),
        ("SHOW TRANSACTION ISOLATION LEVEL", Action::Show(Some("transaction_isolation".into()))),
        ("SHOW session authorization", Action::Show(Some("session_authorization".into()))),
        ("SET CONSTRAINTS a.b, c DEFERRED", Action::SetConstraints),
        ("SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE", {
            Action::Transaction(Transaction::SetModes(TransactionModes { read_only: Some(true) }))
        }),
        ("SET LOCAL TRANSACTION READ WRITE", {
            Action::Transaction(Transaction::SetModes(TransactionModes { read_only: Some(false) }))
        }),
        ("SET TRANSACTION SNAPSHOT 'x'", Action::Transaction(Transaction::SetSnapshot)),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", {
            Action::Transaction(Transaction::SetSessionModes(TransactionModes { read_only: Some(false) }))
        }),
    ] {
        assert_eq!(one(text).action, expected, "{text}");
    }
}

#[test]
fn transactions_are_told_apart() {
    use crate::sql::tree::Name;
    let begin = |read_only| Transaction::Begin(TransactionModes { read_only });
    for (text, kind, expected) in [
        ("BEGIN", "BEGIN", begin(None)),
        ("BEGIN WORK ISOLATION LEVEL REPEATABLE READ READ ONLY NOT DEFERRABLE", "BEGIN", begin(Some(true))),
        ("START TRANSACTION READ WRITE", "START TRANSACTION", begin(Some(false))),
        ("END", "COMMIT", Transaction::Commit { chain: false }),
        ("COMMIT AND CHAIN", "COMMIT", Transaction::Commit { chain: true }),
        ("ABORT", "ROLLBACK", Transaction::Rollback { chain: false }),
        ("ROLLBACK AND NO CHAIN", "ROLLBACK", Transaction::Rollback { chain: false }),
        ("SAVEPOINT a", "SAVEPOINT", Transaction::Savepoint(Name::from("a"))),
        ("RELEASE savepoint", "RELEASE", Transaction::Release(Name::from("savepoint"))),
        ("ROLLBACK TRANSACTION TO SAVEPOINT \"A\"", "ROLLBACK", Transaction::RollbackTo(Name::from("A"))),
        ("PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION", Transaction::TwoPhase),
        ("COMMIT PREPARED 'x'", "COMMIT PREPARED", Transaction::TwoPhase),
    ] {
        let found = one(text);
        assert_eq!((found.kind, found.action), (kind, Action::Transaction(expected)), "{text}");
    }
    for text in ["BEGIN; x", "COMMIT END", "BEGIN READ", "ROLLBACK TO", "SET TRANSACTION x", "SAVEPOINT select"] {
        assert!(try_read(text).is_err(), "{text}");
    }
}

#[test]
fn copy_says_where_to() {
    for (text, direction, endpoint) in [
        ("COPY t TO STDOUT", CopyDirection::To, CopyEndpoint::Client),
        ("COPY s.t (a, b) FROM STDIN WITH (FORMAT csv, FORCE_NULL (a))", CopyDirection::From, CopyEndpoint::Client),
        ("COPY t FROM stdin CSV HEADER QUOTE AS '\"' FORCE NOT NULL a", CopyDirection::From, CopyEndpoint::Client),
        ("COPY BINARY t TO STDOUT", CopyDirection::To, CopyEndpoint::Client),
        ("COPY binary TO STDOUT", CopyDirection::To, CopyEndpoint::Client),
        ("COPY t TO '/x'", CopyDirection::To, CopyEndpoint::File),
        ("COPY t FROM PROGRAM 'x' (freeze on)", CopyDirection::From, CopyEndpoint::Program),
    ] {
        if text.contains("binary TO") {
            // A type or function word: no table's name without quotes.
            assert!(try_read(text).is_err(), "{text}");
            continue;
        }
        let Action::Copy(copy) = one(text).action else { panic!("{text}") };
        assert_eq!((copy.direction, copy.endpoint), (direction, endpoint), "{text}");
    }
    for text in ["COPY (SELECT 1) FROM STDIN", "COPY t TO STDOUT WHERE a", "COPY t", "COPY (VACUUM) TO STDOUT"] {
        assert!(try_read(text).is_err(), "{text}");
    }
}

#[test]
fn statements_without_a_rule_keep_their_kind() {
    for (text, kind) in [
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'x'", "CREATE FUNCTION"),
        ("CREATE USER a PASSWORD 'x'", "CREATE ROLE"),
        ("CREATE USER MAPPING FOR a SERVER b", "CREATE USER MAPPING"),
        ("CREATE CONSTRAINT TRIGGER a AFTER INSERT ON b", "CREATE TRIGGER"),
        ("CREATE TABLE a (LIKE b INCLUDING ALL)", "CREATE TABLE"),
        ("CREATE TABLE a (x int) INHERITS (b)", "CREATE TABLE"),
        ("CREATE TABLE a (x int) TABLESPACE b", "CREATE TABLE"),
        ("CREATE TABLE a AS EXECUTE b", "CREATE TABLE"),
        ("CREATE SCHEMA a AUTHORIZATION b", "CREATE SCHEMA"),
        ("CREATE RECURSIVE VIEW a (x) AS SELECT 1", "CREATE VIEW"),
        ("CREATE VIEW a WITH (security_barrier) AS SELECT 1", "CREATE VIEW"),
        ("ALTER TABLE a OWNER TO b", "ALTER TABLE"),
        ("ALTER SEQUENCE a OWNER TO b", "ALTER SEQUENCE"),
        ("ALTER SEQUENCE a SET UNLOGGED", "ALTER SEQUENCE"),
        ("ALTER SEQUENCE a", "ALTER SEQUENCE"),
        ("ALTER SEQUENCE a RENAME TO b CYCLE", "ALTER SEQUENCE"),
        ("ALTER SEQUENCE a SET SCHEMA b.c", "ALTER SEQUENCE"),
        ("ALTER SEQUENCE a OWNED BY b", "ALTER SEQUENCE"),
        ("CREATE SEQUENCE a OWNED BY none.b", "CREATE SEQUENCE"),
        ("CREATE SEQUENCE a SEQUENCE NAME b", "CREATE SEQUENCE"),
        ("CREATE SEQUENCE a START (1)", "CREATE SEQUENCE"),
        ("CREATE SEQUENCE a CACHE", "CREATE SEQUENCE"),
        ("ALTER TABLE a INHERIT b", "ALTER TABLE"),
        ("ALTER TABLE a ADD x int, ENABLE TRIGGER b", "ALTER TABLE"),
        ("ALTER SYSTEM SET a = 1", "ALTER SYSTEM"),
        ("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO a", "ALTER DEFAULT PRIVILEGES"),
        ("DROP OWNED BY a", "DROP OWNED"),
        ("DROP FUNCTION f(int)", "DROP FUNCTION"),
        ("GRANT ALL ON a TO b", "GRANT"),
        ("REVOKE ALL ON a FROM b", "REVOKE"),
        ("SECURITY LABEL ON TABLE a IS 'x'", "SECURITY LABEL"),
        ("VACUUM (FULL)", "VACUUM"),
        ("ANALYSE", "ANALYZE"),
        ("COMMENT ON FUNCTION a() IS 'x'", "COMMENT"),
        ("CHECKPOINT", "CHECKPOINT"),
    ] {
        let found = one(text);
        assert_eq!((found.kind, &found.action), (kind, &Action::Other), "{text}");
    }
    for text in ["FROBNICATE t", "CREATE x", "DROP", "1", "'x'", "$1"] {
        assert!(try_read(text).is_err(), "{text}");
    }
}

#[test]
fn definitions_are_understood_wholly() {
    for (text, target, references, types, expressions) in [
        (
            "CREATE TABLE a (x int PRIMARY KEY, y text NOT NULL DEFAULT 'q' COLLATE \"C\", UNIQUE (x, y))",
            DdlObject::Table,
            0,
            2,
            1,
        ),
        ("CREATE TABLE a (x int REFERENCES b (c) ON DELETE SET NULL DEFERRABLE, LIKE d)", DdlObject::Table, 2, 1, 0),
        (
            "CREATE TABLE a (x int GENERATED ALWAYS AS (f(1)) STORED, CONSTRAINT c CHECK (x > 1))",
            DdlObject::Table,
            0,
            1,
            2,
        ),
        (
            "CREATE UNIQUE INDEX a ON s.b USING gin (lower(x) text_ops DESC, (y || z)) INCLUDE (w) WHERE q",
            DdlObject::Index,
            1,
            0,
            4,
        ),
        ("CREATE OR REPLACE VIEW a AS SELECT 1 WITH CHECK OPTION", DdlObject::View, 0, 0, 0),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS a AS SELECT 1 WITH NO DATA", DdlObject::MaterializedView, 0, 0, 0),
        ("CREATE SCHEMA IF NOT EXISTS a", DdlObject::Schema, 0, 0, 0),
        (
            "CREATE TABLE a PARTITION OF b FOR VALUES IN (f(1), 2) PARTITION BY HASH (lower(x))",
            DdlObject::Table,
            1,
            0,
            3,
        ),
        ("ALTER TABLE a ATTACH PARTITION b FOR VALUES FROM (1) TO (f())", DdlObject::Table, 1, 0, 2),
        ("COMMENT ON COLUMN s.a.b IS 'x'", DdlObject::Table, 0, 0, 0),
        ("VACUUM (ANALYZE) a (b), c", DdlObject::Table, 0, 0, 0),
        ("CREATE TYPE a AS (x s.t)", DdlObject::Type, 0, 1, 0),
        ("ALTER TYPE a ADD VALUE 'x' AFTER 'y'", DdlObject::Type, 0, 0, 0),
        ("DROP TABLE IF EXISTS a, b CASCADE", DdlObject::Table, 0, 0, 0),
        ("DROP INDEX CONCURRENTLY a", DdlObject::Index, 0, 0, 0),
        ("DROP SCHEMA a", DdlObject::Schema, 0, 0, 0),
        (
            "CREATE UNLOGGED SEQUENCE IF NOT EXISTS a AS s.t START 1 INCREMENT BY -2 MINVALUE -10 NO MAXVALUE CACHE 3 \
             NO CYCLE OWNED BY s.b.c",
            DdlObject::Sequence,
            1,
            1,
            0,
        ),
        ("ALTER SEQUENCE IF EXISTS s.a RESTART OWNED BY NONE CYCLE", DdlObject::Sequence, 0, 0, 0),
        (
            "ALTER SEQUENCE a RESTART WITH +5 INCREMENT 1 START WITH 1 NO MINVALUE MAXVALUE 9",
            DdlObject::Sequence,
            0,
            0,
            0,
        ),
        ("ALTER TABLE a ADD COLUMN x int DEFAULT f(), DROP COLUMN y, ALTER z SET NOT NULL", DdlObject::Table, 0, 1, 1),
        ("ALTER TABLE a RENAME x TO y", DdlObject::Table, 0, 0, 0),
        ("ALTER TABLE a ADD CONSTRAINT c FOREIGN KEY (x) REFERENCES b", DdlObject::Table, 1, 0, 0),
    ] {
        let Action::Ddl(ddl) = one(text).action else { panic!("{text}") };
        assert_eq!(ddl.targets[0].kind, target, "{text}");
        assert_eq!(
            (ddl.references.len(), ddl.types.len(), ddl.expressions.len()),
            (references, types, expressions),
            "{text}"
        );
    }
}

#[test]
fn a_sequence_that_moves_names_both_places() {
    for (text, places) in [
        ("ALTER SEQUENCE IF EXISTS s.a RENAME TO b", ["s.a", "s.b"]),
        ("ALTER SEQUENCE a RENAME TO b", ["a", "b"]),
        ("ALTER SEQUENCE s.a SET SCHEMA t", ["s.a", "t.a"]),
        ("ALTER SEQUENCE a SET SCHEMA t", ["a", "t.a"]),
    ] {
        let Action::Ddl(ddl) = one(text).action else { panic!("{text}") };
        let named: Vec<_> = ddl.targets.iter().map(|target| (target.kind, target.name.to_string())).collect();
        assert_eq!(named, places.map(|place| (DdlObject::Sequence, place.to_owned())), "{text}");
        assert!(ddl.renames, "{text}");
    }
    let Action::Ddl(owned) = one("CREATE TEMP SEQUENCE a OWNED BY s.b.c").action else { panic!() };
    assert_eq!((owned.references[0].to_string(), owned.temporary), ("s.b".to_owned(), true));
}

#[test]
fn cursors_and_prepared_statements_are_named() {
    use crate::sql::tree::Name;
    for text in [
        "FETCH c",
        "FETCH NEXT c",
        "FETCH ALL FROM c",
        "FETCH FORWARD 5 IN c",
        "FETCH -1 FROM c",
        "MOVE BACKWARD ALL IN c",
        "FETCH ABSOLUTE 3 c",
        "FETCH 10 c",
    ] {
        assert_eq!(one(text).action, Action::Fetch { cursor: Name::from("c") }, "{text}");
    }
    assert_eq!(one("CLOSE ALL").action, Action::CloseCursor(None));
    assert_eq!(one("CLOSE c").action, Action::CloseCursor(Some(Name::from("c"))));
    assert_eq!(one("DEALLOCATE ALL").action, Action::Deallocate(None));
    assert_eq!(one("DEALLOCATE PREPARE p").action, Action::Deallocate(Some(Name::from("p"))));
    for text in ["PREPARE p AS CREATE TABLE a (x int)", "PREPARE p AS", "EXPLAIN EXPLAIN SELECT 1", "EXPLAIN SET x = 1"]
    {
        assert!(try_read(text).is_err(), "{text}");
    }
    for (text, expected) in [
        ("EXPLAIN SELECT 1", false),
        ("EXPLAIN ANALYZE VERBOSE SELECT 1", true),
        ("EXPLAIN (ANALYZE off, COSTS) SELECT 1", false),
        ("EXPLAIN (VERBOSE, ANALYZE 1) (SELECT 1)", true),
        ("EXPLAIN (SELECT 1)", false),
    ] {
        let Action::Explain { analyze, .. } = one(text).action else { panic!("{text}") };
        assert_eq!(analyze, expected, "{text}");
    }
}

#[test]
fn after_the_keys_of_distinct_on_the_first_target_begins() {
    let check = |target: &str, expected: &str| {
        let text = format!("SELECT DISTINCT ON (id) {target} FROM t");
        let SetExpr::Select(select) = query(&text).body else { panic!("{text}") };
        match select.targets.as_slice() {
            [Target::Expr { expr, alias: _ }] => assert_eq!(show(expr), expected, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    };
    check("date '2026-01-01'", "'2026-01-01'::date");
    check("jsonb '[]' AS o", "'[]'::jsonb");
    check("- a", "(- a)");
    check("a", "a");
    check("(b)", "b");
}
