//! Connections that get no seat: a few at a time are told why, within a short time; the others are closed without a word, so that a
//! flood holds no memory. Who cannot log in can still cancel what runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::Server;
use crate::session::balancer::{self, Origin};
use crate::session::bounds::Full;
use crate::session::handshake::{self, HandshakeError, Opening};
use crate::session::throttle::Network;

/// For a client that is turned away to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

impl Server {
    /// Turns a connection away where nobody waits for it.
    pub(super) fn turn_away_at_once(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        is_balancer: bool,
        full: Full,
    ) {
        self.parts.metrics.count_bound(full.bound());
        self.refused_at_once(peer.ip(), full.why());
        let Some(telling) = self.admission.tell((!is_balancer).then(|| Network::of(peer.ip()))) else { return };
        let server = Arc::clone(self);
        self.tasks.spawn(async move {
            let told = server.tell(stream, peer, is_balancer, full).await;
            drop(telling);
            if let Err(error) = told {
                tracing::debug!(%peer, %error, "turned away without hearing why");
            }
        });
    }

    /// Turns away a connection of a load balancer, whose client is known.
    pub(super) async fn turn_away(&self, stream: TcpStream, from: Origin, full: Full) {
        self.parts.metrics.count_bound(full.bound());
        self.refused(from.address.ip(), full.why()).await;
        let Some(_telling) = self.admission.tell(Some(Network::of(from.address.ip()))) else { return };
        if let Err(error) = self.tell_why(stream, from, full).await {
            tracing::debug!(peer = %from.address, %error, "turned away without hearing why");
        }
    }

    async fn tell(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        is_balancer: bool,
        full: Full,
    ) -> Result<(), HandshakeError> {
        let mut from = Origin { address: peer, is_local: false };
        if is_balancer {
            let Ok(told) = tokio::time::timeout(PATIENCE, balancer::read(&mut stream, peer)).await else {
                return Ok(());
            };
            from = told?;
        }
        self.tell_why(stream, from, full).await
    }

    async fn tell_why(&self, stream: TcpStream, from: Origin, full: Full) -> Result<(), HandshakeError> {
        let tls = Arc::clone(&self.parts.tls.load().config);
        let opened = tokio::select! {
            () = self.stopping.cancelled() => return Ok(()),
            opened = tokio::time::timeout(PATIENCE, handshake::open(stream, tls)) => opened,
        };
        let Ok(opened) = opened else { return Ok(()) };
        match opened? {
            Opening::Startup { mut stream, .. } => handshake::refuse(&mut stream, &[], &full.said()).await,
            Opening::Cancel { .. } if from.is_local => {}
            Opening::Cancel { process, key } => self.cancel(from.address.ip(), process, &key).await,
        }
        Ok(())
    }
}
