//! Looks, time and again, whether relations whose overdue rows are hidden hold any, or PostgreSQL hides them itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Keeper;
use crate::control::retention::{HiddenView, RetentionError};
use crate::policy::Overdue;
use crate::retention::{Facts, Policy, any_overdue, hiding_script, is_filtered};
use crate::session::{DatabaseSettings, SideClient};

/// How soon something new is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Between looks at what is known.
const AGAIN: Duration = Duration::from_secs(30);
/// For one look: a table that is read through for longer is taken for one that holds overdue rows.
const BOUND: &str = "SET statement_timeout = '20s'; SET lock_timeout = '2s'";

impl Keeper {
    /// Looks until it is stopped.
    pub(super) async fn watch_hidden(self: &Arc<Self>, stop: CancellationToken) {
        let mut looked: BTreeMap<String, (Arc<DatabaseSettings>, Instant)> = BTreeMap::new();
        loop {
            let databases = self.parts.databases.load_full();
            for (route, settings) in databases.iter().filter(|(_, one)| !one.policy.hidden.relations.is_empty()) {
                let known = looked.get(route);
                let is_fresh = known.is_some_and(|(of, at)| Arc::ptr_eq(of, settings) && at.elapsed() < AGAIN);
                if is_fresh {
                    continue;
                }
                looked.insert(route.clone(), (Arc::clone(settings), Instant::now()));
                self.look_at(settings).await;
            }
            looked.retain(|route, _| databases.contains_key(route));
            tokio::select! {
                () = stop.cancelled() => return,
                // What a run purged is not overdue any more.
                () = self.look_again.notified() => looked.clear(),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn look_at(&self, settings: &DatabaseSettings) {
        let hidden = &settings.policy.hidden;
        let found = self.find_hidden(settings).await;
        for relation in hidden.relations.iter() {
            match &found {
                Ok(found) => {
                    let (overdue, parts) =
                        found.get(&relation.policy).cloned().unwrap_or((Overdue::Unknown, Vec::new()));
                    hidden.found(relation, overdue, parts, self.parts.clock.now());
                }
                // Whoever cannot look does not know.
                Err(error) => {
                    tracing::warn!(database = settings.route, %error, "overdue rows cannot be looked for");
                    hidden.unknown(relation);
                }
            }
        }
    }

    /// Of each policy what was found, and the partitions of its table.
    async fn find_hidden(
        &self,
        settings: &DatabaseSettings,
    ) -> Result<BTreeMap<String, (Overdue, Vec<(String, String)>)>, RetentionError> {
        let client = self.connect(&settings.route, true).await?;
        let asked = client.batch_execute(BOUND).await;
        asked.map_err(|error| super::unavailable(&settings.route, &error.into()))?;
        let facts = Facts::read(&client).await.map_err(|error| super::unavailable(&settings.route, &error))?;
        let mut all = BTreeMap::new();
        for policy in self.hiding(settings) {
            let Some(table) = facts.table(&policy.on) else { continue };
            let overdue = overdue(&client, settings, &policy, &facts).await;
            let parts = facts.parts_of(table).into_iter().map(|part| (part.schema, part.name)).collect();
            all.insert(policy.name.clone(), (overdue, parts));
        }
        Ok(all)
    }

    fn hiding(&self, settings: &DatabaseSettings) -> Vec<Arc<Policy>> {
        let policies = self.parts.policies.load();
        let all = policies.get(&settings.policy.name).into_iter().flatten();
        all.filter(|policy| policy.hide).cloned().collect()
    }

    /// What is known of every hidden relation, and the SQL that has PostgreSQL hide its rows.
    pub(super) async fn hidden_views(&self, database: Option<&str>) -> Result<Vec<HiddenView>, RetentionError> {
        let mut views = Vec::new();
        for meant in self.meant(database, None)? {
            let settings = self.parts.databases.load().get(&meant.route).cloned();
            let Some(settings) = settings.filter(|settings| !settings.policy.hidden.relations.is_empty()) else {
                continue;
            };
            let client = self.connect(&meant.route, true).await?;
            let facts = Facts::read(&client).await.map_err(|error| super::unavailable(&meant.route, &error))?;
            for policy in self.hiding(&settings) {
                let known = settings.policy.hidden.relations.iter().find(|relation| relation.policy == policy.name);
                let table = facts.table(&policy.on);
                views.push(HiddenView {
                    policy: policy.name.clone(),
                    database: meant.route.clone(),
                    relation: policy.on.to_string(),
                    state: word(known.map_or(Overdue::Unknown, |relation| relation.overdue(self.parts.clock.now())))
                        .to_owned(),
                    sql: table.map(|table| hiding_script(&policy, table, &settings.upstream.user)),
                });
            }
        }
        Ok(views)
    }
}

async fn overdue(client: &SideClient, settings: &DatabaseSettings, policy: &Policy, facts: &Facts) -> Overdue {
    let Some(table) = facts.table(&policy.on) else { return Overdue::Unknown };
    let found = async {
        if settings.roles.is_some() && is_filtered(client, policy, table).await? {
            return Ok(Overdue::Filtered);
        }
        Ok(if any_overdue(client, policy, table).await? { Overdue::Some } else { Overdue::None })
    };
    let found: anyhow::Result<Overdue> = found.await;
    found.unwrap_or_else(|error| {
        let error = crate::retention::in_words(&error);
        tracing::warn!(database = settings.route, policy = policy.name, error, "overdue rows cannot be looked for");
        Overdue::Unknown
    })
}

fn word(overdue: Overdue) -> &'static str {
    match overdue {
        Overdue::Unknown => "unknown",
        Overdue::None => "none_overdue",
        Overdue::Some => "overdue",
        Overdue::Filtered => "filtered",
    }
}
