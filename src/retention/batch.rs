//! One batch: a transaction that takes some due rows, and what foreign keys take with them.

use tokio_postgres::Client;

use super::facts::{Facts, OnDelete, Table};
use super::partition;
use super::policy::{Action, Change, Hold, Policy, Relation};
use super::rows::{Rows, changed};
use super::run::{Batch, Ledger, LedgerError, Outcome, rows_now, said};
use super::sql::{columns, identifier, literal};
use crate::access::Operation;

/// Why there was no batch. Nothing of it was done, unless the connection was lost on the way.
#[derive(Debug)]
pub(super) enum BatchError {
    /// PostgreSQL refused; a batch of less may do.
    Refused {
        error: tokio_postgres::Error,
        tried: Box<Batch>,
    },
    Ledger(LedgerError),
    /// The connection is gone: nobody knows whether the last batch was done.
    Lost(String),
}

/// What names one row, as text; by the columns of [`Batcher::order`].
type Key = Vec<String>;

/// Goes through the due rows of one policy in order.
#[derive(Debug)]
pub(super) struct Batcher<'a> {
    client: &'a Client,
    facts: &'a Facts,
    policy: &'a Policy,
    table: &'a Table,
    cutoff: &'a str,
    /// The columns that rows are taken in the order of: they name a row.
    order: Vec<String>,
    /// Everything up to here was taken, or passed.
    last: Option<Key>,
    size: u32,
}

impl<'a> Batcher<'a> {
    pub(super) fn new(
        client: &'a Client,
        facts: &'a Facts,
        policy: &'a Policy,
        table: &'a Table,
        cutoff: &'a str,
    ) -> Self {
        let key = table.key.clone().unwrap_or_default();
        let by_time = table.is_indexed(std::slice::from_ref(&policy.column));
        // By time where an index has that order: a look at the next rows then reads no others.
        let order = match by_time && !key.contains(&policy.column) {
            true => std::iter::once(policy.column.clone()).chain(key).collect(),
            false => key,
        };
        Self { client, facts, policy, table, cutoff, order, last: None, size: policy.batch.max(1) }
    }

    /// Takes less at once; `false` where it is one row already.
    pub(super) fn halve(&mut self) -> bool {
        let halved = self.size > 1;
        self.size = (self.size / 2).max(1);
        halved
    }

    /// Leaves what was tried where it is.
    pub(super) fn pass(&mut self, tried: &Batch) {
        self.last = Some(tried.last.clone());
        self.size = self.policy.batch.max(1);
    }

    /// The next rows; `None` where none is due any more.
    pub(super) async fn one(&mut self, holds: &[Hold], ledger: &dyn Ledger) -> Result<Option<Batch>, BatchError> {
        loop {
            let rows = rows_now(self.facts, holds);
            let mut tried = Box::new(self.nothing());
            self.begin().await?;
            match self.work(&rows, &mut tried).await {
                Ok(Worked::NoneLeft) => {
                    self.roll_back().await?;
                    return Ok(None);
                }
                // What was found is not due any more.
                Ok(Worked::Nothing) => {
                    self.roll_back().await?;
                    self.last = Some(tried.last.clone());
                }
                // Too much goes with so many.
                Ok(Worked::TooMuch) => {
                    self.roll_back().await?;
                    self.halve();
                }
                Ok(Worked::Some { whole }) => {
                    let batch = self.commit(*tried, ledger).await?;
                    if whole {
                        self.last = Some(batch.last.clone());
                        self.size = self.size.saturating_mul(2).min(self.policy.batch.max(1));
                    }
                    return Ok(Some(batch));
                }
                Err(error) => return Err(self.give_up(error, tried).await),
            }
        }
    }

