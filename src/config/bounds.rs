//! The bounds of `[proxy]`: what peers may have and do, within what ranges, and which of them cannot be more than others.

use std::time::Duration;

use super::reader::Table;

/// The keys of [`Bounds`].
pub(super) const KEYS: [&str; 15] = [
    "max_connections",
    "max_connections_per_address",
    "max_connections_per_principal",
    "max_handshakes",
    "max_handshakes_per_address",
    "handshake_timeout",
    "max_failed_logins",
    "max_failed_logins_per_address",
    "max_cancels_per_address",
    "max_prepared_statements",
    "max_portals",
    "max_message_bytes",
    "max_pipelined",
    "max_unread_bytes",
    "client_write_timeout",
];

/// Connections, and what else is counted: more than any machine has.
const MANY: usize = 1_000_000;
/// An unauthenticated peer is not kept longer, whatever the configuration says.
const MAX_HANDSHAKE: Duration = Duration::from_secs(60);
/// PostgreSQL's own bound on a message.
const MAX_MESSAGE: u64 = 0x3fff_ffff;
/// What waits for one client: less than a TLS record is no bound, more than this is none either.
const UNREAD: std::ops::RangeInclusive<u64> = 16 << 10..=64 << 20;
/// How long a client may take nothing.
const WRITE_TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// What peers may have and do; each by the name of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub max_connections_per_principal: usize,
    pub max_handshakes: usize,
    pub max_handshakes_per_address: usize,
    /// From accept to the end of authentication.
    pub handshake_timeout: Duration,
    /// As one user from one address, within a minute.
    pub max_failed_logins: u32,
    /// Within a minute.
    pub max_failed_logins_per_address: u32,
    /// Within a minute.
    pub max_cancels_per_address: u32,
    pub max_prepared_statements: usize,
    pub max_portals: usize,
    /// The largest message that is taken from a client.
    pub max_message_bytes: usize,
    pub max_pipelined: usize,
    pub max_unread_bytes: usize,
    pub client_write_timeout: Duration,
}

pub(super) fn bounds(table: &Table<'_>) -> Bounds {
    let max_connections = count(table, "max_connections").unwrap_or(2_000);
    let of_connections = |key: &str, default: usize| within(table, key, default, max_connections, "max_connections");
    let max_connections_per_address = of_connections("max_connections_per_address", 1_000);
    let max_connections_per_principal = of_connections("max_connections_per_principal", 500);
    let max_handshakes = of_connections("max_handshakes", 1_000);
    let max_handshakes_per_address = within(table, "max_handshakes_per_address", 250, max_handshakes, "max_handshakes");
    let per_minute = |key: &str| table.integer(key, 1, u64::from(u32::MAX)).and_then(|count| u32::try_from(count).ok());
    let max_failed_logins_per_address = per_minute("max_failed_logins_per_address").unwrap_or(600);
    let max_failed_logins = per_minute("max_failed_logins");
    if max_failed_logins.is_some_and(|most| most > max_failed_logins_per_address) {
        let most = max_failed_logins_per_address;
        table.refuse("max_failed_logins", format!("must be {most} (max_failed_logins_per_address) or less"));
    }
    Bounds {
        max_connections,
        max_connections_per_address,
        max_connections_per_principal,
        max_handshakes,
        max_handshakes_per_address,
        handshake_timeout: handshake_timeout(table),
        max_failed_logins: max_failed_logins.unwrap_or(30.min(max_failed_logins_per_address)),
        max_failed_logins_per_address,
        max_cancels_per_address: per_minute("max_cancels_per_address").unwrap_or(300),
        max_prepared_statements: count(table, "max_prepared_statements").unwrap_or(5_000),
        max_portals: count(table, "max_portals").unwrap_or(5_000),
        max_message_bytes: bytes(table.integer("max_message_bytes", 1_024, MAX_MESSAGE)).unwrap_or(16 << 20),
        // Of a single one, a message that gets no answer would be the last.
        max_pipelined: bytes(table.integer("max_pipelined", 2, MANY as u64)).unwrap_or(4_096),
        max_unread_bytes: max_unread_bytes(table),
        client_write_timeout: client_write_timeout(table),
    }
}

fn count(table: &Table<'_>, key: &str) -> Option<usize> {
    bytes(table.integer(key, 1, MANY as u64))
}

fn bytes(number: Option<u64>) -> Option<usize> {
    number.and_then(|number| usize::try_from(number).ok())
}

/// A number that is part of another one; its default is never more than that.
fn within(table: &Table<'_>, key: &str, default: usize, most: usize, of: &str) -> usize {
    let given = count(table, key);
    if given.is_some_and(|given| given > most) {
        table.refuse(key, format!("must be {most} ({of}) or less"));
    }
    given.unwrap_or(default.min(most))
}

fn handshake_timeout(table: &Table<'_>) -> Duration {
    let timeout = table.duration("handshake_timeout").unwrap_or(Duration::from_secs(30));
    if timeout > MAX_HANDSHAKE {
        table.refuse("handshake_timeout", "must be \"60s\" or less");
    }
    timeout
}

fn max_unread_bytes(table: &Table<'_>) -> usize {
    let unread = table.size("max_unread_bytes").unwrap_or(256 << 10);
    if !UNREAD.contains(&unread) {
        table.refuse("max_unread_bytes", "must be \"16KiB\" to \"64MiB\"");
    }
    bytes(Some(unread)).unwrap_or(usize::MAX)
}

fn client_write_timeout(table: &Table<'_>) -> Duration {
    let timeout = table.duration("client_write_timeout").unwrap_or(Duration::from_secs(600));
    if !WRITE_TIMEOUT.contains(&timeout) {
        table.refuse("client_write_timeout", "must be \"1s\" to \"1d\"");
    }
    timeout
}
