//! What an earlier process left behind: batches whose end it did not hear, and runs that it did not bring to their end.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Keeper;
use super::running::{Beginning, By, SCHEDULE};
use crate::access::Principal;
use crate::audit::{EndedBy, Event, Filter, MAX_RESULTS, Record};
use crate::control::retention::{Asker, RetentionError};
use crate::retention;
use crate::session::SideClient;

/// The newest batches and runs that are looked at: each run begins with settling what was left before it.
const NEWEST: usize = 200;
const RETRY: Duration = Duration::from_secs(15);

/// What the details of these records hold.
#[derive(Clone, Debug, serde::Deserialize)]
struct Detail {
    run: String,
    upstream: String,
    #[serde(default)]
    policy: String,
    #[serde(default)]
    transaction: String,
    #[serde(default)]
    policies: serde_json::Value,
    #[serde(default)]
    cutoffs: BTreeMap<String, String>,
    #[serde(default)]
    any_hour: bool,
    #[serde(default)]
    total: Option<u64>,
}

fn detail(record: &Record) -> Option<Detail> {
    serde_json::from_str(record.detail.as_deref()?).ok()
}

impl Keeper {
    /// Asks the database what became of batches whose end nobody heard, and records it.
    pub(super) async fn settle(&self, route: &str, client: &SideClient) -> Result<(), RetentionError> {
        let begun = self.newest(Event::RetentionBatch, NEWEST).await?;
        // All since the first of them: rows that failed have ends, too, and more than there are batches.
        let Some(first) = begun.first().map(|record| record.time) else { return Ok(()) };
        let ends = self.found(Event::RetentionBatchEnd, MAX_RESULTS, Some(first)).await?;
        let ended: HashSet<u64> = ends.iter().filter_map(|record| record.statement_seq).collect();
        for batch in begun.into_iter().filter(|record| !ended.contains(&record.seq)) {
            let Some(told) = detail(&batch).filter(|told| told.upstream == route) else { continue };
            let settled = retention::settle(client, &told.transaction).await;
            let committed = settled.map_err(|error| super::unavailable(route, &error))?;
            let rows = batch.rows.unwrap_or_default();
            let before = self.done_before(&told.run).await?.get(&told.policy).copied().unwrap_or_default();
            let (word, done, by) = match committed {
                Some(true) => ("committed", rows, Some(EndedBy::Completed)),
                Some(false) => ("rolled_back", 0, Some(EndedBy::Error)),
                None => ("unknown", 0, None),
            };
            tracing::info!(database = route, run = told.run, seq = batch.seq, outcome = word, "a batch was settled");
            let mut end = batch.clone();
            end.time = self.parts.clock.now();
            end.event = Event::RetentionBatchEnd;
            end.statement_seq = Some(batch.seq);
            end.relations = Vec::new();
            end.parameters = None;
            end.parameter_count = None;
            end.rows = Some(done);
            end.ended_by = by;
            let (run, policy, total) = (&told.run, &told.policy, before + done);
            let said = serde_json::json!({
                "run": run, "upstream": route, "policy": policy, "outcome": word, "total": total, "settled": true,
            });
            end.detail = Some(said.to_string());
            let recorded = self.parts.journal.record(end).await;
            recorded.map_err(|error| RetentionError::Unavailable(error.to_string()))?;
        }
        Ok(())
    }

    /// Goes on with the runs of an earlier process, as soon as their upstreams answer.
    pub(super) async fn resume(self: &Arc<Self>, stop: CancellationToken) {
        let mut left = loop {
            match self.unfinished().await {
                Ok(left) => break left,
                Err(error) => tracing::error!(%error, "the journal does not say which retention runs are unfinished"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        };
        while !left.is_empty() {
            let mut still = Vec::new();
            for record in left {
                if let Err(error) = self.resume_one(&record).await {
                    tracing::warn!(%error, "an unfinished retention run cannot go on yet");
                    still.push(record);
                }
            }
            left = still;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETRY), if !left.is_empty() => {}
                () = std::future::ready(()), if left.is_empty() => {}
            }
        }
    }

