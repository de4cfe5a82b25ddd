//! A journal with sinks on it, in this process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use pgward::access::{AccessRequest, Clock, Secret};
use pgward::audit::{self, Durability, Event, Journal, Record};
use pgward::sinks::{Body, Kind, Metrics, Pem, Regions, Requests, Selection, Settings, Sinks, Start, Webhook};
use prometheus_client::registry::Registry;

/// A journal in a folder of its own.
pub struct Rig {
    pub dir: tempfile::TempDir,
    pub journal: Arc<Journal>,
    registry: Registry,
    metrics: Metrics,
    notification_metrics: Metrics,
}

impl Rig {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("pgws").tempdir_in("/tmp").unwrap();
        let journal = open(dir.path());
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let notification_metrics = Metrics::register_notifications(&mut registry);
        Self { dir, journal, registry, metrics, notification_metrics }
    }

    /// Records so many statements.
    pub async fn statements(&self, count: usize) {
        for number in 0..count {
            self.record(statement(&format!("SELECT {number}"))).await;
        }
    }

    pub async fn record(&self, record: Record) -> u64 {
        self.journal.record(record).await.unwrap()
    }

    pub fn head(&self) -> u64 {
        *self.journal.head().borrow()
    }

    /// Every `seq` of the journal so far.
    pub fn all(&self) -> Vec<u64> {
        (1..=self.head()).collect()
    }

    pub async fn start(&self, settings: Vec<Settings>) -> Arc<Sinks> {
        let prepared = Sinks::prepare(settings, &self.journal).unwrap();
        Sinks::start(prepared, Arc::clone(&self.journal), Arc::new(Clock::default()), self.metrics.clone()).await
    }

    /// The same with a notification `s`, each of whose records is about `request`.
    pub async fn notify(&self, settings: Settings, request: Option<AccessRequest>) -> Arc<Sinks> {
        let requests: Arc<dyn Requests> = Arc::new(Only(request));
        let prepared = Sinks::prepare_with(vec![settings], &self.journal, &requests).unwrap();
        let metrics = self.notification_metrics.clone();
        Sinks::start(prepared, Arc::clone(&self.journal), Arc::new(Clock::default()), metrics).await
    }

    /// Closes the journal and opens it again, as a restart does.
    pub async fn reopen(mut self) -> Self {
        self.journal.close().await.unwrap();
        self.journal = open(self.dir.path());
        self
    }

    /// What a metric of the sink `s` says.
    pub fn metric(&self, name: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let of = ["sink", "notification"].map(|kind| format!("{name}{{{kind}=\"s\"}}"));
        let line = text.lines().find(|line| of.iter().any(|start| line.starts_with(start)));
        // Nothing is told before the watch has looked once.
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(f64::NAN)
    }

    pub fn position(&self) -> Option<serde_json::Value> {
        let bytes = std::fs::read(self.dir.path().join("audit/sinks/s.json")).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    /// What the journal says of the state of sinks.
    pub fn states(&self) -> Vec<String> {
        self.details(Event::SinkState)
    }

    /// The details of all records of an event.
    pub fn details(&self, event: Event) -> Vec<String> {
        let filter = audit::Filter { event: Some(event), ..audit::Filter::default() };
        let found = audit::search(&self.dir.path().join("audit"), &filter, |_| true).unwrap();
        found.into_iter().filter_map(|entry| entry.record.detail).collect()
    }
}

/// Knows one request.
#[derive(Debug)]
struct Only(Option<AccessRequest>);

#[async_trait::async_trait]
impl Requests for Only {
    async fn about(&self, _record: &Record) -> Result<Option<AccessRequest>, String> {
        Ok(self.0.clone())
    }
}

fn open(dir: &Path) -> Arc<Journal> {
    Journal::open(audit::Settings::new(dir.join("audit"), Durability::Written)).unwrap()
}

pub fn statement(text: &str) -> Record {
    let mut record = Record::new(Timestamp::now(), Event::Statement);
    record.principal = Some("alice".into());
    record.database = Some("shop".into());
    record.client_addr = Some("127.0.0.1:5555".into());
    record.statement = Some(text.into());
    record.kind = Some("SELECT".into());
    record.verdict = Some(audit::RecordedVerdict::Deny);
    record.rule = Some("out-of-scope".into());
    record
}

/// A sink `s` with everything usual.
pub fn sink(kind: Kind) -> Settings {
    Settings {
        name: "s".to_owned(),
        selection: Selection { regions: Regions::AllBut(vec![]), events: None },
        start: Start::Oldest,
        batch_records: 20,
        batch_bytes: 1 << 20,
        alarm_after: Duration::from_secs(300),
        kind,
    }
}

/// Of the tests' key.
pub const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

pub fn webhook(port: u16) -> Webhook {
    Webhook {
        url: format!("https://localhost:{port}/in"),
        ca: Some(ca()),
        secret: Secret::new(SECRET),
        allow_private: true,
        body: Body::Jsonl,
    }
}

pub fn ca() -> Pem {
    Pem::read(&certs().join("ca.crt")).unwrap()
}

/// Development certificates for `localhost`, made once.
pub fn certs() -> &'static Path {
    static CERTS: OnceLock<PathBuf> = OnceLock::new();
    CERTS.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("pgwc").tempdir_in("/tmp").unwrap().keep();
        let made = std::process::Command::new(crate::support::binary())
            .arg("dev-certs")
            .arg(&dir)
            .args(["--client", "sink"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        dir
    })
}

/// Waits until `condition` holds; panics if it never does.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}
