//! The program itself, with sinks in its configuration, clients on it, and an end that comes suddenly.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::postgresql::bench;
use crate::receivers::{Answer, HttpReceiver};
use crate::rig::{SECRET, certs, eventually};
use crate::support::{Proxy, Scopes, config};

/// A proxy with `[[audit.sink]]` as `more` says.
fn proxy(more: &str) -> Proxy {
    let more = more.to_owned();
    Proxy::start(bench(), &move |setup| {
        let secret = setup.dir.join("webhook_secret");
        std::fs::write(&secret, SECRET).unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        config(setup, &Scopes { more: more.clone(), ..Scopes::default() })
    })
}

fn webhook_sink(port: u16) -> String {
    let certs = certs().display();
    format!(
        "[[audit.sink]]\nname = \"siem\"\ntype = \"webhook\"\nurl = \"https://localhost:{port}/\"\nca = \"{certs}/ca.crt\"\n\
         secret_file = \"webhook_secret\"\nallow_private = true\nbatch_records = 7\n"
    )
}

fn seqs(receiver: &HttpReceiver) -> Vec<u64> {
    let records = receiver.accepted().into_iter().flat_map(|request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        body["data"]["records"].as_array().unwrap().clone()
    });
    records.map(|record| record["seq"].as_u64().unwrap()).collect()
}

