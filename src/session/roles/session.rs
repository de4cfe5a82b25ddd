//! The role of one session: what it is made with, which grants it holds, and its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::Provision;
use super::broker::RoleError;
use super::names::{Mark, literal, quoted};
use crate::access::{Grant, GrantId, Secret, SessionId};
use crate::session::catalogs::Keeper;
use crate::session::settings::RoleSettings;
use crate::wire::scram::{DEFAULT_ITERATIONS, SALT_LENGTH, Verifier};

/// Who a role is made for.
#[derive(Clone, Debug)]
pub struct Holder {
    pub session: SessionId,
    pub principal: String,
}

/// A session's role. It is removed when this is dropped, whatever the session came to.
#[derive(Debug)]
pub struct SessionRole {
    name: String,
    provision: Arc<Provision>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Whether overdue rows are hidden from it.
    is_filtered: bool,
    /// Of each grant held, which making of its role.
    grants: HashMap<GrantId, u64>,
    valid_until: Timestamp,
}

impl SessionRole {
    pub(super) fn new(name: String, provision: Arc<Provision>, beginning: &Beginning<'_>) -> Self {
        let held = Held { is_filtered: false, grants: HashMap::new(), valid_until: beginning.valid_until };
        Self { name, provision, held: Mutex::new(held) }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has the role hold what a grant is good for, by the newest catalogs, before a statement goes by it.
    ///
    /// # Errors
    /// Where the database does not take it: the statement must not go.
    pub async fn ready(&self, grant: &Arc<Grant>, catalogs: &Keeper) -> Result<(), RoleError> {
        let snapshot = catalogs.latest().ok_or(RoleError::NoCatalogs)?;
        let is_filtered = self.is_filtered() || !self.provision.filters(grant);
        if is_filtered
            && self
                .making(&grant.id)
                .is_some_and(|making| self.provision.is_current(&grant.id, making, snapshot.version))
        {
            return Ok(());
        }
        self.provision.lend(grant, catalogs, self).await
    }

    /// Which making of a grant's role this one is a member of.
    pub(super) fn making(&self, grant: &GrantId) -> Option<u64> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).grants.get(grant).copied()
    }

    /// Whether overdue rows are hidden from it.
    pub(super) fn is_filtered(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).is_filtered
    }

    pub(super) fn now_filtered(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).is_filtered = true;
    }

    pub(super) fn took(&self, grant: &Grant, making: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.grants.insert(grant.id.clone(), making);
        held.valid_until = held.valid_until.max(grant.expires_at);
    }

    /// The end of the login's validity that a further grant makes later.
    pub(super) fn later_end(&self, grant: &Grant) -> Option<Timestamp> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Some(grant.expires_at).filter(|end| *end > held.valid_until)
    }
}

impl Drop for SessionRole {
    fn drop(&mut self) {
        Arc::clone(&self.provision).remove_soon(std::mem::take(&mut self.name));
    }
}

/// What a session's role begins with.
#[derive(Debug)]
pub(super) struct Beginning<'a> {
    pub verifier: &'a Verifier,
    pub valid_until: Timestamp,
    pub read_only: bool,
    pub settings: &'a RoleSettings,
}

/// What makes a session's role: one transaction.
pub(super) fn creation(role: &str, mark: &Mark, beginning: &Beginning<'_>) -> Vec<String> {
    let Beginning { verifier, valid_until, read_only, settings } = beginning;
    let name = quoted(role);
    let mut said = vec![
        format!(
            "CREATE ROLE {name} LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS \
             CONNECTION LIMIT 1 PASSWORD {} VALID UNTIL {} ROLE CURRENT_USER",
            literal(&verifier.to_string()),
            literal(&valid_until.to_string()),
        ),
        format!("COMMENT ON ROLE {name} IS {}", literal(&mark.text())),
    ];
    let read_only = if *read_only { "on" } else { "off" };
    for (setting, value) in [
        ("default_transaction_read_only", read_only.to_owned()),
        ("statement_timeout", settings.statement_timeout.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", settings.idle_in_transaction_timeout.as_millis().to_string()),
        // So that a statement does not outlive the proxy that asked for it.
        ("client_connection_check_interval", "2000".to_owned()),
    ] {
        said.push(format!("ALTER ROLE {name} SET {setting} = {}", literal(&value)));
    }
    said
}

/// What has a session's role hold a grant's.
pub(super) fn membership(grant_role: &str, session_role: &str, server_version: i32) -> String {
    // From 16 on, membership says for itself whether privileges are inherited and whether SET ROLE may go there.
    let options = if server_version >= 160_000 { " WITH INHERIT TRUE, SET FALSE" } else { "" };
    format!("GRANT {} TO {}{options}", quoted(grant_role), quoted(session_role))
}

/// A password that nobody will ever see, and what PostgreSQL is told of it.
pub(super) fn password() -> Result<(Secret, Verifier), RoleError> {
    use base64::Engine as _;
    let (mut secret, mut salt) = (zeroize::Zeroizing::new([0; 32]), [0; SALT_LENGTH]);
    aws_lc_rs::rand::fill(secret.as_mut()).map_err(|_| RoleError::Random)?;
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| RoleError::Random)?;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret.as_ref());
    let verifier = Verifier::derive(&text, &salt, DEFAULT_ITERATIONS);
    Ok((Secret::new(text), verifier))
}
