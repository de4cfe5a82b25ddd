//! Rows past their time, as the running process deals with them: plans, runs that somebody asks for or whose time has come, runs
//! that an earlier process did not bring to their end, and legal holds.

mod checked;
mod condition;
mod hiding;
mod hold;
mod ledger;
mod metrics;
mod running;
mod schedule;
mod told;
mod unfinished;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::checked::check;
pub use self::metrics::Metrics;
use self::running::Run;
use crate::access::Clock;
use crate::audit::{HashKey, Journal};
use crate::config::{Config, ParameterRecording};
use crate::control::retention::{
    Asker, DataHoldView, HiddenView, NewDataHold, NewRun, PlanView, Retention, RetentionError, RunView, Selection,
};
use crate::replicas::Replicas;
use crate::retention::{self as rows, Facts, Policy, in_words, plan};
use crate::session::{self, SideClient};
use crate::store::SharedStore;

/// Plans that are counted at once.
const PLANS: usize = 2;
/// Runs that are remembered after they ended.
const REMEMBERED: usize = 100;
/// For a batch to end when the process does.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(10);
/// What every connection of this part begins with: nothing but PostgreSQL's own is in sight, and no row is hidden.
const SETTINGS: &str = "SET search_path = pg_catalog; SET standard_conforming_strings = on; SET datestyle = 'ISO, YMD'; \
    SET timezone = 'UTC'; SET extra_float_digits = 1; SET row_security = off; SET statement_timeout = '15min'; \
    SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = error";

/// The policies of each database, by the name that clients know it by.
pub type Policies = BTreeMap<String, Vec<Arc<Policy>>>;

/// What this part needs of others.
#[derive(Clone, Debug)]
pub struct Parts {
    pub store: SharedStore,
    pub journal: Arc<Journal>,
    pub clock: Arc<Clock>,
    pub sessions: Arc<session::Server>,
    pub databases: Arc<ArcSwap<std::collections::HashMap<String, Arc<session::DatabaseSettings>>>>,
    pub policies: Arc<ArcSwap<Policies>>,
    /// The others, where the store is one that several share.
    pub replicas: Option<Arc<Replicas>>,
    pub metrics: Metrics,
    /// What records hold of the values that name rows.
    pub parameters: ParameterRecording,
    pub hash_key: HashKey,
}

/// Deals with rows past their time.
#[derive(Debug)]
pub struct Keeper {
    parts: Parts,
    /// Held while a batch is under way, and while a hold is placed or released.
    holds: Arc<tokio::sync::Mutex<()>>,
    plans: Semaphore,
    /// Has hidden relations looked at anew.
    look_again: tokio::sync::Notify,
    runs: Mutex<Vec<Arc<Run>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The policies that a configuration names.
pub fn policies(config: &Config) -> Policies {
    let of = |database: &crate::config::Database| {
        let all = database.retention.iter().map(|named| Arc::clone(&named.policy)).collect();
        (database.policy.name.clone(), all)
    };
    config.databases.iter().map(of).collect()
}

/// One upstream, and the policies that are meant on it.
#[derive(Debug)]
struct Meant {
    route: String,
    policies: Vec<Policy>,
}

impl Keeper {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            holds: Arc::default(),
            plans: Semaphore::new(PLANS),
            look_again: tokio::sync::Notify::new(),
            runs: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Goes on with what was not finished, runs what is due by its schedule; at the end waits for the batches under way.
    pub async fn serve(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(self.resume(stop.clone()), self.follow_schedules(stop.clone()), self.watch_hidden(stop.clone()));
        self.stop.cancel();
        self.tasks.close();
        // What takes longer is not committed, and goes on with the next start.
        if tokio::time::timeout(GOODBYE, self.tasks.wait()).await.is_err() {
            tracing::warn!("a batch of a retention run is left undone");
        }
    }

    /// Which upstreams and policies a selection means.
    fn meant(&self, database: Option<&str>, policy: Option<&str>) -> Result<Vec<Meant>, RetentionError> {
        let policies = self.parts.policies.load();
        let databases = self.parts.databases.load();
        let mut routes: Vec<_> = databases.values().collect();
        routes.sort_by(|one, other| one.route.cmp(&other.route));
        let named = |settings: &session::DatabaseSettings| {
            database.is_none_or(|name| settings.route == name || settings.policy.name == name)
        };
        if let Some(database) = database.filter(|_| !routes.iter().any(|settings| named(settings))) {
            return Err(RetentionError::NotFound(format!(
                "database \"{}\" is not configured",
                database.escape_debug()
            )));
        }
        let mut meant = Vec::new();
        for settings in routes.into_iter().filter(|settings| named(settings)) {
            let all = policies.get(&settings.policy.name).into_iter().flatten();
            let all = all.filter(|one| policy.is_none_or(|name| one.name == name));
            let policies: Vec<Policy> = all.map(|policy| policy.as_ref().clone()).collect();
            if !policies.is_empty() {
                meant.push(Meant { route: settings.route.clone(), policies });
            }
        }
        match policy.filter(|_| meant.is_empty()) {
            Some(policy) => {
                Err(RetentionError::NotFound(format!("there is no retention policy \"{}\"", policy.escape_debug())))
            }
            None => Ok(meant),
        }
    }

