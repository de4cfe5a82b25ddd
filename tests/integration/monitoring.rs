//! What those who watch see: the figures of `/metrics`, and that the dashboard and the alert rules name none that is not there,
//! and their page leaves none out.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, Setup, config, root, wait_until};
use crate::witness::Witness;

pub const CASES: &[Case] = &[
    ("monitoring::every_metric_that_is_named_is_exposed", named_and_exposed),
    ("monitoring::the_dashboard_is_whole", dashboard),
    ("monitoring::requests_grants_and_reviews_are_counted", counted),
    ("monitoring::a_store_that_is_gone_shows", store_gone),
];

const PATIENCE: Duration = Duration::from_secs(60);

/// A scope that alice may open at once, whose review is late after a second.
const EMERGENCY: &str = "
[[scope]]
name = \"emergency\"
database = \"plain\"
requesters = [\"@dev\"]
approvers = [\"@dba\"]
max_duration = \"1h\"
[[scope.allow]]
on = [\"public.*\"]
do = [\"select\"]
[scope.break_glass]
who = [\"@dev\"]
max_duration = \"10m\"
review_within = \"1s\"
";

fn named_and_exposed(bench: &Bench) {
    let witness = std::sync::Mutex::new(None);
    let proxy = Proxy::start(bench, &|setup: &Setup| {
        let started = Witness::start(&setup.dir);
        let archive = setup.dir.join("archive");
        let sink = format!(
            "[[audit.sink]]\nname = \"archive\"\ntype = \"object_storage\"\nurl = \"file://{}\"\n",
            archive.display()
        );
        let more = format!("{}\n{sink}", started.config("1h"));
        *witness.lock().unwrap() = Some(started);
        config(setup, &Scopes { more, ..Scopes::default() })
    });
    // A metric by label is there from its first event on.
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    assert!(proxy.sql(&alice, "SELECT 1").2);
    assert!(!proxy.sql(&alice, "DROP TABLE public.anything").2);

    let named = names(&["deploy/grafana/pgward.json", "deploy/prometheus/alerts.yml"]);
    assert!(named.len() > 25, "{named:?}");
    let missing = || {
        let exposed = exposed(&proxy.metrics());
        named.iter().filter(|name| !exposed.contains(*name)).cloned().collect::<Vec<_>>()
    };
    let begun = Instant::now();
    while !missing().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "named by the dashboard or the alerts, and not exposed: {:?}", missing());
        std::thread::sleep(Duration::from_millis(200));
    }
    let documented = names(&["docs/monitoring.md"]);
    let of_histogram = ["_bucket", "_sum", "_count"];
    let unknown: Vec<String> = exposed(&proxy.metrics())
        .into_iter()
        .filter(|name| !documented.contains(name) && !of_histogram.iter().any(|end| name.ends_with(end)))
        .collect();
    assert_eq!(unknown, [""; 0], "exposed, and not in docs/monitoring.md");
}

/// Grafana leaves out without a word what it cannot read.
fn dashboard(_bench: &Bench) {
    let text = std::fs::read_to_string(root().join("deploy/grafana/pgward.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&dashboard["uid"], &dashboard["title"]), (&"pgward".into(), &"pgward".into()));
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels of one id: {panel}");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "wider than the page: {}", panel["title"]);
        for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(cells.insert((x, y)), "\"{}\" lies upon another panel", panel["title"]);
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{}", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("pgward_") && expression.contains("$instance"), "{expression}");
            assert_eq!(target["datasource"]["uid"], "${datasource}");
        }
    }
    assert!(ids.len() > 30, "{}", ids.len());
}

/// The metrics that files name.
fn names(files: &[&str]) -> BTreeSet<String> {
    let text = files.iter().map(|file| std::fs::read_to_string(root().join(file)).unwrap() + "\n").collect::<String>();
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_name(character));
    words.filter(|word| word.starts_with("pgward_")).map(str::to_owned).collect()
}

/// The names of the samples on the page, and of the histograms that they belong to.
fn exposed(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names = samples.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned);
    let histograms = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram"));
    names.chain(histograms.map(str::to_owned)).collect()
}

/// The value of one sample.
fn value(page: &str, sample: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

fn wait_for(proxy: &Proxy, wanted: &[(&str, f64)]) {
    let begun = Instant::now();
    loop {
        let page = proxy.metrics();
        let wrong = wanted.iter().find(|(sample, wanted)| value(&page, sample) != Some(*wanted));
        let Some((sample, wanted)) = wrong else { return };
        assert!(begun.elapsed() < PATIENCE, "{sample} is {:?}, not {wanted}", value(&page, sample));
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn counted(bench: &Bench) {
    let proxy = Proxy::start(bench, &|setup: &Setup| {
        config(setup, &Scopes { more: EMERGENCY.to_owned(), ..Scopes::default() })
    });
    wait_for(
        &proxy,
        &[
            ("pgward_requests_pending", 0.0),
            ("pgward_requests_total{state=\"approved\"}", 0.0),
            ("pgward_grants_live", 0.0),
            ("pgward_break_glass_open", 0.0),
            ("pgward_reviews_open", 0.0),
            ("pgward_reviews_overdue", 0.0),
            ("pgward_store_up", 1.0),
            ("pgward_journal_writable", 1.0),
        ],
    );
    let ask = || {
        let filed = proxy.json("alice", &["request", "plain-read", "--for", "30m", "--reason", "to be counted"]);
        filed["id"].as_str().unwrap().to_owned()
    };
    let (denied, withdrawn, _left) = (ask(), ask(), ask());
    let grant = proxy.grant("alice", "plain-read", "30m");
    assert!(proxy.cli("bob", &["deny", &denied, "--note", "no"]).status.success());
    assert!(proxy.cli("alice", &["withdraw", &withdrawn]).status.success());
    wait_for(
        &proxy,
        &[
            ("pgward_requests_pending", 1.0),
            ("pgward_requests_total{state=\"approved\"}", 1.0),
            ("pgward_requests_total{state=\"denied\"}", 1.0),
            ("pgward_requests_total{state=\"withdrawn\"}", 1.0),
            ("pgward_requests_total{state=\"expired\"}", 0.0),
            ("pgward_request_decisions_total{decision=\"approve\"}", 1.0),
            ("pgward_request_decisions_total{decision=\"deny\"}", 1.0),
            ("pgward_request_decision_seconds_count", 2.0),
            ("pgward_grants_live", 1.0),
        ],
    );
    proxy.revoke(&grant);
    wait_for(&proxy, &[("pgward_grants_live", 0.0)]);

    let opened = proxy.json("alice", &["break-glass", "emergency", "--for", "5m", "--reason", "the site is down"]);
    let opened = opened["grant"]["id"].as_str().unwrap().to_owned();
    wait_for(
        &proxy,
        &[
            ("pgward_break_glass_open", 1.0),
            ("pgward_grants_live", 1.0),
            ("pgward_reviews_open", 1.0),
            ("pgward_reviews_overdue", 1.0),
        ],
    );
    assert!(proxy.cli("bob", &["review", &opened, "--note", "it had to be"]).status.success());
    proxy.revoke(&opened);
    wait_for(
        &proxy,
        &[
            ("pgward_break_glass_open", 0.0),
            ("pgward_reviews_open", 0.0),
            ("pgward_reviews_overdue", 0.0),
            ("pgward_requests_total{state=\"approved\"}", 2.0),
        ],
    );
    // Counted in the store: a restart forgets none.
    proxy.crash_and_restart();
    wait_for(&proxy, &[("pgward_requests_total{state=\"approved\"}", 2.0), ("pgward_requests_pending", 1.0)]);
}

fn store_gone(bench: &Bench) {
    let proxy = Proxy::start(bench, &|setup: &Setup| config(setup, &Scopes::default()));
    wait_for(&proxy, &[("pgward_store_up", 1.0)]);
    let (file, away) = (proxy.setup.dir.join("pgward.db"), proxy.setup.dir.join("pgward.db.away"));
    std::fs::rename(&file, &away).unwrap();
    wait_for(&proxy, &[("pgward_store_up", 0.0), ("pgward_journal_writable", 1.0)]);
    std::fs::rename(&away, &file).unwrap();
    wait_until("the store is back", PATIENCE, || value(&proxy.metrics(), "pgward_store_up") == Some(1.0));
}
