//! What is counted of runs.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

#[derive(Clone, Debug, Default)]
pub struct Metrics {
    rows: Family<OfPolicy, Counter>,
    failed: Family<OfPolicy, Counter>,
    runs: Family<Outcome, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPolicy {
    database: String,
    policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Metrics {
    pub fn register(registry: &mut prometheus_client::registry::Registry) -> Self {
        let metrics = Self::default();
        for outcome in ["finished", "incomplete"] {
            drop(metrics.runs.get_or_create(&Outcome { outcome }));
        }
        registry.register("pgward_retention_rows", "Rows purged or anonymised, by policy", metrics.rows.clone());
        registry.register("pgward_retention_failed_rows", "Rows that could not be, by policy", metrics.failed.clone());
        registry.register("pgward_retention_runs", "Runs of retention policies, by outcome", metrics.runs.clone());
        metrics
    }

    pub(super) fn done(&self, database: &str, policy: &str, rows: u64) {
        let labels = OfPolicy { database: database.to_owned(), policy: policy.to_owned() };
        self.rows.get_or_create(&labels).inc_by(rows);
    }

    pub(super) fn failed(&self, database: &str, policy: &str) {
        let labels = OfPolicy { database: database.to_owned(), policy: policy.to_owned() };
        self.failed.get_or_create(&labels).inc();
    }

    pub(super) fn ended(&self, finished: bool) {
        let outcome = if finished { "finished" } else { "incomplete" };
        self.runs.get_or_create(&Outcome { outcome }).inc();
    }
}
