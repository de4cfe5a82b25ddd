//! A table of a PostgreSQL database: one INSERT for each batch, which the server's answer acknowledges. A record that is there
//! already stays as it is.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, Statement};

use super::receiver::{Delivered, DeliveryError, Receiver};
use super::settings::{Body, Postgresql};
use crate::audit::{Entry, RecordedVerdict, export::ocsf};
use crate::guarded::{self, ConnectError, Server};
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// For one batch.
const INSERT_TIMEOUT: Duration = Duration::from_secs(60);

/// The table, and the connection to its server while there is one.
pub(super) struct Table {
    config: Config,
    server: Server,
    name: String,
    create: bool,
    journal: String,
    body: Body,
    open: Option<Open>,
}

struct Open {
    connection: guarded::Open,
    insert: Statement,
}

impl Table {
    pub(super) fn new(settings: &Postgresql, journal: String) -> Result<Self, String> {
        let mut config = Config::new();
        config.user(&settings.user).dbname(&settings.database);
        config.application_name("pgward audit sink").connect_timeout(CONNECT_TIMEOUT);
        config.keepalives_idle(Duration::from_secs(30));
        if let Some(password) = &settings.password {
            config.password(password.expose());
        }
        let tls = settings.ca.as_ref().map(|ca| tls::client_config_of(ca, None)).transpose();
        let tls = tls.map_err(|error| error.to_string())?;
        let server = Server { host: settings.host.clone(), port: settings.port, tls, proof: settings.proof };
        let name = match &settings.table {
            (Some(schema), table) => format!("{}.{}", quoted(schema), quoted(table)),
            (None, table) => quoted(table),
        };
        let (create, body) = (settings.create_table, settings.body);
        Ok(Self { config, server, name, create, journal, body, open: None })
    }

    async fn connect(&self) -> Result<Open, Failure> {
        let connection = self.server.connect(self.config.clone(), |_| {}).await?;
        let client = &connection.client;
        // An acknowledgement that a crash of the server undoes is none.
        client.batch_execute(ACKNOWLEDGE_AFTER_FLUSH).await?;
        if self.create {
            client.batch_execute(&definition(&self.name)).await?;
        }
        let insert = client.prepare_typed(&insertion(&self.name), &TYPES).await?;
        Ok(Open { insert, connection })
    }

    async fn insert(&mut self, entries: &[Entry]) -> Result<(), Failure> {
        let open = match self.open.take() {
            Some(open) if !open.connection.client.is_closed() => open,
            Some(_) | None => timed(CONNECT_TIMEOUT, self.connect()).await?,
        };
        let rows = Rows::of(entries, &self.journal, self.body).map_err(|error| Failure(error.to_string()))?;
        let columns: [&(dyn ToSql + Sync); 11] = [
            &self.journal,
            &rows.seqs,
            &rows.times,
            &rows.events,
            &rows.principals,
            &rows.databases,
            &rows.sessions,
            &rows.grants,
            &rows.verdicts,
            &rows.rules,
            &rows.records,
        ];
        timed(INSERT_TIMEOUT, open.connection.client.execute(&open.insert, &columns)).await?;
        // Kept only after a success: whatever went wrong, a new connection is a new beginning.
        self.open = Some(open);
        Ok(())
    }
}

#[async_trait::async_trait]
impl Receiver for Table {
    async fn deliver(&mut self, entries: &[Entry]) -> Result<Delivered, DeliveryError> {
        self.insert(entries).await.map(|()| Delivered::All).map_err(|failure| DeliveryError::Failed(failure.0))
    }
}

/// What the server or the way to it said.
struct Failure(String);

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Io(_) => Self(error.to_string()),
            ConnectError::Database(error) => error.into(),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        // The server's DETAIL may quote a row: its message and SQLSTATE are enough.
        match (error.as_db_error(), std::error::Error::source(&error)) {
            (Some(said), _) => Self(format!("the server said {}: {}", said.code().code(), said.message())),
            (None, Some(source)) => Self(format!("{error}: {source}")),
            (None, None) => Self(error.to_string()),
        }
    }
}

async fn timed<T, E: Into<Failure>>(limit: Duration, done: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
    match timeout(limit, done).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Failure("the server did not answer in time".to_owned())),
    }
}

/// The columns of a batch.
#[derive(Default)]
struct Rows {
    seqs: Vec<i64>,
    times: Vec<String>,
    events: Vec<&'static str>,
    principals: Vec<Option<String>>,
    databases: Vec<Option<String>>,
    sessions: Vec<Option<String>>,
    grants: Vec<Option<String>>,
    verdicts: Vec<Option<&'static str>>,
    rules: Vec<Option<String>>,
    records: Vec<String>,
}

impl Rows {
    fn of(entries: &[Entry], journal: &str, body: Body) -> std::io::Result<Self> {
        let mut rows = Self::default();
        for entry in entries {
            let record = &entry.record;
            rows.seqs.push(i64::try_from(record.seq).map_err(std::io::Error::other)?);
            rows.times.push(record.time.to_string());
            rows.events.push(record.event.as_str());
            rows.principals.push(record.principal.as_deref().map(storable));
            rows.databases.push(record.database.as_deref().map(storable));
            rows.sessions.push(record.session.as_ref().map(|id| storable(id.as_str())));
            rows.grants.push(record.grant.as_ref().map(|id| storable(id.as_str())));
            rows.verdicts.push(record.verdict.map(|verdict| match verdict {
                RecordedVerdict::Allow => "allow",
                RecordedVerdict::Deny => "deny",
            }));
            rows.rules.push(record.rule.as_deref().map(storable));
            let bytes = match body {
                Body::Jsonl => entry.canonical.clone(),
                Body::Ocsf => ocsf::event(entry, Some(journal))?,
            };
            rows.records.push(String::from_utf8(bytes).map_err(std::io::Error::other)?);
        }
        Ok(rows)
    }
}

/// PostgreSQL's text holds no NUL; in the record it stands escaped.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const ACKNOWLEDGE_AFTER_FLUSH: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'on', false) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";

/// The table, as `docs/sinks.md` shows it. `json` and not `jsonb`: it keeps the record's bytes as they are.
fn definition(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (journal text NOT NULL, seq bigint NOT NULL, \
         \"time\" timestamptz NOT NULL, event text NOT NULL, principal text, database text, session text, \
         \"grant\" text, verdict text, rule text, record json NOT NULL, PRIMARY KEY (journal, seq))"
    )
}

fn insertion(table: &str) -> String {
    format!(
        "INSERT INTO {table} (journal, seq, \"time\", event, principal, database, session, \"grant\", verdict, rule, record) \
         SELECT $1, seq, moment::timestamptz, event, principal, database, session, granted, verdict, rule, record::json \
         FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         AS r (seq, moment, event, principal, database, session, granted, verdict, rule, record) \
         ORDER BY seq ON CONFLICT (journal, seq) DO NOTHING"
    )
}

const TYPES: [Type; 11] = [
    Type::TEXT,
    Type::INT8_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
];
