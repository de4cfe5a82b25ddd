//! The URL of an upstream: `postgresql://user@host:port,host:port/database?sslmode=…&sslrootcert=…`. Never with a password.

mod query;

use std::net::IpAddr;
use std::path::PathBuf;

use self::query::Query;
pub use self::query::{LoginOptions, Protocol, SessionAttrs};
use super::names::check_name;

/// Where an upstream is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// The servers, at least one, in the order in which they are tried.
    pub places: Vec<UpstreamPlace>,
    pub user: String,
    pub database: String,
    pub sslmode: SslMode,
    /// The certificate authority's file; always there where the mode verifies.
    pub sslrootcert: Option<PathBuf>,
    pub options: LoginOptions,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamPlace {
    pub host: UpstreamHost,
    pub port: u16,
}

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamHost {
    /// A host name, or an address without brackets.
    Tcp(String),
    /// The directory of a Unix socket; TLS is not spoken there.
    Unix(PathBuf),
}

/// How far the upstream's certificate is trusted, in libpq's words. Modes that fall back to plain text do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// The certificate is good, and for this host.
    VerifyFull,
    /// The certificate is good.
    VerifyCa,
    /// Encrypted, to whomever.
    Require,
    /// Plain text: on a Unix socket or the loopback only.
    Disable,
}

impl UpstreamUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
        let rest = rest.ok_or("expected a URL such as \"postgresql://user@host:5432/database?sslrootcert=ca.crt\"")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').ok_or("the URL names no database: …/database")?;
        let (user, place) = authority.rsplit_once('@').ok_or("the URL names no user: postgresql://user@…")?;
        if user.contains(':') {
            return Err("the URL holds a password; use password_file or password_env".to_owned());
        }
        let user = check_name(&decode(user)?)?;
        let database = check_name(&decode(database)?)?;
        let query = Query::parse(query)?;
        let places = split_places(place, query.host.as_deref())?;
        let sslmode = query.sslmode.unwrap_or(SslMode::VerifyFull);
        let options = query.options();
        let url = Self { places, user, database, sslmode, sslrootcert: query.sslrootcert, options };
        url.check_tls()?;
        Ok(url)
    }

    /// The server of a URL that may name only one, and nothing that is a database's alone.
    pub(super) fn only_place(&self) -> Result<&UpstreamPlace, &'static str> {
        match self.places.as_slice() {
            [only] if self.options == LoginOptions::default() => Ok(only),
            [_] => Err("only user, host, database, sslmode and sslrootcert are taken here"),
            _ => Err("one host, please: several are not supported here"),
        }
    }

    fn check_tls(&self) -> Result<(), String> {
        let hosts = || {
            self.places.iter().filter_map(|place| match &place.host {
                UpstreamHost::Tcp(host) => Some(host),
                UpstreamHost::Unix(_) => None,
            })
        };
        if hosts().next().is_none() {
            return Ok(());
        }
        match self.sslmode {
            SslMode::VerifyFull | SslMode::VerifyCa if self.sslrootcert.is_none() => {
                Err("the upstream's certificate is to be verified: name the authority's file, sslrootcert=…".to_owned())
            }
            SslMode::Disable if !hosts().all(|host| is_loopback(host)) => Err(
                "sslmode=disable is for the loopback only: passwords and data would cross the network in plain text"
                    .into(),
            ),
            SslMode::Disable if self.options.direct_tls => {
                Err("sslnegotiation=direct is TLS, and sslmode=disable is none".to_owned())
            }
            SslMode::VerifyFull | SslMode::VerifyCa | SslMode::Require | SslMode::Disable => Ok(()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// More servers than anybody has for one database.
const MAX_PLACES: usize = 8;

/// Places with commas between.
fn split_places(text: &str, query_host: Option<&str>) -> Result<Vec<UpstreamPlace>, String> {
    let places: Vec<_> = text.split(',').collect();
    if places.len() > MAX_PLACES {
        return Err(format!("{} hosts, and {MAX_PLACES} are the most", places.len()));
    }
    let mut found: Vec<UpstreamPlace> = Vec::new();
    for text in places {
        let (host, port) = split_place(text, query_host)?;
        let place = UpstreamPlace { host, port };
        if found.contains(&place) {
            return Err(format!("the host \"{text}\" is named twice"));
        }
        found.push(place);
    }
    Ok(found)
}

/// `host:port`, `[::1]:port`, `%2Fsocket%2Fdir`, or nothing and `?host=/socket/dir`.
fn split_place(place: &str, query_host: Option<&str>) -> Result<(UpstreamHost, u16), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("the address lacks its closing bracket")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("\"{host}\" is not an IPv6 address"));
            }
            (host, port)
        }
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => digits.parse().ok().filter(|port| *port != 0),
        None if port.is_empty() => Some(5432),
        None => None,
    };
    let port = port.ok_or_else(|| format!("\"{place}\" does not end in a port, such as host:5432"))?;
    let decoded = decode(host)?;
    let host = match (decoded.as_str(), query_host) {
        ("", Some(host)) => host,
        (host, None) => host,
        (_, Some(_)) => return Err("the host is given twice".to_owned()),
    };
    if host.starts_with('/') {
        return Ok((UpstreamHost::Unix(PathBuf::from(host)), port));
    }
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    if !is_host {
        return Err(format!("\"{host}\" is not a host name, an address or a socket's directory"));
    }
    Ok((UpstreamHost::Tcp(host.to_owned()), port))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, String> {
    let wrong = || format!("\"{text}\" is not percent-encoded as a URL must be");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(wrong);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high << 4 | low).map_err(|_| wrong())?);
    }
    let decoded = String::from_utf8(bytes).map_err(|_| wrong())?;
    if decoded.contains('\0') { Err(wrong()) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests;
