//! HTTP as webhooks and collectors are spoken to: no redirects, no proxies of the environment, checked addresses, bounded
//! answers, and statuses turned into what to do next.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use super::address::{Checked, check};
use super::receiver::DeliveryError;
use super::settings::Pem;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From the first byte of a request to the last of its answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// An answer that is read is read no further.
const MAX_ANSWER: usize = 64 * 1024;

/// A client and the one place that it speaks to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub client: Client,
    pub url: Url,
}

impl Target {
    pub(super) fn new(url: &str, ca: Option<&Pem>, allow_private: bool) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("the URL cannot be read: {error}"))?;
        let literal = match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
            None => return Err("the URL names no host".to_owned()),
            Some(host) => host.parse::<IpAddr>().ok(),
        };
        // Names are checked when they are resolved; an address is not resolved.
        if let Some(address) = literal {
            check(address, allow_private).map_err(|error| error.to_string())?;
        }
        let mut builder = Client::builder()
            .https_only(url.scheme() == "https")
            .user_agent(concat!("pgward/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Checked { allow_private }))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1);
        if let Some(ca) = ca {
            let certificates = reqwest::Certificate::from_pem_bundle(ca.bytes())
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| format!("{} holds no certificate in PEM format", ca.path.display()))?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| cause(&error))?;
        Ok(Self { client, url })
    }

    pub(super) fn post(&self, body: Vec<u8>) -> RequestBuilder {
        self.client.post(self.url.clone()).body(body)
    }
}

/// Sends the request. An answer that is not of the 200s says what to do.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, DeliveryError> {
    let response = request.send().await.map_err(|error| DeliveryError::Failed(cause(&error)))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let what = format!("the receiver answered {status}");
    Err(match status {
        StatusCode::GONE => DeliveryError::Gone(what),
        StatusCode::PAYLOAD_TOO_LARGE => DeliveryError::TooLarge(what),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => DeliveryError::Refused(what),
        _ => match retry_after(&response) {
            Some(pause) => DeliveryError::Later(pause, what),
            None => DeliveryError::Failed(what),
        },
    })
}

/// The answer's body, as far as it is looked at.
pub(super) async fn body(mut response: Response) -> Result<Vec<u8>, DeliveryError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| DeliveryError::Failed(cause(&error)))? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(DeliveryError::Failed("the receiver's answer is too long".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Seconds, or a date.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date - jiff::Timestamp::now()).ok()
}

/// The innermost cause: reqwest's own words name the URL, which may hold a secret.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if std::ptr::addr_eq(innermost, error) {
        return if error.is_timeout() { "it took too long" } else { "the request failed" }.to_owned();
    }
    innermost.to_string()
}
