//! PostgreSQL's grammar, statement by statement: everything in the table is read, and names what it names.
//!
//! PostgreSQL 15 accepted every statement of the table that it could know, and PostgreSQL 18's own grammar the rest; what
//! they name was written down from that grammar's trees, not from ours.

use super::*;

const TABLE: &str = include_str!("../../../tests/corpora/grammar.jsonl");

/// What only the grammar knows: no call in PostgreSQL's tree.
const GRAMMAR: [&str; 24] = [
    "coalesce",
    "current_date",
    "current_user",
    "greatest",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "localtimestamp",
    "merge_action",
    "nullif",
    "xmlelement",
    "xmlforest",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmltable",
];

fn list(row: &serde_json::Value, key: &str) -> Vec<String> {
    row[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Every relation, wherever it stands.
fn named_relations(statement: &Statement) -> Vec<String> {
    let labels = [
        "RelationRef { name: QualifiedName {",
        "table: QualifiedName {",
        "Table { name: QualifiedName {",
        "into: Some(QualifiedName {",
    ];
    let mut found: Vec<String> = labels.iter().flat_map(|label| mentions(statement, label)).collect();
    found.sort();
    found.dedup();
    found
}

fn called_functions(statement: &Statement) -> Vec<String> {
    // Methods of TABLESAMPLE are kept like calls, and are none.
    let samples = mentions(statement, "sample: Some(Call { name: QualifiedName {");
    let mut found = mentions(statement, "Call { name: QualifiedName {");
    found.retain(|name| !GRAMMAR.contains(&name.trim_start_matches("pg_catalog.")) && !samples.contains(name));
    found.retain(|name| name != "pg_catalog.xmlserialize");
    found
}

fn definition_names(statement: &Statement) -> Vec<String> {
    let action = match &statement.action {
        Action::Explain { inner, .. } => inner,
        own => own,
    };
    let Action::Ddl(ddl) = action else { return Vec::new() };
    let targets = ddl.targets.iter().map(|target| target.name.to_string());
    targets.chain(ddl.references.iter().map(ToString::to_string)).collect()
}

#[test]
fn every_statement_is_read_and_names_what_it_names() {
    let mut wrong = Vec::new();
    for line in TABLE.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = row["sql"].as_str().unwrap();
        let statement = match try_read(text) {
            Ok(statements) if statements.len() == 1 => statements.into_iter().next().unwrap(),
            other => {
                wrong.push(format!("{text}: {other:?}"));
                continue;
            }
        };
        if statement.kind != row["kind"].as_str().unwrap() {
            wrong.push(format!("{text}: {}", statement.kind));
        }
        let recognised = matches!(statement.action, Action::Other);
        if recognised || row["relations"].is_null() {
            if recognised != row["relations"].is_null() {
                wrong.push(format!("{text}: {:?}", statement.action));
            }
            continue;
        }
        let expected = list(&row, "relations");
        let mut found = named_relations(&statement);
        found.extend(definition_names(&statement).into_iter().filter(|name| expected.contains(name)));
        found.sort();
        found.dedup();
        if found != expected {
            wrong.push(format!("{text}: relations {found:?}, not {expected:?}"));
        }
        let found = mentions(&statement, "Column(QualifiedName {");
        if found != list(&row, "columns") {
            wrong.push(format!("{text}: columns {found:?}, not {:?}", list(&row, "columns")));
        }
        let mut expected = list(&row, "functions");
        expected.retain(|name| !GRAMMAR.contains(&name.as_str()));
        let found = called_functions(&statement);
        if found != expected {
            wrong.push(format!("{text}: functions {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Valid somewhere, and refused everywhere: what PostgreSQL's versions read differently.
#[test]
fn what_versions_read_differently_is_refused() {
    for text in ["SELECT 1_000", "SELECT 0x1F", "SELECT 0b101", "SELECT 0o17", "SELECT 1a", "SELECT SYSTEM_USER"] {
        assert!(try_read(text).is_err(), "{text}");
    }
}

/// Grammar that is no function by its looks is one in FROM.
#[test]
fn casts_are_items_of_from_too() {
    for text in [
        "SELECT * FROM CAST(a AS int) q",
        "SELECT * FROM t, CAST(a AS int) q",
        "SELECT * FROM t JOIN CAST(a AS int) AS q (x) ON true",
        "SELECT * FROM t, LATERAL CAST(a AS int) WITH ORDINALITY AS q (x, n)",
    ] {
        assert_eq!(mentions(&one(text), "Column(QualifiedName {"), ["a"], "{text}");
    }
    for text in [
        "SELECT extract(epoch FROM CAST(a AS timestamp)) FROM t",
        "SELECT substring(a FROM CAST(a AS int) FOR CAST(a AS int)) FROM t",
        "SELECT trim(BOTH FROM CAST(a AS text)), trim(a FROM CAST(a AS text)) FROM t",
        "SELECT overlay(a PLACING a FROM CAST(a AS int)) FROM t",
    ] {
        assert!(mentions(&one(text), "Column(QualifiedName {").iter().all(|name| name == "a"), "{text}");
    }
    assert_eq!(mentions(&one("SELECT 1 IS DISTINCT FROM CAST(a AS int)"), "Column(QualifiedName {"), ["a"]);
    assert_eq!(mentions(&one("SELECT f(b, CAST(a AS int)) FROM t"), "Column(QualifiedName {"), ["a", "b"]);
}

/// Operators in front of operands reach as far as PostgreSQL lets them.
#[test]
fn prefix_operators_have_postgresqls_precedence() {
    let first = |text: &str| format!("{:?}", one(&format!("SELECT {text} FROM t")).action);
    for (text, same) in [
        ("@ a + b", "@ (a + b)"),
        ("@ a || b", "(@ a) || b"),
        ("a || @ b + c || d", "(a || (@ (b + c))) || d"),
        ("- a ^ b", "(- a) ^ b"),
        ("- - a ^ b", "(- (- a)) ^ b"),
        ("- a * b", "(- a) * b"),
        ("@ - a ^ 2 = b", "(@ ((- a) ^ 2)) = b"),
        ("NOT @ a = b", "NOT ((@ a) = b)"),
        ("OPERATOR(s.@) a * b < c", "(OPERATOR(s.@) (a * b)) < c"),
        ("@ a::int[] AT TIME ZONE b", "@ ((a::int[]) AT TIME ZONE b)"),
        ("@ @ a", "@ (@ a)"),
        ("@ CASE WHEN a THEN b END + c", "@ ((CASE WHEN a THEN b END) + c)"),
        ("- d AT TIME ZONE 'x'", "(- d) AT TIME ZONE 'x'"),
        ("@ date 'x' + 1", "@ ((date 'x') + 1)"),
        ("@ f(a, b).c[1] IS NULL", "(@ (f(a, b).c[1])) IS NULL"),
    ] {
        assert_eq!(first(text), first(same), "{text}");
    }
}
