//! A provider's keys: fetched when they are first needed, again when they are old or a token names one that is not among
//! them, and never often.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use tokio::sync::Mutex;

use super::Algorithm;
use super::fetch::{FetchError, Fetcher, configuration_url};
use super::token::Head;

/// A key that was withdrawn is good for so long at most.
const REFRESH: Duration = Duration::from_secs(600);
/// As long as the provider does not answer, the keys that it gave last are good, and then no more.
const STALE: Duration = Duration::from_secs(6 * 3600);
/// Between two fetches, whatever tokens name.
const PAUSE: Duration = Duration::from_secs(10);
/// A provider has a handful.
const MAX_KEYS: usize = 64;

#[derive(Debug)]
pub(super) struct Keys {
    fetcher: Fetcher,
    issuer: String,
    jwks_url: Option<String>,
    /// Held while they are fetched, so that concurrent logins share one answer.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Arc<[Jwk]>,
    fetched_at: Option<Instant>,
    /// Also where it failed.
    asked_at: Option<Instant>,
}

#[derive(serde::Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

#[derive(serde::Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    pub(super) fn new(fetcher: Fetcher, issuer: String, jwks_url: Option<String>) -> Self {
        Self { fetcher, issuer, jwks_url, known: Mutex::default() }
    }

    /// The key that a token was signed by; `None` where the provider has no such.
    pub(super) async fn find(&self, head: &Head) -> Result<Option<Jwk>, FetchError> {
        let mut known = self.known.lock().await;
        let found = choose(&known.keys, head);
        let is_fresh = known.fetched_at.is_some_and(|at| at.elapsed() < REFRESH);
        if is_fresh && found.is_some() {
            return Ok(found);
        }
        let fetched = if known.asked_at.is_some_and(|at| at.elapsed() < PAUSE) {
            Err(FetchError::TooSoon(self.issuer.clone()))
        } else {
            known.asked_at = Some(Instant::now());
            self.fetch().await
        };
        match fetched {
            Ok(keys) => {
                known.fetched_at = Some(Instant::now());
                known.keys = keys;
                Ok(choose(&known.keys, head))
            }
            // What is known and fresh is all that there is: the token names a key that does not exist.
            Err(FetchError::TooSoon(_)) if is_fresh => Ok(None),
            Err(error) => {
                tracing::warn!(%error, "the keys of an identity provider cannot be fetched");
                let is_usable = known.fetched_at.is_some_and(|at| at.elapsed() < STALE);
                if is_usable && found.is_some() { Ok(found) } else { Err(error) }
            }
        }
    }

    async fn fetch(&self) -> Result<Arc<[Jwk]>, FetchError> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => {
                let at = configuration_url(&self.issuer);
                let configuration: Configuration = self.fetcher.json(&at).await?;
                // What another issuer publishes there speaks for that one.
                if configuration.issuer != self.issuer {
                    return Err(FetchError::Failed(at, format!("is the configuration of {}", configuration.issuer)));
                }
                configuration.jwks_uri
            }
        };
        let published: Published = self.fetcher.json(&url).await?;
        if published.keys.len() > MAX_KEYS {
            return Err(FetchError::Failed(url, "too many keys".to_owned()));
        }
        Ok(known(published).into())
    }
}

/// The keys of a JWKS; `None` where the text is none.
pub(super) fn read(text: &[u8]) -> Option<Vec<Jwk>> {
    serde_json::from_slice(text).ok().filter(|published: &Published| published.keys.len() <= MAX_KEYS).map(known)
}

/// Kinds of keys that are not known here are for others.
fn known(published: Published) -> Vec<Jwk> {
    published.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect()
}

/// The key by its name; where the token names none, the only one that it could be.
pub(super) fn choose(keys: &[Jwk], head: &Head) -> Option<Jwk> {
    let mut fitting = keys.iter().filter(|key| fits(key, head.algorithm));
    match &head.kid {
        Some(kid) => fitting.find(|key| key.common.key_id.as_ref() == Some(kid)).cloned(),
        None => {
            let first = fitting.next()?;
            fitting.next().is_none().then(|| first.clone())
        }
    }
}

/// Whether a key is for signatures of this kind: what it says of itself, and what it is.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_for_signatures = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let expected = match algorithm {
        Algorithm::Rs256 => KeyAlgorithm::RS256,
        Algorithm::Es256 => KeyAlgorithm::ES256,
        Algorithm::EdDsa => KeyAlgorithm::EdDSA,
    };
    let is_of_its_kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::Rs256) => true,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::Es256) => curve.curve == EllipticCurve::P256,
        (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDsa) => pair.curve == EllipticCurve::Ed25519,
        (_, Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa) => false,
    };
    is_for_signatures && is_of_its_kind && key.common.key_algorithm.is_none_or(|named| named == expected)
}
