//! One run on one upstream, from the question whether it may be to the record that it is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::ledger::RunLedger;
use super::{Keeper, unavailable};
use crate::access::Grant;
use crate::audit::{Event, Record};
use crate::control::retention::{Asker, NewRun, ProgressView, RetentionError, RunState, RunView};
use crate::retention::{self, Action, Ended, Facts, Policy};
use crate::session::SideClient;

/// The first key of the lock that keeps two runs apart, wherever they come from.
const LOCK: &str = "SELECT pg_catalog.pg_try_advisory_lock(1885828978, 0)";
/// For the database to answer again after a connection was lost.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(3);

/// For whom a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    Person(Asker),
    /// Its time has come.
    Schedule,
}

impl By {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Person(asker) => &asker.principal.name,
            Self::Schedule => SCHEDULE,
        }
    }
}

/// Who stands in records where nobody asked.
pub(super) const SCHEDULE: &str = "pgward";

/// A run.
#[derive(Debug)]
pub(super) struct Run {
    pub id: String,
    pub route: String,
    /// As grants and records name it.
    pub database: String,
    pub by: By,
    pub any_hour: bool,
    pub policies: Vec<Policy>,
    pub cutoffs: BTreeMap<String, String>,
    pub started: Timestamp,
    pub stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ended: Option<Timestamp>,
    why_stopped: Option<String>,
    progress: Vec<ProgressView>,
}

