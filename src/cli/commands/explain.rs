//! `explain`: what the verdict would be.

use std::io::Read;

use super::or_dash;
use crate::cli::args::Format;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::{ExplainView, Question, RelationView, VerdictWord};

pub async fn explain(
    client: &Client,
    format: Format,
    database: String,
    user: Option<String>,
    sql: String,
) -> Result<(), Failure> {
    let sql = if sql == "-" { from_stdin()? } else { sql };
    let answer: ExplainView = client.post(&["explain"], &Question { database, sql, user }).await?;
    match format {
        Format::Json => output::json(&answer),
        Format::Table => print(&answer),
    }
}

fn print(answer: &ExplainView) -> Result<(), Failure> {
    let verdict = match answer.verdict {
        VerdictWord::Allow => "allow",
        VerdictWord::Deny => "deny",
    };
    let relations: Vec<String> = answer.relations.iter().map(relation).collect();
    output::fields(&[
        ("verdict", verdict.to_owned()),
        ("grant", or_dash(answer.grant.as_deref())),
        ("rule", or_dash(answer.rule.as_deref())),
        ("detail", or_dash(answer.detail.as_deref())),
        ("relations", or_dash(Some(&relations.join("\n")))),
        ("fingerprint", or_dash(answer.fingerprint.as_deref())),
        ("steps", or_dash(Some(&answer.steps.join("\n")))),
    ])?;
    if let Some(hint) = &answer.hint {
        output::hint(hint);
    }
    Ok(())
}

fn relation(relation: &RelationView) -> String {
    format!("{} {} ({})", relation.operation, relation.name, relation.columns.join(", "))
}

fn from_stdin() -> Result<String, Failure> {
    let mut sql = String::new();
    std::io::stdin().lock().take(MAX_SQL).read_to_string(&mut sql)?;
    Ok(sql)
}

/// Bytes of a statement that are read; the server takes no larger call.
const MAX_SQL: u64 = 64 * 1024;
