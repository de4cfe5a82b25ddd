//! Statements that mean something to pgward itself: `SHOW pgward.…`, `SET pgward.reason`, and those that give and take
//! names.

use std::sync::Arc;

use jiff::Timestamp;

use super::analysis::{Analysis, Meaning, Part};
use super::asking;
use super::names::{Key, NameChange, Names, Portal, TooMany};
use super::pass::Answer;
use super::reason::{ReasonChange, reason};
use super::replies::Effect;
use super::uncommitted::makes_table;
use crate::access::{Grant, GrantState};
use crate::audit::Record;
use crate::policy::{Denial, Rule};
use crate::sql::tree::{Action, Setting, Statement, Transaction};

const GRANTS: &str = "pgward.grants";
const SESSION: &str = "pgward.session";
const REASON: &str = "pgward.reason";

/// What there is to tell of a session.
#[derive(Debug)]
pub struct Facts {
    pub now: Timestamp,
    pub grants: Arc<[Arc<Grant>]>,
    pub entry: Record,
    pub reason: Option<String>,
}

/// The answer to a text that is `SHOW pgward.grants` or `SHOW pgward.session`.
pub fn answer(analysis: &Analysis, facts: impl FnOnce() -> Facts) -> Option<Answer> {
    match analysis.statements() {
        [only] => match asked(only)? {
            GRANTS => Some(grants(&facts())),
            _ => Some(session(facts())),
        },
        _ => None,
    }
}

/// Refuses a text that asks pgward something among other statements: the answer takes the place of the whole text.
#[must_use]
pub fn misplaced(analysis: &Analysis) -> Option<Denial> {
    let statements = analysis.statements();
    let own = |statement| match asked(statement) {
        Some(name) => Some(format!("SHOW {name}")),
        None => asking::asks(statement).then(|| "what asks pgward for access".to_owned()),
    };
    let name = statements.iter().filter(|_| statements.len() > 1).find_map(own)?;
    Some(Denial {
        rule: Rule::Statement,
        message: format!("{name} must be sent alone"),
        detail: "The message holds other statements too.".to_owned(),
        hint: None,
    })
}

fn asked(statement: &Statement) -> Option<&'static str> {
    match &statement.action {
        Action::Show(Some(name)) if name == GRANTS => Some(GRANTS),
        Action::Show(Some(name)) if name == SESSION => Some(SESSION),
        _ => None,
    }
}

fn grants(facts: &Facts) -> Answer {
    let row = |grant: &Arc<Grant>| {
        let state = match grant.state_at(facts.now) {
            GrantState::Pending => "pending",
            GrantState::Live => "live",
            GrantState::Expired => "expired",
            GrantState::Revoked => "revoked",
        };
        vec![
            grant.id.to_string(),
            grant.scope.name.clone(),
            state.to_owned(),
            grant.expires_at.to_string(),
            grant.reason.clone(),
            grant.approvers.join(", "),
            grant.scope.guards_in_words(),
            grant.statement.clone().unwrap_or_default(),
            grant.uses_left().map_or_else(String::new, |left| left.to_string()),
        ]
    };
    Answer {
        columns: &["grant", "scope", "state", "expires_at", "reason", "approvers", "guards", "statement", "uses_left"],
        rows: facts.grants.iter().map(row).collect(),
    }
}

fn session(facts: Facts) -> Answer {
    let Facts { entry, reason, .. } = facts;
    let cells = [
        entry.session.map(|id| id.to_string()),
        entry.principal,
        entry.database,
        entry.client_addr,
        entry.client_region.map(|region| region.to_string()),
        entry.upstream_region.map(|region| region.to_string()),
        reason,
    ];
    Answer {
        columns: &["session", "principal", "database", "client_addr", "client_region", "upstream_region", "reason"],
        rows: vec![cells.into_iter().map(Option::unwrap_or_default).collect()],
    }
}

/// What a statement changes besides data.
#[must_use]
pub fn effect(statement: &Statement) -> Effect {
    match &statement.action {
        Action::Ddl(_) => Effect::Catalogs,
        Action::Query(_) | Action::Explain { .. } if makes_table(&statement.action) => Effect::Catalogs,
        Action::Set(setting) if setting.name == REASON => Effect::Reason(Box::new(given(setting))),
        Action::Reset(Some(name)) if name == REASON => Effect::Reason(Box::new(ReasonChange::Set(None))),
        Action::Reset(None) => Effect::Settings,
        Action::Discard if statement.kind == "DISCARD ALL" => Effect::Settings,
        Action::Transaction(transaction) => {
            transaction_effect(transaction).map_or(Effect::None, |change| Effect::Reason(Box::new(change)))
        }
        Action::Set(setting) if setting.name == "application_name" => {
            Effect::ApplicationName(setting.values.as_ref().map(|values| values.join(", ")).unwrap_or_default().into())
        }
        _ => Effect::None,
    }
}

fn given(setting: &Setting) -> ReasonChange {
    let reason = setting.values.as_ref().and_then(|values| reason(&values.join(", ")));
    if setting.local { ReasonChange::SetLocal(reason) } else { ReasonChange::Set(reason) }
}

/// What the end of a transaction, or a savepoint, means for what was set in it.
fn transaction_effect(transaction: &Transaction) -> Option<ReasonChange> {
    match transaction {
        Transaction::Commit { chain: _ } => Some(ReasonChange::Commit),
        Transaction::Rollback { chain: _ } => Some(ReasonChange::Rollback),
        Transaction::Savepoint(name) => Some(ReasonChange::Savepoint(name.clone())),
        Transaction::Release(name) => Some(ReasonChange::Release(name.clone())),
        Transaction::RollbackTo(name) => Some(ReasonChange::RollbackTo(name.clone())),
        Transaction::Begin(_)
        | Transaction::SetModes(_)
        | Transaction::SetSnapshot
        | Transaction::SetSessionModes(_)
        | Transaction::TwoPhase => None,
    }
}

/// The names that a statement will give or take, once it succeeds.
///
/// # Errors
/// [`TooMany`]
pub fn name_changes(meaning: &Meaning, statement: &Statement, names: &mut Names) -> Result<Vec<NameChange>, TooMany> {
    let change = match &statement.action {
        Action::Prepare { name, .. } => {
            let Part::Whole(index) = meaning.part else { return Ok(Vec::new()) };
            let prepared = Meaning { analysis: Arc::clone(&meaning.analysis), part: Part::Prepared(index) };
            names.add_statement(Key::new(name.as_str()), Arc::new(prepared))?
        }
        Action::DeclareCursor { name, hold, .. } => {
            let cursor = Meaning { analysis: Arc::clone(&meaning.analysis), part: meaning.part };
            let meanings = vec![Arc::new(cursor)];
            let portal = Portal { meanings, parameters: None, rows: Arc::default(), hold: *hold };
            names.add_portal(Key::new(name.as_str()), portal)?
        }
        Action::Deallocate(Some(name)) => NameChange::CloseStatement(Key::new(name.as_str()), names.next_change()),
        Action::Deallocate(None) => NameChange::CloseAllStatements(names.next_change()),
        Action::CloseCursor(Some(name)) => NameChange::ClosePortal(Key::new(name.as_str()), names.next_change()),
        Action::CloseCursor(None) => NameChange::CloseAllPortals(names.next_change()),
        Action::Discard if statement.kind == "DISCARD ALL" => {
            return Ok(vec![
                NameChange::CloseAllStatements(names.next_change()),
                NameChange::CloseAllPortals(names.next_change()),
            ]);
        }
        _ => return Ok(Vec::new()),
    };
    Ok(vec![change])
}
