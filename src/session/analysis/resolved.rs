//! What the statements of a text touch, by one version of the catalogs, with the verdicts and opinions on them.

use std::sync::OnceLock;

use tokio::sync::OnceCell;

use super::{Part, prepared_by};
use crate::audit::RelationsPart;
use crate::catalog::{self, Footprint, Oid, Snapshot, Unresolved};
use crate::policy::{self, Matter};
use crate::session::opinions::Finding;
use crate::session::records::relations_part;
use crate::sql::tree::Statement;

/// What each statement of one text touches, by one version of the catalogs.
#[derive(Debug)]
pub struct Resolved {
    version: u64,
    statements: Vec<Touches>,
    /// PostgreSQL's own opinion of each, where it was asked.
    findings: Vec<OnceCell<Finding>>,
    /// What each touches, as the journal's records tell it.
    relations: Vec<OnceLock<RelationsPart>>,
}

/// A statement's own footprint, and that of the statement that a PREPARE holds.
#[derive(Debug)]
struct Touches {
    whole: Matter,
    prepared: Option<Matter>,
}

impl Resolved {
    /// Of the statements of one text.
    pub(super) fn of(statements: &[Statement], types: Option<&[Oid]>, snapshot: &Snapshot) -> Self {
        let touched = |statement: &Statement| {
            let whole = match types {
                Some(types) => catalog::resolve_with(snapshot, &statement.action, types),
                None => catalog::resolve(snapshot, &statement.action),
            };
            // A PREPARE touches its parameters' types and what its statement does: so does each EXECUTE of it.
            Touches { prepared: prepared_by(statement).map(|_| Matter::new(whole.clone())), whole: Matter::new(whole) }
        };
        let statements: Vec<Touches> = statements.iter().map(touched).collect();
        let findings = statements.iter().map(|_| OnceCell::new()).collect();
        Self::with(snapshot.version, statements, findings)
    }

    /// Of every text of a shape, by the statement that stands for them; `None` where by these catalogs one may differ from
    /// another. No opinion is kept: PostgreSQL is asked about a text.
    pub(super) fn of_shape(stand_in: &Statement, snapshot: &Snapshot) -> Option<Self> {
        let catalog::Weighed { resolved, plain } = catalog::resolve_weighed(snapshot, &stand_in.action);
        let footprint = resolved.ok().filter(|footprint| plain && policy::is_literal_free(footprint))?;
        let whole = Matter::shared(Ok(footprint));
        Some(Self::with(snapshot.version, vec![Touches { whole, prepared: None }], Vec::new()))
    }

    fn with(version: u64, statements: Vec<Touches>, findings: Vec<OnceCell<Finding>>) -> Self {
        let relations = statements.iter().map(|_| OnceLock::new()).collect();
        Self { version, statements, findings, relations }
    }

    /// The version of the catalogs.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// What the statement at `part` touches, and the verdicts on it.
    #[must_use]
    pub fn matter(&self, part: Part) -> Option<&Matter> {
        match part {
            Part::Whole(index) => self.statements.get(index).map(|touches| &touches.whole),
            Part::Prepared(index) => self.statements.get(index).and_then(|touches| touches.prepared.as_ref()),
            Part::Empty => None,
        }
    }

    /// What the statement at `part` touches.
    #[must_use]
    pub fn footprint(&self, part: Part) -> Option<&Result<Footprint, Unresolved>> {
        self.matter(part).map(Matter::resolved)
    }

    /// What the statement at `part` touches, as its records tell.
    #[must_use]
    pub fn relations(&self, part: Part) -> RelationsPart {
        let footprint = || self.footprint(part).and_then(|footprint| footprint.as_ref().ok());
        let made = || footprint().map(relations_part).unwrap_or_default();
        match part {
            Part::Whole(index) => self.relations.get(index).map_or_else(made, |known| known.get_or_init(made).clone()),
            Part::Prepared(_) | Part::Empty => made(),
        }
    }

    /// Where the second opinion on the statement at `part` is kept. A PREPARE and what it prepares are one question.
    #[must_use]
    pub fn finding(&self, part: Part) -> Option<&OnceCell<Finding>> {
        match part {
            Part::Whole(index) | Part::Prepared(index) => self.findings.get(index),
            Part::Empty => None,
        }
    }

    /// Whether some name was not found: newer catalogs may know it.
    #[must_use]
    pub fn has_unresolved(&self) -> bool {
        let matters = self.statements.iter().flat_map(|touches| [Some(&touches.whole), touches.prepared.as_ref()]);
        matters.flatten().any(|matter| matter.resolved().is_err())
    }
}
