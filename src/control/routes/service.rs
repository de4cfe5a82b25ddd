//! For those who run pgward: health, readiness, metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::control::problem::Problem;
use crate::control::server::Shared;

/// The process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The process can do its work and is to be sent more: it is not about to stop, the store answers and was read within the lease,
/// the journal can be written, and every upstream's catalog is known.
pub async fn readyz(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    let hint = "look into the log of pgward";
    if shared.settings.leaving.is_cancelled() {
        return Err(Problem::unavailable("it is about to stop", "go to another replica, or come again"));
    }
    if let Err(error) = shared.store.ping().await {
        tracing::warn!(%error, "not ready: the store does not answer");
        return Err(Problem::unavailable("the store does not answer", hint));
    }
    if !shared.grants.is_fresh(shared.settings.store_lease) {
        return Err(Problem::unavailable("the grants were not read for longer than the lease", hint));
    }
    if let Err(error) = shared.journal.healthy() {
        tracing::warn!(%error, "not ready: the journal cannot be written");
        return Err(Problem::unavailable("the audit journal cannot be written", hint));
    }
    let missing = shared.explainer.not_ready();
    if !missing.is_empty() {
        // Anybody may ask: the names stand in the log.
        tracing::warn!(?missing, "not ready: upstreams are not known yet");
        return Err(Problem::unavailable(format!("{} upstreams are not known yet", missing.len()), hint));
    }
    Ok("ready\n")
}

/// Metrics in the OpenMetrics text format.
pub async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    shared.desk.count().await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &shared.registry).map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        Problem::internal()
    })?;
    let mut response = text.into_response();
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
