//! `[store]` and `[replica]`: where grants are kept, and who of those that keep them there this one is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database::{PasswordSource, password};
use super::files::{FileKind, FileUse};
use super::reader::{Table, Text};
use super::upstream::{LoginOptions, SslMode, UpstreamHost, UpstreamUrl};

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    pub location: StoreLocation,
    /// How often the store is read for changes made elsewhere.
    pub poll: Duration,
    /// How long sessions live on while the store does not answer.
    pub lease: Duration,
}

/// Where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// A file, for one pgward.
    Sqlite(PathBuf),
    /// A database, for any number of them.
    Postgresql { url: UpstreamUrl, password: PasswordSource },
}

/// `[replica]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSettings {
    pub name: String,
    /// Where the others reach this one's control port.
    pub address: String,
}

const POLL: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(30);

pub(super) fn store(root: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<StoreSettings> {
    let table = root.required_table("store")?;
    table.allow(&["url", "password_file", "password_env", "poll", "lease"]);
    let password = password(&table, directory, files);
    let url = table.required_text("url")?;
    let location = location(&url, directory, password, files);
    let poll = table.duration("poll").unwrap_or(POLL);
    let lease = table.duration("lease").unwrap_or(LEASE);
    if poll < POLL || poll > 10 * POLL {
        table.refuse("poll", "must be from \"1s\" to \"10s\"");
    }
    if lease < poll * 3 || lease > Duration::from_secs(3600) {
        table.refuse("lease", "must be at least three times `poll`, and \"1h\" at most");
    }
    Some(StoreSettings { location: location?, poll, lease })
}

/// The location that a URL names: a file relative to `directory`.
fn location(
    url: &Text<'_>,
    directory: &Path,
    password: PasswordSource,
    files: &mut Vec<FileUse>,
) -> Option<StoreLocation> {
    if url.value.starts_with("postgresql://") || url.value.starts_with("postgres://") {
        let mut parsed = url.read(database_url)?;
        if let Some(ca) = &mut parsed.sslrootcert {
            *ca = FileUse::add_path(files, url, directory.join(&*ca), FileKind::Plain);
        }
        return Some(StoreLocation::Postgresql { url: parsed, password });
    }
    if password != PasswordSource::None {
        url.place.refuse("a file has no password");
    }
    url.read(|text| file(text).map(|path| StoreLocation::Sqlite(directory.join(path))))
}

/// Whoever can pose as the store can grant anything: nothing less than a verified server, or this machine.
fn database_url(text: &str) -> Result<UpstreamUrl, String> {
    let url = UpstreamUrl::parse(text)?;
    let only_here = url.places.iter().all(|place| matches!(place.host, UpstreamHost::Unix(_)));
    match url.sslmode {
        SslMode::VerifyFull | SslMode::Disable => {}
        SslMode::VerifyCa | SslMode::Require if only_here => {}
        SslMode::VerifyCa | SslMode::Require => {
            return Err("the store decides who may do what: only sslmode=verify-full will do".to_owned());
        }
    }
    if url.options != LoginOptions::default() {
        return Err("only user, hosts, database, sslmode and sslrootcert are taken here".to_owned());
    }
    Ok(url)
}

fn file(url: &str) -> Result<PathBuf, String> {
    let path = url.strip_prefix("sqlite://");
    let path =
        path.ok_or("expected a URL such as \"sqlite://var/pgward.db\" or \"postgresql://pgward@host/pgward\"")?;
    if path.is_empty() || path.ends_with('/') || path.contains(['?', '#', '\0']) {
        return Err(format!("\"{path}\" is not the path of a file"));
    }
    Ok(PathBuf::from(path))
}

/// Reads where a store is from a URL and a password's file, as a command names them; files are relative to where one is.
///
/// # Errors
/// Says what is wrong with the URL.
pub fn store_at(url: &str, password_file: Option<&Path>) -> Result<StoreLocation, String> {
    if url.starts_with("postgresql://") || url.starts_with("postgres://") {
        let password = password_file.map_or(PasswordSource::None, |path| PasswordSource::File(path.to_owned()));
        return Ok(StoreLocation::Postgresql { url: database_url(url)?, password });
    }
    file(url).map(StoreLocation::Sqlite)
}

/// One configuration may serve all replicas: the environment says which of them this is.
pub(super) fn replica(root: &Table<'_>, store: Option<&StoreSettings>, control_port: u16) -> Option<ReplicaSettings> {
    let table = root.table("replica");
    if let Some(table) = &table {
        table.allow(&["name", "address"]);
        if store.is_some_and(|store| matches!(store.location, StoreLocation::Sqlite(_))) {
            root.refuse("replica", "a store in a file has one pgward alone; several share a PostgreSQL database");
        }
    }
    let said = |key: &str, variable: &str, check: fn(&str) -> Result<String, String>| {
        let text = table.as_ref().and_then(|table| table.text(key)).map(|text| text.read(check));
        match (std::env::var(variable), text) {
            (Ok(value), _) => match check(&value) {
                Ok(value) => Some(Some(value)),
                Err(wrong) => {
                    root.refuse(&format!("replica.{key}"), format!("${variable}: {wrong}"));
                    None
                }
            },
            (Err(_), Some(text)) => text.map(Some),
            (Err(_), None) => Some(None),
        }
    };
    let name = said("name", "PGWARD_REPLICA_NAME", check_replica)?.unwrap_or_else(hostname);
    let address = said("address", "PGWARD_REPLICA_ADDRESS", check_address)?;
    Some(ReplicaSettings { name, address: address.unwrap_or_else(|| format!("{}:{control_port}", hostname())) })
}

fn check_replica(text: &str) -> Result<String, String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 63 || !text.chars().all(is_word) {
        return Err(format!("{text:?} is not a replica's name: 1 to 63 letters, digits, -, _ and ."));
    }
    Ok(text.to_owned())
}

fn check_address(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is not a host and a port, such as \"10.0.0.3:6443\"");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:[]".contains(c));
    if is_host && port > 0 { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// What this machine calls itself.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    check_replica(name.trim()).unwrap_or_else(|_| "pgward".to_owned())
}
