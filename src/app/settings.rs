//! From the configuration's values to the settings that each part declares for itself.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::hmac;

use super::provider::Provider;
use crate::access::{Clock, Region, Secret};
use crate::audit::{self, HashKey, Shelf};
use crate::config::{
    Config, Issuer, Login, ParameterRecording, Protocol, Provision, SecondOpinion, SessionAttrs, SslMode,
    TokenAlgorithm, UpstreamHost, UpstreamPlace, UpstreamUrl,
};
use crate::guarded::Proof;
use crate::policy::DatabasePolicy;
use crate::session::{self, DatabaseSettings, RoleSettings, ServerTls, UpstreamSettings};
use crate::wire::scram::Verifier;
use crate::{config, control, identity, tls};

/// The session side's bounds.
pub fn session_settings(config: &Config, salt_secret: [u8; 32], hash_key: HashKey) -> session::Settings {
    session::Settings {
        salt_secret,
        hash_key,
        bounds: session_bounds(&config.proxy.bounds),
        store_lease: config.store.lease,
        drain: config.proxy.drain,
        parameters: match config.audit.parameters {
            ParameterRecording::Record => session::ParameterRecording::Record,
            ParameterRecording::Hash => session::ParameterRecording::Hash,
            ParameterRecording::Omit => session::ParameterRecording::Omit,
        },
        ..session::Settings::default()
    }
}

/// Every key goes to the bound of its name.
fn session_bounds(bounds: &config::Bounds) -> session::Bounds {
    let config::Bounds {
        max_connections,
        max_connections_per_address,
        max_connections_per_principal,
        max_handshakes,
        max_handshakes_per_address,
        handshake_timeout,
        max_failed_logins,
        max_failed_logins_per_address,
        max_cancels_per_address,
        max_prepared_statements,
        max_portals,
        max_message_bytes,
        max_pipelined,
        max_unread_bytes,
        client_write_timeout,
    } = *bounds;
    session::Bounds {
        max_connections,
        max_connections_per_address,
        max_connections_per_principal,
        max_handshakes,
        max_handshakes_per_address,
        handshake_timeout,
        max_failed_logins,
        max_failed_logins_per_address,
        max_cancels_per_address,
        max_prepared_statements,
        max_portals,
        max_message_bytes,
        max_pipelined,
        max_unread_bytes,
        client_write_timeout,
    }
}

/// Keys the salts of users who have no verifier yet, or never will: the same after each start, so that a stranger who comes
/// back cannot tell the unknown ones by a salt that changed. Made of the server's key, which nobody else has.
pub fn salt_secret(config: &Config) -> anyhow::Result<[u8; 32]> {
    let key = std::fs::read(&config.proxy.tls.key)?;
    let keyed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), b"pgward: salts of users without a verifier");
    Ok(keyed.as_ref().try_into()?)
}

/// What replicas tell each other's configurations by.
pub fn policy_name(config: &Config) -> String {
    name_of_policy(config.version)
}

/// The same of a version.
pub fn name_of_policy(version: u64) -> String {
    format!("{version:016x}")
}

/// Whose word about a client's address is taken.
pub fn balancers(config: &Config) -> session::Balancers {
    session::Balancers::new(config.proxy.proxy_protocol_from.clone())
}

/// Who may log in.
pub fn session_directory(config: &Config) -> anyhow::Result<session::Directory> {
    let issuers = issuers(config)?;
    let mut users = Vec::new();
    for user in &config.users {
        let scram = user.scram.as_ref().map(|secret| Verifier::parse(secret.expose())).transpose();
        let scram = scram.map_err(|_| anyhow::anyhow!("user \"{}\": scram is no verifier", user.principal.name))?;
        let issuer = |named: &String| {
            let found = issuers.iter().find(|issuer| issuer.settings().issuer == *named).map(Arc::clone);
            found.ok_or_else(|| anyhow::anyhow!("user \"{}\": unknown issuer {named}", user.principal.name))
        };
        let login = match &user.login {
            Login::Password => session::Login::Password,
            Login::Oauth(named) => session::Login::Oauth(issuer(named)?),
            Login::TokenAsPassword(named) => session::Login::TokenAsPassword(issuer(named)?),
        };
        users.push(session::User { principal: user.principal.clone(), scram, login });
    }
    Ok(session::Directory::new(users))
}

