//! `[[database]]` and `[[database.data]]`: what stands behind a logical name, where its data lies, and what is special in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::files::{FileKind, FileUse};
use super::names::{Names, check_name, check_unique, columns};
use super::reader::Table;
use super::sections::region_of;
use super::upstream::UpstreamUrl;
use super::{Database, Provision, Secret};
use crate::access::ObjectPattern;
use crate::policy::{DataClass, DatabasePolicy};

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

pub(super) fn databases(root: &Table<'_>, directory: &Path, names: &Names, files: &mut Vec<FileUse>) -> Vec<Database> {
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
            "provision",
            "role_statement_timeout",
            "role_idle_in_transaction_timeout",
        ]);
        let name = table.required_text("name");
        let upstream = upstream(&table, directory, files);
        let password = password(&table, directory, files);
        let provision = provision(&table);
        table.required_text("region");
        let region = region_of(&table, names);
        let data = table.tables("data").iter().filter_map(|class| data_class(class, names)).collect();
        let Some(name) = name else { continue };
        check_unique(&mut seen, &name);
        let name = name.read(check_name);
        let (Some(name), Some(upstream), Some(region)) = (name, upstream, region) else { continue };
        databases.push(Database {
            policy: Arc::new(DatabasePolicy { name, region, data }),
            upstream,
            password,
            provision,
        });
    }
    databases
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

fn password(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> PasswordSource {
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
    table.allow(&["on", "columns", "region", "clients", "labels"]);
    let on = table.required_text("on").and_then(|text| text.read(ObjectPattern::parse));
    let columns = table.some_texts("columns").map(|texts| columns(&texts));
    let region = region_of(table, names);
    let clients = table.some_texts("clients").map(|texts| names.regions_of(&texts));
    let labels = table.texts("labels").unwrap_or_default();
    let labels = labels.iter().filter_map(|text| text.read(check_name)).collect();
    if !table.has("region") && !table.has("clients") && !table.has("labels") {
        table.place.refuse("says nothing of this data; give it a region, clients or labels");
    }
    Some(DataClass { on: on?, columns, region, clients, labels })
}
