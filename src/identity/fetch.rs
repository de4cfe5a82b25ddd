//! What identity providers publish, by HTTPS: no redirects, no proxies of the environment, answers with bounds.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, Url};
use serde::de::DeserializeOwned;

/// From the first byte of a request to the last of its answer: somebody waits to log in.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 256 * 1024;

/// Why something cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("\"{0}\" is not an HTTPS URL without query and fragment")]
    Url(String),
    #[error("{0}: {1}")]
    Authority(String, String),
    #[error("{0}: {1}")]
    Failed(String, String),
    #[error("{0} was asked a moment ago and could not answer")]
    TooSoon(String),
}

/// Where a provider's configuration is (OpenID Connect Discovery).
pub(super) fn configuration_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
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
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, FetchError> {
        let mut builder = Client::builder()
            .https_only(true)
            .user_agent(concat!("pgward/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0);
        if let Some(ca) = ca {
            let problem = |said: String| FetchError::Authority(ca.display().to_string(), said);
            let pem = std::fs::read(ca).map_err(|error| problem(error.to_string()))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| problem(error.to_string()))?;
            if authorities.is_empty() {
                return Err(problem("holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(authorities);
        }
        let client = builder.build().map_err(|error| FetchError::Failed("HTTPS".to_owned(), innermost(&error)))?;
        Ok(Self { client })
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let failed = |said: String| FetchError::Failed(url.to_owned(), said);
        let address = check_url(url)?;
        let mut response = self.client.get(address).send().await.map_err(|error| failed(innermost(&error)))?;
        if !response.status().is_success() {
            return Err(failed(format!("answered {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| failed(innermost(&error)))? {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(failed("the answer is too long".to_owned()));
            }
            body.extend_from_slice(&piece);
        }
        serde_json::from_slice(&body).map_err(|error| failed(format!("the answer cannot be read: {error}")))
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
