//! Who and what the configuration names: users and their tokens, administrators, auditors, scopes, databases.
//! Replaced as a whole when the configuration is read again.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::provider::Provider;
use crate::access::{Principal, Region, Scope, Secret, Subject, TokenHash};
use crate::audit::Record;
use crate::desk::Offers;

/// Everything that the control port looks up by name. A reload swaps it.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub users: Vec<User>,
    /// May revoke, kill, and see everything.
    pub admins: Vec<Subject>,
    /// May read the whole journal.
    pub auditors: Vec<Subject>,
    pub scopes: Vec<Scope>,
    pub databases: Vec<Database>,
    /// Whether people come from an identity provider too, who stand in no `[[user]]`.
    pub others: bool,
    /// Who logs people in to this control port besides their tokens.
    pub provider: Option<Arc<dyn Provider>>,
}

/// One user and the secrets' fingerprints that stand for them.
#[derive(Clone, Debug)]
pub struct User {
    pub principal: Principal,
    /// Of each token that is theirs.
    pub token_hashes: Vec<TokenHash>,
    /// The verifier of a stable password, in the format of `pg_authid.rolpassword`.
    pub scram: Option<Secret>,
}

/// One database, or one of its further upstreams, and where clients reach it.
#[derive(Clone, Debug)]
pub struct Database {
    /// What clients name: `shop`, or `shop@eu` for its upstream in region eu.
    pub name: String,
    pub region: Region,
    /// The proxy's name and port as clients are to use them.
    pub host: String,
    pub port: u16,
}

impl Database {
    /// The database that grants, credentials and records speak of, whichever of its upstreams this is.
    #[must_use]
    pub fn logical_name(&self) -> &str {
        self.name.split_once('@').map_or(self.name.as_str(), |(name, _)| name)
    }
}

impl Directory {
    /// Whose token this is, and the hash that it is known by. Every hash is compared, each in constant time.
    #[must_use]
    pub fn user_by_token(&self, token: &str) -> Option<(&User, &TokenHash)> {
        let mut found = None;
        for user in &self.users {
            for hash in &user.token_hashes {
                if hash.verify(token) {
                    found = Some((user, hash));
                }
            }
        }
        found
    }

    /// Whose token is known by this hash now.
    #[must_use]
    pub fn user_by_hash(&self, hash: &TokenHash) -> Option<&User> {
        self.users.iter().find(|user| user.token_hashes.contains(hash))
    }

    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.principal.name == name)
    }

    #[must_use]
    pub fn scope(&self, name: &str) -> Option<&Scope> {
        self.scopes.iter().find(|scope| scope.name == name)
    }

    /// The upstream of that name; a database's main one answers to its region too.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<&Database> {
        let named = |wanted: &str| self.databases.iter().find(|database| database.name == wanted);
        named(name).or_else(|| {
            let (database, region) = name.split_once('@')?;
            named(database).filter(|main| main.region.as_str() == region)
        })
    }

    #[must_use]
    pub fn is_admin(&self, principal: &Principal) -> bool {
        self.admins.iter().any(|subject| subject.names(principal))
    }

    /// Whether a principal may read a record of the journal: auditors all, everyone what concerns themselves.
    #[must_use]
    pub fn may_read(&self, principal: &Principal, record: &Record) -> bool {
        record.concerns(&principal.name) || self.is_auditor(principal)
    }

    #[must_use]
    pub fn is_auditor(&self, principal: &Principal) -> bool {
        self.auditors.iter().any(|subject| subject.names(principal))
    }
}

impl Offers for ArcSwap<Directory> {
    fn scope(&self, name: &str) -> Option<Scope> {
        self.load().scope(name).cloned()
    }

    fn standing(&self, principal: &Principal) -> Option<Principal> {
        let directory = self.load();
        match directory.user(&principal.name) {
            Some(user) => Some(user.principal.clone()),
            // An identity provider said who that is, and in which groups, when they asked.
            None => directory.others.then(|| principal.clone()),
        }
    }
}
