//! A walk over PostgreSQL's own parse tree, by way of its fields' names: whatever the node, what it names is found.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::facts::{Facts, Kind};

#[path = "scopes.rs"]
mod scopes;

/// One statement as PostgreSQL parsed it.
pub struct Parsed {
    /// The name of its node: `SelectStmt`.
    pub node: String,
    pub tree: Value,
    /// Where it stands, white space and comments before it included.
    pub range: Range<usize>,
}

/// The statements of a text; `None` where PostgreSQL 18 has a syntax error.
pub fn parse(text: &str) -> Option<Vec<Parsed>> {
    if traps(text) {
        return None;
    }
    // The library lends itself the standard error while it parses, one call at a time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let parsed = {
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        pg_query::parse(text, 0).ok()?
    };
    let statements = parsed.protobuf.stmts.into_iter().map(|statement| {
        let start = usize::try_from(statement.stmt_location).unwrap();
        let length = usize::try_from(statement.stmt_len).unwrap();
        let end = if length == 0 { text.len() } else { start + length };
        let tree = serde_json::to_value(&statement.stmt).unwrap();
        let (node, tree) = node(&tree).unwrap();
        Parsed { node: node.to_owned(), tree: tree.clone(), range: start..end }
    });
    Some(statements.collect())
}

/// Built with assertions, as for a development build, PostgreSQL's grammar does not survive `(SELECT 1 OFFSET 1) LIMIT 1`.
fn traps(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    cfg!(debug_assertions) && text.contains("offset") && (text.contains("limit") || text.contains("fetch"))
}

/// The name and the fields of a `Node`.
fn node(value: &Value) -> Option<(&str, &Value)> {
    let (name, fields) = value.as_object()?.get("node")?.as_object()?.iter().next()?;
    Some((name, fields))
}

pub fn facts(parsed: &Parsed) -> Facts {
    let mut facts = Facts::default();
    walk(&parsed.node, &parsed.tree, &mut facts);
    scopes::stored(&parsed.node, &parsed.tree, &mut Vec::new(), &mut facts);
    facts
}

/// A node, whose name is known, or a field's value, whose name is empty.
fn walk(name: &str, value: &Value, facts: &mut Facts) {
    if let Some((name, fields)) = node(value) {
        return walk(name, fields, facts);
    }
    let Value::Object(fields) = value else {
        if let Value::Array(values) = value {
            values.iter().for_each(|value| walk("", value, facts));
        }
        return;
    };
    name_of(name, value, facts);
    for (field, value) in fields {
        if !is_left_out(field, fields) {
            walk("", value, facts);
        }
    }
}

/// Type modifiers and the marks of CYCLE are constants; the source of `(a, b) = (…)` is told once for each column.
fn is_left_out(field: &str, fields: &serde_json::Map<String, Value>) -> bool {
    match field {
        // The paths of JSON_TABLE are constants too, and its columns' are not carried.
        "typmods" | "cycle_mark_value" | "cycle_mark_default" | "pathspec" => true,
        "source" => fields.get("colno").is_some_and(|column| *column != 1),
        _ => false,
    }
}

/// What the node itself names. Nodes that are typed fields come without their name and are known by their fields.
fn name_of(name: &str, value: &Value, facts: &mut Facts) {
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    if value.get("relpersistence").is_some() && value.get("relname").is_some() {
        facts.add(Kind::Relation, dotted_relation(value));
        // Only a relation of FROM and of a change says so itself.
        if value["inh"] == false {
            facts.add(Kind::Only, dotted_relation(value));
        }
    } else if value.get("funcformat").is_some() && value.get("funcname").is_some() {
        facts.add(Kind::Function, dotted(&value["funcname"]));
    } else if value.get("typmods").is_some() && value.get("array_bounds").is_some() && value["location"] != -1 {
        // The grammar's own casts have no place in the text.
        facts.add(Kind::Type, dotted(&value["names"]));
    }
    flags(name, value, facts);
    match name {
        "ColumnRef" => facts.add(Kind::Column, dotted(&value["fields"])),
        "AExpr" => operator(value, facts),
        "AIndirection" => strings(&value["indirection"])
            .into_iter()
            .filter(|field| field != "*")
            .for_each(|field| facts.add(Kind::Field, field)),
        "CollateClause" => facts.add(Kind::Collation, dotted(&value["collname"])),
        "ParamRef" => facts.add(Kind::Parameter, value["number"].to_string()),
        "AConst" => {
            // The forms of NORMALIZE are words, which PostgreSQL's tree has as strings.
            match value["val"]["Sval"]["sval"].as_str() {
                None | Some("NFC" | "NFD" | "NFKC" | "NFKD") => {}
                Some(text) => facts.add(Kind::String, text),
            }
        }
        "IndexElem" if !text("name").is_empty() => facts.add(Kind::Column, text("name")),
        "JoinExpr" => strings(&value["using_clause"]).into_iter().for_each(|column| facts.add(Kind::Target, column)),
        "InsertStmt" => targets(&value["cols"], facts),
        "UpdateStmt" => targets(&value["target_list"], facts),
        "CopyStmt" => strings(&value["attlist"]).into_iter().for_each(|column| facts.add(Kind::Target, column)),
        "DropStmt" => value["objects"].as_array().into_iter().flatten().for_each(|object| {
            if let Some(("TypeName", _)) = node(object) {
                return;
            }
            let name = match node(object) {
                Some(("List", list)) => dotted(&list["items"]),
                _ => dotted(&Value::Array(vec![object.clone()])),
            };
            facts.add(Kind::Relation, name);
        }),
        "CommonTableExpr" => {
            label(value["ctename"].as_str(), facts);
            strings(&value["aliascolnames"]).iter().for_each(|column| label(Some(column), facts));
        }
        "SelectStmt" => value["target_list"].as_array().into_iter().flatten().for_each(|target| {
            if let Some(("ResTarget", target)) = node(target) {
                label(target["name"].as_str(), facts);
            }
        }),
        "RangeTableSample" => facts.add(Kind::Function, dotted(&value["method"])),
        "MergeWhenClause" => targets(&value["target_list"], facts),
        _ => {}
    }
    if value.get("aliasname").is_some() {
        label(value["aliasname"].as_str(), facts);
        strings(&value["colnames"]).iter().for_each(|column| label(Some(column), facts));
    }
    if value.get("infer").is_some() && value.get("target_list").is_some() {
        targets(&value["target_list"], facts);
    }
}

