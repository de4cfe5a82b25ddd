//! Sessions of browsers: a cookie that no script can read stands for what somebody showed, and what changes something needs, beside
//! it, a word that only pages of this origin know.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use subtle::ConstantTimeEq as _;

use super::problem::Problem;
use super::proof::Proof;
use super::provider::Offer;
use crate::access::{NoRandomness, Secret, TokenHash, generate_token};

/// `__Host-`: for this host alone, over TLS alone, for all paths.
const COOKIE: &str = "__Host-pgward";
/// The header that has to repeat [`BrowserSession::csrf`].
const CSRF: &str = "x-csrf-token";
/// Sessions in all, and of one person by the same means: the oldest go.
const MAX_SESSIONS: usize = 10_000;
const MAX_OF_ONE: usize = 16;

/// All sessions of browsers. A restart ends them.
#[derive(Debug, Default)]
pub struct Browsers {
    sessions: Mutex<HashMap<[u8; 32], BrowserSession>>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct BrowserSession {
    /// What it stands for; it ends with it.
    pub proof: Proof,
    pub csrf: Secret,
    id: [u8; 32],
    lasts: Lasts,
    began: Instant,
    used: Instant,
}

/// How long a session is good in all, and without a call.
#[derive(Clone, Copy, Debug)]
pub struct Lasts {
    session: Duration,
    idle: Duration,
}

impl Default for Lasts {
    fn default() -> Self {
        Self { session: Duration::from_secs(8 * 3600), idle: Duration::from_secs(30 * 60) }
    }
}

impl From<&Offer> for Lasts {
    fn from(offer: &Offer) -> Self {
        Self { session: offer.session, idle: offer.idle }
    }
}

impl Browsers {
    /// Begins a session on what was shown to be good. Answers the cookie.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn begin(&self, proof: Proof, lasts: Lasts, now: Instant) -> Result<HeaderValue, NoRandomness> {
        let (id, hash) = generate_token()?;
        let (csrf, _) = generate_token()?;
        let mut sessions = self.sessions();
        sessions.retain(|_, session| session.is_good(now));
        while let Some(oldest) = surplus(&sessions, &proof) {
            sessions.remove(&oldest);
        }
        let id_hash = *hash.as_bytes();
        sessions.insert(id_hash, BrowserSession { proof, csrf, id: id_hash, lasts, began: now, used: now });
        let seconds = lasts.session.as_secs();
        let cookie = format!("{COOKIE}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict", id.expose());
        HeaderValue::from_str(&cookie).map_err(|_| NoRandomness)
    }

