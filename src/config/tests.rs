//! Configurations, and the exact words about what is wrong in them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::access::{ObjectPattern, Operation, OperationSet};

/// A whole configuration, each section of which a test may replace.
const GOOD: &str = r#"[proxy]
listen = "127.0.0.1:6432"
tls_cert = "certs/server.crt"
tls_key = "certs/server.key"
[control]
listen = "127.0.0.1:6443"
tls_cert = "certs/server.crt"
tls_key = "certs/server.key"
admins = ["@dba"]
[store]
url = "sqlite://var/pgward.db"
[audit]
dir = "var/audit"
[regions.eu]
networks = ["10.20.0.0/16"]
[regions.us]
networks = ["127.0.0.0/8", "::1/128"]
[[user]]
name = "alice"
groups = ["dev"]
[[user]]
name = "bob"
groups = ["dba"]
[[database]]
name = "shop"
upstream = "postgresql://pgward@127.0.0.1/shop?sslrootcert=ca.crt"
region = "us"
[[scope]]
name = "orders"
database = "shop"
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "1h"
[[scope.allow]]
on = ["public.orders"]
do = ["select"]
"#;

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(Path::new("proxy.toml"), text)
}

mod identity;
mod messages;
mod notify;
mod oidc;
mod provision;
mod residency;
mod sinks;
mod witness;

/// What is told of [`GOOD`] with `old` replaced by `new`.
fn told(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    match parse(&GOOD.replacen(old, new, 1)) {
        Ok(_) => "nothing".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

fn check(cases: &[(&str, &str, &str)]) {
    for (old, new, expected) in cases {
        assert_eq!(told(old, new), *expected, "\n{old}\n=> {new}");
    }
}

#[test]
fn defaults() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.proxy.public_host, "127.0.0.1");
    assert_eq!(config.proxy.public_port, 6432);
    assert_eq!(config.proxy.bounds.handshake_timeout, Duration::from_secs(30));
    assert_eq!(config.proxy.bounds.max_message_bytes, 16 << 20);
    assert_eq!(config.control.credential_ttl, Duration::from_secs(12 * 3600));
    assert_eq!(config.audit.durability, Durability::Written);
    assert_eq!(config.audit.retention, crate::audit::Retention::all(Duration::from_secs(400 * 86_400)));
    assert_eq!(config.audit.parameters, ParameterRecording::Record);
    assert_eq!(config.scopes[0].approvals, 1);
    assert_eq!(config.scopes[0].regions, [Region::new("us")], "the database's own");
    assert_eq!(config.regions, [Region::new("eu"), Region::new("us")]);
}

#[test]
fn every_bound_is_documented() {
    for page in ["docs/configuration.md", "docs/limits.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        let missing: Vec<_> = bounds::KEYS.iter().filter(|key| !text.contains(&format!("`{key}`"))).collect();
        assert!(missing.is_empty(), "{page} does not say what {missing:?} is");
    }
}

#[test]
fn what_is_part_of_a_bound_is_no_more_than_it() {
    let text = GOOD.replacen("[control]", "max_connections = 7\nmax_failed_logins_per_address = 3\n[control]", 1);
    let bounds = parse(&text).unwrap().proxy.bounds;
    assert_eq!((bounds.max_connections_per_address, bounds.max_connections_per_principal), (7, 7));
    assert_eq!((bounds.max_handshakes, bounds.max_handshakes_per_address), (7, 7));
    assert_eq!((bounds.max_failed_logins, bounds.max_failed_logins_per_address), (3, 3));
}

