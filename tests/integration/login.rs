//! Logging in to the control port by an identity provider, as browsers do it, and everything that must not work.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::Case;
use crate::support::idp::{Key, Provider};
use crate::support::{Bench, Proxy, Scopes, config, wait_until};

pub const CASES: &[Case] = &[
    ("login::by_a_browser", by_a_browser),
    ("login::in_chromium", in_chromium),
    ("login::what_is_refused", what_is_refused),
    ("login::sessions_end", sessions_end),
    ("login::tokens_of_the_provider", tokens_of_the_provider),
    ("login::guessing_is_slowed_down", guessing_is_slowed_down),
];

const SECRET: &str = "a secret: of & for the client";

/// A proxy that knows the provider: browsers log in as a client with a secret, programs as one without.
pub fn start(bench: &Bench) -> (Proxy, Provider) {
    let provider = Provider::start(&bench.certs);
    provider.sign_by(&Key::new("one"));
    provider.flow().secrets.insert("pgward".to_owned(), "a+secret%3A+of+%26+for+the+client".to_owned());
    let proxy = Proxy::start(bench, &|setup| {
        setup.keep("client_secret", SECRET);
        let oidc = format!(
            "[control.oidc]\nissuer = \"{}\"\nclient_id = \"pgward\"\nclient_secret_file = \"{}/client_secret\"\n\
             cli_client_id = \"pgward-cli\"\nca = \"{}/ca.crt\"\nprincipal_claim = \"preferred_username\"\n\
             groups_claim = \"groups\"\n[control.oidc.group_map]\n\"/teams/dba\" = \"dba\"\n\"dev\" = \"dev\"\n",
            provider.issuer,
            setup.dir.display(),
            bench.certs.display()
        );
        let text = config(setup, &Scopes::default());
        text.replacen("\n[store]\n", &format!("\n{oidc}\n[store]\n"), 1)
    });
    (proxy, provider)
}

