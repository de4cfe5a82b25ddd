//! Calls of another replica's control port. Whom one speaks to is known by the certificate that it has put down in the store,
//! and who speaks by a token whose hash is there: both are of this start alone, and nothing has to be configured.

use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::future::join_all;
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};

use super::{HandedCancel, Replicas};
use crate::access::{Principal, Secret};
use crate::store::Peer;

/// The header that says on whose behalf a replica calls: a principal, as JSON.
pub const ON_BEHALF: &str = "pgward-on-behalf";
/// For what is answered from memory.
const QUICK: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(2);
/// For what is as long as a journal.
const SLOW: Duration = Duration::from_secs(300);
/// Answers are no longer than this.
const MAX_ANSWER: usize = 256 << 20;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("replica \"{replica}\" does not answer: {said}")]
    Silent { replica: String, said: String },
    #[error("replica \"{replica}\" refuses: {said}")]
    Refused { replica: String, status: u16, said: String },
}

/// What a replica said.
#[derive(Clone, Debug)]
pub struct Reply {
    pub replica: String,
    pub body: Bytes,
    /// Whether it left something out.
    pub more: bool,
}

/// Clients, one for each certificate.
#[derive(Debug)]
pub(super) struct Calls {
    token: Secret,
    clients: DashMap<String, reqwest::Client>,
}

impl Calls {
    pub(super) fn new(token: Secret) -> Self {
        Self { token, clients: DashMap::new() }
    }

    fn client(&self, certificate: &str) -> Result<reqwest::Client, String> {
        if let Some(client) = self.clients.get(certificate) {
            return Ok(client.clone());
        }
        let tls = crate::tls::client_config_pinned(certificate).map_err(|error| error.to_string())?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .user_agent(concat!("pgward/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .build();
        let client = client.map_err(|error| error.to_string())?;
        // Of replicas that have gone none is needed any more.
        if self.clients.len() >= MAX_CLIENTS {
            self.clients.clear();
        }
        self.clients.insert(certificate.to_owned(), client.clone());
        Ok(client)
    }
}

const MAX_CLIENTS: usize = 2_048;

/// One call, whomever it is of.
struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: &'a [(String, String)],
    on_behalf: Option<&'a Principal>,
    body: Option<&'a serde_json::Value>,
    within: Duration,
}

impl Replicas {
    /// Asks all others at the same time; each has what it says, or why it says nothing.
    pub async fn ask_all(
        &self,
        on_behalf: &Principal,
        path: &[&str],
        query: &[(String, String)],
        slowly: bool,
    ) -> Vec<Result<Reply, CallError>> {
        let within = if slowly { SLOW } else { QUICK };
        self.call_all(&Call { method: Method::GET, path, query, on_behalf: Some(on_behalf), body: None, within }).await
    }

    /// Has all others do something, at the same time.
    pub async fn tell_all(
        &self,
        on_behalf: &Principal,
        path: &[&str],
        body: &serde_json::Value,
    ) -> Vec<Result<Reply, CallError>> {
        let (on_behalf, body) = (Some(on_behalf), Some(body));
        self.call_all(&Call { method: Method::POST, path, query: &[], on_behalf, body, within: QUICK }).await
    }

    /// Hands a cancel request to the replica whose it is.
    ///
    /// # Errors
    /// Where that does not take it.
    pub async fn hand_cancel(&self, peer: &Peer, cancel: &HandedCancel) -> Result<(), CallError> {
        let body = serde_json::to_value(cancel).unwrap_or_default();
        let path = &["peers", "cancel"];
        let call = Call { method: Method::POST, path, query: &[], on_behalf: None, body: Some(&body), within: QUICK };
        self.call(peer, &call).await.map(drop)
    }

    async fn call_all(&self, call: &Call<'_>) -> Vec<Result<Reply, CallError>> {
        let peers = self.peers();
        let mut said = join_all(peers.iter().map(|peer| self.call(peer, call))).await;
        // Those that are not even asked: nobody takes an answer without them for whole.
        let absent = self.absent().into_iter();
        said.extend(
            absent
                .map(|replica| Err(CallError::Silent { replica, said: "it was not seen within its lease".to_owned() })),
        );
        said
    }

    async fn call(&self, peer: &Peer, call: &Call<'_>) -> Result<Reply, CallError> {
        let replica = peer.replica.name.clone();
        let (status, more, body) = self.try_call(peer, call).await.map_err(|said| {
            self.metrics.calls_failed.inc();
            CallError::Silent { replica: replica.clone(), said }
        })?;
        if status.is_success() {
            return Ok(Reply { replica, body, more });
        }
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = problem.get("detail").and_then(|detail| detail.as_str()).unwrap_or("without a word").to_owned();
        Err(CallError::Refused { replica, status: status.as_u16(), said })
    }

    async fn try_call(&self, peer: &Peer, call: &Call<'_>) -> Result<(StatusCode, bool, Bytes), String> {
        let client = self.calls.client(&peer.replica.certificate)?;
        let mut url = reqwest::Url::parse(&format!("https://{}/", peer.replica.address)).map_err(|e| causes(&e))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1").extend(call.path);
        }
        let mut request = client.request(call.method.clone(), url).query(call.query).timeout(call.within);
        request = request.bearer_auth(self.calls.token.expose());
        if let Some(principal) = call.on_behalf {
            // As bytes: names are not all ASCII.
            let principal = serde_json::to_vec(principal).map_err(|error| causes(&error))?;
            let principal = HeaderValue::from_bytes(&principal).map_err(|error| causes(&error))?;
            request = request.header(ON_BEHALF, principal);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| causes(&error.without_url()))?;
        let (status, more) = (response.status(), response.headers().contains_key(MORE));
        let mut whole = bytes::BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| causes(&error.without_url()))? {
            if whole.len() + chunk.len() > MAX_ANSWER {
                return Err("its answer is too long".to_owned());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok((status, more, whole.freeze()))
    }
}

/// As the control port's searches have it.
const MORE: &str = "pgward-more";

/// An error and what led to it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        said = format!("{said}: {cause}");
        next = cause.source();
    }
    said
}
