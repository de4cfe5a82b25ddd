//! The URL of an upstream: `postgresql://user@host:port/database?sslmode=…&sslrootcert=…`. Never with a password.

use std::net::IpAddr;
use std::path::PathBuf;

use super::names::check_name;
use super::suggest::instead_of;

/// Where an upstream is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    pub host: UpstreamHost,
    pub port: u16,
    pub user: String,
    pub database: String,
    pub sslmode: SslMode,
    /// The certificate authority's file; always there where the mode verifies.
    pub sslrootcert: Option<PathBuf>,
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
        let (host, port) = split_place(place, query.host.as_deref())?;
        let sslmode = query.sslmode.unwrap_or(SslMode::VerifyFull);
        let url = Self { host, port, user, database, sslmode, sslrootcert: query.sslrootcert };
        url.check_tls()?;
        Ok(url)
    }

    fn check_tls(&self) -> Result<(), String> {
        let UpstreamHost::Tcp(host) = &self.host else { return Ok(()) };
        match self.sslmode {
            SslMode::VerifyFull | SslMode::VerifyCa if self.sslrootcert.is_none() => {
                Err("the upstream's certificate is to be verified: name the authority's file, sslrootcert=…".to_owned())
            }
            SslMode::Disable if !is_loopback(host) => Err(
                "sslmode=disable is for the loopback only: passwords and data would cross the network in plain text"
                    .into(),
            ),
            SslMode::VerifyFull | SslMode::VerifyCa | SslMode::Require | SslMode::Disable => Ok(()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// What may follow the `?`.
#[derive(Default)]
struct Query {
    sslmode: Option<SslMode>,
    sslrootcert: Option<PathBuf>,
    host: Option<String>,
}

impl Query {
    fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("\"{pair}\" is not key=value"))?;
            let value = decode(value)?;
            let is_first = match key {
                "sslmode" => query.sslmode.replace(parse_mode(&value)?).is_none(),
                "sslrootcert" if value.is_empty() => return Err("sslrootcert names no file".to_owned()),
                "sslrootcert" => query.sslrootcert.replace(PathBuf::from(value)).is_none(),
                "host" => query.host.replace(value).is_none(),
                "password" => return Err("the URL holds a password; use password_file or password_env".to_owned()),
                _ => {
                    let known = ["sslmode", "sslrootcert", "host"];
                    return Err(format!("unknown parameter \"{key}\"; {}", instead_of(key, known.into_iter())));
                }
            };
            if !is_first {
                return Err(format!("{key} is given twice"));
            }
        }
        Ok(query)
    }
}

fn parse_mode(text: &str) -> Result<SslMode, String> {
    match text {
        "verify-full" => Ok(SslMode::VerifyFull),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "require" => Ok(SslMode::Require),
        "disable" => Ok(SslMode::Disable),
        "allow" | "prefer" => Err(format!("sslmode={text} may fall back to plain text; use verify-full")),
        _ => Err(format!("unknown sslmode \"{text}\"; one of verify-full, verify-ca, require, disable")),
    }
}

/// `host:port`, `[::1]:port`, `%2Fsocket%2Fdir`, or nothing and `?host=/socket/dir`.
fn split_place(place: &str, query_host: Option<&str>) -> Result<(UpstreamHost, u16), String> {
    if place.contains(',') {
        return Err("one host, please: several are not supported".to_owned());
    }
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
