//! pgward as a peer: policy, catalogs and journal on, a request made by one person and approved by another.

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::peers::{Name, PASSWORD, Peer};
use crate::process::{Program, Stage, free_port};
use crate::settings::Settings;

/// A running pgward, and what it takes to speak to its control port.
#[derive(Debug)]
pub struct Pgward {
    pub peer: Peer,
    pub control: u16,
    pub alice: String,
    pub bob: String,
    /// The request that was approved first.
    pub request: String,
    stage: Stage,
    settings: Settings,
}

/// # Errors
/// Where it does not start.
pub fn certificates(stage: &Stage, settings: &Settings) -> Result<()> {
    let mut command = stage.unpinned().command(&settings.pgward);
    command.arg("dev-certs").arg(stage.path("certs"));
    stage.run(command).map(drop)
}

impl Pgward {
    /// One that sends sessions to `upstream`, a port of this machine. `wrapper`, where there is one, is the program that
    /// runs it, with its arguments.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(
        stage: &Stage,
        settings: &Settings,
        name: &str,
        upstream: u16,
        wrapper: &[String],
    ) -> Result<Self> {
        let directory = stage.path(name);
        std::fs::create_dir_all(&directory)?;
        let password = directory.join("password");
        std::fs::write(&password, PASSWORD)?;
        std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let (port, control) = (free_port()?, free_port()?);
        let (alice, bob) = (token(stage, settings)?, token(stage, settings)?);
        let config = directory.join("proxy.toml");
        std::fs::write(&config, configuration(stage, port, control, upstream, &alice.1, &bob.1))?;
        let program = serve(stage, settings, name, wrapper, &config)?;
        let mut started = Self {
            peer: Peer {
                name: Name::Pgward,
                port,
                user: "alice".to_owned(),
                password: String::new(),
                database: "bench".to_owned(),
                program: Some(program),
            },
            control,
            alice: alice.0,
            bob: bob.0,
            request: String::new(),
            stage: stage.clone(),
            settings: settings.clone(),
        };
        started.open()?;
        Ok(started)
    }

    fn open(&mut self) -> Result<()> {
        if let Some(program) = &mut self.peer.program {
            program.wait_for_port(self.peer.port)?;
            program.wait_for_port(self.control)?;
        }
        self.request = self.grant()?;
        self.peer.password = self.command(&self.alice, &["credentials", "bench", "-o", "json"], "password")?;
        Ok(())
    }

    /// Has alice ask and bob approve; answers the request's id.
    ///
    /// # Errors
    /// Where either is refused.
    pub fn grant(&self) -> Result<String> {
        let words = ["request", "bench", "--for", "4h", "--reason", "a benchmark", "-o", "json"];
        let request = self.command(&self.alice, &words, "id")?;
        self.command(&self.bob, &["approve", &request, "-o", "json"], "id")?;
        Ok(request)
    }

    /// Runs the command line program as somebody and answers one field of what it prints.
    ///
    /// # Errors
    /// Where it fails or the field is not there.
    fn command(&self, token: &str, words: &[&str], field: &str) -> Result<String> {
        let mut command = self.stage.unpinned().command(&self.settings.pgward);
        command.args(words).env("PGWARD_TOKEN", token).env("PGWARD_CA", self.stage.path("certs/ca.crt"));
        command.env("PGWARD_URL", format!("https://127.0.0.1:{}", self.control));
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = || format!("pgward {words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let value: serde_json::Value = serde_json::from_str(&text).with_context(failed)?;
        value.get(field).and_then(|value| value.as_str()).map(str::to_owned).with_context(failed)
    }
}

fn serve(
    stage: &Stage,
    settings: &Settings,
    name: &str,
    wrapper: &[String],
    config: &std::path::Path,
) -> Result<Program> {
    let mut command = stage.wrapped(wrapper, &settings.pgward);
    command.arg("serve").arg("--config").arg(config);
    stage.start(name, command, Signal::TERM)
}

/// A token and its hash.
fn token(stage: &Stage, settings: &Settings) -> Result<(String, String)> {
    let mut command = stage.unpinned().command(&settings.pgward);
    command.args(["token", "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&stage.run(command)?)?;
    let field = |name: &str| value.get(name).and_then(|value| value.as_str()).map(str::to_owned).context("pgward token");
    Ok((field("token")?, field("hash")?))
}

fn configuration(stage: &Stage, port: u16, control: u16, upstream: u16, alice: &str, bob: &str) -> String {
    let certs = stage.path("certs");
    let certs = certs.display();
    format!(
        r#"[proxy]
listen = "127.0.0.1:{port}"
tls_cert = "{certs}/server.crt"
tls_key = "{certs}/server.key"
max_connections = 12000
max_connections_per_address = 12000
[control]
listen = "127.0.0.1:{control}"
tls_cert = "{certs}/server.crt"
tls_key = "{certs}/server.key"
admins = ["@dba"]
auditors = ["@dba"]
[store]
url = "sqlite://pgward.db"
[audit]
dir = "audit"
durability = "written"
[regions.here]
networks = ["127.0.0.0/8"]
[[user]]
name = "alice"
groups = ["dev"]
token_hash = "{alice}"
[[user]]
name = "bob"
groups = ["dba"]
token_hash = "{bob}"
[[database]]
name = "bench"
upstream = "postgresql://bench@127.0.0.1:{upstream}/bench?sslmode=disable"
password_file = "password"
region = "here"
[[scope]]
name = "bench"
database = "bench"
regions = ["here"]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1d"
[[scope.allow]]
on = ["public.*"]
do = ["all"]
"#
    )
}