/// The journal's records, read from its files.
fn written(proxy: &Proxy) -> BTreeSet<u64> {
    let output = proxy.cli("bob", &["audit", "export", "--format", "jsonl", "--dir", &audit_dir(proxy)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect()
}

fn audit_dir(proxy: &Proxy) -> String {
    let text = std::fs::read_to_string(proxy.setup.dir.join("proxy.toml")).unwrap();
    let section = text.split("[audit]").nth(1).unwrap();
    let dir = section.split("dir = \"").nth(1).unwrap().split('"').next().unwrap();
    proxy.setup.dir.join(dir).display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_every_record_arrives_all_the_same() {
    let receiver = HttpReceiver::start().await;
    let proxy = proxy(&webhook_sink(receiver.port));
    proxy.grant("alice", "plain-read", "1h");
    let minted = proxy.credentials("alice", "plain");
    for round in 0..3 {
        // The receiver has some and has not answered for others when the program dies.
        receiver.answer([Answer::status(200), Answer::status(500)]);
        for number in 0..10 {
            let (out, error, ok) = proxy.sql(&minted, &format!("SELECT {number} + {round}"));
            assert!(ok && out == (number + round).to_string(), "{error}");
            if number == 5 {
                receiver.hold();
            }
        }
        proxy.crash_and_restart();
        receiver.release();
    }
    eventually("all arrive", || {
        let came: BTreeSet<u64> = seqs(&receiver).into_iter().collect();
        let all = written(&proxy);
        came.is_superset(&all) && all.len() > 60
    })
    .await;
    // In order, but for what was begun anew.
    let came = seqs(&receiver);
    let again = came.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(again <= 3, "{again} times begun anew in {came:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_delays_nobody() {
    let receiver = HttpReceiver::start().await;
    receiver.hold();
    let proxy = proxy(&webhook_sink(receiver.port));
    proxy.grant("alice", "plain-read", "1h");
    let minted = proxy.credentials("alice", "plain");
    for number in 0..20 {
        let (out, error, ok) = proxy.sql(&minted, &format!("SELECT {number}"));
        assert!(ok && out == number.to_string(), "{error}");
    }
    assert!(receiver.accepted().is_empty());
    eventually("the lag shows", || {
        let metrics = proxy.metrics();
        let line = metrics.lines().find(|line| line.starts_with("pgward_audit_sink_lag_records{sink=\"siem\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).is_some_and(|lag| lag > 40)
    })
    .await;
    receiver.release();
    eventually("all arrive", || {
        let came: BTreeSet<u64> = seqs(&receiver).into_iter().collect();
        came.is_superset(&written(&proxy))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_comes_with_a_reload_and_a_bad_one_changes_nothing() {
    let receiver = HttpReceiver::start().await;
    let proxy = proxy("");
    let path = proxy.setup.dir.join("proxy.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, before.clone() + &webhook_sink(receiver.port).replace("webhook_secret", "no_such_file"))
        .unwrap();
    proxy.signal("HUP");
    eventually("it is refused", || proxy.log().contains("configuration refused")).await;
    assert!(receiver.came().is_empty());
    std::fs::write(&path, before + &webhook_sink(receiver.port)).unwrap();
    proxy.signal("HUP");
    eventually("all arrive", || {
        let came: BTreeSet<u64> = seqs(&receiver).into_iter().collect();
        came.len() >= 3 && came.is_superset(&written(&proxy))
    })
    .await;
    assert!(!proxy.log().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_record_of_a_program_that_ends_goes_along() {
    let receiver = HttpReceiver::start().await;
    let proxy = proxy(&webhook_sink(receiver.port));
    eventually("the first arrive", || !receiver.accepted().is_empty()).await;
    proxy.signal("TERM");
    eventually("it has ended", || !proxy.is_running()).await;
    let last = receiver.accepted().pop().unwrap();
    let body: Value = serde_json::from_slice(&last.body).unwrap();
    assert_eq!(body["data"]["records"].as_array().unwrap().last().unwrap()["event"], "journal_closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_sink_is_told_before_anything_starts() {
    let proxy = proxy("");
    let path = proxy.setup.dir.join("proxy.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let check = |sink: &str| {
        std::fs::write(&path, before.clone() + sink).unwrap();
        let output = proxy.cli("bob", &["check", "--config", path.to_str().unwrap()]);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let good = webhook_sink(1);
    assert!(check(&good).0, "{}", check(&good).1);
    let (ok, told) = check(&good.replace("localhost:1", "169.254.169.254"));
    assert!(!ok && told.contains("sink \"siem\"") && told.contains("link-local"), "{told}");
    std::fs::write(proxy.setup.dir.join("webhook_secret"), "not base64!").unwrap();
    let (ok, told) = check(&good);
    assert!(!ok && told.contains("whsec_") && !told.contains("not base64!"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_exported_as_ocsf_with_a_server_and_without() {
    let proxy = proxy("");
    proxy.grant("alice", "plain-read", "1h");
    let minted = proxy.credentials("alice", "plain");
    assert!(proxy.sql(&minted, "SELECT 42").2);
    let export = |more: &[&str]| -> Vec<Value> {
        let output =
            proxy.cli("bob", &[&["audit", "export", "--format", "ocsf", "--text", "SELECT 42"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (online, offline) = (export(&[]), export(&["--dir", &audit_dir(&proxy)]));
    assert_eq!(online, offline);
    assert_eq!(online.len(), 1);
    assert_eq!(online[0]["class_uid"], 6005);
    assert_eq!(online[0]["query_info"]["query_string"], "SELECT 42");
    assert_eq!(online[0]["actor"]["user"]["name"], "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_region_keeps_goes_to_no_sink_that_does_not_name_it() {
    let (outside, inside) = (HttpReceiver::start().await, HttpReceiver::start().await);
    let of_region = webhook_sink(inside.port).replace("siem", "inside") + "regions = [\"us-east\"]\n";
    let keeps = "[regions.us-east.audit]\ndir = \"kept\"\n";
    let proxy = proxy(&(webhook_sink(outside.port) + &of_region + keeps));
    proxy.grant("alice", "plain-read", "1h");
    let minted = proxy.credentials("alice", "plain");
    assert!(proxy.sql(&minted, "SELECT 'of the region'").2);
    let text = |receiver: &HttpReceiver| -> String {
        receiver.accepted().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
    };
    eventually("the region's own sink has it", || text(&inside).contains("of the region")).await;
    proxy.signal("TERM");
    eventually("it has ended", || !proxy.is_running()).await;
    let outside = text(&outside);
    assert!(outside.contains("journal_closed") && outside.contains("grant_created"), "{outside}");
    assert!(!outside.contains("of the region") && !outside.contains("session_open"), "{outside}");
}
