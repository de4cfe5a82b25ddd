//! The startup parameters that a client may give. Whatever is not listed is refused by name; what is listed is checked
//! and written anew, never passed on as it came.

use bytes::Bytes;

use crate::wire::encode::{self, ClientVisible};
use crate::wire::sqlstate;
use crate::wire::startup::Startup;

/// Settings that a client may choose at startup; the upstream checks their values.
const SETTINGS: &[&str] = &[
    "DateStyle",
    "TimeZone",
    "IntervalStyle",
    "extra_float_digits",
    "client_min_messages",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "bytea_output",
];
/// Longest value of a setting, and of a name.
const MAX_VALUE: usize = 256;
/// The only search_path that may be asked for is the one that holds anyway.
const DEFAULT_PATH: &str = "\"$user\",public";
const PROTOCOL_OPTION: &str = "_pq_.";

/// What a client asked for, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    pub user: String,
    pub database: String,
    pub application_name: String,
    /// Settings for the upstream, by their listed spelling.
    pub settings: Vec<(&'static str, String)>,
    /// `_pq_.` options, none of which is known.
    pub protocol_options: Vec<String>,
    /// The minor version of protocol 3 that was asked for.
    pub minor: u16,
    /// The default search_path was asked for by name.
    pub default_path: bool,
}

/// The newest minor version that is spoken here, and the first with long cancel keys.
const NEWEST: u16 = 2;

impl Requested {
    /// Whether the client takes a cancel key of more than four bytes.
    #[must_use]
    pub fn has_long_key(&self) -> bool {
        self.minor >= NEWEST
    }

    /// What it is told of its version and options, as PostgreSQL tells it: nothing where all of them are known.
    #[must_use]
    pub fn negotiation(&self) -> Bytes {
        if self.minor <= NEWEST && self.protocol_options.is_empty() {
            return Bytes::new();
        }
        let options: Vec<&str> = self.protocol_options.iter().map(String::as_str).collect();
        encode::negotiate_protocol_version(self.minor.min(NEWEST), &options)
    }
}

/// Reads the parameters of a startup packet.
///
/// # Errors
/// What the client is told.
pub fn read(startup: &Startup) -> Result<Requested, ClientVisible> {
    let mut requested = Requested { minor: startup.minor, ..Requested::default() };
    for (name, value) in &startup.parameters {
        match name.as_str() {
            "user" => requested.user.clone_from(value),
            "database" => requested.database.clone_from(value),
            "options" => options(value, &mut requested)?,
            "replication" => replication(value)?,
            name if name.starts_with(PROTOCOL_OPTION) => requested.protocol_options.push(name.to_owned()),
            name => setting(name, value, &mut requested)?,
        }
    }
    if requested.user.is_empty() {
        return Err(ClientVisible::fatal(
            sqlstate::INVALID_AUTHORIZATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if requested.database.is_empty() {
        requested.database.clone_from(&requested.user);
    }
    if requested.user.len() > MAX_VALUE || requested.database.len() > MAX_VALUE {
        return Err(refused("user", "the name is too long"));
    }
    Ok(requested)
}

/// `-c name=value`, `-cname=value` and `--name=value`, with blanks escaped by backslashes, as `postgres` reads them.
fn options(text: &str, requested: &mut Requested) -> Result<(), ClientVisible> {
    let mut words = split_options(text).into_iter();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next().ok_or_else(|| refused("options", "-c is not followed by a setting"))?
        } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            rest.to_owned()
        } else {
            return Err(refused("options", "only -c name=value and --name=value are read"));
        };
        let (name, value) = assignment.split_once('=').ok_or_else(|| refused("options", "a setting has no value"))?;
        setting(&name.replace('-', "_"), value, requested)?;
    }
    Ok(())
}

