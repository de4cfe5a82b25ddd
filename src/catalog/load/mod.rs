//! Reads a [`Snapshot`] from a live database, in one read-only transaction, through an ordinary login.

mod read;
mod row;
mod sql;
pub mod within;

use aws_lc_rs::digest;
use tokio_postgres::{Client, Statement};

use super::snapshot::Snapshot;

/// Why a snapshot could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the catalogs could not be read: {0}")]
    Database(#[from] tokio_postgres::Error),
    #[error("the catalogs could not be read: {0}")]
    NoServer(String),
    #[error("the catalogs hold something unexpected: {0}")]
    Content(String),
    /// What others commit meanwhile is not seen by who asks, and counts all the same for what names mean.
    #[error("the transaction is {0}")]
    Isolation(String),
}

impl Snapshot {
    /// Reads the catalogs that `client` sees. The client must not be inside a transaction; it is left outside one.
    ///
    /// # Errors
    /// [`LoadError`] where the database cannot be reached or answers nonsense.
    pub async fn load(client: &Client) -> Result<Self, LoadError> {
        client.batch_execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let loaded = read::snapshot(client).await;
        let ended = client.batch_execute(if loaded.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
        let snapshot = loaded?;
        ended?;
        Ok(snapshot)
    }

    /// A number that changes whenever the catalogs do, by one cheap query.
    ///
    /// # Errors
    /// [`LoadError`] where the database cannot be reached.
    pub async fn mark(client: &Client) -> Result<u64, LoadError> {
        Self::mark_by(client, &Self::prepare_mark(client).await?).await
    }

    /// What asks for the mark, for whoever asks often over one connection.
    ///
    /// # Errors
    /// [`LoadError`] where the database cannot be reached.
    pub async fn prepare_mark(client: &Client) -> Result<Statement, LoadError> {
        Ok(client.prepare(sql::MARK).await?)
    }

    /// As [`Self::mark`], in one round trip.
    ///
    /// # Errors
    /// [`LoadError`] where the database cannot be reached.
    pub async fn mark_by(client: &Client, question: &Statement) -> Result<u64, LoadError> {
        let row = client.query_one(question, &[]).await?;
        let text: String = row.try_get(0)?;
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        Ok(hash.as_ref().iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte)))
    }
}
