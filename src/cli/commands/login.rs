//! `login`: keeps where the control port is and by which token it knows this user, one of pgward's or an identity provider's.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::cli::args::{Format, LoginArguments, Options};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::login::{Login, Renewal};
use crate::cli::oidc;
use crate::cli::output;
use crate::cli::server::{Target, absolute, given, normalise};
use crate::cli::service_file::{Services, update};
use crate::control::api::{LoginOptions, OidcLogin, WhoAmI};
use crate::identity::Tokens;

pub async fn login(options: &Options, arguments: &LoginArguments) -> Result<(), Failure> {
    let url = normalise(&arguments.address)?;
    let ca = options.ca.as_deref().filter(|ca| !ca.as_os_str().is_empty()).map(absolute);
    let given = given(options.token.as_deref());
    let way = Way::of(arguments, given, &url, ca.as_deref()).await?;
    let (token, renewal) = match way {
        Way::Token => (given.map_or_else(ask, |token| Ok(token.to_owned()))?, None),
        Way::Browser(provider) => kept(oidc::by_browser(&provider, ca.as_deref()).await?, provider),
        Way::Device(provider) => kept(oidc::by_device(&provider, ca.as_deref()).await?, provider),
    };
    let target = Target { url: url.clone(), token: Some(token.clone()), ca: ca.clone() };
    let me: WhoAmI = Client::new(target)?.get(&["whoami"], &()).await?;
    let kept = Login { url: url.clone(), token, ca: ca.clone(), oidc: renewal }.write()?;
    let services = Services { url: &url, user: &me.name, ca: ca.as_deref(), databases: &me.databases };
    let (file, names) = update(&services)?;
    match options.output {
        Format::Json => output::json(&json!({
            "user": me.name,
            "groups": me.groups,
            "url": url,
            "login_file": kept,
            "service_file": file,
            "services": names,
        })),
        Format::Table => {
            output::say(&format!("logged in to {url} as {}; kept in {}", me.name, kept.display()))?;
            if !names.is_empty() {
                output::say(&format!("services in {}: {}", file.display(), names.join(", ")))?;
            }
            output::hint("see what you may ask for with: pgward scopes");
            Ok(())
        }
    }
}

/// How somebody logs in.
enum Way {
    Token,
    Browser(OidcLogin),
    Device(OidcLogin),
}

impl Way {
    /// As they say; where they say nothing, by the identity provider where there is one and a person to ask.
    async fn of(
        arguments: &LoginArguments,
        token: Option<&str>,
        url: &str,
        ca: Option<&Path>,
    ) -> Result<Self, Failure> {
        let is_told = arguments.oidc || arguments.device;
        if !is_told && (token.is_some() || !io::stdin().is_terminal()) {
            return Ok(Way::Token);
        }
        let target = Target { url: url.to_owned(), token: None, ca: ca.map(Path::to_owned) };
        let options: LoginOptions = Client::for_anybody(target)?.get(&["login-options"], &()).await?;
        match options.oidc {
            Some(provider) if arguments.device => Ok(Way::Device(provider)),
            Some(provider) => Ok(Way::Browser(provider)),
            None if is_told => Err(Failure::new(
                format!("{url} offers the command line no login by an identity provider"),
                "log in with a control token: pgward login URL",
            )),
            None => Ok(Way::Token),
        }
    }
}

fn kept(tokens: Tokens, provider: OidcLogin) -> (String, Option<Renewal>) {
    let OidcLogin { issuer, client_id, scope } = provider;
    (tokens.id_token, Some(Renewal { issuer, client_id, scope, refresh_token: tokens.refresh_token }))
}

/// Reads the token from stdin: at a terminal it is asked for and not shown.
fn ask() -> Result<String, Failure> {
    let stdin = io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        output::notice("token:");
        let _quiet = Quiet::begin();
        stdin.lock().take(MAX_TOKEN).read_line(&mut line)?;
    } else {
        stdin.lock().take(MAX_TOKEN).read_line(&mut line)?;
    }
    match given(Some(&line)) {
        Some(token) => Ok(token.to_owned()),
        None => Err(Failure::new("no token was given", "get one from who runs pgward: pgward token")),
    }
}

/// While it lives the terminal does not show what is typed.
#[derive(Debug)]
struct Quiet;

impl Quiet {
    fn begin() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        stty("echo");
    }
}

/// Where there is no `stty` the token is shown as it is typed; that is no reason not to take it.
fn stty(argument: &str) {
    let _ = Command::new("stty").arg(argument).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
}

/// Bytes of a token that are read.
const MAX_TOKEN: u64 = 512;
