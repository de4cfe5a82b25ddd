//! Whether what is reachable was used: through pgward, as the journal knows; at all, as PostgreSQL counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::audit::{Event, Filter, Journal, RecordedVerdict};
use crate::control::permissions::PermissionsError;
use crate::session::SideClient;
use crate::standing::Report;

/// What is counted of one relation.
#[derive(Debug, Default)]
struct Seen {
    statements: u64,
    principals: BTreeSet<String>,
    last: Option<Timestamp>,
}

/// Adds what the journal knows of the last days. Every record is read once, and none is kept.
pub(super) async fn used(
    journal: &Arc<Journal>,
    database: &str,
    now: Timestamp,
    days: u32,
    report: &mut Report,
) -> Result<(), PermissionsError> {
    let since = now.checked_sub(SignedDuration::from_hours(i64::from(days) * 24)).ok();
    let filter = Filter {
        database: Some(database.to_owned()),
        event: Some(Event::Statement),
        verdict: Some(RecordedVerdict::Allow),
        since,
        ..Filter::default()
    };
    let journal = Arc::clone(journal);
    let counted = tokio::task::spawn_blocking(move || {
        let seen: Mutex<BTreeMap<String, Seen>> = Mutex::default();
        let count = |record: &crate::audit::Record| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let relations: BTreeSet<&String> = record.relations.iter().map(|relation| &relation.name).collect();
            for relation in relations {
                let seen = seen.entry(relation.clone()).or_default();
                seen.statements += 1;
                seen.principals.extend(record.principal.clone());
                seen.last = seen.last.max(Some(record.time));
            }
            // Counted, and not wanted.
            false
        };
        journal.finder().search(&filter, count).map(|_| seen.into_inner().unwrap_or_else(PoisonError::into_inner))
    });
    let failed =
        |error: &dyn std::fmt::Display| PermissionsError::Unavailable(format!("the journal cannot be read: {error}"));
    let seen = counted.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    for reached in &mut report.relations {
        if let Some(seen) = seen.get(&reached.relation) {
            reached.used.statements = seen.statements;
            reached.used.principals = seen.principals.iter().cloned().collect();
            reached.used.last = seen.last.map(|last| last.to_string());
        }
    }
    Ok(())
}

/// Adds how often PostgreSQL has scanned each table since its statistics were reset, by whomever.
pub(super) async fn scans(client: &SideClient, report: &mut Report) {
    let asked =
        "SELECT schemaname || '.' || relname, seq_scan + coalesce(idx_scan, 0) FROM pg_catalog.pg_stat_all_tables";
    let Ok(rows) = client.query(asked, &[]).await else { return };
    let counted =
        rows.iter().filter_map(|row| Some((row.try_get::<_, String>(0).ok()?, row.try_get::<_, i64>(1).ok()?)));
    let counted: BTreeMap<String, i64> = counted.collect();
    for reached in &mut report.relations {
        reached.used.scans = counted.get(&reached.relation).copied();
    }
}
