//! Tokens, good and bad, by keys made here.
#![allow(clippy::unwrap_used)]

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::keys::choose;
use super::*;

const NOW: i64 = 1_800_000_000;

fn settings() -> IssuerSettings {
    IssuerSettings {
        issuer: "https://idp.example".into(),
        audience: "pgward".into(),
        jwks_url: None,
        ca: None,
        principal_claim: "preferred_username".into(),
        groups_claim: Some("groups".into()),
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
        leeway: Duration::from_secs(30),
        scope: "openid".into(),
    }
}

/// A key pair, and what the provider publishes of it.
fn pair(algorithm: jsonwebtoken::Algorithm, kid: &str) -> (EncodingKey, Jwk) {
    use base64::Engine as _;
    let (key, mut published) = match algorithm {
        jsonwebtoken::Algorithm::EdDSA => {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(pair.public_key_raw());
            let published = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
            (EncodingKey::from_ed_der(&pair.serialize_der()), serde_json::from_value(published).unwrap())
        }
        jsonwebtoken::Algorithm::RS256 => {
            let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
            let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
            // Behind 26 bytes that say so much, PKCS#8 holds the PKCS#1 that the library takes.
            let key = EncodingKey::from_rsa_der(der.as_ref().get(26..).unwrap());
            let published = Jwk::from_encoding_key(&key, algorithm).unwrap();
            (key, published)
        }
        _ => {
            let der = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_der();
            let key = EncodingKey::from_ec_der(&der);
            let published = Jwk::from_encoding_key(&key, algorithm).unwrap();
            (key, published)
        }
    };
    published.common.key_id = Some(kid.to_owned());
    (key, published)
}

fn claims() -> Value {
    json!({"iss": "https://idp.example", "aud": ["other", "pgward"], "exp": NOW + 60, "nbf": NOW,
           "preferred_username": "alice", "groups": ["dev", "@dba", 7]})
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().insert(key.to_owned(), value);
    claims
}

fn without(key: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(key).unwrap();
    claims
}

fn verify(text: &str, keys: &[Jwk]) -> Result<Identified, Rejected> {
    let head = token::head(text, &settings())?;
    let key = choose(keys, &head).ok_or(Rejected::UnknownKey)?;
    token::verify(text, &head, &key, &settings(), token::Purpose::Presented, Timestamp::from_second(NOW).unwrap())
}

fn header(algorithm: jsonwebtoken::Algorithm, kid: &str) -> Header {
    Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) }
}

#[test]
fn a_good_token_names_somebody() {
    for algorithm in [jsonwebtoken::Algorithm::RS256, jsonwebtoken::Algorithm::ES256, jsonwebtoken::Algorithm::EdDSA] {
        let (key, published) = pair(algorithm, "one");
        let text = jsonwebtoken::encode(&header(algorithm, "one"), &claims(), &key).unwrap();
        let found = verify(&text, std::slice::from_ref(&published)).unwrap();
        // What is marked as a group where rules list them is none of the provider's.
        assert_eq!(found, Identified { principal: "alice".into(), groups: vec!["dev".into()] });
        let nameless = Header::new(algorithm);
        let text = jsonwebtoken::encode(&nameless, &claims(), &key).unwrap();
        assert!(verify(&text, std::slice::from_ref(&published)).is_ok(), "the only key that it could be");
        let other = Jwk { common: published.common.clone(), algorithm: pair(algorithm, "two").1.algorithm };
        assert_eq!(verify(&text, &[published, other]), Err(Rejected::UnknownKey), "one of two");
    }
}

#[test]
fn what_a_token_says_has_to_be_right() {
    let es256 = jsonwebtoken::Algorithm::ES256;
    let (key, published) = pair(es256, "one");
    for (claims, expected) in [
        (with("iss", json!("https://idp.example/")), Rejected::Issuer),
        (with("iss", json!(["https://idp.example"])), Rejected::Issuer),
        (without("iss"), Rejected::Issuer),
        (with("aud", json!("pgward2")), Rejected::Audience),
        (with("aud", json!({"pgward": 1})), Rejected::Audience),
        (without("aud"), Rejected::Audience),
        (with("exp", json!(NOW - 31)), Rejected::Expired),
        (with("exp", json!("never")), Rejected::Expired),
        (without("exp"), Rejected::Expired),
        (with("nbf", json!(NOW + 31)), Rejected::TooEarly),
        (with("nbf", json!("now")), Rejected::TooEarly),
        (without("preferred_username"), Rejected::Nobody),
        (with("preferred_username", json!("")), Rejected::Nobody),
        (with("preferred_username", json!("a\nb")), Rejected::Nobody),
        (with("preferred_username", json!(["alice"])), Rejected::Nobody),
    ] {
        let text = jsonwebtoken::encode(&header(es256, "one"), &claims, &key).unwrap();
        assert_eq!(verify(&text, std::slice::from_ref(&published)), Err(expected), "{claims}");
    }
    let late = jsonwebtoken::encode(&header(es256, "one"), &with("exp", json!(NOW - 29)), &key).unwrap();
    assert!(verify(&late, &[published]).is_ok(), "clocks differ a little");
}

