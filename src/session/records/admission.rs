//! A session's way to the journal. What was admitted is known until it was sent, so that whatever is dropped in between, each
//! allowed statement's record gets its end.

use std::sync::Arc;

use super::{Draft, Item, Recorder};
use crate::access::GrantId;
use crate::audit::{JournalError, Receipt, Record, Seat};
use crate::policy::Permit;

/// What became of a batch's items, by their places.
#[derive(Debug, Default)]
pub struct Settled {
    /// An item without one must not pass.
    pub receipts: Vec<Option<Receipt>>,
    /// Whether the item is in the journal.
    pub recorded: Vec<bool>,
}

/// What has been given to the journal and not been sent yet.
#[derive(Debug, Default)]
pub(super) struct Admission {
    seat: Arc<Seat>,
    /// Of what waits to be written: the grants, in order.
    waiting: Vec<GrantId>,
    /// Written.
    unsent: Vec<(u64, GrantId)>,
}

impl Admission {
    /// What waited has been written, from `first_seq` on.
    fn written(&mut self, first_seq: u64) {
        self.unsent.extend((first_seq..).zip(self.waiting.drain(..)));
    }
}

impl Recorder {
    /// Records a batch in order.
    pub async fn settle(&mut self, items: Vec<Item>) -> Settled {
        let mut settled = Settled::default();
        let mut admitted: Vec<(Permit, Draft)> = Vec::new();
        let mut others: Vec<(Box<Record>, bool)> = Vec::new();
        for item in items {
            match item {
                Item::Admit(permit, draft) => {
                    self.write(&mut others, &mut settled).await;
                    admitted.push((permit, draft));
                }
                Item::Refuse(record) => {
                    self.admit(&mut admitted, &mut settled).await;
                    others.push((record, false));
                }
                Item::Message(record) => {
                    self.admit(&mut admitted, &mut settled).await;
                    others.push((record, true));
                }
                Item::Moved(_) => {
                    self.admit(&mut admitted, &mut settled).await;
                    self.write(&mut others, &mut settled).await;
                    settled.receipts.push(None);
                    settled.recorded.push(false);
                }
            }
        }
        self.admit(&mut admitted, &mut settled).await;
        self.write(&mut others, &mut settled).await;
        settled
    }

    /// What was admitted and is not among what goes.
    pub fn withheld(&mut self, going: impl Iterator<Item = u64> + Clone) -> Vec<(u64, GrantId)> {
        let unsent = &mut self.admission.unsent;
        if going.clone().filter(|seq| *seq != 0).count() == unsent.len() {
            return Vec::new();
        }
        let going: std::collections::HashSet<u64> = going.collect();
        let (going, withheld) = std::mem::take(unsent).into_iter().partition(|(seq, _)| going.contains(seq));
        *unsent = going;
        withheld
    }

    /// What was admitted has been sent: how it ends is known to whoever reads the answers.
    pub fn sent(&mut self) {
        self.admission.unsent.clear();
    }

    /// What was written as admitted and will never be sent.
    pub fn take_unsent(&mut self) -> Vec<(u64, GrantId)> {
        match self.turn.leave(&self.admission.seat) {
            Some(first_seq) => self.admission.written(first_seq),
            None => self.admission.waiting.clear(),
        }
        std::mem::take(&mut self.admission.unsent)
    }

    async fn admit(&mut self, items: &mut Vec<(Permit, Draft)>, settled: &mut Settled) {
        if items.is_empty() {
            return;
        }
        let count = items.len();
        match self.try_admit(items).await {
            Ok(receipts) => {
                settled.recorded.extend(receipts.iter().map(|_| true));
                settled.receipts.extend(receipts.into_iter().map(Some));
            }
            Err(error) => {
                tracing::error!(%error, "statements are refused: they cannot be recorded");
                settled.recorded.extend(std::iter::repeat_n(false, count));
                settled.receipts.extend(std::iter::repeat_with(|| None).take(count));
            }
        }
    }

    /// Where the session stops waiting, what was written is among the unsent.
    async fn try_admit(&mut self, items: &mut Vec<(Permit, Draft)>) -> Result<Vec<Receipt>, JournalError> {
        self.admission.waiting.clear();
        self.admission.waiting.extend(items.iter().map(|(permit, _)| permit.grant().clone()));
        let allowed = items.drain(..).map(|(permit, draft)| self.ready(permit, &draft)).collect::<Result<_, _>>()?;
        let joined = self.turn.join(&self.admission.seat, allowed);
        let unsettled = self.turn.written(&self.admission.seat, joined).await?;
        if let Some(first_seq) = unsettled.first_seq() {
            self.admission.written(first_seq);
        }
        self.turn.journal().settle(unsettled).await
    }

    /// Refusals, and messages that must not go unrecorded.
    async fn write(&mut self, others: &mut Vec<(Box<Record>, bool)>, settled: &mut Settled) {
        if !others.is_empty() {
            Box::pin(self.write_all(std::mem::take(others), settled)).await;
        }
    }

    async fn write_all(&mut self, others: Vec<(Box<Record>, bool)>, settled: &mut Settled) {
        settled.receipts.extend(others.iter().map(|_| None));
        let (first, second): (Vec<_>, Vec<_>) =
            (others.iter().map(|(record, _)| Record::clone(record)).collect(), others);
        if self.turn.journal().record_all(first).await.is_ok() {
            settled.recorded.extend(second.iter().map(|_| true));
            return;
        }
        // A refusal may be recorded where nothing else may.
        for (record, must) in second {
            match self.turn.journal().record(*record).await {
                Ok(_) => settled.recorded.push(true),
                Err(error) => {
                    tracing::error!(%error, must, "a refusal or a message could not be recorded");
                    settled.recorded.push(false);
                }
            }
        }
    }

    /// Records something that cannot be stopped by not being recorded: a refusal, an end.
    pub async fn note(&mut self, record: Record) {
        if let Err(error) = Box::pin(self.turn.journal().record(record)).await {
            tracing::error!(%error, "an ending or a refusal could not be recorded");
        }
    }

    /// Records something that must not happen unrecorded.
    ///
    /// # Errors
    /// Where it could not be.
    pub async fn require(&mut self, record: Record) -> Result<u64, JournalError> {
        self.turn.journal().record(record).await
    }
}
