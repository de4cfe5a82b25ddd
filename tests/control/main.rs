//! The control port as callers meet it: over TLS on a loopback port, with a real store and a real journal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod audit;
mod edges;
#[path = "../support/elsewhere.rs"]
mod elsewhere;
mod life;
mod many;
mod rights;
mod rules;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use pgward::access::{
    Analysis, ApprovalRule, BreakGlass, Clock, Estimate, ObjectPattern, Operation, OperationSet, Principal, Privilege,
    Region, Rules, Scope, Secret, SessionId, Subject, TokenHash,
};
use pgward::audit::{Durability, Journal};
use pgward::control::api::VerdictWord;
use pgward::control::{
    Database, Dependencies, Directory, Explain, ExplainAnswer, ExplainError, ExplainQuestion, Server, Sessions,
    Settings, User,
};
use pgward::desk::Desk;
use pgward::session::SessionInfo;
use pgward::store::{GrantBook, SharedStore, SqliteStore};
use pgward::wire::scram::Verifier;

/// A control port that serves, and everything behind it. Its end ends the server.
struct Port {
    dir: tempfile::TempDir,
    address: SocketAddr,
    http: reqwest::Client,
    parts: Dependencies,
    sessions: Arc<FakeSessions>,
    stop: CancellationToken,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Port {
    async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    async fn open_with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certificates = pgward::devcerts::generate(&dir.path().join("certs"), &[]).unwrap();
        let certificate =
            pgward::tls::ReloadableCertificate::load(&certificates.server_cert, &certificates.server_key).unwrap();
        let tls = pgward::tls::server_config(certificate, None, &[]).unwrap();
        let store: SharedStore = Arc::new(SqliteStore::open(&dir.path().join("pgward.db")).unwrap());
        let journal = Journal::open(pgward::audit::Settings::new(dir.path().join("audit"), Durability::Written));
        let clock = Arc::new(Clock::default());
        let sessions = Arc::new(FakeSessions::default());
        let mut registry = prometheus_client::registry::Registry::default();
        let metrics = pgward::control::Metrics::register(&mut registry);
        let journal = journal.unwrap();
        let grants = GrantBook::load(Arc::clone(&store), Arc::clone(&clock)).await.unwrap();
        let directory = Arc::new(ArcSwap::from_pointee(directory()));
        let desk = Desk::new(pgward::desk::Parts {
            store: Arc::clone(&store),
            grants: Arc::clone(&grants),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            offers: Arc::clone(&directory) as Arc<dyn pgward::desk::Offers>,
            redact: pgward::sql::redacted,
            metrics: pgward::desk::Metrics::default(),
            analyst: Arc::new(FakeAnalyst),
        });
        let parts = Dependencies {
            grants,
            store,
            journal,
            clock,
            sessions: Arc::clone(&sessions) as Arc<dyn Sessions>,
            replicas: None,
            cancels: Arc::new(elsewhere::Elsewhere),
            directory,
            explainer: Arc::new(FakeExplainer),
            derive_verifier: Arc::new(derive),
            desk: Arc::new(desk),
            retention: Arc::new(elsewhere::Elsewhere),
            permissions: Arc::new(elsewhere::Elsewhere),
            usage: Arc::new(elsewhere::Elsewhere),
            registry: Arc::new(registry),
            metrics,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut settings = Settings::new(tls);
        adjust(&mut settings);
        let (server, until) = (Server::new(settings, parts.clone()), stop.clone());
        tokio::spawn(async move { server.serve(listener, until).await });
        let authority = reqwest::Certificate::from_pem(&std::fs::read(&certificates.ca).unwrap()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap();
        Self { dir, address, http, parts, sessions, stop }
    }

    fn call(&self, method: Method, path: &str, user: &str) -> reqwest::RequestBuilder {
        let url = format!("https://{}{path}", self.address);
        self.http.request(method, url).bearer_auth(token(user)).timeout(Duration::from_secs(30))
    }

    async fn get(&self, path: &str, user: &str) -> (StatusCode, Value) {
        answer(self.call(Method::GET, path, user)).await
    }

    async fn post(&self, path: &str, user: &str, body: Value) -> (StatusCode, Value) {
        answer(self.call(Method::POST, path, user).json(&body)).await
    }

    /// Alice's request for half an hour of `orders-read`.
    async fn filed(&self) -> String {
        let (status, request) = self.post("/v1/requests", "alice", orders_read()).await;
        assert_eq!(status, StatusCode::CREATED, "{request}");
        request["id"].as_str().unwrap().to_owned()
    }

    /// Alice's grant, approved by Bob.
    async fn granted(&self) -> String {
        let id = self.filed().await;
        let (status, request) = self.post(&format!("/v1/requests/{id}/approve"), "bob", json!({})).await;
        assert_eq!(status, StatusCode::OK, "{request}");
        request["grant"]["id"].as_str().unwrap().to_owned()
    }

    /// The journal's events, oldest first, as an auditor reads them.
    async fn events(&self) -> Vec<String> {
        let records = self.lines("/v1/audit/search", "carol").await;
        records.iter().map(|record| record["event"].as_str().unwrap().to_owned()).collect()
    }

    async fn lines(&self, path: &str, user: &str) -> Vec<Value> {
        let response = self.call(Method::GET, path, user).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        let text = response.text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn orders_read() -> Value {
    json!({ "scope": "orders-read", "duration_seconds": 1800, "reason": "a customer called", "ticket": "T-1" })
}

async fn answer(call: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = call.send().await.unwrap();
    let status = response.status();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    if status.is_success() {
        assert_eq!(kind, "application/json");
    } else {
        assert_eq!(kind, "application/problem+json");
        assert_eq!(body["status"], status.as_u16());
        for member in ["type", "title", "detail", "hint"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {body}");
        }
    }
    (status, body)
}

fn token(user: &str) -> String {
    format!("pgw_token-of-{user}")
}

fn derive(_user: &str, password: &str, like: Option<&str>) -> Result<String, String> {
    let (salt, iterations) = match like {
        Some(like) => {
            let like = Verifier::parse(like).map_err(|error| error.to_string())?;
            (like.salt().to_vec(), like.iterations())
        }
        None => (b"a salt of its own".to_vec(), 4096),
    };
    Ok(Verifier::derive(password, &salt, iterations).to_string())
}

/// Alice asks, Bob and Dora approve, Carol audits, Eve may do nothing, Billing has a stable password.
fn directory() -> Directory {
    let user = |name: &str, group: &str| User {
        principal: Principal { name: name.to_owned(), groups: vec![group.to_owned()], region: None },
        token_hashes: vec![TokenHash::of(&token(name))],
        scram: (name == "billing")
            .then(|| Secret::new(Verifier::derive("stable", b"billing's salt", 4096).to_string())),
    };
    let group = |name: &str| vec![Subject::Group(name.to_owned())];
    let scope = |name: &str, approvals: u32| Scope {
        name: name.to_owned(),
        database: "shop".to_owned(),
        regions: vec![Region::new("us")],
        requesters: group("dev"),
        approvers: group("dba"),
        approvals,
        max_duration: Duration::from_secs(3600),
        guards: pgward::access::Guards::default(),
        rules: pgward::access::Rules::default(),
        allow: vec![Privilege {
            on: vec![ObjectPattern::parse("public.orders").unwrap()],
            columns: None,
            operations: OperationSet::of(&[Operation::Select]),
            functions: Vec::new(),
        }],
    };
    let mut paul = user("paul", "dba");
    paul.principal.groups.push("privacy".to_owned());
    let privacy = ApprovalRule {
        over: None,
        labels: vec!["pii".to_owned()],
        outside: None,
        approvers: group("privacy"),
        approvals: 1,
    };
    let emergency = BreakGlass {
        who: group("dev"),
        max_duration: Duration::from_secs(3600),
        alert: group("admins"),
        review_within: Duration::from_secs(86_400),
    };
    let labels = vec!["pii".to_owned()];
    let rules = Rules { labels, approval_rules: vec![privacy], break_glass: Some(emergency), ..Rules::default() };
    let pii_read = Scope { rules, ..scope("pii-read", 1) };
    let rules = Rules { auto_approve: Some(Duration::from_secs(300)), ..Rules::default() };
    let quick = Scope { rules, ..scope("quick", 1) };
    let ticketed = Scope { rules: Rules { require_ticket: true, ..Rules::default() }, ..scope("ticketed", 1) };
    Directory {
        others: false,
        provider: None,
        users: vec![
            user("alice", "dev"),
            user("bob", "dba"),
            user("dora", "dba"),
            paul,
            user("carol", "audit"),
            user("root", "admins"),
            user("eve", "nobody"),
            user("billing", "apps"),
        ],
        admins: group("admins"),
        auditors: group("audit"),
        scopes: vec![scope("orders-read", 1), scope("orders-two", 2), pii_read, quick, ticketed],
        databases: vec![Database {
            name: "shop".to_owned(),
            region: Region::new("us"),
            host: "127.0.0.1".to_owned(),
            port: 6432,
        }],
    }
}

#[derive(Debug, Default)]
struct FakeSessions {
    live: Mutex<Vec<SessionInfo>>,
}

impl FakeSessions {
    fn open(&self, principal: &str) -> String {
        let session = SessionInfo {
            id: SessionId::generate(),
            principal: principal.to_owned(),
            database: "shop".to_owned(),
            client_addr: "127.0.0.1:5000".to_owned(),
            client_region: Some(Region::new("us")),
            application_name: "psql".to_owned(),
            opened_at: Timestamp::now(),
            grants: Vec::new(),
            statement: Some("select 1".to_owned()),
            rows: Some(7),
            statements: 3,
        };
        let id = session.id.to_string();
        self.live.lock().unwrap().push(session);
        id
    }
}

impl Sessions for FakeSessions {
    fn list(&self) -> Vec<SessionInfo> {
        self.live.lock().unwrap().clone()
    }

    fn kill(&self, id: &SessionId, _by: &str, _reason: Option<&str>) -> bool {
        let mut live = self.live.lock().unwrap();
        let before = live.len();
        live.retain(|session| session.id != *id);
        live.len() < before
    }

    fn held(&self) -> Vec<(String, Arc<str>)> {
        Vec::new()
    }

    fn release(&self, _principal: &str) -> bool {
        false
    }
}

/// Finds nothing in any statement, and refuses what says that it should be.
#[derive(Debug)]
struct FakeAnalyst;

#[async_trait::async_trait]
impl pgward::desk::Analyse for FakeAnalyst {
    async fn analyse(
        &self,
        _: &pgward::desk::Actor,
        scope: &Scope,
        statement: &str,
    ) -> Result<Analysis, pgward::desk::NotAnalysed> {
        if statement.contains("never") {
            return Err(pgward::desk::NotAnalysed::Never { why: "it says so".to_owned(), hint: None });
        }
        Ok(Analysis {
            kind: statement.to_owned(),
            relations: Vec::new(),
            functions: Vec::new(),
            labels: Vec::new(),
            regions: vec![scope.name.clone()],
            refused: None,
            estimate: Estimate::Unknown("nobody was asked".to_owned()),
        })
    }
}

/// Allows everything, and says for whom.
#[derive(Debug)]
struct FakeExplainer;

#[async_trait::async_trait]
impl Explain for FakeExplainer {
    async fn explain(&self, question: ExplainQuestion) -> Result<ExplainAnswer, ExplainError> {
        if question.database != "shop" {
            return Err(ExplainError::NoDatabase(question.database));
        }
        Ok(ExplainAnswer {
            verdict: VerdictWord::Allow,
            grant: None,
            rule: None,
            detail: Some(question.principal.name),
            hint: None,
            relations: Vec::new(),
            fingerprint: Some(question.sql),
            steps: Vec::new(),
        })
    }

    fn not_ready(&self) -> Vec<String> {
        Vec::new()
    }
}
