//! What the control port counts.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The control port's counters. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    calls: Family<Call, Counter>,
    /// Calls without a valid token.
    pub(super) strangers: Counter,
}

/// Labels with few values: the route is the pattern, never the address that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: &'static str,
    route: String,
    status: u16,
}

impl Metrics {
    /// Registers the counters.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("pgward_control_calls", "Calls of the control port", metrics.calls.clone());
        registry.register(
            "pgward_control_unauthenticated",
            "Calls of the control port without a valid token",
            metrics.strangers.clone(),
        );
        metrics
    }
}

/// Counts a call by its route and outcome.
pub async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        _ => "other",
    };
    let response = next.run(request).await;
    metrics.calls.get_or_create(&Call { method, route, status: response.status().as_u16() }).inc();
    response
}
