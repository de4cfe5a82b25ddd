//! `grants`, `extend`, `revoke`.

use super::{or_dash, requests};
use crate::access::GrantState;
use crate::cli::args::{ExtendArguments, Format};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::{GrantExtension, GrantFilter, GrantView, Reason, RequestView};

pub async fn list(client: &Client, format: Format, all: bool) -> Result<(), Failure> {
    let grants: Vec<GrantView> = client.get(&["grants"], &GrantFilter { all }).await?;
    match format {
        Format::Json => output::json(&grants),
        Format::Table => {
            let headers = ["id", "state", "principal", "scope", "database", "from", "until", "approved by", "reason"];
            let rows = grants.into_iter().map(|grant| {
                vec![
                    grant.id,
                    state(grant.state).to_owned(),
                    grant.principal,
                    grant.scope,
                    grant.database,
                    output::time(grant.not_before),
                    output::time(grant.expires_at),
                    or_dash(Some(&grant.approvers.join(", "))),
                    grant.reason,
                ]
            });
            output::table("grants", &headers, rows.collect())
        }
    }
}

pub async fn extend(client: &Client, format: Format, arguments: ExtendArguments) -> Result<(), Failure> {
    let ExtendArguments { grant, duration, reason, ticket } = arguments;
    let extension = GrantExtension { duration_seconds: duration.as_secs(), reason, ticket };
    let filed: RequestView = client.post(&["grants", &grant, "extend"], &extension).await?;
    requests::print(format, &filed)
}

pub async fn revoke(client: &Client, format: Format, id: &str, reason: Option<String>) -> Result<(), Failure> {
    let grant: GrantView = client.post(&["grants", id, "revoke"], &Reason { reason }).await?;
    match format {
        Format::Json => output::json(&grant),
        Format::Table => {
            output::say(&format!("grant {} of {} on {} is revoked", grant.id, grant.principal, grant.database))?;
            output::hint(&format!("see what ran under it with: pgward audit search --grant {}", grant.id));
            Ok(())
        }
    }
}

fn state(state: GrantState) -> &'static str {
    match state {
        GrantState::Pending => "pending",
        GrantState::Live => "live",
        GrantState::Expired => "expired",
        GrantState::Revoked => "revoked",
    }
}
