//! Carrying policies out: batch after batch, each told to the ledger before it commits.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::batch::{BatchError, Batcher};
use super::facts::{Facts, Table};
use super::partition;
use super::plan::{cutoff, in_order};
use super::policy::{Action, Hold, Policy, Relation};
use super::rows::Rows;
use crate::access::Operation;

/// One transaction's part of a run, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub policy: String,
    pub relation: Relation,
    pub operation: Operation,
    /// Rows of the relation itself.
    pub rows: u64,
    /// Rows elsewhere that foreign keys take with them.
    pub also: Vec<(Relation, Operation, u64)>,
    /// What names the first row and the last, in the order in which they are taken; nothing for a partition.
    pub first: Vec<String>,
    pub last: Vec<String>,
    pub partition: Option<Relation>,
    /// PostgreSQL's number of the transaction.
    pub transaction: String,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    /// Nothing of it was done.
    RolledBack {
        sqlstate: Option<String>,
        message: String,
    },
}

/// The record cannot be made, or the run may not go on: nothing more is done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LedgerError(pub String);

/// For as long as it is there no hold is placed or released.
pub type HoldsTurn = Box<dyn Send + Sync>;

/// Who is asked before, and told of, each batch.
#[async_trait::async_trait]
pub trait Ledger: Send + Sync {
    /// Whether the policy may be carried out at this instant.
    async fn may_go_on(&self, policy: &Policy) -> Result<(), LedgerError>;

    /// The holds that stand. None is placed or released until the guard is dropped.
    async fn holds(&self) -> Result<(Vec<Hold>, HoldsTurn), LedgerError>;

    /// Records a batch that is about to commit; answers what [`Ledger::end`] names it by.
    async fn begin(&self, batch: &Batch) -> Result<u64, LedgerError>;

    /// Records what became of it. A batch that failed before it could commit was never begun.
    async fn end(&self, begun: Option<u64>, batch: &Batch, outcome: Outcome) -> Result<(), LedgerError>;
}

/// What was done by one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub policy: String,
    pub rows: u64,
    pub also: u64,
    pub batches: u64,
    /// Rows that could not be dealt with, each of them recorded.
    pub failed: u64,
    pub ended: Ended,
}

/// How one policy's part of a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is due any more, but for the rows that failed.
    Finished,
    /// It may not go on, and why.
    Stopped(String),
    /// It could not.
    Failed(String),
}

/// Rows that fail one by one before a policy is given up.
const MOST_FAILURES: u64 = 100;
/// For what passes by itself: a lock, a deadlock.
const TRIES: u32 = 3;

/// The instants before which rows are overdue, by policy.
///
/// # Errors
/// Where the database cannot be asked.
pub async fn cutoffs(client: &Client, policies: &[Policy]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for policy in policies {
        all.insert(policy.name.clone(), cutoff(client, policy).await?);
    }
    Ok(all)
}

/// Carries out the policies that delete or anonymise, those of referring tables first. One that ends early does not keep the
/// others from their turn.
pub async fn run(
    client: &Client,
    policies: &[Policy],
    facts: &Facts,
    cutoffs: &BTreeMap<String, String>,
    ledger: &dyn Ledger,
) -> Vec<Done> {
    let mut all = Vec::new();
    for policy in in_order(policies, facts).into_iter().filter(|policy| policy.action != Action::Report) {
        let none =
            || Done { policy: policy.name.clone(), rows: 0, also: 0, batches: 0, failed: 0, ended: Ended::Finished };
        let (Some(table), Some(cutoff)) = (facts.table(&policy.on), cutoffs.get(&policy.name)) else {
            all.push(Done { ended: Ended::Failed(format!("there is no table {}", policy.on)), ..none() });
            continue;
        };
        let mut running = Running { client, facts, policy, table, cutoff, ledger, done: none() };
        running.done.ended = match running.all().await {
            Ok(()) => Ended::Finished,
            Err(ended) => ended,
        };
        all.push(running.done);
    }
    all
}

struct Running<'a> {
    client: &'a Client,
    facts: &'a Facts,
    policy: &'a Policy,
    table: &'a Table,
    cutoff: &'a str,
    ledger: &'a dyn Ledger,
    done: Done,
}

fn stopped(error: LedgerError) -> Ended {
    Ended::Stopped(error.0)
}

