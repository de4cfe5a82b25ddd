//! What leaves its region under each grant, counted for all sessions of this process. A row goes on only against an
//! allowance that the store has given before: taken in blocks, so that rows need no write each, and counted as used until it
//! is given back, so that a crash can only take away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;

use crate::access::{Amount, ExportLimit, Grant, GrantId};
use crate::policy::{Denial, ExportClaim, Exported, Rule};
use crate::store::{SharedStore, StoreError};
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

/// Grants whose counts are kept; beyond it those that nobody uses now are forgotten, and read again when they are used.
const MAX_GRANTS: usize = 4_096;
/// A block is this part of the bound, so that a crash costs little of it.
const PART: u64 = 16;
/// Most rows and bytes of one block.
const LARGEST: Amount = Amount { rows: 10_000, bytes: 16 << 20 };
/// Fewest bytes of one block.
const LEAST_BYTES: u64 = 64 << 10;

/// For the store to take back what was not used.
const GIVE_BACK: Duration = Duration::from_secs(2);

/// Every count of this process.
#[derive(Debug)]
pub struct Ledger {
    store: SharedStore,
    grants: DashMap<GrantId, Arc<Counters>>,
}

/// The counts of one grant, by rule.
#[derive(Debug, Default)]
struct Counters {
    by_rule: Mutex<HashMap<Arc<str>, Arc<Counter>>>,
    /// Whether the store has been asked what it has.
    known: tokio::sync::OnceCell<()>,
}

/// One rule's count under one grant.
#[derive(Debug, Default)]
struct Counter {
    count: Mutex<Count>,
    /// Held while the store is asked, so that concurrent sessions share one block.
    reserving: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// What the store counts as having left.
    total: Amount,
    /// What of it has not left yet.
    free: Amount,
}

impl Ledger {
    #[must_use]
    pub fn new(store: SharedStore) -> Self {
        Self { store, grants: DashMap::new() }
    }

    /// What has left under these grants.
    ///
    /// # Errors
    /// Where the store does not say.
    pub async fn exported(&self, grants: &[Arc<Grant>]) -> Result<Arc<Exported>, StoreError> {
        let mut exported = Exported::default();
        for grant in grants {
            let counters = self.counters(&grant.id);
            counters.known.get_or_try_init(|| self.read(&grant.id, &counters)).await?;
            for (rule, counter) in counters.all() {
                exported.insert(grant.id.clone(), rule, counter.used());
            }
        }
        Ok(Arc::new(exported))
    }

    /// Counts the rows of one statement, where there is anything to count them against.
    #[must_use]
    pub fn meter(self: &Arc<Self>, grant: &GrantId, claims: &[ExportClaim]) -> Option<Meter> {
        if claims.is_empty() {
            return None;
        }
        let counters = self.counters(grant);
        let against = claims.iter().map(|claim| (claim.clone(), counters.of(&claim.rule))).collect();
        Some(Meter { ledger: Arc::clone(self), grant: grant.clone(), against, short: None, over: None })
    }

    /// Gives back to the store what was reserved and did not leave. For the end of the process, which does not wait long.
    pub async fn give_back(&self) {
        if tokio::time::timeout(GIVE_BACK, self.give_all_back()).await.is_err() {
            tracing::warn!("what was reserved to leave a region counts as having left: the store does not answer");
        }
    }

    async fn give_all_back(&self) {
        let counters: Vec<_> = self.grants.iter().map(|entry| (entry.key().clone(), Arc::clone(&entry))).collect();
        for (grant, counters) in counters {
            for (rule, counter) in counters.all() {
                let unused = counter.take_free();
                if unused == Amount::default() {
                    continue;
                }
                if let Err(error) = self.store.release_export(&grant, &rule, unused).await {
                    tracing::warn!(%grant, %error, "what was reserved to leave a region counts as having left");
                }
            }
        }
    }

    fn counters(&self, grant: &GrantId) -> Arc<Counters> {
        if self.grants.len() >= MAX_GRANTS {
            self.grants.retain(|_, counters| Arc::strong_count(counters) > 1 || counters.in_use());
        }
        Arc::clone(&self.grants.entry(grant.clone()).or_default())
    }

    async fn read(&self, grant: &GrantId, counters: &Counters) -> Result<(), StoreError> {
        for (rule, total) in self.store.exported(grant).await? {
            counters.of(&rule.into()).learn(total);
        }
        Ok(())
    }
}

impl Counters {
    fn of(&self, rule: &Arc<str>) -> Arc<Counter> {
        let mut by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_rule.entry(Arc::clone(rule)).or_default())
    }

    fn all(&self) -> Vec<(Arc<str>, Arc<Counter>)> {
        let by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        by_rule.iter().map(|(rule, counter)| (Arc::clone(rule), Arc::clone(counter))).collect()
    }

    /// Whether a statement counts here, or something is reserved.
    fn in_use(&self) -> bool {
        self.all().iter().any(|(_, counter)| Arc::strong_count(counter) > 2 || counter.now().free != Amount::default())
    }
}