#[test]
fn only_the_right_key_signs() {
    let es256 = jsonwebtoken::Algorithm::ES256;
    let (key, published) = pair(es256, "one");
    let (_, other) = pair(es256, "one");
    let text = jsonwebtoken::encode(&header(es256, "one"), &claims(), &key).unwrap();
    assert_eq!(verify(&text, &[other]), Err(Rejected::Signature));
    let mut encrypting = published.clone();
    encrypting.common.public_key_use = Some(PublicKeyUse::Encryption);
    assert_eq!(verify(&text, &[encrypting]), Err(Rejected::UnknownKey));
    let (head, rest) = text.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    for broken in ["".to_owned(), "a.b".to_owned(), format!("{head}.{body}"), "x".repeat(MAX_TOKEN + 1)] {
        assert_eq!(verify(&broken, std::slice::from_ref(&published)), Err(Rejected::Malformed));
    }
    for changed in [format!("{head}.{body}."), format!("{head}.{body}x.{signature}")] {
        assert_eq!(verify(&changed, std::slice::from_ref(&published)), Err(Rejected::Signature));
    }
}

/// A public key taken for a shared secret, no signature at all, and kinds of tokens that are not for logging in.
#[test]
fn other_algorithms_and_kinds_are_refused() {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let (key, published) = pair(jsonwebtoken::Algorithm::ES256, "one");
    let body = encode(&claims().to_string());
    for algorithm in ["none", "None", "HS256", "HS512", "ES384", "PS256", "RS512"] {
        let header = encode(&json!({"alg": algorithm, "kid": "one"}).to_string());
        let found = verify(&format!("{header}.{body}.AAAA"), std::slice::from_ref(&published));
        assert!(matches!(found, Err(Rejected::Algorithm | Rejected::Malformed)), "{algorithm}: {found:?}");
    }
    let secret = EncodingKey::from_secret(serde_json::to_string(&published).unwrap().as_bytes());
    let confused = jsonwebtoken::encode(&header(jsonwebtoken::Algorithm::HS256, "one"), &claims(), &secret).unwrap();
    assert_eq!(verify(&confused, std::slice::from_ref(&published)), Err(Rejected::Algorithm));
    for kind in ["logout+jwt", "dpop+jwt"] {
        let header = Header { typ: Some(kind.to_owned()), ..header(jsonwebtoken::Algorithm::ES256, "one") };
        let text = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
        assert_eq!(verify(&text, std::slice::from_ref(&published)), Err(Rejected::Kind));
    }
}

#[test]
fn providers_are_at_https_urls() {
    for url in ["http://idp.example", "https://idp.example/?a=b", "https://idp.example#x", "idp.example", "file:///x"] {
        assert!(Issuer::new(IssuerSettings { issuer: url.into(), ..settings() }).is_err(), "{url}");
    }
    let issuer = Issuer::new(IssuerSettings { issuer: "https://idp.example/realm/".into(), ..settings() }).unwrap();
    assert_eq!(issuer.configuration_url(), "https://idp.example/realm/.well-known/openid-configuration");
}

/// The token that ends a login: of that login, and made for us where it is for others as well.
#[test]
fn a_login_ends_with_its_own_id_token() {
    let es256 = jsonwebtoken::Algorithm::ES256;
    let (key, published) = pair(es256, "one");
    let check = |changes: Value, expected: Result<(), Rejected>| {
        let mut claims = claims();
        let said = claims.as_object_mut().unwrap();
        said.extend([("nonce".to_owned(), json!("n-1")), ("aud".to_owned(), json!("pgward"))]);
        said.extend(changes.as_object().unwrap().clone());
        let text = jsonwebtoken::encode(&header(es256, "one"), &claims, &key).unwrap();
        let head = token::head(&text, &settings()).unwrap();
        let (purpose, now) = (token::Purpose::Login { nonce: "n-1" }, Timestamp::from_second(NOW).unwrap());
        let found = token::verify(&text, &head, &published, &settings(), purpose, now);
        assert_eq!(found.map(drop), expected, "{claims}");
    };
    check(json!({}), Ok(()));
    check(json!({"nonce": "n-2"}), Err(Rejected::Login));
    check(json!({"nonce": null}), Err(Rejected::Login));
    check(json!({"nonce": ""}), Err(Rejected::Login));
    check(json!({"aud": ["pgward", "payroll"]}), Err(Rejected::Audience));
    check(json!({"aud": ["pgward", "payroll"], "azp": "pgward"}), Ok(()));
    check(json!({"azp": "payroll"}), Err(Rejected::Audience));
    check(json!({"exp": NOW - 60}), Err(Rejected::Expired));
}
