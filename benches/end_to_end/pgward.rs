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
    /// Somebody else who may ask.
    pub carol: String,
    pub stage: Stage,
    settings: Settings,
    name: String,
}

/// Whose the grants are that are added in bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Others,
    Same,
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
    pub fn start(stage: &Stage, settings: &Settings, name: &str, upstream: u16, wrapper: &[String]) -> Result<Self> {
        let directory = stage.path(name);
        std::fs::create_dir_all(&directory)?;
        let password = directory.join("password");
        std::fs::write(&password, PASSWORD)?;
        std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let (port, control) = (free_port()?, free_port()?);
        let tokens = [token(stage, settings)?, token(stage, settings)?, token(stage, settings)?];
        let config = directory.join("proxy.toml");
        std::fs::write(&config, configuration(stage, [port, control, upstream], &tokens))?;
        let [alice, bob, carol] = tokens.map(|(token, _)| token);
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
            alice,
            bob,
            carol,
            request: String::new(),
            stage: stage.clone(),
            settings: settings.clone(),
            name: name.to_owned(),
        };
        started.open()?;
        Ok(started)
    }

    /// Stops it, has copies of the grant that is there in the store, if any, and starts it again on the same ports.
    ///
    /// # Errors
    /// Where the store or the start fails.
    pub fn restart_with(&mut self, grants: Option<(usize, Holder)>) -> Result<()> {
        drop(self.peer.program.take());
        let directory = self.stage.path(&self.name);
        if let Some((grants, holder)) = grants {
            multiply(&directory.join("pgward.db"), grants, holder)?;
        }
        let mut program = serve(&self.stage, &self.settings, &self.name, &[], &directory.join("proxy.toml"))?;
        program.wait_for_port(self.peer.port)?;
        program.wait_for_port(self.control)?;
        self.peer.program = Some(program);
        Ok(())
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
    let field =
        |name: &str| value.get(name).and_then(|value| value.as_str()).map(str::to_owned).context("pgward token");
    Ok((field("token")?, field("hash")?))
}

fn configuration(stage: &Stage, [port, control, upstream]: [u16; 3], tokens: &[(String, String); 3]) -> String {
    let [alice, bob, carol] = tokens.each_ref().map(|(_, hash)| hash);
    let certs = stage.path("certs");
    let certs = certs.display();
    format!(
        r#"[proxy]
listen = "127.0.0.1:{port}"
tls_cert = "{certs}/server.crt"
tls_key = "{certs}/server.key"
max_connections = 12000
max_connections_per_address = 12000
max_connections_per_principal = 12000
max_handshakes = 12000
max_handshakes_per_address = 12000
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
[[user]]
name = "carol"
groups = ["dev"]
token_hash = "{carol}"
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
[[scope.allow]]
functions = ["pg_catalog.pg_sleep"]
"#
    )
}

/// Writes copies of the one grant, and of its request, straight into the store: asking for a hundred thousand would take
/// longer than what is measured.
fn multiply(store: &std::path::Path, grants: usize, holder: Holder) -> Result<()> {
    let connection = rusqlite::Connection::open(store)?;
    let (principal, mark) = match holder {
        Holder::Others => ("'other' || n", "others"),
        Holder::Same => ("principal", "same"),
    };
    let count =
        format!("WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {grants})");
    let first = "(SELECT * FROM {table} ORDER BY rowid LIMIT 1)";
    let (requests, first_grant) = (first.replace("{table}", "requests"), first.replace("{table}", "grants"));
    connection.execute_batch(&format!(
        "BEGIN;
         DELETE FROM grants WHERE id LIKE '%-bulk-%';
         DELETE FROM requests WHERE id LIKE '%-bulk-%';
         {count} INSERT INTO requests (id, principal, groups, home_region, database, scope_name, scope, reason, ticket,
                                       duration, starts, statement, state, created_at)
           SELECT id || '-bulk-{mark}-' || n, {principal}, groups, home_region, database, scope_name, scope, reason, ticket,
                  duration, starts, statement, state, created_at FROM {requests}, counted;
         {count} INSERT INTO grants (id, request, principal, database, scope_name, scope, statement, reason, ticket,
                                     approvers, not_before, expires_at)
           SELECT id || '-bulk-{mark}-' || n, request || '-bulk-{mark}-' || n, {principal}, database, scope_name, scope,
                  statement, reason, ticket, approvers, not_before, expires_at FROM {first_grant}, counted;
         COMMIT;"
    ))?;
    Ok(())
}
