//! What is counted of replicas.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) peers: Gauge,
    pub(super) policies: Gauge,
    pub(super) skew: Gauge<f64, AtomicU64>,
    pub(super) failures: Counter,
    pub(super) calls_failed: Counter,
}

impl Metrics {
    /// Registers them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "pgward_replica_peers",
            "Other replicas that were seen within their lease",
            metrics.peers.clone(),
        );
        registry.register(
            "pgward_replica_configurations",
            "Different configurations that the replicas work by",
            metrics.policies.clone(),
        );
        registry.register(
            "pgward_clock_skew_seconds",
            "How far this machine's clock is ahead of the store's",
            metrics.skew.clone(),
        );
        registry.register(
            "pgward_replica_renewals_failed",
            "Times that this replica could not tell the store that it is there",
            metrics.failures.clone(),
        );
        registry.register(
            "pgward_replica_calls_failed",
            "Calls of other replicas that were not answered",
            metrics.calls_failed.clone(),
        );
        metrics
    }
}