#[test]
fn a_scope_says_how_it_is_asked_for() {
    let data = "[[database.data]]\non = \"public.customers\"\ncolumns = [\"ssn\"]\nlabels = [\"pii\"]\n[[scope]]";
    let rules = "max_duration = \"1h\"\nrequire_ticket = true\nrequest_expires = \"2h\"\nhold = \"5m\"\nbreak_glass = { who = [\"alice\"], alert = [\"@dba\"] }\n\
                 rule = [{ over = \"30m\", labels = [\"pii\"], outside = \"Mon-Fri 08:00-18:00 Europe/Berlin\", approvers = [\"@dba\"] }]";
    let text = GOOD.replacen("[[scope]]", data, 1).replacen("max_duration = \"1h\"", rules, 1);
    let text = text.replacen("[\"public.orders\"]", "[\"customers\", \"public.orders\"]", 1);
    let config = parse(&text).unwrap();
    let rules = &config.scopes[0].rules;
    assert_eq!(rules.labels, ["pii"], "the scope may touch customers.ssn");
    assert!(rules.require_ticket);
    assert_eq!(rules.pending(), Duration::from_secs(7200));
    assert_eq!(rules.hold, Some(Duration::from_secs(300)));
    let emergency = rules.break_glass.as_ref().unwrap();
    assert_eq!(emergency.max_duration, Duration::from_secs(3600), "the scope's own");
    assert_eq!(emergency.review_within, Duration::from_secs(24 * 3600));
    let monday = "2026-11-23T09:00:00Z".parse().unwrap();
    let asked = |minutes: u64| {
        rules.requirements(monday, Duration::from_secs(minutes * 60)).map(|one| one.why).collect::<Vec<_>>()
    };
    assert_eq!(asked(45), Vec::<String>::new(), "within the hours");
    assert_eq!(asked(20), Vec::<String>::new());
    let saturday = "2026-11-21T09:00:00Z".parse().unwrap();
    let whys: Vec<_> = rules.requirements(saturday, Duration::from_secs(2700)).map(|one| one.why).collect();
    let why =
        "asked for longer than 30m and touches data labelled pii and outside of Mon-Fri 08:00-18:00 Europe/Berlin";
    assert_eq!(whys, [why]);
    let columns = text.replacen("do = [\"select\"]", "columns = [\"id\"]\ndo = [\"select\"]", 1);
    assert_eq!(parse(&columns).unwrap().scopes[0].rules.labels, Vec::<String>::new(), "it names other columns");
    let refused = parse(&text.replacen("hold = ", "auto_approve = \"5m\"\nhold = ", 1)).unwrap_err().to_string();
    assert!(refused.contains("the scope may touch data labelled pii: people have to approve that"), "{refused}");
}

#[test]
fn second_opinions() {
    assert_eq!(parse(GOOD).unwrap().databases[0].second_opinion, SecondOpinion::Off);
    for (word, expected) in
        [("off", SecondOpinion::Off), ("on", SecondOpinion::On), ("required", SecondOpinion::Required)]
    {
        let text = GOOD.replacen("[[scope]]", &format!("second_opinion = \"{word}\"\n[[scope]]"), 1);
        assert_eq!(parse(&text).unwrap().databases[0].second_opinion, expected, "{word}");
    }
}

#[test]
fn the_example_at_the_root_parses() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
    let config = Config::load(&path).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(config.proxy.tls.cert, root.join("certs/server.crt"));
    assert_eq!(config.store.location, StoreLocation::Sqlite(root.join("var/pgward.db")));
    let shop = config.database("shop").unwrap();
    assert_eq!(shop.upstream.places[0].port, 5433);
    assert_eq!(shop.upstream.sslrootcert, Some(root.join("certs/ca.crt")));
    assert_eq!(shop.password, PasswordSource::File(root.join("var/upstream.password")));
    assert_eq!(shop.policy.data[0].on, ObjectPattern { schema: Some("eu".into()), name: None });
    assert_eq!(shop.policy.data[1].labels, ["pii"]);
    let scope = config.scope("orders-read").unwrap();
    assert_eq!(scope.allow[1].columns.as_deref().map(<[String]>::len), Some(3));
    assert_eq!(scope.allow[0].operations, OperationSet::of(&[Operation::Select]));
    assert_eq!(config.user("alice").unwrap().principal.region, Some(Region::new("us")));
    let client = "127.9.9.9".parse().unwrap();
    assert_eq!(config.networks.region_of(client), Some(&Region::new("us")));
}

