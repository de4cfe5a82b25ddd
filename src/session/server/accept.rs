//! From the listener to a startup packet: connections are accepted, given a seat, and handed to their lanes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant as Deadline;
use tokio_util::sync::CancellationToken;

use super::Server;
use crate::session::admission::Seat;
use crate::session::balancer::{self, Origin};
use crate::session::bounds::Bound;
use crate::session::handshake::{self, HandshakeError, Opening};
use crate::session::open;
use crate::session::relay::LATECOMERS;
use crate::session::throttle::Network;
use crate::wire::encode::ClientVisible;
use crate::wire::sqlstate;

/// After an accept that failed for want of something, before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted; the kernel takes less where `net.core.somaxconn` is lower.
const BACKLOG: i32 = 8_192;

impl Server {
    /// Accepts until `shutdown`, on the first lane.
    pub(super) async fn accept(self: &Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        let Some(lane) = self.lanes.first() else { return Arc::clone(self).accept_here(listener, shutdown).await };
        let server = Arc::clone(self);
        let moved = listener.into_std();
        let accepting = lane.spawn(async move {
            match moved.and_then(TcpListener::from_std) {
                Ok(listener) => server.accept_here(listener, shutdown).await,
                Err(error) => tracing::error!(%error, "the listener cannot be moved to its thread"),
            }
        });
        if let Err(error) = accepting.await {
            tracing::error!(%error, "accepting connections ended badly");
        }
    }

    async fn accept_here(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        prepare(&listener);
        loop {
            // Cancel safe: an accept that is dropped has taken no connection.
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Whoever is in the queue already would be refused where nobody else holds the socket.
        while let Ok(Ok((stream, address))) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            self.admit(stream, address);
        }
    }

    /// Returns when the process stops and those who are logging in have had their time.
    async fn is_too_late(&self) {
        self.stopping.cancelled().await;
        tokio::time::sleep(LATECOMERS).await;
    }

    /// Gives a connection a seat and a lane, or has it told that there is none.
    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Behind a load balancer the client's address, and with it the bounds by address, is known only once it is told.
        let is_balancer = self.parts.balancers.load().include(peer.ip());
        let seat = match self.admission.enter((!is_balancer).then(|| Network::of(peer.ip()))) {
            Ok(seat) => seat,
            Err(full) => return self.turn_away_at_once(stream, peer, is_balancer, full),
        };
        let deadline = Deadline::now() + self.settings.bounds.handshake_timeout;
        let server = Arc::clone(self);
        let serving = move |stream| async move {
            let served = if is_balancer {
                Box::pin(server.serve_behind(stream, peer, seat, deadline)).await
            } else {
                server.serve(stream, Origin { address: peer, is_local: false }, seat, deadline).await
            };
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "no session");
            }
        };
        match self.lanes.as_slice() {
            [] | [_] => drop(self.tasks.spawn(serving(stream))),
            lanes => {
                let turn = self.next_lane.fetch_add(1, Ordering::Relaxed) % lanes.len();
                let Some(lane) = lanes.get(turn) else { return };
                // Each lane waits for its own sockets.
                let moved = stream.into_std();
                self.tasks.spawn_on(
                    async move {
                        match moved.and_then(TcpStream::from_std) {
                            Ok(stream) => serving(stream).await,
                            Err(error) => tracing::warn!(%peer, %error, "a connection cannot be moved to its thread"),
                        }
                    },
                    lane,
                );
            }
        }
    }

    /// Serves a connection of a load balancer, for the client that it names.
    async fn serve_behind(
        self: &Arc<Self>,
        mut stream: TcpStream,
        peer: SocketAddr,
        mut seat: Seat,
        deadline: Deadline,
    ) -> Result<(), HandshakeError> {
        let told = tokio::select! {
            () = self.is_too_late() => return Ok(()),
            told = tokio::time::timeout_at(deadline, balancer::read(&mut stream, peer)) => told,
        };
        let from = match told {
            Ok(Ok(from)) => from,
            Ok(Err(error @ (HandshakeError::Closed | HandshakeError::Io(_)))) => return Err(error),
            Ok(Err(error)) => {
                self.refused(peer.ip(), &error.to_string()).await;
                return Err(error);
            }
            Err(_) => {
                self.parts.metrics.count_bound(Bound::HandshakeTimeout);
                self.refused(peer.ip(), "the PROXY header took too long").await;
                return Ok(());
            }
        };
        if let Err(full) = seat.place(Network::of(from.address.ip())) {
            drop(seat);
            self.turn_away(stream, from, full).await;
            return Ok(());
        }
        self.serve(stream, from, seat, deadline).await
    }

    /// Serves a client to its end.
    async fn serve(
        self: &Arc<Self>,
        stream: TcpStream,
        from: Origin,
        seat: Seat,
        deadline: Deadline,
    ) -> Result<(), HandshakeError> {
        // Boxed, as all that comes before the session itself: the task holds it no longer than it takes.
        if let Some(arrival) = Box::pin(self.receive(stream, from, deadline)).await? {
            open::serve(self, arrival, seat, deadline).await;
        }
        Ok(())
    }

    /// A client that has said who it wants to be; `None` where nothing more is to be done for it.
    async fn receive(
        self: &Arc<Self>,
        stream: TcpStream,
        from: Origin,
        deadline: Deadline,
    ) -> Result<Option<Box<open::Arrival>>, HandshakeError> {
        let tls = self.parts.tls.load_full();
        let address = from.address;
        let opening = Box::pin(tokio::time::timeout_at(deadline, handshake::open(stream, Arc::clone(&tls.config))));
        let opened = tokio::select! {
            () = self.is_too_late() => return Ok(None),
            opened = opening => opened,
        };
        match opened {
            Err(_) => {
                self.parts.metrics.count_bound(Bound::HandshakeTimeout);
                self.refused(address.ip(), "the handshake took too long").await;
            }
            Ok(Err(error @ (HandshakeError::Closed | HandshakeError::Io(_)))) => return Err(error),
            Ok(Err(error)) => self.refused(address.ip(), &error.to_string()).await,
            Ok(Ok(Opening::Startup { mut stream, .. })) if from.is_local => {
                let text = "a load balancer's own connection gets no session";
                self.refused(address.ip(), text).await;
                let said = ClientVisible::fatal(sqlstate::INVALID_AUTHORIZATION, text);
                handshake::refuse(&mut stream, &[], &said).await;
            }
            Ok(Ok(Opening::Cancel { .. })) if from.is_local => {
                self.refused(address.ip(), "a load balancer's own connection cancels nothing").await;
            }
            Ok(Ok(Opening::Cancel { process, key })) => self.cancel(address.ip(), process, &key).await,
            Ok(Ok(Opening::Startup { stream, rest, startup })) => {
                let binding = tls.binding(stream.get_ref().1.server_name());
                let arrival = open::Arrival::new(stream, rest, startup, address, binding);
                return Ok(Some(Box::new(arrival)));
            }
        }
        Ok(None)
    }
}

/// What accepted connections take over from their listener: nothing waits to be sent together with more, and the kernel notices a
/// client that is gone without a word. And a storm of clients finds room to wait.
fn prepare(listener: &TcpListener) {
    let keep = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    let socket = socket2::SockRef::from(listener);
    let prepared = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keep))
        .and_then(|()| socket.listen(BACKLOG));
    // No reason to refuse anybody.
    if let Err(error) = prepared {
        tracing::warn!(%error, "the listener keeps its defaults");
    }
}
