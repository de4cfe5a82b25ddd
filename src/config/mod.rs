//! `proxy.toml`: read once, wholly checked, and turned into settings that hold. Every problem is told, with file, line and key.

mod audit;
mod bounds;
mod database;
mod duration;
mod export;
mod files;
mod identity;
mod names;
mod notify;
mod oidc;
mod problems;
mod reader;
mod retention;
mod rules;
mod scope;
mod sections;
mod sink;
mod size;
mod store;
mod suggest;
mod unusual;
mod upstream;
mod user;
mod witness;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::bounds::Bounds;
pub use self::database::PasswordSource;
pub use self::duration::parse_duration;
pub use self::identity::{Issuer, Login, TokenAlgorithm};
pub use self::notify::{MailRecipient, MailServer, MailTls, Notify, NotifyChannel, UrlSource};
pub use self::oidc::Oidc;
pub use self::problems::{ConfigErrors, Problem};
pub use self::retention::RetentionPolicy;
pub use self::sink::{ArchiveLocation, Sink, SinkFormat, SinkKind, SinkStart};
pub use self::store::{ReplicaSettings, StoreLocation, StoreSettings, store_at};
pub use self::upstream::{LoginOptions, Protocol, SessionAttrs, SslMode, UpstreamHost, UpstreamPlace, UpstreamUrl};
pub use crate::access::Secret;

use ipnet::IpNet;

use self::files::FileUse;
use self::names::Names;
use self::problems::Problems;
use self::reader::Table;
use crate::access::{Principal, Region, RegionNetworks, Scope, Subject, TokenHash};
use crate::audit::{Durability, Retention};
use crate::policy::{DatabasePolicy, RegionRule};

/// Everything that `proxy.toml` says, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from.
    pub path: PathBuf,
    /// Differs whenever the file does: the first 8 bytes of its SHA-256.
    pub version: u64,
    pub proxy: ProxySettings,
    pub control: ControlSettings,
    pub store: StoreSettings,
    pub replica: ReplicaSettings,
    pub audit: AuditSettings,
    /// Where records go besides `audit.dir`.
    pub sinks: Vec<Sink>,
    /// Who is told of what.
    pub notifications: Vec<Notify>,
    /// What is looked for in what principals do, if anything.
    pub unusual: Option<crate::unusual::Settings>,
    /// The declared regions, in the order of their names.
    pub regions: Vec<Region>,
    pub networks: RegionNetworks,
    /// What the regions say of the data in them.
    pub region_rules: Arc<BTreeMap<Region, RegionRule>>,
    pub users: Vec<User>,
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
    pub databases: Vec<Database>,
    pub scopes: Vec<Scope>,
    files: Vec<FileUse>,
}

/// `[proxy]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    pub listen: SocketAddr,
    /// What printed connection strings name.
    pub public_host: String,
    pub public_port: u16,
    pub tls: TlsFiles,
    /// Certificates for who asks for one of their names, in place of `tls`.
    pub certificates: Vec<TlsFiles>,
    /// Signs the client certificates that are accepted, where any are.
    pub client_ca: Option<PathBuf>,
    /// Lists of client certificates that were revoked.
    pub client_crl: Vec<PathBuf>,
    /// Threads that serve sessions, where the configuration says how many.
    pub workers: Option<usize>,
    /// For transactions to end once pgward is asked to stop.
    pub drain: Duration,
    /// Between being asked to stop and taking no more connections.
    pub linger: Duration,
    /// What clients may have and do.
    pub bounds: Bounds,
    /// Load balancers, each of whose connections begins with a PROXY v2 header that says whose it is.
    pub proxy_protocol_from: Vec<IpNet>,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// `[control]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSettings {
    pub listen: SocketAddr,
    pub tls: TlsFiles,
    /// May revoke, kill and see everybody's sessions.
    pub admins: Vec<Subject>,
    /// May read the whole journal.
    pub auditors: Vec<Subject>,
    /// How long a minted database password is good.
    pub credential_ttl: Duration,
    /// Whom people log in by, besides their tokens.
    pub oidc: Option<Oidc>,
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    pub dir: PathBuf,
    pub durability: Durability,
    /// The file with the key that signs the log's checkpoints.
    pub signing_key: PathBuf,
    /// The log's name.
    pub origin: Option<String>,
    pub retention: Retention,
    /// What regions say of the records of their data.
    pub regions: BTreeMap<Region, RegionAudit>,
    pub parameters: ParameterRecording,
    /// Who remembers how far the journal had come.
    pub witnesses: Vec<crate::witness::Place>,
}

/// `[regions.*.audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionAudit {
    /// Where the region keeps its records itself.
    pub dir: Option<PathBuf>,
    pub retention: Retention,
}

/// What the journal keeps of bind values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterRecording {
    Record,
    Hash,
    Omit,
}

