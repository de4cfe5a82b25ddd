//! `retention`: what is past its time, purging it, and legal holds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::args::{DataHoldCommand, Format, RetentionCommand};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::Reason;
use crate::control::retention::{
    DataHoldView, HiddenView, NewDataHold, NewRun, PlanView, ProgressView, RunState, RunView, Selection,
};

/// How often a run is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);

pub async fn retention(client: &Client, format: Format, command: RetentionCommand) -> Result<(), Failure> {
    match command {
        RetentionCommand::Plan { database, policy } => plan(client, format, Selection { database, policy }).await,
        RetentionCommand::Run { database, policy, any_hour, detach } => {
            run(client, format, NewRun { database, policy, any_hour }, detach).await
        }
        RetentionCommand::Runs => runs(client, format).await,
        RetentionCommand::Stop { run } => {
            let stopped: RunView = client.post(&["retention", "runs", &run, "stop"], &serde_json::json!({})).await?;
            match format {
                Format::Json => output::json(&stopped),
                Format::Table => output::say(&format!("{} ends after its batch", stopped.id)),
            }
        }
        RetentionCommand::Hidden { database, sql } => hidden(client, format, database, sql).await,
        RetentionCommand::Hold { command } => hold(client, format, command).await,
    }
}

async fn plan(client: &Client, format: Format, selection: Selection) -> Result<(), Failure> {
    let plans: Vec<PlanView> = client.get(&["retention", "plan"], &selection).await?;
    if format == Format::Json {
        return output::json(&plans);
    }
    for plan in &plans {
        let title =
            format!("{} on {}: {} {} after {}", plan.policy, plan.database, plan.action, plan.relation, plan.keep);
        if let Some(error) = &plan.error {
            output::print(&format!("{title}\n  cannot be carried out: {error}\n"))?;
            continue;
        }
        let mut lines = vec![format!("  before {}: {} overdue{}", plan.cutoff, rows(plan.overdue), since(plan))];
        lines.extend((plan.held > 0).then(|| format!("  {} of them are held", plan.held)));
        let blocked = plan.blocked.iter();
        lines.extend(blocked.map(|one| format!("  {} of them {} needs ({})", one.rows, one.by, one.foreign_key)));
        let does = match plan.action.as_str() {
            "report" => "nothing: the policy only reports".to_owned(),
            action => format!("{action} {} in at least {}", rows(plan.due), batches(plan.batches)),
        };
        lines.push(format!("  a run would {}", does.replacen("nothing:", "do nothing:", 1)));
        let partitions = plan.partitions.iter();
        lines.extend(
            partitions
                .map(|one| format!("  it would drop partition {} (up to {}, {} rows)", one.name, one.upto, one.rows)),
        );
        let touched = plan.touched.iter();
        lines.extend(touched.map(|one| {
            format!("  {} touches {} rows of {} ({})", one.on_delete, one.rows, one.relation, one.foreign_key)
        }));
        lines.extend(plan.scope.iter().map(|scope| format!("  it needs a live grant of scope {scope}")));
        lines.extend(plan.advice.iter().map(|advice| format!("  note: {advice}")));
        output::print(&format!("{title}\n{}\n", lines.join("\n")))?;
    }
    let unsound = plans.iter().filter(|plan| plan.error.is_some()).count();
    if plans.is_empty() {
        return output::say("no retention policy is configured there");
    }
    if unsound > 0 {
        return Err(Failure::new(format!("{unsound} policies cannot be carried out"), "run: pgward check"));
    }
    Ok(())
}

fn rows(count: u64) -> String {
    output::counted(count, "row", "rows")
}

fn batches(count: u64) -> String {
    output::counted(count, "batch", "batches")
}

fn since(plan: &PlanView) -> String {
    plan.oldest.as_ref().map_or_else(String::new, |oldest| format!(", the oldest of {oldest}"))
}

async fn run(client: &Client, format: Format, new: NewRun, detach: bool) -> Result<(), Failure> {
    let mut runs: Vec<RunView> = client.post(&["retention", "runs"], &new).await?;
    let mut told = BTreeMap::new();
    while !detach && runs.iter().any(|run| run.state == RunState::Running) {
        tokio::time::sleep(LOOK).await;
        let all: Vec<RunView> = client.get(&["retention", "runs"], &()).await?;
        for run in &mut runs {
            // One that is not listed any more belongs to a process that has ended: the journal tells how it went on.
            let now = all.iter().find(|one| one.id == run.id).ok_or_else(|| {
                Failure::new(
                    format!("run {} is not known any more", run.id),
                    "see: pgward audit search --event retention_run_end",
                )
            })?;
            *run = now.clone();
        }
        if format == Format::Table {
            tell(&runs, &mut told)?;
        }
    }
    match format {
        Format::Json => output::json(&runs)?,
        Format::Table if detach => {
            for run in &runs {
                output::say(&format!("{} has begun on {}; see: pgward retention runs", run.id, run.database))?;
            }
        }
        Format::Table => print(&runs)?,
    }
    let incomplete = runs.iter().filter(|run| run.state == RunState::Incomplete).count();
    if incomplete > 0 {
        let hint = "what failed is in the journal: pgward audit search --event retention_batch_end";
        return Err(Failure::new(format!("{incomplete} runs are incomplete"), hint));
    }
    Ok(())
}

