//! Finds the roles that nobody will remove any more: left by a process that crashed, or by a removal that failed.

use std::collections::HashSet;

use super::Provision;
use super::broker::{LOCKS, RoleError};
use super::names::{Mark, PREFIX, Process};

/// A role of pgward's as the catalogs show it.
#[derive(Clone, Debug)]
struct Found {
    name: String,
    mark: Mark,
    /// A backend has logged in as it, or as a member of it.
    in_use: bool,
    /// Its `VALID UNTIL` has passed.
    is_over: bool,
}

impl Provision {
    /// Removes what is left over in this database.
    pub(super) async fn reap(&self) -> Result<(), RoleError> {
        let turn = self.sweeper.turn().await?;
        let rows = turn.client().query(ROLES, &[&PREFIX]).await?;
        let locks = turn.client().query(ALIVE, &[&LOCKS]).await?;
        turn.done();
        let mut alive = HashSet::new();
        for row in &locks {
            alive.insert(row.try_get::<_, u32>(0)?);
        }
        let mut found = Vec::new();
        for row in &rows {
            let comment: Option<&str> = row.try_get(1)?;
            let Some(mark) = comment.and_then(Mark::parse) else { continue };
            found.push(Found { name: row.try_get(0)?, mark, in_use: row.try_get(2)?, is_over: row.try_get(3)? });
        }
        for role in found {
            let is_ours = {
                let roles = self.roles();
                roles.sessions.contains(&role.name) || roles.grants.values().any(|lent| lent.role == role.name)
            };
            let is_left = is_left_over(&role, self.broker.database(), self.broker.process(), &alive, is_ours);
            if is_left && self.remove(&role.name).await {
                tracing::info!(role = role.name, principal = role.mark.principal, "removed a role that was left over");
            }
        }
        Ok(())
    }
}

/// Whether nobody else will remove a role. `alive` holds the lock keys of the processes whose broker is connected.
fn is_left_over(role: &Found, database: &str, own: Process, alive: &HashSet<u32>, is_ours: bool) -> bool {
    let Some(process) = role.mark.process() else { return false };
    // What a role owns can be handed over in its own database only.
    if role.mark.database != database || is_ours {
        return false;
    }
    if process == own {
        return true;
    }
    if alive.contains(&process.lock_key()) {
        return false;
    }
    // Its process may only have lost its broker for a moment: what is connected stays until its time is over.
    !role.in_use || role.is_over
}

/// Roles with the prefix that the asking role may remove.
const ROLES: &str = "
SELECT r.rolname::text, shobj_description(r.oid, 'pg_authid'),
 EXISTS (
  SELECT FROM pg_stat_activity a
  WHERE a.usesysid = r.oid OR a.usesysid IN (
   SELECT m.member FROM pg_auth_members m JOIN pg_roles s ON s.oid = m.member
   WHERE m.roleid = r.oid AND starts_with(s.rolname::text, $1::text) AND s.rolname <> current_user
  )
 ),
 coalesce(r.rolvaliduntil < now(), false)
FROM pg_roles r
WHERE starts_with(r.rolname::text, $1::text) AND r.rolname <> current_user AND NOT r.rolsuper
 AND pg_has_role(r.oid, 'MEMBER')";

const ALIVE: &str = "
SELECT objid FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = $1::int4::oid AND objid <> 0";

#[cfg(test)]
mod tests {
    use super::*;

    fn role(process: &str, database: &str, in_use: bool, is_over: bool) -> Found {
        let mark = Mark {
            pgward: 1,
            process: process.to_owned(),
            database: database.to_owned(),
            session: None,
            grant: None,
            principal: "alice".to_owned(),
        };
        Found { name: "pgward_x".to_owned(), mark, in_use, is_over }
    }

    #[test]
    fn only_what_nobody_else_removes_is_left_over() {
        let own = Process::generate();
        let (ours, theirs) = (own.to_string(), format!("{:08x}", own.lock_key() ^ 1));
        let alive = HashSet::from([own.lock_key() ^ 1]);
        let none = HashSet::new();
        let check = |role: Found, alive: &HashSet<u32>, is_ours, expected| {
            assert_eq!(is_left_over(&role, "shop", own, alive, is_ours), expected, "{role:?}");
        };
        check(role(&ours, "shop", true, false), &none, true, false);
        check(role(&ours, "shop", false, false), &none, false, true);
        check(role(&ours, "other", false, false), &none, false, false);
        check(role(&theirs, "shop", false, true), &alive, false, false);
        check(role(&theirs, "shop", false, false), &none, false, true);
        check(role(&theirs, "shop", true, false), &none, false, false);
        check(role(&theirs, "shop", true, true), &none, false, true);
        check(role("not hex", "shop", false, true), &none, false, false);
    }
}
