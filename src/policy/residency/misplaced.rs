//! A refusal for where data lies, where the client stands, or what would leave; and what is told of it.

use crate::access::{Amount, Region, Scope};
use crate::catalog::TouchedRelation;
use crate::policy::denial::{full_name, object};
use crate::policy::export::ExportClaim;
use crate::policy::relations;
use crate::policy::verdict::Rule;

/// What does not agree.
#[derive(Clone, Debug)]
pub(in crate::policy) enum Misplaced {
    /// The grant does not cover where the data lies. `way`: how the statement came to it, where it did not name it.
    Region { relation: TouchedRelation, region: Region, way: Option<String> },
    /// The client stands where the data may not be touched from.
    Client { relation: TouchedRelation, client: Option<Region>, way: Option<String> },
    /// A foreign table of which nobody says where its rows lie.
    Unknown { relation: TouchedRelation, way: Option<String> },
    /// The session's upstream lies in a region that the grant does not cover.
    Upstream(Region),
    /// As much has left the region as may.
    Exported { relation: TouchedRelation, claim: ExportClaim, used: Amount, client: Option<Region> },
    /// Read in one region, written in another.
    Moved { from: TouchedRelation, region: Region, into: TouchedRelation, to: Region },
}

impl Misplaced {
    /// The rule, the primary message, and the reason.
    pub(in crate::policy) fn words(&self) -> (Rule, String, String) {
        match self {
            Misplaced::Region { relation, region, way } => {
                let message = format!("permission denied for {}: its data lies in region {region}", object(relation));
                (Rule::Region, message, after(format!("The grant does not cover region {region}"), way.as_deref()))
            }
            Misplaced::Unknown { relation, way } => {
                let message = format!("permission denied for {}: where its data lies is not known", object(relation));
                let name = full_name(relation);
                let reason = format!("A foreign table's rows are elsewhere, and no [[database.data]] speaks of {name}");
                (Rule::Region, message, after(reason, way.as_deref()))
            }
            Misplaced::Upstream(region) => {
                let message = format!("permission denied on the upstream in region {region}");
                (Rule::Region, message, format!("The grant does not cover region {region}."))
            }
            Misplaced::Client { relation, client, way } => {
                let message = format!("permission denied for {} from {}", object(relation), place(client.as_ref()));
                let reason = format!("{} may not be touched by clients there", full_name(relation));
                (Rule::ClientRegion, message, after(reason, way.as_deref()))
            }
            Misplaced::Exported { relation, claim, used, client } => {
                let (object, region) = (object(relation), &claim.region);
                let message = format!("permission denied for {object}: no more of it may leave region {region}");
                let reason = format!(
                    "Under one grant {} may leave by the rule for {}, and {used} have left; this client is in {}.",
                    claim.limit,
                    claim.rule,
                    place(client.as_ref())
                );
                (Rule::Export, message, reason)
            }
            Misplaced::Moved { from, region, into, to } => {
                let object = object(into);
                let message =
                    format!("permission denied for {object}: data of region {region} would be written to region {to}");
                let (from, into) = (full_name(from), full_name(into));
                let reason = format!("The statement reads {from} (region {region}) and writes {into} (region {to}).");
                (Rule::Export, message, reason)
            }
        }
    }

    /// Whether a grant of the scope would agree.
    pub(in crate::policy) fn is_helped_by(&self, scope: &Scope) -> bool {
        match self {
            Misplaced::Region { relation, region, way } => {
                scope.regions.contains(region) && (way.is_some() || relations::covers(relation, &scope.allow))
            }
            Misplaced::Upstream(region) => scope.regions.contains(region),
            Misplaced::Client { .. }
            | Misplaced::Unknown { .. }
            | Misplaced::Exported { .. }
            | Misplaced::Moved { .. } => false,
        }
    }

    /// What to do where no scope that may be requested helps.
    pub(in crate::policy) fn hint(&self, database: &str) -> Option<String> {
        match self {
            Misplaced::Region { region, .. } | Misplaced::Upstream(region) => Some(format!(
                "Ask an administrator for a scope of database \"{database}\" that covers region {region}."
            )),
            Misplaced::Client { .. }
            | Misplaced::Unknown { .. }
            | Misplaced::Exported { .. }
            | Misplaced::Moved { .. } => None,
        }
    }
}

fn place(client: Option<&Region>) -> String {
    client.map_or_else(|| "an undeclared network".to_owned(), |region| format!("region {region}"))
}

fn after(reason: String, way: Option<&str>) -> String {
    way.map_or_else(|| format!("{reason}."), |way| format!("{reason}; {way}."))
}
