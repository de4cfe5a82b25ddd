//! `[[database]]` and `[[database.data]]`: what stands behind a logical name, where its data lies, and what is special in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::export::export;
use super::files::{FileKind, FileUse};
use super::names::{Names, check_name, check_unique, columns};
use super::reader::Table;
use super::sections::region_of;
use super::upstream::UpstreamUrl;
use super::{Database, FurtherUpstream, Provision, SecondOpinion, Secret};
use crate::access::{ObjectPattern, Region};
use crate::policy::{DataClass, DatabasePolicy, Hidden, RegionRule};

const HOUR: Duration = Duration::from_secs(3600);
/// PostgreSQL's timeouts are milliseconds in 31 bits.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 86_400);

/// Where the password for an upstream comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// None is configured: the upstream trusts the proxy by other means.
    None,
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
}

impl PasswordSource {
    /// Reads the password. One line end after it in a file is not part of it.
    ///
    /// # Errors
    /// Says which file or variable cannot be read or is empty, never what is in it.
    pub fn read(&self) -> Result<Option<Secret>, String> {
        let (secret, source) = match self {
            PasswordSource::None => return Ok(None),
            PasswordSource::File(path) => {
                let text = std::fs::read_to_string(path).map(zeroize::Zeroizing::new);
                let text = text.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                (Secret::new(line.strip_suffix('\r').unwrap_or(line)), path.display().to_string())
            }
            PasswordSource::Env(name) => {
                let text = std::env::var(name).map_err(|_| format!("${name} is not set"))?;
                (Secret::new(text), format!("${name}"))
            }
        };
        if secret.expose().is_empty() { Err(format!("{source} holds no password")) } else { Ok(Some(secret)) }
    }
}

pub(super) fn databases(
    root: &Table<'_>,
    directory: &Path,
    names: &Names,
    rules: &Arc<BTreeMap<Region, RegionRule>>,
    files: &mut Vec<FileUse>,
) -> Vec<Database> {
    let mut seen = Vec::new();
    let mut databases = Vec::new();
    for table in root.tables("database") {
        table.allow(&[
            "name",
            "upstream",
            "password_file",
            "password_env",
            "region",
            "data",
            "upstreams",
            "second_opinion",
            "provision",
            "retention",
            "role_statement_timeout",
            "role_idle_in_transaction_timeout",
        ]);
        let name = table.required_text("name");
        let upstream = upstream(&table, directory, files);
        let password = password(&table, directory, files);
        let provision = provision(&table);
        if provision != Provision::None && upstream.as_ref().is_some_and(|url| url.options.pooled) {
            table.refuse("provision", "\"role\" makes roles that a pooler (pool_mode) does not know");
        }
        table.required_text("region");
        let region = region_of(&table, names);
        let second_opinion = second_opinion(&table);
        let data = table.tables("data").iter().filter_map(|class| data_class(class, names)).collect();
        let further = further(&table, directory, names, files);
        let Some(name) = name else { continue };
        check_unique(&mut seen, &name);
        let name = name.read(check_database_name);
        let (Some(name), Some(upstream), Some(region)) = (name, upstream, region) else { continue };
        let routed = !further.is_empty();
        let policy = Arc::new(DatabasePolicy {
            name,
            region,
            routed,
            data,
            rules: Arc::clone(rules),
            hidden: Hidden::default(),
        });
        let second_opinion = second_opinion.unwrap_or(SecondOpinion::Off);
        let retention = Vec::new();
        databases.push(Database { policy, upstream, password, further, second_opinion, provision, retention });
    }
    databases
}

/// `[[database.upstreams]]`: at most one for each region that the main upstream does not lie in.
fn further(table: &Table<'_>, directory: &Path, names: &Names, files: &mut Vec<FileUse>) -> Vec<FurtherUpstream> {
    let main = table.peek_text("region");
    let mut further: Vec<FurtherUpstream> = Vec::new();
    for entry in table.tables("upstreams") {
        entry.allow(&["region", "upstream", "password_file", "password_env"]);
        let upstream = upstream(&entry, directory, files);
        let password = password(&entry, directory, files);
        let text = entry.required_text("region");
        let (Some(region), Some(text)) = (region_of(&entry, names), text) else { continue };
        if Some(text.value) == main || further.iter().any(|earlier| earlier.region == region) {
            text.place.refuse(format!("an upstream in region \"{region}\" is declared already; a region has one"));
            continue;
        }
        further.extend(upstream.map(|upstream| FurtherUpstream { region, upstream, password }));
    }
    further
}

