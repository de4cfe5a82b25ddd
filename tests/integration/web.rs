//! The web UI in a real browser, clicked through by two people; and what other sites could try with their cookies.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Case;
use crate::support::{Bench, Proxy, Scopes, config};

pub const CASES: &[Case] =
    &[("web::two_people_click_through", click_through), ("web::cookies_are_not_for_other_sites", other_sites)];

fn click_through(bench: &Bench) {
    let is_there =
        Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !is_there {
        assert!(std::env::var_os("COMPAT_REQUIRE").is_none(), "chromium is not installed");
        eprintln!("skipped: chromium is not installed");
        return;
    }
    let proxy = Proxy::start(bench, &|setup| config(setup, &Scopes::default()));
    let url = format!("https://127.0.0.1:{}", proxy.setup.control_port);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/browser.py");
    let shots = std::env::var("SHOTS").unwrap_or_default();
    let mut driver = Command::new("/usr/bin/python3")
        .arg(script)
        .args([&url, proxy.token("alice"), proxy.token("bob"), &shots])
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
    println!("{} bytes in all, there after {} ms", seen["bytes"], seen["load_ms"]);
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
    assert!(seen["journal_rows"].as_u64().unwrap() > 5, "{seen}");
    for event in ["control_login", "control_logout", "session_killed", "request_approved"] {
        assert!(!proxy.audit(&["--event", event]).is_empty(), "{event}");
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
