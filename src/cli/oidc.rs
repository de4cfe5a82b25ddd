//! Logging in by an identity provider from the command line: in a browser here, in one elsewhere, and again by a refresh token.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::failure::Failure;
use super::login::{Login, Renewal, lock};
use super::loopback::Loopback;
use super::output;
use crate::control::api::OidcLogin;
use crate::identity::{Client, ClientSettings, FlowError, Polled, Tokens, Trust, expires_at, names_nonce};

/// A token that ends sooner is renewed first.
const SOON: Duration = Duration::from_secs(60);
/// What RFC 8628 adds to the interval when it is told to slow down.
const SLOWER: Duration = Duration::from_secs(5);
/// Between two questions, whatever the provider says.
const INTERVALS: std::ops::RangeInclusive<u64> = 1..=60;
/// Somebody logs in within this time, or not at all.
const PATIENCE: Duration = Duration::from_secs(1800);

/// In a browser that reaches this machine's loopback address.
///
/// # Errors
/// Where nobody logged in, or the provider refused.
pub async fn by_browser(provider: &OidcLogin, ca: Option<&Path>) -> Result<Tokens, Failure> {
    let client = client(&provider.issuer, &provider.client_id, &provider.scope, ca)?;
    let loopback = Loopback::bind().await?;
    let begun = client.begin(loopback.url()).await.map_err(|error| failed(&error))?;
    output::notice(&format!("log in with a browser on this machine:\n  {}", begun.url));
    open(&begun.url);
    let returned = loopback.wait(&begun.state).await?;
    let tokens = client.redeem(&begun, loopback.url(), &returned).await.map_err(|error| failed(&error))?;
    if names_nonce(&tokens.id_token, &begun.nonce) {
        Ok(tokens)
    } else {
        Err(Failure::new("the identity provider answered with the token of another login", "log in again"))
    }
}

/// In any browser: somebody types a code there.
///
/// # Errors
/// As [`by_browser`].
pub async fn by_device(provider: &OidcLogin, ca: Option<&Path>) -> Result<Tokens, Failure> {
    let client = client(&provider.issuer, &provider.client_id, &provider.scope, ca)?;
    let device = client.device().await.map_err(|error| failed(&error))?;
    output::notice(&format!("open {} and enter the code {}", device.verification_uri, device.user_code));
    if let Some(complete) = &device.verification_uri_complete {
        output::notice(&format!("or open {complete}"));
    }
    let end = Instant::now() + Duration::from_secs(device.expires_in).min(PATIENCE);
    let mut interval = Duration::from_secs(device.interval.clamp(*INTERVALS.start(), *INTERVALS.end()));
    while Instant::now() + interval < end {
        tokio::time::sleep(interval).await;
        match client.poll(&device).await {
            Ok(Polled::Done(tokens)) => return Ok(tokens),
            Ok(Polled::Pending) => {}
            // A provider that does not answer is asked less often, too.
            Ok(Polled::SlowDown) | Err(FlowError::Unreachable(_)) => interval += SLOWER,
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(Failure::new("nobody logged in before the code expired", "run `pgward login URL --device` again"))
}

/// The login with a token that is good for a while, kept where it had to be renewed.
///
/// # Errors
/// Where it cannot be renewed.
pub async fn renewed(login: Option<Login>) -> Result<Option<Login>, Failure> {
    if !login.as_ref().is_some_and(is_due) {
        return Ok(login);
    }
    let _lock = lock()?;
    // Somebody else may have done it meanwhile.
    let login = Login::read()?;
    let Some((kept, renewal)) =
        login.as_ref().filter(|kept| is_due(kept)).and_then(|kept| Some((kept, kept.oidc.as_ref()?)))
    else {
        return Ok(login);
    };
    let over = |why: &str| {
        Failure::new(
            format!("the login to {} has ended{why}", kept.url),
            format!("log in again: pgward login {} --oidc", kept.url),
        )
    };
    let Some(refresh_token) = &renewal.refresh_token else { return Err(over("")) };
    let client = client(&renewal.issuer, &renewal.client_id, &renewal.scope, kept.ca.as_deref())?;
    let tokens = match client.refresh(refresh_token).await {
        Ok(tokens) => tokens,
        Err(FlowError::Refused(word)) => return Err(over(&format!(": the identity provider says {word}"))),
        Err(error) => return Err(failed(&error)),
    };
    // The old one stays good where there is no new one (RFC 6749, 6).
    let refresh_token = tokens.refresh_token.or_else(|| Some(refresh_token.clone()));
    let renewed =
        Login { token: tokens.id_token, oidc: Some(Renewal { refresh_token, ..renewal.clone() }), ..kept.clone() };
    renewed.write()?;
    Ok(Some(renewed))
}

/// Whether a provider's token ends soon; one that does not say when is shown as it is.
fn is_due(login: &Login) -> bool {
    let ends = login.oidc.as_ref().and_then(|_| expires_at(&login.token));
    ends.is_some_and(|end| end.duration_since(Timestamp::now()).as_secs() < SOON.as_secs().cast_signed())
}

/// Who vouches for the control port vouches for the provider, too, besides the system's authorities: both often have the
/// organisation's certificates.
fn client(issuer: &str, client_id: &str, scope: &str, ca: Option<&Path>) -> Result<Client, Failure> {
    let settings = ClientSettings {
        issuer: issuer.to_owned(),
        client_id: client_id.to_owned(),
        secret: None,
        scope: scope.to_owned(),
        trust: ca.map_or(Trust::Person, |ca| Trust::Also(ca.to_owned())),
    };
    Client::new(settings).map_err(|error| failed(&error.into()))
}

fn failed(error: &FlowError) -> Failure {
    let hint = match error {
        FlowError::Unreachable(_) => "check that the identity provider can be reached from here, then try again",
        FlowError::Refused(_) | FlowError::Issuer => "log in again; if it stays so, ask who runs pgward",
        FlowError::Unsupported => "try `--oidc` or `--device`, whichever you did not",
        FlowError::NoRandomness => "check the system's random number generator",
    };
    Failure::new(error.to_string(), hint)
}

/// Opens a browser where there is one; else the address is there to be copied.
fn open(url: &str) {
    let is_set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let program = if let Some(browser) = is_set("BROWSER") {
        browser
    } else if cfg!(target_os = "macos") {
        "open".into()
    } else if is_set("DISPLAY").or_else(|| is_set("WAYLAND_DISPLAY")).is_some() {
        "xdg-open".into()
    } else {
        return;
    };
    // Whether that works shows on the screen.
    let _ = Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn only_a_providers_token_that_ends_soon_is_renewed() {
        let check = |seconds: i64, is_oidc: bool, expected: bool| {
            let body = format!("{{\"exp\": {}}}", Timestamp::now().as_second() + seconds);
            let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(body);
            let (issuer, client_id) = ("https://idp".to_owned(), "pgward".to_owned());
            let renewal = Renewal { issuer, client_id, scope: "openid".to_owned(), refresh_token: None };
            let oidc = is_oidc.then_some(renewal);
            let login = Login { url: "https://h:1".to_owned(), token: format!("e30.{body}.x"), ca: None, oidc };
            assert_eq!(is_due(&login), expected, "{seconds}");
        };
        check(3600, true, false);
        check(30, true, true);
        check(-3600, true, true);
        check(-3600, false, false);
    }
}
