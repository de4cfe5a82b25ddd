//! Logging in by an identity provider from the command line: in a browser here, on another device, and staying logged in.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Case;
use crate::login::start;
use crate::support::idp::Provider;
use crate::support::{Bench, Proxy, binary};

pub const CASES: &[Case] = &[
    ("login_cli::in_a_browser", in_a_browser),
    ("login_cli::on_another_device", on_another_device),
    ("login_cli::where_there_is_no_provider", where_there_is_no_provider),
];

/// Somebody with a home of their own and no token.
struct Person<'a> {
    proxy: &'a Proxy,
    home: PathBuf,
}

impl<'a> Person<'a> {
    fn new(proxy: &'a Proxy, name: &str) -> Self {
        let home = proxy.setup.dir.join(format!("home of {name}"));
        std::fs::create_dir(&home).unwrap();
        Self { proxy, home }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.proxy.setup.control_port)
    }

    /// `pgward ARGUMENTS`. What opens as their browser follows every redirect.
    fn run(&self, arguments: &[&str]) -> Output {
        let (browser, ca) = (self.home.join("browser"), self.proxy.setup.certs.join("ca.crt"));
        let script =
            format!("#!/bin/sh\nexec curl -sSL --cacert '{}' -o '{}/page' \"$1\"\n", ca.display(), self.home.display());
        std::fs::write(&browser, &script).unwrap();
        std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new(binary());
        command.args(arguments).env("HOME", &self.home).env("BROWSER", browser).env("PGWARD_CA", ca);
        command.env_remove("PGWARD_TOKEN").env_remove("PGWARD_URL").env_remove("XDG_CONFIG_HOME");
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["-o", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn kept(&self) -> Value {
        let file = self.home.join(".config/pgward/login.json");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }
}

fn lasting(provider: &Provider, seconds: i64) {
    let end = move |claims: &mut Value| claims["exp"] = json!(claims["iat"].as_i64().unwrap() + seconds);
    provider.flow().change = Box::new(end);
}

fn in_a_browser(bench: &Bench) {
    let (proxy, provider) = start(bench);
    let alice = Person::new(&proxy, "alice");
    // The token ends so soon that each command has to renew it.
    lasting(&provider, 30);
    let me = alice.json(&["login", &alice.url(), "--oidc"]);
    assert_eq!((&me["user"], &me["groups"]), (&json!("alice"), &json!(["dev"])), "{me}");
    let page = std::fs::read_to_string(alice.home.join("page")).unwrap();
    assert!(page.contains("go back to the terminal"), "{page}");
    let first = alice.kept();
    assert_eq!(first["oidc"]["client_id"], json!("pgward-cli"));
    assert_eq!(provider.flow().renewed, 0);
    let filed = alice.json(&["request", "plain-read", "--for", "5m", "--reason", "INC-1"]);
    let found = proxy.json("bob", &["requests"]);
    assert_eq!((&found[0]["id"], &found[0]["principal"]), (&filed["id"], &json!("alice")), "{found}");
    let second = alice.kept();
    assert_eq!(provider.flow().renewed, 1);
    assert_ne!(first["oidc"]["refresh_token"], second["oidc"]["refresh_token"], "each is good once");
    // One that lasts is used as it is, even while the provider would give no other.
    lasting(&provider, 600);
    alice.json(&["scopes"]);
    provider.flow().refresh.clear();
    alice.json(&["scopes"]);
    assert_eq!(provider.flow().renewed, 2);
    // A token that is given goes before the login, and nothing is renewed for it.
    let output = alice.run(&["scopes", "--url", &alice.url(), "--token", proxy.token("bob")]);
    assert!(output.status.success());
    // What the provider takes back is over.
    lasting(&provider, 30);
    let bob = Person::new(&proxy, "bob");
    bob.json(&["login", &bob.url(), "--oidc"]);
    provider.flow().refresh.clear();
    let told = bob.fails(&["requests"]);
    assert!(told.contains("has ended: the identity provider says invalid_grant"), "{told}");
    assert!(told.contains(&format!("hint: log in again: pgward login {} --oidc", bob.url())), "{told}");
    // Nothing is kept of a login that failed.
    let carol = Person::new(&proxy, "carol");
    provider.flow().change = Box::new(|claims| claims["nonce"] = json!("another login's"));
    let told = carol.fails(&["login", &carol.url(), "--oidc"]);
    assert!(told.contains("the token of another login"), "{told}");
    provider.flow().change = Box::new(|_| {});
    provider.flow().denies = true;
    let told = carol.fails(&["login", &carol.url(), "--oidc"]);
    assert!(told.contains("the identity provider refused it: access_denied"), "{told}");
    assert!(!carol.home.join(".config/pgward/login.json").exists());
}

fn on_another_device(bench: &Bench) {
    let (proxy, provider) = start(bench);
    let erin = Person::new(&proxy, "erin");
    provider.flow().user = "erin".to_owned();
    provider.flow().device_answers = vec!["authorization_pending", "slow_down"];
    let output = erin.run(&["login", &erin.url(), "--device"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains(&format!("open {}/activate and enter the code WDJB-MJHT", provider.issuer)), "{told}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("as erin"));
    assert_eq!(provider.flow().polls.len(), 3);
    assert!(provider.flow().last_pause() >= Duration::from_secs(6), "it was told to slow down");
    assert_eq!(erin.kept()["oidc"]["issuer"], json!(provider.issuer));
    for word in ["access_denied", "expired_token"] {
        provider.flow().device_answers = vec![word];
        let told = erin.fails(&["login", &erin.url(), "--device"]);
        assert!(told.contains(&format!("the identity provider refused it: {word}")), "{told}");
    }
}

fn where_there_is_no_provider(bench: &Bench) {
    let proxy = bench.proxy();
    let alice = Person::new(&proxy, "alice");
    for way in ["--oidc", "--device"] {
        let told = alice.fails(&["login", &alice.url(), way]);
        assert!(told.contains("offers the command line no login by an identity provider"), "{told}");
    }
}
