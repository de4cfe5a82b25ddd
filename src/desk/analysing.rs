//! Looking at the statement of a request before anybody is asked to approve it.

use async_trait::async_trait;

use super::{Actor, Desk, DeskError};
use crate::access::{Analysis, Scope};

/// Looks at statements.
#[async_trait]
pub trait Analyse: Send + Sync + std::fmt::Debug {
    /// What the statement does, as its approvers are to be shown.
    ///
    /// # Errors
    /// [`NotAnalysed`]: nobody is to be asked to approve it.
    async fn analyse(&self, actor: &Actor, scope: &Scope, statement: &str) -> Result<Analysis, NotAnalysed>;
}

/// Why nobody is asked to approve a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnalysed {
    /// No grant of the scope would let it run.
    #[error("the statement could not run under this scope: {why}")]
    Never { why: String, hint: Option<String> },
    #[error("the statement cannot be looked at now: {0}")]
    NotNow(String),
}

impl Desk {
    /// What the approvers of a statement are to be shown; nothing for those who may not ask, who are refused elsewhere.
    pub(super) async fn analysis(
        &self,
        actor: &Actor,
        scope: &Scope,
        statement: Option<&str>,
    ) -> Result<Option<Analysis>, DeskError> {
        match statement.filter(|_| scope.may_request(&actor.principal)) {
            Some(statement) => Ok(Some(self.parts.analyst.analyse(actor, scope, statement).await?)),
            None => Ok(None),
        }
    }
}
