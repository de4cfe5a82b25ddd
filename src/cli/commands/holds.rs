//! `audit hold`, `audit purge`: what is kept beyond its time, and erasing now what is due.

use crate::cli::args::{Format, HoldCommand};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::{HoldView, NewHold, PurgeView, Reason};

pub async fn hold(client: &Client, format: Format, command: HoldCommand) -> Result<(), Failure> {
    match command {
        HoldCommand::Place { search, reason } => {
            let body = NewHold { filter: super::audit::filter(*search), reason };
            let hold: HoldView = client.post(&["audit", "holds"], &body).await?;
            one(format, &hold, "placed")
        }
        HoldCommand::Release { id, reason } => {
            let body = Reason { reason: Some(reason) };
            let hold: HoldView = client.post(&["audit", "holds", &id, "release"], &body).await?;
            one(format, &hold, "released")
        }
        HoldCommand::List => list(client, format).await,
    }
}

pub async fn purge(client: &Client, format: Format) -> Result<(), Failure> {
    let purged: PurgeView = client.post(&["audit", "purge"], &serde_json::json!({})).await?;
    match format {
        Format::Json => output::json(&purged),
        Format::Table if purged.buckets == 0 => output::say("nothing was due"),
        Format::Table => output::say(&format!(
            "erased {} buckets of records, {} records are held, {} segments were removed",
            purged.buckets, purged.held, purged.segments
        )),
    }
}

async fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let holds: Vec<HoldView> = client.get(&["audit", "holds"], &()).await?;
    match format {
        Format::Json => output::json(&holds),
        Format::Table => {
            let rows = holds
                .into_iter()
                .map(|hold| vec![hold.id, output::time(hold.placed), hold.by, hold.reason, hold.filter.to_string()]);
            output::table("holds", &["id", "placed", "by", "reason", "records"], rows.collect())
        }
    }
}

fn one(format: Format, hold: &HoldView, what: &str) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(hold),
        Format::Table => output::say(&format!("hold {} is {what}: {}", hold.id, hold.filter)),
    }
}
