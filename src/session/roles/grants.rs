//! Grants' roles: made when the first session needs one, and brought to what the newest catalogs make of the scope.

use std::sync::Arc;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::broker::{RoleError, together};
use super::names::{grant_role, literal, quoted};
use super::privileges::{Privilege, wanted};
use super::{Provision, converge};
use crate::access::Grant;
use crate::session::catalogs::Keeper;

/// A grant's role.
#[derive(Debug)]
pub(super) struct Lent {
    pub role: String,
    /// Counts the roles that were made: members of an earlier one are none of a later one with the same name.
    pub making: u64,
    pub grant: Arc<Grant>,
    /// The version of the catalogs that its privileges were made by.
    pub version: Option<u64>,
    /// What its scope allows and the broker may not pass on.
    pub missing: Vec<Privilege>,
}

impl Lent {
    pub fn prepared(&self) -> Prepared {
        Prepared { role: self.role.clone(), making: self.making }
    }
}

/// A grant's role that sessions' roles may be members of.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub role: String,
    pub making: u64,
}

impl Provision {
    /// A grant's role, made if need be, with the privileges that the newest catalogs make of its scope. The caller holds
    /// the broker's turn, so nobody else does the same.
    pub(super) async fn prepare(
        &self,
        client: &Client,
        grant: &Arc<Grant>,
        catalogs: &Keeper,
    ) -> Result<Prepared, RoleError> {
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
        let wanted = wanted(&grant.scope, &snapshot.objects());
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
}

/// How many privileges that cannot be given a log line names.
const TOLD: usize = 5;

fn tell(grant: &Grant, missing: &[Privilege]) {
    let some: Vec<String> = missing.iter().take(TOLD).map(|privilege| format!("{privilege:?}")).collect();
    let (count, some) = (missing.len(), some.join(", "));
    tracing::warn!(grant = %grant.id, count, missing = some, "the broker may not pass on all of a scope; see pgward check");
}
