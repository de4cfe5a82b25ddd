//! The web UI in a real browser, clicked through by two people; and what other sites could try with their cookies.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, browser, config, wait_until};

pub const CASES: &[Case] = &[
    ("web::two_people_click_through", click_through),
    ("web::cookies_are_not_for_other_sites", other_sites),
    ("web::what_belongs_to_others_cannot_be_reached", others),
];

fn click_through(bench: &Bench) {
    if !browser::is_there() {
        return;
    }
    let proxy = Proxy::start(bench, &|setup| config(setup, &Scopes::default()));
    let url = format!("https://127.0.0.1:{}", proxy.setup.control_port);
    let mut driver = browser::script("tour.py")
        .args([&url, proxy.token("alice"), proxy.token("bob"), &browser::shots()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&said.next().expect("it says more").unwrap()).unwrap() };
    // The password that the page showed opens a session.
    let dsn = next()["dsn"].as_str().unwrap().to_owned();
    let mut psql = Command::new("psql")
        .arg(dsn)
        .env("PGSSLROOTCERT", proxy.setup.certs.join("ca.crt"))
        .args(["-c", "SELECT pg_sleep(120)"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while proxy.json("bob", &["sessions"]).as_array().unwrap().iter().all(|session| session["statement"].is_null()) {
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(psql.try_wait().unwrap().is_none(), "psql ended");
    }
    driver.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    let seen = next();
    assert!(driver.wait().unwrap().success(), "{seen}");
    println!(
        "{} bytes in all; loaded after {} ms in a browser just started, after {} ms by the next person; the login drawn after {} ms",
        seen["bytes"], seen["navigation_ms"], seen["again_ms"], seen["load_ms"]
    );
    let ended = psql.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("57P01") || told.contains("looked odd"), "{told}");
    assert_eq!(seen["hosts"], serde_json::json!([url]), "no other host is asked for anything");
    assert!(seen["bytes"].as_u64().unwrap() < 100_000, "{seen}");
    assert_eq!((&seen["cookie_in_script"], &seen["own_approve"]), (&"".into(), &false.into()));
    assert_eq!((&seen["reason_as_text"], &seen["markup_in_reason"]), (&true.into(), &0.into()));
    assert_eq!((&seen["without_csrf"], &seen["after_logout"]), (&403.into(), &401.into()));
    assert_eq!((&seen["violations"], &seen["exceptions"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert!(
        seen["titles"].as_array().unwrap().iter().all(|title| title.as_str().unwrap().ends_with("pgward")),
        "{seen}"
    );
    assert_eq!((&seen["residency"], &seen["overseers_only"]), (&true.into(), &true.into()), "{seen}");
    assert!(seen["journal_rows"].as_u64().unwrap() > 5, "{seen}");
    for event in ["control_login", "control_logout", "session_killed", "request_approved"] {
        assert!(!proxy.audit(&["--event", event]).is_empty(), "{event}");
    }
}

/// One who is logged in, and knows the ids of what belongs to others.
fn others(bench: &Bench) {
    let proxy = Proxy::start(bench, &|setup| config(setup, &Scopes::default()));
    let pending = proxy.json("alice", &["request", "plain-write", "--for", "30m", "--reason", "INC-1"]);
    let pending = pending["id"].as_str().unwrap();
    let grant = proxy.grant("alice", "plain-read", "30m");
    let alice = proxy.credentials("alice", "plain");
    let mut psql = proxy.psql_with(&alice).args(["-c", "SELECT pg_sleep(120)"]).spawn().unwrap();
    let running = || {
        let sessions = proxy.json("bob", &["sessions"]);
        let session = sessions.as_array().unwrap().iter().find(|session| session["statement"].is_string());
        session.map(|session| session["id"].as_str().unwrap().to_owned())
    };
    wait_until("the statement runs", Duration::from_secs(20), || running().is_some());
    let session = running().unwrap();
    // dave is in another group; erin could ask for the same scopes.
    for person in ["dave", "erin"] {
        let me = Cookie::of(&proxy, person);
        for (path, body) in [
            (format!("requests/{pending}"), None),
            (format!("requests/{pending}/approve"), Some("{}")),
            (format!("requests/{pending}/deny"), Some("{\"note\": \"no\"}")),
            (format!("requests/{pending}/withdraw"), Some("{}")),
            (format!("requests/{pending}/edit"), Some("{\"duration_seconds\": 60}")),
            (format!("grants/{grant}/revoke"), Some("{}")),
            (format!("grants/{grant}/extend"), Some("{\"duration_seconds\": 60, \"reason\": \"why\"}")),
            (format!("sessions/{session}/kill"), Some("{}")),
            (format!("reviews/{grant}/close"), Some("{\"note\": \"fine\"}")),
            (format!("audit/records/{session}"), None),
            (format!("audit/sessions/{session}/replay"), None),
            ("audit/search?principal=alice".to_owned(), None),
            ("audit/tail?principal=alice".to_owned(), None),
        ] {
            let (status, said) = me.call(&path, body);
            assert!(matches!(status, 403 | 404), "{person} {path}: {status} {said}");
            assert!(!said.contains("INC-1") && !said.contains("pg_sleep"), "{person} {path}: {said}");
        }
        for list in ["requests", "grants", "sessions", "reviews?all=true", "audit/search"] {
            let (status, said) = me.call(list, None);
            assert_eq!(status, 200, "{person} {list}");
            let told = ["\"principal\":\"alice\"", "INC-1", "pg_sleep"];
            assert!(told.iter().all(|word| !said.contains(word)), "{person} {list}: {said}");
        }
    }
    assert_eq!(running(), Some(session), "it runs on");
    let request = proxy.json("bob", &["requests", "--state", "pending"]);
    assert_eq!((&request[0]["id"], &request[0]["duration_seconds"]), (&pending.into(), &1800.into()));
    assert_eq!(proxy.json("bob", &["grants"])[0]["state"], "live");
    psql.kill().unwrap();
    psql.wait().unwrap();
}

/// A browser's session, without the browser.
struct Cookie<'a> {
    proxy: &'a Proxy,
    cookie: String,
    csrf: String,
}

impl<'a> Cookie<'a> {
    fn of(proxy: &'a Proxy, person: &str) -> Self {
        let mut it = Self { proxy, cookie: String::new(), csrf: "none".to_owned() };
        let answer = it.curl("/login", Some(&format!("{{\"token\": \"{}\"}}", proxy.token(person))));
        let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        set.split(';').next().unwrap().clone_into(&mut it.cookie);
        let me: serde_json::Value = serde_json::from_str(&it.call("whoami", None).1).unwrap();
        assert_eq!(me["name"], person);
        me["csrf"].as_str().unwrap().clone_into(&mut it.csrf);
        it
    }

    /// The status and the body of `/v1/PATH`, posted where there is something to post.
    fn call(&self, path: &str, body: Option<&str>) -> (u16, String) {
        let answer = self.curl(&format!("/v1/{path}"), body);
        let status = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    fn curl(&self, path: &str, body: Option<&str>) -> String {
        let url = format!("https://127.0.0.1:{}", self.proxy.setup.control_port);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-i", "--max-time", "20", "--cacert"]).arg(self.proxy.setup.certs.join("ca.crt"));
        curl.args(["-H", &format!("Origin: {url}"), "-H", &format!("Cookie: {}", self.cookie)]);
        curl.args(["-H", &format!("X-CSRF-Token: {}", self.csrf)]);
        if let Some(body) = body {
            curl.args(["-H", "Content-Type: application/json", "-d", body]);
        }
        let output = curl.arg(format!("{url}{path}")).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Calls as browsers make them for pages of other sites, or as somebody makes them who has read nothing of ours.
fn other_sites(bench: &Bench) {
    let proxy = Proxy::start(bench, &|setup| config(setup, &Scopes::default()));
    let url = format!("https://127.0.0.1:{}", proxy.setup.control_port);
    let call = |arguments: &[&str]| {
        let ca = proxy.setup.certs.join("ca.crt");
        let output = Command::new("curl").args(["-sS", "-i", "--cacert"]).arg(ca).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (login, requests) = (format!("{url}/login"), format!("{url}/v1/requests"));
    let body = format!("{{\"token\": \"{}\"}}", proxy.token("alice"));
    let json = "Content-Type: application/json";
    let own = format!("Origin: {url}");
    let status = |answer: &str| answer.split_whitespace().nth(1).unwrap_or_default().to_owned();
    for origin in ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "X-Nothing: 1"] {
        assert_eq!(status(&call(&["-H", json, "-H", origin, "-d", &body, &login])), "403", "{origin}");
    }
    let logged_in = call(&["-H", json, "-H", &own, "-d", &body, &login]);
    assert_eq!(status(&logged_in), "200", "{logged_in}");
    let cookie = logged_in.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    for word in ["__Host-pgward=", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let me = call(&["-H", &cookie, &format!("{url}/v1/whoami")]);
    assert_eq!(status(&me), "200");
    let me: serde_json::Value = serde_json::from_str(me.lines().last().unwrap()).unwrap();
    let csrf = format!("X-CSRF-Token: {}", me["csrf"].as_str().unwrap());
    let wish = r#"{"scope": "plain-read", "duration_seconds": 60, "reason": "INC-1"}"#;
    let ask = |headers: &[&str]| {
        let mut arguments = vec!["-H", json, "-H", &cookie, "-d", wish];
        headers.iter().for_each(|header| arguments.extend(["-H", header]));
        arguments.push(&requests);
        status(&call(&arguments))
    };
    assert_eq!(ask(&[&own, &csrf]), "201");
    assert_eq!(ask(&[&own]), "403", "the word is missing");
    assert_eq!(ask(&[&own, "X-CSRF-Token: pgw_guessed"]), "403");
    assert_eq!(ask(&[&csrf]), "403", "nobody says where it comes from");
    assert_eq!(ask(&["Origin: https://evil.example", &csrf]), "403");
    assert_eq!(ask(&["Origin: null", &csrf]), "403");
    assert_eq!(ask(&["Sec-Fetch-Site: same-site", &own, &csrf]), "403");
    let page = call(&[&format!("{url}/")]);
    assert!(page.contains("script-src 'self'") && page.contains("frame-ancestors 'none'"), "{page}");
    let out = format!("{url}/logout");
    assert_eq!(status(&call(&["-H", json, "-H", &own, "-H", &cookie, "-H", &csrf, "-d", "{}", &out])), "204");
    assert_eq!(status(&call(&["-H", &cookie, &format!("{url}/v1/whoami")])), "401", "it is over");
}
