//! The control port and its command line: who may ask, approve, see and end what.

use crate::Case;
use crate::support::Bench;

pub const CASES: &[Case] = &[
    ("control::the_life_of_a_request", life_of_a_request),
    ("control::nobody_approves_their_own", nobody_approves_their_own),
    ("control::explain_says_why", explain_says_why),
    ("control::exit_codes_and_messages", exit_codes_and_messages),
    ("control::metrics_and_health", metrics_and_health),
    ("control::reload_keeps_the_old_settings_when_the_new_are_wrong", reload),
    ("control::reload_takes_a_new_certificate", reload_takes_a_new_certificate),
    ("control::check_names_file_line_and_key", check_names_file_line_and_key),
];

fn life_of_a_request(bench: &Bench) {
    let proxy = bench.proxy();
    let filed = proxy.json("alice", &["request", "world", "--for", "30m", "--reason", "look", "--ticket", "INC-1"]);
    assert_eq!((filed["state"].as_str(), filed["grant"].is_null()), (Some("pending"), true), "{filed}");
    let id = filed["id"].as_str().unwrap().to_owned();
    let waiting = proxy.json("bob", &["requests"]);
    assert!(waiting.as_array().unwrap().iter().any(|request| request["id"] == id.as_str()), "{waiting}");
    assert!(!proxy.json("dave", &["requests"]).to_string().contains(&id), "dave has nothing to do with it");
    let approved = proxy.json("bob", &["approve", &id, "--note", "fine"]);
    assert_eq!((approved["id"].as_str(), approved["state"].as_str()), (Some(id.as_str()), Some("approved")));
    for field in ["id", "not_before", "expires_at"] {
        assert!(approved["grant"][field].is_string(), "{approved}");
    }
    let grants = proxy.json("alice", &["grants"]);
    assert_eq!(grants[0]["id"], approved["grant"]["id"]);
    let denied = proxy.json("alice", &["request", "world", "--for", "5m", "--reason", "again"]);
    let id = denied["id"].as_str().unwrap();
    assert_eq!(proxy.json("bob", &["deny", id, "--note", "no"])["state"], "denied");
    assert!(!proxy.cli("carol", &["approve", id]).status.success(), "denied stays denied");
    let withdrawn = proxy.json("alice", &["request", "world", "--for", "5m", "--reason", "again"]);
    let id = withdrawn["id"].as_str().unwrap();
    assert_eq!(proxy.json("alice", &["withdraw", id])["state"], "withdrawn");
    assert_eq!(proxy.cli("bob", &["approve", id]).status.code(), Some(1));
    let events: Vec<String> = proxy.audit(&[]).iter().filter_map(|r| r["event"].as_str().map(str::to_owned)).collect();
    for event in ["request_filed", "request_approved", "grant_created", "request_denied", "request_withdrawn"] {
        assert!(events.iter().any(|have| have == event), "{event} in {events:?}");
    }
}

fn nobody_approves_their_own(bench: &Bench) {
    let proxy = bench.proxy();
    let filed = proxy.json("carol", &["request", "plain-two", "--for", "5m", "--reason", "mine"]);
    let id = filed["id"].as_str().unwrap();
    let own = proxy.cli("carol", &["approve", id]);
    assert_eq!(own.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&own.stderr).contains("own request"), "{}", String::from_utf8_lossy(&own.stderr));
    assert!(!proxy.cli("alice", &["approve", id]).status.success(), "alice is no approver");
    assert_eq!(proxy.json("bob", &["approve", id])["state"], "pending");
    assert!(!proxy.cli("bob", &["approve", id]).status.success(), "a person counts once");
}