    /// The name that grants and records speak of.
    fn logical(&self, route: &str) -> String {
        let databases = self.parts.databases.load();
        databases.get(route).map_or_else(|| route.to_owned(), |settings| settings.policy.name.clone())
    }

    async fn connect(&self, route: &str, read_only: bool) -> Result<SideClient, RetentionError> {
        let unreachable = |error: &dyn std::fmt::Display| {
            tracing::warn!(database = route, %error, "retention: the upstream cannot be asked");
            RetentionError::Unavailable(format!("the upstream of \"{route}\" cannot be asked"))
        };
        let client =
            self.parts.sessions.own_connection(route, "pgward retention").await.map_err(|e| unreachable(&e))?;
        let settings = match read_only {
            true => format!("{SETTINGS}; SET default_transaction_read_only = on"),
            false => SETTINGS.to_owned(),
        };
        client.batch_execute(&settings).await.map_err(|error| unreachable(&error))?;
        Ok(client)
    }

    /// What keeps policies from being carried out on an upstream as it is: by policy, in words.
    async fn faults(
        &self,
        route: &str,
        policies: &[Policy],
        facts: &Facts,
    ) -> Result<BTreeMap<String, String>, RetentionError> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for fault in rows::check(policies, facts) {
            all.entry(fault.policy).or_insert(format!("{}: {}", fault.key, fault.message));
        }
        for policy in policies {
            let Some(only) = &policy.only else { continue };
            if let Err(error) = self.check_condition(route, &policy.on, only).await? {
                all.entry(policy.name.clone()).or_insert(format!("where: {error}"));
            }
        }
        Ok(all)
    }

    async fn plan_one(&self, meant: &Meant) -> Result<Vec<PlanView>, RetentionError> {
        let client = self.connect(&meant.route, true).await?;
        let facts = Facts::read(&client).await.map_err(|error| unavailable(&meant.route, &error))?;
        let faults = self.faults(&meant.route, &meant.policies, &facts).await?;
        let holds = self.standing(&self.logical(&meant.route)).await?;
        let (sound, unsound): (Vec<Policy>, Vec<Policy>) =
            meant.policies.iter().cloned().partition(|policy| !faults.contains_key(&policy.name));
        let plans = plan(&client, &sound, &facts, &holds).await.map_err(|error| unavailable(&meant.route, &error))?;
        let scope =
            |name: &str| sound.iter().find(|policy| policy.name == name).and_then(|policy| policy.scope.clone());
        let mut views: Vec<PlanView> =
            plans.into_iter().map(|plan| told::plan(&meant.route, scope(&plan.policy), plan)).collect();
        views
            .extend(unsound.iter().map(|policy| told::faulty(&meant.route, policy, faults.get(&policy.name).cloned())));
        Ok(views)
    }

    fn all_runs(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, run: &Arc<Run>) {
        let mut runs = self.all_runs();
        runs.push(Arc::clone(run));
        let surplus = runs.len().saturating_sub(REMEMBERED);
        let mut dropped = 0;
        runs.retain(|run| {
            let drop = dropped < surplus && run.is_over();
            dropped += usize::from(drop);
            !drop
        });
    }
}

/// PostgreSQL's own words are for who administers it; its values stand in a DETAIL, which is not among them.
fn unavailable(route: &str, error: &anyhow::Error) -> RetentionError {
    tracing::warn!(database = route, error = format!("{error:#}"), "retention");
    RetentionError::Unavailable(format!("\"{route}\" could not be asked: {}", in_words(error)))
}

#[async_trait::async_trait]
impl Retention for Arc<Keeper> {
    async fn plan(&self, selection: Selection) -> Result<Vec<PlanView>, RetentionError> {
        let Ok(_place) = self.plans.try_acquire() else {
            return Err(RetentionError::Unavailable(format!("{PLANS} plans are being counted")));
        };
        let mut all = Vec::new();
        for meant in self.meant(selection.database.as_deref(), selection.policy.as_deref())? {
            all.extend(self.plan_one(&meant).await?);
        }
        Ok(all)
    }

    async fn run(&self, new: NewRun, asker: Asker) -> Result<Vec<RunView>, RetentionError> {
        self.run_for(new, asker).await
    }

    fn runs(&self) -> Vec<RunView> {
        self.all_runs().iter().map(|run| run.view()).collect()
    }

    async fn stop(&self, id: &str, by: &str) -> Result<RunView, RetentionError> {
        let found = self.all_runs().iter().find(|run| run.id == id).cloned();
        let run =
            found.ok_or_else(|| RetentionError::NotFound(format!("there is no run \"{}\"", id.escape_debug())))?;
        run.stop(&format!("stopped by {by}"));
        Ok(run.view())
    }

    async fn place_hold(&self, new: NewDataHold, asker: Asker) -> Result<DataHoldView, RetentionError> {
        Keeper::place_hold(self, new, asker).await
    }

    async fn hidden(&self, database: Option<&str>) -> Result<Vec<HiddenView>, RetentionError> {
        self.hidden_views(database).await
    }

    async fn holds(&self) -> Result<Vec<DataHoldView>, RetentionError> {
        Ok(self.all_holds().await?.into_iter().map(told::hold).collect())
    }

    async fn release_hold(&self, id: &str, reason: &str, asker: Asker) -> Result<DataHoldView, RetentionError> {
        Keeper::release_hold(self, id, reason, asker).await
    }
}
