//! The question who reaches data without pgward, which others answer.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

pub use crate::standing::Report;

/// What the report is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PermissionsQuestion {
    /// How many days of the journal are looked at for use [default: 90]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// Also of relations that no `[[database.data]]` classifies.
    #[serde(default)]
    pub all: bool,
    /// What changed since then: RFC 3339, or a time that has passed, such as `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermissionsError {
    #[error("database \"{0}\" is not configured")]
    NoDatabase(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Unavailable(String),
}

/// Asks databases who reaches what.
#[async_trait::async_trait]
pub trait Permissions: Send + Sync + std::fmt::Debug {
    /// The report on one database, or one of its upstreams.
    async fn permissions(&self, database: &str, question: PermissionsQuestion) -> Result<Report, PermissionsError>;
}
