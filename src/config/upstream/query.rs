//! What may follow the `?` of an upstream's URL, in libpq's words.

use std::path::PathBuf;

use super::{SslMode, decode};
use crate::config::suggest::instead_of;

/// How sessions log in, beyond where and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginOptions {
    /// Which of the servers will do.
    pub session_attrs: SessionAttrs,
    /// TLS from the first byte, as PostgreSQL 17 and later understand it.
    pub direct_tls: bool,
    /// Versions of the protocol that may be spoken.
    pub min_protocol: Protocol,
    pub max_protocol: Protocol,
    /// There is a pooler in between, which gives each session a server connection of its own.
    pub pooled: bool,
    /// The server has to ask for SCRAM, and so to prove that it knows the password.
    pub require_scram: bool,
}

/// What is asked of a server: libpq's `target_session_attrs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionAttrs {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// Versions of the frontend/backend protocol; there is no 3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    #[default]
    V3_0,
    V3_2,
}

#[derive(Default)]
pub(super) struct Query {
    pub sslmode: Option<SslMode>,
    pub sslrootcert: Option<PathBuf>,
    pub host: Option<String>,
    session_attrs: Option<SessionAttrs>,
    direct_tls: Option<bool>,
    min_protocol: Option<Protocol>,
    max_protocol: Option<Protocol>,
    pooled: Option<bool>,
    require_scram: Option<bool>,
}

const KNOWN: [&str; 9] = [
    "sslmode",
    "sslrootcert",
    "sslnegotiation",
    "host",
    "target_session_attrs",
    "min_protocol_version",
    "max_protocol_version",
    "pool_mode",
    "require_auth",
];

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("\"{pair}\" is not key=value"))?;
            if !query.take(key, decode(value)?)? {
                return Err(format!("{key} is given twice"));
            }
        }
        if query.min_protocol.unwrap_or_default() > query.max_protocol() {
            return Err("min_protocol_version is above max_protocol_version".to_owned());
        }
        Ok(query)
    }

    /// Answers whether this is the first of its key.
    fn take(&mut self, key: &str, value: String) -> Result<bool, String> {
        Ok(match key {
            "sslmode" => self.sslmode.replace(parse_mode(&value)?).is_none(),
            "sslrootcert" if value.is_empty() => return Err("sslrootcert names no file".to_owned()),
            "sslrootcert" => self.sslrootcert.replace(PathBuf::from(value)).is_none(),
            "sslnegotiation" => self.direct_tls.replace(parse_negotiation(&value)?).is_none(),
            "host" => self.host.replace(value).is_none(),
            "target_session_attrs" => self.session_attrs.replace(parse_attrs(&value)?).is_none(),
            "min_protocol_version" => self.min_protocol.replace(parse_protocol(key, &value)?).is_none(),
            "max_protocol_version" => self.max_protocol.replace(parse_protocol(key, &value)?).is_none(),
            "pool_mode" => self.pooled.replace(parse_pool_mode(&value)?).is_none(),
            "require_auth" => self.require_scram.replace(parse_methods(&value)?).is_none(),
            "load_balance_hosts" => return Err(one_server()),
            "password" => return Err("the URL holds a password; use password_file or password_env".to_owned()),
            _ => return Err(format!("unknown parameter \"{key}\"; {}", instead_of(key, KNOWN.into_iter()))),
        })
    }

    /// As libpq does: what is asked for at least may be spoken.
    fn max_protocol(&self) -> Protocol {
        self.max_protocol.or(self.min_protocol).unwrap_or_default()
    }

    pub(super) fn options(&self) -> LoginOptions {
        LoginOptions {
            session_attrs: self.session_attrs.unwrap_or_default(),
            direct_tls: self.direct_tls.unwrap_or_default(),
            min_protocol: self.min_protocol.unwrap_or_default(),
            max_protocol: self.max_protocol(),
            pooled: self.pooled.unwrap_or_default(),
            require_scram: self.require_scram.unwrap_or_default(),
        }
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

/// Whether TLS begins with the first byte.
fn parse_negotiation(text: &str) -> Result<bool, String> {
    match text {
        "direct" => Ok(true),
        "postgres" => Ok(false),
        _ => Err(format!("unknown sslnegotiation \"{text}\"; one of postgres, direct")),
    }
}

fn parse_attrs(text: &str) -> Result<SessionAttrs, String> {
    match text {
        "any" => Ok(SessionAttrs::Any),
        "read-write" => Ok(SessionAttrs::ReadWrite),
        "read-only" => Ok(SessionAttrs::ReadOnly),
        "primary" => Ok(SessionAttrs::Primary),
        "standby" => Ok(SessionAttrs::Standby),
        "prefer-standby" => Ok(SessionAttrs::PreferStandby),
        _ => Err(format!(
            "unknown target_session_attrs \"{text}\"; one of any, read-write, read-only, primary, standby, \
             prefer-standby"
        )),
    }
}

fn parse_protocol(key: &str, text: &str) -> Result<Protocol, String> {
    match text {
        "3.0" => Ok(Protocol::V3_0),
        "3.2" | "latest" => Ok(Protocol::V3_2),
        _ => Err(format!("unknown {key} \"{text}\"; one of 3.0, 3.2, latest")),
    }
}

fn parse_pool_mode(text: &str) -> Result<bool, String> {
    match text {
        "session" => Ok(true),
        "transaction" | "statement" => {
            Err(format!("pool_mode={text} would mix sessions; the pooler has to give each one a connection: session"))
        }
        _ => Err(format!("unknown pool_mode \"{text}\"; the one that works is session")),
    }
}

/// Whether the server has to ask for SCRAM.
fn parse_methods(text: &str) -> Result<bool, String> {
    match text {
        "scram-sha-256" => Ok(true),
        "scram-sha-256,none" | "none,scram-sha-256" => Ok(false),
        _ => Err(format!("unknown require_auth \"{text}\"; one of scram-sha-256, \"scram-sha-256,none\"")),
    }
}

fn one_server() -> String {
    "all sessions of a database go to one server, by whose catalogs they are judged; load_balance_hosts is not taken"
        .to_owned()
}
