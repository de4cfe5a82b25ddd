//! Every part of a running pgward, built in the order in which they need each other.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::analyst::Analyst;
use super::asking::SessionDesk;
use super::explainer::Explainer;
use super::lapses::Lapses;
use super::notifications::{self, StoredRequests};
use super::permissions::Standing;
use super::retention;
use super::settings::{self, Fixed};
use super::sinks;
use super::store::{self, Opened};
use super::unusual::{Counted, Unusual};
use super::usage;
use crate::access::{Clock, RegionNetworks};
use crate::audit::{HashKey, Journal};
use crate::config::Config;
use crate::control;
use crate::desk::{self, Desk};
use crate::replicas::{self, Replicas};
use crate::session::{self, Balancers, DatabaseSettings, Metrics, Registry, ServerTls};
use crate::sinks::Sinks;
use crate::store::{GrantBook, SharedStore};
use crate::tls::ReloadableCertificate;
use crate::wire::scram::{self, Verifier};
use crate::witness;

/// The parts, and the handles that a reload swaps.
#[derive(Debug)]
pub struct Parts {
    pub config_path: PathBuf,
    pub fixed: Fixed,
    pub clock: Arc<Clock>,
    pub journal: Arc<Journal>,
    pub sinks: Arc<Sinks>,
    pub notifications: Arc<Sinks>,
    pub store: SharedStore,
    pub desk: Arc<Desk>,
    pub grants: Arc<GrantBook>,
    pub session: Arc<session::Server>,
    pub explainer: Arc<Explainer>,
    pub tls: Arc<ArcSwap<ServerTls>>,
    pub databases: Arc<ArcSwap<HashMap<String, Arc<DatabaseSettings>>>>,
    pub users: Arc<ArcSwap<session::Directory>>,
    pub networks: Arc<ArcSwap<RegionNetworks>>,
    pub balancers: Arc<ArcSwap<Balancers>>,
    pub directory: Arc<ArcSwap<control::Directory>>,
    pub policies: Arc<ArcSwap<retention::Policies>>,
    pub retention: Arc<retention::Keeper>,
    pub standing: Arc<Standing>,
    pub control_certificate: Arc<ReloadableCertificate>,
    pub witness_metrics: witness::Metrics,
    sessions: Arc<Registry>,
    /// The others, where the store is one that several share.
    pub replicas: Option<Arc<Replicas>>,
    /// How often the store is read for changes made elsewhere.
    pub grant_poll: Duration,
    /// For load balancers to notice that this one is about to stop, before it takes no more connections.
    pub linger: Duration,
    /// Says that it is.
    pub leaving: CancellationToken,
    /// The configuration of others that was read here last.
    pub tried: std::sync::Mutex<Option<String>>,
    unusual: (Option<crate::unusual::Settings>, Counted),
}

