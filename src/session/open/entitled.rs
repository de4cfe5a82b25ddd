//! Whether a principal may have a session on the upstream that it asked for: a live grant decides.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Denied, Opening};
use crate::access::{Grant, Principal, Scope};
use crate::session::settings::DatabaseSettings;
use crate::session::{ends, routes};
use crate::store::GrantSet;
use crate::wire::encode::ClientVisible;
use crate::wire::sqlstate;

/// What a principal may have a session by.
pub(super) struct Entitled {
    pub settings: Arc<DatabaseSettings>,
    pub grants: watch::Receiver<Arc<GrantSet>>,
    /// The grants as they were when looked at, those of them that were live, and when that was.
    pub set: Arc<GrantSet>,
    pub live: Vec<Arc<Grant>>,
    pub now: Timestamp,
}

impl Entitled {
    /// Whether nothing that the session may do changes anything.
    pub fn is_read_only(&self) -> bool {
        self.live.iter().all(|grant| grant.scope.is_read_only())
    }
}

impl Opening {
    /// The grants by which the principal may have a session.
    pub(super) fn entitle(&self, principal: &Principal) -> Result<Entitled, Denied> {
        let (server, asked) = (&self.server, &self.requested.database);
        let databases = server.parts.databases.load_full();
        let Some(settings) = routes::find(&databases, asked) else {
            return Err(Denied::new("unknown database", routes::unknown(&databases, asked)));
        };
        let grants = server.parts.grants.subscribe(&principal.name, &settings.policy.name);
        if !server.pulse.is_store_fresh() {
            let said = ClientVisible::fatal(sqlstate::CANNOT_CONNECT_NOW, "grants cannot be checked now");
            return Err(Denied::new("the store does not answer", said));
        }
        let set = Arc::clone(&grants.borrow());
        let now = server.parts.clock.now();
        let live = ends::live(&set, now);
        if live.is_empty() {
            let said = no_grant(principal, &settings.policy.name, &settings.scopes);
            return Err(Denied::new("no live grant", said));
        }
        routes::check(&databases, &settings, asked, principal, &live)
            .map_err(|said| Denied::new("no live grant for the upstream's region", said))?;
        Ok(Entitled { settings, grants, set, live, now })
    }
}

fn no_grant(principal: &Principal, database: &str, scopes: &[Arc<Scope>]) -> ClientVisible {
    let text = format!("no live grant for \"{}\" on \"{database}\"", principal.name);
    let said = ClientVisible::fatal(sqlstate::INVALID_AUTHORIZATION, text);
    match scopes.iter().find(|scope| scope.may_request(principal)) {
        Some(scope) => said.hint(format!("pgward request {} --for 30m --reason '…'", scope.name)),
        None => said.detail("No scope of this database may be requested by you."),
    }
}
