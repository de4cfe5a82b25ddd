//! Asks before each batch whether the run may go on, and records it: before it commits, and what became of it.

use std::sync::{Arc, Mutex, PoisonError};

use super::Keeper;
use super::running::{By, Run};
use crate::access::{Grant, Region};
use crate::audit::{EndedBy, Event, Record, RecordedRelation};
use crate::config::ParameterRecording;
use crate::retention::{Action, Batch, Hold, HoldsTurn, Ledger, LedgerError, Outcome, Policy, Relation};

/// One run's.
pub(super) struct RunLedger {
    keeper: Arc<Keeper>,
    run: Arc<Run>,
    /// The grant that the policy under way rests on, where it needs one.
    grant: Mutex<Option<Grant>>,
}

impl RunLedger {
    pub(super) fn new(keeper: Arc<Keeper>, run: Arc<Run>) -> Self {
        Self { keeper, run, grant: Mutex::default() }
    }

    fn record(&self, event: Event, batch: &Batch) -> Record {
        let mut record = Record::new(self.keeper.parts.clock.now(), event);
        record.principal = Some(self.run.by.name().to_owned());
        if let By::Person(asker) = &self.run.by {
            record.groups.clone_from(&asker.principal.groups);
            record.client_addr = Some(asker.address.clone());
        }
        record.database = Some(self.run.database.clone());
        record.rule = Some(batch.policy.clone());
        (record.upstream_region, record.data_region) = self.keeper.regions(&self.run.route, &batch.relation);
        if let Some(grant) = &*self.grant.lock().unwrap_or_else(PoisonError::into_inner) {
            record.grant = Some(grant.id.clone());
            record.request = Some(grant.request.clone());
            record.scope = Some(grant.scope.name.clone());
            record.reason = Some(grant.reason.clone());
            record.ticket.clone_from(&grant.ticket);
            record.approvers.clone_from(&grant.approvers);
        }
        record
    }

    /// What the batch touches, with the columns that it changes.
    fn relations(&self, batch: &Batch) -> Vec<RecordedRelation> {
        let policy = self.run.policies.iter().find(|policy| policy.name == batch.policy);
        let columns = match policy.map(|policy| &policy.action) {
            Some(Action::Anonymise(changes)) => changes.keys().cloned().collect(),
            Some(Action::Delete { .. } | Action::Report) | None => Vec::new(),
        };
        let own = RecordedRelation { name: batch.relation.to_string(), operation: batch.operation, columns };
        let also = batch.also.iter().map(|(relation, operation, _)| RecordedRelation {
            name: relation.to_string(),
            operation: *operation,
            columns: Vec::new(),
        });
        std::iter::once(own).chain(also).collect()
    }

    /// The first row and the last, by what names them, as far as values are recorded at all.
    fn range(&self, record: &mut Record, batch: &Batch) {
        if batch.first.is_empty() {
            return;
        }
        let ends = [&batch.first, &batch.last].map(|key| key.join(", "));
        match self.keeper.parts.parameters {
            ParameterRecording::Record => record.parameters = Some(ends.into_iter().map(Some).collect()),
            ParameterRecording::Hash => {
                let hashed = ends.iter().map(|end| Some(self.keeper.parts.hash_key.hash(end.as_bytes())));
                record.parameters = Some(hashed.collect());
            }
            ParameterRecording::Omit => record.parameter_count = Some(2),
        }
    }

    async fn put(&self, record: Record) -> Result<u64, LedgerError> {
        self.keeper.parts.journal.record(record).await.map_err(|error| LedgerError(format!("not recorded: {error}")))
    }
}

#[async_trait::async_trait]
impl Ledger for RunLedger {
    async fn may_go_on(&self, policy: &Policy) -> Result<(), LedgerError> {
        if self.run.stop.is_cancelled() {
            return Err(LedgerError(self.run.why_stopped()));
        }
        if !self.run.any_hour && !policy.is_open_at(self.keeper.parts.clock.now()) {
            return Err(LedgerError("its hours are over; it goes on in the next".to_owned()));
        }
        let grant = match &policy.scope {
            None => None,
            Some(scope) => {
                Some(self.keeper.grant_of(&self.run.database, scope, &self.run.by).await.map_err(LedgerError)?)
            }
        };
        *self.grant.lock().unwrap_or_else(PoisonError::into_inner) = grant;
        Ok(())
    }

