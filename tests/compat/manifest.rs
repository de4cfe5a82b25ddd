//! What a client's folder says of it: `clients/NAME/client.toml`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The folder's name.
    #[serde(skip)]
    pub name: String,
    pub title: String,
    pub language: String,
    /// Installs in seconds, and runs in `make test`.
    #[serde(default)]
    pub fast: bool,
    /// Debian's packages.
    #[serde(default)]
    pub apt: Vec<String>,
    /// Packages of PyPI, all in one virtual environment.
    #[serde(default)]
    pub pip: Vec<String>,
    /// Packages of npm, all in one folder.
    #[serde(default)]
    pub npm: Vec<String>,
    /// Shell: makes into `$OUT` what `run` needs.
    pub build: Option<String>,
    /// Shell: succeeds where the client is installed and built.
    pub present: String,
    /// Shell, in the client's folder: the scenario.
    pub run: String,
    /// What its grant has besides.
    pub also: Option<Also>,
    /// What comes out otherwise through pgward, and should.
    #[serde(default)]
    pub differs: Vec<Difference>,
}

/// What one client's scope has to allow that the others' need not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Also {
    /// The lines of a `[[scope.allow]]`.
    pub allow: String,
    pub why: String,
}

/// One step whose outcome through pgward is not PostgreSQL's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    pub step: String,
    /// A part of what is printed for it through pgward.
    pub says: String,
    /// For the table's reader.
    pub why: String,
}

impl Client {
    pub fn trial(&self) -> String {
        format!("compat::{}", self.name)
    }

    pub fn is_installed(&self) -> bool {
        let mut present = self.shell(&self.present);
        let status = present.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// A line of shell in the client's folder, with everything that is installed for it in reach.
    pub fn shell(&self, line: &str) -> Command {
        let home = home();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).current_dir(clients().join(&self.name));
        command.env("PATH", format!("{}:{path}", home.join("venv/bin").display()));
        command.env("PYTHONPATH", here().join("lib")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("NODE_PATH", home.join("npm/node_modules"));
        command
            .env("VENV", home.join("venv"))
            .env("LIB", here().join("lib"))
            .env("OUT", home.join("build").join(&self.name));
        command
    }
}

/// All clients, by name.
pub fn all() -> Vec<Client> {
    let mut found: Vec<Client> = std::fs::read_dir(clients())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("client.toml").exists())
        .map(|folder| {
            let text = std::fs::read_to_string(folder.join("client.toml")).unwrap();
            let mut client: Client =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            folder.file_name().unwrap().to_str().unwrap().clone_into(&mut client.name);
            client
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

pub fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

/// Where everything that is not a package of the system is installed.
pub fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/compat")
}

fn clients() -> PathBuf {
    here().join("clients")
}
