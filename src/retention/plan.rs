//! What a run would do, counted in one read only snapshot: nothing is changed and nothing is locked.

use tokio_postgres::Client;

use super::facts::{Facts, ForeignKey, OnDelete, Table};
use super::partition;
use super::policy::{Action, Hold, Policy};
use super::rows::Rows;
use super::sql::identifier;

/// One policy's part of it. Counts are of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub policy: String,
    pub relation: String,
    pub action: &'static str,
    pub keep: String,
    /// Rows before this instant are overdue.
    pub cutoff: String,
    pub overdue: u64,
    /// The oldest of them.
    pub oldest: Option<String>,
    /// Rows without a time: never overdue.
    pub undated: u64,
    /// Overdue and under a legal hold.
    pub held: u64,
    /// Overdue and needed by others.
    pub blockers: Vec<Blocker>,
    /// What a run would purge or change: overdue, neither held nor needed, and not yet anonymised.
    pub due: u64,
    /// At least so many.
    pub batches: u64,
    /// Partitions that would be dropped whole; their rows are among those due.
    pub partitions: Vec<PlannedPartition>,
    /// What foreign keys would do to rows elsewhere.
    pub touched: Vec<Touched>,
    pub advice: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    pub foreign_key: String,
    pub by: String,
    pub rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    pub foreign_key: String,
    pub relation: String,
    pub on_delete: OnDelete,
    pub rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPartition {
    pub name: String,
    pub upto: String,
    pub rows: u64,
}

/// Counts for policies that [`super::check`] finds nothing wrong with, in the order in which a run takes them.
///
/// # Errors
/// Where the database cannot be asked, or refuses.
pub async fn plan(client: &Client, policies: &[Policy], facts: &Facts, holds: &[Hold]) -> anyhow::Result<Vec<Plan>> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let planned = all(client, policies, facts, holds).await;
    client.batch_execute("ROLLBACK").await?;
    planned
}

async fn all(client: &Client, policies: &[Policy], facts: &Facts, holds: &[Hold]) -> anyhow::Result<Vec<Plan>> {
    let mut plans = Vec::new();
    let mut before: Vec<(&Policy, String)> = Vec::new();
    for policy in in_order(policies, facts) {
        let cutoff = cutoff(client, policy).await?;
        let Some(table) = facts.table(&policy.on) else { anyhow::bail!("there is no table {}", policy.on) };
        let rows = Rows { facts, holds, before: &before };
        plans.push(Counting { client, rows, policy, table, cutoff: &cutoff }.count().await?);
        before.push((policy, cutoff));
    }
    Ok(plans)
}

/// The instant before which rows of a policy are overdue, by the database's clock.
pub(super) async fn cutoff(client: &Client, policy: &Policy) -> Result<String, tokio_postgres::Error> {
    let asked = format!("SELECT (pg_catalog.now() - {})::text", policy.keep.interval());
    client.query_one(&asked, &[]).await?.try_get(0)
}

/// Tables that refer before those that they refer to, so that what goes first is in nobody's way; else as configured.
pub(super) fn in_order<'p>(policies: &'p [Policy], facts: &Facts) -> Vec<&'p Policy> {
    fn depth(table: &Table, facts: &Facts, left: usize) -> usize {
        let Some(left) = left.checked_sub(1) else { return 0 };
        facts.referring(table).map(|(_, child)| 1 + depth(child, facts, left)).max().unwrap_or(0)
    }
    let mut ordered: Vec<&Policy> = policies.iter().collect();
    // How many levels refer to a table: whoever refers has fewer.
    ordered.sort_by_cached_key(|policy| facts.table(&policy.on).map_or(0, |table| depth(table, facts, 16)));
    ordered
}

struct Counting<'a> {
    client: &'a Client,
    rows: Rows<'a>,
    policy: &'a Policy,
    table: &'a Table,
    cutoff: &'a str,
}