    async fn holds(&self) -> Result<(Vec<Hold>, HoldsTurn), LedgerError> {
        let turn = self.keeper.holds_turn().await.map_err(|error| LedgerError(error.to_string()))?;
        let holds = self.keeper.standing(&self.run.database).await.map_err(|error| LedgerError(error.to_string()))?;
        Ok((holds, turn))
    }

    async fn begin(&self, batch: &Batch) -> Result<u64, LedgerError> {
        let mut record = self.record(Event::RetentionBatch, batch);
        record.relations = self.relations(batch);
        record.rows = Some(batch.rows);
        self.range(&mut record, batch);
        let also = batch.also.iter().map(|(relation, operation, rows)| {
            serde_json::json!({ "relation": relation.to_string(), "operation": operation, "rows": rows })
        });
        let detail = serde_json::json!({
            "run": self.run.id, "upstream": self.run.route, "policy": batch.policy,
            "cutoff": self.run.cutoffs.get(&batch.policy), "also": also.collect::<Vec<_>>(),
            "partition": batch.partition.as_ref().map(Relation::to_string), "transaction": batch.transaction,
        });
        record.detail = Some(detail.to_string());
        self.put(record).await
    }

    async fn end(&self, begun: Option<u64>, batch: &Batch, outcome: Outcome) -> Result<(), LedgerError> {
        let mut record = self.record(Event::RetentionBatchEnd, batch);
        record.statement_seq = begun;
        let (metrics, database) = (&self.keeper.parts.metrics, &self.run.route);
        let (word, message) = match outcome {
            Outcome::Committed => {
                let also: u64 = batch.also.iter().map(|(_, _, rows)| rows).sum();
                self.run.progress(&batch.policy, |progress| {
                    progress.rows += batch.rows;
                    progress.also += also;
                    progress.batches += 1;
                });
                metrics.done(database, &batch.policy, batch.rows);
                record.rows = Some(batch.rows);
                record.ended_by = Some(EndedBy::Completed);
                ("committed", None)
            }
            Outcome::RolledBack { sqlstate, message } => {
                // Not begun: what was tried last, row by row.
                if begun.is_none() {
                    self.run.progress(&batch.policy, |progress| progress.failed += 1);
                    metrics.failed(database, &batch.policy);
                    self.range(&mut record, batch);
                    record.relations = self.relations(batch);
                }
                record.rows = Some(0);
                record.sqlstate = sqlstate;
                record.ended_by = Some(EndedBy::Error);
                ("rolled_back", Some(message))
            }
        };
        let total = self.run.progress(&batch.policy, |progress| progress.rows);
        let detail = serde_json::json!({
            "run": self.run.id, "upstream": self.run.route, "policy": batch.policy, "outcome": word, "total": total,
            "message": message, "partition": batch.partition.as_ref().map(Relation::to_string),
        });
        record.detail = Some(detail.to_string());
        self.put(record).await.map(|_| ())
    }
}

impl Keeper {
    /// The upstream's region, and that of a table's data where it is another.
    pub(super) fn regions(&self, route: &str, on: &Relation) -> (Option<Region>, Option<Region>) {
        let databases = self.parts.databases.load();
        let Some(settings) = databases.get(route) else { return (None, None) };
        let policy = &settings.policy;
        let classes =
            policy.data.iter().filter(|class| class.on.matches(&on.schema, &on.name) && class.region.is_some());
        let nearest = classes.max_by_key(|class| class.on.specificity());
        let data = nearest.and_then(|class| class.region.clone()).filter(|region| *region != policy.region);
        (Some(policy.region.clone()), data)
    }
}
