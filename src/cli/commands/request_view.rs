//! `pgward requests ID`: everything that an approval speaks of, for who is to give it.

use crate::cli::args::Format;
use crate::cli::client::Client;
use crate::cli::duration::words;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::{AnalysisView, RequestView};

pub async fn show(client: &Client, format: Format, id: &str) -> Result<(), Failure> {
    let request: RequestView = client.get(&["requests", id], &()).await?;
    match format {
        Format::Json => output::json(&request),
        Format::Table => lines(&request).iter().try_for_each(|line| output::say(line)),
    }
}

fn lines(request: &RequestView) -> Vec<String> {
    let mut lines = vec![format!("request {} is {}", request.id, request.state.as_str())];
    let mut say = |name: &str, value: String| lines.push(format!("{:<11}{value}", format!("{name}:")));
    say("who", request.principal.clone());
    say("scope", format!("{} on {}", request.scope, request.database));
    let often = request.uses.map_or_else(String::new, |uses| format!(", at most {uses} times"));
    let starts = request.starts.map_or_else(String::new, |starts| format!(", from {}", output::time(starts)));
    say("for", format!("{}{starts}{often}", words(request.duration_seconds)));
    let ticket = request.ticket.as_ref().map_or_else(String::new, |ticket| format!(" [{ticket}]"));
    say("reason", format!("{}{ticket}", request.reason));
    for one in &request.requirements {
        let given = if one.given.is_empty() { "nobody yet".to_owned() } else { one.given.join(", ") };
        say("needs", format!("{} of {} ({}): {given}", one.needed, one.approvers.join(", "), one.why));
    }
    for text in request.statement.iter().flat_map(|statement| statement.lines()) {
        say("statement", text.to_owned());
    }
    for (name, value) in request.analysis.iter().flat_map(analysed) {
        say(name, value);
    }
    say("digest", request.digest.clone());
    lines
}

fn analysed(analysis: &AnalysisView) -> Vec<(&'static str, String)> {
    let mut lines = vec![("kind", analysis.kind.clone())];
    for relation in &analysis.relations {
        let columns = relation.columns.join(", ");
        let columns = if columns.is_empty() { columns } else { format!(" ({columns})") };
        lines.push(("touches", format!("{} on {}{columns}", relation.operation, relation.name)));
    }
    let lists = [("calls", &analysis.functions), ("labels", &analysis.labels), ("regions", &analysis.regions)];
    lines.extend(lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| (name, list.join(", "))));
    lines.extend(analysis.refused.iter().map(|why| ("refused", why.clone())));
    match &analysis.estimate {
        Some(estimate) => {
            lines.push(("estimate", format!("{} rows, cost {}", estimate.rows, estimate.cost)));
            lines.extend(estimate.plan.iter().map(|node| ("plan", node.clone())));
        }
        None => {
            let why = analysis.no_estimate.clone().unwrap_or_default();
            lines.push(("estimate", format!("none: {why}")));
        }
    }
    lines
}
