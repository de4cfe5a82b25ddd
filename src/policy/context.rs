//! What a decision rests on besides the statement: the database's classification and the client's place.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::export::Exported;
use super::hidden::Hidden;
use crate::access::{Export, Grant, GrantId, ObjectPattern, Region, Scope};

/// One logical database as policy sees it.
#[derive(Clone, Debug)]
pub struct DatabasePolicy {
    pub name: String,
    /// Where this upstream stores its data, unless a classification says otherwise.
    pub region: Region,
    /// One of several upstreams: only grants that cover its region count on it, whatever a statement touches.
    pub routed: bool,
    pub data: Vec<DataClass>,
    /// The regions that have rules of their own, the same for every database.
    pub rules: Arc<BTreeMap<Region, RegionRule>>,
    /// Rows past their time that are not to be read.
    pub hidden: Hidden,
}

/// What `[regions.NAME]` says of the data that lies there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegionRule {
    /// Only clients in these regions may touch it; `None` is any.
    pub clients: Option<Vec<Region>>,
    /// What may leave to clients elsewhere; `None` is any amount, to clients alone.
    pub export: Option<Export>,
}

impl DatabasePolicy {
    /// Whether anything here is counted when it leaves its region.
    #[must_use]
    pub fn counts_exports(&self) -> bool {
        let counted = |export: &Option<Export>| matches!(export, Some(Export::Limited(_)));
        self.data.iter().any(|class| counted(&class.export)) || self.rules.values().any(|rule| counted(&rule.export))
    }
}

/// One `[[database.data]]`: the most specific pattern that matches a relation decides.
#[derive(Clone, Debug, PartialEq)]
pub struct DataClass {
    pub on: ObjectPattern,
    pub columns: Option<Vec<String>>,
    pub region: Option<Region>,
    /// Only clients in these regions may touch it; `None` is any.
    pub clients: Option<Vec<Region>>,
    /// What of it may leave its region to clients elsewhere; `None` is any amount, to clients alone.
    pub export: Option<Export>,
    pub labels: Vec<String>,
}

/// Everything about the session that a verdict depends on.
#[derive(Clone, Debug)]
pub struct Context {
    pub database: Arc<DatabasePolicy>,
    pub principal: Arc<str>,
    /// `None` where no declared network holds the client's address.
    pub client_region: Option<Region>,
    /// Every grant of the principal on this database that is not yet over, newest last.
    pub grants: Arc<[Arc<Grant>]>,
    pub now: Timestamp,
    /// The `search_path` that the session is pinned to, in the spellings that mean the same
    /// ([`crate::catalog::Snapshot::search_paths`]): a client may set it to one of these and to nothing else.
    pub search_paths: Arc<[String]>,
    /// The scopes of this database that the principal may request: hints name one that would have helped.
    pub requestable: Arc<[Arc<Scope>]>,
    pub session: SessionState,
    /// What has left already under these grants, as far as the database counts that.
    pub exported: Arc<Exported>,
    /// The grant of which what goes on here has taken a use already: a portal that is read further.
    pub goes_on: Option<GrantId>,
}

impl Context {
    /// The grants that are live now.
    pub(in crate::policy) fn live(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants.iter().filter(|grant| grant.is_live_at(self.now))
    }
}

/// What the session itself has said and become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// Whether it has given a reason.
    pub has_reason: bool,
    /// Whether a transaction of it may be READ WRITE.
    pub writable: bool,
    /// Whether RESET ALL makes its transactions READ ONLY, because it was opened so.
    pub opened_read_only: bool,
}