/// Clients write `name@region` for one of several upstreams.
fn check_database_name(text: &str) -> Result<String, String> {
    match check_name(text) {
        Ok(name) if name.contains('@') => {
            Err(format!("{text:?} is not a name: it holds @, which stands before the region of an upstream"))
        }
        other => other,
    }
}

fn second_opinion(table: &Table<'_>) -> Option<SecondOpinion> {
    let choices = [("off", SecondOpinion::Off), ("on", SecondOpinion::On), ("required", SecondOpinion::Required)];
    table.text("second_opinion")?.choose(&choices)
}

fn provision(table: &Table<'_>) -> Provision {
    let timeout = |key: &str, default: Duration| {
        let timeout = table.duration(key).unwrap_or(default);
        if timeout > LONGEST_TIMEOUT {
            table.refuse(key, "PostgreSQL takes 24 days at most");
        }
        timeout
    };
    let statement_timeout = timeout("role_statement_timeout", HOUR);
    let idle_in_transaction_timeout = timeout("role_idle_in_transaction_timeout", HOUR / 4);
    let kind = table.text("provision").and_then(|text| {
        text.read(|kind| match kind {
            "none" => Ok(Provision::None),
            "role" => Ok(Provision::Role { statement_timeout, idle_in_transaction_timeout }),
            other => Err(format!("\"{other}\" is neither \"none\" nor \"role\"")),
        })
    });
    let provision = kind.unwrap_or(Provision::None);
    if provision == Provision::None {
        for key in ["role_statement_timeout", "role_idle_in_transaction_timeout"] {
            if table.has(key) {
                table.refuse(key, "goes with provision = \"role\" only");
            }
        }
    }
    provision
}

fn upstream(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<UpstreamUrl> {
    let text = table.required_text("upstream")?;
    let mut upstream = text.read(UpstreamUrl::parse)?;
    if let Some(ca) = &mut upstream.sslrootcert {
        *ca = FileUse::add_path(files, &text, directory.join(&*ca), FileKind::Plain);
    }
    Some(upstream)
}

pub(super) fn password(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> PasswordSource {
    let file = table.text("password_file");
    let variable = table.text("password_env");
    match (file, variable) {
        (Some(_), Some(variable)) => {
            variable.place.refuse("password_file is there too; keep one of them");
            PasswordSource::None
        }
        (Some(file), None) => PasswordSource::File(FileUse::add(files, &file, directory, FileKind::Password)),
        (None, Some(variable)) => {
            if variable.value.is_empty() || variable.value.contains(['=', '\0']) {
                variable.place.refuse(format!("{:?} is not the name of a variable", variable.value));
            }
            FileUse::add_path(files, &variable, PathBuf::from(variable.value), FileKind::Variable);
            PasswordSource::Env(variable.value.to_owned())
        }
        (None, None) => PasswordSource::None,
    }
}

fn data_class(table: &Table<'_>, names: &Names) -> Option<DataClass> {
    table.allow(&["on", "columns", "region", "clients", "export", "labels"]);
    let on = table.required_text("on").and_then(|text| text.read(ObjectPattern::parse));
    let columns = table.some_texts("columns").map(|texts| columns(&texts));
    let region = region_of(table, names);
    let clients = table.some_texts("clients").map(|texts| names.regions_of(&texts));
    let export = export(table);
    let labels = table.texts("labels").unwrap_or_default();
    let labels = labels.iter().filter_map(|text| text.read(check_name)).collect();
    if !["region", "clients", "export", "labels"].iter().any(|key| table.has(key)) {
        table.place.refuse("says nothing of this data; give it a region, clients, export or labels");
    }
    Some(DataClass { on: on?, columns, region, clients, export, labels })
}
