//! What the upstream's planner expects of one statement: EXPLAIN without ANALYZE, on a connection of pgward's own, read only and
//! bounded in time. The statement's text goes by the extended protocol alone, which takes one command: in a PREPARE, whose
//! parameters stay free; what is explained then is an EXECUTE of that, with a plan for any values.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::side::{self, SideError};
use super::upstream::Upstream;

/// For all of it.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Nodes of a plan that are shown.
const MOST: usize = 40;

const SETTINGS: &str = "SET standard_conforming_strings = on; SET statement_timeout = '2s'; SET lock_timeout = '200ms';
SET idle_in_transaction_session_timeout = '5s'; SET default_transaction_read_only = on;
SET plan_cache_mode = force_generic_plan";
const COUNT: &str = "SELECT pg_catalog.cardinality(parameter_types) FROM pg_catalog.pg_prepared_statements
WHERE name OPERATOR(pg_catalog.=) 'pgward_estimate'";

/// What the planner expects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimated {
    pub rows: u64,
    pub cost: u64,
    pub plan: Vec<String>,
}

/// Asks for one SELECT, INSERT, UPDATE, DELETE or MERGE that policy allows.
///
/// # Errors
/// Why there is no estimate, in words.
pub async fn estimate(upstream: &Upstream, text: &str, search_path: &str) -> Result<Estimated, String> {
    let asked = async {
        let client = side::connect(upstream, "pgward estimate", TIMEOUT).await.map_err(|error| told(&error))?;
        let json = explain(&client, text, search_path).await.map_err(|error| told(&error.into()))?;
        json.as_deref().and_then(read).ok_or_else(|| "the plan is not understood".to_owned())
    };
    tokio::time::timeout(TIMEOUT, asked).await.unwrap_or_else(|_| Err("planning it took too long".to_owned()))
}

async fn explain(client: &Client, text: &str, search_path: &str) -> Result<Option<String>, tokio_postgres::Error> {
    client.batch_execute(SETTINGS).await?;
    let path: &(dyn ToSql + Sync) = &search_path;
    client.query_typed("SELECT pg_catalog.set_config('search_path', $1, false)", &[(path, Type::TEXT)]).await?;
    client.batch_execute("BEGIN READ ONLY").await?;
    client.execute_typed(&format!("PREPARE pgward_estimate AS\n{text}"), &[]).await?;
    let counted = client.query_typed(COUNT, &[]).await?;
    let count = counted.first().map_or(Ok(0), |row| row.try_get::<_, i32>(0))?;
    let nulls = vec!["NULL"; usize::try_from(count).unwrap_or_default()].join(", ");
    let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    let answer = client.simple_query(&format!("EXPLAIN (FORMAT JSON) EXECUTE pgward_estimate{arguments}")).await?;
    client.batch_execute("ROLLBACK").await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _other => None,
    }))
}

/// Reads the JSON of an EXPLAIN.
fn read(json: &str) -> Option<Estimated> {
    let explained: Value = serde_json::from_str(json).ok()?;
    let top = explained.get(0)?.get("Plan")?;
    // A statement that writes returns nothing itself: its rows are those that are handed to it.
    let is_write = top.get("Node Type").and_then(Value::as_str) == Some("ModifyTable");
    let of_rows = top.get("Plans").and_then(|plans| plans.get(0)).filter(|_| is_write).unwrap_or(top);
    let mut plan = Vec::new();
    lines(top, 0, &mut plan);
    Some(Estimated { rows: number(of_rows, "Plan Rows"), cost: number(top, "Total Cost"), plan })
}

fn lines(node: &Value, depth: usize, plan: &mut Vec<String>) {
    if plan.len() >= MOST {
        return;
    }
    let word = |key: &str| node.get(key).and_then(Value::as_str);
    // Names of schemas and conditions are not in it: what is touched stands elsewhere, constants in the statement.
    let kind = word("Operation").or_else(|| word("Node Type")).unwrap_or("?");
    let on = word("Relation Name").map_or_else(String::new, |name| format!(" on {name}"));
    let by = word("Index Name").map_or_else(String::new, |name| format!(" using {name}"));
    let (rows, cost) = (number(node, "Plan Rows"), number(node, "Total Cost"));
    plan.push(format!("{}{kind}{by}{on} (rows={rows}, cost={cost})", "  ".repeat(depth)));
    for child in node.get("Plans").and_then(Value::as_array).into_iter().flatten() {
        lines(child, depth + 1, plan);
    }
}

/// Rounded up, so that little is not nothing.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn number(node: &Value, key: &str) -> u64 {
    node.get(key).and_then(Value::as_f64).map_or(0, |number| number.ceil().max(0.0) as u64)
}

fn told(error: &SideError) -> String {
    let of_database = match error {
        SideError::Database(error) => error.as_db_error(),
        SideError::Unsuited(_) | SideError::Timeout => None,
    };
    match of_database {
        Some(said) => format!("PostgreSQL says: {}", said.message()),
        None => "the database cannot be asked".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_told_by_its_nodes() {
        let json = r#"[{"Plan": {"Node Type": "ModifyTable", "Operation": "Delete", "Relation Name": "t", "Plan Rows": 0,
            "Total Cost": 8.17, "Plans": [{"Node Type": "Index Scan", "Index Name": "t_pkey", "Relation Name": "t",
            "Plan Rows": 3, "Total Cost": 8.17}]}}]"#;
        let plan = ["Delete on t (rows=0, cost=9)", "  Index Scan using t_pkey on t (rows=3, cost=9)"];
        let expected = Estimated { rows: 3, cost: 9, plan: plan.map(str::to_owned).to_vec() };
        assert_eq!(read(json).unwrap(), expected);
        for wrong in ["", "{}", "[]", "[{}]"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
