//! One answer that is owed: the step that asked for it, and the statements that wait for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::access::{GrantId, Guards, Region};
use crate::audit::EndedBy;
use crate::session::analysis::Meaning;
use crate::session::exports::Meter;
use crate::session::given::Given;
use crate::session::names::{Change, NameChange};
use crate::session::reason::ReasonChange;
use crate::sql::tree::CopyDirection;
use crate::wire::encode::ClientVisible;

/// One statement that runs, or waits to.
#[derive(Debug)]
pub struct Running {
    /// The `seq` of its first record.
    pub seq: u64,
    pub grant: Option<GrantId>,
    /// The region that keeps its records, where it is not the upstream's.
    pub data_region: Option<Region>,
    /// What its grant bounds it by.
    pub guards: Guards,
    /// Counts its rows as they leave their region, where they do.
    pub meter: Option<Box<Meter>>,
    pub rows: u64,
    pub bytes: u64,
    /// Bytes of the rows that it has returned, without the headers of their messages.
    pub returned: u64,
    /// What the same portal gave before.
    pub portal: Option<Arc<Given>>,
    /// Which way its data goes, where it is a COPY: a server may ask for the client's data, or send data, for no other.
    pub copy: Option<CopyDirection>,
    /// Whether its COPY is binary: the end of its data is then a message of its own.
    pub binary_copy: bool,
    pub text: Arc<str>,
    /// The command tag that the client is told where pgward answers the statement itself, in place of the upstream's.
    pub tag: Option<&'static str>,
    pub started: Instant,
    /// When its turn came; only where its time is bounded.
    pub began: Option<Instant>,
    pub changes: Vec<NameChange>,
    pub effect: Effect,
    /// Why pgward itself is ending it: what the client is told in place of the upstream's error.
    pub ending: Option<Box<(EndedBy, ClientVisible)>>,
    /// Whether rows were kept from the client, so that success can no longer be said.
    pub cut: bool,
}

/// What a statement changes besides data, once it has succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// The catalogs are not what they were.
    Catalogs,
    /// `SET pgward.reason`, and what undoes or keeps it.
    Reason(Box<ReasonChange>),
    /// RESET ALL and DISCARD ALL: every setting is as the session was opened.
    Settings,
    /// `SET application_name`.
    ApplicationName(Box<str>),
}

/// What one message asked of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Query,
    Parse,
    Bind,
    Describe,
    /// pgward's own Describe of a cursor in front of the client's: its answer is for nobody, its error for the client.
    Probe,
    /// pgward's own Parse or Close around a Bind of the client's: its answer is for nobody, its error for the client.
    Around,
    Close,
    Execute,
    Sync,
    /// A CopyDone or CopyFail that was sent before the COPY was known to have begun.
    CopyEnd,
    /// pgward's own: its answers are for nobody else.
    Own,
}

/// One answer that is owed.
#[derive(Debug)]
pub struct Expected {
    pub step: Step,
    pub statements: VecDeque<Running>,
    /// Changes of names by the step itself.
    pub changes: Vec<NameChange>,
    /// What the client is told in place of the error that the upstream was made to give.
    pub denied: Option<Box<ClientVisible>>,
    /// Orders the step among changes of names.
    pub change: Change,
    /// The statement that a Describe asks about.
    pub describes: Option<Arc<Meaning>>,
    pub(super) failed: bool,
}

impl Running {
    /// Whether its rows, bytes or time are bounded.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.guards.bounds() || self.meter.is_some()
    }
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
            describes: None,
            failed: false,
        }
    }

    /// Whether it runs a statement.
    pub(super) fn runs(&self) -> bool {
        matches!(self.step, Step::Query | Step::Execute) && !self.statements.is_empty()
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
