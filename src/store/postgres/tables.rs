//! The tables themselves: made, brought up to date, and compared with what this program works on.

use tokio_postgres::Client;

use super::pool::{Connector, PostgresSettings};
use crate::store::StoreError;

mod embedded {
    refinery::embed_migrations!("src/store/postgres/migrations");
}

/// Held while the tables are changed, by whichever of several replicas that start at once.
const LOCK: i64 = 0x7067_7764_0001;

/// Brings the tables up to date as the role of `settings`, and lets `role` work on them.
///
/// # Errors
/// Where the server cannot be reached or the role may not.
pub async fn migrate(settings: PostgresSettings, role: Option<&str>) -> Result<(), StoreError> {
    let mut open = Connector::new(settings).connect(|_| {}).await?;
    bring_up_to_date(&mut open.client).await?;
    let Some(role) = role else { return Ok(()) };
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let privileges = include_str!("privileges.sql").replace("{role}", &role);
    Ok(open.client.batch_execute(&privileges).await?)
}

/// Whether a replica could work on the store as it is, or make it so. Changes nothing.
///
/// # Errors
/// Says why not.
pub async fn check(settings: PostgresSettings) -> Result<(), StoreError> {
    let open = Connector::new(settings).connect(|_| {}).await?;
    match is_current(&open.client).await? {
        true => compatible(&open.client).await,
        false if may_change(&open.client).await? => Ok(()),
        false => Err(outdated()),
    }
}

fn outdated() -> StoreError {
    StoreError::Failed(
        "the store's tables are missing or older than this program, and its role may not change them: run `pgward store \
         migrate` as their owner"
            .to_owned(),
    )
}

/// Makes sure that the tables are what this program works on: changes them where it may, and says so where it may not.
pub(super) async fn ready(client: &mut Client) -> Result<(), StoreError> {
    if is_current(client).await? {
        return compatible(client).await;
    }
    if !may_change(client).await? {
        return Err(outdated());
    }
    bring_up_to_date(client).await?;
    compatible(client).await
}

async fn bring_up_to_date(client: &mut Client) -> Result<(), StoreError> {
    client.batch_execute("SET statement_timeout = '60s'; SET lock_timeout = '30s'").await?;
    client.query_one("SELECT pg_catalog.pg_advisory_lock($1)", &[&LOCK]).await?;
    let done = run(client).await;
    client.query_one("SELECT pg_catalog.pg_advisory_unlock($1)", &[&LOCK]).await?;
    client.batch_execute("SET statement_timeout = '4s'; SET lock_timeout = '3s'").await?;
    done
}

async fn run(client: &mut Client) -> Result<(), StoreError> {
    if !there(client, "pgward").await? {
        client.batch_execute("CREATE SCHEMA pgward").await?;
    }
    // Newer replicas may have brought the tables further than this program knows; `compatible` says whether it may go on.
    let runner = embedded::migrations::runner().set_abort_missing(false);
    let failed = |error| StoreError::Failed(format!("the store's tables cannot be brought up to date: {error}"));
    runner.run_async(client).await.map(drop).map_err(failed)
}

async fn there(client: &Client, schema: &str) -> Result<bool, StoreError> {
    let row = client.query_one("SELECT pg_catalog.to_regnamespace($1) IS NOT NULL", &[&schema]).await?;
    Ok(row.try_get(0)?)
}

/// The newest of the migrations that this program knows.
fn newest() -> i32 {
    let known = embedded::migrations::runner();
    known.get_migrations().iter().map(refinery::Migration::version).max().unwrap_or_default()
}

async fn is_current(client: &Client) -> Result<bool, StoreError> {
    let history = "SELECT pg_catalog.to_regclass('pgward.refinery_schema_history') IS NOT NULL";
    if !client.query_one(history, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(false);
    }
    let row = client.query_one("SELECT max(version) FROM pgward.refinery_schema_history", &[]).await?;
    Ok(row.try_get::<_, Option<i32>>(0)?.is_some_and(|applied| applied >= newest()))
}

async fn may_change(client: &Client) -> Result<bool, StoreError> {
    let row = client
        .query_one(
            "SELECT CASE WHEN pg_catalog.to_regnamespace('pgward') IS NULL
                         THEN pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
                         ELSE pg_catalog.has_schema_privilege('pgward', 'CREATE') END",
            &[],
        )
        .await?;
    Ok(row.try_get(0)?)
}

async fn compatible(client: &Client) -> Result<(), StoreError> {
    let row = client.query_one("SELECT since FROM pgward.compatible", &[]).await?;
    let since: i32 = row.try_get(0)?;
    if since > newest() {
        return Err(StoreError::Failed(
            "the store's tables are newer than this program can work on: upgrade it".to_owned(),
        ));
    }
    Ok(())
}
