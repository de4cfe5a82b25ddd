//! What makes a token good: its signature, by one of a few algorithms; who made it, for whom, and until when; and whom it
//! names.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::{Algorithm, IssuerSettings, MAX_TOKEN};

/// Groups of one token, and bytes of a name.
const MAX_GROUPS: usize = 256;
const MAX_NAME: usize = 63;

/// Whom a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    pub principal: String,
    pub groups: Vec<String>,
}

/// Why a token is not good. For the journal: whoever sent it is told only that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("it is no JWT")]
    Malformed,
    #[error("it is signed by an algorithm that is not accepted")]
    Algorithm,
    #[error("it is of another kind")]
    Kind,
    #[error("its issuer has no such key")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is another issuer's")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is not good yet")]
    TooEarly,
    #[error("it is of another login")]
    Login,
    #[error("it names nobody")]
    Nobody,
}

/// What a token is shown for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose<'a> {
    /// To say who calls.
    Presented,
    /// To end a login: it has to be an ID token, of that very login.
    Login { nonce: &'a str },
}

/// What a token says before it is verified.
#[derive(Debug)]
pub(super) struct Head {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
}

/// Reads the header, as far as it decides which key there has to be.
pub(super) fn head(text: &str, settings: &IssuerSettings) -> Result<Head, Rejected> {
    if text.len() > MAX_TOKEN {
        return Err(Rejected::Malformed);
    }
    let header = jsonwebtoken::decode_header(text).map_err(|_| Rejected::Malformed)?;
    let algorithm = match header.alg {
        jsonwebtoken::Algorithm::RS256 => Algorithm::Rs256,
        jsonwebtoken::Algorithm::ES256 => Algorithm::Es256,
        jsonwebtoken::Algorithm::EdDSA => Algorithm::EdDsa,
        _ => return Err(Rejected::Algorithm),
    };
    if !settings.algorithms.contains(&algorithm) {
        return Err(Rejected::Algorithm);
    }
    // An ID token or an access token; not a logout token, a proof of possession or whatever else the key signs.
    let kind = header.typ.as_deref().map(|kind| kind.trim_start_matches("application/").to_ascii_lowercase());
    if !matches!(kind.as_deref(), None | Some("jwt" | "at+jwt")) {
        return Err(Rejected::Kind);
    }
    // What must be understood, and is not here.
    if header.crit.is_some() {
        return Err(Rejected::Kind);
    }
    Ok(Head { algorithm, kid: header.kid })
}

/// Whom the token names, if it is good at `now`.
pub(super) fn verify(
    text: &str,
    head: &Head,
    key: &Jwk,
    settings: &IssuerSettings,
    purpose: Purpose<'_>,
    now: Timestamp,
) -> Result<Identified, Rejected> {
    let key = DecodingKey::from_jwk(key).map_err(|_| Rejected::UnknownKey)?;
    let mut validation = Validation::new(match head.algorithm {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    });
    // The signature is the library's; what is said is looked at here, by pgward's own clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let data = jsonwebtoken::decode::<serde_json::Map<String, Value>>(text, &key, &validation);
    let claims = data.map_err(|_| Rejected::Signature)?.claims;
    check(&claims, settings, now)?;
    if let Purpose::Login { nonce } = purpose {
        check_login(&claims, settings, nonce)?;
    }
    named(&claims, settings)
}

/// OpenID Connect Core, 3.1.3.7: the nonce that was sent, and a token that was made for us where it is for others too.
fn check_login(
    claims: &serde_json::Map<String, Value>,
    settings: &IssuerSettings,
    nonce: &str,
) -> Result<(), Rejected> {
    let given = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
    if !bool::from(given.as_bytes().ct_eq(nonce.as_bytes())) {
        return Err(Rejected::Login);
    }
    let is_for_others = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    match claims.get("azp").and_then(Value::as_str) {
        Some(party) if party == settings.audience => Ok(()),
        None if !is_for_others => Ok(()),
        Some(_) | None => Err(Rejected::Audience),
    }
}

fn check(claims: &serde_json::Map<String, Value>, settings: &IssuerSettings, now: Timestamp) -> Result<(), Rejected> {
    if claims.get("iss").and_then(Value::as_str) != Some(settings.issuer.as_str()) {
        return Err(Rejected::Issuer);
    }
    let is_ours = |value: &Value| value.as_str() == Some(settings.audience.as_str());
    let audience = claims.get("aud").ok_or(Rejected::Audience)?;
    if !is_ours(audience) && !audience.as_array().is_some_and(|all| all.iter().any(is_ours)) {
        return Err(Rejected::Audience);
    }
    let leeway = SignedDuration::try_from(settings.leeway).unwrap_or(SignedDuration::ZERO);
    let expires = instant(claims.get("exp")).ok_or(Rejected::Expired)?;
    if now.duration_since(expires) >= leeway {
        return Err(Rejected::Expired);
    }
    if let Some(value) = claims.get("nbf") {
        let from = instant(Some(value)).ok_or(Rejected::TooEarly)?;
        if from.duration_since(now) > leeway {
            return Err(Rejected::TooEarly);
        }
    }
    Ok(())
}

fn named(claims: &serde_json::Map<String, Value>, settings: &IssuerSettings) -> Result<Identified, Rejected> {
    let principal = claims.get(&settings.principal_claim).and_then(Value::as_str).filter(|name| is_name(name));
    let principal = principal.ok_or(Rejected::Nobody)?.to_owned();
    let groups = settings.groups_claim.as_ref().and_then(|claim| claims.get(claim)).map(groups).unwrap_or_default();
    Ok(Identified { principal, groups })
}

/// Seconds since 1970, whole or not.
fn instant(value: Option<&Value>) -> Option<Timestamp> {
    let seconds = match value? {
        Value::Number(number) => {
            number.as_i64().or_else(|| number.as_f64().filter(|n| n.is_finite()).map(|n| n as i64))
        }
        _ => None,
    };
    Timestamp::from_second(seconds?).ok()
}

/// A list of names, or one. What is no name is none of a group that a rule could list.
fn groups(value: &Value) -> Vec<String> {
    let all = match value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let names = all.iter().take(MAX_GROUPS).filter_map(Value::as_str).filter(|name| is_name(name));
    names.map(str::to_owned).collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME
        && text.trim() == text
        && !text.starts_with('@')
        && !text.chars().any(char::is_control)
}