    /// The session that a call belongs to.
    pub fn find(&self, headers: &HeaderMap, now: Instant) -> Option<BrowserSession> {
        let id = TokenHash::of(cookie(headers, COOKIE)?);
        let mut sessions = self.sessions();
        let session = sessions.get_mut(id.as_bytes())?;
        if !session.is_good(now) {
            sessions.remove(id.as_bytes());
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    /// Whether a session that was found before goes on.
    pub fn goes_on(&self, session: &BrowserSession, now: Instant) -> bool {
        self.sessions().get(&session.id).is_some_and(|session| session.is_good(now))
    }

    /// Ends the session that a call belongs to. Answers the cookie that takes its place.
    pub fn end(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(id) = cookie(headers, COOKIE) {
            self.sessions().remove(TokenHash::of(id).as_bytes());
        }
        HeaderValue::from_static("__Host-pgward=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict")
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<[u8; 32], BrowserSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BrowserSession {
    fn is_good(&self, now: Instant) -> bool {
        now.duration_since(self.began) < self.lasts.session && now.duration_since(self.used) < self.lasts.idle
    }

    /// How long it is good yet, if it is used.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.lasts.session.saturating_sub(now.duration_since(self.began))
    }

    /// Whether a call that changes something comes from one of our own pages.
    ///
    /// # Errors
    /// 403
    pub fn check_own(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
        same_origin(headers, uri)?;
        let given = headers.get(CSRF).map(HeaderValue::as_bytes).unwrap_or_default();
        if given.ct_eq(self.csrf.expose().as_bytes()).into() {
            return Ok(());
        }
        Err(Problem::forbidden("the call has not the session's X-CSRF-Token", "take it from `csrf` of /v1/whoami"))
    }
}

/// Whether a browser says that the call comes from a page of this very origin.
///
/// # Errors
/// 403
pub fn same_origin(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            // HTTP/2 says it in the address, HTTP/1.1 in a header.
            let host = uri.authority().map(Authority::as_str).or_else(|| text("host"));
            host.is_some_and(|host| origin == format!("https://{host}"))
        }
        // Not a browser's: it would not have sent the cookie by itself.
        (None, None) => false,
    };
    if is_own {
        return Ok(());
    }
    Err(Problem::forbidden("the call comes from another site", "use the pages of this control port"))
}

/// The session to go when another one begins on this proof.
fn surplus(sessions: &HashMap<[u8; 32], BrowserSession>, proof: &Proof) -> Option<[u8; 32]> {
    let own = || sessions.iter().filter(|(_, session)| session.proof.is_same(proof));
    let oldest = |id: ([u8; 32], Instant)| id.0;
    let age = |(id, session): (&[u8; 32], &BrowserSession)| (*id, session.began);
    if own().count() >= MAX_OF_ONE {
        return own().map(age).min_by_key(|(_, began)| *began).map(oldest);
    }
    let all = sessions.iter().map(age);
    (sessions.len() >= MAX_SESSIONS).then(|| all.min_by_key(|(_, began)| *began).map(oldest)).flatten()
}

/// What a cookie holds; two of them are as good as none.
pub fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ids = pairs.filter(|(name, _)| *name == wanted).map(|(_, id)| id);
    ids.next().filter(|id| ids.next().is_none() && id.len() < 256)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        let pair = cookie.split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(pair).unwrap())])
    }

    #[test]
    fn a_session_ends_by_idleness_by_age_and_by_logging_out() {
        let (browsers, now) = (Browsers::default(), Instant::now());
        let proof = Proof::Token(TokenHash::of("pgw_x"));
        let begin = || browsers.begin(proof.clone(), Lasts::default(), now);
        let idle = Lasts::default().idle;
        let cookie = begin().unwrap().to_str().unwrap().to_owned();
        assert!(cookie.starts_with("__Host-pgward=pgw_") && cookie.ends_with("Secure; HttpOnly; SameSite=Strict"));
        let call = headers(&cookie);
        let session = browsers.find(&call, now).unwrap();
        assert!(session.proof == proof && browsers.goes_on(&session, now));
        assert!(browsers.find(&headers("__Host-pgward=pgw_other"), now).is_none());
        assert!(!browsers.goes_on(&session, now + idle) && browsers.find(&call, now + idle).is_none(), "idle too long");
        let call = headers(begin().unwrap().to_str().unwrap());
        for minutes in 1..=24 {
            let is_good = browsers.find(&call, now + Duration::from_secs(minutes * 20 * 60)).is_some();
            assert_eq!(is_good, minutes < 24, "{minutes}");
        }
        let call = headers(begin().unwrap().to_str().unwrap());
        browsers.end(&call);
        assert!(browsers.find(&call, now).is_none());
    }

    #[test]
    fn one_token_has_a_few_sessions() {
        let (browsers, now) = (Browsers::default(), Instant::now());
        let begin = |token: &str, after: u64| {
            let at = now + Duration::from_secs(after);
            let proof = Proof::Token(TokenHash::of(token));
            headers(browsers.begin(proof, Lasts::default(), at).unwrap().to_str().unwrap())
        };
        let (first, other) = (begin("a", 0), begin("b", 0));
        for after in 1..=16 {
            begin("a", after);
        }
        let later = now + Duration::from_secs(20);
        assert!(browsers.find(&first, later).is_none(), "the oldest has gone");
        assert!(browsers.find(&other, later).is_some(), "of another it has not");
    }

    #[test]
    fn only_pages_of_the_same_origin_change_things() {
        let check = |pairs: &[(&'static str, &str)], expected: bool| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
            assert_eq!(same_origin(&HeaderMap::from_iter(pairs), &Uri::from_static("/login")).is_ok(), expected);
        };
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site"), ("origin", "https://h"), ("host", "h")], false);
        check(&[("origin", "https://h:6443"), ("host", "h:6443")], true);
        check(&[("origin", "http://h:6443"), ("host", "h:6443")], false);
        check(&[("origin", "https://evil"), ("host", "h")], false);
        check(&[], false);
        let pairs = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("https://h:6443"))]);
        assert!(same_origin(&pairs, &Uri::from_static("https://h:6443/login")).is_ok());
        assert!(same_origin(&pairs, &Uri::from_static("https://other:6443/login")).is_err());
    }
}
