//! Receipts handed to the messages that they let through.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::refuse::visible;
use super::{Message, Outgoing, Planned};
use crate::audit::Receipt;
use crate::policy::{Denial, Rule};
use crate::session::exports::Ledger;
use crate::session::pass::ToUpstream;
use crate::session::records::Settled;
use crate::session::replies::{Expected, Running, Step};

/// Gives a message its receipts; where it has none, the upstream is made to fail in its place.
pub(super) fn finish(
    planned: Planned,
    settled: &mut Settled,
    moved: &[Option<usize>],
    over: &HashMap<usize, Denial>,
    (ledger, now): (&Arc<Ledger>, Instant),
) -> Outgoing {
    let Planned { message, mut expected, alone: _, item } = planned;
    // A statement's record that the Parse handed to its Execute speaks for what led there, too.
    let item = item.map(|item| moved.get(item).copied().flatten().unwrap_or(item));
    if let Some(item) = item
        && (over.contains_key(&item) || !settled.recorded.get(item).copied().unwrap_or_default())
    {
        let is_query = expected.as_ref().is_some_and(|expected| expected.step == Step::Query);
        let message = if is_query { ToUpstream::failing_query() } else { ToUpstream::failing_step() };
        return Outgoing { message, expected: refused(expected, &why(&(item..item + 1), over)) };
    }
    let receipts = &mut settled.receipts;
    let (frame, answer, items, instead) = match message {
        Message::Free(message) => return Outgoing { message, expected },
        Message::Sql { frame, answer, items, instead } => (frame, answer, items, instead),
    };
    // A Parse whose Execute came with it goes by the Execute's receipt, which stays for that.
    if let Some(Some(to)) = moved.get(items.start).filter(|_| items.len() == 1) {
        let why = || why(&(*to..*to + 1), over);
        let receipt = receipts.get(*to).and_then(Option::as_ref);
        let admitted = receipt.map(std::slice::from_ref).and_then(|receipt| frame.admit(receipt).ok());
        return match admitted {
            Some(message) => Outgoing { message: answer.map_or(message, |answer| *answer), expected },
            None => Outgoing { message: instead.message(), expected: refused(expected, &why()) },
        };
    }
    let why = || why(&items, over);
    let taken: Option<Vec<Receipt>> =
        items.clone().map(|index| receipts.get_mut(index).and_then(Option::take)).collect();
    let Some(taken) = taken else {
        return Outgoing { message: instead.message(), expected: refused(expected, &why()) };
    };
    match frame.admit(&taken) {
        Ok(message) => {
            if let Some(expected) = &mut expected {
                hand_over(&mut expected.statements, taken, ledger, now);
            }
            Outgoing { message: answer.map_or(message, |answer| *answer), expected }
        }
        Err(_) => Outgoing { message: instead.message(), expected: refused(expected, &why()) },
    }
}

fn hand_over(statements: &mut VecDeque<Running>, receipts: Vec<Receipt>, ledger: &Arc<Ledger>, now: Instant) {
    for (running, receipt) in statements.iter_mut().zip(receipts) {
        running.seq = receipt.seq();
        running.guards = receipt.guards();
        running.meter = ledger.meter(receipt.grant(), receipt.exports()).map(Box::new);
        running.grant = Some(receipt.grant().clone());
        running.data_region = receipt.data_region().cloned();
        running.started = now;
    }
}

/// Why items have no receipts: the grant of one is over or used up, or the journal did not take them.
fn why(items: &Range<usize>, over: &HashMap<usize, Denial>) -> Denial {
    if let Some(denial) = items.clone().find_map(|index| over.get(&index)) {
        return denial.clone();
    }
    Denial {
        rule: Rule::Journal,
        message: "the statement cannot be recorded, so it may not run".to_owned(),
        detail: "The audit journal cannot be written now.".to_owned(),
        hint: None,
    }
}

/// Of a statement whose grant ended while it was judged.
pub(super) fn grant_over() -> Denial {
    Denial {
        rule: Rule::NoGrant,
        message: "the grant that allowed the statement is over".to_owned(),
        detail: "It ended before the statement could be sent (rule no-grant)".to_owned(),
        hint: None,
    }
}

/// What its principal did was unusual, and nobody has looked at it yet.
pub(super) fn held(why: &str) -> Denial {
    Denial {
        rule: Rule::Unusual,
        message: "nothing more runs until somebody has looked at this access".to_owned(),
        detail: format!("It is unusual: {why} (rule unusual)"),
        hint: Some("Ask an administrator to look at it: pgward release YOUR-NAME".to_owned()),
    }
}

fn refused(expected: Option<Expected>, denial: &Denial) -> Option<Expected> {
    expected.map(|mut expected| {
        expected.denied = Some(Box::new(visible(denial)));
        for running in expected.statements.drain(..) {
            expected.changes.extend(running.changes);
        }
        expected
    })
}
