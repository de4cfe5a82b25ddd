//! Which relations of PostgreSQL's parse tree are tables, and which the results of a WITH around them (`parse_cte.c`).

use serde_json::Value;

use super::{dotted_relation, node};
use crate::facts::{Facts, Kind};

/// Adds the relations that no query of WITH stands for. `scope` holds the names that WITH has given so far.
pub fn stored(name: &str, value: &Value, scope: &mut Vec<String>, facts: &mut Facts) {
    if let Some((name, fields)) = node(value) {
        return stored(name, fields, scope, facts);
    }
    match value {
        Value::Array(values) => values.iter().for_each(|value| stored("", value, scope, facts)),
        Value::Object(fields) => {
            if value.get("relpersistence").is_some() && value.get("relname").is_some() {
                let relation = dotted_relation(value);
                if !scope.contains(&relation) {
                    facts.add(Kind::Stored, relation);
                }
                return;
            }
            let outside = scope.len();
            with(&value["with_clause"], scope, facts);
            for (field, inner) in fields {
                match field.as_str() {
                    // What is written to is a table whatever WITH says. FOR UPDATE names what FROM has.
                    "relation" if !inner.is_null() && name.ends_with("Stmt") => target(inner, facts),
                    "with_clause" | "locked_rels" => {}
                    "source" if fields.get("colno").is_some_and(|column| *column != 1) => {}
                    _ => stored("", inner, scope, facts),
                }
            }
            scope.truncate(outside);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn target(relation: &Value, facts: &mut Facts) {
    let mut nothing = Vec::new();
    stored("", relation, &mut nothing, facts);
}

/// Its queries, each of which sees the ones before it; under RECURSIVE, all of them and itself.
fn with(clause: &Value, scope: &mut Vec<String>, facts: &mut Facts) {
    let queries = clause["ctes"].as_array().into_iter().flatten().filter_map(node).map(|(_, query)| query);
    let name = |query: &Value| query["ctename"].as_str().unwrap_or_default().to_owned();
    if clause["recursive"] == true {
        scope.extend(queries.clone().map(name));
        queries.for_each(|query| stored("", &query["ctequery"], scope, facts));
    } else {
        for query in queries {
            stored("", &query["ctequery"], scope, facts);
            scope.push(name(query));
        }
    }
}
