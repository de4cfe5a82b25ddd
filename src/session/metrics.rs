//! The data path's counters.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::bounds::Bound;
use crate::policy::Rule;

/// The label of [`Metrics::statements`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerdictLabel {
    pub verdict: &'static str,
}

/// The label of [`Metrics::denials`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleLabel {
    pub rule: &'static str,
}

/// The label of [`Metrics::bounds`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BoundLabel {
    /// The bound's key in the configuration.
    pub bound: &'static str,
}

/// The label of [`Metrics::bytes`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DirectionLabel {
    pub direction: &'static str,
}

/// The label of [`Metrics::second_opinions`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OpinionLabel {
    pub result: &'static str,
    /// Why there is none; empty where there is one.
    pub reason: &'static str,
}

/// Counters and gauges of all sessions.
#[derive(Debug)]
pub struct Metrics {
    pub sessions_open: Gauge<i64, AtomicI64>,
    /// Statements that wait for their approvers.
    pub held: Gauge<i64, AtomicI64>,
    pub allowed: Counter,
    pub denied: Counter,
    pub bytes_to_clients: Counter,
    pub bytes_to_upstreams: Counter,
    pub cancels: Counter,
    pub auth_failures: Counter,
    pub upstream_failures: Counter,
    pub catalog_loads: Counter,
    /// Time that statements waited for a second opinion.
    pub second_opinion_seconds: Histogram,
    /// Statements that policy let through and PostgreSQL refused to a session's own role.
    pub wall_three_refusals: Counter,
    denials: Family<RuleLabel, Counter>,
    refused_connections: Counter,
    bounds: Family<BoundLabel, Counter>,
    second_opinions: Family<OpinionLabel, Counter>,
}

impl Metrics {
    /// Makes the metrics and tells `registry` of them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let statements = Family::<VerdictLabel, Counter>::default();
        let bytes = Family::<DirectionLabel, Counter>::default();
        let metrics = Self {
            sessions_open: Gauge::default(),
            held: Gauge::default(),
            allowed: statements.get_or_create_owned(&VerdictLabel { verdict: "allow" }),
            denied: statements.get_or_create_owned(&VerdictLabel { verdict: "deny" }),
            bytes_to_clients: bytes.get_or_create_owned(&DirectionLabel { direction: "client" }),
            bytes_to_upstreams: bytes.get_or_create_owned(&DirectionLabel { direction: "upstream" }),
            cancels: Counter::default(),
            auth_failures: Counter::default(),
            refused_connections: Counter::default(),
            upstream_failures: Counter::default(),
            catalog_loads: Counter::default(),
            second_opinion_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
            wall_three_refusals: Counter::default(),
            denials: Family::default(),
            bounds: Family::default(),
            second_opinions: Family::default(),
        };
        registry.register("pgward_sessions_open", "Live client sessions", metrics.sessions_open.clone());
        registry.register("pgward_statements_held", "Statements that wait for approval", metrics.held.clone());
        registry.register("pgward_statements", "Statements judged", statements);
        registry.register("pgward_denials", "Statements denied, by rule", metrics.denials.clone());
        registry.register("pgward_bytes", "Bytes passed on, by who received them", bytes);
        registry.register("pgward_cancels", "Cancel requests passed on", metrics.cancels.clone());
        registry.register("pgward_auth_failures", "Logins refused", metrics.auth_failures.clone());
        let refused = metrics.refused_connections.clone();
        registry.register("pgward_connections_refused", "Connections over a bound", refused);
        let bounds = metrics.bounds.clone();
        registry.register("pgward_bound_refusals", "What was refused or ended at a bound, by its key", bounds);
        registry.register("pgward_upstream_failures", "Upstreams not reached", metrics.upstream_failures.clone());
        let wall_three = metrics.wall_three_refusals.clone();
        registry.register("pgward_wall_three_refusals", "Statements let through, refused by PostgreSQL", wall_three);
        registry.register("pgward_catalog_loads", "Catalog snapshots loaded", metrics.catalog_loads.clone());
        let opinions = metrics.second_opinions.clone();
        registry.register(
            "pgward_second_opinions",
            "PostgreSQL's own opinions of statements, by what came of it",
            opinions,
        );
        let seconds = metrics.second_opinion_seconds.clone();
        registry.register("pgward_second_opinion_seconds", "Time that statements waited for one", seconds);
        metrics
    }

    /// Counts one second opinion.
    pub fn count_opinion(&self, result: &'static str, reason: &'static str) {
        self.second_opinions.get_or_create(&OpinionLabel { result, reason }).inc();
    }

    /// Counts what was refused or ended at a bound.
    pub fn count_bound(&self, bound: Bound) {
        match bound {
            Bound::Connections
            | Bound::ConnectionsPerAddress
            | Bound::ConnectionsPerPrincipal
            | Bound::Handshakes
            | Bound::HandshakesPerAddress => drop(self.refused_connections.inc()),
            Bound::HandshakeTimeout
            | Bound::FailedLogins
            | Bound::FailedLoginsPerAddress
            | Bound::CancelsPerAddress
            | Bound::PreparedStatements
            | Bound::Portals
            | Bound::MessageBytes
            | Bound::ClientWriteTimeout => {}
        }
        self.bounds.get_or_create(&BoundLabel { bound: bound.key() }).inc();
    }

    /// Counts one denial.
    pub fn count_denial(&self, rule: Rule) {
        self.denied.inc();
        self.denials.get_or_create(&RuleLabel { rule: rule.as_str() }).inc();
    }
}
