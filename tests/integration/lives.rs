//! The whole life of a request, driven from each of the places where people are: asked for, approved, used, prolonged, revoked,
//! and all of it in the journal.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Case;
use crate::asking::{pending, proxy, rows, runtime};
use crate::support::browser::{Browser, Page};
use crate::support::{Bench, Credentials, Proxy, connect, wait_until};

pub const CASES: &[Case] = &[
    ("lives::of_a_request_four_ways", four_ways),
    ("lives::of_an_emergency_in_a_browser", emergency),
    ("lives::what_is_held_is_approved_in_a_browser", held_and_approved_in_a_browser),
];

const READ: &str = "SELECT body FROM app.life";

/// What a life has left: the request, and the grants that came of it.
struct Life {
    way: &'static str,
    request: String,
    grants: Vec<String>,
}

fn four_ways(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_lives");
    let by_sql = runtime().block_on(by_sql(&proxy, &alice));
    let mut lives = vec![by_shell(&proxy, &alice), by_api(&proxy, &alice), by_sql];
    if let Some(browser) = Browser::start(&proxy) {
        let (asks, approves) = (browser.logged_in(&proxy, "alice"), browser.logged_in(&proxy, "bob"));
        lives.push(by_web(&proxy, &alice, asks, approves));
    }
    for life in lives {
        assert_eq!(life.grants.iter().collect::<BTreeSet<_>>().len(), 2, "{}", life.way);
        is_told(
            &proxy,
            life.way,
            &["--request", &life.request],
            &["request_filed", "request_approved", "grant_created"],
        );
        is_told(&proxy, life.way, &["--grant", &life.grants[0]], &["grant_created", "statement", "grant_revoked"]);
        is_told(&proxy, life.way, &["--grant", &life.grants[1]], &["grant_created", "grant_revoked"]);
    }
    assert_eq!(proxy.json("bob", &["audit", "verify"])["ok"], true);
}

/// The journal has all of these.
fn is_told(proxy: &Proxy, way: &str, filter: &[&str], events: &[&str]) {
    let records = proxy.audit(filter);
    let told: BTreeSet<_> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    assert!(events.iter().all(|event| told.contains(event)), "{way}, {filter:?}: {told:?}");
}

fn is_there(proxy: &Proxy, alice: &Credentials) {
    let (out, err, ok) = proxy.sql(alice, READ);
    assert!(ok && out == "here", "{out}{err}");
}