/// One `[[user]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub principal: Principal,
    /// Of the control token.
    pub token_hash: Option<TokenHash>,
    /// The verifier of a stable database password, in the format of `pg_authid.rolpassword`.
    pub scram: Option<Secret>,
    /// Where they read e-mail.
    pub email: Option<String>,
    pub login: Login,
}

/// One `[[database]]`
#[derive(Clone, Debug)]
pub struct Database {
    pub policy: Arc<DatabasePolicy>,
    pub upstream: UpstreamUrl,
    pub password: PasswordSource,
    /// Its upstreams in other regions, reached as `name@region`.
    pub further: Vec<FurtherUpstream>,
    pub second_opinion: SecondOpinion,
    pub provision: Provision,
    /// How long its rows may live.
    pub retention: Vec<RetentionPolicy>,
}

/// One `[[database.upstreams]]`
#[derive(Clone, Debug)]
pub struct FurtherUpstream {
    /// Where it stores its data.
    pub region: Region,
    pub upstream: UpstreamUrl,
    pub password: PasswordSource,
}

/// Whether PostgreSQL itself is asked what a statement touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondOpinion {
    Off,
    On,
    Required,
}

/// Whether sessions log in to the upstream as roles of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provision {
    /// As the upstream account.
    None,
    /// Each as a short-lived role that the upstream account makes.
    Role { statement_timeout: Duration, idle_in_transaction_timeout: Duration },
}

impl Config {
    /// Reads and checks the file at `path`; of the files that it names only the names. Relative paths in it are relative to
    /// its directory.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| ConfigErrors::of_file(path, "is not UTF-8 text"))?,
            Err(error) => return Err(ConfigErrors::of_file(path, format!("cannot be read: {error}"))),
        };
        Self::parse(path, &text)
    }

    /// Checks `text` as the contents of the file at `path`.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigErrors> {
        let problems = Problems::new(path, text);
        let (root, errors) = toml::de::DeTable::parse_recoverable(text);
        for error in &errors {
            problems.add(error.span().unwrap_or_default(), "", format!("not TOML: {}", error.message()));
        }
        if !errors.is_empty() {
            return Err(problems.into_errors());
        }
        let config = Self::build(path, text, &Table::root(root.get_ref(), &problems));
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            Some(_) | None => Err(problems.into_errors()),
        }
    }

    /// Looks at every file and variable that the configuration names: there, readable, and private where it must be.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn check_files(&self) -> Result<(), ConfigErrors> {
        files::check(&self.path, &self.files)
    }

    /// The database of that name.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.iter().find(|database| database.policy.name == name)
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.principal.name == name)
    }

    /// The scope of that name.
    #[must_use]
    pub fn scope(&self, name: &str) -> Option<&Scope> {
        self.scopes.iter().find(|scope| scope.name == name)
    }

    fn build(path: &Path, text: &str, root: &Table<'_>) -> Option<Self> {
        root.allow(&[
            "proxy", "control", "store", "replica", "audit", "notify", "unusual", "regions", "identity", "user",
            "database", "scope",
        ]);
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut files = Vec::new();
        let names = Names::collect(root);
        let proxy = sections::proxy(root, directory, &mut files);
        let control = sections::control(root, directory, &names, &mut files);
        let store = store::store(root, directory, &mut files);
        let audit = audit::audit(root, directory, &mut files);
        let sinks = sink::sinks(root, directory, &names, &mut files);
        let sections::Regions { declared: regions, networks, rules } = sections::regions(root, &names);
        let region_rules = Arc::new(rules);
        let issuers = identity::issuers(root, directory, &mut files);
        let users = user::users(root, &names, &issuers);
        let mut databases = database::databases(root, directory, &names, &region_rules, &mut files);
        let scopes = scope::scopes(root, &names, &databases);
        retention::read(root, &mut databases, &scopes);
        let declared = notify::Declared { users: &users, databases: &databases, scopes: &scopes };
        let notifications = notify::notifications(root, directory, declared, &mut files);
        let unusual = unusual::unusual(root);
        let (proxy, control) = (proxy?, control?);
        if proxy.listen == control.listen && proxy.listen.port() != 0 {
            root.refuse("control.listen", format!("{} is the address of [proxy] already", control.listen));
        }
        let version = version_of(text);
        let replica = store::replica(root, store.as_ref(), control.listen.port());
        let (store, replica, audit) = (store?, replica?, audit?);
        let path = path.to_owned();
        Some(Self {
            path,
            version,
            proxy,
            control,
            store,
            replica,
            audit,
            sinks,
            notifications,
            unusual,
            regions,
            networks,
            region_rules,
            users,
            issuers,
            databases,
            scopes,
            files,
        })
    }
}

/// The version that the file at `path` would have, were it loaded now.
///
/// # Errors
/// Where it cannot be read.
pub fn version_at(path: &Path) -> std::io::Result<u64> {
    Ok(version_of(&std::fs::read_to_string(path)?))
}

fn version_of(text: &str) -> u64 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |version, byte| version << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
