//! Which catalogs a session's next statement is judged by: the committed ones, or, where its transaction has changed the schema,
//! those that this transaction sees. What is not known is not guessed: until it is, nothing goes that depends on it.

use std::sync::Arc;

use super::analysis::{Analysis, Meaning, Part};
use super::reason::ReasonChange;
use super::replies::{Asked, Effect, Unanswered};
use crate::access::Operation;
use crate::catalog::{Footprint, Snapshot, TouchedRelation};
use crate::policy::{Denial, Rule, is_catalog};
use crate::sql::tree::{Action, Query, SetExpr};
use crate::wire::backend::{ErrorFields, TransactionStatus};
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

/// Names that are kept of what one segment changes; with more it counts as everything.
const MAX_NAMES: usize = 1_000;

/// Which catalogs count.
#[derive(Debug, Default)]
pub enum Sight {
    /// The committed ones, shared with all sessions.
    #[default]
    Committed,
    /// The transaction has changed them, and has not been asked yet.
    Changed,
    /// What the transaction sees; and the version of the committed ones beside it, by which changes of others are noticed.
    Own { snapshot: Arc<Snapshot>, beside: u64 },
    /// The transaction cannot be asked: until it is over, nothing that depends on them passes.
    Lost(Box<Denial>),
}

/// What the statements of one segment do to the catalogs that those behind them are judged by.
#[derive(Debug, Default)]
enum Changes {
    #[default]
    None,
    /// Things of these names.
    Named(Vec<Box<str>>),
    All,
}

/// One session's view of its own schema changes.
#[derive(Debug, Default)]
pub struct Uncommitted {
    pub sight: Sight,
    /// A transaction that changed the schema is over: the committed catalogs are to be looked at anew.
    pub is_over: bool,
    /// What the segment that is judged now changes.
    changes: Changes,
    /// A segment was sent that changes something, and is not answered: nothing is judged until it is.
    awaits: bool,
    /// Some message of the segment has been judged.
    begun: bool,
    /// What the upstream last said of the transaction, as long as the next statement finds it so.
    status: Option<TransactionStatus>,
    /// What the client is told in place of the next refusal: why its transaction has failed.
    failure: Option<Box<ClientVisible>>,
}

impl Uncommitted {
    /// Tells how the transaction stands, before messages are judged.
    pub fn brief(&mut self, status: Option<TransactionStatus>) {
        self.status = status.filter(|_| !self.begun);
    }

    /// A message is judged.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// A Query or Sync was judged.
    pub fn end_segment(&mut self) {
        self.awaits |= !matches!(std::mem::take(&mut self.changes), Changes::None);
        self.begun = false;
        self.status = None;
    }

    /// Whether what follows waits for answers.
    #[must_use]
    pub fn awaits(&self) -> bool {
        self.awaits
    }