impl Counting<'_> {
    async fn count(&self) -> anyhow::Result<Plan> {
        let (policy, from) = (self.policy, self.policy.on.sql());
        let column = format!("t0.{}", identifier(&policy.column));
        let overdue = Rows::overdue(policy, self.table, "t0", self.cutoff);
        let oldest = format!("SELECT count(*), min({column})::text FROM {from} AS t0 WHERE {overdue}");
        let row = self.client.query_one(&oldest, &[]).await?;
        let count: i64 = row.try_get(0)?;
        let mut plan = Plan {
            policy: policy.name.clone(),
            relation: policy.on.to_string(),
            action: policy.action.as_str(),
            keep: policy.keep.to_string(),
            cutoff: self.cutoff.to_owned(),
            overdue: u64::try_from(count)?,
            oldest: row.try_get(1)?,
            undated: self.number(&format!("SELECT count(*) FROM {from} AS t0 WHERE {column} IS NULL")).await?,
            held: 0,
            blockers: Vec::new(),
            due: 0,
            batches: 0,
            partitions: Vec::new(),
            touched: Vec::new(),
            advice: Vec::new(),
        };
        let held = self.rows.held(self.table);
        if plan.overdue > 0 && !held.is_empty() {
            let held = held.join(" OR ");
            plan.held = self.number(&format!("SELECT count(*) FROM {from} AS t0 WHERE {overdue} AND ({held})")).await?;
        }
        if policy.deletes() {
            self.needs(&mut plan, &overdue).await?;
        }
        let due = self.rows.due(policy, self.table, "t0", self.cutoff);
        plan.due = self.number(&format!("SELECT count(*) FROM {from} AS t0 WHERE {due}")).await?;
        if policy.deletes() {
            self.touch(&mut plan, self.table, "p0", &self.rows.due(policy, self.table, "p0", self.cutoff), 1).await?;
        }
        self.partitions(&mut plan).await?;
        let dropped: u64 = plan.partitions.iter().map(|partition| partition.rows).sum();
        let batch = u64::from(policy.batch.max(1));
        // What CASCADE takes along is bounded as well.
        let cascading = plan.touched.iter().filter(|touched| touched.on_delete == OnDelete::Cascade);
        let rows = plan.due.saturating_sub(dropped).max(cascading.map(|touched| touched.rows).sum());
        plan.batches = rows.div_ceil(batch) + u64::try_from(plan.partitions.len())?;
        self.advise(&mut plan);
        Ok(plan)
    }

    /// Which foreign keys keep how many overdue rows. A row that two keys keep is counted with both.
    async fn needs(&self, plan: &mut Plan, overdue: &str) -> anyhow::Result<()> {
        let from = self.policy.on.sql();
        for (key, child) in self.rows.facts.referring(self.table) {
            let Some(needed) = self.rows.needed_by(key, child, "t0") else { continue };
            let rows =
                self.number(&format!("SELECT count(*) FROM {from} AS t0 WHERE {overdue} AND ({needed})")).await?;
            if rows > 0 {
                plan.blockers.push(Blocker { foreign_key: key.name.clone(), by: child.relation().to_string(), rows });
            }
        }
        Ok(())
    }

    /// What goes, or changes, with the rows of `parent` that `parents` is true of.
    async fn touch(
        &self,
        plan: &mut Plan,
        parent: &Table,
        alias: &str,
        parents: &str,
        depth: usize,
    ) -> anyhow::Result<()> {
        let referring: Vec<(&ForeignKey, &Table)> = self.rows.facts.referring(parent).collect();
        for (key, child) in referring {
            if matches!(key.on_delete, OnDelete::NoAction | OnDelete::Restrict) {
                continue;
            }
            let own = format!("c{depth}");
            let mut going = Rows::going_with(key, &own, parent, alias, parents);
            let before = self.rows.before.iter().find(|(policy, _)| policy.deletes() && policy.on == child.relation());
            if let Some((policy, cutoff)) = before {
                going = format!("{going} AND ({}) IS NOT TRUE", self.rows.due(policy, child, &own, cutoff));
            }
            let from = child.relation().sql();
            let rows = self.number(&format!("SELECT count(*) FROM {from} AS {own} WHERE {going}")).await?;
            let (foreign_key, relation) = (key.name.clone(), child.relation().to_string());
            plan.touched.push(Touched { foreign_key, relation, on_delete: key.on_delete, rows });
            if key.on_delete == OnDelete::Cascade && rows > 0 {
                Box::pin(self.touch(plan, child, &own, &going, depth + 1)).await?;
            }
        }
        Ok(())
    }

    async fn partitions(&self, plan: &mut Plan) -> anyhow::Result<()> {
        let Action::Delete { drop_partitions: true } = self.policy.action else { return Ok(()) };
        for past in partition::past(self.client, self.policy, self.table, self.cutoff).await? {
            let name = past.relation.sql();
            let kept = partition::kept_by(&self.rows, self.policy, self.table, "t0");
            if !kept.is_empty() {
                let asked = format!("SELECT EXISTS (SELECT FROM {name} AS t0 WHERE {})", kept.join(" OR "));
                if self.client.query_one(&asked, &[]).await?.try_get(0)? {
                    continue;
                }
            }
            let rows = self.number(&format!("SELECT count(*) FROM {name}")).await?;
            plan.partitions.push(PlannedPartition { name: past.relation.to_string(), upto: past.upto, rows });
        }
        Ok(())
    }

    fn advise(&self, plan: &mut Plan) {
        let column = std::slice::from_ref(&self.policy.column);
        if !self.table.is_indexed(column) {
            let (column, on) = (&self.policy.column, &self.policy.on);
            plan.advice
                .push(format!("no index of {on} begins with {column}: each look for overdue rows reads the table"));
        }
        if self.policy.deletes() {
            for (key, child) in self.rows.facts.referring(self.table) {
                if !child.is_indexed(&key.child_columns) {
                    let (child, columns) = (child.relation(), key.child_columns.join(", "));
                    plan.advice.push(format!(
                        "no index of {child} begins with {columns} ({}): each row that goes has PostgreSQL read all of {child}",
                        key.name
                    ));
                }
            }
        }
        if plan.undated > 0 {
            let (count, column) = (plan.undated, &self.policy.column);
            plan.advice.push(format!("{count} rows have no {column}: they are never overdue"));
        }
    }

    async fn number(&self, asked: &str) -> anyhow::Result<u64> {
        let count: i64 = self.client.query_one(asked, &[]).await?.try_get(0)?;
        Ok(u64::try_from(count)?)
    }
}
