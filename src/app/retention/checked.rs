//! What `pgward check` says of retention policies: whether each upstream has what they name, at the lines that name it.

use std::sync::Arc;

use super::condition::check_condition;
use crate::catalog::Snapshot;
use crate::config::Config;
use crate::retention::{self, Facts, Fault, Policy};
use crate::session;

/// Looks at the tables of every upstream whose database has policies.
///
/// # Errors
/// Every fault, each with its place in the configuration.
pub async fn check(config: &Config) -> anyhow::Result<()> {
    let mut said = Vec::new();
    for (route, settings) in super::super::settings::databases(config)? {
        let database = config.databases.iter().find(|database| database.policy.name == settings.policy.name);
        let policies: Vec<Policy> = database
            .into_iter()
            .flat_map(|database| &database.retention)
            .map(|named| named.policy.as_ref().clone())
            .collect();
        if policies.is_empty() {
            continue;
        }
        let faults = faults(&settings, &policies).await.map_err(|error| {
            let error = retention::in_words(&error);
            anyhow::anyhow!("database \"{route}\": retention policies cannot be checked: {error}")
        })?;
        said.extend(config.retention_problems(&settings.policy.name, &faults).problems.iter().map(ToString::to_string));
    }
    said.sort();
    said.dedup();
    if said.is_empty() { Ok(()) } else { anyhow::bail!(said.join("\n")) }
}

async fn faults(settings: &Arc<session::DatabaseSettings>, policies: &[Policy]) -> anyhow::Result<Vec<Fault>> {
    let client = session::own_connection_to(settings, "pgward check").await?;
    client.batch_execute("SET default_transaction_read_only = on; SET search_path = pg_catalog").await?;
    let facts = Facts::read(&client).await?;
    let mut faults = retention::check(policies, &facts);
    if policies.iter().any(|policy| policy.only.is_some()) {
        let snapshot = Snapshot::load(&client).await?;
        for policy in policies {
            let Some(Err(message)) = policy.only.as_ref().map(|only| check_condition(&snapshot, &policy.on, only))
            else {
                continue;
            };
            faults.push(Fault { policy: policy.name.clone(), key: "where", message });
        }
    }
    Ok(faults)
}
