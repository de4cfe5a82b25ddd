//! One call of a witness: TLS with verified certificates, or the machine itself; redirects never followed; answers bounded.

use std::error::Error as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Response, StatusCode, Url};

use super::request::AddCheckpoint;
use crate::tlog::{Note, Signature, Verifier, parse_size};

/// Why a witness cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("`{0}` is not the URL of a witness: https, or http to this machine itself")]
    Url(String),
    #[error("authority {}: {said}", path.display())]
    Authority { path: PathBuf, said: String },
    #[error("{0}")]
    Setup(String),
}

/// Calls one witness.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    address: Url,
    verifier: Verifier,
}

/// What a witness says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Verified.
    Cosigned(Signature),
    /// Its latest size is this.
    Conflict(u64),
    /// The proof does not lead from what it knows to what it was shown.
    Inconsistent,
    /// It does not do what it is for: anything else it says.
    Refused(String),
    /// It cannot be reached, or says nothing in time.
    Silent(String),
}

impl Client {
    pub(super) fn new(url: &str, verifier: Verifier, ca: Option<&Path>) -> Result<Self, ClientError> {
        let address = address(url)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("pgward/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT);
        if let Some(ca) = ca {
            let problem = |said: String| ClientError::Authority { path: ca.to_owned(), said };
            let pem = std::fs::read(ca).map_err(|error| problem(error.to_string()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| problem(causes(&error)))?;
            if authorities.is_empty() {
                return Err(problem("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(authorities);
        }
        if is_this_machine(&address) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ClientError::Setup(causes(&error)))?;
        Ok(Self { http, address, verifier })
    }

    /// Submits a checkpoint.
    pub(super) async fn add(&self, submitted: &AddCheckpoint) -> Reply {
        let call = self.http.post(self.address.clone()).body(submitted.to_body()).send().await;
        let response = match call {
            Ok(response) => response,
            Err(error) => return Reply::Silent(causes(&error)),
        };
        let status = response.status();
        let is_size =
            response.headers().get(reqwest::header::CONTENT_TYPE).is_some_and(|kind| kind == "text/x.tlog.size");
        let text = match bounded(response).await {
            Ok(text) => text,
            Err(what) => return Reply::Silent(what),
        };
        match status {
            StatusCode::OK => match cosignature(&submitted.note, &text, &self.verifier) {
                Ok(cosignature) => Reply::Cosigned(cosignature),
                Err(what) => Reply::Refused(format!("its answer is no cosignature: {what}")),
            },
            StatusCode::CONFLICT if is_size => match text.strip_suffix('\n').and_then(parse_size) {
                Some(size) => Reply::Conflict(size),
                None => Reply::Refused("its answer is no size".to_owned()),
            },
            StatusCode::UNPROCESSABLE_ENTITY => Reply::Inconsistent,
            other if other.is_server_error() => Reply::Silent(format!("{other}")),
            other => Reply::Refused(format!("{other}: {}", first_line(&text))),
        }
    }
}

/// The witness's own line among those that it answered, where it holds.
fn cosignature(note: &Note, answer: &str, verifier: &Verifier) -> Result<Signature, String> {
    let lines = Note::parse_lines(answer).map_err(|error| error.to_string())?;
    let own = lines.into_iter().find(|line| line.is_by(verifier)).ok_or("it is by another key")?;
    let mut cosigned = note.clone();
    cosigned.replace_signature(own.clone()).map_err(|error| error.to_string())?;
    cosigned.cosigned_at(verifier).map_err(|error| error.to_string())?;
    Ok(own)
}

/// Whether a witness can be called there: over https, or in the clear on this machine itself; without a user, a query or a
/// fragment.
///
/// # Errors
/// Where it cannot.
pub fn check_url(url: &str) -> Result<(), ClientError> {
    address(url).map(|_| ())
}

/// `<url>/add-checkpoint`
fn address(url: &str) -> Result<Url, ClientError> {
    let wrong = || ClientError::Url(url.to_owned());
    let parsed = Url::parse(&format!("{}/add-checkpoint", url.trim_end_matches('/'))).map_err(|_| wrong())?;
    let safe = parsed.scheme() == "https" || (parsed.scheme() == "http" && is_this_machine(&parsed));
    let bare = parsed.username().is_empty() && parsed.password().is_none() && parsed.query().is_none();
    if safe && bare && parsed.fragment().is_none() { Ok(parsed) } else { Err(wrong()) }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

async fn bounded(mut response: Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| causes(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            return Err("its answer is too long".to_owned());
        }
    }
    String::from_utf8(bytes).map_err(|_| "its answer is not text".to_owned())
}

/// What a stranger says, short and in characters that print.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
}

fn causes(error: &reqwest::Error) -> String {
    // Without the URL: the configuration has it.
    let mut said = String::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        said = next.to_string();
        cause = next.source();
    }
    if said.is_empty() { error.to_string() } else { said }
}

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 64 * 1024;