/// A browser: its cookies, and the address that it calls from.
struct Browser<'a> {
    proxy: &'a Proxy,
    jar: PathBuf,
    from: String,
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn headers(&self, wanted: &str) -> Vec<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()).collect()
    }

    fn location(&self) -> String {
        self.headers("location").first().expect("a Location").to_string()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl<'a> Browser<'a> {
    /// Each host may fail a few times only: every browser here is at a host of its own.
    fn new(proxy: &'a Proxy, host: u8) -> Self {
        Self { proxy, jar: proxy.setup.dir.join(format!("jar{host}")), from: format!("127.0.7.{host}") }
    }

    fn origin(&self) -> String {
        format!("https://127.0.0.1:{}", self.proxy.setup.control_port)
    }

    fn call(&self, url: &str, more: &[&str]) -> Reply {
        let url = if url.starts_with('/') { format!("{}{url}", self.origin()) } else { url.to_owned() };
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-i", "--http1.1", "--path-as-is", "--cacert"]).arg(self.proxy.setup.certs.join("ca.crt"));
        curl.arg("-b").arg(&self.jar).arg("-c").arg(&self.jar).args(more).arg(&url);
        if url.starts_with(&self.origin()) {
            curl.args(["--interface", &self.from]);
        }
        let output = curl.output().unwrap();
        assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Goes to the provider, and answers where that sends it.
    fn set_out(&self, start: &str) -> String {
        let gone = self.call(start, &[]);
        assert_eq!(gone.status, 303, "{} {}", gone.head, gone.body);
        let there = self.call(&gone.location(), &[]);
        assert_eq!(there.status, 302, "{}", there.body);
        there.location()
    }

    fn log_in(&self) -> Reply {
        let back = self.call(&self.set_out("/login/oidc"), &[]);
        assert_eq!(back.status, 303, "{} {}", back.head, back.body);
        back
    }

    fn whoami(&self) -> Reply {
        self.call("/v1/whoami", &[])
    }

    /// The session's cookie, where there is one.
    fn cookie(&self) -> Option<String> {
        let jar = std::fs::read_to_string(&self.jar).unwrap_or_default();
        let line = jar.lines().find(|line| line.split('\t').nth(5) == Some("__Host-pgward"))?;
        line.split('\t').nth(6).map(str::to_owned)
    }
}

fn by_a_browser(bench: &Bench) {
    let (proxy, provider) = start(bench);
    let browser = Browser::new(&proxy, 1);
    let standing = browser.call("/login", &[]).json();
    assert_eq!(standing, json!({"session": false, "oidc": format!("{}/login/oidc", browser.origin())}));
    {
        let mut flow = provider.flow();
        flow.user = "frida".to_owned();
        flow.groups = vec!["/teams/dba".to_owned(), "dba".to_owned(), "unheard of".to_owned()];
    }
    // Whatever somebody put there before is not what the session is known by afterwards.
    let planted = ["-H", "Cookie: __Host-pgward=pgw_planted"];
    let gone = browser.call("/login/oidc?next=%2F%23%2Fgrants", &planted);
    let cookies = gone.headers("set-cookie");
    assert!(cookies.len() == 1 && cookies[0].starts_with("__Host-pgward-login="), "{cookies:?}");
    assert!(cookies[0].ends_with("; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax"), "{cookies:?}");
    let landed = browser.call(&browser.call(&gone.location(), &[]).location(), &planted);
    assert_eq!((landed.status, landed.location().as_str()), (303, "/#/grants"), "{}", landed.body);
    let cookies = landed.headers("set-cookie");
    let [session, login] = cookies.as_slice() else { panic!("{cookies:?}") };
    assert!(session.starts_with("__Host-pgward=pgw_") && session.len() > 60, "{session}");
    assert!(session.ends_with("; Path=/; Max-Age=28800; Secure; HttpOnly; SameSite=Strict"), "{session}");
    assert!(login.starts_with("__Host-pgward-login=; Path=/; Max-Age=0"), "{login}");
    assert_ne!(browser.cookie().as_deref(), Some("pgw_planted"));
    assert_eq!(Browser::new(&proxy, 4).call("/v1/whoami", &planted).status, 401);
    // Groups come from the token, under the names that the map gives them.
    let me = browser.whoami().json();
    assert_eq!((&me["name"], &me["groups"], &me["login"]), (&json!("frida"), &json!(["dba"]), &json!("oidc")), "{me}");
    assert_eq!((&me["admin"], me["expires_at"].is_string()), (&json!(true), true), "{me}");
    assert_eq!(browser.call("/login", &[]).json()["session"], json!(true));
    // She approves, as a page of ours does it, and in no other way.
    let filed = proxy.json("alice", &["request", "plain-read", "--for", "5m", "--reason", "INC-1"]);
    let approve = format!("/v1/requests/{}/approve", filed["id"].as_str().unwrap());
    let (own, csrf) =
        (format!("Origin: {}", browser.origin()), format!("X-CSRF-Token: {}", me["csrf"].as_str().unwrap()));
    let other = Browser::new(&proxy, 2);
    other.log_in();
    let foreign = format!("X-CSRF-Token: {}", other.whoami().json()["csrf"].as_str().unwrap());
    let post = |headers: &[&str]| {
        let mut arguments = vec!["-H", "Content-Type: application/json", "-d", "{}"];
        headers.iter().for_each(|header| arguments.extend(["-H", header]));
        browser.call(&approve, &arguments)
    };
    for headers in [
        &[own.as_str()] as &[&str],
        &[&own, &foreign],
        &[&csrf],
        &["Origin: https://evil.example", &csrf],
        &["Sec-Fetch-Site: cross-site", &own, &csrf],
    ] {
        let refused = post(headers);
        assert_eq!((refused.status, &refused.json()["status"]), (403, &json!(403)), "{headers:?}");
        assert_eq!(refused.headers("content-type"), ["application/problem+json"]);
    }
    let approved = post(&[&own, &csrf]);
    assert_eq!((approved.status, &approved.json()["state"]), (200, &json!("approved")), "{}", approved.body);
    // Logging out ends it, for whoever has kept the cookie too.
    let kept = format!("Cookie: __Host-pgward={}", browser.cookie().unwrap());
    assert_eq!(browser.call("/logout", &["-H", &own, "-H", &csrf, "-d", ""]).status, 204);
    assert_eq!((browser.whoami().status, browser.cookie()), (401, None));
    assert_eq!(Browser::new(&proxy, 3).call("/v1/whoami", &["-H", &kept]).status, 401);
    let approvals = proxy.audit(&["--event", "request_approved"]);
    assert!(approvals.len() == 1 && approvals[0].to_string().contains("\"frida\""), "{approvals:?}");
    for (event, count) in [("control_login", 2), ("control_logout", 1)] {
        let found = proxy.audit(&["--event", event, "--principal", "frida"]);
        assert_eq!(found.len(), count, "{event}: {found:?}");
    }
    let login = proxy.audit(&["--event", "control_login"]);
    assert_eq!(login[0]["groups"], json!(["dba"]), "{login:?}");
    assert!(!proxy.log().contains(SECRET));
}

/// Behind the provider's own page the browser comes from another site: a strict cookie has to work all the same.
fn in_chromium(bench: &Bench) {
    if Command::new("chromium").arg("--version").output().is_err() {
        assert!(std::env::var_os("COMPAT_REQUIRE").is_none(), "chromium is not installed");
        eprintln!("skipped: chromium is not installed");
        return;
    }
    let (proxy, provider) = start(bench);
    let profile = tempfile::tempdir().unwrap();
    let dump = |path: &str| {
        let mut chromium = Command::new("chromium");
        chromium.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        chromium.args(["--ignore-certificate-errors", "--disable-background-networking", "--dump-dom"]);
        chromium.args(["--virtual-time-budget=8000", &format!("--user-data-dir={}", profile.path().display())]);
        let output = chromium.arg(format!("https://127.0.0.1:{}{path}", proxy.setup.control_port)).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let page = dump("/");
    let link = format!("href=\"https://127.0.0.1:{}/login/oidc?next=%2F\"", proxy.setup.control_port);
    assert!(page.contains(&link) && page.contains("Control token"), "{page}");
    provider.flow().by_page = true;
    let page = dump("/login/oidc?next=%2F%23%2Fscopes");
    assert!(page.contains("<span id=\"who\">alice (@dev)</span>"), "{page}");
    assert!(page.contains("<h1>Scopes</h1>") && page.contains("plain-read"), "{page}");
    provider.flow().denies = true;
    let page = dump("/login/oidc");
    assert!(page.contains("This login was refused."), "{page}");
}

/// What the provider, somebody in between or somebody else's page could bring back.
fn what_is_refused(bench: &Bench) {
    let (proxy, provider) = start(bench);
    let mut host = 10;
    let mut refused = |why: &str, back: &dyn Fn(&Browser<'_>) -> String| {
        host += 1;
        let browser = Browser::new(&proxy, host);
        let answer = browser.call(&back(&browser), &[]);
        assert_eq!(answer.status, 401, "{why}: {}", answer.body);
        assert!(answer.body.contains("This login was refused.") && !answer.body.contains(why), "{}", answer.body);
        assert_eq!(answer.headers("content-type"), ["text/html; charset=utf-8"]);
        assert!(answer.headers("content-security-policy")[0].contains("default-src 'none'"), "{}", answer.head);
        assert!(browser.cookie().is_none() && browser.whoami().status == 401, "{why}");
        let records = proxy.audit(&["--event", "access_refused"]);
        let told = records.iter().filter_map(|record| record["detail"].as_str());
        assert!(told.clone().any(|detail| detail.contains(why)), "{why}: {:?}", told.collect::<Vec<_>>());
    };
    let straight = |browser: &Browser<'_>| browser.set_out("/login/oidc");
    // What the token says.
    for (name, value, why) in [
        ("nonce", json!("another login's"), "it is of another login"),
        ("nonce", Value::Null, "it is of another login"),
        ("aud", json!("pgward-cli"), "it is for another audience"),
        ("aud", json!(["pgward", "payroll"]), "it is for another audience"),
        ("iss", json!("https://evil.example"), "it is another issuer's"),
        ("exp", json!(1_700_000_000), "it has expired"),
        ("nbf", json!(4_000_000_000_i64), "it is not good yet"),
        ("preferred_username", json!(""), "it names nobody"),
    ] {
        provider.flow().change = Box::new(move |claims| claims[name] = value.clone());
        refused(why, &straight);
    }
    provider.flow().change = Box::new(|_| {});
    // How it is signed.
    let unsigned = |claims: &Value| {
        use base64::Engine as _;
        let encode = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", encode(&json!({"alg": "none"})), encode(claims))
    };
    provider.flow().sign = Box::new(unsigned);
    refused("it is no JWT", &straight);
    provider.flow().sign = Box::new(move |claims| Key::new("unheard of").token(claims));
    refused("its issuer has no such key", &straight);
    let stranger = Key::new("one");
    provider.flow().sign = Box::new(move |claims| stranger.token(claims));
    refused("its signature is wrong", &straight);
    // What it says with the code.
    provider.flow().iss = Some("https://evil.example".to_owned());
    refused("the answer is another provider's", &straight);
    provider.flow().iss = None;
    refused("the answer is another provider's", &straight);
    provider.flow().iss = Some(provider.issuer.clone());
    provider.flow().denies = true;
    refused("the identity provider refused it: access_denied", &straight);
    provider.flow().denies = false;
    // Which login it belongs to.
    let other = Browser::new(&proxy, 200);
    let code = |url: &str| url.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    refused("its state is another login's", &|browser| {
        browser.set_out("/login/oidc");
        other.set_out("/login/oidc")
    });
    refused("it did not begin in this browser", &|_| other.set_out("/login/oidc"));
    refused("it did not begin in this browser", &|browser| {
        let back = browser.set_out("/login/oidc");
        assert_eq!(browser.call(&back.replace("state=", "state=x"), &[]).status, 401);
        back
    });
    // A code of somebody else's login, put into one's own; a code for the second time.
    refused("the identity provider refused it: invalid_grant", &|browser| {
        let (own, foreign) = (browser.set_out("/login/oidc"), other.set_out("/login/oidc"));
        own.replace(&format!("code={}", code(&own)), &format!("code={}", code(&foreign)))
    });
    refused("the identity provider refused it: invalid_client", &|browser| {
        provider.flow().secrets.insert("pgward".to_owned(), "changed".to_owned());
        browser.set_out("/login/oidc")
    });
    assert!(proxy.audit(&["--event", "control_login"]).is_empty());
}

fn sessions_end(bench: &Bench) {
    let (proxy, provider) = start(bench);
    provider.flow().user = "bob".to_owned();
    provider.flow().groups.clear();
    let (bob, frida) = (Browser::new(&proxy, 1), Browser::new(&proxy, 2));
    bob.log_in();
    assert_eq!(bob.whoami().json()["groups"], json!(["dba"]), "the configuration's");
    provider.flow().user = "frida".to_owned();
    frida.log_in();
    // The same answer a second time does not log in, and does not end what is.
    let back = frida.set_out("/login/oidc");
    let first = frida.cookie();
    assert_eq!(frida.call(&back, &[]).status, 303);
    assert_ne!(frida.cookie(), first, "each login has an id of its own");
    assert_eq!(frida.call(&back, &[]).status, 401);
    assert_eq!(frida.whoami().status, 200);
    // Never off to somewhere else.
    for next in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "%2F%23%2F%0D%0AX%3A%20y"] {
        let landed = frida.call(&frida.set_out(&format!("/login/oidc?next={next}")), &[]);
        assert_eq!((landed.status, landed.location().as_str()), (303, "/"), "{next}");
    }
    let reload = |change: &dyn Fn(String) -> String| {
        let file = proxy.setup.dir.join("proxy.toml");
        let before = proxy.audit(&["--event", "config_reloaded"]).len();
        std::fs::write(&file, change(std::fs::read_to_string(&file).unwrap())).unwrap();
        proxy.signal("HUP");
        let limit = std::time::Duration::from_secs(20);
        wait_until("reloaded", limit, || proxy.audit(&["--event", "config_reloaded"]).len() > before);
    };
    reload(&|text| text.replace("name = \"bob\"\ngroups = [\"dba\"]", "name = \"bob\"\ngroups = [\"dba\", \"dev\"]"));
    assert_eq!((bob.whoami().status, frida.whoami().status), (401, 200), "bob is somebody else now");
    reload(&|text| {
        let (head, rest) = text.split_once("[control.oidc]").unwrap();
        let rest = rest.split_once("[store]").unwrap().1;
        format!("{head}[store]{rest}")
    });
    assert_eq!(frida.whoami().status, 401, "the provider is no longer believed");
    assert_eq!(frida.call("/login", &[]).json(), json!({"session": false, "oidc": null}));
    assert_eq!(frida.call("/login/oidc", &[]).status, 404);
}

/// Programs call with what the provider gave them.
fn tokens_of_the_provider(bench: &Bench) {
    let (proxy, provider) = start(bench);
    let (key, stranger) = (Key::new("one"), Key::new("one"));
    provider.sign_by(&key);
    let call = |host: u8, token: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        Browser::new(&proxy, host).call("/v1/whoami", &["-H", &bearer])
    };
    provider.flow().user = "frida".to_owned();
    let claims = |client: &str| provider.flow().claims(client, None);
    let good = key.token(&claims("pgward-cli"));
    let me = call(1, &good).json();
    assert_eq!((&me["name"], &me["groups"], &me["login"]), (&json!("frida"), &json!(["dev"]), &json!("oidc")), "{me}");
    assert!(me["csrf"].is_null(), "there is no cookie that another site could use");
    let changed = |name: &str, value: Value| {
        let mut claims = claims("pgward-cli");
        claims[name] = value;
        key.token(&claims)
    };
    for (host, token) in [
        (2, key.token(&claims("pgward"))),
        (3, changed("exp", json!(1_700_000_000))),
        (4, changed("iss", json!("https://evil.example"))),
        (5, stranger.token(&claims("pgward-cli"))),
        (6, format!("{good}x")),
    ] {
        assert_eq!(call(host, &token).status, 401, "{host}");
    }
    // It asks for access like anybody else.
    let bearer = format!("Authorization: Bearer {good}");
    let wish = r#"{"scope": "plain-read", "duration_seconds": 60, "reason": "INC-1"}"#;
    let json = "Content-Type: application/json";
    let filed = Browser::new(&proxy, 1).call("/v1/requests", &["-H", &bearer, "-H", json, "-d", wish]);
    assert_eq!((filed.status, &filed.json()["principal"]), (201, &json!("frida")), "{}", filed.body);
    assert!(!proxy.log().contains(&good), "a token is a secret");
}

/// After ten failures a host waits, whatever it brings.
fn guessing_is_slowed_down(bench: &Bench) {
    let (proxy, _provider) = start(bench);
    let guesser = Browser::new(&proxy, 1);
    for _ in 0..10 {
        assert_eq!(guesser.call("/login/callback?code=x&state=y", &[]).status, 401);
    }
    for path in ["/login/callback?code=x&state=y", "/login/oidc", "/v1/whoami"] {
        assert_eq!(guesser.call(path, &[]).status, 429, "{path}");
    }
    let other = Browser::new(&proxy, 2);
    other.log_in();
    assert_eq!(other.whoami().status, 200);
}
