//! Wall three: with `provision = "role"` a session's backend belongs to a short-lived role that can do no more than the
//! session's live grants allow. Never decides on a statement: what PostgreSQL refuses here, policy should have refused.
//!
//! Two kinds of roles, both of one process's making. A *grant's role* holds the privileges of one grant; it cannot log in
//! and lives as long as the grant. A *session's role* logs in; it holds nothing itself but is a member of the roles of the
//! session's live grants. So opening a session changes no table's ACL: that would have every backend of the database plan
//! its queries anew, and sessions of one grant would wait for each other.
//!
//! | file | owns |
//! | --- | --- |
//! | `names`, `privileges`, `session` | what is said in SQL, pure |
//! | `broker`, `converge`, `removal`, `reaper` | the connection that says it |
//! | `examine` | what `pgward check` tells of the broker |

mod broker;
mod converge;
mod examine;
mod names;
mod privileges;
mod reaper;
mod removal;
mod session;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_util::task::TaskTracker;

pub use broker::RoleError;
pub use examine::{Examined, examine};
pub use session::{Holder, SessionRole};

use self::broker::{Broker, together};
use self::names::{Mark, Process, grant_role, literal, quoted, session_role};
use self::privileges::Privilege;
use self::session::Beginning;
use super::catalogs::Keeper;
use super::settings::RoleSettings;
use super::upstream::Upstream;
use crate::access::{Clock, Grant, GrantId, Secret};
use crate::store::GrantBook;

/// For a statement to wait for its grant's privileges.
const LEND: Duration = Duration::from_secs(10);
/// How soon after its end a grant's role is gone.
const LOOK: Duration = Duration::from_secs(1);
/// Between looks for roles that nobody removed.
const REAP: Duration = Duration::from_secs(15);
/// Before the tries to remove a session's role; after the last one it is left to the reaper.
const TRIES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];
/// For all roles to be removed when the process stops.
const FAREWELL: Duration = Duration::from_secs(4);

/// The short-lived roles of one database.
#[derive(Debug)]
pub struct Provision {
    upstream: Upstream,
    /// Makes roles and changes what they may do: sessions wait for it.
    broker: Broker,
    /// Removes roles, which may take a while where others hold locks on what they own.
    sweeper: Broker,
    settings: RoleSettings,
    grants: Arc<GrantBook>,
    clock: Arc<Clock>,
    /// Removals under way.
    tasks: TaskTracker,
    roles: Mutex<Roles>,
}

/// The roles that are not to be removed.
#[derive(Debug, Default)]
struct Roles {
    sessions: HashSet<String>,
    grants: HashMap<GrantId, Lent>,
    /// Grants' roles made so far.
    made: u64,
    reaped_at: Option<Instant>,
}

/// A grant's role.
#[derive(Debug)]
struct Lent {
    role: String,
    /// Counts the roles that were made: members of an earlier one are none of a later one with the same name.
    making: u64,
    grant: Arc<Grant>,
    /// The version of the catalogs that its privileges were made by.
    version: Option<u64>,
    /// What its scope allows and the broker may not pass on.
    missing: Vec<Privilege>,
}

impl Lent {
    fn prepared(&self) -> Prepared {
        Prepared { role: self.role.clone(), making: self.making }
    }
}

/// A grant's role that sessions' roles may be members of.
#[derive(Clone, Debug)]
struct Prepared {
    role: String,
    making: u64,
}

impl Provision {
    /// Removes what is left over from now on, in the background, for as long as somebody holds it.
    #[must_use]
    pub fn start(upstream: Upstream, settings: RoleSettings, grants: Arc<GrantBook>, clock: Arc<Clock>) -> Arc<Self> {
        let process = Process::generate();
        let provision = Arc::new(Self {
            broker: Broker::new(upstream.clone(), process),
            sweeper: Broker::new(upstream.clone(), process),
            upstream,
            settings,
            grants,
            clock,
            tasks: TaskTracker::new(),
            roles: Mutex::default(),
        });
        tokio::spawn(keep(Arc::downgrade(&provision)));
        provision
    }