    /// Whether the transaction is known to have failed: nothing but its end would run.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.failure.is_some() || self.status == Some(TransactionStatus::Failed)
    }

    /// Whether the transaction has changed the catalogs, and has not been asked since.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self.sight, Sight::Changed)
    }

    /// Whether statements are judged by what the transaction sees.
    #[must_use]
    pub fn sees_own(&self) -> bool {
        matches!(self.sight, Sight::Own { .. })
    }

    /// Whether what comes from the upstream matters here.
    #[must_use]
    pub fn is_involved(&self) -> bool {
        self.awaits || !matches!(self.sight, Sight::Committed)
    }

    /// Whether a message that depends on the catalogs is not to be judged now: the transaction is asked first, as soon as it is
    /// known how it stands.
    pub fn postpones(&mut self) -> bool {
        if !matches!(self.sight, Sight::Changed) || self.begun || self.status == Some(TransactionStatus::Failed) {
            return false;
        }
        self.awaits |= self.status.is_none();
        true
    }

    /// Whether the transaction is to be asked before a message is judged that depends on the catalogs.
    #[must_use]
    pub fn asks(&self) -> bool {
        let in_block = self.status == Some(TransactionStatus::InBlock);
        matches!(self.sight, Sight::Changed) && !self.begun && in_block
    }

    /// Whether a statement of the segment changes what those behind it are judged by.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        !matches!(self.changes, Changes::None)
    }

    /// A statement was allowed that has this effect.
    pub fn look_ahead(&mut self, effect: &Effect, footprint: Option<&Footprint>) {
        match effect {
            Effect::Catalogs => self.note(footprint),
            Effect::Reason(change) if ends_something(change) => {
                self.status = None;
                self.failure = None;
                if !matches!((&self.sight, &self.changes), (Sight::Committed, Changes::None)) {
                    self.changes = Changes::All;
                }
            }
            Effect::Reason(_) | Effect::None | Effect::Settings | Effect::ApplicationName(_) => {}
        }
    }

    fn note(&mut self, footprint: Option<&Footprint>) {
        let Some(footprint) = footprint else {
            self.changes = Changes::All;
            return;
        };
        let changed = footprint.relations.iter().filter(|touched| touched.operation == Operation::Ddl);
        let names: Vec<Box<str>> = changed.map(|touched| touched.name.as_str().into()).collect();
        let mut known = match std::mem::take(&mut self.changes) {
            Changes::None => Vec::new(),
            Changes::Named(known) => known,
            Changes::All => {
                self.changes = Changes::All;
                return;
            }
        };
        known.extend(names);
        // A schema has no name of its own there, and what lies in it has many.
        let is_bounded = known.len() <= MAX_NAMES && known.iter().all(|name| !name.is_empty());
        self.changes = if is_bounded { Changes::Named(known) } else { Changes::All };
    }

    /// Refuses what was judged by catalogs that a statement in front of it, in the same segment, may have changed.
    pub fn check(&self, meaning: &Meaning, footprint: Option<&Footprint>) -> Result<(), Denial> {
        let is_touched = |is_changed: &dyn Fn(&TouchedRelation) -> bool| {
            let reads = meaning.statement().is_none_or(|statement| reads(&statement.action));
            reads && footprint.is_none_or(|footprint| footprint.relations.iter().any(is_changed))
        };
        let refused = match &self.changes {
            Changes::None => false,
            Changes::Named(names) => is_touched(&|touched| names.iter().any(|name| **name == *touched.name)),
            Changes::All => is_touched(&|touched| !is_catalog(&touched.schema)),
        };
        if refused { Err(unsettled()) } else { Ok(()) }
    }

    /// Says what to do about a name that is not known, where a statement in front may be what makes it.
    pub fn explain(&self, denial: &mut Denial) {
        if denial.rule == Rule::Unresolved && self.is_changing() {
            denial.hint.get_or_insert_with(|| APART.to_owned());
        }
    }

    /// Refuses what depends on catalogs that are not known.
    pub fn sighted(&self, meaning: &Meaning) -> Result<(), Denial> {
        match &self.sight {
            Sight::Committed | Sight::Own { .. } => Ok(()),
            Sight::Changed | Sight::Lost(_) if !depends(&meaning.analysis, meaning.part) => Ok(()),
            Sight::Changed => Err(unsettled()),
            Sight::Lost(denial) => Err(denial.as_ref().clone()),
        }
    }

    /// What a client is told of a refusal: in a transaction that has failed, as PostgreSQL would have told it.
    pub fn instead(&mut self, rule: Rule) -> Option<ClientVisible> {
        if let Some(failure) = self.failure.take() {
            return Some(*failure);
        }
        let is_failed = self.status == Some(TransactionStatus::Failed);
        (is_failed && rule == Rule::Unresolved).then(|| {
            let text = "current transaction is aborted, commands ignored until end of transaction block";
            ClientVisible::new(Severity::Error, sqlstate::IN_FAILED_TRANSACTION, text)
        })
    }

    /// A statement has ended that has had this effect.
    pub fn happened(&mut self, effect: &Effect) {
        let changes = match effect {
            Effect::Catalogs => true,
            Effect::Reason(change) => ends_something(change) && !matches!(self.sight, Sight::Committed),
            Effect::None | Effect::Settings | Effect::ApplicationName(_) => false,
        };
        if changes {
            self.sight = Sight::Changed;
        }
    }

    /// Everything that was sent is answered. Answers whether a transaction that changed the schema is over.
    pub fn settled(&mut self, status: TransactionStatus) -> bool {
        self.awaits = false;
        match status {
            TransactionStatus::InBlock | TransactionStatus::Failed => false,
            TransactionStatus::Idle => {
                let was_changed = !matches!(std::mem::take(&mut self.sight), Sight::Committed);
                self.is_over |= was_changed;
                self.failure = None;
                was_changed
            }
        }
    }

    /// Others have changed the catalogs since the transaction was asked.
    pub fn overtaken(&mut self) {
        self.sight = Sight::Changed;
    }

    /// The committed ones cannot be read, so the transaction was not asked.
    pub fn unreadable(&mut self, denial: Denial) {
        self.sight = Sight::Lost(Box::new(denial));
    }

    /// What came of asking the transaction.
    pub fn asked(&mut self, asked: Asked, beside: u64) {
        self.sight = match asked {
            Ok(snapshot) => Sight::Own { snapshot: Arc::new(snapshot), beside },
            Err(Unanswered::Isolation(isolation)) => Sight::Lost(Box::new(isolated(&isolation))),
            Err(Unanswered::Failed(fields)) => {
                self.failure = Some(Box::new(failed(&fields)));
                // A ROLLBACK TO may save the transaction, and it is asked again then.
                Sight::Changed
            }
        };
    }
}

