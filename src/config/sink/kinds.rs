//! What each kind of sink needs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{ArchiveLocation, SinkFormat, SinkKind, secret};
use crate::config::files::{FileKind, FileUse};
use crate::config::names::check_name;
use crate::config::reader::{Table, Text};
use crate::config::{PasswordSource, SslMode, UpstreamHost, UpstreamUrl};

pub(super) fn kind(kind: &Text<'_>, table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<SinkKind> {
    match kind.value {
        "postgresql" => postgresql(table, directory, files),
        "syslog" => syslog(table, directory, files),
        "webhook" => webhook(table, directory, files),
        "otlp" => otlp(table, directory, files),
        "object_storage" => object_storage(table, directory, files),
        _ => None,
    }
}

fn postgresql(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<SinkKind> {
    let password = secret(table, "password", directory, files);
    let name = table.text("table").map_or(Some((None, "pgward_journal".to_owned())), |text| text.read(table_name));
    let create_table = table.flag("create_table").unwrap_or(false);
    let format = format(table)?;
    let text = table.required_text("url")?;
    let mut url = text.read(UpstreamUrl::parse)?;
    let place = match url.only_place() {
        Ok(place) => place.clone(),
        Err(said) => {
            text.place.refuse(said);
            return None;
        }
    };
    match (&place.host, url.sslmode) {
        (UpstreamHost::Unix(_), _) | (UpstreamHost::Tcp(_), SslMode::VerifyFull | SslMode::Disable) => {}
        (UpstreamHost::Tcp(_), SslMode::VerifyCa | SslMode::Require) => {
            text.place.refuse("a sink's server is verified with its name: sslmode=verify-full&sslrootcert=…");
        }
    }
    if let Some(root) = url.sslrootcert.take() {
        url.sslrootcert = Some(FileUse::add_path(files, &text, directory.join(root), FileKind::Plain));
    }
    Some(SinkKind::Postgresql { place, url, password, table: name?, create_table, format })
}

/// `table` or `schema.table`, as the catalogs hold them.
fn table_name(text: &str) -> Result<(Option<String>, String), String> {
    match text.split_once('.') {
        None => Ok((None, check_name(text)?)),
        Some((_, table)) if table.contains('.') => Err(format!("\"{text}\" is not table or schema.table")),
        Some((schema, table)) => Ok((Some(check_name(schema)?), check_name(table)?)),
    }
}

/// The number that RFC 5612 sets aside for documentation.
const EXAMPLE_ENTERPRISE: u32 = 32_473;

fn syslog(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<SinkKind> {
    let address = table.required_text("address").and_then(|text| text.read(host_and_port));
    let ca = table.required_text("ca").map(|text| FileUse::add(files, &text, directory, FileKind::Plain));
    let cert = table.text("client_cert").map(|text| FileUse::add(files, &text, directory, FileKind::Plain));
    let key = table.text("client_key").map(|text| FileUse::add(files, &text, directory, FileKind::Secret));
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (Some(_), None) => {
            table.refuse("client_key", "is required beside client_cert");
            None
        }
        (None, Some(_)) => {
            table.refuse("client_cert", "is required beside client_key");
            None
        }
        (None, None) => None,
    };
    let hostname = table.text("hostname").and_then(|text| text.read(header_word));
    let enterprise = table.integer("enterprise_id", 1, u64::from(u32::MAX));
    let enterprise_id = enterprise.and_then(|id| u32::try_from(id).ok()).unwrap_or(EXAMPLE_ENTERPRISE);
    let format = format(table)?;
    let (host, port) = address?;
    Some(SinkKind::Syslog { host, port, ca: ca?, client, hostname, enterprise_id, format })
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let expected = || format!("\"{text}\" is not a host and a port, such as \"logs.example.org:6514\"");
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(expected)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if is_name || host.parse::<IpAddr>().is_ok() { Ok((host.to_owned(), port)) } else { Err(expected()) }
}

fn header_word(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.len() <= 255 && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a host's name in a syslog message: 1 to 255 visible ASCII characters"))
    }
}

