//! What other replicas know: asked on the caller's behalf, and put together with what is known here.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::api::{JournalVerification, MISSING_HEADER, Verification};
use super::auth::Caller;
use super::server::Shared;
use crate::access::Principal;
use crate::replicas::{CallError, JournalState as Published, ON_BEHALF, Replicas, Reply};
use crate::store::StoreError;

/// On whose behalf another replica may call for what: to see, to end a session, to release a hold. Nobody decides on access so.
pub(super) fn may_be_on_behalf(method: &Method, path: &str) -> bool {
    let acts = ["/v1/sessions/", "/v1/unusual/held/"];
    match *method {
        Method::GET => true,
        Method::POST => acts.iter().any(|act| path.starts_with(act)),
        _ => false,
    }
}

/// The principal on whose behalf a call is.
pub(super) fn on_behalf(headers: &HeaderMap) -> Option<Principal> {
    serde_json::from_slice(headers.get(ON_BEHALF)?.as_bytes()).ok()
}

/// What the others said, and who of them said nothing.
#[derive(Debug)]
pub struct Others<T> {
    pub said: Vec<(String, T)>,
    pub missing: Vec<String>,
}

impl<T> Others<T> {
    fn none() -> Self {
        Self { said: Vec::new(), missing: Vec::new() }
    }

    /// Names who said nothing, for whoever takes the answer for whole.
    pub fn tell_missing(&self, headers: &mut HeaderMap) {
        if let Ok(names) = HeaderValue::from_str(&self.missing.join(","))
            && !self.missing.is_empty()
        {
            headers.insert(MISSING_HEADER, names);
        }
    }
}

impl Shared {
    /// The others, for whoever asks for all there is; not for another replica, which asks each itself.
    pub fn others(&self, caller: &Caller) -> Option<&Arc<Replicas>> {
        self.replicas.as_ref().filter(|_| !caller.is_on_behalf())
    }

    /// What each of the others answers as JSON.
    pub async fn ask_others<T: DeserializeOwned>(&self, caller: &Caller, path: &[&str], slowly: bool) -> Others<T> {
        self.ask_others_with(caller, path, &[], slowly, |reply| serde_json::from_slice(&reply.body).ok()).await
    }

    /// The same with a query, and read in some way.
    pub async fn ask_others_with<T>(
        &self,
        caller: &Caller,
        path: &[&str],
        query: &[(String, String)],
        slowly: bool,
        read: impl Fn(&Reply) -> Option<T>,
    ) -> Others<T> {
        let mut others = Others::none();
        let Some(replicas) = self.others(caller) else { return others };
        for answer in replicas.ask_all(caller.principal(), path, query, slowly).await {
            match answer {
                Ok(reply) => match read(&reply) {
                    Some(said) => others.said.push((reply.replica, said)),
                    None => others.missing.push(reply.replica),
                },
                Err(CallError::Refused { status: 404, .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, "another replica could not be asked");
                    let (CallError::Silent { replica, .. } | CallError::Refused { replica, .. }) = error;
                    others.missing.push(replica);
                }
            }
        }
        others
    }

