//! Policies with `every` are carried out by themselves, within their hours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Keeper;
use super::running::{Beginning, By};
use crate::audit::Event;
use crate::retention::{Action, Policy};

/// How often is looked.
const LOOK: Duration = Duration::from_secs(5);
/// After a run that could not begin.
const RETRY: Duration = Duration::from_secs(300);
/// Runs of the past that are looked at for when each policy had its turn.
const LOOK_BACK: usize = 1_000;

/// When each policy of each upstream was last begun, or tried.
type Turns = BTreeMap<(String, String), Timestamp>;

impl Keeper {
    /// Begins what is due, until it is stopped.
    pub(super) async fn follow_schedules(self: &Arc<Self>, stop: CancellationToken) {
        let mut turns: Option<Turns> = None;
        let mut told: BTreeMap<(String, String), String> = BTreeMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if !self.parts.policies.load().values().flatten().any(|policy| policy.every.is_some()) {
                continue;
            }
            let turns = match &mut turns {
                Some(turns) => turns,
                none @ None => match self.past_turns().await {
                    Ok(past) => none.insert(past),
                    Err(error) => {
                        tracing::error!(%error, "the journal does not say when retention policies had their turn");
                        continue;
                    }
                },
            };
            self.look(turns, &mut told).await;
        }
    }

    /// Of several replicas one begins: whichever comes first.
    async fn is_our_turn(&self, (route, policy): &(String, String), every: Option<Duration>) -> bool {
        let (Some(replicas), Some(every)) = (&self.parts.replicas, every) else { return true };
        // Their looks are not at the same instant: one that is a little early must not lose a whole period.
        let taken = replicas.take_turn(&turn_of(route, policy), every.saturating_sub(2 * LOOK)).await;
        taken.unwrap_or_else(|error| {
            tracing::warn!(%error, policy, "the store does not say whether another replica carries out a retention policy");
            false
        })
    }

    /// What could not begin is anybody's turn again.
    async fn give_back_turns(&self, turns: &[(String, String, Option<Duration>)]) {
        let Some(replicas) = &self.parts.replicas else { return };
        for (route, policy, _) in turns {
            if let Err(error) = replicas.give_back_turn(&turn_of(route, policy)).await {
                tracing::warn!(%error, policy, "a retention policy's turn could not be given back");
            }
        }
    }

    async fn look(self: &Arc<Self>, turns: &mut Turns, told: &mut BTreeMap<(String, String), String>) {
        let now = self.parts.clock.now();
        for meant in self.meant(None, None).unwrap_or_default() {
            let busy = self.all_runs().iter().any(|run| run.route == meant.route && !run.is_over());
            let is_due = |policy: &&Policy| {
                let turn = turns.get(&(meant.route.clone(), policy.name.clone()));
                let passed =
                    |every: Duration| turn.is_none_or(|turn| now.duration_since(*turn).unsigned_abs() >= every);
                policy.action != Action::Report && policy.every.is_some_and(passed) && policy.is_open_at(now)
            };
            let due: Vec<Policy> = meant.policies.iter().filter(is_due).cloned().collect();
            if busy || due.is_empty() {
                continue;
            }
            let mut policies = Vec::new();
            for policy in due {
                let key = (meant.route.clone(), policy.name.clone());
                let granted = match &policy.scope {
                    None => Ok(()),
                    Some(scope) => self.grant_of(&self.logical(&meant.route), scope, &By::Schedule).await.map(|_| ()),
                };
                match granted {
                    Ok(()) => {
                        told.remove(&key);
                        if self.is_our_turn(&key, policy.every).await {
                            policies.push(policy);
                        }
                    }
                    // Said once, not with each look.
                    Err(why) if told.get(&key) != Some(&why) => {
                        tracing::warn!(
                            database = meant.route,
                            policy = policy.name,
                            why,
                            "a retention policy waits for approval"
                        );
                        told.insert(key, why);
                    }
                    Err(_) => {}
                }
            }
            if policies.is_empty() {
                continue;
            }
            let keys: Vec<_> =
                policies.iter().map(|policy| (meant.route.clone(), policy.name.clone(), policy.every)).collect();
            let beginning =
                Beginning { route: meant.route, policies, by: By::Schedule, any_hour: false, earlier: None };
            let begun = self.begin(beginning).await;
            if let Err(error) = &begun {
                tracing::error!(%error, "a retention run could not begin by its schedule");
                self.give_back_turns(&keys).await;
            }
            for (route, policy, every) in keys {
                // One that could not begin is tried again before its next turn.
                let wait = every.unwrap_or_default().saturating_sub(RETRY);
                let turn = if begun.is_ok() { now } else { now.checked_sub(wait).unwrap_or(now) };
                turns.insert((route, policy), turn);
            }
        }
    }

    async fn past_turns(&self) -> Result<Turns, crate::control::retention::RetentionError> {
        let mut turns = Turns::new();
        for record in self.newest(Event::RetentionRun, LOOK_BACK).await? {
            let Some(told) =
                record.detail.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok())
            else {
                continue;
            };
            let Some(route) = told.get("upstream").and_then(|route| route.as_str()) else { continue };
            for policy in told.get("policies").and_then(|all| all.as_array()).into_iter().flatten() {
                if let Some(policy) = policy.as_str() {
                    turns.insert((route.to_owned(), policy.to_owned()), record.time);
                }
            }
        }
        Ok(turns)
    }
}

fn turn_of(route: &str, policy: &str) -> String {
    format!("retention {route} {policy}")
}