fn split_options(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn setting(name: &str, value: &str, requested: &mut Requested) -> Result<(), ClientVisible> {
    let lower = name.to_ascii_lowercase();
    if value.len() > MAX_VALUE || value.chars().any(char::is_control) {
        return Err(refused(name, "the value is too long or holds control characters"));
    }
    match lower.as_str() {
        "application_name" => requested.application_name = printable(value),
        "client_encoding" if is_utf8(value) => {}
        "client_encoding" => return Err(refused(name, "only UTF8 is spoken here")),
        "standard_conforming_strings" if matches!(value, "on" | "true" | "1" | "yes") => {}
        "standard_conforming_strings" => return Err(refused(name, "it is pinned to on")),
        "search_path" if value.chars().filter(|c| *c != ' ').eq(DEFAULT_PATH.chars()) => requested.default_path = true,
        "search_path" => return Err(refused(name, "it is pinned")),
        lower => {
            let listed = SETTINGS.iter().find(|listed| listed.eq_ignore_ascii_case(lower));
            let listed = listed.ok_or_else(|| refused(name, "it is not among those that a client may set"))?;
            requested.settings.retain(|(known, _)| known != listed);
            requested.settings.push((listed, value.to_owned()));
        }
    }
    Ok(())
}

/// SQL_ASCII is what clients in the C locale say when they mean nothing by it; they too are answered in UTF8.
fn is_utf8(value: &str) -> bool {
    let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    ["utf8", "unicode", "sqlascii"].iter().any(|known| plain.eq_ignore_ascii_case(known))
}

fn replication(value: &str) -> Result<(), ClientVisible> {
    if ["off", "false", "no", "0", ""].iter().any(|off| value.eq_ignore_ascii_case(off)) {
        Ok(())
    } else {
        Err(refused("replication", "replication does not pass through pgward"))
    }
}

/// As PostgreSQL keeps it: 63 bytes, what is not printable ASCII replaced.
pub fn printable(name: &str) -> String {
    name.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).take(63).collect()
}

fn refused(name: &str, why: &str) -> ClientVisible {
    let name = printable(name);
    ClientVisible::fatal(sqlstate::FEATURE_NOT_SUPPORTED, format!("startup parameter \"{name}\" is refused"))
        .detail(why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(parameters: &[(&str, &str)]) -> Result<Requested, String> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read(&Startup { minor: 0, parameters }).map_err(|error| error.message)
    }

    #[test]
    fn listed_parameters_pass() {
        let requested = check(&[
            ("user", "alice"),
            ("application_name", "psql\u{e9}"),
            ("client_encoding", "'utf-8'"),
            ("datestyle", "ISO"),
            ("options", r"-c extra_float_digits=3 --client-min-messages=warning -cTimeZone=Europe/\ x"),
            ("replication", "off"),
            ("_pq_.command_tag", "1"),
            ("search_path", "\"$user\", public"),
        ])
        .unwrap();
        assert_eq!((requested.user.as_str(), requested.database.as_str()), ("alice", "alice"));
        assert_eq!(requested.application_name, "psql?");
        let expected = [
            ("DateStyle", "ISO"),
            ("extra_float_digits", "3"),
            ("client_min_messages", "warning"),
            ("TimeZone", "Europe/ x"),
        ];
        assert_eq!(requested.settings, expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(requested.protocol_options, ["_pq_.command_tag"]);
        assert!(requested.default_path);
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (name, value) in [
            ("role", "postgres"),
            ("session_authorization", "x"),
            ("options", "-c role=postgres"),
            ("options", "--search_path=hr"),
            ("options", "-c"),
            ("options", "-d 5"),
            ("options", "-c statement_timeout"),
            ("search_path", "hr"),
            ("standard_conforming_strings", "off"),
            ("client_encoding", "SJIS"),
            ("replication", "database"),
            ("TimeZone", "a\nb"),
            ("nosuch", "1"),
        ] {
            let message = check(&[("user", "a"), (name, value)]).unwrap_err();
            assert!(message.contains("is refused"), "{name}={value}: {message}");
        }
        assert!(check(&[("database", "x")]).is_err());
    }
}