    /// Has whichever of the others can do something.
    pub async fn tell_others<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        path: &[&str],
        body: &serde_json::Value,
    ) -> Others<T> {
        let mut others = Others::none();
        let Some(replicas) = self.others(caller) else { return others };
        for answer in replicas.tell_all(caller.principal(), path, body).await {
            match answer {
                Ok(reply) => {
                    let said = serde_json::from_slice(&reply.body).ok();
                    others.said.extend(said.map(|said| (reply.replica, said)));
                }
                Err(CallError::Refused { status: 404, .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, "another replica could not be told");
                    let (CallError::Silent { replica, .. } | CallError::Refused { replica, .. }) = error;
                    others.missing.push(replica);
                }
            }
        }
        others
    }

    /// What all journals have published: to be asked before any of them is read, as they go on.
    pub async fn published_journals(&self, caller: &Caller) -> Option<Result<Vec<Published>, StoreError>> {
        match self.others(caller) {
            Some(replicas) => Some(replicas.journals().await),
            None => None,
        }
    }

    /// What is known of all journals: each as its own replica proves it, held against what it had published before.
    pub async fn all_journals(
        &self,
        caller: &Caller,
        own: &Verification,
        published: Option<Result<Vec<Published>, StoreError>>,
    ) -> Vec<JournalVerification> {
        let (Some(replicas), Some(published)) = (self.others(caller), published) else { return Vec::new() };
        let known = match published {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "the store does not say how far the journals had come");
                return vec![JournalVerification::missing(
                    String::new(),
                    String::new(),
                    0,
                    format!("the store does not say which journals there are: {error}"),
                )];
            }
        };
        let peers = replicas.peers();
        let verified = self.ask_others::<Verification>(caller, &["audit", "verify"], true).await;
        let mut all = Vec::new();
        let here = (replicas.own_journal(), replicas.name(), Some(own.clone()));
        let there = peers.into_iter().map(|peer| {
            let of_it = verified.said.iter().find(|(name, _)| *name == peer.replica.name);
            (peer.replica.journal, peer.replica.name, of_it.map(|(_, report)| report.clone()))
        });
        for (journal, replica, report) in std::iter::once(here).chain(there) {
            let published = known.iter().filter(|one| one.published.journal == journal);
            let published = published.map(|one| one.published.size).max().unwrap_or_default();
            all.push(match report {
                Some(report) => JournalVerification::of(journal, replica, &report, published),
                None => {
                    JournalVerification::missing(journal, replica, published, "its replica does not answer".to_owned())
                }
            });
        }
        for state in known.into_iter().filter(|state| !state.is_there) {
            if all.iter().any(|one| one.journal == state.published.journal) {
                continue;
            }
            let ago = state.published.published_ago.as_secs();
            let why = format!("its replica is not there; it published this {ago} seconds ago");
            let published = state.published;
            all.push(JournalVerification::missing(published.journal, published.replica, published.size, why));
        }
        all
    }
}

/// A record's line, with the replica whose journal it stands in.
#[must_use]
pub fn of_replica(line: &[u8], replica: &str) -> Vec<u8> {
    let mut line = line.to_vec();
    if line.pop() == Some(b'}') {
        let name = serde_json::Value::from(replica).to_string();
        line.extend_from_slice(b",\"replica\":");
        line.extend_from_slice(name.as_bytes());
        line.push(b'}');
    }
    line
}

/// When a record was made.
#[derive(serde::Deserialize)]
struct Timed {
    time: Timestamp,
}

/// Lines of records with their instants.
pub type TimedLines = Vec<(Timestamp, Vec<u8>)>;

/// The lines of an answer.
#[must_use]
pub fn lines(body: &[u8], replica: &str) -> Option<TimedLines> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Some((serde_json::from_slice::<Timed>(line).ok()?.time, of_replica(line, replica)))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn replicas_decide_on_nothing_for_others() {
        for (method, path, may) in [
            (Method::GET, "/v1/sessions", true),
            (Method::GET, "/v1/audit/search", true),
            (Method::POST, "/v1/sessions/se_1/kill", true),
            (Method::POST, "/v1/unusual/held/alice/release", true),
            (Method::POST, "/v1/requests", false),
            (Method::POST, "/v1/requests/req_1/approve", false),
            (Method::POST, "/v1/grants/gr_1/revoke", false),
            (Method::POST, "/v1/credentials", false),
            (Method::DELETE, "/v1/sessions/se_1/kill", false),
        ] {
            assert_eq!(may_be_on_behalf(&method, path), may, "{method} {path}");
        }
    }

    #[test]
    fn a_record_says_whose_it_is_behind_all_that_it_says() {
        assert_eq!(of_replica(br#"{"seq":1}"#, "a\"b"), br#"{"seq":1,"replica":"a\"b"}"#);
        let body = b"{\"time\":\"2026-03-01T12:00:00Z\"}\n{\"time\":\"2026-03-01T12:00:01Z\"}\n";
        assert_eq!(lines(body, "b").unwrap().len(), 2);
        assert!(lines(b"no record\n", "b").is_none());
    }
}
