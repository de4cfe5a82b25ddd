//! The live sessions, for those who list and kill them. The only part of `session` that `control` knows.

use jiff::Timestamp;

use crate::access::{GrantId, Region, SessionId};

/// One live session as a listing shows it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    pub id: SessionId,
    pub principal: String,
    pub database: String,
    pub client_addr: String,
    pub client_region: Option<Region>,
    pub application_name: String,
    pub opened_at: Timestamp,
    pub grants: Vec<GrantId>,
    /// The statement that runs now.
    pub statement: Option<String>,
    /// Statements so far.
    pub statements: u64,
}

/// All live sessions of this process.
#[derive(Debug, Default)]
pub struct Registry {}

impl Registry {
    /// Every live session, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<SessionInfo> {
        Vec::new()
    }

    /// Ends a session, its running statement cancelled. Answers whether there was one.
    pub fn kill(&self, _id: &SessionId, _by: &str, _reason: Option<&str>) -> bool {
        false
    }
}
