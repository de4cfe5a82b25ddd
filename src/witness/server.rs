//! A witness's port: one route, bounded in everything, over TLS or on the machine itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::judge::{Answer, Witness};
use super::request::MAX_BODY;

/// How a port is spoken with.
#[derive(Clone, Debug)]
pub enum Tls {
    /// In the clear: for addresses of the machine itself alone.
    Off,
    On(Arc<rustls::ServerConfig>),
}

/// Answers until `stop`.
pub async fn serve(witness: Arc<Witness>, listener: TcpListener, tls: Tls, stop: CancellationToken) {
    let routes = Router::new().route("/add-checkpoint", post(add_checkpoint)).with_state(witness);
    let acceptor = match tls {
        Tls::Off => None,
        Tls::On(config) => Some(TlsAcceptor::from(config)),
    };
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("a connection was dropped: too many are open");
            continue;
        };
        let (routes, acceptor, stop) = (routes.clone(), acceptor.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, acceptor, routes, &stop).await;
            drop(place);
        });
    }
    connections.close();
    let _ = tokio::time::timeout(CALL_TIMEOUT, connections.wait()).await;
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, routes: Router, stop: &CancellationToken) {
    match acceptor {
        None => speak(stream, routes, stop).await,
        Some(acceptor) => match tokio::time::timeout(CALL_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => speak(stream, routes, stop).await,
            Ok(Err(_)) | Err(_) => tracing::debug!("a TLS handshake failed"),
        },
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    routes: Router,
    stop: &CancellationToken,
) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(MAX_HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        outcome = connection.as_mut() => {
            if let Err(error) = outcome {
                tracing::debug!(%error, "a connection ended early");
            }
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(CALL_TIMEOUT, connection).await;
        }
    }
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, request: Request) -> Response {
    let body = match tokio::time::timeout(CALL_TIMEOUT, to_bytes(request.into_body(), MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return said(StatusCode::BAD_REQUEST, "the body is too long or was cut off"),
        Err(_) => return said(StatusCode::REQUEST_TIMEOUT, "the body did not come"),
    };
    let Ok(body) = String::from_utf8(body.into()) else {
        return said(StatusCode::BAD_REQUEST, "the body is not UTF-8");
    };
    // A disk is waited for.
    let answer = tokio::task::spawn_blocking(move || witness.add(&body, now())).await;
    match answer {
        Ok(answer) => respond(answer),
        Err(_) => said(StatusCode::INTERNAL_SERVER_ERROR, "the witness failed"),
    }
}

fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Cosigned(line) => plain(StatusCode::OK, "text/plain; charset=utf-8", format!("{line}\n")),
        Answer::Malformed(what) => said(StatusCode::BAD_REQUEST, &what),
        Answer::UnknownLog => said(StatusCode::NOT_FOUND, "this log is not witnessed here"),
        Answer::Untrusted => said(StatusCode::FORBIDDEN, "no known key of this log signed the checkpoint"),
        Answer::Stale { known } | Answer::Forked { known } => {
            plain(StatusCode::CONFLICT, "text/x.tlog.size", format!("{known}\n"))
        }
        Answer::Inconsistent => said(StatusCode::UNPROCESSABLE_ENTITY, "the consistency proof does not hold"),
        Answer::Broken(what) => {
            tracing::error!(error = %what, "a checkpoint could not be remembered, and so was not signed");
            said(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot remember the checkpoint")
        }
    }
}

fn said(status: StatusCode, what: &str) -> Response {
    plain(status, "text/plain; charset=utf-8", format!("{what}\n"))
}

fn plain(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const MAX_CONNECTIONS: usize = 256;
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// For a handshake, or a request's body.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// For a request's head, from the end of the one before.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// After a failed accept: descriptors may be short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
