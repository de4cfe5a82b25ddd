//! What is counted of the sinks.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::progress::Reading;

/// Gauges and counters by sink. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    lag_records: Family<Label, Gauge>,
    lag_seconds: Family<Label, Gauge<f64, AtomicU64>>,
    alarm: Family<Label, Gauge>,
    last_success: Family<Label, Gauge>,
    delivered: Family<Label, Counter>,
    failures: Family<Label, Counter>,
    missed: Family<Label, Counter>,
    refused: Family<Label, Counter>,
    counted: Counted,
}

/// `sink` or `notification`, and its name.
type Label = [(&'static str, String); 1];

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
enum Counted {
    #[default]
    Sinks,
    Notifications,
}

impl Metrics {
    /// Registers them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { lag_records, lag_seconds, alarm, last_success, delivered, failures, missed, refused, counted: _ } =
            metrics.clone();
        registry.register("pgward_audit_sink_lag_records", "Records that a sink has not taken yet", lag_records);
        registry.register("pgward_audit_sink_lag_seconds", "How long ago the oldest of them was made", lag_seconds);
        registry.register("pgward_audit_sink_alarm", "1 while a sink is behind for too long, or was given up", alarm);
        registry.register(
            "pgward_audit_sink_last_success_seconds",
            "When a receiver last acknowledged records, in seconds since 1970",
            last_success,
        );
        registry.register("pgward_audit_sink_delivered", "Records that receivers acknowledged", delivered);
        registry.register("pgward_audit_sink_failures", "Deliveries that failed", failures);
        registry.register(
            "pgward_audit_sink_missed",
            "Records that were not in the journal any more when a sink came to them",
            missed,
        );
        registry.register("pgward_audit_sink_refused", "Records that a receiver refused for good", refused);
        metrics
    }

    /// Registers those of notifications.
    #[must_use]
    pub fn register_notifications(registry: &mut Registry) -> Self {
        let metrics = Self { counted: Counted::Notifications, ..Self::default() };
        let Self { lag_records, lag_seconds, alarm, last_success, delivered, failures, missed, refused, counted: _ } =
            metrics.clone();
        let registry = registry.sub_registry_with_prefix("pgward_notification");
        registry.register(
            "lag_records",
            "Records of the journal that a notification has not looked at yet",
            lag_records,
        );
        registry.register("lag_seconds", "How long ago the oldest of them was made", lag_seconds);
        registry.register("alarm", "1 while a message waits for too long, or the receiver wants no more", alarm);
        let help = "When a receiver last took a message, in seconds since 1970";
        registry.register("last_success_seconds", help, last_success);
        registry.register("delivered", "Messages that receivers took", delivered);
        registry.register("failures", "Deliveries that failed", failures);
        let help = "Records that were not in the journal any more when a notification came to them";
        registry.register("missed", help, missed);
        registry.register("given_up", "Messages that were given up: each is in the journal", refused);
        metrics
    }

    fn label(&self, name: &str) -> Label {
        match self.counted {
            Counted::Sinks => [("sink", name.to_owned())],
            Counted::Notifications => [("notification", name.to_owned())],
        }
    }

    /// Tells what a sink has come to since `before`.
    pub(super) fn tell(&self, sink: &str, before: &Reading, now: &Reading, behind: &Behind) {
        let label = self.label(sink);
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.lag_records.get_or_create(&label).set(gauge(behind.records));
        self.lag_seconds.get_or_create(&label).set(behind.for_how_long.as_secs_f64());
        self.alarm.get_or_create(&label).set(i64::from(behind.alarm));
        self.last_success.get_or_create(&label).set(gauge(now.last_success));
        self.delivered.get_or_create(&label).inc_by(now.delivered.saturating_sub(before.delivered));
        self.failures.get_or_create(&label).inc_by(now.failures.saturating_sub(before.failures));
        self.missed.get_or_create(&label).inc_by(now.missed.saturating_sub(before.missed));
        self.refused.get_or_create(&label).inc_by(now.refused.saturating_sub(before.refused));
    }

    /// A sink that is no more has no gauges.
    pub(super) fn forget(&self, sink: &str) {
        let label = self.label(sink);
        self.lag_records.remove(&label);
        self.lag_seconds.remove(&label);
        self.alarm.remove(&label);
        self.last_success.remove(&label);
    }
}

/// How far behind the journal a sink is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Behind {
    pub records: u64,
    pub for_how_long: std::time::Duration,
    pub alarm: bool,
}