/// Whether any statement of a text depends on the catalogs.
#[must_use]
pub fn any_depends(analysis: &Analysis) -> bool {
    (0..analysis.statements().len()).any(|index| depends(analysis, Part::Whole(index)))
}

/// Whether what a statement means depends on the catalogs. The ends of transactions do not, and have to pass.
pub fn depends(analysis: &Analysis, part: Part) -> bool {
    analysis.statement(part).is_some_and(|statement| !matches!(statement.action, Action::Transaction(_)))
}

/// Whether a statement changes the catalogs though it is none that is made for that.
#[must_use]
pub fn makes_table(action: &Action) -> bool {
    if let Action::Explain { analyze: true, inner } = action {
        return matches!(**inner, Action::Ddl(_)) || makes_table(inner);
    }
    if let Action::Query(query) = action { selects_into(query) } else { false }
}

fn selects_into(query: &Query) -> bool {
    let mut body = &query.body;
    loop {
        match body {
            SetExpr::Select(select) => return select.into.is_some(),
            SetExpr::Query(query) => body = &query.body,
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Values(_) => return false,
        }
    }
}

/// Whether it takes back what was done before it, or may.
fn ends_something(change: &ReasonChange) -> bool {
    match change {
        ReasonChange::Commit | ReasonChange::Rollback | ReasonChange::RollbackTo(_) => true,
        ReasonChange::Set(_) | ReasonChange::SetLocal(_) | ReasonChange::Savepoint(_) | ReasonChange::Release(_) => {
            false
        }
    }
}

/// Whether rows are read or written. A schema change without a query is judged by names alone.
fn reads(action: &Action) -> bool {
    match action {
        Action::Transaction(_) => false,
        Action::Ddl(ddl) => ddl.query.is_some(),
        _rows => true,
    }
}

const APART: &str = "Send it in a message of its own, after the answer to that statement.";

fn unsettled() -> Denial {
    Denial {
        rule: Rule::Unresolved,
        message: "what the statement touches is not settled yet".to_owned(),
        detail: "A statement sent in front of it, with no answer in between, changes the schema or takes such a change back \
                 (rule unresolved)"
            .to_owned(),
        hint: Some(APART.to_owned()),
    }
}

fn isolated(isolation: &str) -> Denial {
    Denial {
        rule: Rule::Unresolved,
        message: format!(
            "after a schema change, pgward cannot follow a transaction that is {}",
            isolation.to_uppercase()
        ),
        detail:
            "Such a transaction does not see what others change in the catalogs, and its names go by that all the same \
                 (rule unresolved)"
                .to_owned(),
        hint: Some("Change the schema in a transaction that is READ COMMITTED.".to_owned()),
    }
}

/// Where pgward's own question failed, the client's statement did not run: for the same reason.
fn failed(fields: &ErrorFields) -> ClientVisible {
    let message = if fields.sqlstate == sqlstate::QUERY_CANCELED {
        ClientVisible::new(Severity::Error, sqlstate::QUERY_CANCELED, fields.message.clone())
    } else {
        let text = "permission denied: the catalogs cannot be read in this transaction";
        ClientVisible::new(Severity::Error, sqlstate::INSUFFICIENT_PRIVILEGE, text)
    };
    message.detail(format!(
        "The statement did not run: pgward asked what the schema is after the changes of this transaction, and the answer was {}.",
        fields.sqlstate
    ))
}
