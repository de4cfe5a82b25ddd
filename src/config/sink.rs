//! `[[audit.sink]]`: where records go besides the journal's own files.

mod kinds;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use self::kinds::{ca, http_url};
use super::PasswordSource;
use super::files::FileUse;
use super::names::{Names, check_unique};
use super::reader::{Table, Text};
use crate::access::Region;
use crate::audit::Event;

/// One `[[audit.sink]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    pub name: String,
    /// Regions whose records go there; every region's but of those that keep their own, if nothing is named.
    pub regions: Option<Vec<Region>>,
    /// The only events that go there, if any are named.
    pub events: Option<Vec<Event>>,
    pub start: SinkStart,
    pub batch_records: usize,
    pub batch_bytes: usize,
    pub alarm_after: Duration,
    pub kind: SinkKind,
}

/// Where a sink begins that was not there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkStart {
    Oldest,
    Now,
}

/// What a record looks like where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFormat {
    Jsonl,
    Ocsf,
}

/// What a sink is, and what its kind needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    Postgresql {
        place: super::UpstreamPlace,
        /// With this place alone.
        url: super::UpstreamUrl,
        password: PasswordSource,
        table: (Option<String>, String),
        create_table: bool,
        format: SinkFormat,
    },
    Syslog {
        host: String,
        port: u16,
        ca: PathBuf,
        client: Option<(PathBuf, PathBuf)>,
        hostname: Option<String>,
        enterprise_id: u32,
        format: SinkFormat,
    },
    Webhook {
        url: String,
        ca: Option<PathBuf>,
        secret: PasswordSource,
        allow_private: bool,
        format: SinkFormat,
    },
    Otlp {
        url: String,
        ca: Option<PathBuf>,
        headers: Vec<(String, PasswordSource)>,
        allow_private: bool,
    },
    ObjectStorage {
        place: ArchiveLocation,
        prefix: String,
    },
}

/// Where an archive lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveLocation {
    Directory(PathBuf),
    S3 {
        endpoint: Option<String>,
        region: String,
        bucket: String,
        access_key_id: PasswordSource,
        secret_access_key: PasswordSource,
        ca: Option<PathBuf>,
    },
}

/// What every kind may say.
const COMMON: [&str; 4] = ["name", "type", "start", "alarm_after"];
/// What those may say that take records and not files.
const OF_RECORDS: [&str; 4] = ["regions", "events", "batch_records", "batch_bytes"];

const KINDS: [&str; 5] = ["postgresql", "syslog", "webhook", "otlp", "object_storage"];

const MINUTE: Duration = Duration::from_secs(60);

/// All sinks of `[audit]`.
pub(super) fn sinks(root: &Table<'_>, directory: &Path, names: &Names, files: &mut Vec<FileUse>) -> Vec<Sink> {
    if !root.has("audit") {
        return Vec::new();
    }
    let Some(audit) = root.table("audit") else { return Vec::new() };
    let mut seen = Vec::new();
    let mut sinks = Vec::new();
    for table in audit.tables("sink") {
        let name = table.required_text("name");
        if let Some(name) = &name {
            check_unique(&mut seen, name);
        }
        let name = name.and_then(|name| name.read(|text| check_sink_name(text, "a sink's")));
        let sink = sink(&table, directory, names, files);
        if let (Some(name), Some(sink)) = (name, sink) {
            sinks.push(Sink { name, ..sink });
        }
    }
    sinks
}

fn sink(table: &Table<'_>, directory: &Path, names: &Names, files: &mut Vec<FileUse>) -> Option<Sink> {
    let kind = table.required_text("type")?;
    let own: &[&str] = match kind.value {
        "postgresql" => &["url", "password_file", "password_env", "table", "create_table", "format"],
        "syslog" => &["address", "ca", "client_cert", "client_key", "hostname", "enterprise_id", "format"],
        "webhook" => &["url", "ca", "secret_file", "secret_env", "allow_private", "format"],
        "otlp" => &["url", "ca", "header", "allow_private"],
        "object_storage" => &[
            "url",
            "endpoint",
            "region",
            "ca",
            "access_key_id_file",
            "access_key_id_env",
            "secret_access_key_file",
            "secret_access_key_env",
        ],
        _ => {
            let known: Vec<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
            kind.is_known("type of sink", &known);
            return None;
        }
    };
    let takes_records = kind.value != "object_storage";
    let of_records: &[&str] = if takes_records { &OF_RECORDS } else { &[] };
    table.allow(&[&COMMON, of_records, own].concat());
    let start = table.text("start");
    let start = match start {
        Some(text) => text.choose(&[("oldest", SinkStart::Oldest), ("now", SinkStart::Now)]),
        None => Some(SinkStart::Oldest),
    };
    let regions = table.some_texts("regions").map(|texts| names.regions_of(&texts));
    let events = table.some_texts("events").map(|texts| texts.iter().filter_map(|text| text.read(event)).collect());
    let batch_records = table.integer("batch_records", 1, 10_000).unwrap_or(500);
    let batch_bytes = batch_bytes(table);
    let alarm_after = table.duration("alarm_after").unwrap_or(5 * MINUTE);
    let kind = kinds::kind(&kind, table, directory, files)?;
    Some(Sink {
        name: String::new(),
        regions,
        events,
        start: start?,
        batch_records: usize::try_from(batch_records).ok()?,
        batch_bytes: usize::try_from(batch_bytes).ok()?,
        alarm_after,
        kind,
    })
}

/// More than 64 MiB of records are not held for one sink.
const MOST_BATCH_BYTES: u64 = 64 << 20;

fn batch_bytes(table: &Table<'_>) -> u64 {
    let bytes = table.size("batch_bytes").unwrap_or(1 << 20);
    if bytes > MOST_BATCH_BYTES {
        table.refuse("batch_bytes", "must be \"64MiB\" or less");
    }
    bytes
}

/// It names a file and a label of metrics.
pub(super) fn check_sink_name(text: &str, whose: &str) -> Result<String, String> {
    let is_word = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if text.is_empty() || text.len() > 63 || !is_word || text.starts_with('-') {
        return Err(format!("{text:?} is not {whose} name: 1 to 63 of a-z, 0-9, - and _"));
    }
    Ok(text.to_owned())
}

fn event(text: &str) -> Result<Event, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| format!("unknown event \"{text}\"; docs/sinks.md lists them"))
}

/// A secret from a file or a variable: `<what>_file` or `<what>_env`.
pub(super) fn secret(table: &Table<'_>, what: &str, directory: &Path, files: &mut Vec<FileUse>) -> PasswordSource {
    let (file_key, variable_key) = (format!("{what}_file"), format!("{what}_env"));
    match (table.text(&file_key), table.text(&variable_key)) {
        (Some(_), Some(variable)) => {
            variable.place.refuse(format!("{file_key} is given already; one of the two is enough"));
            PasswordSource::None
        }
        (Some(file), None) => {
            PasswordSource::File(FileUse::add(files, &file, directory, super::files::FileKind::Password))
        }
        (None, Some(variable)) => PasswordSource::Env(variable_name(&variable, files)),
        (None, None) => PasswordSource::None,
    }
}

fn variable_name(variable: &Text<'_>, files: &mut Vec<FileUse>) -> String {
    let is_name = !variable.value.is_empty() && !variable.value.contains(['=', '\0']);
    if is_name {
        FileUse::add_path(files, variable, PathBuf::from(variable.value), super::files::FileKind::Variable);
    } else {
        variable.place.refuse(format!("{:?} is not the name of a variable", variable.value));
    }
    variable.value.to_owned()
}
