//! What identity providers publish, by HTTPS: no redirects, no proxies of the environment, answers with bounds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

/// From the first byte of a request to the last of its answer: somebody waits to log in.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 256 * 1024;

/// Why something cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("\"{0}\" is not an HTTPS URL without query and fragment")]
    Url(String),
    #[error("\"{0}\", as the provider's configuration names it, is not an HTTPS URL")]
    Endpoint(String),
    #[error("{0}: {1}")]
    Authority(String, String),
    #[error("{0}: {1}")]
    Failed(String, String),
    #[error("{0} was asked a moment ago and could not answer")]
    TooSoon(String),
}

/// Who vouches for a provider's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    #[default]
    System,
    /// The authorities in this file, and no others.
    Only(PathBuf),
    /// The system's, and those in this file. Asks as a person's own programs do: through the proxies of the environment.
    Also(PathBuf),
    /// The system's, through those proxies.
    Person,
}

/// What a token endpoint answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    Given(T),
    /// The `error` of RFC 6749.
    Refused(String),
}

#[derive(serde::Deserialize)]
struct Refusal {
    error: String,
}

/// Where a provider's configuration is (OpenID Connect Discovery).
pub(super) fn configuration_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// An address that a provider's configuration names; it may have a query of its own.
pub(super) fn check_endpoint(url: &str) -> Result<Url, FetchError> {
    let is_good = |parsed: &Url| parsed.scheme() == "https" && parsed.has_host() && parsed.fragment().is_none();
    Url::parse(url).ok().filter(is_good).ok_or_else(|| FetchError::Endpoint(url.to_owned()))
}

/// `application/x-www-form-urlencoded`
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params("https://form.invalid/", pairs);
    url.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn check_url(url: &str) -> Result<Url, FetchError> {
    let parsed = Url::parse(url).ok();
    let is_good = |parsed: &Url| {
        parsed.scheme() == "https" && parsed.has_host() && parsed.query().is_none() && parsed.fragment().is_none()
    };
    parsed.filter(is_good).ok_or_else(|| FetchError::Url(url.to_owned()))
}

#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
}

impl Fetcher {
    pub(super) fn new(trust: &Trust) -> Result<Self, FetchError> {
        let builder = Client::builder()
            .https_only(true)
            .user_agent(concat!("pgward/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0);
        let builder = match trust {
            Trust::System => builder.no_proxy(),
            Trust::Only(ca) => builder.no_proxy().tls_certs_only(authorities(ca)?),
            Trust::Also(ca) => builder.tls_certs_merge(authorities(ca)?),
            Trust::Person => builder,
        };
        let client = builder.build().map_err(|error| FetchError::Failed("HTTPS".to_owned(), innermost(&error)))?;
        Ok(Self { client })
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let failed = |said: String| FetchError::Failed(url.to_owned(), said);
        let address = check_url(url)?;
        let response = self.client.get(address).send().await.map_err(|error| failed(innermost(&error)))?;
        if !response.status().is_success() {
            return Err(failed(format!("answered {}", response.status())));
        }
        let body = body(response).await.map_err(failed)?;
        serde_json::from_slice(&body).map_err(|error| failed(format!("the answer cannot be read: {error}")))
    }

    /// Sends a form. `secret`: the client's name and secret, as RFC 6749, 2.3.1 has it.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        pairs: &[(&str, &str)],
        secret: Option<(&str, &str)>,
    ) -> Result<Answer<T>, FetchError> {
        // What is wrong with an answer is told without it: it may hold tokens.
        let failed = |said: &str| FetchError::Failed(url.to_owned(), said.to_owned());
        let call = self.client.post(check_endpoint(url)?).body(form(pairs)).header(ACCEPT, "application/json");
        let call = call.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let call = secret.into_iter().fold(call, authorised);
        let response = call.send().await.map_err(|error| failed(&innermost(&error)))?;
        let status = response.status();
        let body = body(response).await.map_err(|error| failed(&error))?;
        if status.is_success() {
            return match serde_json::from_slice(&body) {
                Ok(given) => Ok(Answer::Given(given)),
                Err(_) => Err(failed("the answer is not what OpenID Connect says")),
            };
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) if status.is_client_error() => Ok(Answer::Refused(word(&refusal.error))),
            Ok(_) | Err(_) => Err(failed(&format!("answered {status}"))),
        }
    }
}

/// Both parts are encoded as in a form first.
fn authorised(call: RequestBuilder, (client, secret): (&str, &str)) -> RequestBuilder {
    let encoded = |text: &str| form(&[("", text)]).trim_start_matches('=').to_owned();
    call.basic_auth(encoded(client), Some(encoded(secret)))
}

/// An error code of somebody else's, fit for a log and a terminal.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).take(64).collect()
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| innermost(&error))? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err("the answer is too long".to_owned());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn authorities(ca: &Path) -> Result<Vec<Certificate>, FetchError> {
    let problem = |said: String| FetchError::Authority(ca.display().to_string(), said);
    let pem = std::fs::read(ca).map_err(|error| problem(error.to_string()))?;
    let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| problem(error.to_string()))?;
    if authorities.is_empty() {
        return Err(problem("holds no certificate".to_owned()));
    }
    Ok(authorities)
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
