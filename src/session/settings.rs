//! What the data path needs to be told: its own bounds, and the parts that it is built from.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::asking::Asking;
use super::balancer::Balancers;
use super::bounds::Bounds;
use super::metrics::Metrics;
use super::registry::Registry;
use super::tls::ServerTls;
use crate::access::{Clock, Principal, RegionNetworks, Scope, Secret};
use crate::audit::{HashKey, Journal};
use crate::guarded::Proof;
use crate::identity::Issuer;
use crate::policy::DatabasePolicy;
use crate::replicas::Replicas;
use crate::store::{GrantBook, SharedStore};
use crate::wire::scram::Verifier;

/// Bounds and deadlines. Each has a default.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What peers may have and do.
    pub bounds: Bounds,
    /// To reach and log in to an upstream.
    pub connect_timeout: Duration,
    /// To analyse one text.
    pub analysis_timeout: Duration,
    /// Age at which a catalog snapshot is checked again.
    pub catalog_max_age: Duration,
    /// How long live sessions outlast a store that does not answer.
    pub store_lease: Duration,
    /// For statements to end once the process is asked to stop.
    pub drain: Duration,
    /// What of bind values goes into the journal.
    pub parameters: ParameterRecording,
    /// Keys the hashes of bind values.
    pub hash_key: HashKey,
    /// Keys the salts that unknown users are shown; the same on each start where it is kept.
    pub salt_secret: [u8; 32],
}

impl Default for Settings {
    fn default() -> Self {
        let (mut salt_secret, mut hash_secret) = ([0; 32], [0; 32]);
        // A process whose random source fails cannot make keys or nonces either: those fail closed where they are made.
        let _ = aws_lc_rs::rand::fill(&mut salt_secret);
        let _ = aws_lc_rs::rand::fill(&mut hash_secret);
        Self {
            bounds: Bounds::default(),
            connect_timeout: Duration::from_secs(10),
            analysis_timeout: Duration::from_secs(5),
            catalog_max_age: Duration::from_secs(1),
            store_lease: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            parameters: ParameterRecording::Record,
            hash_key: HashKey::new(&hash_secret),
            salt_secret,
        }
    }
}

/// What of bind values goes into the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterRecording {
    Record,
    /// A keyed hash of each value.
    Hash,
    Omit,
}

/// The parts that a server works with.
#[derive(Clone, Debug)]
pub struct Dependencies {
    pub store: SharedStore,
    pub grants: Arc<GrantBook>,
    pub journal: Arc<Journal>,
    pub clock: Arc<Clock>,
    /// Swapped whole on reload; sessions that are open keep what they began with.
    pub directory: Arc<ArcSwap<Directory>>,
    pub databases: Arc<ArcSwap<HashMap<String, Arc<DatabaseSettings>>>>,
    pub region_networks: Arc<ArcSwap<RegionNetworks>>,
    /// The load balancers that say whose their connections are; swapped on reload.
    pub balancers: Arc<ArcSwap<Balancers>>,
    /// The certificate that clients are shown; swapped on reload.
    pub tls: Arc<ArcSwap<ServerTls>>,
    pub registry: Arc<Registry>,
    /// The other replicas, where the store is one that several share.
    pub replicas: Option<Arc<Replicas>>,
    /// Where sessions ask for access; nowhere in tests of the data path alone.
    pub desk: Option<Arc<dyn Asking>>,
    pub metrics: Arc<Metrics>,
}

/// Who may log in.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    users: HashMap<String, User>,
}

/// One `[[user]]`.
#[derive(Clone, Debug)]
pub struct User {
    pub principal: Principal,
    /// A stable password's verifier, besides those that are minted.
    pub scram: Option<Verifier>,
    pub login: Login,
}

/// How a user logs in who shows no certificate.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// By SCRAM.
    #[default]
    Password,
    /// By a token, with OAUTHBEARER.
    Oauth(Arc<Issuer>),
    /// By a token in place of the password.
    TokenAsPassword(Arc<Issuer>),
}

impl Directory {
    #[must_use]
    pub fn new(users: impl IntoIterator<Item = User>) -> Self {
        Self { users: users.into_iter().map(|user| (user.principal.name.clone(), user)).collect() }
    }

    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }
}

/// One upstream of one `[[database]]`.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// What clients name: the database, or `database@region` for one of its further upstreams.
    pub route: String,
    /// Differs whenever the configuration does; every record of a statement names it.
    pub policy_version: u64,
    pub policy: Arc<DatabasePolicy>,
    pub upstream: Arc<UpstreamSettings>,
    /// The scopes of this database, in the order of the configuration.
    pub scopes: Vec<Arc<Scope>>,
    pub second_opinion: SecondOpinion,
    /// Whether each session logs in as a short-lived role of its own, and how those are made.
    pub roles: Option<RoleSettings>,
}

/// Whether PostgreSQL is asked what a statement touches before the statement is let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondOpinion {
    #[default]
    Off,
    /// Where it can be asked.
    On,
    /// What it could not be asked about is refused.
    Required,
}

/// What short-lived roles are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleSettings {
    /// Of one statement, where the session does not choose its own.
    pub statement_timeout: Duration,
    /// Of a transaction in which nothing happens, where the session does not choose its own.
    pub idle_in_transaction_timeout: Duration,
}

/// Where an upstream is and how it is logged in to.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The servers that it may be on, in the order in which they are tried; at least one.
    pub places: Vec<Place>,
    /// Which of them will do.
    pub session_attrs: SessionAttrs,
    /// TLS from the first byte, without asking for it first.
    pub direct_tls: bool,
    /// The minor versions of protocol 3 that may be spoken.
    pub protocol_minors: RangeInclusive<u16>,
    /// There is a pooler in between, which takes no settings at login.
    pub is_pooled: bool,
    /// What the server has to ask for at login.
    pub proof: Proof,
    pub user: String,
    pub database: String,
    pub sslmode: SslMode,
    /// Certificates to trust, in PEM.
    pub root_cert: Option<PathBuf>,
    pub password: Secret,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A name, an address, or the directory of a Unix socket.
    pub host: String,
    pub port: u16,
}

impl Place {
    /// The socket's path, where it is one.
    #[must_use]
    pub fn socket(&self) -> Option<PathBuf> {
        self.host.starts_with('/').then(|| PathBuf::from(format!("{}/.s.PGSQL.{}", self.host, self.port)))
    }
}

/// What a server has to be; as in libpq.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionAttrs {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// How the upstream's identity is checked; as in libpq, without the modes that fall back to plain text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Certificate and host name.
    #[default]
    VerifyFull,
    /// Certificate, any host name.
    VerifyCa,
    /// Encrypted, with whoever answers.
    Require,
    /// Plain text; only where the configuration says so in as many words.
    Disable,
}
