//! Unusual access on a real database: told, held until somebody else lets it go on, or ended.

use std::time::Duration;

use crate::Case;
use crate::support::browser::Browser;
use crate::support::{Bench, Credentials, Proxy, Scopes, config, connect, wait_until};

pub const CASES: &[Case] = &[
    ("unusual::a_new_relation_is_told", told),
    ("unusual::what_is_held_goes_on_when_it_is_released", held),
    ("unusual::a_session_is_ended", ended),
    ("unusual::bad_settings_are_refused_with_their_line", refused),
];

/// Nothing has to be learnt for long here.
fn proxy(bench: &Bench, rules: &str) -> (Proxy, Credentials) {
    let unusual = format!("[unusual]\nlearn = \"1s\"\nremember = \"1d\"\n{rules}\n");
    let proxy = Proxy::start(bench, &|setup| config(setup, &Scopes { more: unusual.clone(), ..Scopes::default() }));
    proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    (proxy, alice)
}

/// The records of what was unusual in this way, once there are some.
fn found(proxy: &Proxy, rule: &str) -> Vec<serde_json::Value> {
    let find = || proxy.audit(&["--event", "unusual_access", "--rule", rule]);
    wait_until(&format!("{rule} is told"), Duration::from_secs(20), || !find().is_empty());
    find()
}

/// Two relations of the plain database: alice reads the first for longer than is learnt.
fn learn(proxy: &Proxy, alice: &Credentials) {
    let (_, err, ok) = proxy.sql(alice, "SELECT count(*) FROM public.notes");
    assert!(ok, "{err}");
    std::thread::sleep(Duration::from_millis(1_100));
    let (_, err, ok) = proxy.sql(alice, "SELECT count(*) FROM public.notes");
    assert!(ok, "{err}");
    assert!(proxy.audit(&["--event", "unusual_access"]).is_empty());
}

fn told(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "");
    learn(&proxy, &alice);
    let (_, err, ok) = proxy.sql(&alice, "SELECT * FROM public.sink");
    assert!(ok, "it is told, not refused: {err}");
    let told = found(&proxy, "first_relation");
    assert_eq!((told.len(), &told[0]["principal"]), (1, &"alice".into()));
    assert!(told[0]["detail"].as_str().unwrap().contains("it never touched public.sink"), "{told:?}");
    let statement = proxy.audit(&["--text", "public.sink"]);
    assert_eq!(told[0]["statement_seq"], statement[0]["seq"], "it names the statement");
    assert!(proxy.metrics().contains("pgward_unusual_total{rule=\"first_relation\"} 1"));
    // The same again is no news.
    proxy.sql(&alice, "SELECT * FROM public.sink");
    proxy.crash_and_restart();
    proxy.sql(&alice, "SELECT * FROM public.sink");
    assert_eq!(proxy.audit(&["--event", "unusual_access"]).len(), 1, "it was learnt, across a restart, too");
}

fn held(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "[unusual.denial_burst]\naction = \"hold\"\ncount = 3\nwithin = \"1m\"");
    let proxy = &proxy;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = connect(proxy, &alice).await;
        for _ in 0..3 {
            client.simple_query("DELETE FROM public.notes WHERE true").await.unwrap_err();
        }
        tokio::task::block_in_place(|| found(proxy, "denial_burst"));
        let refused = client.query("SELECT 1", &[]).await.unwrap_err();
        let said = refused.as_db_error().unwrap();
        assert_eq!(said.code().code(), "42501");
        assert!(
            said.detail().unwrap().contains("3 statements were refused within 60 seconds (rule unusual)"),
            "{said:?}"
        );
        assert!(said.hint().unwrap().contains("pgward release"), "{said:?}");
        // Neither a new session nor a restart gets round it.
        tokio::task::block_in_place(|| {
            let (_, err, ok) = proxy.sql(&alice, "SELECT 1");
            assert!(!ok && err.contains("rule unusual"), "{err}");
            proxy.crash_and_restart();
            let (_, err, ok) = proxy.sql(&alice, "SELECT 1");
            assert!(!ok && err.contains("rule unusual"), "{err}");
            let held = proxy.json("bob", &["held"]);
            assert_eq!((&held[0]["principal"], held.as_array().unwrap().len()), (&"alice".into(), 1));
            assert!(!proxy.cli("alice", &["release", "alice"]).status.success(), "never by oneself");
            assert!(!proxy.cli("erin", &["release", "alice"]).status.success(), "only by administrators");
            released(proxy);
        });
        let client = connect(proxy, &alice).await;
        client.query("SELECT 1", &[]).await.unwrap();
    });
    let released = proxy.audit(&["--event", "access_released"]);
    assert_eq!(
        (&released[0]["principal"], &released[0]["detail"]),
        (&"alice".into(), &"released by bob: a typo in her script".into())
    );
    let denied = proxy.audit(&["--rule", "unusual", "--event", "statement"]);
    assert!(!denied.is_empty() && denied.iter().all(|record| record["verdict"] == "deny"));
}

/// By the page of sessions, where there is a browser.
fn released(proxy: &Proxy) {
    let reason = "a typo in her script";
    let Some(browser) = Browser::start(proxy) else {
        proxy.json("bob", &["release", "alice", "--reason", reason]);
        return;
    };
    let bob = browser.logged_in(proxy, "bob");
    bob.click("Sessions");
    bob.text("Statements of alice are held: denial_burst");
    bob.shot("held-principal");
    bob.run(&format!("window.prompt = () => '{reason}'"));
    bob.click("Release");
    wait_until("she is released", Duration::from_secs(20), || proxy.json("bob", &["held"]) == serde_json::json!([]));
}

fn ended(bench: &Bench) {
    let (proxy, alice) = proxy(bench, "[unusual.first_relation]\naction = \"end\"");
    learn(&proxy, &alice);
    let output = proxy
        .psql_with(&alice)
        .args(["-c", "SELECT count(*) FROM public.sink", "-c", "SELECT pg_sleep(60)"])
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && err.contains("unusual access: first_relation"), "{err}");
    found(&proxy, "first_relation");
    let closed = proxy.audit(&["--event", "session_close"]);
    assert!(closed.iter().any(|record| record["ended_by"] == "killed"), "{closed:?}");
}

fn refused(bench: &Bench) {
    let (proxy, _) = proxy(bench, "");
    let file = proxy.setup.dir.join("proxy.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    for (bad, said) in [
        ("[unusual]\nlearn = \"2d\"\nremember = \"1d\"\n", "unusual.remember"),
        ("[unusual]\n[unusual.many_rows]\nfactor = 1\n", "unusual.many_rows.factor"),
        ("[unusual]\n[unusual.odd_hour]\naction = \"shout\"\n", "unusual.odd_hour.action"),
        ("[unusual]\n[unusual.denial_burst]\nafter = \"1h\"\n", "unusual.denial_burst.after"),
        ("[unusual]\nmany = true\n", "unusual.many"),
    ] {
        let text = good.replace("[unusual]\nlearn = \"1s\"\nremember = \"1d\"\n", bad);
        let line = text[..text.find(bad).unwrap()].lines().count();
        let file = proxy.setup.dir.join("bad.toml");
        std::fs::write(&file, text).unwrap();
        let output = std::process::Command::new(crate::support::binary())
            .args(["check", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && err.contains(said), "{bad}: {err}");
        let named = (line..line + 4)
            .any(|line| err.contains(&format!(":{}:", line + 1)) || err.contains(&format!("line {}", line + 1)));
        assert!(named, "{bad} at line {line}: {err}");
    }
}
