//! Connections of the control port: accepted, bounded in number and time, wrapped in TLS, handed to the routes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::Peer;
use super::limiter::host_of;
use super::router;
use super::server::Shared;

/// Accepts until `stop`, then waits for what is open, at most the drain time.
pub async fn run(shared: &Arc<Shared>, listener: TcpListener, stop: &CancellationToken) {
    let acceptor = acceptor(shared);
    let routes = router::build(shared);
    let places = Arc::new(Places::new(shared.settings.max_connections, shared.settings.max_connections_per_address));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the control port could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = Places::take(&places, peer.ip()) else {
            tracing::warn!(address = %peer.ip(), "a connection to the control port was dropped: too many are open");
            continue;
        };
        let (shared, acceptor, routes, stop) = (Arc::clone(shared), acceptor.clone(), routes.clone(), stop.clone());
        connections.spawn(async move {
            serve(&shared, &acceptor, (routes, Peer::new(peer)), stream, &stop).await;
            drop(place);
        });
    }
    shared.stop.cancel();
    connections.close();
    let drained = tokio::time::timeout(shared.settings.drain_timeout, connections.wait()).await;
    if drained.is_err() {
        tracing::warn!(open = connections.len(), "connections of the control port were cut at shutdown");
    }
}

fn acceptor(shared: &Shared) -> TlsAcceptor {
    let mut tls = rustls::ServerConfig::clone(&shared.settings.tls);
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(tls))
}

/// One connection from its handshake to its end. At a shutdown it finishes the calls that are under way; so does one that
/// shows no valid token for too long.
async fn serve(
    shared: &Shared,
    acceptor: &TlsAcceptor,
    (routes, peer): (Router, Peer),
    stream: TcpStream,
    stop: &CancellationToken,
) {
    let limit = shared.settings.handshake_timeout;
    let Ok(Ok(stream)) = tokio::time::timeout(limit, acceptor.accept(stream)).await else {
        tracing::debug!("a TLS handshake on the control port failed");
        return;
    };
    let builder = builder(limit);
    let routes = routes.layer(Extension(peer.clone()));
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = over(&peer, shared.settings.stranger_timeout, stop) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(shared.settings.drain_timeout, connection).await {
                Ok(outcome) => outcome,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection of the control port ended early");
    }
}

/// Waits until a connection has to end: at a shutdown, or when nobody known is there after a time.
async fn over(peer: &Peer, stranger_timeout: Duration, stop: &CancellationToken) {
    if tokio::time::timeout(stranger_timeout, stop.cancelled()).await.is_err() && peer.is_known() {
        stop.cancelled().await;
    }
}

fn builder(head_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    builder
}

/// How many connections are open, in all and by address.
#[derive(Debug)]
struct Places {
    max: usize,
    max_per_address: usize,
    open: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

impl Places {
    fn new(max: usize, max_per_address: usize) -> Self {
        Self { max, max_per_address, open: Mutex::default() }
    }

    fn take(places: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = host_of(address);
        let mut open = places.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_address) = &mut *open;
        let of_address = by_address.get(&address).copied().unwrap_or(0);
        if *all >= places.max || of_address >= places.max_per_address {
            return None;
        }
        *all += 1;
        by_address.insert(address, of_address + 1);
        Some(Place { places: Arc::clone(places), address })
    }
}

/// One open connection; its end gives the place back.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_address) = &mut *open;
        *all = all.saturating_sub(1);
        if let Some(of_address) = by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// How long to wait after a failed accept: descriptors may be short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Headers of one request.
const MAX_HEADERS: usize = 64;
/// Bytes of one HTTP/1 request head.
const MAX_HEAD: usize = 64 * 1024;
/// Calls at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 32;
/// Bytes of one HTTP/2 header list.
const MAX_HEADER_LIST: u32 = 16 * 1024;
/// How often a silent HTTP/2 peer is asked whether it is there, and how long it has to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_by_address_and_come_back() {
        let places = Arc::new(Places::new(3, 2));
        let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = Places::take(&places, one).unwrap();
        let _second = Places::take(&places, one).unwrap();
        assert!(Places::take(&places, one).is_none());
        let _third = Places::take(&places, other).unwrap();
        assert!(Places::take(&places, other).is_none());
        drop(first);
        assert!(Places::take(&places, one).is_some());
    }
}
