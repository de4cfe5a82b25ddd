//! The question that the control port puts to those who can decide: what would the verdict be?

use std::net::IpAddr;

use super::api::{RelationView, VerdictWord};
use crate::access::{GrantId, Principal};

/// One statement to be judged, not run.
#[derive(Clone, Debug)]
pub struct ExplainQuestion {
    pub database: String,
    pub principal: Principal,
    /// Where the caller stands: the region of a client depends on it.
    pub client: IpAddr,
    pub sql: String,
}

/// What the verdict would be, and why.
#[derive(Clone, Debug)]
pub struct ExplainAnswer {
    pub verdict: VerdictWord,
    pub grant: Option<GrantId>,
    /// The rule's stable word.
    pub rule: Option<String>,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub relations: Vec<RelationView>,
    pub fingerprint: Option<String>,
    /// How the verdict came about, in order.
    pub steps: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("database \"{0}\" is not configured")]
    NoDatabase(String),
    /// The catalog of the upstream has not been read yet.
    #[error("the catalog of database \"{0}\" is not known yet")]
    NotReady(String),
    #[error("the statement could not be judged: {0}")]
    Failed(String),
}

/// Judges statements without running them.
#[async_trait::async_trait]
pub trait Explain: Send + Sync + std::fmt::Debug {
    /// Judges one text by the rules and grants of this instant.
    async fn explain(&self, question: ExplainQuestion) -> Result<ExplainAnswer, ExplainError>;

    /// Databases whose upstream catalog is not known: the process is not ready while there are any.
    fn not_ready(&self) -> Vec<String>;
}