/// One line for each policy that has come further.
fn tell(runs: &[RunView], told: &mut BTreeMap<(String, String), u64>) -> Result<(), Failure> {
    for run in runs {
        for one in &run.policies {
            let before = told.insert((run.id.clone(), one.policy.clone()), one.rows).unwrap_or_default();
            if one.rows > before {
                output::say(&format!(
                    "{} on {}: {} in {}",
                    one.policy,
                    run.database,
                    rows(one.rows),
                    batches(one.batches)
                ))?;
            }
        }
    }
    Ok(())
}

async fn runs(client: &Client, format: Format) -> Result<(), Failure> {
    let runs: Vec<RunView> = client.get(&["retention", "runs"], &()).await?;
    match format {
        Format::Json => output::json(&runs),
        Format::Table => print(&runs),
    }
}

fn print(runs: &[RunView]) -> Result<(), Failure> {
    let row = |run: &RunView, one: &ProgressView| {
        let state = match (run.state, &one.ended_early) {
            (_, Some(why)) => why.clone(),
            (RunState::Running, None) => "running".to_owned(),
            (RunState::Finished | RunState::Incomplete, None) => "done".to_owned(),
        };
        let numbers = [one.rows, one.also, one.batches, one.failed].map(|number| number.to_string());
        let mut row = vec![run.id.clone(), run.database.clone(), one.policy.clone(), one.action.clone()];
        row.extend(numbers);
        row.push(state);
        row
    };
    let rows = runs.iter().flat_map(|run| run.policies.iter().map(move |one| row(run, one))).collect();
    let columns = ["run", "database", "policy", "action", "rows", "elsewhere", "batches", "failed", "state"];
    output::table("runs", &columns, rows)
}

async fn hidden(client: &Client, format: Format, database: Option<String>, sql: bool) -> Result<(), Failure> {
    let selection = Selection { database, policy: None };
    let hidden: Vec<HiddenView> = client.get(&["retention", "hidden"], &selection).await?;
    if sql {
        return output::print(&hidden.into_iter().filter_map(|one| one.sql).collect::<Vec<_>>().join("\n"));
    }
    match format {
        Format::Json => output::json(&hidden),
        Format::Table => {
            let rows = hidden.into_iter().map(|one| vec![one.database, one.relation, one.policy, one.state]).collect();
            output::table("hidden tables", &["database", "table", "policy", "state"], rows)
        }
    }
}

async fn hold(client: &Client, format: Format, command: DataHoldCommand) -> Result<(), Failure> {
    match command {
        DataHoldCommand::Place { database, table, rows, reason } => {
            let new = NewDataHold { database, on: table, rows, reason };
            one(format, &client.post(&["retention", "holds"], &new).await?, "placed")
        }
        DataHoldCommand::Release { id, reason } => {
            let body = Reason { reason: Some(reason) };
            one(format, &client.post(&["retention", "holds", &id, "release"], &body).await?, "released")
        }
        DataHoldCommand::List => {
            let holds: Vec<DataHoldView> = client.get(&["retention", "holds"], &()).await?;
            if format == Format::Json {
                return output::json(&holds);
            }
            let rows = holds.into_iter().map(|hold| {
                let rows = hold.rows.unwrap_or_else(|| "all rows".to_owned());
                vec![hold.id, output::time(hold.placed_at), hold.by, hold.reason, hold.database, hold.on, rows]
            });
            output::table("holds", &["id", "placed", "by", "reason", "database", "table", "rows"], rows.collect())
        }
    }
}

fn one(format: Format, hold: &DataHoldView, what: &str) -> Result<(), Failure> {
    let rows = hold.rows.as_deref().map_or_else(|| "all rows".to_owned(), |rows| format!("rows where {rows}"));
    match format {
        Format::Json => output::json(hold),
        Format::Table => {
            output::say(&format!("hold {} is {what}: {rows} of {} in {}", hold.id, hold.on, hold.database))
        }
    }
}