/// Whose tokens are taken. Their keys are fetched when somebody brings a token.
fn issuers(config: &Config) -> anyhow::Result<Vec<Arc<identity::Issuer>>> {
    config.issuers.iter().map(|named| Ok(Arc::new(identity::Issuer::new(issuer(named))?))).collect()
}

/// What one provider's tokens have to say.
pub fn issuer(issuer: &Issuer) -> identity::IssuerSettings {
    let algorithms = issuer.algorithms.iter().map(|algorithm| match algorithm {
        TokenAlgorithm::Rs256 => identity::Algorithm::Rs256,
        TokenAlgorithm::Es256 => identity::Algorithm::Es256,
        TokenAlgorithm::EdDsa => identity::Algorithm::EdDsa,
    });
    identity::IssuerSettings {
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        jwks_url: issuer.jwks_url.clone(),
        ca: issuer.ca.clone(),
        principal_claim: issuer.principal_claim.clone(),
        groups_claim: issuer.groups_claim.clone(),
        algorithms: algorithms.collect(),
        leeway: issuer.leeway,
        scope: issuer.scope.clone(),
    }
}

/// Who may call the control port, and what they may ask for.
///
/// # Errors
/// Where the identity provider's settings cannot be used.
pub fn control_directory(config: &Config, clock: &Arc<Clock>) -> anyhow::Result<control::Directory> {
    let users = config.users.iter().map(|user| control::User {
        principal: user.principal.clone(),
        token_hashes: user.token_hash.iter().cloned().collect(),
        scram: user.scram.clone(),
    });
    let reached_at = |name: String, region: &Region| control::Database {
        name,
        region: region.clone(),
        host: config.proxy.public_host.clone(),
        port: config.proxy.public_port,
    };
    let databases = config.databases.iter().flat_map(|database| {
        let name = &database.policy.name;
        let main = reached_at(name.clone(), &database.policy.region);
        let further = database.further.iter();
        let further = further.map(move |further| reached_at(format!("{name}@{}", further.region), &further.region));
        std::iter::once(main).chain(further)
    });
    Ok(control::Directory {
        users: users.collect(),
        admins: config.control.admins.clone(),
        auditors: config.control.auditors.clone(),
        scopes: config.scopes.clone(),
        databases: databases.collect(),
        others: !config.issuers.is_empty() || config.control.oidc.is_some(),
        provider: Provider::of(config, clock)?,
    })
}

/// Upstreams by the name that clients reach them by, passwords read.
pub fn databases(config: &Config) -> anyhow::Result<HashMap<String, Arc<DatabaseSettings>>> {
    let mut databases = HashMap::new();
    for database in &config.databases {
        let name = &database.policy.name;
        let main = (name.clone(), Arc::clone(&database.policy), &database.upstream, &database.password);
        let further = database.further.iter().map(|further| {
            let policy = DatabasePolicy {
                region: further.region.clone(),
                hidden: database.policy.hidden.elsewhere(),
                ..DatabasePolicy::clone(&database.policy)
            };
            (format!("{name}@{}", further.region), Arc::new(policy), &further.upstream, &further.password)
        });
        for (route, policy, url, password) in std::iter::once(main).chain(further) {
            let password = password.read().map_err(|error| anyhow::anyhow!("database \"{route}\": {error}"))?;
            let settings = DatabaseSettings {
                route: route.clone(),
                // 53 bits, so that every reader of JSON sees the same number.
                policy_version: config.version >> 11,
                policy,
                upstream: Arc::new(upstream(url, password)),
                second_opinion: match database.second_opinion {
                    SecondOpinion::Off => session::SecondOpinion::Off,
                    SecondOpinion::On => session::SecondOpinion::On,
                    SecondOpinion::Required => session::SecondOpinion::Required,
                },
                roles: match database.provision {
                    Provision::None => None,
                    Provision::Role { statement_timeout, idle_in_transaction_timeout } => {
                        Some(RoleSettings { statement_timeout, idle_in_transaction_timeout })
                    }
                },
                scopes: config.scopes.iter().filter(|scope| scope.database == *name).cloned().map(Arc::new).collect(),
            };
            databases.insert(route, Arc::new(settings));
        }
    }
    Ok(databases)
}

