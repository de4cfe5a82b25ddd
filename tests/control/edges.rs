//! What strangers, clumsy callers and attackers meet.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Port, answer};

/// Failures of one address within a minute after which it has to wait.
const MAX_FAILURES: usize = 10;

#[tokio::test]
async fn an_address_that_fails_often_has_to_wait() {
    let port = Port::open().await;
    for _ in 0..MAX_FAILURES {
        let (status, _) = port.get("/v1/whoami", "mallory").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let response = port.call(Method::GET, "/v1/whoami", "mallory").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    // The address waits, whatever it brings; what needs no token still answers.
    assert_eq!(port.get("/v1/whoami", "alice").await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(port.call(Method::GET, "/healthz", "mallory").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn odd_calls_are_refused_with_a_problem() {
    let port = Port::open().await;
    let post = |path: &str| port.call(Method::POST, path, "alice");
    let json_type =
        |call: reqwest::RequestBuilder, body: &str| call.header(CONTENT_TYPE, "application/json").body(body.to_owned());
    let cases = [
        (json_type(post("/v1/requests"), "{"), StatusCode::BAD_REQUEST),
        (json_type(post("/v1/requests"), "[]"), StatusCode::UNPROCESSABLE_ENTITY),
        (post("/v1/requests").body("scope=x"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (post("/v1/requests").header(CONTENT_TYPE, "text/plain").body("{}"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (json_type(post("/v1/requests"), &format!("\"{}\"", "x".repeat(65536))), StatusCode::PAYLOAD_TOO_LARGE),
        (post("/v1/grants"), StatusCode::METHOD_NOT_ALLOWED),
        (port.call(Method::GET, "/v1/nothing", "alice"), StatusCode::NOT_FOUND),
        (port.call(Method::GET, "/v2", "alice"), StatusCode::NOT_FOUND),
        (port.call(Method::GET, "/v1/requests?state=odd", "alice"), StatusCode::BAD_REQUEST),
        (port.call(Method::GET, "/v1/requests/%ff", "alice"), StatusCode::BAD_REQUEST),
        (port.call(Method::GET, "/v1/requests/req_none", "alice"), StatusCode::NOT_FOUND),
        (post("/v1/sessions/se_none/kill").json(&json!({})), StatusCode::NOT_FOUND),
        (post("/v1/sessions/se_none/kill").json(&json!({ "by": "bob" })), StatusCode::UNPROCESSABLE_ENTITY),
    ];
    for (index, (call, expected)) in cases.into_iter().enumerate() {
        let (status, problem) = answer(call).await;
        assert_eq!(status, expected, "case {index}: {problem}");
    }
}

#[tokio::test]
async fn two_tokens_are_no_token() {
    let port = Port::open().await;
    let call = port.call(Method::GET, "/v1/whoami", "alice").header(AUTHORIZATION, "Bearer other");
    assert_eq!(answer(call).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_counts_no_more_once_it_left_the_directory() {
    let port = Port::open().await;
    assert_eq!(port.get("/v1/whoami", "alice").await.0, StatusCode::OK);
    let mut changed = crate::directory();
    changed.users[0].token_hashes.clear();
    port.parts.directory.store(changed.into());
    assert_eq!(port.get("/v1/whoami", "alice").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_needs_no_token_answers_and_nothing_may_be_kept_or_framed() {
    let port = Port::open().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/metrics", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("/v1/openapi.json", "application/json"),
    ] {
        let url = format!("https://{}{path}", port.address);
        let response = port.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], kind, "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"), "{path}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_route() {
    let port = Port::open().await;
    port.get("/v1/requests/req_none", "alice").await;
    port.get("/v1/whoami", "mallory").await;
    port.get("/nowhere/at/all", "alice").await;
    let text = port.call(Method::GET, "/metrics", "alice").send().await.unwrap().text().await.unwrap();
    for line in [
        r#"pgward_control_calls_total{method="GET",route="/v1/requests/{id}",status="404"} 1"#,
        r#"pgward_control_calls_total{method="GET",route="/v1/whoami",status="401"} 1"#,
        r#"pgward_control_calls_total{method="GET",route="none",status="404"} 1"#,
        "pgward_control_unauthenticated_total 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
}

#[tokio::test]
async fn plain_http_is_not_answered() {
    let port = Port::open().await;
    let url = format!("http://{}/healthz", port.address);
    assert!(port.http.get(url).send().await.is_err());
}

/// A TLS connection on which nothing was said yet.
async fn silent(port: &Port) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let ca = port.dir.path().join("certs").join("ca.crt");
    let tls = pgward::tls::client_config(&ca, &[]).unwrap();
    let stream = tokio::net::TcpStream::connect(port.address).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
    tokio_rustls::TlsConnector::from(tls).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn strangers_do_not_stay() {
    let hour = Duration::from_secs(3600);
    let port = Port::open_with(|settings| {
        settings.stranger_timeout = Duration::from_millis(50);
        settings.handshake_timeout = hour;
        settings.drain_timeout = Duration::from_millis(50);
    })
    .await;
    // Nothing said; a head that never ends; a call that needs no token, and then nothing more.
    for said in ["", "GET / HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = silent(&port).await;
        // The port may have hung up before it was spoken to.
        let _ = stream.write_all(said.as_bytes()).await;
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(hour, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{said:?}");
    }
}

#[tokio::test]
async fn shutdown_ends_followers() {
    let port = Port::open().await;
    let mut tail = port.call(Method::GET, "/v1/audit/tail", "carol").send().await.unwrap();
    assert_eq!(tail.status(), StatusCode::OK);
    port.stop.cancel();
    // HTTP/2 may end with an empty piece.
    assert!(!matches!(tail.chunk().await, Ok(Some(chunk)) if !chunk.is_empty()));
    assert!(port.dir.path().exists());
}