#[test]
fn every_key_of_the_example_that_is_commented_out_is_right_too() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
    let text = fs::read_to_string(path).unwrap();
    let is_key = |line: &str| {
        line.starts_with("[[")
            || line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let uncomment = |line: &str| match line.strip_prefix("# ").filter(|rest| is_key(rest)) {
        Some(key) => key.to_owned(),
        None => line.to_owned(),
    };
    let whole = text.lines().filter(|line| !line.starts_with("password_file")).map(uncomment).collect::<Vec<_>>();
    let config = parse(&whole.join("\n")).unwrap();
    assert_eq!(config.proxy.public_host, "db.example.com");
    assert_eq!(config.proxy.client_ca, Some(PathBuf::from("certs/clients.crt")));
    assert!(config.users[2].scram.is_some());
    assert_eq!(config.databases[0].password, PasswordSource::Env("PGWARD_SHOP_PASSWORD".into()));
    assert_eq!(config.databases[0].further[0].password, PasswordSource::Env("PGWARD_SHOP_EU_PASSWORD".into()));
    assert_eq!(config.proxy.proxy_protocol_from.len(), 1);
    assert!(config.databases[0].policy.counts_exports());
    assert_eq!(config.notifications[0].name, "dba-channel");
    assert_eq!(config.databases[0].retention[0].policy.name, "public.orders");
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange(at in 0..GOOD.len(), length in 0..40_usize, put in "[\\[\\]\"=.,{}a-z0-9é\n]{0,6}") {
        let end = (at + length).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(errors) = parse(&text) {
            assert!(!errors.problems.is_empty());
        }
    }
}

#[test]
fn the_version_follows_the_text() {
    let version = parse(GOOD).unwrap().version;
    assert_eq!(parse(GOOD).unwrap().version, version);
    assert_ne!(parse(&GOOD.replace("6443", "6444")).unwrap().version, version);
}

#[test]
fn unreadable_texts() {
    assert_eq!(
        parse("[proxy\nlisten = \"x\"\n").unwrap_err().problems[0].to_string(),
        "proxy.toml:1:7: not TOML: unclosed table, expected `]`"
    );
    let missing = Config::load(Path::new("/nonexistent/proxy.toml")).unwrap_err();
    assert!(missing.to_string().starts_with("/nonexistent/proxy.toml: cannot be read: "), "{missing}");
}

#[test]
fn what_connection_strings_name() {
    for (listen, more, host, port) in [
        ("0.0.0.0:6432", "", "localhost", 6432),
        ("[::]:6432", "", "localhost", 6432),
        ("[::1]:6432", "", "::1", 6432),
        ("10.0.0.7:1", "public_host = \"db.example.com\"\npublic_port = 5432\n", "db.example.com", 5432),
    ] {
        let text = GOOD.replacen("127.0.0.1:6432", listen, 1).replacen("[control]\n", &format!("{more}[control]\n"), 1);
        let proxy = parse(&text).unwrap().proxy;
        assert_eq!((proxy.public_host.as_str(), proxy.public_port), (host, port), "{listen}");
    }
}

#[test]
fn verifiers_are_kept_and_never_shown() {
    let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [7_u8; 32]);
    let verifier = format!("SCRAM-SHA-256$4096:c2FsdA==${key}:{key}");
    let text = GOOD.replacen("name = \"bob\"", &format!("name = \"bob\"\nscram = \"{verifier}\""), 1);
    let config = parse(&text).unwrap();
    let scram = config.user("bob").unwrap().scram.as_ref().unwrap();
    assert_eq!(scram.expose(), verifier);
    assert!(!format!("{config:?}").contains(&key));
}

#[test]
fn a_requester_among_other_approvers_is_fine() {
    let text = GOOD.replace("approvers = [\"@dba\"]", "approvers = [\"@dba\", \"alice\"]");
    assert_eq!(parse(&text).unwrap().scopes[0].approvers.len(), 2);
    let all = GOOD.replace("do = [\"select\"]", "do = [\"all\"]");
    assert_eq!(parse(&all).unwrap().scopes[0].allow[0].operations, OperationSet::of(&Operation::ALL));
}