impl Parts {
    /// Builds everything; nothing listens yet. The control port's server is apart: serving consumes it.
    /// `lanes` are where sessions run.
    pub async fn build(config: Config, lanes: Vec<tokio::runtime::Handle>) -> anyhow::Result<(Self, control::Server)> {
        let journal = Journal::open(settings::journal(&config))
            .map_err(|error| anyhow::anyhow!("the audit journal cannot be opened: {}", error.0))?;
        let Opened { store, fleet, clock } = store::open(&config.store.location).await?;
        let grants = GrantBook::load(Arc::clone(&store), Arc::clone(&clock)).await?;
        let mut metrics_registry = prometheus_client::registry::Registry::default();
        let (control_tls, control_certificate) = settings::control_tls(&config)?;
        let replica_metrics = replicas::Metrics::register(&mut metrics_registry);
        let replicas = match fleet {
            None => None,
            Some(fleet) => {
                let settings = membership(&config, &journal, &control_certificate);
                let joined = Replicas::join(fleet, settings, Arc::clone(&clock), replica_metrics).await;
                Some(joined.context("the other replicas")?)
            }
        };
        let metrics = Arc::new(Metrics::register(&mut metrics_registry));
        let witness_metrics = witness::Metrics::register(&mut metrics_registry);
        let sink_metrics = crate::sinks::Metrics::register(&mut metrics_registry);
        let sinks = Sinks::prepare(sinks::settings(&config)?, &journal)?;
        let sinks = Sinks::start(sinks, Arc::clone(&journal), Arc::clone(&clock), sink_metrics).await;
        let notification_metrics = crate::sinks::Metrics::register_notifications(&mut metrics_registry);
        let requests = StoredRequests::shared(&store);
        let notifications = Sinks::prepare_with(notifications::settings(&config)?, &journal, &requests)?;
        let notifications =
            Sinks::start(notifications, Arc::clone(&journal), Arc::clone(&clock), notification_metrics).await;
        let registry = Arc::new(Registry::default());
        if let Some(replicas) = &replicas {
            registry.name_replica(replicas.number());
        }
        let counted = Counted::register(&mut metrics_registry);
        let swapped = Swapped::of(&config, &clock)?;

        let analyst = Arc::new(Analyst::new());
        let desk = Arc::new(Desk::new(desk::Parts {
            store: Arc::clone(&store),
            grants: Arc::clone(&grants),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            offers: Arc::clone(&swapped.directory) as Arc<dyn desk::Offers>,
            redact: crate::sql::redacted,
            metrics: desk::Metrics::register(&mut metrics_registry),
            analyst: Arc::clone(&analyst) as Arc<dyn desk::Analyse>,
        }));
        let salt_secret = settings::salt_secret(&config)?;
        let data_path = session::Dependencies {
            store: Arc::clone(&store),
            grants: Arc::clone(&grants),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            directory: Arc::clone(&swapped.users),
            databases: Arc::clone(&swapped.databases),
            region_networks: Arc::clone(&swapped.networks),
            balancers: Arc::clone(&swapped.balancers),
            tls: Arc::clone(&swapped.tls),
            registry: Arc::clone(&registry),
            replicas: replicas.clone(),
            desk: Some(Arc::new(SessionDesk::new(Arc::clone(&desk)))),
            metrics,
        };
        let hash_key = HashKey::beside(&config.audit.dir).context("the key for hashes in the journal")?;
        let session_settings = settings::session_settings(&config, salt_secret, hash_key.clone());
        let session = Arc::new(session::Server::new(session_settings, data_path.clone()).on(lanes));
        let explainer = Arc::new(Explainer::new(Arc::clone(&session), data_path));
        analyst.ask(&explainer);
        let keeper = retention::Keeper::new(retention::Parts {
            store: Arc::clone(&store),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            sessions: Arc::clone(&session),
            databases: Arc::clone(&swapped.databases),
            policies: Arc::clone(&swapped.policies),
            replicas: replicas.clone(),
            metrics: retention::Metrics::register(&mut metrics_registry),
            parameters: config.audit.parameters,
            hash_key,
        });
        let standing = Arc::new(Standing {
            sessions: Arc::clone(&session),
            databases: Arc::clone(&swapped.databases),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
        });
        let usage = usage::Counted {
            store: Arc::clone(&store),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            sessions: Arc::clone(&session),
            databases: Arc::clone(&swapped.databases),
            networks: Arc::clone(&swapped.networks),
            regions: config.audit.regions.keys().cloned().collect(),
            places: tokio::sync::Semaphore::new(usage::REPORTS),
        };
        let mut control_settings = control::Settings::new(control_tls);
        control_settings.credential_ttl = config.control.credential_ttl;
        control_settings.store_lease = config.store.lease;
        let leaving = control_settings.leaving.clone();
        let control = control::Server::new(
            control_settings,
            control::Dependencies {
                store: Arc::clone(&store),
                grants: Arc::clone(&grants),
                journal: Arc::clone(&journal),
                clock: Arc::clone(&clock),
                sessions: Arc::clone(&registry) as Arc<dyn control::Sessions>,
                replicas: replicas.clone(),
                cancels: Arc::clone(&session) as Arc<dyn control::Cancels>,
                directory: Arc::clone(&swapped.directory),
                explainer: Arc::clone(&explainer) as Arc<dyn control::Explain>,
                derive_verifier: Arc::new(move |user, password, like| {
                    derive_verifier(&salt_secret, user, password, like)
                }),
                desk: Arc::clone(&desk),
                retention: Arc::new(Arc::clone(&keeper)),
                permissions: Arc::clone(&standing) as Arc<dyn control::Permissions>,
                usage: Arc::new(usage),
                metrics: control::Metrics::register(&mut metrics_registry),
                registry: Arc::new(metrics_registry),
            },
        );
        let parts = Self {
            config_path: config.path.clone(),
            fixed: Fixed::of(&config),
            clock,
            journal,
            sinks,
            notifications,
            store,
            desk,
            grants,
            session,
            explainer,
            tls: swapped.tls,
            databases: swapped.databases,
            users: swapped.users,
            networks: swapped.networks,
            balancers: swapped.balancers,
            directory: swapped.directory,
            policies: swapped.policies,
            retention: keeper,
            standing,
            control_certificate,
            witness_metrics,
            sessions: registry,
            replicas,
            grant_poll: config.store.poll,
            linger: config.proxy.linger,
            leaving,
            tried: std::sync::Mutex::default(),
            unusual: (config.unusual, counted),
        };
        Ok((parts, control))
    }

