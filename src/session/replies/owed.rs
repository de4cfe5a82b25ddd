//! One answer that is owed: the step that asked for it, and the statements that wait for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use crate::access::GrantId;
use crate::audit::EndedBy;
use crate::session::names::{Change, NameChange};
use crate::wire::encode::ClientVisible;

/// One statement that runs, or waits to.
#[derive(Debug)]
pub struct Running {
    /// The `seq` of its first record.
    pub seq: u64,
    pub grant: Option<GrantId>,
    pub row_limit: Option<u64>,
    pub rows: u64,
    pub bytes: u64,
    /// Rows that the same portal gave before.
    pub portal: Option<Arc<AtomicU64>>,
    pub text: Arc<str>,
    pub started: Instant,
    pub changes: Vec<NameChange>,
    pub effect: Effect,
    /// Why pgward itself is ending it: what the client is told in place of the upstream's error.
    pub ending: Option<(EndedBy, ClientVisible)>,
    /// Whether rows were kept from the client, so that success can no longer be said.
    pub cut: bool,
}

/// What a statement changes besides data, once it has succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// The catalogs are not what they were.
    Catalogs,
    /// `SET pgward.reason`; `None` is RESET.
    Reason(Option<String>),
    /// `SET application_name`.
    ApplicationName(String),
}

/// What one message asked of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Query,
    Parse,
    Bind,
    Describe,
    Close,
    Execute,
    Sync,
    /// A CopyDone or CopyFail that was sent before the COPY was known to have begun.
    CopyEnd,
}

/// One answer that is owed.
#[derive(Debug)]
pub struct Expected {
    pub step: Step,
    pub statements: VecDeque<Running>,
    /// Changes of names by the step itself.
    pub changes: Vec<NameChange>,
    /// What the client is told in place of the error that the upstream was made to give.
    pub denied: Option<ClientVisible>,
    /// Orders the step among changes of names.
    pub change: Change,
    pub(super) failed: bool,
    /// Asked by pgward on its own: the client is told nothing of the answer.
    pub(super) silent: bool,
}

impl Expected {
    #[must_use]
    pub fn new(step: Step, change: Change) -> Self {
        Self {
            step,
            statements: VecDeque::new(),
            changes: Vec::new(),
            denied: None,
            change,
            failed: false,
            silent: false,
        }
    }

    /// For a Query of pgward's own.
    #[must_use]
    pub fn silent(change: Change) -> Self {
        Self { silent: true, ..Self::new(Step::Query, change) }
    }

    #[must_use]
    pub fn with_changes(mut self, changes: Vec<NameChange>) -> Self {
        self.changes = changes;
        self
    }
}

/// COPY FROM STDIN, as far as the upstream has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyIn {
    No,
    /// It waits for data; whether a Sync of the client's was held back meanwhile.
    Open {
        held_sync: bool,
    },
}