fn upstream(url: &UpstreamUrl, password: Option<Secret>) -> UpstreamSettings {
    let place = |place: &UpstreamPlace| session::Place {
        host: match &place.host {
            UpstreamHost::Tcp(host) => host.clone(),
            UpstreamHost::Unix(directory) => directory.display().to_string(),
        },
        port: place.port,
    };
    let minor = |protocol: Protocol| match protocol {
        Protocol::V3_0 => 0,
        Protocol::V3_2 => 2,
    };
    UpstreamSettings {
        places: url.places.iter().map(place).collect(),
        session_attrs: match url.options.session_attrs {
            SessionAttrs::Any => session::SessionAttrs::Any,
            SessionAttrs::ReadWrite => session::SessionAttrs::ReadWrite,
            SessionAttrs::ReadOnly => session::SessionAttrs::ReadOnly,
            SessionAttrs::Primary => session::SessionAttrs::Primary,
            SessionAttrs::Standby => session::SessionAttrs::Standby,
            SessionAttrs::PreferStandby => session::SessionAttrs::PreferStandby,
        },
        direct_tls: url.options.direct_tls,
        protocol_minors: minor(url.options.min_protocol)..=minor(url.options.max_protocol),
        is_pooled: url.options.pooled,
        proof: proof(url),
        user: url.user.clone(),
        database: url.database.clone(),
        sslmode: match url.sslmode {
            SslMode::VerifyFull => session::SslMode::VerifyFull,
            SslMode::VerifyCa => session::SslMode::VerifyCa,
            SslMode::Require => session::SslMode::Require,
            SslMode::Disable => session::SslMode::Disable,
        },
        root_cert: url.sslrootcert.clone(),
        password: password.unwrap_or_else(|| Secret::new(String::new())),
    }
}

/// What clients of the proxy are shown. ALPN is `postgresql` alone.
pub fn server_tls(config: &Config) -> anyhow::Result<ServerTls> {
    let files = &config.proxy.tls;
    let certificate = Arc::new(tls::read_certified_key(&files.cert, &files.key)?);
    let mut others = Vec::new();
    for files in &config.proxy.certificates {
        others.push(Arc::new(tls::read_certified_key(&files.cert, &files.key)?));
    }
    let certificates = Arc::new(tls::NamedCertificates::new(certificate, others));
    if let Some(nameless) = certificates.nameless().and_then(|at| config.proxy.certificates.get(at)) {
        anyhow::bail!("{}: no DNS name among its subject alternative names", nameless.cert.display());
    }
    let clients = config.proxy.client_ca.clone();
    let clients = clients.map(|ca| tls::ClientAuthority { ca, crls: config.proxy.client_crl.clone() }.verifier());
    let clients = clients.transpose()?;
    let server = tls::server_config_with(
        Arc::clone(&certificates) as Arc<dyn rustls::server::ResolvesServerCert>,
        clients.clone(),
        &[session::ALPN],
    )?;
    Ok(ServerTls::named(Arc::unwrap_or_clone(server), certificates, clients))
}

/// What callers of the control port are shown, and the handle that reads it again.
pub fn control_tls(config: &Config) -> anyhow::Result<(Arc<rustls::ServerConfig>, Arc<tls::ReloadableCertificate>)> {
    let files = &config.control.tls;
    let certificate = tls::ReloadableCertificate::load(&files.cert, &files.key)?;
    Ok((tls::server_config(Arc::clone(&certificate), None, &[b"h2", b"http/1.1"])?, certificate))
}

