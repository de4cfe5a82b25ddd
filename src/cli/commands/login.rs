//! `login`: keeps where the control port is and by which token it knows this user.

use std::io::{self, BufRead, IsTerminal, Read};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::cli::args::{Format, Options};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::login::Login;
use crate::cli::output;
use crate::cli::server::{Target, absolute, given, normalise};
use crate::cli::service_file::{Services, update};
use crate::control::api::WhoAmI;

pub async fn login(options: &Options, address: &str) -> Result<(), Failure> {
    let url = normalise(address)?;
    let token = match given(options.token.as_deref()) {
        Some(token) => token.to_owned(),
        None => ask()?,
    };
    let ca = options.ca.as_deref().filter(|ca| !ca.as_os_str().is_empty()).map(absolute);
    let target = Target { url: url.clone(), token: Some(token.clone()), ca: ca.clone() };
    let me: WhoAmI = Client::new(target)?.get(&["whoami"], &()).await?;
    let kept = Login { url: url.clone(), token, ca: ca.clone() }.write()?;
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
