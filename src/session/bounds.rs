//! What peers may have and do, each bound with its key in the configuration, and what is said where one is met.

use std::time::Duration;

use crate::wire::encode::ClientVisible;
use crate::wire::sqlstate;

/// The bounds, each by the name of its key. The defaults are safe on a small machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Client connections at once.
    pub max_connections: usize,
    /// Those of one address (IPv6: of one /64).
    pub max_connections_per_address: usize,
    /// Those that are logged in as one principal.
    pub max_connections_per_principal: usize,
    /// Those that have not logged in yet.
    pub max_handshakes: usize,
    /// Those of one address that have not logged in yet.
    pub max_handshakes_per_address: usize,
    /// From the first byte to the end of authentication, TLS included.
    pub handshake_timeout: Duration,
    /// Failed logins as one user from one address within a minute.
    pub max_failed_logins: u32,
    /// Failed logins from one address within a minute: a bound on floods, wide enough for a machine of many users.
    pub max_failed_logins_per_address: u32,
    /// Cancel requests from one address within a minute.
    pub max_cancels_per_address: u32,
    /// Named prepared statements of one session.
    pub max_prepared_statements: usize,
    /// Named portals and cursors of one session.
    pub max_portals: usize,
    /// Bytes of one message's body that is held whole: SQL, bind values, errors.
    pub max_message_bytes: usize,
    /// Messages of one session that wait for their answers; beyond it the client is not read.
    pub max_pipelined: usize,
    /// Bytes that wait for the client to take them; beyond it the upstream is not read.
    pub max_unread_bytes: usize,
    /// How long a client may take nothing of what waits for it.
    pub client_write_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_connections: 2_000,
            max_connections_per_address: 1_000,
            max_connections_per_principal: 500,
            max_handshakes: 1_000,
            max_handshakes_per_address: 250,
            handshake_timeout: Duration::from_secs(30),
            max_failed_logins: 30,
            max_failed_logins_per_address: 600,
            max_cancels_per_address: 300,
            max_prepared_statements: 5_000,
            max_portals: 5_000,
            max_message_bytes: 16 * 1024 * 1024,
            max_pipelined: 4_096,
            max_unread_bytes: 256 * 1024,
            client_write_timeout: Duration::from_secs(600),
        }
    }
}

/// A bound at which somebody was refused something. Those that only make a peer wait are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    Connections,
    ConnectionsPerAddress,
    ConnectionsPerPrincipal,
    Handshakes,
    HandshakesPerAddress,
    HandshakeTimeout,
    FailedLogins,
    FailedLoginsPerAddress,
    CancelsPerAddress,
    PreparedStatements,
    Portals,
    MessageBytes,
    ClientWriteTimeout,
}

impl Bound {
    /// Its key in the configuration, by which metrics count it too.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Bound::Connections => "max_connections",
            Bound::ConnectionsPerAddress => "max_connections_per_address",
            Bound::ConnectionsPerPrincipal => "max_connections_per_principal",
            Bound::Handshakes => "max_handshakes",
            Bound::HandshakesPerAddress => "max_handshakes_per_address",
            Bound::HandshakeTimeout => "handshake_timeout",
            Bound::FailedLogins => "max_failed_logins",
            Bound::FailedLoginsPerAddress => "max_failed_logins_per_address",
            Bound::CancelsPerAddress => "max_cancels_per_address",
            Bound::PreparedStatements => "max_prepared_statements",
            Bound::Portals => "max_portals",
            Bound::MessageBytes => "max_message_bytes",
            Bound::ClientWriteTimeout => "client_write_timeout",
        }
    }
}

/// A bound on connections that one more would be beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Connections,
    Address,
    Handshakes,
    HandshakesOfAddress,
}

impl Full {
    #[must_use]
    pub fn bound(self) -> Bound {
        match self {
            Full::Connections => Bound::Connections,
            Full::Address => Bound::ConnectionsPerAddress,
            Full::Handshakes => Bound::Handshakes,
            Full::HandshakesOfAddress => Bound::HandshakesPerAddress,
        }
    }

    /// What the journal says.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Full::Connections => "too many connections",
            Full::Address => "too many connections from this address",
            Full::Handshakes => "too many connections that have not logged in yet",
            Full::HandshakesOfAddress => "too many connections from this address that have not logged in yet",
        }
    }

    /// What a stranger is told: nothing of who else is there.
    #[must_use]
    pub fn said(self) -> ClientVisible {
        let hint = match self {
            Full::Connections | Full::Handshakes => "Try again in a moment.",
            Full::Address => "Close connections that are not needed, or try again later.",
            Full::HandshakesOfAddress => "Open fewer connections at a time, or try again in a moment.",
        };
        let bound = self.bound().key();
        ClientVisible::fatal(sqlstate::TOO_MANY_CONNECTIONS, self.why())
            .detail(format!("There are as many as {bound} allows."))
            .hint(hint)
    }
}

/// What a principal is told who is logged in as often as may be.
#[must_use]
pub fn too_many_of_principal(name: &str, most: usize) -> ClientVisible {
    let text = format!("too many connections for user \"{name}\"");
    ClientVisible::fatal(sqlstate::TOO_MANY_CONNECTIONS, text)
        .detail(format!("There are {most}, as many as max_connections_per_principal allows."))
        .hint("Close connections that are not needed, or try again later.")
}

/// What everybody is told whose address has failed too often, the right password or the wrong one, a known user or not.
#[must_use]
pub fn too_many_failed_logins() -> ClientVisible {
    ClientVisible::fatal(sqlstate::TOO_MANY_CONNECTIONS, "too many failed logins from this address")
        .detail("Until a minute has passed, no password is looked at.")
        .hint("Correct the password, and try again in a minute.")
}