/// Logs in to each upstream and reads its catalogs; says which it could not. Where sessions get roles of their own, says too
/// what keeps the broker from making them, and answers what else is worth knowing.
pub async fn reach_upstreams(config: &Config) -> anyhow::Result<Vec<String>> {
    let (mut failed, mut advice) = (Vec::new(), Vec::new());
    for (name, settings) in databases(config)? {
        match session::reach(&settings).await {
            Ok(version) => tracing::debug!(database = %name, version, "reached"),
            Err(error) => {
                failed.push(format!("database \"{name}\": upstream cannot be used: {error}"));
                continue;
            }
        }
        if settings.roles.is_none() {
            continue;
        }
        match session::examine(&settings).await {
            Ok(examined) => {
                failed.extend(examined.problems.iter().map(|problem| format!("database \"{name}\": {problem}")));
                advice.extend(examined.advice.iter().map(|advice| format!("database \"{name}\": {advice}")));
            }
            Err(error) => failed.push(format!("database \"{name}\": upstream cannot be used: {error}")),
        }
    }
    failed.sort();
    advice.sort();
    if failed.is_empty() { Ok(advice) } else { anyhow::bail!(failed.join("\n")) }
}

/// Goes on with what is known of overdue rows, where the configuration says of them what it said before.
pub fn adopt(fresh: &mut HashMap<String, Arc<DatabaseSettings>>, earlier: &HashMap<String, Arc<DatabaseSettings>>) {
    for (route, settings) in fresh {
        if let Some(earlier) = earlier.get(route).filter(|earlier| !earlier.policy.hidden.relations.is_empty()) {
            let policy = &mut Arc::make_mut(settings).policy;
            Arc::make_mut(policy).hidden.adopt(&earlier.policy.hidden);
        }
    }
}

/// What cannot change while the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    proxy: SocketAddr,
    workers: Option<usize>,
    control: SocketAddr,
    store: crate::config::StoreSettings,
    replica: crate::config::ReplicaSettings,
    journal: audit::Settings,
    control_files: (PathBuf, PathBuf),
    witnesses: Vec<crate::witness::Place>,
    unusual: Option<crate::unusual::Settings>,
}

impl Fixed {
    pub fn of(config: &Config) -> Self {
        Self {
            proxy: config.proxy.listen,
            workers: config.proxy.workers,
            control: config.control.listen,
            store: config.store.clone(),
            replica: config.replica.clone(),
            journal: journal(config),
            control_files: (config.control.tls.cert.clone(), config.control.tls.key.clone()),
            witnesses: config.audit.witnesses.clone(),
            unusual: config.unusual.clone(),
        }
    }

    /// The first key that differs.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            ("proxy.listen", self.proxy == other.proxy),
            ("proxy.workers", self.workers == other.workers),
            ("control.listen", self.control == other.control),
            ("store", self.store == other.store),
            ("replica", self.replica == other.replica),
            ("audit", self.journal == other.journal),
            ("control.tls_cert", self.control_files == other.control_files),
            ("audit.witness", self.witnesses == other.witnesses),
            ("unusual", self.unusual == other.unusual),
        ]
        .into_iter()
        .find_map(|(key, same)| (!same).then_some(key))
    }
}

/// How the journal is kept: each region that says something of its records has a shelf of its own.
pub(super) fn journal(config: &Config) -> audit::Settings {
    let audit = &config.audit;
    let mut settings = audit::Settings::new(audit.dir.clone(), audit.durability);
    settings.signing_key.clone_from(&audit.signing_key);
    settings.origin.clone_from(&audit.origin);
    let default = Shelf { region: None, dir: None, retention: audit.retention.clone() };
    let regions = audit.regions.iter().map(|(region, kept)| Shelf {
        region: Some(region.clone()),
        dir: kept.dir.clone(),
        retention: kept.retention.clone(),
    });
    settings.shelves = std::iter::once(default).chain(regions).collect();
    settings
}

/// What a server has to ask for before it is believed.
pub(super) fn proof(url: &UpstreamUrl) -> Proof {
    if url.options.require_scram { Proof::Required } else { Proof::Optional }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_no_key_sets_is_what_sessions_take_for_safe() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
        let config = Config::load(&path).unwrap();
        assert_eq!(session_bounds(&config.proxy.bounds), session::Bounds::default());
    }
}
