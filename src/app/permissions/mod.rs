//! Who reaches data without pgward: asks the database, adds what the journal says of use, and keeps each day's report so that what
//! changed can be told.

mod kept;
mod logins;
mod used;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::access::Clock;
use crate::audit::Journal;
use crate::control::permissions::{Permissions, PermissionsError, PermissionsQuestion};
use crate::policy::DatabasePolicy;
use crate::session::{self, DatabaseSettings, SideClient};
use crate::standing::{Facts, Report, Target};

/// Days of the journal, where nobody says how many.
const DAYS: u32 = 90;
const MOST_DAYS: u32 = 3_660;
/// How often a report is kept though nobody asks.
const DAILY: Duration = Duration::from_secs(86_400);
const RETRY: Duration = Duration::from_secs(60);
/// Nothing can be changed by asking, and asking ends.
const SETTINGS: &str = "SET default_transaction_read_only = on; SET statement_timeout = '60s'; SET lock_timeout = '2s'; \
    SET search_path = pg_catalog; SET standard_conforming_strings = on";
/// Roles of pgward's own making begin so.
const OWN: &str = "pgward_";

/// Asks, and keeps.
#[derive(Debug)]
pub struct Standing {
    pub sessions: Arc<session::Server>,
    pub databases: Arc<ArcSwap<HashMap<String, Arc<DatabaseSettings>>>>,
    pub journal: Arc<Journal>,
    pub clock: Arc<Clock>,
}

impl Standing {
    /// Keeps a report of each database a day, so that there is something to compare with.
    pub async fn keep_daily(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let databases: Vec<Arc<DatabaseSettings>> = self.databases.load().values().cloned().collect();
            let mut wait = DAILY;
            for settings in databases {
                let newest = kept::newest(&self.dir(&settings.route)).await;
                let age = newest.map(|at| self.clock.now().duration_since(at).unsigned_abs());
                if age.is_some_and(|age| age < DAILY) {
                    wait = wait.min(DAILY.saturating_sub(age.unwrap_or_default()));
                    continue;
                }
                if let Err(error) = self.make(&settings, true).await {
                    tracing::warn!(database = settings.route, %error, "who has standing access could not be asked");
                    wait = wait.min(RETRY);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait.max(Duration::from_secs(1))) => {}
            }
        }
    }

    /// Asks the database, and keeps what it says of everything where that is asked for.
    async fn make(&self, settings: &DatabaseSettings, all: bool) -> Result<Report, PermissionsError> {
        let unreachable = |error: &dyn std::fmt::Display| {
            tracing::warn!(database = settings.route, %error, "standing access");
            PermissionsError::Unavailable(format!("the upstream of \"{}\" cannot be asked", settings.route))
        };
        let client = self.sessions.own_connection(&settings.route, "pgward permissions").await;
        let client = client.map_err(|error| unreachable(&error))?;
        client.batch_execute(SETTINGS).await.map_err(|error| unreachable(&error))?;
        let facts = facts(&client).await.map_err(|error| unreachable(&error))?;
        let account = settings.upstream.user.clone();
        let own = move |role: &str| role == account || role.starts_with(OWN);
        let now = self.clock.now();
        let report_on = |all: bool| {
            let mut report = Report::of(&settings.policy.name, &facts, &targets(&facts, &settings.policy, all), &own);
            report.database.clone_from(&settings.route);
            report.made_at = now.to_string();
            report
        };
        // What is kept is of everything: what is classified may be another thing by the time it is compared.
        kept::keep(&self.dir(&settings.route), now, &report_on(true)).await.map_err(|error| unreachable(&error))?;
        let mut report = report_on(all);
        report.logins = logins::read(&client).await;
        used::scans(&client, &mut report).await;
        Ok(report)
    }

    fn dir(&self, route: &str) -> PathBuf {
        // A name may hold anything but the characters of a path.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@');
        let name: String =
            route.chars().map(|c| if plain(c) { c.to_string() } else { format!("%{:x}", u32::from(c)) }).collect();
        self.journal.settings().dir.join("standing").join(name)
    }

    /// The instant that `since` means.
    fn instant(&self, since: &str) -> Result<Timestamp, PermissionsError> {
        if let Ok(instant) = since.parse() {
            return Ok(instant);
        }
        let ago = crate::config::parse_duration(since).ok().and_then(|ago| SignedDuration::try_from(ago).ok());
        let instant = ago.and_then(|ago| self.clock.now().checked_sub(ago).ok());
        instant.ok_or_else(|| {
            PermissionsError::Invalid(format!(
                "\"{}\" is no time: write \"7d\" or \"2026-03-01T12:00:00Z\"",
                since.escape_debug()
            ))
        })
    }
}

async fn facts(client: &SideClient) -> anyhow::Result<Facts> {
    let json = crate::catalog::standing(client).await?;
    Ok(serde_json::from_str(json.as_deref().unwrap_or_default())?)
}

/// What is classified, relation by relation; or everything.
fn targets(facts: &Facts, policy: &DatabasePolicy, all: bool) -> Vec<Target> {
    let schema = |oid: u32| facts.schemas.iter().find(|schema| schema.oid == oid).map(|schema| schema.name.as_str());
    let mut targets = Vec::new();
    // Views show what lies in tables: they are paths, not data.
    for relation in facts.relations.iter().filter(|one| matches!(one.kind.as_str(), "r" | "p" | "f" | "m")) {
        let Some(schema) = schema(relation.schema) else { continue };
        let classes: Vec<_> = policy.data.iter().filter(|class| class.on.matches(schema, &relation.name)).collect();
        if classes.is_empty() && !all {
            continue;
        }
        let mut labels: Vec<String> = classes.iter().flat_map(|class| class.labels.clone()).collect();
        labels.sort();
        labels.dedup();
        let whole = classes.is_empty() || classes.iter().any(|class| class.columns.is_none());
        let columns = (!whole).then(|| {
            let mut columns: Vec<String> =
                classes.iter().flat_map(|class| class.columns.clone().unwrap_or_default()).collect();
            columns.sort();
            columns.dedup();
            columns
        });
        targets.push(Target { relation: relation.oid, columns, labels });
    }
    targets
}

#[async_trait::async_trait]
impl Permissions for Standing {
    async fn permissions(&self, database: &str, question: PermissionsQuestion) -> Result<Report, PermissionsError> {
        let settings = self.databases.load().get(database).cloned();
        let settings = settings.ok_or_else(|| PermissionsError::NoDatabase(database.escape_debug().to_string()))?;
        let days = question.days.unwrap_or(DAYS).clamp(1, MOST_DAYS);
        let since = question.since.as_deref().map(|since| self.instant(since)).transpose()?;
        let earlier = match since {
            None => None,
            // Before this report is kept itself.
            Some(since) => kept::at(&self.dir(&settings.route), since).await,
        };
        let mut report = self.make(&settings, question.all).await?;
        report.days = days;
        used::used(&self.journal, &settings.policy.name, self.clock.now(), days, &mut report).await?;
        if since.is_some() {
            let Some(earlier) = earlier else {
                return Err(PermissionsError::Invalid(format!(
                    "there is no earlier report of \"{database}\" to compare with: one is kept each day, and each time that somebody asks"
                )));
            };
            let now = kept::at(&self.dir(&settings.route), Timestamp::MAX).await.unwrap_or_else(|| report.clone());
            report.changes = Some(now.since(&earlier));
        }
        Ok(report)
    }
}