    /// Who looks for unusual access.
    pub fn unusual(&self) -> Unusual {
        let (settings, counted) = self.unusual.clone();
        let (journal, sessions) = (Arc::clone(&self.journal), Arc::clone(&self.sessions));
        Unusual::new(settings, journal, sessions, Arc::clone(&self.clock), counted)
    }

    /// Who records what time alone brings about.
    pub fn lapses(&self) -> Lapses {
        let (store, desk, clock) = (Arc::clone(&self.store), Arc::clone(&self.desk), Arc::clone(&self.clock));
        Lapses::new(store, desk, Arc::clone(&self.journal), clock, self.replicas.clone())
    }
}

/// What this replica is to the others.
fn membership(config: &Config, journal: &Journal, certificate: &Arc<ReloadableCertificate>) -> replicas::Settings {
    let identity = replicas::Identity {
        name: config.replica.name.clone(),
        address: config.replica.address.clone(),
        journal: journal.id().to_owned(),
        policy: settings::policy_name(config),
    };
    replicas::Settings { identity, certificate: Arc::clone(certificate), lease: config.store.lease }
}

/// What a reload swaps, made once.
struct Swapped {
    tls: Arc<ArcSwap<ServerTls>>,
    databases: Arc<ArcSwap<HashMap<String, Arc<DatabaseSettings>>>>,
    users: Arc<ArcSwap<session::Directory>>,
    networks: Arc<ArcSwap<RegionNetworks>>,
    balancers: Arc<ArcSwap<Balancers>>,
    directory: Arc<ArcSwap<control::Directory>>,
    policies: Arc<ArcSwap<retention::Policies>>,
}

impl Swapped {
    fn of(config: &Config, clock: &Arc<Clock>) -> anyhow::Result<Self> {
        Ok(Self {
            tls: Arc::new(ArcSwap::from_pointee(settings::server_tls(config)?)),
            databases: Arc::new(ArcSwap::from_pointee(settings::databases(config)?)),
            users: Arc::new(ArcSwap::from_pointee(settings::session_directory(config)?)),
            networks: Arc::new(ArcSwap::from_pointee(config.networks.clone())),
            balancers: Arc::new(ArcSwap::from_pointee(settings::balancers(config))),
            directory: Arc::new(ArcSwap::from_pointee(settings::control_directory(config, clock)?)),
            policies: Arc::new(ArcSwap::from_pointee(retention::policies(config))),
        })
    }
}

/// SCRAM names one salt per user before it knows the password: a new verifier takes that of one that the user has, or the one
/// that the user was shown before having any.
fn derive_verifier(secret: &[u8], user: &str, password: &str, like: Option<&str>) -> Result<String, String> {
    let (salt, iterations) = match like.map(Verifier::parse) {
        Some(Ok(known)) => (known.salt().to_vec(), known.iterations()),
        Some(Err(_)) => return Err("a stored verifier cannot be read".to_owned()),
        None => (scram::stable_salt(secret, user).to_vec(), ITERATIONS),
    };
    Ok(Verifier::derive(password, &salt, iterations).to_string())
}

/// PostgreSQL's own default.
const ITERATIONS: u32 = 4096;
