//! `[control.oidc]`, and the groups that only the identity provider knows.

use std::time::Duration;

use super::{GOOD, parse};
use crate::config::PasswordSource;

const OLD: &str = "admins = [\"@dba\"]\n";
const OIDC: &str = "[control.oidc]\nissuer = \"https://idp.example\"\nclient_id = \"pgward\"\n";

fn with(more: &str) -> String {
    GOOD.replace(OLD, &format!("{OLD}{OIDC}{more}\n"))
}

#[test]
fn little_has_to_be_said() {
    assert!(parse(GOOD).unwrap().control.oidc.is_none());
    let oidc = parse(&with("")).unwrap().control.oidc.unwrap();
    assert_eq!((oidc.client_id.as_str(), oidc.issuer.audience.as_str()), ("pgward", "pgward"));
    assert_eq!((oidc.client_secret, oidc.cli_client_id, oidc.redirect_url), (PasswordSource::None, None, None));
    assert_eq!((oidc.scopes, oidc.cli_scopes), (vec!["openid".to_owned()], None));
    assert_eq!((oidc.session, oidc.idle), (Duration::from_secs(8 * 3600), Duration::from_secs(1800)));
    assert_eq!((oidc.issuer.principal_claim.as_str(), oidc.issuer.groups_claim, oidc.group_map), ("sub", None, None));
}

/// Nobody in the file is in them, and rules may name them: who is in them stands elsewhere.
#[test]
fn groups_of_the_provider_count_as_declared() {
    let map = "groups_claim = \"groups\"\n[control.oidc.group_map]\n\"/teams/privacy\" = \"privacy\"";
    let text = with(map).replace("approvers = [\"@dba\"]", "approvers = [\"@privacy\"]\napprovals = 2");
    let config = parse(&text).unwrap();
    let map = config.control.oidc.unwrap().group_map.unwrap();
    assert_eq!(map.get("/teams/privacy").map(String::as_str), Some("privacy"));
    let unmapped = GOOD.replace("approvers = [\"@dba\"]", "approvers = [\"@privacy\"]");
    assert!(parse(&unmapped).unwrap_err().to_string().contains("unknown group \"@privacy\""));
}

fn told(text: &str, expected: &str) {
    let errors = parse(text).unwrap_err().to_string();
    assert!(errors.contains(expected), "{errors}");
}

#[test]
fn what_is_wrong_is_told() {
    for (more, expected) in [
        ("audience = \"x\"", "control.oidc.audience: unknown key"),
        ("scopes = [\"profile\"]", "control.oidc.scopes: lacks \"openid\", without which there is no ID token"),
        ("scopes = [\"openid\", \"a b\"]", "control.oidc.scopes: is not a scope"),
        (
            "redirect_url = \"https://h:1/callback\"",
            "control.oidc.redirect_url: \"https://h:1/callback\" is not https://HOST:PORT/login/callback",
        ),
        (
            "redirect_url = \"http://h:1/login/callback\"",
            "control.oidc.redirect_url: \"http://h:1/login/callback\" is not https://HOST:PORT/login/callback",
        ),
        (
            "redirect_url = \"https://h@evil/login/callback\"",
            "control.oidc.redirect_url: \"https://h@evil/login/callback\" is not https://HOST:PORT/login/callback",
        ),
        ("session = \"30d\"", "control.oidc.session: must be \"7d\" or less"),
        ("session = \"1h\"\nidle = \"2h\"", "control.oidc.idle: is longer than the session itself"),
        (
            "client_secret_file = \"s\"\nclient_secret_env = \"S\"",
            "control.oidc.client_secret_env: client_secret_file is given already; one of the two is enough",
        ),
        (
            "[control.oidc.group_map]\n\"a\" = \"b\"",
            "control.oidc.group_map: maps what groups_claim lists; there is no groups_claim",
        ),
        (
            "groups_claim = \"groups\"\n[control.oidc.group_map]\n\"a\" = \"@b\"",
            "control.oidc.group_map.a: \"@b\" is not a name",
        ),
    ] {
        told(&with(more), expected);
    }
    let text = with("").replace("client_id = \"pgward\"\n", "");
    told(&text, "control.oidc.client_id: is required");
    told(&with("").replace("https://idp", "http://idp"), "control.oidc.issuer: \"http://idp.example\" is not an HTTPS");
}