/// What a command is called, and how it is to be done.
fn flags(name: &str, value: &Value, facts: &mut Facts) {
    let field = match name {
        "PrepareStmt" | "ExecuteStmt" | "DeallocateStmt" | "VariableSetStmt" | "VariableShowStmt" => "name",
        "DeclareCursorStmt" | "ClosePortalStmt" | "FetchStmt" => "portalname",
        "TransactionStmt" => "savepoint_name",
        "CurrentOfExpr" => "cursor_name",
        _ => "",
    };
    let text = value[field].as_str().unwrap_or_default();
    // SHOW ALL, and SET TRANSACTION in its forms, go by names that are none.
    let settings = name.starts_with("Variable");
    if !(text.is_empty() || settings && (text == "all" || text.contains("TRANSACTION") || text.contains("SESSION"))) {
        facts.add(Kind::Label, if settings { text.to_lowercase() } else { text.to_owned() });
    }
    let mut flag = |on: bool, name: &str| {
        if on {
            facts.add(Kind::Flag, name);
        }
    };
    match name {
        "VariableSetStmt" => flag(value["is_local"] == true, "local"),
        "CopyStmt" => {
            flag(value["is_from"] == true, "from");
            flag(value["is_program"] == true, "program");
            flag(value["filename"] != "" && value["is_program"] == false, "file");
        }
        "ExplainStmt" => flag(value["options"].as_array().into_iter().flatten().any(analyzes), "analyze"),
        "TruncateStmt" => {
            flag(value["restart_seqs"] == true, "restart");
            flag(value["behavior"] == pg_query::protobuf::DropBehavior::DropCascade as i32, "cascade");
        }
        "DropStmt" => flag(value["behavior"] == pg_query::protobuf::DropBehavior::DropCascade as i32, "cascade"),
        "TransactionStmt" => flag(value["chain"] == true, "chain"),
        _ => {}
    }
}

/// Whether an option of EXPLAIN is ANALYZE and not off.
fn analyzes(option: &Value) -> bool {
    let Some(("DefElem", option)) = node(option) else { return false };
    let off = match node(&option["arg"]) {
        Some(("String", text)) => {
            let text = text["sval"].as_str().unwrap_or_default().to_lowercase();
            text == "off" || text == "false"
        }
        Some(("Integer", number)) => number["ival"] == 0,
        Some(_) | None => false,
    };
    option["defname"] == "analyze" && !off
}

fn label(name: Option<&str>, facts: &mut Facts) {
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        facts.add(Kind::Alias, name);
    }
}

fn dotted_relation(value: &Value) -> String {
    let parts = ["catalogname", "schemaname", "relname"].map(|field| value[field].as_str().unwrap_or_default());
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

/// The columns that SET or an INSERT's list names.
fn targets(list: &Value, facts: &mut Facts) {
    for target in list.as_array().into_iter().flatten() {
        if let Some(("ResTarget", target)) = node(target) {
            facts.add(Kind::Target, target["name"].as_str().unwrap_or_default());
        }
    }
}

/// Only what is written as an operator; the words (IN, LIKE, BETWEEN) come under operators that ours turns out of them too.
fn operator(value: &Value, facts: &mut Facts) {
    use pg_query::protobuf::AExprKind;
    let kind = value["kind"].as_i64().and_then(|kind| i32::try_from(kind).ok()).unwrap_or_default();
    match AExprKind::try_from(kind) {
        Ok(
            AExprKind::AexprBetween
            | AExprKind::AexprNotBetween
            | AExprKind::AexprBetweenSym
            | AExprKind::AexprNotBetweenSym
            | AExprKind::AexprIn
            | AExprKind::AexprNullif,
        ) => {}
        _ => facts.add(Kind::Operator, dotted(&value["name"])),
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| match node(part)? {
            ("String", string) => Some(string["sval"].as_str()?.to_owned()),
            ("AStar", _) => Some("*".to_owned()),
            _ => None,
        })
        .collect()
}

fn dotted(list: &Value) -> String {
    strings(list).join(".")
}