fn webhook(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<SinkKind> {
    let url = table.required_text("url").and_then(|text| text.read(|url| http_url(url, false)));
    let ca = ca(table, directory, files);
    let secret = secret(table, "secret", directory, files);
    if secret == PasswordSource::None {
        table.refuse("secret_file", "is required, or secret_env: the key that deliveries are signed with, whsec_…");
    }
    let allow_private = table.flag("allow_private").unwrap_or(false);
    let format = format(table)?;
    Some(SinkKind::Webhook { url: url?, ca, secret, allow_private, format })
}

fn otlp(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<SinkKind> {
    let url = table.required_text("url").and_then(|text| text.read(|url| http_url(url, true)));
    let ca = ca(table, directory, files);
    let mut headers = Vec::new();
    for header in table.tables("header") {
        header.allow(&["name", "value_file", "value_env"]);
        let name = header.required_text("name").and_then(|text| text.read(header_name));
        let value = secret(&header, "value", directory, files);
        if value == PasswordSource::None {
            header.refuse("value_file", "is required, or value_env");
        }
        headers.extend(name.map(|name| (name, value)));
    }
    let allow_private = table.flag("allow_private").unwrap_or(false);
    Some(SinkKind::Otlp { url: url?, ca, headers, allow_private })
}

fn header_name(text: &str) -> Result<String, String> {
    let is_token = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
    let lowercase = text.to_ascii_lowercase();
    if !is_token {
        return Err(format!("{text:?} is not a header's name"));
    }
    if matches!(lowercase.as_str(), "host" | "content-length" | "content-type" | "transfer-encoding" | "connection") {
        return Err(format!("{text} is set by pgward"));
    }
    Ok(lowercase)
}

fn object_storage(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<SinkKind> {
    let endpoint = table.text("endpoint").and_then(|text| text.read(|url| http_url(url, true)));
    let region = table.text("region");
    let ca = ca(table, directory, files);
    let access_key_id = secret(table, "access_key_id", directory, files);
    let secret_access_key = secret(table, "secret_access_key", directory, files);
    let url = table.required_text("url")?;
    if let Some(path) = url.value.strip_prefix("file://") {
        for key in ["endpoint", "region", "ca"].into_iter().filter(|key| table.has(key)) {
            table.refuse(key, "is for s3://…, not for a folder");
        }
        let place = ArchiveLocation::Directory(directory.join(path));
        return Some(SinkKind::ObjectStorage { place, prefix: String::new() });
    }
    let (bucket, prefix) = url.read(bucket_and_prefix)?;
    for (key, source) in [("access_key_id_file", &access_key_id), ("secret_access_key_file", &secret_access_key)] {
        if *source == PasswordSource::None {
            table.refuse(key, format!("is required, or {}", key.replace("_file", "_env")));
        }
    }
    if region.is_none() && endpoint.is_none() {
        table.refuse("region", "is required where no endpoint is named");
    }
    let region = region.map_or("us-east-1".to_owned(), |region| region.value.to_owned());
    let place = ArchiveLocation::S3 { endpoint, region, bucket, access_key_id, secret_access_key, ca };
    Some(SinkKind::ObjectStorage { place, prefix })
}

/// `s3://bucket/prefix`
fn bucket_and_prefix(text: &str) -> Result<(String, String), String> {
    let expected = || format!("\"{text}\" is neither \"s3://bucket/prefix\" nor \"file:///folder\"");
    let rest = text.strip_prefix("s3://").ok_or_else(expected)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.');
    let is_prefix = prefix.chars().all(|c| c.is_ascii_graphic()) && !prefix.contains("//");
    if is_bucket && is_prefix {
        Ok((bucket.to_owned(), prefix.trim_end_matches('/').to_owned()))
    } else {
        Err(expected())
    }
}

fn format(table: &Table<'_>) -> Option<SinkFormat> {
    match table.text("format") {
        Some(text) => text.choose(&[("jsonl", SinkFormat::Jsonl), ("ocsf", SinkFormat::Ocsf)]),
        None => Some(SinkFormat::Jsonl),
    }
}

pub(in crate::config) fn ca(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<PathBuf> {
    table.text("ca").map(|text| FileUse::add(files, &text, directory, FileKind::Plain))
}

/// `https://…`; `http://` to the loopback alone, and only where a collector commonly listens there.
pub(in crate::config) fn http_url(text: &str, plain_on_loopback: bool) -> Result<String, String> {
    let rest = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => rest,
        (None, Some(rest)) if plain_on_loopback && is_loopback(rest) => rest,
        (None, Some(_)) if plain_on_loopback => {
            return Err("http:// is for the loopback only; records would cross the network in plain text".to_owned());
        }
        (None, _) => return Err(format!("\"{text}\" is not an https:// URL")),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("the URL holds a user or a password; secrets come from files or the environment".to_owned());
    }
    if authority.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("\"{text}\" is not a URL"));
    }
    Ok(text.to_owned())
}

fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