fn explain_says_why(bench: &Bench) {
    let proxy = bench.proxy();
    let grant = proxy.grant("alice", "world", "30m");
    let allowed = proxy.json("alice", &["explain", "shop", "--user", "alice", "SELECT id FROM orders"]);
    assert_eq!(
        (allowed["verdict"].as_str(), allowed["grant"].as_str()),
        (Some("allow"), Some(grant.as_str())),
        "{allowed}"
    );
    let steps = |answer: &serde_json::Value| -> Vec<String> {
        answer["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap().to_owned()).collect()
    };
    let told = "WITH q AS (SELECT id FROM v_orders) SELECT upper(o.status) FROM orders o, q WHERE o.id = q.id";
    let told = steps(&proxy.json("alice", &["explain", "shop", "--user", "alice", told]));
    for expected in [
        "statement 1 of 1 is SELECT, bytes 0 to",
        "v_orders is view public.v_orders, by the search path",
        "behind view public.v_orders lies public.orders",
        "q is the table of WITH of that name",
        "o stands for orders",
        "column status is public.orders.status",
        "function upper is pg_catalog.upper(text)",
        "operator = is pg_catalog.int",
        "data of \"shop\" lies in region",
        "allows it: select on public.v_orders (id); select on public.orders (id, status)",
    ] {
        assert!(told.iter().any(|step| step.contains(expected)), "{expected}: {told:#?}");
    }
    let denied = proxy.json("bob", &["explain", "shop", "--user", "alice", "SELECT 1; SELECT ssn FROM customers"]);
    let told = steps(&denied);
    assert!(told.iter().any(|step| step.starts_with("statement 2 of 2")), "{told:#?}");
    assert!(told.last().is_some_and(|step| step.contains("does not: permission denied for column ssn")), "{told:#?}");
    assert_eq!((denied["verdict"].as_str(), denied["rule"].as_str()), (Some("deny"), Some("column")), "{denied}");
    assert!(denied["detail"].as_str().unwrap().contains("ssn") && denied["relations"].is_array(), "{denied}");
    assert!(denied["fingerprint"].is_string());
    assert!(
        !proxy.cli("erin", &["explain", "shop", "--user", "alice", "SELECT 1"]).status.success(),
        "not her business"
    );
}

fn exit_codes_and_messages(bench: &Bench) {
    let proxy = bench.proxy();
    for (arguments, code, says) in [
        (&["request", "nosuch", "--for", "5m", "--reason", "x"][..], 1, "nosuch"),
        (&["request", "world", "--for", "9h", "--reason", "x"], 1, "8h"),
        (&["request", "world", "--for", "5m"], 2, "--reason"),
        (&["approve", "req_unknown"], 1, "no such request"),
        (&["revoke", "gr_unknown"], 1, "no such grant"),
        (&["frobnicate"], 2, "frobnicate"),
    ] {
        let output = proxy.cli("alice", arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
    let stranger = std::process::Command::new(crate::support::binary())
        .args([
            "grants",
            "--token",
            "pgw_wrong",
            "--url",
            &format!("https://127.0.0.1:{}", proxy.setup.control_port),
            "--ca",
        ])
        .arg(proxy.setup.certs.join("ca.crt"))
        .env("HOME", &proxy.setup.dir)
        .output()
        .unwrap();
    assert_eq!(stranger.status.code(), Some(1));
}

fn metrics_and_health(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    proxy.sql(&alice, "SELECT 1");
    let get = |path: &str| {
        let output = std::process::Command::new("/usr/bin/python3")
            .args(["-c", FETCH, &format!("https://localhost:{}{path}", proxy.setup.control_port)])
            .arg(proxy.setup.certs.join("ca.crt"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    assert!(get("/metrics").contains("pgward_statements"), "{}", get("/metrics"));
    assert!(get("/healthz").starts_with("200"), "{}", get("/healthz"));
    assert!(get("/readyz").starts_with("200"), "{}", get("/readyz"));
    let document = get("/v1/openapi.json");
    assert!(document.contains("/v1/requests") && document.contains("\"openapi\""), "{document}");
}

/// Fetches a URL over verified TLS and prints status and body.
const FETCH: &str = "import ssl, sys, urllib.request as u\n\
    r = u.urlopen(sys.argv[1], context=ssl.create_default_context(cafile=sys.argv[2]))\n\
    print(r.status, r.read().decode())";

fn reload(bench: &Bench) {
    let proxy = bench.proxy();
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let file = proxy.setup.dir.join("proxy.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("[audit]", "[audit]\nnosuch = 1")).unwrap();
    proxy.signal("HUP");
    crate::support::wait_until("the log says so", std::time::Duration::from_secs(10), || {
        proxy.log().contains("nosuch")
    });
    assert!(proxy.sql(&alice, "SELECT 1").2, "the old settings hold");
    assert!(proxy.audit(&[]).iter().any(|record| record["event"] == "config_refused"));

    std::fs::write(&file, good.replace("name = \"plain-two\"", "name = \"plain-renamed\"")).unwrap();
    proxy.signal("HUP");
    crate::support::wait_until("the new scope can be asked for", std::time::Duration::from_secs(10), || {
        proxy.cli("alice", &["request", "plain-renamed", "--for", "5m", "--reason", "new"]).status.success()
    });
    assert!(proxy.sql(&alice, "SELECT 1").2, "grants outlive a reload");
}

fn reload_takes_a_new_certificate(bench: &Bench) {
    let certificates = |dir: &std::path::Path| {
        let made = std::process::Command::new(crate::support::binary()).arg("dev-certs").arg(dir).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let proxy = crate::support::Proxy::start(bench, &|setup| {
        certificates(&setup.dir.join("own"));
        let text = crate::support::config(setup, &crate::support::Scopes::default());
        let (theirs, own) = (setup.certs.display(), setup.dir.join("own"));
        let text = text.replacen(&format!("{theirs}/server.crt"), &format!("{}/server.crt", own.display()), 1);
        text.replacen(&format!("{theirs}/server.key"), &format!("{}/server.key", own.display()), 1)
    });
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let verifies_by = |ca: &std::path::Path| {
        let mut psql = proxy.psql_with(&alice);
        psql.env("PGSSLROOTCERT", ca).args(["-c", "SELECT 1"]).output().unwrap().status.success()
    };
    let (own, new) = (proxy.setup.dir.join("own"), proxy.setup.dir.join("new"));
    assert!(verifies_by(&own.join("ca.crt")));
    certificates(&new);
    for file in ["server.crt", "server.key"] {
        std::fs::copy(new.join(file), own.join(file)).unwrap();
    }
    proxy.signal("HUP");
    crate::support::wait_until("the new certificate is shown", std::time::Duration::from_secs(10), || {
        verifies_by(&new.join("ca.crt"))
    });
    assert!(!verifies_by(&own.join("ca.crt")), "the old one is not");
}

fn check_names_file_line_and_key(bench: &Bench) {
    let proxy = bench.proxy();
    let good = std::fs::read_to_string(proxy.setup.dir.join("proxy.toml")).unwrap();
    let check = |text: &str| {
        let file = proxy.setup.dir.join("checked.toml");
        std::fs::write(&file, text).unwrap();
        let output = std::process::Command::new(crate::support::binary())
            .args(["check", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, err) = check(&good);
    assert_eq!(code, Some(0), "{err}");
    let line = good.lines().position(|line| line.starts_with("region = \"us-east\"")).unwrap() + 1;
    let (code, err) = check(&good.replacen("region = \"us-east\"", "regoin = \"us-east\"", 1));
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!("checked.toml:{line}:")) && err.contains("regoin") && err.contains("region"),
        "{err}"
    );
    let (_, err) = check(&good.replace("do = [\"select\"]", "do = [\"selct\"]"));
    assert!(err.contains("selct") && err.contains("select"), "{err}");
    let (code, err) = check(&good.replace("shop_password", "no_such_file"));
    assert!(code == Some(1) && err.contains("no_such_file"), "{err}");
}
