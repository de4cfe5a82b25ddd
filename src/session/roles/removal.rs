//! The end of a role: its backend ended, what it owns handed on, what it may do taken from it.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::broker::{Broker, RoleError, one_at_a_time, together};
use super::names::{heir_role, quoted};

/// Removes a role; one that does not exist is removed already.
///
/// # Errors
/// Where the database does not take it now: the role is then as it was, but for its backend.
pub async fn remove(broker: &Broker, role: &str) -> Result<(), RoleError> {
    let turn = broker.turn().await?;
    let result = take_away(turn.client(), role).await;
    if !matches!(result, Err(RoleError::Timeout)) {
        turn.done();
    }
    match result {
        Err(RoleError::Database(error)) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => Ok(()),
        result => result,
    }
}

async fn take_away(client: &Client, role: &str) -> Result<(), RoleError> {
    client.query(END_BACKENDS, &[&role]).await?;
    let row = client.query_one(OWNS, &[&role]).await?;
    let (owns, is_listed, broker): (bool, bool, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let name = quoted(role);
    let mut said = Vec::new();
    if owns {
        let heir = heir_role(broker);
        make_heir(client, &heir).await?;
        said.push(format!("REASSIGN OWNED BY {name} TO {}", quoted(&heir)));
    }
    if is_listed {
        said.push(one_at_a_time());
    }
    said.push(format!("DROP OWNED BY {name}"));
    said.push(format!("DROP ROLE {name}"));
    together(client, &said).await
}

/// What sessions made goes to a role that may do nothing and that nobody logs in as. Not to the broker: a view or a
/// `SECURITY DEFINER` function of its own would then do with the broker's rights what its maker could not.
async fn make_heir(client: &Client, heir: &str) -> Result<(), RoleError> {
    let name = quoted(heir);
    let said = format!(
        "CREATE ROLE {name} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS ROLE CURRENT_USER"
    );
    if client.query_opt("SELECT FROM pg_roles WHERE rolname = $1::text", &[&heir]).await?.is_some() {
        return Ok(());
    }
    match together(client, &[said]).await {
        Err(RoleError::Database(error)) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => Ok(()),
        result => result,
    }
}

/// Ends what the role has connected, and waits until it is gone.
const END_BACKENDS: &str =
    "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE usename = $1::text AND pid <> pg_backend_pid()";

/// Whether the role owns anything here, whether ACLs name it, and who asks.
const OWNS: &str = "
SELECT coalesce(bool_or(deptype = 'o'), false), coalesce(bool_or(deptype = 'a'), false), current_user::text
FROM pg_shdepend
WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1::text)";
