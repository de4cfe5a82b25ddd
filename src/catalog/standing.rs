//! What a database says of who reaches what, as one JSON document: roles, memberships, privileges, owners, views, functions.

use tokio_postgres::{Client, SimpleQueryMessage};

/// Asks the database that `client` is connected to. Any role may: it is in catalogs that everybody reads.
///
/// # Errors
/// Where it cannot be asked.
pub async fn standing(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    let answer = client.simple_query(include_str!("standing.sql")).await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _other => None,
    }))
}
