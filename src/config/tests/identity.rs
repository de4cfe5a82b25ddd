//! `[[identity.issuer]]`, `login` of users, and what `[proxy]` says of certificates.

use std::time::Duration;

use super::{GOOD, check, parse};
use crate::config::{Login, TokenAlgorithm};

const IDP: &str = "[[identity.issuer]]\nissuer = \"https://idp.example\"\naudience = \"pgward\"\n";
const OLD: &str = "[[user]]\nname = \"alice\"\n";

fn with(issuers: &str, alice: &str) -> String {
    format!("{issuers}{OLD}{alice}\n")
}

#[test]
fn users_log_in_by_tokens_where_that_is_said() {
    let config = parse(GOOD).unwrap();
    assert!(config.issuers.is_empty() && config.users.iter().all(|user| user.login == Login::Password));
    let config = parse(&GOOD.replace(OLD, &with(IDP, "login = \"oauth\""))).unwrap();
    let issuer = &config.issuers[0];
    assert_eq!(
        (issuer.principal_claim.as_str(), issuer.scope.as_str(), &issuer.groups_claim),
        ("sub", "openid", &None)
    );
    assert_eq!(issuer.algorithms, [TokenAlgorithm::Rs256, TokenAlgorithm::Es256, TokenAlgorithm::EdDsa]);
    assert_eq!(issuer.leeway, Duration::from_secs(30));
    assert_eq!(config.users[0].login, Login::Oauth("https://idp.example".into()));
    assert_eq!(config.users[1].login, Login::Password);
    let two = format!("{IDP}{}", IDP.replace("https://idp.example", "https://b.example"));
    let alice = "login = \"token-as-password\"\nissuer = \"https://b.example\"";
    let config = parse(&GOOD.replace(OLD, &with(&two, alice))).unwrap();
    assert_eq!(config.users[0].login, Login::TokenAsPassword("https://b.example".into()));
}

#[test]
fn what_is_wrong_is_told() {
    let two = format!("{IDP}{}", IDP.replace("https://idp.example", "https://b.example"));
    let verifier = "SCRAM-SHA-256$1:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (issuers, alice, expected) in [
        ("", "login = \"oauth\"", "user[0].login: there is no [[identity.issuer]] whose tokens could be taken"),
        (
            "",
            "issuer = \"https://idp.example\"",
            "user[0].issuer: goes with login = \"oauth\" or \"token-as-password\" only",
        ),
        (
            two.as_str(),
            "login = \"oauth\"",
            "user[0].login: there are several [[identity.issuer]]; name one of them as `issuer`",
        ),
        (&format!("{IDP}{IDP}"), "", "issuer: https://idp.example is an issuer already"),
        (
            IDP,
            &format!("login = \"oauth\"\nscram = \"{verifier}\""),
            "user[0].scram: is a password, and this user logs in by tokens",
        ),
        (
            &IDP.replace("https:", "http:"),
            "",
            "issuer: \"http://idp.example\" is not an HTTPS URL without query and fragment",
        ),
        (&format!("{IDP}algorithms = [\"HS256\"]\n"), "", "\"HS256\" is not accepted; one of RS256, ES256, EdDSA"),
        (&format!("{IDP}algorithms = [\"none\"]\n"), "", "\"none\" is not accepted; one of RS256, ES256, EdDSA"),
        (&format!("{IDP}leeway = \"1h\"\n"), "", "leeway: must be \"5m\" or less"),
    ] {
        let told = parse(&GOOD.replace(OLD, &with(issuers, alice))).unwrap_err().to_string();
        assert!(told.contains(expected), "{issuers}{alice}: {told}");
    }
}

#[test]
fn revocation_lists_go_with_an_authority() {
    let key = "tls_key = \"certs/server.key\"\n[control]";
    check(&[(
        key,
        "tls_key = \"certs/server.key\"\nclient_crl = [\"a.crl\"]\n[control]",
        "proxy.toml:5:14: proxy.client_crl: says which of client_ca's certificates were revoked; there is no client_ca",
    )]);
    let more = "tls_key = \"certs/server.key\"\nclient_ca = \"c.crt\"\nclient_crl = [\"a.crl\", \"b.crl\"]\n\
                [[proxy.certificate]]\ntls_cert = \"d.crt\"\ntls_key = \"d.key\"\n[control]";
    let config = parse(&GOOD.replacen(key, more, 1)).unwrap();
    assert_eq!((config.proxy.client_crl.len(), config.proxy.certificates.len()), (2, 1));
}

#[test]
fn poolers_know_no_short_lived_roles() {
    let url = "upstream = \"postgresql://pgward@127.0.0.1/shop?sslrootcert=ca.crt\"";
    let pooled =
        "upstream = \"postgresql://pgward@127.0.0.1/shop?sslrootcert=ca.crt&pool_mode=session\"\nprovision = \"role\"";
    let told = parse(&GOOD.replacen(url, pooled, 1)).unwrap_err().to_string();
    assert!(told.contains("provision: \"role\" makes roles that a pooler (pool_mode) does not know"), "{told}");
}