    /// Drops a partition that is past; `None` where something in it has to stay.
    pub(super) async fn partition(
        &self,
        holds: &[Hold],
        partition: &Relation,
        ledger: &dyn Ledger,
    ) -> Result<Option<Batch>, BatchError> {
        let rows = rows_now(self.facts, holds);
        let mut tried = Box::new(Batch { partition: Some(partition.clone()), ..self.nothing() });
        self.begin().await?;
        match partition::drop(self.client, &rows, self.policy, self.table, partition).await {
            Ok(None) => {
                self.roll_back().await?;
                Ok(None)
            }
            Ok(Some(count)) => {
                tried.rows = count;
                self.commit(*tried, ledger).await.map(Some)
            }
            Err(error) => Err(self.give_up(error, tried).await),
        }
    }

    async fn work(&self, rows: &Rows<'_>, tried: &mut Batch) -> Result<Worked, tokio_postgres::Error> {
        let found = self.find(rows).await?;
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return Ok(Worked::NoneLeft) };
        (tried.first, tried.last) = (first.clone(), last.clone());
        let keys = self.lock(rows, &found).await?;
        if keys.is_empty() {
            return Ok(Worked::Nothing);
        }
        if let Action::Anonymise(changes) = &self.policy.action {
            tried.rows = self.change(&keys, changes).await?;
            return Ok(Worked::Some { whole: true });
        }
        let limit = u64::from(self.policy.batch.max(1));
        let going = self.going(&keys);
        let mut counted = Vec::new();
        for going in &going {
            counted.push(self.count(going).await?);
        }
        let cascading = || going.iter().zip(&counted).filter(|(going, _)| going.operation == Operation::Delete);
        let all: u64 = cascading().map(|(_, count)| count).sum();
        if all > limit && keys.len() > 1 {
            return Ok(Worked::TooMuch);
        }
        let mut left = limit;
        for (going, count) in going.iter().zip(&counted).filter(|(_, count)| **count > 0) {
            let rows = match going.operation {
                Operation::Delete if left == 0 => continue,
                Operation::Delete => self.delete_going(going, left).await?,
                // PostgreSQL itself does what the key says.
                _changed => *count,
            };
            if going.operation == Operation::Delete {
                left = left.saturating_sub(rows);
            }
            tried.also.push((going.table.relation(), going.operation, rows));
        }
        // One row that more refers to than a batch may hold: it goes with the last of them.
        if all > limit {
            tried.also.retain(|(_, operation, _)| *operation == Operation::Delete);
            return Ok(Worked::Some { whole: false });
        }
        tried.rows = self.delete(&keys).await?;
        Ok(Worked::Some { whole: true })
    }

    /// The next due rows in order, none of them locked.
    async fn find(&self, rows: &Rows<'_>) -> Result<Vec<Key>, tokio_postgres::Error> {
        let due = rows.due(self.policy, self.table, "t0", self.cutoff);
        let order = columns("t0", &self.order);
        let after = self.last.as_ref().map_or_else(String::new, |last| {
            let last: Vec<String> = self.typed(last).collect();
            format!(" AND ({order}) > ({})", last.join(", "))
        });
        let (from, size) = (self.policy.on.sql(), self.size);
        let as_text = self.as_text();
        let asked = format!("SELECT {as_text} FROM {from} AS t0 WHERE {due}{after} ORDER BY {order} LIMIT {size}");
        self.keys(&asked).await
    }

    /// Locks rows, and answers those that are due still. What refers to them cannot come about from here on.
    async fn lock(&self, rows: &Rows<'_>, found: &[Key]) -> Result<Vec<Key>, tokio_postgres::Error> {
        let from = self.policy.on.sql();
        let of = self.of(found, "t0");
        self.client.batch_execute(&format!("SELECT FROM {from} AS t0 WHERE {of} FOR UPDATE OF t0")).await?;
        // Asked anew: this statement sees what was committed while that one waited for its locks.
        let due = rows.due(self.policy, self.table, "t0", self.cutoff);
        self.keys(&format!("SELECT {} FROM {from} AS t0 WHERE {of} AND {due}", self.as_text())).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<u64, tokio_postgres::Error> {
        let (from, of) = (self.policy.on.sql(), self.of(keys, "t0"));
        self.client.execute(&format!("DELETE FROM {from} AS t0 WHERE {of}"), &[]).await
    }

    async fn change(
        &self,
        keys: &[Key],
        changes: &std::collections::BTreeMap<String, Change>,
    ) -> Result<u64, tokio_postgres::Error> {
        let set = changes.iter().filter_map(|(name, change)| {
            let column = self.table.column(name)?;
            let read = format!("t0.{}", identifier(name));
            Some(format!("{} = {}", identifier(name), changed(column, &read, change)))
        });
        let set: Vec<String> = set.collect();
        let (from, of, set) = (self.policy.on.sql(), self.of(keys, "t0"), set.join(", "));
        self.client.execute(&format!("UPDATE {from} AS t0 SET {set} WHERE {of}"), &[]).await
    }

    /// The rows elsewhere that go, or change, with these; what goes first comes first.
    fn going(&self, keys: &[Key]) -> Vec<Going<'a>> {
        let mut all = Vec::new();
        self.gather(self.table, "p0", &self.of(keys, "p0"), 1, &mut all);
        all
    }

    fn gather(&self, parent: &Table, alias: &str, parents: &str, depth: usize, all: &mut Vec<Going<'a>>) {
        let oid = parent.oid;
        for key in self.facts.foreign_keys.iter().filter(|key| key.parent == oid) {
            let Some(child) = self.facts.by_oid(key.child) else { continue };
            let own = format!("c{depth}");
            let condition = Rows::going_with(key, &own, parent, alias, parents);
            let operation = match key.on_delete {
                OnDelete::NoAction | OnDelete::Restrict => continue,
                OnDelete::SetNull | OnDelete::SetDefault => Operation::Update,
                OnDelete::Cascade => {
                    self.gather(child, &own, &condition, depth + 1, all);
                    Operation::Delete
                }
            };
            all.push(Going { table: child, alias: own, condition, operation });
        }
    }

    async fn count(&self, going: &Going<'_>) -> Result<u64, tokio_postgres::Error> {
        let (from, alias, condition) = (going.table.relation().sql(), &going.alias, &going.condition);
        let asked = format!("SELECT count(*) FROM {from} AS {alias} WHERE {condition}");
        let count: i64 = self.client.query_one(&asked, &[]).await?.try_get(0)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn delete_going(&self, going: &Going<'_>, most: u64) -> Result<u64, tokio_postgres::Error> {
        let Going { table, alias, condition, operation: _ } = going;
        let from = table.relation().sql();
        let names = match &table.key {
            Some(key) => key.iter().map(|name| format!("{alias}.{}", identifier(name))).collect(),
            // Without a key: where the row lies, which nobody moves who has no lock on it.
            None => vec![format!("{alias}.tableoid"), format!("{alias}.ctid")],
        };
        let names = names.join(", ");
        let some = format!("SELECT {names} FROM {from} AS {alias} WHERE {condition} LIMIT {most}");
        self.client.execute(&format!("DELETE FROM {from} AS {alias} WHERE ({names}) IN ({some})"), &[]).await
    }

    /// That a row is one of these.
    fn of(&self, keys: &[Key], alias: &str) -> String {
        // By the key alone: the time, where it is part of the order, is not what names a row.
        let key = self.table.key.clone().unwrap_or_default();
        let skip = self.order.len().saturating_sub(key.len());
        let rows: Vec<String> = keys
            .iter()
            .map(|row| {
                let values: Vec<String> = self.typed(row).skip(skip).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        format!("({}) IN (VALUES {})", columns(alias, &key), rows.join(", "))
    }

    /// The values of a key as constants of their columns' types.
    fn typed<'k>(&'k self, key: &'k [String]) -> impl Iterator<Item = String> + 'k {
        self.order.iter().zip(key).map(|(name, value)| {
            let kind = self.table.column(name).map_or("text", |column| column.kind.as_str());
            format!("{}::{kind}", literal(value))
        })
    }

    fn as_text(&self) -> String {
        let all: Vec<String> = self.order.iter().map(|name| format!("t0.{}::text", identifier(name))).collect();
        all.join(", ")
    }

    async fn keys(&self, asked: &str) -> Result<Vec<Key>, tokio_postgres::Error> {
        let rows = self.client.query(asked, &[]).await?;
        rows.iter().map(|row| (0..row.len()).map(|column| row.try_get(column)).collect()).collect()
    }

    async fn begin(&self) -> Result<(), BatchError> {
        let wait = self.policy.lock_timeout.as_millis().max(1);
        let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {wait}");
        self.client.batch_execute(&begin).await.map_err(|error| BatchError::Lost(said(&error)))
    }

    async fn roll_back(&self) -> Result<(), BatchError> {
        self.client.batch_execute("ROLLBACK").await.map_err(|error| BatchError::Lost(said(&error)))
    }

    async fn give_up(&self, error: tokio_postgres::Error, tried: Box<Batch>) -> BatchError {
        match self.roll_back().await {
            Ok(()) if error.as_db_error().is_some() => BatchError::Refused { error, tried },
            Ok(()) => BatchError::Lost(said(&error)),
            Err(lost) => lost,
        }
    }

    /// Records the batch and commits it; what fails by then is recorded too.
    async fn commit(&self, mut batch: Batch, ledger: &dyn Ledger) -> Result<Batch, BatchError> {
        // What is checked late is checked now, so that the record is not of a batch that cannot be.
        let asked = "SET CONSTRAINTS ALL IMMEDIATE";
        if let Err(error) = self.client.batch_execute(asked).await {
            return Err(self.give_up(error, Box::new(batch)).await);
        }
        let number = self.client.query_one("SELECT pg_catalog.txid_current()::text", &[]).await;
        match number.and_then(|row| row.try_get(0)) {
            Ok(number) => batch.transaction = number,
            Err(error) => return Err(self.give_up(error, Box::new(batch)).await),
        }
        let begun = match ledger.begin(&batch).await {
            Ok(begun) => begun,
            Err(error) => {
                self.roll_back().await?;
                return Err(BatchError::Ledger(error));
            }
        };
        match self.client.batch_execute("COMMIT").await {
            Ok(()) => {
                ledger.end(Some(begun), &batch, Outcome::Committed).await.map_err(BatchError::Ledger)?;
                Ok(batch)
            }
            Err(error) if error.as_db_error().is_some() && !self.client.is_closed() => {
                let sqlstate = error.code().map(|code| code.code().to_owned());
                let outcome = Outcome::RolledBack { sqlstate, message: said(&error) };
                ledger.end(Some(begun), &batch, outcome).await.map_err(BatchError::Ledger)?;
                Err(BatchError::Refused { error, tried: Box::new(batch) })
            }
            // The database knows; whoever comes next asks it.
            Err(error) => Err(BatchError::Lost(said(&error))),
        }
    }

    fn nothing(&self) -> Batch {
        let operation = if self.policy.deletes() { Operation::Delete } else { Operation::Update };
        Batch {
            policy: self.policy.name.clone(),
            relation: self.policy.on.clone(),
            operation,
            rows: 0,
            also: Vec::new(),
            first: Vec::new(),
            last: Vec::new(),
            partition: None,
            transaction: String::new(),
        }
    }
}

enum Worked {
    /// Nothing is due behind the last row.
    NoneLeft,
    Nothing,
    TooMuch,
    /// `whole`: the rows themselves are done, not only some of what refers to them.
    Some {
        whole: bool,
    },
}

/// Rows elsewhere that a foreign key takes along.
struct Going<'a> {
    table: &'a Table,
    alias: String,
    condition: String,
    operation: Operation,
}
