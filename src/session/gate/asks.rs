//! Statements that are judged only when somebody has been asked: those that ask the desk themselves, and those that lack nothing
//! but a grant.

use std::sync::Arc;

use super::{Alone, Batch, Gate, Message, Planned};
use crate::policy::{Denial, Rule};
use crate::session::analysis::{Analysis, Meaning, Part};
use crate::session::asking::{self, Ask, Reply, Values};
use crate::session::judge::{Evidence, Refused};
use crate::session::names::NameChange;
use crate::session::pass::{Answer, ToUpstream};
use crate::session::replies::{Expected, Step};
use crate::wire::encode::ClientVisible;
use crate::wire::frontend::Bind;

/// What is asked, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    ask: Option<Ask>,
    reply: Option<Reply>,
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
    /// It asks when it is bound, with so many values.
    Prepared(usize),
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

    /// What came of asking is for the first message that is judged then, and for no other.
    pub(super) fn forget_reply(&mut self) {
        self.inquiry.reply = None;
    }

    /// Sees to what a text asks of the desk by itself.
    pub(super) fn ask_desk(
        &mut self,
        analysis: &Analysis,
        values: Values<'_>,
    ) -> Result<Asked, (Option<Part>, Refused)> {
        let [statement] = analysis.statements() else { return Ok(Asked::No) };
        let Some(asked) = asking::asked(statement, values) else { return Ok(Asked::No) };
        let ask = asked.map_err(|denial| refused(*denial))?;
        match self.inquiry.reply.take() {
            Some(Reply::Answer(answer)) => Ok(Asked::Answered(answer)),
            Some(Reply::Refused(denial, instead)) => {
                self.inquiry.instead = instead;
                Err(refused(*denial))
            }
            Some(Reply::Granted) | None => {
                self.inquiry.ask = Some(ask);
                Ok(Asked::Waits)
            }
        }
    }

    /// Sees to what a text asks that is prepared: a CALL asks with each Bind, and is only looked at now.
    pub(super) fn ask_prepared(&mut self, analysis: &Analysis) -> Result<Asked, (Option<Part>, Refused)> {
        let call = match analysis.statements() {
            [statement] => asking::call(statement),
            _ => None,
        };
        match call {
            Some(call) => {
                let count = asking::arguments::parameters(call).map_err(|denial| refused(*denial))?;
                Ok(Asked::Prepared(count))
            }
            None => self.ask_desk(analysis, Values::None),
        }
    }

    /// Sees to what a Bind asks, where it is one of a prepared CALL.
    pub(super) fn ask_bound(
        &mut self,
        bind: &Bind<'_>,
        meaning: Option<&Arc<Meaning>>,
    ) -> Result<Asked, (Option<Part>, Refused)> {
        let Some(meaning) = meaning else { return Ok(Asked::No) };
        let Some(call) = meaning.statement().and_then(asking::call) else { return Ok(Asked::No) };
        let (needed, given) =
            (asking::arguments::parameters(call).map_err(|denial| refused(*denial))?, bind.values.len());
        if given < needed {
            return Err(refused(Denial {
                rule: Rule::Protocol,
                message: format!("bind message supplies {given} parameters, but the CALL requires {needed}"),
                detail: "Nothing was asked for.".to_owned(),
                hint: None,
            }));
        }
        let types = meaning.analysis.parameter_types();
        self.ask_desk(&meaning.analysis, Values::Bound(&bind.values, &types))
    }

    /// Binds the client's portal to the answer, which is prepared for that and for nothing else.
    pub(super) fn bind_answer(
        &mut self,
        bind: &Bind<'_>,
        answer: &Answer,
        change: NameChange,
        alone: Alone,
        batch: &mut Batch,
    ) {
        let [closed, prepared, closed_again] = [(); 3].map(|()| Expected::new(Step::Around, self.names.next_change()));
        let bound = Expected::new(Step::Bind, self.names.next_change()).with_changes(vec![change]);
        let mut plan = |message, expected| batch.planned.push(Planned::new(Message::Free(message), expected));
        // Closed first: a Bind that failed has left it there.
        plan(ToUpstream::close_own_answer(), closed);
        plan(ToUpstream::prepare_own_answer(answer), prepared);
        plan(ToUpstream::bind_own_answer(bind.portal, &bind.results), bound);
        if let Some(planned) = batch.planned.last_mut() {
            planned.alone = Some(alone);
        }
        let closing = Planned::new(Message::Free(ToUpstream::close_own_answer()), closed_again);
        batch.planned.push(closing);
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
        let ticket = asking::arguments::ticket_of(&reason);
        let wish = asking::Wish { scope: scope.name.clone(), duration, reason, ticket, statement };
        Some(Ask::Hold { wish, wait, denial: Box::new(refused.denial.clone()) })
    }
}

fn refused(denial: Denial) -> (Option<Part>, Refused) {
    (Some(Part::Whole(0)), Refused { denial, footprint: Evidence::None })
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
        | Rule::Retention
        | Rule::Export
        | Rule::Statement
        | Rule::Setting
        | Rule::Guard
        | Rule::Unusual
        | Rule::Protocol
        | Rule::Limit
        | Rule::SecondOpinion
        | Rule::Journal => false,
    }
}
