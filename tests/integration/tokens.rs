//! Logins by tokens of an identity provider: in place of the password, and by OAUTHBEARER with a real libpq 18.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Case;
use crate::servers::python;
use crate::support::idp::{AUDIENCE, Key, Provider};
use crate::support::{Bench, Credentials, Proxy, Scopes, config, wait_until};

pub const CASES: &[Case] = &[
    ("tokens::in_place_of_the_password", in_place_of_the_password),
    ("tokens::keys_are_exchanged", keys_are_exchanged),
    ("tokens::by_oauthbearer", by_oauthbearer),
];

/// alice logs in by a token as her password, erin by OAUTHBEARER, the others as ever.
fn start(bench: &Bench, provider: &Provider) -> Proxy {
    Proxy::start(bench, &|setup| {
        let issuer = format!(
            "[[identity.issuer]]\nissuer = \"{}\"\naudience = \"{AUDIENCE}\"\nca = \"{}/ca.crt\"\n\
             principal_claim = \"preferred_username\"\ngroups_claim = \"groups\"\n",
            provider.issuer,
            bench.certs.display()
        );
        let text = config(setup, &Scopes { more: issuer, ..Scopes::default() });
        let text = text.replace("name = \"alice\"\n", "name = \"alice\"\nlogin = \"token-as-password\"\n");
        text.replace("name = \"erin\"\n", "name = \"erin\"\nlogin = \"oauth\"\n")
    })
}

fn with(user: &str, password: &str) -> Credentials {
    Credentials { user: user.into(), password: password.into(), database: "plain".into() }
}

fn changed(mut claims: Value, key: &str, value: Value) -> Value {
    claims[key] = value;
    claims
}

fn in_place_of_the_password(bench: &Bench) {
    let provider = Provider::start(&bench.certs);
    let (key, stranger) = (Key::new("one"), Key::new("one"));
    provider.publish(&[&key]);
    let proxy = start(bench, &provider);
    let good = key.token(&provider.claims("alice"));
    let (_, err, ok) = proxy.sql(&with("alice", &good), "SELECT 42");
    assert!(!ok && err.contains("no live grant for \"alice\" on \"plain\""), "{err}");
    proxy.grant("alice", "plain-read", "30m");
    let (out, err, ok) = proxy.sql(&with("alice", &good), "SELECT 42");
    assert!(ok && out == "42", "{err}");
    let claims = || provider.claims("alice");
    for (why, token) in [
        ("the token has expired", key.token(&changed(claims(), "exp", json!(1_700_000_000)))),
        ("the token is for another audience", key.token(&changed(claims(), "aud", json!("payroll")))),
        ("the token is another issuer's", key.token(&changed(claims(), "iss", json!("https://localhost")))),
        ("the token names somebody else", key.token(&provider.claims("bob"))),
        ("the token's signature is wrong", stranger.token(&claims())),
        ("the token is no JWT", proxy.credentials("alice", "plain").password),
    ] {
        let (_, err, ok) = proxy.sql(&with("alice", &token), "SELECT 42");
        assert!(!ok && err.contains("password authentication failed for user \"alice\""), "{why}: {err}");
        let denied = proxy.audit(&["--principal", "alice"]);
        let told = denied.iter().any(|record| record["detail"].as_str().is_some_and(|detail| detail.contains(why)));
        assert!(told, "{why}: {:?}", denied.last());
    }
    // Who has a password is not asked for a token, and the token is none.
    let (_, err, ok) = proxy.sql(&with("dave", &key.token(&provider.claims("dave"))), "SELECT 42");
    assert!(!ok && err.contains("password authentication failed"), "{err}");
    assert!(!proxy.log().contains(&good), "a token is a secret");
}

/// A new key is found when a token names it; one that was withdrawn is no longer taken once the new ones are known; tokens with
/// invented keys have the provider asked no oftener.
fn keys_are_exchanged(bench: &Bench) {
    let provider = Provider::start(&bench.certs);
    let (old, new) = (Key::new("old"), Key::new("new"));
    provider.publish(&[&old]);
    let proxy = start(bench, &provider);
    proxy.grant("alice", "plain-read", "30m");
    let works = |key: &Key| proxy.sql(&with("alice", &key.token(&provider.claims("alice"))), "SELECT 42").2;
    assert!(works(&old));
    let before = provider.fetches();
    for invented in 0..5 {
        assert!(!works(&Key::new(&format!("invented {invented}"))));
    }
    assert!(provider.fetches() <= before + 1, "{} fetches", provider.fetches() - before);
    provider.publish(&[&new]);
    wait_until("the new key is found", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(500));
        works(&new)
    });
    assert!(!works(&old));
}

/// libpq asks where to get a token, gets one by a hook of the application's, and comes back with it.
fn by_oauthbearer(bench: &Bench) {
    let provider = Provider::start(&bench.certs);
    let key = Key::new("one");
    provider.publish(&[&key]);
    let proxy = start(bench, &provider);
    proxy.grant("erin", "plain-read", "30m");
    let run = |token: &str| {
        let script = include_str!("libpq18_oauth.py").replace("@ISSUER@", &provider.issuer).replace("@TOKEN@", token);
        let output = python(&proxy, &with("erin", ""), &script);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let denied = || proxy.audit(&["--event", "login_denied"]).len();
    let (ok, err) = run(&key.token(&provider.claims("erin")));
    assert!(ok, "{err}");
    assert_eq!(denied(), 0, "asking where to get a token is no failed login");
    let (ok, err) = run(&key.token(&provider.claims("bob")));
    assert!(!ok && err.contains("OAuth bearer authentication failed for user \"erin\""), "{err}");
    assert_eq!(denied(), 1);
}
