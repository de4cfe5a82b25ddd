//! What the desk counts: requests, decisions, grants and reviews, as `/metrics` shows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Desk;
use crate::access::{AccessRequest, Decision, RequestState};
use crate::store::Tally;

/// The desk's counters. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    pending: Gauge,
    requests: Family<State, Counter>,
    decisions: Family<Decided, Counter>,
    decision_seconds: Histogram,
    grants_live: Gauge,
    break_glass_open: Gauge,
    reviews_open: Gauge,
    reviews_overdue: Gauge,
    store_up: Gauge,
    journal_writable: Gauge,
    /// When the store is to be counted again at the earliest; held while somebody counts.
    due: Arc<Mutex<Instant>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    decision: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            pending: Gauge::default(),
            requests: Family::default(),
            decisions: Family::default(),
            decision_seconds: Histogram::new(DECISION_SECONDS),
            grants_live: Gauge::default(),
            break_glass_open: Gauge::default(),
            reviews_open: Gauge::default(),
            reviews_overdue: Gauge::default(),
            store_up: Gauge::default(),
            journal_writable: Gauge::default(),
            due: Arc::new(Mutex::new(Instant::now())),
        }
    }
}

impl Metrics {
    /// Registers them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let told = metrics.clone();
        registry.register("pgward_requests_pending", "Requests that wait for a decision", told.pending);
        registry.register("pgward_requests", "Requests that came to an end, by how", told.requests);
        registry.register("pgward_request_decisions", "Single approvals and denials", told.decisions);
        registry.register(
            "pgward_request_decision_seconds",
            "Time from the filing of a request to the decision that ended it",
            told.decision_seconds,
        );
        registry.register("pgward_grants_live", "Grants that can be used now", told.grants_live);
        registry.register("pgward_break_glass_open", "Live grants opened without approval", told.break_glass_open);
        registry.register("pgward_reviews_open", "Reviews of such grants that nobody has closed", told.reviews_open);
        registry.register("pgward_reviews_overdue", "Those of them that are late", told.reviews_overdue);
        registry.register("pgward_store_up", "1 where the store answered when last asked", told.store_up);
        registry.register("pgward_journal_writable", "1 where the journal can be written", told.journal_writable);
        metrics.show(Tally::default());
        for decision in ["approve", "deny"] {
            drop(metrics.decisions.get_or_create(&Decided { decision }));
        }
        metrics
    }

    /// Counts one decision on a request that was filed then, and how long it took if it is the last.
    pub(super) fn decided(&self, decision: Decision, request: &AccessRequest, now: Timestamp) {
        let decision = match decision {
            Decision::Approve => "approve",
            Decision::Deny => "deny",
        };
        self.decisions.get_or_create(&Decided { decision }).inc();
        if request.state != RequestState::Pending {
            self.decision_seconds.observe(now.duration_since(request.created_at).as_secs_f64().max(0.0));
        }
    }

    fn show(&self, tally: Tally) {
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.pending.set(gauge(tally.pending));
        self.grants_live.set(gauge(tally.grants_live));
        self.break_glass_open.set(gauge(tally.break_glass_live));
        self.reviews_open.set(gauge(tally.reviews_open));
        self.reviews_overdue.set(gauge(tally.reviews_overdue));
        let ends = [
            (RequestState::Approved, tally.approved),
            (RequestState::Denied, tally.denied),
            (RequestState::Withdrawn, tally.withdrawn),
            (RequestState::Expired, tally.expired),
        ];
        for (state, count) in ends {
            let counter: Counter<u64, AtomicU64> = self.requests.get_or_create_owned(&State { state: state.as_str() });
            // Counted in the store, which forgets none: it goes up alone, and a restart loses nothing.
            counter.inner().fetch_max(count, Ordering::Relaxed);
        }
    }
}

impl Desk {
    /// Brings what `/metrics` shows of the store and the journal up to date. Anybody may ask for that page: the store is counted
    /// once a second at most, and for a twentieth of its time.
    pub async fn count(&self) {
        let metrics = &self.parts.metrics;
        metrics.journal_writable.set(i64::from(self.parts.journal.healthy().is_ok()));
        let mut due = metrics.due.lock().await;
        let begun = Instant::now();
        if begun < *due {
            return;
        }
        match timeout(PATIENCE, self.parts.store.tally(self.parts.clock.now())).await {
            Ok(Ok(tally)) => {
                metrics.store_up.set(1);
                metrics.show(tally);
            }
            Ok(Err(error)) => {
                metrics.store_up.set(0);
                tracing::warn!(%error, "the store cannot be counted");
            }
            Err(_) => {
                metrics.store_up.set(0);
                tracing::warn!("the store cannot be counted: it does not answer");
            }
        }
        *due = begun + PERIOD.max(begun.elapsed() * 20);
    }
}

/// Upper bounds: ten seconds, a minute, five, a quarter of an hour, one hour, four, eight, a day, three.
const DECISION_SECONDS: [f64; 9] = [10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 28_800.0, 86_400.0, 259_200.0];
/// How long the figures are good.
const PERIOD: Duration = Duration::from_secs(1);
/// Whoever scrapes wants an answer, also while the store gives none.
const PATIENCE: Duration = Duration::from_secs(3);