    /// Makes the role that a session logs in as, with the password for that.
    ///
    /// # Errors
    /// Where the database does not take it: then there is no session.
    pub async fn open(
        self: &Arc<Self>,
        holder: &Holder,
        live: &[Arc<Grant>],
        catalogs: &Keeper,
    ) -> Result<(Arc<SessionRole>, Secret), RoleError> {
        let name = session_role(&holder.session);
        let (password, verifier) = session::password()?;
        self.roles().sessions.insert(name.clone());
        let beginning = Beginning {
            verifier: &verifier,
            valid_until: live.iter().map(|grant| grant.expires_at).max().unwrap_or_default(),
            read_only: live.iter().all(|grant| grant.scope.is_read_only()),
            settings: &self.settings,
        };
        // From here on it is removed, whatever happens.
        let role = Arc::new(SessionRole::new(name.clone(), Arc::clone(self), &beginning));
        let mark = self.mark(&holder.principal, Some(holder.session.to_string()), None);
        let turn = self.broker.turn().await?;
        let mut again = true;
        loop {
            let (memberships, server) = self.memberships(turn.client(), live, catalogs, &name).await?;
            let mut said = session::creation(&name, &mark, &beginning);
            said.extend(memberships.iter().map(|(_, prepared)| session::membership(&prepared.role, &name, server)));
            match together(turn.client(), &said).await {
                Ok(()) => {
                    memberships.iter().for_each(|(grant, prepared)| role.took(grant, prepared.making));
                    turn.done();
                    return Ok((role, password));
                }
                Err(error) if again && is_missing(&error) => {
                    memberships.iter().for_each(|(grant, _)| drop(self.roles().grants.remove(&grant.id)));
                    again = false;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops: removes every role that is left, as far as that takes no longer than a moment.
    pub async fn close(&self) {
        self.tasks.close();
        let left = tokio::time::timeout(FAREWELL, async {
            self.tasks.wait().await;
            let grants: Vec<String> = self.roles().grants.drain().map(|(_, lent)| lent.role).collect();
            for role in grants {
                self.remove(&role).await;
            }
        });
        if left.await.is_err() {
            tracing::warn!(
                database = self.broker.database(),
                "short-lived roles are left for the next start to remove"
            );
        }
    }

    /// Whether a grant's role holds what the catalogs of this version make of its scope.
    pub(super) fn is_current(&self, grant: &GrantId, making: u64, version: u64) -> bool {
        self.roles().grants.get(grant).is_some_and(|lent| lent.making == making && lent.version == Some(version))
    }

    /// Has a session's role hold a grant as the newest catalogs make it, or gives up after a while.
    async fn lend(&self, grant: &Arc<Grant>, catalogs: &Keeper, role: &SessionRole) -> Result<(), RoleError> {
        let lent = tokio::time::timeout(LEND, self.lend_now(grant, catalogs, role));
        lent.await.unwrap_or(Err(RoleError::Timeout))
    }

    async fn lend_now(&self, grant: &Arc<Grant>, catalogs: &Keeper, role: &SessionRole) -> Result<(), RoleError> {
        let turn = self.broker.turn().await?;
        let server = catalogs.latest().ok_or(RoleError::NoCatalogs)?.server_version_num;
        let mut prepared = self.prepare(turn.client(), grant, catalogs).await;
        if matches!(&prepared, Err(error) if is_missing(error)) {
            // Somebody removed the grant's role: it is made anew.
            self.roles().grants.remove(&grant.id);
            prepared = self.prepare(turn.client(), grant, catalogs).await;
        }
        let prepared = prepared?;
        if role.making(&grant.id) != Some(prepared.making) {
            let mut said = vec![session::membership(&prepared.role, role.name(), server)];
            if let Some(end) = role.later_end(grant) {
                said.push(format!("ALTER ROLE {} VALID UNTIL {}", quoted(role.name()), literal(&end.to_string())));
            }
            together(turn.client(), &said).await?;
            role.took(grant, prepared.making);
        }
        turn.done();
        Ok(())
    }

    /// The roles of those grants that can be had; an error where that is none.
    async fn memberships(
        &self,
        client: &Client,
        live: &[Arc<Grant>],
        catalogs: &Keeper,
        session: &str,
    ) -> Result<(Vec<(Arc<Grant>, Prepared)>, i32), RoleError> {
        let version = catalogs.latest().ok_or(RoleError::NoCatalogs)?.server_version_num;
        let (mut memberships, mut failed) = (Vec::new(), None);
        for grant in live {
            match self.prepare(client, grant, catalogs).await {
                Ok(prepared) => memberships.push((Arc::clone(grant), prepared)),
                Err(error) => {
                    tracing::warn!(grant = %grant.id, session, %error, "a grant's role cannot be made");
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if memberships.is_empty() => Err(error),
            Some(_) | None => Ok((memberships, version)),
        }
    }

    /// A grant's role, made if need be, with the privileges that the newest catalogs make of its scope. The caller holds
    /// the broker's turn, so nobody else does the same.
    async fn prepare(&self, client: &Client, grant: &Arc<Grant>, catalogs: &Keeper) -> Result<Prepared, RoleError> {
        let snapshot = catalogs.latest().ok_or(RoleError::NoCatalogs)?;
        if snapshot.path_depends_on_user() {
            return Err(RoleError::SearchPath);
        }
        let known = self.roles().grants.get(&grant.id).map(|lent| (lent.prepared(), lent.version));
        let prepared = match known {
            Some((prepared, version)) if version == Some(snapshot.version) => return Ok(prepared),
            Some((prepared, _)) => prepared,
            None => self.make(client, grant).await?,
        };
        let wanted = privileges::wanted(&grant.scope, &snapshot.objects());
        let missing = converge::converge(client, &prepared.role, self.broker.database(), &wanted).await?;
        if let Some(lent) = self.roles().grants.get_mut(&grant.id) {
            lent.version = Some(snapshot.version);
            if lent.missing != missing && !missing.is_empty() {
                tell(grant, &missing);
            }
            lent.missing = missing;
        }
        Ok(prepared)
    }

    async fn make(&self, client: &Client, grant: &Arc<Grant>) -> Result<Prepared, RoleError> {
        let role = grant_role(&grant.id, self.broker.process());
        let mark = self.mark(&grant.principal, None, Some(grant.id.to_string()));
        let name = quoted(&role);
        let said = [
            format!(
                "CREATE ROLE {name} NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS \
                 ROLE CURRENT_USER"
            ),
            format!("COMMENT ON ROLE {name} IS {}", literal(&mark.text())),
        ];
        let prepared = {
            let mut roles = self.roles();
            roles.made += 1;
            let lent = Lent { role, making: roles.made, grant: Arc::clone(grant), version: None, missing: Vec::new() };
            let prepared = lent.prepared();
            // Before it is made, so that the reaper never takes it for one that was forgotten.
            roles.grants.insert(grant.id.clone(), lent);
            prepared
        };
        match together(client, &said).await {
            Ok(()) => Ok(prepared),
            // Made by a try that was given up on: the name is this process's alone.
            Err(RoleError::Database(error)) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => Ok(prepared),
            Err(error) => {
                self.roles().grants.remove(&grant.id);
                Err(error)
            }
        }
    }

    fn mark(&self, principal: &str, session: Option<String>, grant: Option<String>) -> Mark {
        Mark {
            pgward: 1,
            process: self.broker.process().to_string(),
            database: self.broker.database().to_owned(),
            session,
            grant,
            principal: principal.to_owned(),
        }
    }

    /// Removes a session's role in the background.
    fn remove_soon(self: Arc<Self>, role: String) {
        let tasks = self.tasks.clone();
        tasks.spawn(async move {
            for pause in TRIES {
                tokio::time::sleep(pause).await;
                if self.remove(&role).await {
                    break;
                }
            }
            self.roles().sessions.remove(&role);
        });
    }

    /// Answers whether the role is gone.
    async fn remove(&self, role: &str) -> bool {
        match removal::remove(&self.sweeper, role).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(role, %error, "a short-lived role cannot be removed yet");
                false
            }
        }
    }

    /// Removes the roles of grants that are over, and now and then what nobody removed.
    async fn maintain(&self) {
        let over: Vec<GrantId> = {
            let roles = self.roles();
            roles.grants.values().filter(|lent| self.is_over(&lent.grant)).map(|lent| lent.grant.id.clone()).collect()
        };
        for id in over {
            let lent = self.roles().grants.remove(&id);
            if let Some(lent) = lent {
                self.remove(&lent.role).await;
            }
        }
        let is_due = self.roles().reaped_at.is_none_or(|at| at.elapsed() >= REAP);
        if is_due {
            self.roles().reaped_at = Some(Instant::now());
            if let Err(error) = self.reap().await {
                tracing::warn!(database = self.broker.database(), %error, "cannot look for roles that are left over");
            }
        }
    }

    fn is_over(&self, grant: &Grant) -> bool {
        let set = Arc::clone(&self.grants.subscribe(&grant.principal, &grant.scope.database).borrow());
        let is_open = set.grants.iter().any(|open| open.id == grant.id && open.revocation.is_none());
        !is_open || self.clock.now() >= grant.expires_at
    }

    fn roles(&self) -> MutexGuard<'_, Roles> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Provision {
    /// Nobody makes sessions of it any more: the configuration has changed. The grants' roles go with it.
    fn drop(&mut self) {
        let roles = std::mem::take(self.roles.get_mut().unwrap_or_else(PoisonError::into_inner));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if roles.grants.is_empty() {
            return;
        }
        let sweeper = Broker::new(self.upstream.clone(), self.broker.process());
        runtime.spawn(async move {
            for lent in roles.grants.into_values() {
                if let Err(error) = removal::remove(&sweeper, &lent.role).await {
                    tracing::warn!(role = lent.role, %error, "a short-lived role is left for the next start to remove");
                }
            }
        });
    }
}

/// How many privileges that cannot be given a log line names.
const TOLD: usize = 5;

fn tell(grant: &Grant, missing: &[Privilege]) {
    let some: Vec<String> = missing.iter().take(TOLD).map(|privilege| format!("{privilege:?}")).collect();
    let (count, some) = (missing.len(), some.join(", "));
    tracing::warn!(grant = %grant.id, count, missing = some, "the broker may not pass on all of a scope; see pgward check");
}

/// Keeps roles from outliving what they are for, until nobody needs the provision any more.
async fn keep(provision: Weak<Provision>) {
    loop {
        match provision.upgrade() {
            Some(provision) => provision.maintain().await,
            None => return,
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A role that was named does not exist.
fn is_missing(error: &RoleError) -> bool {
    matches!(error, RoleError::Database(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT))
}
