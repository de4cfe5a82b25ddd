//! Browsers that were sent to the identity provider and are not back yet: each is known by a cookie of its own, comes back once,
//! and soon.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};

use super::browser::cookie;
use super::limiter::host_of;
use super::provider::Departure;
use crate::access::{NoRandomness, TokenHash, generate_token};

/// Sent along when the browser comes back from another site, which a cookie of `SameSite=Strict` is not.
const COOKIE: &str = "__Host-pgward-login";
const FORGET: HeaderValue =
    HeaderValue::from_static("__Host-pgward-login=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
/// Time to log in there.
const LIFETIME: Duration = Duration::from_secs(600);
/// On their way at once, and from one host: the oldest of that host go.
const MAX_AWAY: usize = 4096;
const MAX_OF_ONE: usize = 64;

/// All that are on their way. A restart forgets them.
#[derive(Debug, Default)]
pub struct Departures {
    away: Mutex<HashMap<[u8; 32], Away>>,
}

/// One of them.
#[derive(Debug)]
pub struct Away {
    pub departure: Departure,
    /// Where it goes after that.
    pub landing: String,
    host: IpAddr,
    began: Instant,
}

impl Departures {
    /// Remembers one. Answers its cookie; `None` where too many are away.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn begin(
        &self,
        departure: Departure,
        landing: String,
        address: IpAddr,
        now: Instant,
    ) -> Result<Option<HeaderValue>, NoRandomness> {
        let (id, hash) = generate_token()?;
        let host = host_of(address);
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.retain(|_, one| now.duration_since(one.began) < LIFETIME);
        let of_host = || away.iter().filter(|(_, one)| one.host == host);
        if of_host().count() >= MAX_OF_ONE {
            let oldest = of_host().min_by_key(|(_, one)| one.began).map(|(id, _)| *id);
            oldest.map(|id| away.remove(&id));
        }
        if away.len() >= MAX_AWAY {
            return Ok(None);
        }
        away.insert(*hash.as_bytes(), Away { departure, landing, host, began: now });
        let seconds = LIFETIME.as_secs();
        let cookie = format!("{COOKIE}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax", id.expose());
        HeaderValue::from_str(&cookie).map(Some).map_err(|_| NoRandomness)
    }

    /// The one that a browser set out on. It is back, whatever it brings: it cannot come twice.
    pub fn end(&self, headers: &HeaderMap, now: Instant) -> Option<Away> {
        let id = TokenHash::of(cookie(headers, COOKIE)?);
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.remove(id.as_bytes()).filter(|one| now.duration_since(one.began) < LIFETIME)
    }

    /// What takes the cookie's place.
    pub fn forget() -> HeaderValue {
        FORGET
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::header;

    use super::*;
    use crate::access::Secret;

    fn departure(state: &str) -> Departure {
        let secret = || Secret::new("x");
        Departure { url: "https://idp".into(), state: Secret::new(state), nonce: secret(), verifier: secret() }
    }

    fn begin(departures: &Departures, state: &str, host: &str, now: Instant) -> Option<HeaderMap> {
        let cookie = departures.begin(departure(state), "/".into(), host.parse().unwrap(), now).unwrap()?;
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        Some(HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(pair).unwrap())]))
    }

    #[test]
    fn a_browser_comes_back_once_and_soon() {
        let (departures, now) = (Departures::default(), Instant::now());
        let one = begin(&departures, "one", "10.0.0.1", now).unwrap();
        let other = begin(&departures, "other", "10.0.0.1", now).unwrap();
        assert_eq!(departures.end(&one, now).unwrap().departure.state.expose(), "one");
        assert!(departures.end(&one, now).is_none(), "it is back already");
        assert!(departures.end(&HeaderMap::new(), now).is_none());
        assert!(departures.end(&other, now + LIFETIME).is_none(), "too late");
    }

    #[test]
    fn one_host_does_not_push_others_out() {
        let (departures, now) = (Departures::default(), Instant::now());
        let other = begin(&departures, "other", "10.0.0.2", now).unwrap();
        for _ in 0..MAX_AWAY * 2 {
            begin(&departures, "x", "10.0.0.1", now).unwrap();
        }
        assert!(departures.away.lock().unwrap().len() <= MAX_OF_ONE + 1);
        assert!(departures.end(&other, now).is_some());
    }
}
