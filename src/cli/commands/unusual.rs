//! `held`, `release`.

use crate::cli::args::Format;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::{HeldView, Reason};

pub async fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let held: Vec<HeldView> = client.get(&["unusual", "held"], &()).await?;
    match format {
        Format::Json => output::json(&held),
        Format::Table => {
            let rows = held.into_iter().map(|held| vec![held.principal, held.why]);
            output::table("principals", &["principal", "why"], rows.collect())
        }
    }
}

pub async fn release(client: &Client, format: Format, principal: &str, reason: Option<String>) -> Result<(), Failure> {
    let released: HeldView = client.post(&["unusual", "held", principal, "release"], &Reason { reason }).await?;
    match format {
        Format::Json => output::json(&released),
        Format::Table => output::say(&format!("statements of {} run again", released.principal)),
    }
}
