//! One sink's task: reads, delivers until it is acknowledged, keeps the position, goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::batches::Batches;
use super::notify::failure;
use super::position::{Mark, Position, PositionFile};
use super::progress::Progress;
use super::receiver::{Delivered, DeliveryError, Receiver};
use super::settings::{Settings, Start};
use crate::access::Clock;
use crate::audit::{Entry, Journal};

/// Time that a delivery under way has to end when the sink is told to.
const FAREWELL: Duration = Duration::from_secs(3);
/// A receiver that says "later" is not believed for longer.
const LATEST: Duration = Duration::from_secs(15 * 60);

/// One sink at work.
pub(super) struct Runner {
    pub settings: Arc<Settings>,
    pub journal: Arc<Journal>,
    pub file: PositionFile,
    pub progress: Arc<Progress>,
    pub clock: Arc<Clock>,
    pub stop: CancellationToken,
}

/// Whether to go on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl Runner {
    /// Delivers until it is stopped, the journal ends, or the receiver wants no more.
    pub(super) async fn run(self, mut receiver: Box<dyn Receiver>) {
        let journal_id = self.journal.id().to_owned();
        let mut position = self.begin(&journal_id).await;
        self.progress.begin(position.seq);
        if position.gone.as_ref() == Some(&self.settings.mark()) {
            tracing::warn!(sink = %self.settings.name, "the receiver wanted no more: nothing is sent before its configuration changes");
            self.progress.give_up();
            return;
        }
        position.gone = None;
        let mut backoff = Backoff::default();
        loop {
            let subscription = self.journal.subscribe(position.seq + 1);
            let mut batches = Batches::new(subscription, self.settings.batch_records, self.settings.batch_bytes);
            // Ends with an error of reading, or for good.
            loop {
                let read = tokio::select! {
                    () = self.stop.cancelled() => return,
                    read = batches.next() => read,
                };
                match read {
                    Ok(entries) if entries.is_empty() => return,
                    Ok(entries) => {
                        backoff.reset();
                        if self.hand_over(entries, &mut position, &mut *receiver).await == Next::End {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::error!(sink = %self.settings.name, %error, "the sink cannot read the journal");
                        self.progress.failed(error.to_string());
                        break;
                    }
                }
            }
            if self.pause(backoff.next()).await == Next::End {
                return;
            }
        }
    }

    /// The position that was kept, or the one to begin with.
    async fn begin(&self, journal_id: &str) -> Position {
        let head = *self.journal.head().borrow();
        if let Some(position) = self.file.read(journal_id) {
            return self.checked(position, head).await;
        }
        let mut position = Position::none(journal_id);
        position.seq = match self.settings.start {
            Start::Oldest => 0,
            Start::Now => head,
        };
        self.keep(&position).await;
        position
    }

    /// The position, or an earlier one if the journal does not hold any more what was delivered since.
    async fn checked(&self, position: Position, head: u64) -> Position {
        let (places, mut checked) = (self.journal.places().clone(), position.clone());
        let checking = tokio::task::spawn_blocking(move || {
            let lost = checked.go_back(&places, head);
            (checked, lost)
        });
        // It only ends badly with the runtime.
        let Ok((checked, lost)) = checking.await else { return position };
        if lost {
            let (title, from, to) = (self.settings.title(), checked.seq, position.seq);
            self.progress.tell(format!(
                "{title}: the journal does not hold what was delivered as records {} to {to}: they were lost here, \
                 and their numbers are given again; it goes on after {from}",
                from + 1
            ));
        }
        checked
    }

    /// Delivers what the sink takes of the entries and moves the position past all of them.
    async fn hand_over(&self, entries: Vec<Entry>, position: &mut Position, receiver: &mut dyn Receiver) -> Next {
        self.count_missing(&entries, position.seq);
        let Some(last) = entries.last().map(Mark::of) else { return Next::GoOn };
        let mut wanted = entries;
        wanted.retain(|entry| self.settings.takes(entry));
        let mut rest = wanted.as_slice();
        let mut most = rest.len().min(self.settings.at_once());
        let mut backoff = Backoff::default();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(most.min(rest.len()));
            let pause = match self.attempt(now, receiver).await {
                None => return Next::End,
                Some(Ok(delivered)) => {
                    backoff.reset();
                    self.acknowledged(now, delivered).await;
                    rest = later;
                    let reached = now.last().filter(|_| !rest.is_empty()).map_or_else(|| last.clone(), Mark::of);
                    self.reached(reached, position).await;
                    continue;
                }
                Some(Err(error)) => {
                    tracing::warn!(sink = %self.settings.name, %error, records = now.len(), "a delivery failed");
                    self.progress.failed(error.to_string());
                    match error {
                        DeliveryError::Failed(_) | DeliveryError::Refused(_) => backoff.next(),
                        DeliveryError::Later(at_least, _) => at_least.min(LATEST).max(backoff.next()),
                        DeliveryError::TooLarge(_) if now.len() > 1 => {
                            most = now.len() / 2;
                            continue;
                        }
                        DeliveryError::TooLarge(_) => backoff.next(),
                        DeliveryError::Gone(_) => return self.give_up(position).await,
                    }
                }
            };
            if self.pause(pause).await == Next::End {
                return Next::End;
            }
        }
        if position.seq < last.seq {
            // Nothing was for this sink: that needs no proof, and no write for each statement.
            position.seq = last.seq;
            self.progress.passed(last.seq);
        }
        Next::GoOn
    }

    /// One delivery; `None` if the sink is stopped before it ends.
    async fn attempt(
        &self,
        entries: &[Entry],
        receiver: &mut dyn Receiver,
    ) -> Option<Result<Delivered, DeliveryError>> {
        let delivery = receiver.deliver(entries);
        tokio::pin!(delivery);
        tokio::select! {
            delivered = &mut delivery => Some(self.judged(entries, delivered)),
            () = self.stop.cancelled() => timeout(FAREWELL, delivery).await.ok(),
        }
    }

    /// A message that is refused for good, or that has been tried long enough, is as good as delivered: what comes behind it
    /// is worth more than it.
    fn judged(
        &self,
        entries: &[Entry],
        delivered: Result<Delivered, DeliveryError>,
    ) -> Result<Delivered, DeliveryError> {
        let (Some(notify), Err(error)) = (self.settings.notify(), &delivered) else { return delivered };
        let age = entries.first().map(|entry| self.clock.now().duration_since(entry.record.time));
        let is_over = age.and_then(|age| Duration::try_from(age).ok()).is_some_and(|age| age >= notify.give_up);
        let for_good = match error {
            DeliveryError::Refused(_) | DeliveryError::TooLarge(_) => true,
            DeliveryError::Failed(_) | DeliveryError::Later(..) => is_over,
            DeliveryError::Gone(_) => false,
        };
        if !for_good {
            return delivered;
        }
        self.progress.failed(error.to_string());
        Ok(Delivered::AllBut(entries.len() as u64, error.to_string()))
    }

    async fn acknowledged(&self, entries: &[Entry], delivered: Delivered) {
        match delivered {
            Delivered::All => self.progress.acknowledged(entries.len()),
            Delivered::AllBut(refused, why) => {
                tracing::error!(sink = %self.settings.name, refused, why, "the receiver refused records for good");
                if self.settings.notify().is_some() {
                    self.record_failure(entries, &why).await;
                } else {
                    self.progress.acknowledged(entries.len());
                }
                self.progress.refused(refused, why);
            }
        }
    }

    /// Who relies on being told can find out that they were not.
    async fn record_failure(&self, entries: &[Entry], why: &str) {
        for entry in entries {
            let failure = failure(&self.settings.title(), &entry.record, why, self.clock.now());
            if let Err(error) = self.journal.record(failure).await {
                tracing::error!(notification = %self.settings.name, %error, "a notification's failure was not recorded");
            }
        }
    }

    async fn reached(&self, mark: Mark, position: &mut Position) {
        let seq = mark.seq;
        position.advance(mark);
        self.keep(position).await;
        self.progress.passed(seq);
    }

    /// A position that cannot be kept costs records that come twice, after a restart.
    pub(super) async fn keep(&self, position: &Position) {
        if let Err(error) = self.file.write(position.clone()).await {
            tracing::error!(sink = %self.settings.name, %error, "the sink's position could not be kept");
            self.progress.failed(format!("the position could not be kept: {error}"));
        }
    }

    async fn give_up(&self, position: &mut Position) -> Next {
        position.gone = Some(self.settings.mark());
        self.keep(position).await;
        self.progress.give_up();
        Next::End
    }

    /// Retention, or a region that keeps its own, may have taken records before the sink came to them.
    fn count_missing(&self, entries: &[Entry], after: u64) {
        let mut expected = after + 1;
        let mut missing = 0;
        for entry in entries {
            missing += entry.record.seq.saturating_sub(expected);
            expected = entry.record.seq + 1;
        }
        if missing > 0 {
            tracing::warn!(sink = %self.settings.name, missing, "records are not in the journal any more, or not in this one");
            self.progress.missed(missing);
        }
    }

    async fn pause(&self, pause: Duration) -> Next {
        tokio::select! {
            () = self.stop.cancelled() => Next::End,
            () = sleep(pause) => Next::GoOn,
        }
    }
}
