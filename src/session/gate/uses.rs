//! Statements under a grant that may be used so often: each takes its use when all else is decided, just before it is recorded and
//! goes; one that does not go gives it back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Batch, Gate, Outgoing};
use crate::access::{Grant, GrantId};
use crate::policy::{self, Denial, Rule};
use crate::session::given::Given;
use crate::session::records::{Item, Settled};
use crate::sql::tree::Action;

/// A use that an item of the batch is to take, once for the life of its portal.
#[derive(Debug)]
pub(super) struct Due {
    item: usize,
    portal: Option<Arc<Given>>,
}

/// A use that an item has taken.
#[derive(Debug)]
pub(super) struct Taken {
    item: usize,
    grant: GrantId,
}

impl Batch {
    /// Notes that the item at this place is a use of its grant, where that counts them and the statement is one.
    pub(super) fn uses(&mut self, item: usize, action: Option<&Action>, portal: Option<&Arc<Given>>) {
        let Some(Item::Admit(permit, _)) = self.items.get(item) else { return };
        let counts = permit.full_grant().uses.is_some() && action.is_some_and(policy::counts);
        let goes_on = portal.and_then(|portal| portal.begun()) == Some(permit.grant());
        if counts && !goes_on {
            self.due.push(Due { item, portal: portal.map(Arc::clone) });
        }
    }
}

impl Gate {
    /// Takes the uses that are due; what there is none for is refused.
    pub(super) async fn take_uses(&mut self, batch: &mut Batch, over: &mut HashMap<usize, Denial>) -> Vec<Taken> {
        let mut taken = Vec::new();
        for due in std::mem::take(&mut batch.due) {
            let Some(Item::Admit(permit, _)) = batch.items.get(due.item) else { continue };
            let grant = Arc::clone(permit.full_grant());
            // An Execute of the same portal in front of this one has taken it.
            if due.portal.as_ref().and_then(|portal| portal.begun()) == Some(&grant.id) {
                continue;
            }
            match self.take_use(&grant).await {
                Ok(()) => {
                    due.portal.iter().for_each(|portal| portal.begin(&grant.id));
                    taken.push(Taken { item: due.item, grant: grant.id.clone() });
                }
                Err(denial) => {
                    self.refuse_item(batch, due.item, &denial);
                    over.insert(due.item, denial);
                }
            }
        }
        taken
    }

    async fn take_use(&self, grant: &Grant) -> Result<(), Denial> {
        match self.judge.uses.take(grant).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.judge.used_up(grant)),
            Err(error) => {
                tracing::error!(grant = %grant.id, %error, "a statement is refused: its use cannot be counted");
                Err(uncounted())
            }
        }
    }

    /// Gives back what was taken by statements that were not sent.
    pub(super) async fn give_back(&self, taken: Vec<(Taken, Option<u64>)>, outgoing: &[Outgoing]) {
        let expected = outgoing.iter().filter_map(|outgoing| outgoing.expected.as_ref());
        let going: HashSet<u64> =
            expected.flat_map(|expected| expected.statements.iter().map(|running| running.seq)).collect();
        for (taken, _) in taken.into_iter().filter(|(_, seq)| seq.is_none_or(|seq| !going.contains(&seq))) {
            self.judge.uses.give_back(&taken.grant).await;
        }
    }
}

/// Each with the number of its record, where it has one.
pub(super) fn numbered(taken: Vec<Taken>, settled: &Settled) -> Vec<(Taken, Option<u64>)> {
    let seq = |item: usize| settled.receipts.get(item).and_then(Option::as_ref).map(|receipt| receipt.seq());
    taken.into_iter().map(|taken| (seq(taken.item), taken)).map(|(seq, taken)| (taken, seq)).collect()
}

fn uncounted() -> Denial {
    Denial {
        rule: Rule::StatementGrant,
        message: "the statement's use of its grant cannot be counted, so it may not run".to_owned(),
        detail: "The store does not answer now (rule statement-grant)".to_owned(),
        hint: Some("Try again in a moment.".to_owned()),
    }
}
