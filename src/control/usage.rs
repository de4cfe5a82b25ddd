//! The questions how scopes were used and where data went, which others answer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

pub use crate::usage::{ResidencyReport, ScopesReport, page};

/// Which scopes, and how far back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ScopesQuestion {
    /// Days of the journal [default: 90]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// One scope alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Which database, and which time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ResidencyQuestion {
    /// Every one where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// From this instant on [default: 90 days before the end]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Up to this instant [default: now]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// `json` or `html` [default: json]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Unavailable(String),
}

/// Reads the journal for what was used.
#[async_trait::async_trait]
pub trait Usage: Send + Sync + std::fmt::Debug {
    async fn scopes(&self, question: ScopesQuestion) -> Result<ScopesReport, UsageError>;

    async fn residency(&self, question: ResidencyQuestion) -> Result<ResidencyReport, UsageError>;
}
