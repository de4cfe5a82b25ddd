//! Partitions that lie wholly before the cutoff, and dropping them.

use tokio_postgres::Client;

use super::facts::{OnDelete, Partition, Table};
use super::policy::{Policy, Relation};
use super::rows::{Rows, instant};

/// One that is past, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Past {
    pub relation: Relation,
    /// Its upper bound, as PostgreSQL writes it.
    pub upto: String,
}

/// The partitions whose every row is past by its bounds, oldest first.
///
/// # Errors
/// Where the database cannot be asked.
pub(super) async fn past(
    client: &Client,
    policy: &Policy,
    table: &Table,
    cutoff: &str,
) -> Result<Vec<Past>, tokio_postgres::Error> {
    let Some(column) = table.column(&policy.column) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for partition in &table.partitions {
        let Some(upper) = upper_bound(partition) else { continue };
        // The bound is PostgreSQL's own writing of a constant of the column's type.
        let (upper, kind) = (format!("{upper}::{}", column.kind), &column.base);
        let asked = format!("SELECT {upper} OPERATOR(pg_catalog.<=) {}, ({upper})::text", instant(kind, cutoff));
        let row = client.query_one(&asked, &[]).await?;
        if row.try_get(0)? {
            let relation = Relation::new(&partition.schema, &partition.name);
            found.push(Past { relation, upto: row.try_get(1)? });
        }
    }
    found.sort_by(|one, other| one.upto.cmp(&other.upto));
    Ok(found)
}

/// `'2024-02-01'` of `FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')`.
fn upper_bound(partition: &Partition) -> Option<&str> {
    let (_, to) = partition.bound.as_deref()?.split_once(") TO (")?;
    let upper = to.strip_suffix(')')?;
    (upper.len() >= 2 && upper.starts_with('\'') && upper.ends_with('\'')).then_some(upper)
}

/// That a row of a partition keeps it from being dropped: a hold, or any row that refers to it.
pub(super) fn kept_by(rows: &Rows<'_>, policy: &Policy, table: &Table, alias: &str) -> Vec<String> {
    let mut all = rows.keeping(policy, table, alias);
    for (key, child) in rows.facts.referring(table) {
        // Whatever the key would do when a row is deleted: with the partition it is done to none.
        let mut strict = key.clone();
        strict.on_delete = OnDelete::NoAction;
        all.extend(rows.needed_by(&strict, child, alias));
    }
    all
}

/// Drops one in the transaction that is open, and says how many rows it had; `None` where something in it has to stay.
///
/// # Errors
/// Where it cannot be locked or dropped: then it is there as before.
pub(super) async fn drop(
    client: &Client,
    rows: &Rows<'_>,
    policy: &Policy,
    table: &Table,
    partition: &Relation,
) -> Result<Option<u64>, tokio_postgres::Error> {
    let name = partition.sql();
    // Nobody writes to it from here on, while whoever reads goes on.
    client.batch_execute(&format!("LOCK TABLE {name} IN SHARE MODE")).await?;
    let kept = kept_by(rows, policy, table, "t0");
    if !kept.is_empty() {
        let asked = format!("SELECT EXISTS (SELECT FROM {name} AS t0 WHERE {})", kept.join(" OR "));
        if client.query_one(&asked, &[]).await?.try_get(0)? {
            return Ok(None);
        }
    }
    let count: i64 = client.query_one(&format!("SELECT count(*) FROM {name}"), &[]).await?.try_get(0)?;
    let parent = policy.on.sql();
    client.batch_execute(&format!("ALTER TABLE {parent} DETACH PARTITION {name}; DROP TABLE {name}")).await?;
    Ok(Some(u64::try_from(count).unwrap_or_default()))
}