    /// The records of runs that began and have no end.
    async fn unfinished(&self) -> Result<Vec<Record>, RetentionError> {
        let begun = self.newest(Event::RetentionRun, NEWEST).await?;
        let ends = self.newest(Event::RetentionRunEnd, NEWEST * 2).await?;
        let mut seen: HashSet<String> = ends.iter().filter_map(detail).map(|told| told.run).collect();
        // A run that was resumed before began more than once.
        Ok(begun.into_iter().filter(|record| detail(record).is_some_and(|told| seen.insert(told.run))).collect())
    }

    async fn resume_one(self: &Arc<Self>, record: &Record) -> Result<(), RetentionError> {
        let Some(told) = detail(record) else { return Ok(()) };
        let names: Vec<String> = serde_json::from_value(told.policies.clone()).unwrap_or_default();
        let known = self.meant(Some(&told.upstream), None).unwrap_or_default();
        let known = known.into_iter().find(|meant| meant.route == told.upstream);
        let policies: Vec<_> =
            known.into_iter().flat_map(|meant| meant.policies).filter(|policy| names.contains(&policy.name)).collect();
        if policies.len() != names.len() {
            tracing::warn!(
                run = told.run,
                "a retention run is given up: the configuration has not all of its policies any more"
            );
            return self.give_up(record, &told, "its policies are not all configured any more").await;
        }
        let name = record.principal.clone().unwrap_or_default();
        let by = match name.as_str() {
            SCHEDULE => By::Schedule,
            _person => By::Person(Asker {
                principal: Principal { name, groups: record.groups.clone(), region: None },
                address: record.client_addr.clone().unwrap_or_default(),
                is_admin: false,
            }),
        };
        // What was left in the middle is settled first, so that it counts.
        let client = self.connect(&told.upstream, false).await?;
        self.settle(&told.upstream, &client).await?;
        drop(client);
        let done = self.done_before(&told.run).await?;
        let earlier = Some((told.run.clone(), told.cutoffs.clone(), done));
        let route = told.upstream.clone();
        let beginning = Beginning { route, policies, by, any_hour: told.any_hour, earlier };
        match self.begin(beginning).await {
            Ok(run) => {
                tracing::info!(run = run.id, database = run.route, "an unfinished retention run goes on");
                Ok(())
            }
            Err(RetentionError::Invalid(why) | RetentionError::NotFound(why)) => {
                self.give_up(record, &told, &why).await
            }
            Err(error @ (RetentionError::Refused(..) | RetentionError::Unavailable(_))) => Err(error),
        }
    }

    async fn give_up(&self, record: &Record, told: &Detail, why: &str) -> Result<(), RetentionError> {
        let mut end = record.clone();
        end.time = self.parts.clock.now();
        end.event = Event::RetentionRunEnd;
        end.rows = Some(self.done_before(&told.run).await?.values().sum());
        let said =
            serde_json::json!({ "run": told.run, "upstream": told.upstream, "state": "incomplete", "message": why });
        end.detail = Some(said.to_string());
        let recorded = self.parts.journal.record(end).await;
        recorded.map(|_| ()).map_err(|error| RetentionError::Unavailable(error.to_string()))
    }

    /// How many rows a run was done with, by policy: as its last batches say.
    async fn done_before(&self, run: &str) -> Result<BTreeMap<String, u64>, RetentionError> {
        let mut all = BTreeMap::new();
        for told in self
            .newest(Event::RetentionBatchEnd, MAX_RESULTS)
            .await?
            .iter()
            .filter_map(detail)
            .filter(|told| told.run == run)
        {
            let total = all.entry(told.policy).or_default();
            *total = told.total.unwrap_or_default().max(*total);
        }
        Ok(all)
    }

    /// The newest records of an event, oldest first.
    pub(super) async fn newest(&self, event: Event, most: usize) -> Result<Vec<Record>, RetentionError> {
        self.found(event, most, None).await
    }

    async fn found(
        &self,
        event: Event,
        most: usize,
        since: Option<jiff::Timestamp>,
    ) -> Result<Vec<Record>, RetentionError> {
        let journal = Arc::clone(&self.parts.journal);
        let found = tokio::task::spawn_blocking(move || {
            let filter = Filter { event: Some(event), limit: Some(most), since, ..Filter::default() };
            journal.finder().search(&filter, |_| true)
        });
        let found = found.await.map_err(|error| RetentionError::Unavailable(error.to_string()))?;
        let found = found.map_err(|error| RetentionError::Unavailable(error.to_string()))?;
        Ok(found.into_iter().map(|entry| entry.record).collect())
    }
}