#[test]
fn files_are_looked_at_apart() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let text = GOOD.replace("region = \"us\"", "region = \"us\"\npassword_file = \"pw\"");
    let path = at("proxy.toml");
    fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    let errors = config.check_files().unwrap_err();
    let keys: Vec<&str> = errors.problems.iter().map(|problem| problem.key.as_str()).collect();
    let expected = ["proxy.tls_cert", "proxy.tls_key", "control.tls_cert", "control.tls_key", "database[0].upstream"];
    assert_eq!(keys[..5], expected);
    assert_eq!(keys[5..], ["database[0].password_file"]);
    let first =
        format!("{}:3:12: proxy.tls_cert: {} cannot be read: ", path.display(), at("certs/server.crt").display());
    assert!(errors.to_string().starts_with(&first), "{errors}");

    fs::create_dir(at("certs")).unwrap();
    for name in ["certs/server.crt", "certs/server.key", "ca.crt", "pw"] {
        fs::write(at(name), "secret\n").unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let pw = at("pw");
    let expected = format!(
        "{}:28:17: database[0].password_file: {} can be read by others (mode 0640); run: chmod 600 {}",
        path.display(),
        pw.display(),
        pw.display()
    );
    assert_eq!(config.check_files().unwrap_err().to_string(), expected);
    fs::set_permissions(&pw, fs::Permissions::from_mode(0o600)).unwrap();
    config.check_files().unwrap();
    let password = config.databases[0].password.read().unwrap().unwrap();
    assert_eq!((password.expose(), format!("{password:?}")), ("secret", "***".to_owned()));
}

#[test]
fn a_variable_must_be_set() {
    let text =
        GOOD.replace("region = \"us\"", "region = \"us\"\npassword_env = \"PGWARD_TEST_VARIABLE_THAT_IS_NOT_SET\"");
    let config = parse(&text).unwrap();
    let errors = config.check_files().unwrap_err();
    let last = errors.problems.last().unwrap();
    assert_eq!(last.message, "the environment variable PGWARD_TEST_VARIABLE_THAT_IS_NOT_SET is not set");
    assert_eq!(config.databases[0].password.read(), Err("$PGWARD_TEST_VARIABLE_THAT_IS_NOT_SET is not set".to_owned()));
}

#[test]
fn a_store_in_a_database_is_one_that_is_verified() {
    let with = |store: &str, more: &str| {
        let text = GOOD.replace("url = \"sqlite://var/pgward.db\"", store);
        parse(&format!("{text}\n{more}"))
    };
    let wrong = |store: &str, more: &str| with(store, more).unwrap_err().to_string();
    let url = "url = \"postgresql://pgward@db1,db2:5433/store?sslrootcert=ca.crt\"";
    let config =
        with(&format!("{url}\npoll = \"2s\"\nlease = \"10s\""), "[replica]\nname = \"a\"\naddress = \"[::1]:6443\"")
            .unwrap();
    assert_eq!((config.store.poll, config.store.lease), (Duration::from_secs(2), Duration::from_secs(10)));
    assert_eq!((config.replica.name.as_str(), config.replica.address.as_str()), ("a", "[::1]:6443"));
    let StoreLocation::Postgresql { url: database, .. } = &config.store.location else { unreachable!() };
    assert_eq!(database.places.len(), 2);
    for weaker in ["verify-ca", "require"] {
        let store = format!("url = \"postgresql://pgward@db/store?sslrootcert=ca.crt&sslmode={weaker}\"");
        assert!(wrong(&store, "").contains("only sslmode=verify-full"), "{weaker}");
    }
    assert!(wrong("url = \"postgresql://pgward@db/store?sslmode=disable\"", "").contains("loopback"));
    assert!(wrong("url = \"postgresql://pgward:secret@db/store?sslrootcert=ca.crt\"", "").contains("password_file"));
    assert!(wrong(&format!("{url}\nlease = \"2s\""), "").contains("three times"));
    assert!(wrong("url = \"sqlite://var/pgward.db\"", "[replica]\nname = \"a\"").contains("one pgward alone"));
    assert!(wrong(url, "[replica]\nname = \"a b\"").contains("not a replica's name"));
    assert!(wrong(url, "[replica]\naddress = \"10.0.0.3\"").contains("not a host and a port"));
}