impl Running<'_> {
    async fn all(&mut self) -> Result<(), Ended> {
        if let Action::Delete { drop_partitions: true } = self.policy.action {
            self.partitions().await?;
        }
        let mut batcher = Batcher::new(self.client, self.facts, self.policy, self.table, self.cutoff);
        let mut tries = 0;
        loop {
            self.ledger.may_go_on(self.policy).await.map_err(stopped)?;
            let (holds, turn) = self.ledger.holds().await.map_err(stopped)?;
            match batcher.one(&holds, self.ledger).await {
                Ok(None) => return Ok(()),
                Ok(Some(batch)) => {
                    drop(turn);
                    tries = 0;
                    self.count(&batch);
                    tokio::time::sleep(self.policy.pause).await;
                }
                Err(BatchError::Ledger(error)) => return Err(stopped(error)),
                Err(BatchError::Lost(message)) => return Err(Ended::Failed(message)),
                Err(BatchError::Refused { error, tried }) => {
                    drop(turn);
                    if is_passing(&error) && tries < TRIES {
                        tries += 1;
                    } else if !batcher.halve() {
                        self.fail(&tried, &error).await?;
                        batcher.pass(&tried);
                        tries = 0;
                    }
                    tokio::time::sleep(self.policy.pause).await;
                }
            }
        }
    }

    /// Partitions that are past as a whole.
    async fn partitions(&mut self) -> Result<(), Ended> {
        let past = partition::past(self.client, self.policy, self.table, self.cutoff).await;
        for past in past.map_err(|error| Ended::Failed(said(&error)))? {
            for attempt in 0..=TRIES {
                self.ledger.may_go_on(self.policy).await.map_err(stopped)?;
                let (holds, turn) = self.ledger.holds().await.map_err(stopped)?;
                let batcher = Batcher::new(self.client, self.facts, self.policy, self.table, self.cutoff);
                match batcher.partition(&holds, &past.relation, self.ledger).await {
                    // Something in it stays: its rows go one by one.
                    Ok(None) => break,
                    Ok(Some(batch)) => {
                        drop(turn);
                        self.count(&batch);
                        break;
                    }
                    Err(BatchError::Ledger(error)) => return Err(stopped(error)),
                    Err(BatchError::Lost(message)) => return Err(Ended::Failed(message)),
                    Err(BatchError::Refused { error, tried }) => {
                        drop(turn);
                        if !is_passing(&error) || attempt == TRIES {
                            self.fail(&tried, &error).await?;
                            break;
                        }
                    }
                }
                tokio::time::sleep(self.policy.pause).await;
            }
        }
        Ok(())
    }

    fn count(&mut self, batch: &Batch) {
        self.done.rows += batch.rows;
        self.done.also += batch.also.iter().map(|(_, _, rows)| rows).sum::<u64>();
        self.done.batches += 1;
    }

    /// Says that one row, or a partition, stays though it is due.
    async fn fail(&mut self, tried: &Batch, error: &tokio_postgres::Error) -> Result<(), Ended> {
        self.done.failed += 1;
        let sqlstate = error.code().map(|code| code.code().to_owned());
        let outcome = Outcome::RolledBack { sqlstate, message: said(error) };
        self.ledger.end(None, tried, outcome).await.map_err(stopped)?;
        if self.done.failed >= MOST_FAILURES {
            return Err(Ended::Failed(format!("{MOST_FAILURES} rows failed, the last with: {}", said(error))));
        }
        Ok(())
    }
}

/// Whether a transaction committed that nobody heard the end of; `None` where the database does not know any more.
///
/// # Errors
/// Where it cannot be asked, or the transaction still runs after a while.
pub async fn settle(client: &Client, transaction: &str) -> anyhow::Result<Option<bool>> {
    const LOOKS: u32 = 300;
    let number: i64 = transaction.parse()?;
    for _ in 0..LOOKS {
        let status = client.query_one("SELECT pg_catalog.txid_status($1)", &[&number]).await;
        let status: Option<String> = match status {
            Ok(row) => row.try_get(0)?,
            // "in the future": another cluster, or an older state of this one.
            Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => None,
            Err(error) => return Err(error.into()),
        };
        match status.as_deref() {
            Some("committed") => return Ok(Some(true)),
            Some("aborted") => return Ok(Some(false)),
            Some(_in_progress) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            None => return Ok(None),
        }
    }
    anyhow::bail!("transaction {transaction} of the last run has not ended")
}

/// What passes by itself.
fn is_passing(error: &tokio_postgres::Error) -> bool {
    let passing = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::QUERY_CANCELED,
    ];
    error.code().is_some_and(|code| passing.contains(code))
}

/// What went wrong, in PostgreSQL's own words where they are its.
#[must_use]
pub fn in_words(error: &anyhow::Error) -> String {
    error.downcast_ref().map_or_else(|| error.to_string(), said)
}

/// PostgreSQL's own words, without a row's values, which stand in its DETAIL.
pub(super) fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        None => error.to_string(),
        Some(database) => format!("{} {}", database.code().code(), database.message()),
    }
}

/// The conditions of a batch: what others delete before does not matter any more, it is gone.
pub(super) fn rows_now<'a>(facts: &'a Facts, holds: &'a [Hold]) -> Rows<'a> {
    Rows { facts, holds, before: &[] }
}
