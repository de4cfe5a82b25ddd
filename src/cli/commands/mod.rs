//! One function for each command: what it calls, and how the answer is printed.

mod audit;
mod connect;
mod credentials;
mod emergencies;
mod explain;
mod grants;
mod holds;
mod login;
mod permissions;
mod proof;
mod replay;
mod request_view;
mod requests;
mod retention;
mod sessions;
mod signing;
mod store;
mod story;
mod unusual;
mod usage;
pub mod witness;

use std::path::Path;

use clap::CommandFactory;

use super::args::{Arguments, Command, Format, Options};
use super::client::Client;
use super::failure::Failure;
use super::output;
use super::server::Target;
use crate::control::api::Note;

/// Carries out a command that talks to the control port.
pub async fn run(options: &Options, command: Command) -> Result<(), Failure> {
    let format = options.output;
    let client = async || Client::new(Target::resolve(options).await?);
    match command {
        // Carried out before there is a runtime.
        Command::Serve { .. }
        | Command::Check { .. }
        | Command::Completions { .. }
        | Command::Token
        | Command::Witness(_) => Ok(()),
        Command::DevCerts { dir, hosts, client } => dev_certs(options, &dir, &hosts, client.as_deref()),
        Command::Store(command) => store::run(command).await,
        Command::Login(arguments) => login::login(options, &arguments).await,
        Command::Request(arguments) => requests::file(&client().await?, format, arguments).await,
        Command::Requests { id: Some(id), state: _ } => request_view::show(&client().await?, format, &id).await,
        Command::Requests { id: None, state } => requests::list(&client().await?, format, state).await,
        Command::Edit(arguments) => requests::edit(&client().await?, format, arguments).await,
        Command::Approve { id, note, digest } => {
            requests::approve(&client().await?, format, &id, Note { note, digest }).await
        }
        Command::Deny { id, note } => {
            requests::deny(&client().await?, format, &id, Note { note: Some(note), digest: None }).await
        }
        Command::Withdraw { id } => requests::withdraw(&client().await?, format, &id).await,
        Command::Scopes { command: None } => requests::scopes(&client().await?, format).await,
        Command::Scopes { command: Some(command) } => usage::suggest(&client().await?, format, command).await,
        Command::Report(command) => usage::report(&client().await?, format, command).await,
        Command::Grants { all } => grants::list(&client().await?, format, all).await,
        Command::Extend(arguments) => grants::extend(&client().await?, format, arguments).await,
        Command::BreakGlass(arguments) => emergencies::open(&client().await?, format, arguments).await,
        Command::Reviews { all } => emergencies::list(&client().await?, format, all).await,
        Command::Review { grant, note } => emergencies::close(&client().await?, format, &grant, note).await,
        Command::Revoke { grant, reason } => grants::revoke(&client().await?, format, &grant, reason).await,
        Command::Credentials { database } => credentials::credentials(&client().await?, format, database).await,
        Command::Connect { database, psql } => connect::connect(&client().await?, database, &psql).await,
        Command::Sessions => sessions::list(&client().await?, format).await,
        Command::Permissions(arguments) => permissions::permissions(&client().await?, format, arguments).await,
        Command::Retention(command) => retention::retention(&client().await?, format, command).await,
        Command::Held => unusual::list(&client().await?, format).await,
        Command::Release { principal, reason } => unusual::release(&client().await?, format, &principal, reason).await,
        Command::Kill { session, reason } => sessions::kill(&client().await?, format, &session, reason).await,
        Command::Explain { database, user, sql } => {
            explain::explain(&client().await?, format, database, user, sql).await
        }
        Command::Audit(command) => audit::run(options, *command).await,
    }
}

/// Makes a token and the hash by which the configuration knows it.
pub fn token(options: &Options) -> Result<(), Failure> {
    let (token, hash) = crate::access::generate_token()
        .map_err(|error| Failure::new(error.to_string(), "check the system's random number generator"))?;
    let (token, hash) = (token.expose(), hash.to_string());
    match options.output {
        Format::Json => output::json(&serde_json::json!({ "token": token, "hash": hash })),
        Format::Table => {
            output::fields(&[("token", token.to_owned()), ("hash", hash.clone())])?;
            output::hint(&format!(
                "give the token to its user, who runs: pgward login URL\n      put into proxy.toml, at that [[user]]: token_hash = \"{hash}\""
            ));
            Ok(())
        }
    }
}

/// Prints a completion script.
pub fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "pgward", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

fn dev_certs(options: &Options, dir: &Path, hosts: &[String], client: Option<&str>) -> Result<(), Failure> {
    let files = crate::devcerts::generate_with_client(dir, hosts, client)
        .map_err(|error| Failure::new(error.to_string(), "give another directory"))?;
    let path = |path: &Path| path.display().to_string();
    let mut made = vec![("ca", path(&files.ca)), ("cert", path(&files.server_cert)), ("key", path(&files.server_key))];
    if let Some((cert, key)) = &files.client {
        made.extend([("client_cert", path(cert)), ("client_key", path(key))]);
    }
    match options.output {
        Format::Json => output::json(&made.into_iter().collect::<std::collections::BTreeMap<_, _>>()),
        Format::Table => output::fields(&made),
    }
}

/// `-` or nothing, for what is not there.
fn or_dash(value: Option<&str>) -> String {
    value.filter(|value| !value.is_empty()).unwrap_or("-").to_owned()
}
