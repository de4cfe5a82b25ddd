//! The routes, the API's description that is made from them, and what holds for every call: its time, its body's size,
//! the headers of its answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{PEER_CANCEL, authenticate};
use super::extract::MAX_BODY;
use super::metrics::count;
use super::problem::Problem;
use super::refusals;
use super::routes::{
    audit, credentials, decisions, emergencies, explain, grants, holds, login, permissions, proof, requests, retention,
    scopes, service, sessions, unusual, usage, web,
};
use super::server::Shared;

/// All routes of the control port.
pub fn build(shared: &Arc<Shared>) -> Router {
    let (guarded, description) = guarded().split_for_parts();
    let description = Bytes::from(serde_json::to_vec(&description).unwrap_or_default());
    let description = move || async move { ([(header::CONTENT_TYPE, "application/json")], description) };
    let open = Router::new()
        .route("/v1/openapi.json", get(description))
        .route("/v1/login-options", get(login::options))
        .route("/healthz", get(service::healthz))
        .route("/readyz", get(service::readyz))
        .route("/metrics", get(service::metrics));
    let open = web::FILES
        .into_iter()
        .fold(open, |open, file| open.route(file.path, get(move || async move { file.answer() })));
    let logins = Router::new()
        .route("/login", get(web::standing).post(web::login))
        .route("/login/oidc", get(login::start))
        .route("/login/callback", get(login::returned))
        .route("/logout", post(web::logout));
    guarded
        // Between replicas alone, and so no part of the description.
        .route(PEER_CANCEL, post(sessions::hand_cancel))
        .route_layer(middleware::from_fn_with_state(Arc::clone(shared), authenticate))
        .merge(logins)
        .route_layer(middleware::from_fn_with_state(Arc::clone(shared), refusals::record))
        .merge(open)
        .fallback(|| async { Problem::no_route() })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(shared), timed))
        .layer(middleware::from_fn(headers))
        .layer(middleware::from_fn_with_state(shared.metrics.clone(), count))
        .with_state(Arc::clone(shared))
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    guarded().into_openapi()
}

fn guarded() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(requests::file, requests::list))
        .routes(routes!(requests::show))
        .routes(routes!(decisions::approve))
        .routes(routes!(decisions::deny))
        .routes(routes!(requests::edit))
        .routes(routes!(requests::withdraw))
        .routes(routes!(grants::list))
        .routes(routes!(grants::revoke))
        .routes(routes!(grants::extend))
        .routes(routes!(emergencies::open))
        .routes(routes!(emergencies::reviews))
        .routes(routes!(emergencies::close))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::kill))
        .routes(routes!(unusual::list))
        .routes(routes!(unusual::release))
        .routes(routes!(credentials::mint))
        .routes(routes!(explain::explain))
        .routes(routes!(audit::search))
        .routes(routes!(audit::story))
        .routes(routes!(audit::replay))
        .routes(routes!(audit::tail))
        .routes(routes!(audit::verify))
        .routes(routes!(holds::list, holds::place))
        .routes(routes!(holds::release))
        .routes(routes!(holds::purge))
        .routes(routes!(proof::proof))
        .routes(routes!(permissions::permissions))
        .routes(routes!(usage::scopes))
        .routes(routes!(usage::residency))
        .routes(routes!(retention::plan))
        .routes(routes!(retention::runs, retention::run))
        .routes(routes!(retention::stop))
        .routes(routes!(retention::hidden))
        .routes(routes!(retention::holds, retention::place_hold))
        .routes(routes!(retention::release_hold))
        .routes(routes!(scopes::list))
        .routes(routes!(scopes::whoami))
}

/// Ends a call that takes too long to answer. An answer that has begun may go on; what reads the journal takes as long as
/// the journal is long, and is bounded in number instead.
async fn timed(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let counts = ["/v1/audit/", "/v1/databases/", "/v1/reports/", "/v1/retention/plan"];
    if counts.iter().any(|counts| path.starts_with(counts)) {
        return next.run(request).await;
    }
    match tokio::time::timeout(shared.settings.call_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timeout().into_response(),
    }
}

/// Headers that keep a browser from keeping, guessing at, framing or running an answer.
async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// What the description says besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "pgward control API",
        description = "Requests, approvals, grants, sessions and the journal. Errors are application/problem+json."
    ),
    components(schemas(Problem)),
    modifiers(&BearerToken),
    security(("token" = []))
)]
struct Description;

struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token of `pgward token`"));
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_description_names_every_route_and_its_errors() {
        let document = serde_json::to_value(openapi()).unwrap();
        let expected = [
            ("/v1/requests", "get"),
            ("/v1/requests", "post"),
            ("/v1/requests/{id}", "get"),
            ("/v1/requests/{id}/approve", "post"),
            ("/v1/requests/{id}/deny", "post"),
            ("/v1/requests/{id}/edit", "post"),
            ("/v1/requests/{id}/withdraw", "post"),
            ("/v1/grants", "get"),
            ("/v1/grants/{id}/revoke", "post"),
            ("/v1/grants/{id}/extend", "post"),
            ("/v1/break-glass", "post"),
            ("/v1/reviews", "get"),
            ("/v1/reviews/{id}/close", "post"),
            ("/v1/sessions", "get"),
            ("/v1/sessions/{id}/kill", "post"),
            ("/v1/unusual/held", "get"),
            ("/v1/unusual/held/{principal}/release", "post"),
            ("/v1/credentials", "post"),
            ("/v1/explain", "post"),
            ("/v1/audit/search", "get"),
            ("/v1/audit/records/{id}", "get"),
            ("/v1/audit/sessions/{id}/replay", "get"),
            ("/v1/audit/tail", "get"),
            ("/v1/audit/verify", "get"),
            ("/v1/audit/proof/{seq}", "get"),
            ("/v1/audit/holds", "get"),
            ("/v1/audit/holds", "post"),
            ("/v1/audit/holds/{id}/release", "post"),
            ("/v1/audit/purge", "post"),
            ("/v1/databases/{database}/permissions", "get"),
            ("/v1/reports/scopes", "get"),
            ("/v1/reports/residency", "get"),
            ("/v1/retention/plan", "get"),
            ("/v1/retention/runs", "get"),
            ("/v1/retention/runs", "post"),
            ("/v1/retention/runs/{id}/stop", "post"),
            ("/v1/retention/hidden", "get"),
            ("/v1/retention/holds", "get"),
            ("/v1/retention/holds", "post"),
            ("/v1/retention/holds/{id}/release", "post"),
            ("/v1/scopes", "get"),
            ("/v1/whoami", "get"),
        ];
        for (path, method) in expected {
            let operation = &document["paths"][path][method];
            assert!(operation.is_object(), "{method} {path} is missing");
            assert!(operation["responses"]["default"].is_object(), "{method} {path} does not describe its errors");
        }
        let routes: usize = document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
        assert_eq!(routes, expected.len());
        assert!(document["components"]["securitySchemes"]["token"].is_object());
    }
}
