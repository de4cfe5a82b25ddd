//! The program itself: everybody is told of a request's whole life, and what time alone brings about is recorded once, also by a
//! pgward that was down when it happened.

use std::time::Duration;

use serde_json::Value;

use crate::postgresql::bench;
use crate::receivers::HttpReceiver;
use crate::rig::{SECRET, certs, eventually};
use crate::support::{Proxy, Scopes, config};

const SCOPES: &str = r#"
[[scope]]
name = "quick"
database = "plain"
regions = ["us-east"]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "8h"
[[scope.allow]]
on = ["public.*"]
do = ["select"]
[scope.break_glass]
who = ["alice"]
max_duration = "1h"
alert = ["@dba"]
review_within = "1s"

[[scope]]
name = "fleeting"
database = "plain"
regions = ["us-east"]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "8h"
request_expires = "1s"
[[scope.allow]]
on = ["public.*"]
do = ["select"]
"#;

fn proxy(port: u16) -> Proxy {
    let certs = certs().display();
    let notify = format!(
        "[[notify]]\nname = \"ops\"\ntype = \"webhook\"\nurl_file = \"hook_url\"\nca = \"{certs}/ca.crt\"\nsecret_file = \"hook_secret\"\n\
         allow_private = true\nlink = \"https://pgward.example\"\n"
    );
    Proxy::start(bench(), &move |setup| {
        for (name, text) in [("hook_secret", SECRET), ("hook_url", &format!("https://localhost:{port}/in"))] {
            let path = setup.dir.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        config(setup, &Scopes { more: format!("{SCOPES}{notify}"), ..Scopes::default() })
    })
}

/// The events that were told, in order.
fn told(receiver: &HttpReceiver) -> Vec<String> {
    let event =
        |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["data"]["event"].as_str().unwrap().to_owned();
    receiver.accepted().iter().map(|request| event(&request.body)).collect()
}

fn recorded(proxy: &Proxy, event: &str) -> Vec<Value> {
    proxy.audit(&["--event", event])
}

fn request(proxy: &Proxy) -> String {
    let filed = proxy.json("alice", &["request", "fleeting", "--for", "1h", "--reason", "the tests need it"]);
    filed["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_of_a_requests_whole_life() {
    let receiver = HttpReceiver::start().await;
    let proxy = proxy(receiver.port);
    proxy.grant("alice", "quick", "2s");
    let expected = ["request_filed", "request_approved", "grant_created", "grant_expired"];
    eventually("its end is told", || told(&receiver).len() >= 4).await;
    assert_eq!(told(&receiver), expected);
    // Five minutes before its end, which is at once or nearly so.
    let ending = proxy.grant("alice", "quick", "302s");
    eventually("that it ends is told", || told(&receiver).iter().any(|event| event == "grant_ending")).await;
    let record = &recorded(&proxy, "grant_ending")[0];
    assert_eq!((&record["grant"], &record["scope"]), (&Value::from(ending.as_str()), &"quick".into()));
    proxy.revoke(&ending);
    request(&proxy);
    eventually("that nobody decided is told", || {
        told(&receiver).last().is_some_and(|event| event == "request_expired")
    })
    .await;
    let opened = proxy.json("alice", &["break-glass", "quick", "--for", "10m", "--reason", "orders are stuck"]);
    let grant = opened["grant"]["id"].as_str().unwrap();
    eventually("that nobody reviewed is told", || told(&receiver).iter().any(|event| event == "review_overdue")).await;
    assert_eq!(recorded(&proxy, "review_overdue")[0]["grant"], grant);
    let closed = proxy.cli("bob", &["review", grant, "--note", "it had to be"]);
    assert!(closed.status.success(), "{}", String::from_utf8_lossy(&closed.stderr));
    eventually("the review is told", || told(&receiver).last().is_some_and(|event| event == "review_closed")).await;
    let rest =
        ["grant_revoked", "request_filed", "request_expired", "break_glass_opened", "grant_created", "review_overdue"];
    let all = told(&receiver);
    let after: Vec<&str> = all.iter().map(String::as_str).skip_while(|event| *event != "grant_revoked").collect();
    assert_eq!(after[..6], rest);
    // What is needed goes along.
    let body: Value = serde_json::from_slice(&receiver.accepted()[0].body).unwrap();
    assert_eq!(body["data"]["requirements"][0]["approvers"], serde_json::json!(["@dba"]));
    assert_eq!((&body["data"]["duration_seconds"], &body["data"]["reason"]), (&2.into(), &"the tests need it".into()));
    assert!(!proxy.log().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lapsed_while_pgward_was_down_is_recorded_once() {
    let receiver = HttpReceiver::start().await;
    let proxy = proxy(receiver.port);
    let mark = proxy.setup.dir.join("audit/lapses.json");
    eventually("there is a mark", || mark.exists()).await;
    let old = std::fs::read(&mark).unwrap();
    let (grant, unanswered) = (proxy.grant("alice", "quick", "2s"), request(&proxy));
    proxy.crash_then(|_| std::thread::sleep(Duration::from_secs(3)));
    let both = |proxy: &Proxy| (recorded(proxy, "grant_expired"), recorded(proxy, "request_expired"));
    eventually("both are recorded", || both(&proxy).0.len() == 1 && both(&proxy).1.len() == 1).await;
    assert_eq!((&both(&proxy).0[0]["grant"], &both(&proxy).1[0]["request"]), (&grant.into(), &unanswered.into()));
    // A mark that was not kept in time, or is of long ago.
    proxy.crash_then(|_| std::fs::write(&mark, &old).unwrap());
    proxy.grant("alice", "quick", "1s");
    eventually("it goes on", || recorded(&proxy, "grant_expired").len() >= 2).await;
    assert_eq!((recorded(&proxy, "grant_expired").len(), recorded(&proxy, "request_expired").len()), (2, 1));
    let events = ["grant_expired", "request_expired"].map(|event| (event, recorded(&proxy, event).len()));
    eventually("all are told", || {
        events.iter().all(|(event, count)| told(&receiver).iter().filter(|told| told == event).count() == *count)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_notification_is_told_before_anything_starts() {
    let proxy = proxy(1);
    let path = proxy.setup.dir.join("proxy.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let check = |url: &str, text: &str| {
        std::fs::write(proxy.setup.dir.join("hook_url"), url).unwrap();
        std::fs::write(&path, text).unwrap();
        let output = proxy.cli("bob", &["check", "--config", path.to_str().unwrap()]);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (ok, said) = check("https://hooks.example/in", &good);
    assert!(ok, "{said}");
    let (ok, said) = check("https://169.254.169.254/hidden-key", &good);
    assert!(
        !ok && said.contains("notification \"ops\"") && said.contains("link-local") && !said.contains("hidden-key"),
        "{said}"
    );
    let (ok, said) = check("ftp://hidden-key", &good);
    assert!(!ok && said.contains("is not an https:// URL") && !said.contains("hidden-key"), "{said}");
    let (ok, said) =
        check("https://hooks.example/in", &good.replace("link = \"https://pgward", "links = \"https://pgward"));
    assert!(!ok && said.contains("proxy.toml:") && said.contains("notify[0].links: unknown key"), "{said}");
}
