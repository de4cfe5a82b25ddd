//! A server of sessions in this process, in front of a PostgreSQL of its own, and a client that says exactly the bytes
//! that it is told to.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{BufMut, BytesMut};
use pgward::access::{
    AccessRequest, Clock, Decision, GrantId, Guards, NewRequest, ObjectPattern, Operation, OperationSet, Principal,
    Privilege, Region, RegionNetworks, Ruling, Scope, Secret, Subject,
};
use pgward::audit::{self, Event, Journal, Record};
use pgward::guarded::Proof;
use pgward::policy::DatabasePolicy;
use pgward::session::{
    DatabaseSettings, Dependencies, Directory, Login, Metrics, Place, Registry, Server, ServerTls, SessionAttrs,
    Settings, SslMode, UpstreamSettings, User,
};
use pgward::store::{GrantBook, SharedStore, SqliteStore};
use pgward::wire::scram::Verifier;
use pgward::wire::{encode, frame};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::postgres::TestPostgres;

pub struct Bench {
    pub postgres: Arc<TestPostgres>,
    pub port: u16,
    pub registry: Arc<Registry>,
    pub stop: CancellationToken,
    metrics: prometheus_client::registry::Registry,
    store: SharedStore,
    grants: Arc<GrantBook>,
    clock: Arc<Clock>,
    directory: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

const SCHEMA: &str = "CREATE TABLE notes (id int PRIMARY KEY, body text);
INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 1000) n;
CREATE TABLE sink (id int, body text);
CREATE TABLE secret (id int, body text);
INSERT INTO secret VALUES (1, 'hidden');
CREATE TABLE uniq (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION leak() RETURNS int LANGUAGE sql SECURITY DEFINER
    AS 'INSERT INTO sink VALUES (99, ''leaked'') RETURNING id';
CREATE FUNCTION unlock() RETURNS text LANGUAGE sql
    AS 'SELECT set_config(''default_transaction_read_only'', ''off'', false)';
CREATE VIEW leaky AS SELECT id, leak() AS leaked FROM notes;";

/// The tables that the tests work on.
pub async fn fill(postgres: &TestPostgres) {
    let (client, connection) =
        tokio_postgres::connect(&postgres.dsn("postgres", "postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(SCHEMA).await.unwrap();
}

/// The database itself, by its socket.
pub fn upstream_of(postgres: &TestPostgres) -> UpstreamSettings {
    UpstreamSettings {
        places: vec![Place { host: postgres.socket_directory().display().to_string(), port: postgres.port }],
        session_attrs: SessionAttrs::Any,
        direct_tls: false,
        protocol_minors: 0..=0,
        is_pooled: false,
        proof: Proof::Optional,
        user: "postgres".into(),
        database: "postgres".into(),
        sslmode: SslMode::Disable,
        root_cert: None,
        password: Secret::new("unused"),
    }
}

fn principal(name: &str) -> Principal {
    Principal { name: name.into(), groups: vec!["dev".into()], region: None }
}

pub fn scope(name: &str, tables: &[&str], operations: &[Operation], row_limit: Option<u64>) -> Scope {
    let on = tables.iter().map(|table| ObjectPattern::parse(table).unwrap()).collect();
    Scope {
        name: name.into(),
        database: "plain".into(),
        regions: vec![Region::new("us")],
        requesters: vec![Subject::Group("dev".into())],
        approvers: vec![Subject::User("bob".into())],
        approvals: 1,
        max_duration: Duration::from_secs(3600),
        guards: Guards { row_limit, ..Guards::default() },
        rules: pgward::access::Rules::default(),
        allow: vec![Privilege {
            on,
            columns: None,
            operations: OperationSet::of(operations),
            functions: vec![ObjectPattern::parse("pg_catalog.pg_sleep").unwrap()],
        }],
    }
}

impl Bench {
    pub async fn start() -> Self {
        let postgres = tokio::task::spawn_blocking(TestPostgres::start).await.unwrap();
        fill(&postgres).await;
        let upstream = upstream_of(&postgres);
        Self::in_front_of(Arc::new(postgres), upstream, Settings::default()).await
    }

    /// A server of its own, whose sessions go to `upstream`.
    pub async fn in_front_of(postgres: Arc<TestPostgres>, upstream: UpstreamSettings, settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(Clock::default());
        let store: SharedStore = Arc::new(SqliteStore::open(&directory.path().join("store.db")).unwrap());
        let grants = GrantBook::load(Arc::clone(&store), Arc::clone(&clock)).await.unwrap();
        tokio::spawn(Arc::clone(&grants).run(Duration::from_millis(500), CancellationToken::new()));
        let journal =
            Journal::open(audit::Settings::new(directory.path().join("audit"), audit::Durability::Written)).unwrap();
        let user = |name: &str| User {
            principal: principal(name),
            scram: Some(Verifier::derive("pencil", b"salt", 4096)),
            login: Login::Password,
        };
        let database = DatabaseSettings {
            route: "plain".into(),
            policy_version: 1,
            policy: Arc::new(DatabasePolicy {
                name: "plain".into(),
                region: Region::new("us"),
                routed: false,
                data: vec![],
                rules: Arc::default(),
                hidden: Default::default(),
            }),
            upstream: Arc::new(upstream),
            second_opinion: pgward::session::SecondOpinion::Off,
            scopes: vec![Arc::new(scope("read", &["public.notes"], &[Operation::Select], None))],
            roles: None,
        };
        let databases = HashMap::from([("plain".to_owned(), Arc::new(database))]);
        let registry = Arc::new(Registry::default());
        let networks = RegionNetworks::new(vec![("127.0.0.0/8".parse().unwrap(), Region::new("us"))]);
        let (tls, certificate) = server_tls();
        let mut metrics = prometheus_client::registry::Registry::default();
        let server = Server::new(
            settings,
            Dependencies {
                store: Arc::clone(&store),
                grants: Arc::clone(&grants),
                journal,
                clock: Arc::clone(&clock),
                directory: Arc::new(ArcSwap::from_pointee(Directory::new([user("alice"), user("carol")]))),
                databases: Arc::new(ArcSwap::from_pointee(databases)),
                balancers: Arc::default(),
                region_networks: Arc::new(ArcSwap::from_pointee(networks)),
                tls: Arc::new(ArcSwap::from_pointee(tls)),
                desk: None,
                registry: Arc::clone(&registry),
                replicas: None,
                metrics: Arc::new(Metrics::register(&mut metrics)),
            },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        tokio::spawn(Arc::new(server).run(listener, stop.clone()));
        Self { postgres, port, registry, stop, metrics, store, grants, clock, directory, certificate }
    }

    pub async fn grant(
        &self,
        name: &str,
        tables: &[&str],
        operations: &[Operation],
        row_limit: Option<u64>,
    ) -> GrantId {
        self.grant_scope(scope(name, tables, operations, row_limit)).await
    }

    pub async fn grant_scope(&self, scope: Scope) -> GrantId {
        self.grant_to("alice", scope).await
    }

    pub async fn grant_to(&self, name: &str, scope: Scope) -> GrantId {
        let new = NewRequest {
            reason: "the tests need it".into(),
            duration: Duration::from_secs(1800),
            ..NewRequest::default()
        };
        let request = AccessRequest::file(principal(name), scope, new, self.clock.now()).unwrap();
        self.store.file(&request.clone().into()).await.unwrap();
        let decided = self
            .store
            .decide(&request.id, &principal("bob"), Ruling::of(Decision::Approve, None), self.clock.now())
            .await
            .unwrap();
        self.grants.refresh().await.unwrap();
        decided.1.unwrap().id
    }

    /// All of `notes` and `sink`.
    pub async fn grant_most(&self) -> GrantId {
        let all = [Operation::Select, Operation::Insert, Operation::Update, Operation::Delete, Operation::Truncate];
        self.grant("most", &["public.notes", "public.sink", "public.uniq"], &all, None).await
    }

    pub async fn revoke(&self, grant: &GrantId) {
        self.store.revoke(grant, "bob", Some("enough".into()), self.clock.now()).await.unwrap();
        self.grants.refresh().await.unwrap();
    }

    pub fn records(&self, event: Event) -> Vec<Record> {
        let filter = audit::Filter { event: Some(event), ..audit::Filter::default() };
        let dir: PathBuf = self.directory.path().join("audit");
        audit::search(&dir, &filter, |_| true).unwrap().into_iter().map(|entry| entry.record).collect()
    }

    /// What the database itself answers.
    pub async fn ask(&self, sql: &str) -> String {
        let (client, connection) =
            tokio_postgres::connect(&self.postgres.dsn("postgres", "postgres"), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        for message in client.simple_query(sql).await.unwrap() {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                return row.get(0).unwrap_or_default().to_owned();
            }
        }
        String::new()
    }

    /// What a metric counts; 0 where there is none of that name and labels.
    pub fn metric(&self, name: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0, |count| count.parse().unwrap())
    }

    /// A connection from an address of the loopback's.
    pub async fn tcp_from(&self, address: &str) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((address.parse::<std::net::IpAddr>().unwrap(), 0).into()).unwrap();
        socket.connect(([127, 0, 0, 1], self.port).into()).await.unwrap()
    }

    pub async fn tls(&self) -> TlsStream<TcpStream> {
        self.tls_over(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()).await
    }

    pub async fn tls_over(&self, mut tcp: TcpStream) -> TlsStream<TcpStream> {
        tcp.write_all(&encode::ssl_request()).await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), b'S');
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()
    }

    /// A session that is logged in and idle.
    pub async fn session(&self) -> Raw {
        let (raw, end) = self.log_in("alice", "plain", "pencil").await;
        assert_eq!(end.last().unwrap().tag, b'Z', "{end:?}");
        raw
    }

    /// A connection inside TLS on which nothing has been said.
    pub async fn raw(&self) -> Raw {
        Raw { stream: self.tls().await, input: BytesMut::new(), key: (0, vec![]) }
    }

    /// What channel binding binds to.
    pub fn binding(&self) -> Vec<u8> {
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.certificate).as_ref().to_vec()
    }

    /// Logs in with channel binding, to ReadyForQuery or the error.
    pub async fn log_in(&self, user: &str, database: &str, password: &str) -> (Raw, Vec<Said>) {
        self.log_in_over(self.tls().await, user, database, password).await
    }

    /// The same from an address of the loopback's.
    pub async fn log_in_from(&self, address: &str, user: &str, password: &str) -> (Raw, Vec<Said>) {
        self.log_in_over(self.tls_over(self.tcp_from(address).await).await, user, "plain", password).await
    }

    async fn log_in_over(
        &self,
        stream: TlsStream<TcpStream>,
        user: &str,
        database: &str,
        password: &str,
    ) -> (Raw, Vec<Said>) {
        let mut raw = Raw { stream, input: BytesMut::new(), key: (0, vec![]) };
        raw.send(&[encode::startup(0, &[("user", user), ("database", database)])]).await;
        let offer = raw.next().await;
        if offer.tag == b'E' {
            return (raw, vec![offer]);
        }
        assert_eq!(offer.tag, b'R', "{offer:?}");
        let binding = ChannelBinding::tls_server_end_point(self.binding());
        let mut scram = ScramSha256::new(password.as_bytes(), binding);
        raw.send(&[encode::sasl_initial_response("SCRAM-SHA-256-PLUS", scram.message())]).await;
        let challenge = raw.next().await;
        assert_eq!(challenge.tag, b'R', "{challenge:?}");
        scram.update(&challenge.body[4..]).unwrap();
        raw.send(&[encode::sasl_response(scram.message())]).await;
        let answer = raw.next().await;
        if answer.tag == b'E' {
            return (raw, vec![answer]);
        }
        scram.finish(&answer.body[4..]).unwrap();
        let rest = raw.until_ready().await;
        if let Some(key) = rest.iter().find(|said| said.tag == b'K') {
            raw.key = (u32::from_be_bytes(key.body[..4].try_into().unwrap()), key.body[4..].to_vec());
        }
        (raw, rest)
    }

    pub async fn cancel(&self, key: &(u32, Vec<u8>)) {
        let mut tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        tcp.write_all(&encode::cancel_request(key.0, &key.1)).await.unwrap();
        assert_eq!(tcp.read(&mut [0; 8]).await.unwrap_or(0), 0, "a cancel request is not answered");
    }
}

