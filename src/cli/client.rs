//! Calls of the control API. TLS always, certificates always verified, redirects never followed, answers bounded.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::output;
use super::server::Target;
use crate::control::Problem;
use crate::control::api::{MISSING_HEADER, MORE_HEADER};

/// A control port, spoken with on behalf of one token.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    target: Target,
}

impl Client {
    /// # Errors
    /// Where there is no token, or the authority's file cannot be used.
    pub fn new(target: Target) -> Result<Self, Failure> {
        if target.token.is_none() {
            return Err(Failure::new(
                "there is no control token",
                "log in with `pgward login URL`, or give one with --token or PGWARD_TOKEN",
            ));
        }
        Self::for_anybody(target)
    }

    /// For what is answered without a token.
    ///
    /// # Errors
    /// Where the authority's file cannot be used.
    pub fn for_anybody(target: Target) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .user_agent(concat!("pgward/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT);
        if let Some(ca) = &target.ca {
            let hint = "give the control port's authority with --ca or PGWARD_CA, as a PEM file";
            let problem = |error: String| Failure::new(format!("authority {}: {error}", ca.display()), hint);
            let pem = std::fs::read(ca).map_err(|error| problem(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| problem(causes(&error)))?;
            if certificates.is_empty() {
                return Err(problem("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        if is_loopback(&target.url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Failure::new(causes(&error), "check --ca"))?;
        Ok(Self { http, target })
    }

    /// The authority that this client trusts, where one is given.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &impl Serialize) -> Result<T, Failure> {
        let call = self.call(Method::GET, path)?.query(query).timeout(CALL_TIMEOUT);
        read(self.send(call).await?).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Failure> {
        let call = self.call(Method::POST, path)?.json(body).timeout(CALL_TIMEOUT);
        read(self.send(call).await?).await
    }

    /// Like [`Client::get`], for questions that take as long as the journal is long.
    pub async fn get_slowly<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        read(self.send(self.call(Method::GET, path)?).await?).await
    }

    /// Passes on each line of an answer as it comes, without its end. Answers whether the server left older records out.
    pub async fn lines(
        &self,
        path: &[&str],
        query: &impl Serialize,
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let mut response = self.send(self.call(Method::GET, path)?.query(query)).await?;
        let more = response.headers().contains_key(MORE_HEADER);
        let mut pending = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(&error))? {
            for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
                pending.extend_from_slice(piece);
                if let Some(line) = pending.strip_suffix(b"\n") {
                    each(line)?;
                    pending.clear();
                } else if pending.len() > MAX_ANSWER {
                    return Err(too_long());
                }
            }
        }
        if !pending.is_empty() {
            each(&pending)?;
        }
        Ok(more)
    }

    /// Each part of the path is one segment, whatever it holds.
    fn call(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        let mut url = reqwest::Url::parse(&self.target.url)
            .map_err(|error| Failure::new(format!("`{}`: {error}", self.target.url), "check --url"))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1").extend(path);
        }
        let call = self.http.request(method, url);
        Ok(self.target.token.iter().fold(call, |call, token| call.bearer_auth(token)))
    }

    async fn send(&self, call: RequestBuilder) -> Result<Response, Failure> {
        let response = call.send().await.map_err(|error| self.explain(&error))?;
        let status = response.status();
        if status.is_success() {
            if let Some(missing) = response.headers().get(MISSING_HEADER).and_then(|names| names.to_str().ok()) {
                output::notice(&format!("warning: these replicas could not be asked: {missing}"));
            }
            return Ok(response);
        }
        match read::<Problem>(response).await {
            Ok(problem) => Err(problem.into()),
            Err(_) => Err(Failure::new(
                format!("{} answered {status}, and not as pgward does", self.target.url),
                "check that --url names the control port of pgward",
            )),
        }
    }

    /// Says which control port could not be reached, and what to check.
    fn explain(&self, error: &reqwest::Error) -> Failure {
        let url = &self.target.url;
        let text = causes(error);
        if is_certificate(error) {
            let hint = match &self.target.ca {
                Some(ca) => {
                    format!("check that {} is the authority of that certificate, and the name in --url", ca.display())
                }
                None => "give its authority with --ca or PGWARD_CA".to_owned(),
            };
            return Failure::new(format!("the certificate of {url} is not trusted: {text}"), hint);
        }
        if error.is_timeout() {
            return Failure::new(
                format!("{url} did not answer in time"),
                "check whether pgward is well, then try again",
            );
        }
        Failure::new(
            format!("cannot reach {url}: {text}"),
            "check that `pgward serve` runs there, and --url or PGWARD_URL",
        )
    }
}

async fn read<T: DeserializeOwned>(mut response: Response) -> Result<T, Failure> {
    let mut body = Vec::new();
    let broken = |error: reqwest::Error| Failure::new(causes(&error), "try again");
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&body)?)
}

fn too_long() -> Failure {
    Failure::new("the answer is too long", "ask for less")
}

/// An error's innermost cause: reqwest's own words name only the URL, which the caller says already.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}

/// Whether TLS failed by the certificate.
fn is_certificate(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        // An `io::Error` names as its source not what it wraps but that one's source, and may wrap another.
        source = match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    false
}

/// Whether the URL names this very host, so that no proxy stands between.
fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of one answer, or of one line of it.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known() {
        for (url, expected) in [
            ("https://127.0.0.1:6443", true),
            ("https://127.3.2.1", true),
            ("https://[::1]:6443", true),
            ("https://localhost:6443", true),
            ("https://localhost.example.org", false),
            ("https://10.0.0.1:6443", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
