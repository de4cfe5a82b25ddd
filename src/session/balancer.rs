//! Load balancers in front of the proxy: which ones are trusted, and whose connection each of theirs is. A trusted one must
//! say so first, in a PROXY v2 header; from anybody else such a header is garbage.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::handshake::HandshakeError;
use crate::wire::ProtocolError;
use crate::wire::proxy_header::{self, FIXED, SIGNATURE, Source};

/// The networks of the load balancers whose word about a client's address is taken.
#[derive(Clone, Debug, Default)]
pub struct Balancers(Vec<IpNet>);

impl Balancers {
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether a connection from this peer must begin with a header.
    #[must_use]
    pub fn include(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// What counts as the client's address.
    pub address: SocketAddr,
    /// It is the load balancer's own: a health check, which gets no session.
    pub is_local: bool,
}

/// Reads the header, and not one byte of what follows it.
///
/// # Errors
/// Where it is none, or not sound.
pub async fn read(stream: &mut TcpStream, peer: SocketAddr) -> Result<Origin, HandshakeError> {
    let mut fixed = [0; FIXED];
    let mut filled = 0;
    while let Some(rest) = fixed.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest).await? {
            0 => return Err(HandshakeError::Closed),
            read => filled += read,
        }
        // Who begins otherwise may be waiting for an answer: there is no need to wait for the rest.
        if !SIGNATURE.iter().zip(fixed.iter().take(filled)).all(|(wanted, found)| wanted == found) {
            return Err(HandshakeError::Unannounced);
        }
    }
    let mut header = fixed.to_vec();
    header.resize(FIXED + proxy_header::rest_length(&fixed)?, 0);
    if let Some(rest) = header.get_mut(FIXED..) {
        stream.read_exact(rest).await?;
    }
    match proxy_header::read(&header).map_err(|error: ProtocolError| HandshakeError::Protocol(error))? {
        Source::Local => Ok(Origin { address: peer, is_local: true }),
        Source::Client(address) => Ok(Origin { address, is_local: false }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_listed_networks_are_believed() {
        let balancers = Balancers::new(vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/64".parse().unwrap()]);
        for (peer, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::9", true),
            ("10.2.0.1", false),
            ("2001:db9::9", false),
        ] {
            assert_eq!(balancers.include(peer.parse().unwrap()), expected, "{peer}");
        }
        assert!(!Balancers::default().include("127.0.0.1".parse().unwrap()));
    }
}
