//! `[control.oidc]`: the identity provider that people log in by at the control port, besides their tokens.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::PasswordSource;
use super::files::FileUse;
use super::identity::{self, Issuer};
use super::names::check_name;
use super::reader::Table;
use super::sink::secret;

/// A session in a browser is not to outlive a day of work by much.
const MAX_SESSION: Duration = Duration::from_secs(7 * 86_400);

/// `[control.oidc]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// Whose tokens are taken, and how; its audience is `client_id`.
    pub issuer: Issuer,
    pub client_id: String,
    /// None of a public client.
    pub client_secret: PasswordSource,
    /// What the command line logs in as; `client_id` where that has no secret.
    pub cli_client_id: Option<String>,
    /// Where browsers come back to; at the control port's address if nothing is named.
    pub redirect_url: Option<String>,
    pub scopes: Vec<String>,
    /// What the command line asks for, where that is something else.
    pub cli_scopes: Option<Vec<String>>,
    /// The provider's names of groups, and ours; where there is none they are called as the provider calls them.
    pub group_map: Option<BTreeMap<String, String>>,
    /// How long a browser's session is good in all, and without a call.
    pub session: Duration,
    pub idle: Duration,
}

pub(super) fn oidc(control: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<Oidc> {
    let table = control.table("oidc")?;
    let own = [
        "client_id",
        "client_secret_file",
        "client_secret_env",
        "cli_client_id",
        "redirect_url",
        "scopes",
        "cli_scopes",
        "group_map",
        "session",
        "idle",
    ];
    table.allow(&[identity::TOKEN_KEYS.as_slice(), &own].concat());
    let word = |key: &str| table.text(key).and_then(|text| text.read(identity::check_word));
    let client_id = table.required_text("client_id").and_then(|text| text.read(identity::check_word));
    let issuer = identity::tokens(&table, client_id.clone(), directory, files);
    let client_secret = secret(&table, "client_secret", directory, files);
    let redirect_url = table.text("redirect_url").and_then(|text| text.read(check_redirect));
    let asked = scopes(&table, "scopes").unwrap_or_else(|| vec!["openid".to_owned()]);
    let group_map = group_map(&table);
    if group_map.is_some() && !table.has("groups_claim") {
        table.refuse("group_map", "maps what groups_claim lists; there is no groups_claim");
    }
    let session = table.duration("session").unwrap_or(Duration::from_secs(8 * 3600));
    let idle = table.duration("idle").unwrap_or(Duration::from_secs(30 * 60));
    if session > MAX_SESSION {
        table.refuse("session", "must be \"7d\" or less");
    }
    if idle > session {
        table.refuse("idle", "is longer than the session itself");
    }
    Some(Oidc {
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        cli_client_id: word("cli_client_id"),
        redirect_url,
        scopes: asked,
        cli_scopes: scopes(&table, "cli_scopes"),
        group_map,
        session,
        idle,
    })
}

/// The groups that come from the provider: nobody in this file need be in them.
pub(super) fn mapped_groups<'a>(root: &Table<'a>) -> Vec<&'a str> {
    let maps = root.peek_tables("control").into_iter().flat_map(|control| control.peek_tables("oidc"));
    let maps = maps.flat_map(|oidc| oidc.peek_tables("group_map"));
    maps.flat_map(|map| map.keys().filter_map(|key| map.peek_text(key.value)).collect::<Vec<_>>()).collect()
}

fn scopes(table: &Table<'_>, key: &str) -> Option<Vec<String>> {
    let texts = table.some_texts(key)?;
    let check = |text: &str| match text {
        "" => Err("is empty"),
        text if text.chars().any(|c| !c.is_ascii_graphic() || c == '"' || c == '\\') => Err("is not a scope"),
        text => Ok(text.to_owned()),
    };
    let scopes: Vec<String> = texts.iter().filter_map(|text| text.read(check)).collect();
    if !scopes.iter().any(|scope| scope == "openid") {
        table.refuse(key, "lacks \"openid\", without which there is no ID token");
    }
    Some(scopes)
}

fn group_map(table: &Table<'_>) -> Option<BTreeMap<String, String>> {
    let map = table.table("group_map")?;
    let pair = |key: super::reader::Text<'_>| Some((key.value.to_owned(), map.text(key.value)?.read(check_name)?));
    Some(map.keys().filter_map(pair).collect())
}

/// The provider compares it letter by letter.
fn check_redirect(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").and_then(|rest| rest.strip_suffix(CALLBACK));
    match host {
        Some(host) if !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c)) => {
            Ok(text.to_owned())
        }
        Some(_) | None => Err(format!("{text:?} is not https://HOST:PORT{CALLBACK}")),
    }
}

const CALLBACK: &str = "/login/callback";
