//! What is sent and answered when somebody gets a token: random words of a login, the address that their browser goes to,
//! the answers. Pure.

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;

use super::FlowError;

/// A login that a browser was sent off to.
#[derive(Clone, PartialEq, Eq)]
pub struct Begun {
    /// Where it was sent.
    pub url: String,
    /// Comes back with it.
    pub state: String,
    /// Comes back within the ID token.
    pub nonce: String,
    /// Shows that whoever redeems the code began the login (RFC 7636).
    pub verifier: String,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

/// What the browser came back with.
#[derive(Clone, Default, serde::Deserialize)]
pub struct Returned {
    pub state: Option<String>,
    pub code: Option<String>,
    /// RFC 9207
    pub iss: Option<String>,
    pub error: Option<String>,
}

impl std::fmt::Debug for Returned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returned").field("iss", &self.iss).finish_non_exhaustive()
    }
}

/// What a provider gives in the end.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Tokens {
    pub id_token: String,
    pub refresh_token: Option<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// A login that somebody carries out in a browser elsewhere (RFC 8628).
#[derive(Clone, serde::Deserialize)]
pub struct Device {
    pub(super) device_code: String,
    /// What they type there.
    pub user_code: String,
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds between two questions.
    #[serde(default = "five")]
    pub interval: u64,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("verification_uri", &self.verification_uri).finish_non_exhaustive()
    }
}

fn five() -> u64 {
    5
}

impl Begun {
    /// # Errors
    /// Where the system gives no randomness.
    pub(super) fn new(mut at: Url, client_id: &str, redirect_url: &str, scope: &str) -> Result<Self, FlowError> {
        let (state, nonce, verifier) = (word()?, word()?, word()?);
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        at.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", redirect_url)
            .append_pair("scope", scope)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(Self { url: at.into(), state, nonce, verifier })
    }
}

/// 256 random bits in letters that every place takes.
fn word() -> Result<String, FlowError> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| FlowError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// When a JWT ends, as it says itself: nobody has verified it.
#[must_use]
pub fn expires_at(token: &str) -> Option<Timestamp> {
    Timestamp::from_second(claims(token)?.get("exp")?.as_i64()?).ok()
}

/// Whether a JWT is of the login with this nonce, as it says itself. For who has it from the token endpoint directly (OpenID
/// Connect Core, 3.1.3.7, 6) and will show it to somebody who verifies it.
#[must_use]
pub fn names_nonce(token: &str, nonce: &str) -> bool {
    claims(token).is_some_and(|claims| claims.get("nonce").and_then(Value::as_str) == Some(nonce))
}

fn claims(token: &str) -> Option<Value> {
    let body = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_login_says_everything_and_nothing_twice() {
        let at = Url::parse("https://idp.example/authorize?tenant=a%20b").unwrap();
        let begin = || Begun::new(at.clone(), "pg&ward", "https://h:1/login/callback", "openid profile").unwrap();
        let (one, other) = (begin(), begin());
        let url = Url::parse(&one.url).unwrap();
        let said: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        let told = |name: &str| said.get(name).map(String::as_str);
        assert_eq!((told("tenant"), told("client_id")), (Some("a b"), Some("pg&ward")));
        assert_eq!(told("redirect_uri"), Some("https://h:1/login/callback"));
        assert_eq!((told("state"), told("nonce")), (Some(one.state.as_str()), Some(one.nonce.as_str())));
        assert!(!one.url.contains(&one.verifier), "what is shown is its hash");
        // RFC 7636: 43 characters at least.
        assert!(one.verifier.len() >= 43);
        assert!(one.state != other.state && one.nonce != other.nonce && one.verifier != other.verifier);
        assert!(!format!("{one:?}").contains(&one.state));
    }

    #[test]
    fn what_a_token_says_itself_is_read() {
        let token = |text: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(text));
        assert_eq!(expires_at(&token(r#"{"exp": 1800000000}"#)), Timestamp::from_second(1_800_000_000).ok());
        for broken in ["", "a.b.c", &token("[]"), &token(r#"{"exp": "soon"}"#)] {
            assert_eq!(expires_at(broken), None);
        }
        assert!(names_nonce(&token(r#"{"nonce": "n"}"#), "n"));
        assert!(!names_nonce(&token(r#"{"nonce": "n"}"#), "m") && !names_nonce(&token("{}"), ""));
    }
}