impl Counter {
    fn now(&self) -> Count {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self) -> Amount {
        let count = self.now();
        count.total.minus(count.free)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Count) -> T) -> T {
        change(&mut self.count.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the store said when it was first asked; a block that was taken meanwhile is in it already.
    fn learn(&self, total: Amount) {
        self.change(|count| {
            count.total.rows = count.total.rows.max(total.rows);
            count.total.bytes = count.total.bytes.max(total.bytes);
        });
    }

    fn take(&self, amount: Amount) -> bool {
        self.change(|count| {
            let is_there = count.free.holds(amount);
            if is_there {
                count.free = count.free.minus(amount);
            }
            is_there
        })
    }

    fn put_back(&self, amount: Amount) {
        self.change(|count| count.free = count.free.plus(amount));
    }

    fn take_free(&self) -> Amount {
        self.change(|count| {
            let free = std::mem::take(&mut count.free);
            count.total = count.total.minus(free);
            free
        })
    }
}

/// Counts the rows of one statement against every bound that speaks of them.
#[derive(Debug)]
pub struct Meter {
    ledger: Arc<Ledger>,
    grant: GrantId,
    against: Vec<(ExportClaim, Arc<Counter>)>,
    /// The bound that lacks allowance, and for what.
    short: Option<(usize, Amount)>,
    over: Option<ClientVisible>,
}

/// What becomes of one row.
#[derive(Debug)]
pub enum Counted {
    Passes,
    /// More has to be reserved first: [`Meter::top_up`].
    Waits,
    /// It may not leave, and the statement ends.
    Over(ClientVisible),
}

impl Meter {
    /// Counts one row of so many bytes.
    pub fn count(&mut self, bytes: u64) -> Counted {
        if let Some(message) = &self.over {
            return Counted::Over(message.clone());
        }
        let row = Amount { rows: 1, bytes };
        for (index, (_, counter)) in self.against.iter().enumerate() {
            if !counter.take(row) {
                self.against.iter().take(index).for_each(|(_, taken)| taken.put_back(row));
                self.short = Some((index, row));
                return Counted::Waits;
            }
        }
        Counted::Passes
    }

    /// Reserves what the last row lacked. Cancel safe: what is reserved and lost counts as having left.
    pub async fn top_up(&mut self) {
        let Some((index, row)) = self.short.take() else { return };
        let Some((claim, counter)) = self.against.get(index) else { return };
        let _turn = counter.reserving.lock().await;
        let free = counter.now().free;
        if free.holds(row) {
            return;
        }
        let block = block(claim.limit);
        let wanted = Amount { rows: block.rows.max(row.rows), bytes: block.bytes.max(row.bytes) };
        // What is there already need not be taken again.
        let wanted = wanted.minus(free);
        match self.ledger.store.reserve_export(&self.grant, &claim.rule, wanted, claim.limit).await {
            Ok(reserved) => {
                let now = counter.change(|count| {
                    count.total = reserved.total;
                    count.free = count.free.plus(reserved.taken);
                    *count
                });
                if !now.free.holds(row) {
                    self.over = Some(limit_reached(&self.grant, claim, now.total.minus(now.free)));
                }
            }
            Err(error) => {
                tracing::error!(%error, "a statement ends: what leaves a region cannot be counted");
                self.over = Some(uncounted(&claim.limit));
            }
        }
    }
}

fn block(limit: ExportLimit) -> Amount {
    Amount {
        rows: limit.rows.map_or(LARGEST.rows, |rows| (rows / PART).clamp(1, LARGEST.rows)),
        bytes: limit.bytes.map_or(LARGEST.bytes, |bytes| (bytes / PART).clamp(LEAST_BYTES, LARGEST.bytes)),
    }
}

fn limit_reached(grant: &GrantId, claim: &ExportClaim, used: Amount) -> ClientVisible {
    let text = format!("export limit of {} reached: no more may leave region {}", claim.limit, claim.region);
    ClientVisible::new(Severity::Error, sqlstate::PROGRAM_LIMIT_EXCEEDED, text).detail(format!(
        "By the rule for {} {used} have left under grant {grant}, all its sessions together (rule export).",
        claim.rule
    ))
}

fn uncounted(limit: &ExportLimit) -> ClientVisible {
    ClientVisible::new(Severity::Error, sqlstate::IO_ERROR, "what leaves its region cannot be counted now").detail(
        format!("At most {limit} may leave under one grant, and the store that counts does not answer (rule export)."),
    )
}

/// The denial where nobody knows what has left.
#[must_use]
pub fn unknown(error: &StoreError) -> Denial {
    tracing::error!(%error, "a statement is refused: what has left a region is not known");
    Denial {
        rule: Rule::Export,
        message: "what has left its region cannot be known now".to_owned(),
        detail: "The store that counts it does not answer (rule export).".to_owned(),
        hint: Some("Try again; if it stays so, tell those who run pgward.".to_owned()),
    }
}

#[cfg(test)]
mod tests;