fn is_refused(proxy: &Proxy, alice: &Credentials) {
    let (out, err, ok) = proxy.sql(alice, READ);
    assert!(!ok && out.is_empty() && err.contains("42501"), "{out}{err}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What an approver is shown.
fn shown(proxy: &Proxy, request: &str) -> Value {
    let all = proxy.json("bob", &["requests"]);
    all.as_array().unwrap().iter().find(|one| one["id"] == request).unwrap().clone()
}

fn by_shell(proxy: &Proxy, alice: &Credentials) -> Life {
    is_refused(proxy, alice);
    let filed = proxy.json("alice", &["request", "life", "--for", "30m", "--reason", "INC-1, by the shell"]);
    let request = text(&filed["id"]);
    let seen = text(&shown(proxy, &request)["digest"]);
    proxy.json("alice", &["edit", &request, "--for", "20m"]);
    let is = text(&shown(proxy, &request)["digest"]);
    assert!(!proxy.cli("bob", &["approve", &request, "--digest", &seen]).status.success(), "it was edited since");
    let approved = proxy.json("bob", &["approve", &request, "--digest", &is]);
    let grant = text(&approved["grant"]["id"]);
    is_there(proxy, alice);
    let more = proxy.json("alice", &["extend", &grant, "--for", "10m", "--reason", "not done"]);
    let prolonged = proxy.json("bob", &["approve", more["id"].as_str().unwrap()]);
    let grants = vec![grant, text(&prolonged["grant"]["id"])];
    grants.iter().for_each(|grant| proxy.revoke(grant));
    is_refused(proxy, alice);
    Life { way: "shell", request, grants }
}

fn by_api(proxy: &Proxy, alice: &Credentials) -> Life {
    is_refused(proxy, alice);
    let call = |person: &str, path: &str, body: Value| call(proxy, person, path, &body);
    let wish = json!({"scope": "life", "duration_seconds": 1800, "reason": "INC-2, by a program"});
    let filed = call("alice", "requests", wish);
    let request = text(&filed["id"]);
    let edited = call("alice", &format!("requests/{request}/edit"), json!({"duration_seconds": 1200}));
    let approve = format!("requests/{request}/approve");
    let late = call("bob", &approve, json!({"digest": filed["digest"]}));
    assert_eq!(late["status"], 409, "{late}");
    let own = call("alice", &approve, json!({"digest": edited["digest"]}));
    assert_eq!(own["status"], 403, "{own}");
    let approved = call("bob", &approve, json!({"digest": edited["digest"]}));
    let grant = text(&approved["grant"]["id"]);
    is_there(proxy, alice);
    let wish = json!({"duration_seconds": 600, "reason": "not done"});
    let more = call("alice", &format!("grants/{grant}/extend"), wish);
    let prolonged = call("bob", &format!("requests/{}/approve", text(&more["id"])), json!({}));
    let grants = vec![grant, text(&prolonged["grant"]["id"])];
    for grant in &grants {
        call("bob", &format!("grants/{grant}/revoke"), json!({"reason": "enough"}));
    }
    is_refused(proxy, alice);
    Life { way: "API", request, grants }
}

/// `POST /v1/PATH`, by a program of its own.
fn call(proxy: &Proxy, person: &str, path: &str, body: &Value) -> Value {
    let url = format!("https://127.0.0.1:{}/v1/{path}", proxy.setup.control_port);
    let output = Command::new("curl")
        .args(["-sS", "--cacert"])
        .arg(proxy.setup.certs.join("ca.crt"))
        .args(["-H", "Content-Type: application/json", "-H", &format!("Authorization: Bearer {}", proxy.token(person))])
        .args(["-d", &body.to_string(), &url])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{path}: {error}: {output:?}"))
}

/// In one session throughout, which another grant keeps open.
async fn by_sql(proxy: &Proxy, alice: &Credentials) -> Life {
    let client = connect(proxy, alice).await;
    let ask = async |sql: &'static str| rows(&client.simple_query(sql).await.unwrap());
    let mut grants = Vec::new();
    let mut request = String::new();
    for _twice in 0..2 {
        client.simple_query(READ).await.unwrap_err();
        let filed = ask("CALL pgward.request('life', '30 minutes', 'INC-3')").await;
        request.clone_from(&filed[0][0]);
        assert!(ask("SHOW pgward.requests").await.iter().any(|row| row[0] == request && row[2] == "pending"));
        let approved = tokio::task::block_in_place(|| proxy.json("bob", &["approve", &request]));
        let grant = text(&approved["grant"]["id"]);
        assert!(ask("SHOW pgward.grants").await.iter().any(|row| row.contains(&grant)));
        assert_eq!(ask(READ).await, [["here"]]);
        tokio::task::block_in_place(|| proxy.revoke(&grant));
        assert!(ask("SHOW pgward.grants").await.iter().all(|row| !row.contains(&grant)));
        grants.insert(0, grant);
    }
    client.simple_query(READ).await.unwrap_err();
    Life { way: "SQL", request, grants }
}

fn by_web(proxy: &Proxy, alice: &Credentials, asks: Page<'_>, approves: Page<'_>) -> Life {
    is_refused(proxy, alice);
    let approve = || {
        let request = text(&pending(proxy)["id"]);
        approves.click("Grants");
        approves.click("Queue");
        approves.text("1 waits for you.");
        approves.click("Approve");
        approves.text("Nothing waits for you.");
        let grant = text(&shown(proxy, &request)["grant"]["id"]);
        (request, grant)
    };
    asks.click("Ask");
    asks.fill("#scope", "life");
    asks.fill("#duration", "20m");
    asks.fill("#reason", "INC-4, in a browser");
    asks.run("document.querySelector('form.narrow').requestSubmit()");
    asks.text("1 more of @dba");
    let (request, grant) = approve();
    is_there(proxy, alice);
    asks.run("window.prompt = () => 'not done'; window.confirm = () => true");
    asks.click("My access");
    asks.text("What is granted to you now");
    asks.text("INC-4, in a browser");
    let of_life = |label: &str| {
        asks.run(&format!(
            "[...[...document.querySelectorAll('article')].find((one) => one.innerText.includes('INC-4'))\
             .querySelectorAll('button')].find((one) => one.textContent === '{label}').click()"
        ));
    };
    of_life("More time");
    asks.text("after the end of");
    let (_, prolonged) = approve();
    asks.click("My access");
    asks.text("What is granted to you now");
    asks.text("INC-4, in a browser");
    of_life("Give up");
    // The holder gives up one, the approver ends the other.
    wait_until("it is given up", Duration::from_secs(20), || {
        let live = proxy.json("bob", &["grants"]);
        live.as_array().unwrap().iter().all(|live| live["id"] != grant.as_str())
    });
    proxy.revoke(&prolonged);
    is_refused(proxy, alice);
    Life { way: "web", request, grants: vec![grant, prolonged] }
}

/// psql waits, somebody approves what they read in their browser, and psql has its rows.
fn held_and_approved_in_a_browser(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_web");
    let Some(browser) = Browser::start(&proxy) else { return };
    let approver = browser.logged_in(&proxy, "bob");
    approver.text("Nothing waits for you.");
    let psql = proxy
        .psql_with(&alice)
        .args(["-At", "-c", "SELECT body FROM app.notes WHERE id = 2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    approver.text("1 waits for you.");
    approver.text("SELECT body FROM app.notes WHERE id = 2");
    approver.shot("held");
    approver.click("Approve");
    approver.text("Nothing waits for you.");
    let done = psql.wait_with_output().unwrap();
    let (out, told) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && out.trim() == "two", "{out}{told}");
    assert!(told.contains("NOTICE") && told.contains("approval"), "{told}");
}

/// The glass is broken, the session is seen by others, and one of them closes the review.
fn emergency(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "ask_glass");
    let Some(browser) = Browser::start(&proxy) else { return };
    let (opens, watches) = (browser.logged_in(&proxy, "alice"), browser.logged_in(&proxy, "bob"));
    opens.click("Ask");
    opens.fill("#scope", "glass");
    opens.fill("#duration", "10m");
    opens.fill("#reason", "INC-9, the site is down");
    opens.run("window.confirm = () => true");
    opens.click("Break the glass");
    opens.text("until");
    let mut psql = proxy
        .psql_with(&alice)
        .args(["-At", "-c", "SELECT body FROM app.glass", "-c", "SELECT body FROM app.notes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The second statement waits for approval, and the session with it.
    watches.click("Sessions");
    watches.text("break-glass");
    watches.shot("break-glass");
    let waits = text(&pending(&proxy)["id"]);
    assert!(proxy.cli("bob", &["deny", &waits, "--note", "no"]).status.success());
    psql.wait().unwrap();
    let mut out = String::new();
    std::io::Read::read_to_string(&mut psql.stdout.take().unwrap(), &mut out).unwrap();
    assert_eq!(out.trim(), "in the cupboard");
    watches.click("Reviews");
    watches.text("alice opened glass");
    watches.fill("article input", "she read one table, and had to");
    watches.click("Close the review");
    watches.text("she read one table, and had to (bob)");
    opens.click("Reviews");
    assert_eq!(opens.run("document.querySelectorAll('article .actions').length"), 0, "never one's own");
    for event in ["break_glass_opened", "grant_created", "review_closed"] {
        assert!(!proxy.audit(&["--event", event]).is_empty(), "{event}");
    }
}
