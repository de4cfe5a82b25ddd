//! Statements that are judged only when somebody has been asked: those that ask the desk themselves, and those that lack nothing
//! but a grant.

use std::sync::Arc;

use super::Gate;
use crate::policy::{Denial, Rule};
use crate::session::analysis::{Analysis, Meaning, Part};
use crate::session::asking::{self, Ask, Reply};
use crate::session::judge::{Evidence, Refused};
use crate::session::pass::Answer;
use crate::wire::encode::ClientVisible;

/// What is asked, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    ask: Option<Ask>,
    reply: Option<Reply>,
    /// The prepared CALL that was answered, until it is bound: it asks once.
    once: Option<Arc<Meaning>>,
    /// What the client is told in place of the next refusal.
    pub(super) instead: Option<Box<ClientVisible>>,
}

/// What a text comes to that may have asked something.
pub(super) enum Asked {
    /// It is judged as any other.
    No,
    /// The message waits for the reply.
    Waits,
    Answered(Answer),
}

impl Gate {
    /// What has to be asked before the message is judged that was put off.
    pub fn take_ask(&mut self) -> Option<Ask> {
        self.inquiry.ask.take()
    }

    /// Whether a message was put off to ask something.
    pub(super) fn has_asked(&self) -> bool {
        self.inquiry.ask.is_some()
    }

    /// What came of asking.
    pub fn reply(&mut self, reply: Reply) {
        self.inquiry.reply = Some(reply);
    }

    /// Sees to what a text asks of the desk by itself.
    pub(super) fn ask_desk(&mut self, analysis: &Analysis) -> Result<Asked, (Option<Part>, Refused)> {
        let [statement] = analysis.statements() else { return Ok(Asked::No) };
        let Some(asked) = asking::asked(statement) else { return Ok(Asked::No) };
        let refused =
            |denial: Box<Denial>| (Some(Part::Whole(0)), Refused { denial: *denial, footprint: Evidence::None });
        let ask = asked.map_err(refused)?;
        match self.inquiry.reply.take() {
            Some(Reply::Answer(answer)) => Ok(Asked::Answered(answer)),
            Some(Reply::Refused(denial, instead)) => {
                self.inquiry.instead = instead;
                Err(refused(denial))
            }
            Some(Reply::Granted) | None => {
                self.inquiry.ask = Some(ask);
                Ok(Asked::Waits)
            }
        }
    }

    /// What becomes of a refused statement: the refusal, or `None` where it is held for approval.
    pub(super) fn hold_or_refuse(
        &mut self,
        analysis: &Arc<Analysis>,
        refused: (Option<Part>, Refused),
    ) -> Option<(Option<Part>, Refused)> {
        match self.inquiry.reply.take() {
            // It was held already, and this is what came of it.
            Some(Reply::Refused(denial, instead)) => {
                self.inquiry.instead = instead;
                let (part, refused) = refused;
                return Some((part, Refused { denial: *denial, footprint: refused.footprint }));
            }
            Some(Reply::Granted | Reply::Answer(_)) => return Some(refused),
            None => {}
        }
        match self.may_hold(analysis, &refused) {
            Some(ask) => {
                self.inquiry.ask = Some(ask);
                None
            }
            None => Some(refused),
        }
    }

    /// What to ask for, for a statement that stands alone in its message and lacks nothing but a grant.
    fn may_hold(&self, analysis: &Arc<Analysis>, (part, refused): &(Option<Part>, Refused)) -> Option<Ask> {
        let ([_], Some(part)) = (analysis.statements(), *part) else { return None };
        if !is_for_want_of_a_grant(refused.denial.rule) || self.judge.uncommitted.is_failed() {
            return None;
        }
        // A text with secrets is nothing to be shown to others.
        if !analysis.recorded(part).redacted.is_plain() {
            return None;
        }
        let meaning = Meaning { analysis: Arc::clone(analysis), part };
        let (scope, wait) = self.judge.scope_that_holds(&meaning)?;
        let reason = self.recorder.reason.as_ref().map_or_else(|| HELD.to_owned(), ToString::to_string);
        let statement = Some(analysis.text_of(part).trim().to_owned());
        let duration = wait.max(SHORTEST).min(scope.max_duration);
        let wish = asking::Wish { scope: scope.name.clone(), duration, reason, ticket: None, statement };
        Some(Ask::Hold { wish, wait, denial: Box::new(refused.denial.clone()) })
    }

    /// A prepared CALL that was answered.
    pub(super) fn answered_once(&mut self, meaning: &Arc<Meaning>) {
        self.inquiry.once = Some(Arc::clone(meaning));
    }

    /// Refuses to run a prepared CALL again: it would ask nothing, and answer what it answered before.
    pub(super) fn check_once(&mut self, meaning: &Arc<Meaning>) -> Result<(), Denial> {
        let asks =
            meaning.statement().is_some_and(|statement| matches!(asking::asked(statement), Some(Ok(Ask::File(_)))));
        if !asks || self.inquiry.once.take_if(|once| Arc::ptr_eq(once, meaning)).is_some() {
            return Ok(());
        }
        Err(Denial {
            rule: Rule::Statement,
            message: "a prepared CALL of pgward.request asks once".to_owned(),
            detail: "It was run already; what it asked for is in SHOW pgward.requests.".to_owned(),
            hint: Some("Prepare it again to ask again.".to_owned()),
        })
    }
}

/// What approval is asked with where the session has given no reason.
const HELD: &str = "held for approval: no reason given";
/// A grant for one held statement is good for at least this long.
const SHORTEST: std::time::Duration = std::time::Duration::from_secs(60);

/// Whether another grant could help, as far as the rule tells.
fn is_for_want_of_a_grant(rule: Rule) -> bool {
    match rule {
        Rule::NoGrant
        | Rule::Scope
        | Rule::Column
        | Rule::Function
        | Rule::Region
        | Rule::Effect
        | Rule::StatementGrant
        | Rule::Label => true,
        Rule::Unreadable
        | Rule::Unresolved
        | Rule::Catalog
        | Rule::ClientRegion
        | Rule::Export
        | Rule::Statement
        | Rule::Setting
        | Rule::Guard
        | Rule::Protocol
        | Rule::Limit
        | Rule::SecondOpinion
        | Rule::Journal => false,
    }
}
