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
//! | `broker`, `converge`, `removal` | the connection that says it |
//! | `grants`, `upkeep`, `reaper` | grants' roles, and the end of all of them |
//! | `examine` | what `pgward check` tells of the broker |

mod broker;
mod converge;
mod examine;
mod grants;
mod names;
mod privileges;
mod reaper;
mod removal;
mod session;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_util::task::TaskTracker;

pub use broker::RoleError;
pub use examine::{Examined, examine};
pub use session::{Holder, SessionRole};

use self::broker::{Broker, together};
use self::grants::{Lent, Prepared};
use self::names::{Mark, Process, literal, quoted, session_role};
use self::session::Beginning;
use super::catalogs::Keeper;
use super::settings::RoleSettings;
use super::upstream::Upstream;
use crate::access::{Clock, Grant, GrantId, Secret};
use crate::policy::Hidden;
use crate::retention::HIDING_ROLE;
use crate::store::GrantBook;

/// For a statement to wait for its grant's privileges.
const LEND: Duration = Duration::from_secs(10);

/// The short-lived roles of one database.
#[derive(Debug)]
pub struct Provision {
    upstream: Upstream,
    /// Makes roles and changes what they may do: sessions wait for it.
    broker: Broker,
    /// Removes roles, which may take a while where others hold locks on what they own.
    sweeper: Broker,
    settings: RoleSettings,
    /// Rows past their time that PostgreSQL may hide.
    hidden: Hidden,
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
    /// Whether the last look for roles that were left over failed: said once.
    reaping_fails: bool,
}

impl Provision {
    /// Removes what is left over from now on, in the background, for as long as somebody holds it.
    #[must_use]
    pub fn start(
        upstream: Upstream,
        settings: RoleSettings,
        hidden: Hidden,
        grants: Arc<GrantBook>,
        clock: Arc<Clock>,
    ) -> Arc<Self> {
        let process = Process::generate();
        let provision = Arc::new(Self {
            broker: Broker::new(upstream.clone(), process),
            sweeper: Broker::new(upstream.clone(), process),
            upstream,
            settings,
            hidden,
            grants,
            clock,
            tasks: TaskTracker::new(),
            roles: Mutex::default(),
        });
        tokio::spawn(upkeep::keep(Arc::downgrade(&provision)));
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
            let filtered = live.iter().any(|grant| self.filters(grant));
            if filtered {
                said.push(session::membership(HIDING_ROLE, &name, server));
            }
            match together(turn.client(), &said).await {
                Ok(()) => {
                    if filtered {
                        role.now_filtered();
                    }
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

    /// Whether overdue rows have to be hidden from who goes by this grant.
    pub(super) fn filters(&self, grant: &Grant) -> bool {
        self.hidden.filters(&grant.scope)
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
        if self.filters(grant) && !role.is_filtered() {
            together(turn.client(), &[session::membership(HIDING_ROLE, role.name(), server)]).await?;
            role.now_filtered();
        }
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

    fn roles(&self) -> MutexGuard<'_, Roles> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A role that was named does not exist.
fn is_missing(error: &RoleError) -> bool {
    matches!(error, RoleError::Database(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT))
}
