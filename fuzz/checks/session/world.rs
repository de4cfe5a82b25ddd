//! What made-up sessions run in: a real server of sessions with a grant, a journal and the catalogs of a PostgreSQL that was
//! asked for them once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pgward::access::{
    AccessRequest, Clock, Decision, Guards, NewRequest, ObjectPattern, Operation, OperationSet, Principal, Privilege,
    Region, RegionNetworks, Ruling, Scope, Secret, Subject,
};
use pgward::audit::{self, Journal, Subscription};
use pgward::policy::DatabasePolicy;
use pgward::session::{
    Bounds, DatabaseSettings, Dependencies, Directory, Metrics, Place, Registry, SecondOpinion, Server, ServerTls,
    SessionAttrs, Settings, SslMode, UpstreamSettings,
};
use pgward::store::{GrantBook, SharedStore, SqliteStore};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::postgres::TestPostgres;

/// Longer than any run: the catalogs stay as they were read, and the store need not be asked again.
const EVER: Duration = Duration::from_secs(7 * 24 * 3600);

const SCHEMA: &str = "CREATE TABLE notes (id int PRIMARY KEY, body text);
CREATE TABLE sink (id int, body text);
CREATE TABLE secret (id int, body text);";

pub struct World {
    pub runtime: Runtime,
    pub server: Arc<Server>,
    pub journal: Arc<Journal>,
    pub records: Subscription,
    _directory: tempfile::TempDir,
}

pub fn alice() -> Principal {
    Principal { name: "alice".into(), groups: vec!["dev".into()], region: None }
}

/// The tables, in a server that lives as long as this process.
pub fn postgres(runtime: &Runtime) -> TestPostgres {
    let postgres = TestPostgres::start();
    runtime.block_on(async {
        let dsn = postgres.dsn("postgres", "postgres");
        let (client, connection) = tokio_postgres::connect(&dsn, tokio_postgres::NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client.batch_execute(SCHEMA).await.expect("the tables");
    });
    postgres
}

/// Where a peer that has gone is an error of writing and no signal: std sees to that in programs whose `main` it starts,
/// and libFuzzer has a `main` of its own.
pub fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { signal(SignalKind::pipe()).map(drop).expect("a handler of SIGPIPE") });
    runtime
}

impl World {
    /// A new world before a PostgreSQL that has the tables.
    pub fn new(runtime: Runtime, postgres: &TestPostgres) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = audit::Settings::new(directory.path().join("audit"), audit::Durability::Written);
        let (server, journal) = runtime.block_on(async {
            let journal = Journal::open(settings).expect("a journal");
            (Arc::new(server(postgres, directory.path(), Arc::clone(&journal)).await), journal)
        });
        let records = journal.subscribe(1);
        Self { runtime, server, journal, records, _directory: directory }
    }
}

async fn server(postgres: &TestPostgres, directory: &std::path::Path, journal: Arc<Journal>) -> Server {
    let clock = Arc::new(Clock::default());
    let store: SharedStore = Arc::new(SqliteStore::open(&directory.join("store.db")).expect("a store"));
    let grants = GrantBook::load(Arc::clone(&store), Arc::clone(&clock)).await.expect("a book of grants");
    grant(&store, &clock).await;
    grants.refresh().await.expect("the grant");
    let databases = HashMap::from([("plain".to_owned(), Arc::new(database(postgres)))]);
    let bounds = Bounds { max_message_bytes: 64 * 1024, ..Bounds::default() };
    let settings = Settings { catalog_max_age: EVER, store_lease: EVER, bounds, ..Settings::default() };
    Server::new(
        settings,
        Dependencies {
            store,
            grants,
            journal,
            clock,
            directory: Arc::new(ArcSwap::from_pointee(Directory::default())),
            databases: Arc::new(ArcSwap::from_pointee(databases)),
            balancers: Arc::default(),
            region_networks: Arc::new(ArcSwap::from_pointee(RegionNetworks::new(Vec::new()))),
            tls: Arc::new(ArcSwap::from_pointee(tls())),
            replicas: None,
            registry: Arc::new(Registry::default()),
            desk: None,
            metrics: Arc::new(Metrics::register(&mut prometheus_client::registry::Registry::default())),
        },
    )
}

async fn grant(store: &SharedStore, clock: &Clock) {
    let new = NewRequest { reason: "fuzzing".into(), duration: EVER, ..NewRequest::default() };
    let request = AccessRequest::file(alice(), scope(), new, clock.now()).expect("a request");
    store.file(&request.clone().into()).await.expect("it is filed");
    let bob = Principal { name: "bob".into(), groups: Vec::new(), region: None };
    store.decide(&request.id, &bob, Ruling::of(Decision::Approve, None), clock.now()).await.expect("it is approved");
}

fn scope() -> Scope {
    let all = [Operation::Select, Operation::Insert, Operation::Update, Operation::Delete];
    Scope {
        name: "most".into(),
        database: "plain".into(),
        regions: vec![Region::new("us")],
        requesters: vec![Subject::Group("dev".into())],
        approvers: vec![Subject::User("bob".into())],
        approvals: 1,
        max_duration: EVER,
        guards: Guards { row_limit: Some(100), ..Guards::default() },
        rules: pgward::access::Rules::default(),
        allow: vec![Privilege {
            on: ["public.notes", "public.sink"].map(|on| ObjectPattern::parse(on).expect("a pattern")).to_vec(),
            columns: None,
            operations: OperationSet::of(&all),
            functions: Vec::new(),
        }],
    }
}

fn database(postgres: &TestPostgres) -> DatabaseSettings {
    let upstream = UpstreamSettings {
        places: vec![Place { host: postgres.socket_directory().display().to_string(), port: postgres.port }],
        session_attrs: SessionAttrs::Any,
        direct_tls: false,
        protocol_minors: 0..=0,
        is_pooled: false,
        proof: pgward::guarded::Proof::Optional,
        user: "postgres".into(),
        database: "postgres".into(),
        sslmode: SslMode::Disable,
        root_cert: None,
        password: Secret::new("unused"),
    };
    DatabaseSettings {
        route: "plain".into(),
        policy_version: 1,
        policy: Arc::new(DatabasePolicy {
            name: "plain".into(),
            region: Region::new("us"),
            routed: false,
            data: Vec::new(),
            rules: Arc::default(),
            hidden: pgward::policy::Hidden::default(),
        }),
        upstream: Arc::new(upstream),
        second_opinion: SecondOpinion::Off,
        scopes: vec![Arc::new(scope())],
        roles: None,
    }
}

/// Nobody is shown it.
fn tls() -> ServerTls {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a certificate with its key");
    ServerTls::new(config, &certificate)
}
