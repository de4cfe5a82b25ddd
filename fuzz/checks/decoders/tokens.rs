//! Tokens and keys: whatever is published and whatever a client brings, a token is good only with a signature that the
//! provider made, over the very words that it was made over.

use std::sync::OnceLock;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use pgward::identity::{Algorithm, Identified, IssuerSettings, verify_by};

const NOW: i64 = 1_800_000_000;

struct Provider {
    settings: IssuerSettings,
    published: String,
    /// A token that it made.
    token: String,
}

/// Any text as a provider's keys: no forged token is good by any but the provider's own.
pub fn keys(data: &[u8]) {
    let provider = provider();
    let now = Timestamp::from_second(NOW).expect("a time");
    if verify_by(data, &provider.token, &provider.settings, now).is_ok() {
        let text = String::from_utf8_lossy(data);
        let key: serde_json::Value = serde_json::from_str(&provider.published).expect("JSON");
        let x = key["keys"][0]["x"].as_str().expect("the key");
        assert!(text.contains(&x[..40]), "a token is good by other keys: {text}");
    }
}

/// Any text as a token, and the true one edited.
pub fn token(data: &[u8]) {
    let provider = provider();
    let now = Timestamp::from_second(NOW).expect("a time");
    let judge = |text: &str| verify_by(provider.published.as_bytes(), text, &provider.settings, now);
    let honest = Identified { principal: "alice".to_owned(), groups: vec!["dev".to_owned()] };
    if let Ok(text) = std::str::from_utf8(data)
        && judge(text).is_ok()
    {
        assert_eq!(text, provider.token);
    }
    // Each three bytes put another byte into its place.
    let mut edited = provider.token.clone().into_bytes();
    for edit in data.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % edited.len();
        edited[at] = edit[2];
    }
    let Ok(text) = String::from_utf8(edited) else { return };
    let judged = judge(&text);
    assert_eq!(judged.is_ok(), text == provider.token, "{text}");
    if let Ok(identified) = judged {
        assert_eq!(identified, honest);
    }
}

fn provider() -> &'static Provider {
    static PROVIDER: OnceLock<Provider> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let x = encode(pair.public_key().as_ref());
        let payload = format!(
            r#"{{"iss":"https://idp.example","aud":"pgward","exp":{},"sub":"alice","groups":["dev"]}}"#,
            NOW + 60
        );
        let signed = format!("{}.{}", encode(br#"{"alg":"EdDSA","kid":"k"}"#), encode(payload.as_bytes()));
        let token = format!("{signed}.{}", encode(pair.sign(signed.as_bytes()).as_ref()));
        Provider {
            settings: IssuerSettings {
                issuer: "https://idp.example".into(),
                audience: "pgward".into(),
                jwks_url: None,
                ca: None,
                principal_claim: "sub".into(),
                groups_claim: Some("groups".into()),
                algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
                leeway: Duration::from_secs(30),
                scope: "openid".into(),
            },
            published: format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","use":"sig","x":"{x}"}}]}}"#),
            token,
        }
    })
}