impl Run {
    pub(super) fn view(&self) -> RunView {
        let state = self.state();
        let complete = state.progress.iter().all(|one| one.failed == 0 && one.ended_early.is_none());
        RunView {
            id: self.id.clone(),
            database: self.route.clone(),
            by: self.by.name().to_owned(),
            state: match state.ended {
                None => RunState::Running,
                Some(_) if complete => RunState::Finished,
                Some(_) => RunState::Incomplete,
            },
            started_at: self.started,
            ended_at: state.ended,
            policies: state.progress.clone(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().ended.is_some()
    }

    /// Has it end after the batch under way.
    pub(super) fn stop(&self, why: &str) {
        self.state().why_stopped.get_or_insert_with(|| why.to_owned());
        self.stop.cancel();
    }

    pub(super) fn why_stopped(&self) -> String {
        self.state()
            .why_stopped
            .clone()
            .unwrap_or_else(|| "pgward is stopping; it goes on when it is started again".to_owned())
    }

    /// Changes what is told of one policy.
    pub(super) fn progress<T>(&self, policy: &str, change: impl FnOnce(&mut ProgressView) -> T) -> Option<T> {
        self.state().progress.iter_mut().find(|one| one.policy == policy).map(change)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a run is to be, before it begins.
#[derive(Debug)]
pub(super) struct Beginning {
    pub route: String,
    pub policies: Vec<Policy>,
    pub by: By,
    pub any_hour: bool,
    /// What this goes on with.
    pub earlier: Option<Earlier>,
}

/// The run of an earlier process: its name, its cutoffs, and what it had done by policy.
pub(super) type Earlier = (String, BTreeMap<String, String>, BTreeMap<String, u64>);

impl Keeper {
    /// Begins what somebody asks for.
    pub(super) async fn run_for(self: &Arc<Self>, new: NewRun, asker: Asker) -> Result<Vec<RunView>, RetentionError> {
        let mut all = Vec::new();
        for mut meant in self.meant(new.database.as_deref(), new.policy.as_deref())? {
            meant.policies.retain(|policy| policy.action != Action::Report);
            let (route, policies) = (meant.route, meant.policies);
            if policies.is_empty() {
                continue;
            }
            self.may_run(&route, &policies, &new, &asker).await?;
            all.push(Beginning {
                route,
                policies,
                by: By::Person(asker.clone()),
                any_hour: new.any_hour,
                earlier: None,
            });
        }
        if all.is_empty() {
            return Err(RetentionError::Invalid("no policy there deletes or anonymises anything".to_owned()));
        }
        let mut begun = Vec::new();
        for beginning in all {
            begun.push(self.begin(beginning).await?.view());
        }
        Ok(begun)
    }

    async fn may_run(
        &self,
        route: &str,
        policies: &[Policy],
        new: &NewRun,
        asker: &Asker,
    ) -> Result<(), RetentionError> {
        if new.any_hour && !asker.is_admin {
            return Err(RetentionError::Refused(
                "only administrators run policies outside their hours".to_owned(),
                "leave --any-hour out".to_owned(),
            ));
        }
        for policy in policies {
            let name = &policy.name;
            match &policy.scope {
                None if !asker.is_admin => {
                    return Err(RetentionError::Refused(
                        format!("policy \"{name}\" names no scope: only administrators run it"),
                        "ask one, or have a scope named in [[database.retention]]".to_owned(),
                    ));
                }
                None => {}
                Some(scope) => {
                    let by = By::Person(asker.clone());
                    self.grant_of(&self.logical(route), scope, &by).await.map_err(|error| {
                        let hint = format!("pgward request {scope} --for 1h --reason '…'");
                        RetentionError::Refused(format!("policy \"{name}\": {error}"), hint)
                    })?;
                }
            }
            if !new.any_hour && !policy.is_open_at(self.parts.clock.now()) {
                return Err(RetentionError::Refused(
                    format!("policy \"{name}\" is carried out in its hours alone"),
                    "come again then; an administrator may say --any-hour".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// A live grant of a scope: the asker's, or anybody's where nobody asks.
    pub(super) async fn grant_of(&self, database: &str, scope: &str, by: &By) -> Result<Grant, String> {
        let now = self.parts.clock.now();
        let (named, database, who) = (
            scope.to_owned(),
            database.to_owned(),
            match by {
                By::Person(asker) => Some(asker.principal.name.clone()),
                By::Schedule => None,
            },
        );
        let wanted = move |principal: &str, scope: &crate::access::Scope| {
            scope.name == named && scope.database == database && who.as_deref().is_none_or(|who| who == principal)
        };
        let open = self.parts.store.list_grants(Box::new(wanted), Some(now), 1_000).await;
        let open = open.map_err(|error| format!("the store does not answer: {error}"))?;
        let live = open.into_iter().find(|grant| grant.is_live_at(now) && grant.statement.is_none());
        live.ok_or_else(|| match by {
            By::Person(asker) => format!("\"{}\" has no live grant of scope \"{scope}\"", asker.principal.name),
            By::Schedule => format!("nobody has a live grant of scope \"{scope}\""),
        })
    }

    /// Begins a run, unless one is under way there.
    pub(super) async fn begin(self: &Arc<Self>, beginning: Beginning) -> Result<Arc<Run>, RetentionError> {
        let Beginning { route, policies, by, any_hour, earlier } = beginning;
        let client = self.connect(&route, false).await?;
        let locked = client.query_one(LOCK, &[]).await.and_then(|row| row.try_get(0));
        if !locked.map_err(|error| unavailable(&route, &error.into()))? {
            return Err(RetentionError::Refused(
                format!("another run is at work on \"{route}\""),
                "see it: pgward retention runs".to_owned(),
            ));
        }
        self.settle(&route, &client).await?;
        let facts = Facts::read(&client).await.map_err(|error| unavailable(&route, &error))?;
        let faults = self.faults(&route, &policies, &facts).await?;
        if let Some((policy, fault)) = faults.first_key_value() {
            return Err(RetentionError::Invalid(format!(
                "policy \"{policy}\" cannot be carried out on \"{route}\": {fault}"
            )));
        }
        let resumed = earlier.is_some();
        let (id, cutoffs, done) = match earlier {
            Some(earlier) => earlier,
            None => {
                let cutoffs =
                    retention::cutoffs(&client, &policies).await.map_err(|error| unavailable(&route, &error))?;
                (format!("rr_{}", uuid::Uuid::now_v7().simple()), cutoffs, BTreeMap::new())
            }
        };
        let progress = policies.iter().map(|policy| ProgressView {
            policy: policy.name.clone(),
            relation: policy.on.to_string(),
            action: policy.action.as_str().to_owned(),
            rows: done.get(&policy.name).copied().unwrap_or_default(),
            also: 0,
            batches: 0,
            failed: 0,
            ended_early: None,
        });
        let run = Arc::new(Run {
            id,
            database: self.logical(&route),
            route,
            by,
            any_hour,
            cutoffs,
            started: self.parts.clock.now(),
            stop: self.stop.child_token(),
            state: Mutex::new(State { progress: progress.collect(), ..State::default() }),
            policies,
        });
        let recorded = self.parts.journal.record(self.record_of(&run, Event::RetentionRun, Some(resumed))).await;
        recorded.map_err(|error| RetentionError::Unavailable(error.to_string()))?;
        self.remember(&run);
        let (keeper, running) = (Arc::clone(self), Arc::clone(&run));
        self.tasks.spawn(async move { keeper.execute(client, facts, running).await });
        Ok(run)
    }

    async fn execute(self: Arc<Self>, client: SideClient, facts: Facts, run: Arc<Run>) {
        let ledger = RunLedger::new(Arc::clone(&self), Arc::clone(&run));
        let done = retention::run(&client, &run.policies, &facts, &run.cutoffs, &ledger).await;
        // Its lock goes with it.
        drop(client);
        let lost = done.iter().any(|done| matches!(done.ended, Ended::Failed(_)));
        for done in done {
            let early = match done.ended {
                Ended::Finished => continue,
                Ended::Stopped(why) => why,
                Ended::Failed(why) => {
                    tracing::error!(database = run.route, policy = done.policy, why, "a retention policy failed");
                    why
                }
            };
            run.progress(&done.policy, |progress| progress.ended_early = Some(early));
        }
        if lost {
            self.settle_later(&run.route).await;
        }
        // Stopped with the process: whoever starts it next goes on with it.
        if self.stop.is_cancelled() && run.state().why_stopped.is_none() {
            return;
        }
        run.state().ended = Some(self.parts.clock.now());
        self.look_again.notify_one();
        self.parts.metrics.ended(run.view().state == RunState::Finished);
        let record = self.record_of(&run, Event::RetentionRunEnd, None);
        if let Err(error) = self.parts.journal.record(record).await {
            tracing::error!(%error, run = run.id, "the end of a retention run was not recorded");
        }
    }

    /// Asks what became of a batch whose end nobody heard, once the database answers again.
    async fn settle_later(&self, route: &str) {
        for _ in 0..TRIES {
            let settled = match self.connect(route, false).await {
                Ok(client) => self.settle(route, &client).await,
                Err(error) => Err(error),
            };
            match settled {
                Ok(()) => return,
                Err(error) => tracing::warn!(database = route, %error, "a batch's end is not known yet"),
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// `resumed`: at a run's beginning, whether an earlier process began it.
    fn record_of(&self, run: &Run, event: Event, resumed: Option<bool>) -> Record {
        let mut record = Record::new(self.parts.clock.now(), event);
        record.principal = Some(run.by.name().to_owned());
        if let By::Person(asker) = &run.by {
            record.groups.clone_from(&asker.principal.groups);
            record.client_addr = Some(asker.address.clone());
        }
        record.database = Some(run.database.clone());
        let view = run.view();
        let detail = match resumed {
            Some(resumed) => serde_json::json!({
                "run": run.id, "upstream": run.route, "any_hour": run.any_hour, "resumed": resumed,
                "policies": run.policies.iter().map(|policy| &policy.name).collect::<Vec<_>>(), "cutoffs": run.cutoffs,
            }),
            None => {
                record.rows = Some(view.policies.iter().map(|one| one.rows).sum());
                serde_json::json!({ "run": run.id, "upstream": run.route, "state": view.state, "policies": view.policies })
            }
        };
        record.detail = Some(detail.to_string());
        record
    }
}
