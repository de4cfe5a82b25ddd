//! Which upstream a client means: `shop` is the main one of database `shop`, `shop@eu` the one in region eu. Never another
//! than the one that was named.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::settings::DatabaseSettings;
use crate::access::{Grant, Principal};
use crate::wire::encode::ClientVisible;
use crate::wire::sqlstate;

/// Every upstream, by the name that clients reach it by.
pub type Databases = HashMap<String, Arc<DatabaseSettings>>;

/// The upstream of that name. The main one answers to its region too.
#[must_use]
pub fn find(databases: &Databases, asked: &str) -> Option<Arc<DatabaseSettings>> {
    databases.get(asked).cloned().or_else(|| {
        let (name, region) = asked.split_once('@')?;
        databases.get(name).filter(|main| main.policy.region.as_str() == region).cloned()
    })
}

/// The database that is meant, whether it has such an upstream or not.
#[must_use]
pub fn logical<'a>(databases: &Databases, asked: &'a str) -> Option<&'a str> {
    let name = asked.split_once('@').map_or(asked, |(name, _)| name);
    databases.contains_key(name).then_some(name)
}

/// The names of all databases, each once.
#[must_use]
pub fn all(databases: &Databases) -> BTreeSet<&str> {
    databases.values().map(|settings| settings.policy.name.as_str()).collect()
}

/// What a client is told who named nothing that there is.
#[must_use]
pub fn unknown(databases: &Databases, asked: &str) -> ClientVisible {
    let Some((name, (_, region))) = logical(databases, asked).zip(asked.split_once('@')) else {
        return ClientVisible::fatal(sqlstate::INVALID_CATALOG_NAME, format!("database \"{asked}\" does not exist"));
    };
    let text = format!("database \"{name}\" has no upstream in region \"{region}\"");
    let names: Vec<String> = of(databases, name).iter().map(|known| format!("\"{}\"", known.route)).collect();
    ClientVisible::fatal(sqlstate::INVALID_CATALOG_NAME, text).hint(format!("Connect to {}.", names.join(" or ")))
}

/// Whether a client with these live grants may have a session on this upstream. Where there are several, or the region was
/// named, a grant has to cover the upstream's region; the client is told which one it could go to, and not sent there.
///
/// # Errors
/// What the client is told.
pub fn check(
    databases: &Databases,
    settings: &DatabaseSettings,
    asked: &str,
    principal: &Principal,
    live: &[Arc<Grant>],
) -> Result<(), ClientVisible> {
    let covers =
        |settings: &DatabaseSettings| live.iter().any(|grant| grant.scope.regions.contains(&settings.policy.region));
    if covers(settings) || !(settings.policy.routed || asked.contains('@')) {
        return Ok(());
    }
    let (name, region) = (&settings.policy.name, &settings.policy.region);
    let text = format!("no live grant for \"{}\" on \"{name}\" covers region {region}", principal.name);
    let said = ClientVisible::fatal(sqlstate::INVALID_AUTHORIZATION, text)
        .detail(format!("The upstream \"{}\" lies in region {region}.", settings.route));
    let other = of(databases, name).into_iter().find(|other| covers(other));
    let scope = || {
        let may_help =
            |scope: &&Arc<crate::access::Scope>| scope.may_request(principal) && scope.regions.contains(region);
        settings.scopes.iter().find(may_help)
    };
    Err(match (other, scope()) {
        (Some(other), _) => said.hint(format!("Connect to \"{}\": a grant of yours covers it.", other.route)),
        (None, Some(scope)) => said.hint(format!("pgward request {} --for 30m --reason '…'", scope.name)),
        (None, None) => said,
    })
}

/// The upstreams of one database, the main one first.
fn of<'a>(databases: &'a Databases, name: &str) -> Vec<&'a Arc<DatabaseSettings>> {
    let mut found: Vec<_> = databases.values().filter(|settings| settings.policy.name == name).collect();
    found.sort_by_key(|settings| &settings.route);
    found
}