fn server_tls() -> (ServerTls, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (ServerTls::new(config, &certificate), certificate)
}

/// One message from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Said {
    pub tag: u8,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", char::from(self.tag), String::from_utf8_lossy(&self.body).escape_debug())
    }
}

impl Said {
    pub fn holds(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

pub struct Raw {
    pub stream: TlsStream<TcpStream>,
    input: BytesMut,
    pub key: (u32, Vec<u8>),
}

impl Raw {
    pub async fn send(&mut self, messages: &[bytes::Bytes]) {
        let all: Vec<u8> = messages.iter().flat_map(|message| message.to_vec()).collect();
        self.stream.write_all(&all).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message; one with tag 0 where the server has closed.
    pub async fn next(&mut self) -> Said {
        loop {
            if let Some(frame) = frame::take(&mut self.input, 1 << 24).unwrap() {
                return Said { tag: frame.tag(), body: frame.body().to_vec() };
            }
            let read = tokio::time::timeout(Duration::from_secs(8), self.stream.read_buf(&mut self.input)).await;
            if matches!(read.expect("an answer in time"), Ok(0) | Err(_)) {
                return Said { tag: 0, body: vec![] };
            }
        }
    }

    /// Messages to the next ReadyForQuery, or to the end of the connection.
    pub async fn until_ready(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        loop {
            let said = self.next().await;
            let over = matches!(said.tag, b'Z' | 0);
            all.push(said);
            if over {
                return all;
            }
        }
    }

    pub async fn ask(&mut self, messages: &[bytes::Bytes]) -> Vec<Said> {
        self.send(messages).await;
        self.until_ready().await
    }

    pub async fn query(&mut self, text: &str) -> Vec<Said> {
        self.ask(&[encode::query(text)]).await
    }
}

/// The type bytes of messages; errors with their SQLSTATE, ReadyForQuery with its status.
pub fn shape(said: &[Said]) -> String {
    let one = |said: &Said| match said.tag {
        b'E' => {
            let fields = pgward::wire::backend::error_fields(&said.body).unwrap();
            format!("E({})", fields.sqlstate)
        }
        b'Z' => format!("Z({})", char::from(said.body[0])),
        b'C' => format!("C({})", String::from_utf8_lossy(&said.body).trim_end_matches('\0')),
        0 => "closed".to_owned(),
        tag => char::from(tag).to_string(),
    };
    said.iter().map(one).collect::<Vec<_>>().join(" ")
}

pub fn message(tag: u8, write: impl FnOnce(&mut BytesMut)) -> bytes::Bytes {
    let mut body = BytesMut::new();
    write(&mut body);
    let mut bytes = BytesMut::new();
    bytes.put_u8(tag);
    bytes.put_u32(u32::try_from(body.len() + 4).unwrap());
    bytes.extend_from_slice(&body);
    bytes.freeze()
}

pub fn cstr(body: &mut BytesMut, text: &str) {
    body.extend_from_slice(text.as_bytes());
    body.put_u8(0);
}

pub fn bind(portal: &str, statement: &str, values: &[&str]) -> bytes::Bytes {
    message(b'B', |body| {
        cstr(body, portal);
        cstr(body, statement);
        body.put_u16(0);
        body.put_u16(u16::try_from(values.len()).unwrap());
        for value in values {
            body.put_u32(u32::try_from(value.len()).unwrap());
            body.extend_from_slice(value.as_bytes());
        }
        body.put_u16(0);
    })
}

pub fn execute(portal: &str, rows: u32) -> bytes::Bytes {
    message(b'E', |body| {
        cstr(body, portal);
        body.put_u32(rows);
    })
}

pub fn describe(kind: u8, name: &str) -> bytes::Bytes {
    message(b'D', |body| {
        body.put_u8(kind);
        cstr(body, name);
    })
}

pub fn close(kind: u8, name: &str) -> bytes::Bytes {
    message(b'C', |body| {
        body.put_u8(kind);
        cstr(body, name);
    })
}

pub fn plain(tag: u8) -> bytes::Bytes {
    message(tag, |_| ())
}

pub fn copy_data(data: &[u8]) -> bytes::Bytes {
    message(b'd', |body| body.extend_from_slice(data))
}
