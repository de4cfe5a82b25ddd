//! The answer of [`super::decide`], and the permit that only an allowing answer carries.

use std::sync::Arc;

use super::export::ExportClaim;
use crate::access::{Grant, GrantId, Guards, Region};

/// Whether a statement may run, and by what.
#[derive(Debug)]
pub enum Verdict {
    Allow(Permit),
    Deny(Denial),
}

/// Proof that policy allowed one statement under one grant. Only [`super::decide`] makes one; the journal consumes it and
/// gives the receipt without which nothing can be forwarded.
#[derive(Debug)]
#[must_use = "a permit that is dropped lets nothing through"]
pub struct Permit {
    grant: Arc<Grant>,
    exports: Vec<ExportClaim>,
    data_region: Option<Region>,
}

impl Permit {
    pub(in crate::policy) fn new(grant: Arc<Grant>) -> Self {
        Self { grant, exports: Vec::new(), data_region: None }
    }

    /// A permit for the unit tests of other layers; no build of the program has it.
    #[cfg(test)]
    pub(crate) fn for_test(grant: GrantId, row_limit: Option<u64>) -> Self {
        let scope = crate::access::Scope {
            name: "test".to_owned(),
            database: "test".to_owned(),
            regions: Vec::new(),
            requesters: Vec::new(),
            approvers: Vec::new(),
            approvals: 0,
            max_duration: std::time::Duration::ZERO,
            guards: Guards { row_limit, ..Guards::default() },
            rules: crate::access::Rules::default(),
            allow: Vec::new(),
        };
        Self::new(Arc::new(Grant {
            id: grant,
            request: crate::access::RequestId::from_text("req_test"),
            principal: "test".to_owned(),
            scope: Arc::new(scope),
            statement: None,
            uses: None,
            used: 0,
            origin: crate::access::Origin::Asked,
            reason: "test".to_owned(),
            ticket: None,
            approvers: Vec::new(),
            not_before: jiff::Timestamp::MIN,
            expires_at: jiff::Timestamp::MAX,
            revocation: None,
        }))
    }

    /// With what the statement's rows count against when they leave.
    pub(in crate::policy) fn with_exports(self, exports: Vec<ExportClaim>) -> Self {
        Self { exports, ..self }
    }

    /// With the region that keeps the statement's records, where it is not the upstream's.
    pub(crate) fn with_data_region(self, data_region: Option<Region>) -> Self {
        Self { data_region, ..self }
    }

    /// The region that keeps the statement's records, where it is not the upstream's.
    #[must_use]
    pub fn data_region(&self) -> Option<&Region> {
        self.data_region.as_ref()
    }

    /// The bounds that the statement's rows count against.
    #[must_use]
    pub fn exports(&self) -> &[ExportClaim] {
        &self.exports
    }

    /// The grant that allows the statement.
    #[must_use]
    pub fn grant(&self) -> &GrantId {
        &self.grant.id
    }

    /// The same, with all that it says.
    #[must_use]
    pub fn full_grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// What bounds the statement.
    #[must_use]
    pub fn guards(&self) -> Guards {
        self.grant.scope.guards
    }
}

/// A refusal, as a value. `rule` is a stable word that metrics and searches count by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub rule: Rule,
    /// The primary message: short, can stand alone.
    pub message: String,
    /// Facts: the object and the rule.
    pub detail: String,
    /// The command that would ask for what was missing.
    pub hint: Option<String>,
}

/// The rules by which a statement is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// No live grant of the principal on this database.
    NoGrant,
    /// The text could not be read (SQLSTATE 0A000).
    Unreadable,
    /// A name could not be resolved in the catalog.
    Unresolved,
    /// A relation or operation outside the scope.
    Scope,
    /// A column outside the scope.
    Column,
    /// A function that is neither harmless nor named by the scope.
    Function,
    /// A catalog relation that holds data or secrets.
    Catalog,
    /// Data of a region that the grant does not cover.
    Region,
    /// A client in a region from which the data may not be touched.
    ClientRegion,
    /// Data that would leave its region: uncounted, or beyond what may leave under the grant.
    Export,
    /// Data with a label that the grant's approvers were not shown.
    Label,
    /// Rows past their time, which are not to be read though they are still there.
    Retention,
    /// A kind of statement that no scope gives.
    Statement,
    /// A setting that changes meaning or guards.
    Setting,
    /// A side effect that reading does not cover: row locks, rules, triggers.
    Effect,
    /// A guard rail of the scope: a condition or a reason is missing, or the session's transaction could write.
    Guard,
    /// The grant is for one other statement.
    StatementGrant,
    /// What the principal does is unusual, and nobody has looked at it yet.
    Unusual,
    /// A message of the protocol that pgward refuses (FunctionCall).
    Protocol,
    /// A session holds as much as it may (SQLSTATE 54000).
    Limit,
    /// PostgreSQL says that it touches more, or could not be asked where it must be.
    SecondOpinion,
    /// The journal could not record the statement.
    Journal,
}

impl Rule {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::NoGrant => "no-grant",
            Rule::Label => "label",
            Rule::Unreadable => "unreadable",
            Rule::Unresolved => "unresolved",
            Rule::Scope => "scope",
            Rule::Column => "column",
            Rule::Function => "function",
            Rule::Catalog => "catalog",
            Rule::Region => "region",
            Rule::ClientRegion => "client-region",
            Rule::Export => "export",
            Rule::Retention => "retention",
            Rule::Statement => "statement",
            Rule::Setting => "setting",
            Rule::Effect => "effect",
            Rule::Guard => "guard",
            Rule::StatementGrant => "statement-grant",
            Rule::Unusual => "unusual",
            Rule::Protocol => "protocol",
            Rule::Limit => "limit",
            Rule::SecondOpinion => "second-opinion",
            Rule::Journal => "journal",
        }
    }

    /// The SQLSTATE that a client sees.
    #[must_use]
    pub fn sqlstate(self) -> &'static str {
        match self {
            Rule::Unreadable => "0A000",
            Rule::Journal => "58030",
            Rule::Limit => "54000",
            Rule::NoGrant
            | Rule::Unresolved
            | Rule::Scope
            | Rule::Column
            | Rule::Function
            | Rule::Catalog
            | Rule::Region
            | Rule::ClientRegion
            | Rule::Export
            | Rule::Label
            | Rule::Retention
            | Rule::Statement
            | Rule::Setting
            | Rule::Effect
            | Rule::Guard
            | Rule::StatementGrant
            | Rule::Unusual
            | Rule::Protocol
            | Rule::SecondOpinion => "42501",
        }
    }
}
