//! What the identity provider does when somebody logs in: everybody consents at once, codes and refresh tokens are good once, PKCE and
//! secrets are checked, and a test may spoil whatever it likes.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Url;
use serde_json::{Value, json};

type Change = Box<dyn Fn(&mut Value) + Send>;
type Sign = Box<dyn Fn(&Value) -> String + Send>;

/// What it answers: a status, a header's value where there is one, a body.
pub struct Reply {
    pub status: u16,
    pub location: Option<String>,
    pub kind: &'static str,
    pub body: String,
}

pub struct Flow {
    issuer: String,
    /// Who logs in, and in which groups.
    pub user: String,
    pub groups: Vec<String>,
    /// Changes the claims of every token.
    pub change: Change,
    pub sign: Sign,
    /// What it says of itself when it sends a browser back (RFC 9207).
    pub iss: Option<String>,
    /// Whether it says no.
    pub denies: bool,
    /// Sends browsers back by a page instead of a redirect.
    pub by_page: bool,
    /// Clients with a secret; others have none.
    pub secrets: HashMap<String, String>,
    /// What the next questions of a device are answered by, before it gets a token.
    pub device_answers: Vec<&'static str>,
    /// When devices asked.
    pub polls: Vec<Instant>,
    /// How often a token was renewed.
    pub renewed: usize,
    /// Refresh tokens that are good.
    pub refresh: HashSet<String>,
    codes: HashMap<String, HashMap<String, String>>,
    count: usize,
}

impl Flow {
    pub fn new(issuer: &str, sign: Sign) -> Self {
        Self {
            issuer: issuer.to_owned(),
            user: "alice".to_owned(),
            groups: vec!["dev".to_owned()],
            change: Box::new(|_| {}),
            sign,
            iss: Some(issuer.to_owned()),
            denies: false,
            by_page: false,
            secrets: HashMap::new(),
            device_answers: Vec::new(),
            polls: Vec::new(),
            renewed: 0,
            refresh: HashSet::new(),
            codes: HashMap::new(),
            count: 0,
        }
    }

    pub fn configuration(&self) -> Value {
        let issuer = &self.issuer;
        json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/keys"), "scopes_supported": ["openid"],
            "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
            "device_authorization_endpoint": format!("{issuer}/device"),
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// `authorization` is the header; `body` a form.
    pub fn answer(&mut self, target: &str, authorization: Option<&str>, body: &str) -> Option<Reply> {
        let url = Url::parse(&self.issuer).unwrap().join(target).unwrap();
        let form: HashMap<String, String> = match body {
            "" => url.query_pairs().into_owned().collect(),
            body => Url::parse(&format!("https://x/?{body}")).unwrap().query_pairs().into_owned().collect(),
        };
        match url.path() {
            "/authorize" => Some(self.authorize(form)),
            "/token" => Some(self.token(&form, authorization)),
            "/device" => Some(ok(&json!({
                "device_code": "device-1", "user_code": "WDJB-MJHT", "verification_uri": format!("{}/activate", self.issuer),
                "expires_in": 120, "interval": 1,
            }))),
            _ => None,
        }
    }

    fn authorize(&mut self, form: HashMap<String, String>) -> Reply {
        for (name, value) in [("response_type", "code"), ("code_challenge_method", "S256")] {
            assert_eq!(form[name], value);
        }
        assert!(form["scope"].split(' ').any(|scope| scope == "openid") && form["state"].len() >= 43);
        let mut back = Url::parse(&form["redirect_uri"]).unwrap();
        back.query_pairs_mut().append_pair("state", &form["state"]);
        if self.denies {
            back.query_pairs_mut().append_pair("error", "access_denied");
        } else {
            let code = self.next("code");
            back.query_pairs_mut().append_pair("code", &code);
            self.codes.insert(code, form);
        }
        if let Some(iss) = &self.iss {
            back.query_pairs_mut().append_pair("iss", iss);
        }
        if self.by_page {
            let body = format!("<!doctype html><title>idp</title><script>location = {}</script>", json!(back.as_str()));
            return Reply { status: 200, location: None, kind: "text/html", body };
        }
        Reply { status: 302, location: Some(back.into()), kind: "text/plain", body: String::new() }
    }

    fn token(&mut self, form: &HashMap<String, String>, authorization: Option<&str>) -> Reply {
        let client = form["client_id"].clone();
        let expected = self.secrets.get(&client).map(|secret| STANDARD.encode(format!("{client}:{secret}")));
        if authorization.and_then(|value| value.strip_prefix("Basic ")) != expected.as_deref() {
            return refuse(401, "invalid_client");
        }
        match form["grant_type"].as_str() {
            "authorization_code" => {
                // Good once, whatever comes of it.
                let Some(asked) = self.codes.remove(&form["code"]) else { return refuse(400, "invalid_grant") };
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, form["code_verifier"].as_bytes());
                let is_same = |name: &str| asked[name] == form[name];
                if asked["code_challenge"] != URL_SAFE_NO_PAD.encode(digest)
                    || !is_same("redirect_uri")
                    || !is_same("client_id")
                {
                    return refuse(400, "invalid_grant");
                }
                self.give(&client, Some(&asked["nonce"]))
            }
            "refresh_token" if self.refresh.remove(&form["refresh_token"]) => {
                self.renewed += 1;
                self.give(&client, None)
            }
            "refresh_token" => refuse(400, "invalid_grant"),
            "urn:ietf:params:oauth:grant-type:device_code" => {
                assert_eq!(form["device_code"], "device-1");
                self.polls.push(Instant::now());
                if self.device_answers.is_empty() {
                    return self.give(&client, None);
                }
                refuse(400, self.device_answers.remove(0))
            }
            other => panic!("{other}"),
        }
    }

    fn give(&mut self, client: &str, nonce: Option<&str>) -> Reply {
        let refresh = self.next("refresh");
        self.refresh.insert(refresh.clone());
        let id_token = (self.sign)(&self.claims(client, nonce));
        ok(&json!({"token_type": "Bearer", "access_token": "opaque", "id_token": id_token, "refresh_token": refresh}))
    }

    /// Of a token for this client.
    pub fn claims(&self, client: &str, nonce: Option<&str>) -> Value {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({
            "iss": self.issuer, "aud": client, "iat": now, "exp": now + 600, "sub": format!("id of {}", self.user),
            "preferred_username": self.user, "groups": self.groups,
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        (self.change)(&mut claims);
        claims
    }

    fn next(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}-{}", self.count)
    }

    /// Between the last two questions of a device.
    pub fn last_pause(&self) -> Duration {
        let [.., one, other] = self.polls.as_slice() else { panic!("asked less than twice") };
        other.duration_since(*one)
    }
}

fn ok(body: &Value) -> Reply {
    Reply { status: 200, location: None, kind: "application/json", body: body.to_string() }
}

fn refuse(status: u16, error: &str) -> Reply {
    Reply { status, location: None, kind: "application/json", body: json!({"error": error}).to_string() }
}
