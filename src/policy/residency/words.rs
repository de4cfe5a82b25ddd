//! What is told of a refusal for where data lies, where the client stands, or what would leave.

use crate::access::Region;
use crate::policy::denial::{Refusal, full_name, object};
use crate::policy::verdict::Rule;

impl Refusal {
    /// The rule, the primary message, and the reason.
    pub(in crate::policy) fn residency_words(&self) -> (Rule, String, String) {
        match self {
            Refusal::Region { relation, region, way } => {
                let message = format!("permission denied for {}: its data lies in region {region}", object(relation));
                (Rule::Region, message, after(format!("The grant does not cover region {region}"), way.as_deref()))
            }
            Refusal::UnknownRegion { relation, way } => {
                let message = format!("permission denied for {}: where its data lies is not known", object(relation));
                let name = full_name(relation);
                let reason = format!("A foreign table's rows are elsewhere, and no [[database.data]] speaks of {name}");
                (Rule::Region, message, after(reason, way.as_deref()))
            }
            Refusal::Upstream(region) => {
                let message = format!("permission denied on the upstream in region {region}");
                (Rule::Region, message, format!("The grant does not cover region {region}."))
            }
            Refusal::ClientRegion { relation, client, way } => {
                let message = format!("permission denied for {} from {}", object(relation), place(client.as_ref()));
                let reason = format!("{} may not be touched by clients there", full_name(relation));
                (Rule::ClientRegion, message, after(reason, way.as_deref()))
            }
            Refusal::Exported { relation, claim, used, client } => {
                let (region, place) = (&claim.region, place(client.as_ref()));
                let message =
                    format!("permission denied for {}: no more of it may leave region {region}", object(relation));
                let reason = format!(
                    "To clients elsewhere (this one is in {place}) {} may leave under one grant by the rule for {}; {used} have left.",
                    claim.limit, claim.rule
                );
                (Rule::Export, message, reason)
            }
            Refusal::Moved { from, region, into, to } => {
                let message = format!(
                    "permission denied for {}: data of region {region} would be written to region {to}",
                    object(into)
                );
                let reason = format!(
                    "The statement reads {}, which lies in region {region}, and writes {}, which lies in region {to}.",
                    full_name(from),
                    full_name(into)
                );
                (Rule::Export, message, reason)
            }
            Refusal::Relation(_)
            | Refusal::Column { .. }
            | Refusal::Catalog { .. }
            | Refusal::Function(_)
            | Refusal::Statement(_)
            | Refusal::Guard(_)
            | Refusal::Setting { .. }
            | Refusal::Show(_)
            | Refusal::Rewrites(_)
            | Refusal::Cascades(_)
            | Refusal::OtherStatement => self.words(),
        }
    }
}

fn place(client: Option<&Region>) -> String {
    client.map_or_else(|| "an undeclared network".to_owned(), |region| format!("region {region}"))
}

fn after(reason: String, way: Option<&str>) -> String {
    way.map_or_else(|| format!("{reason}."), |way| format!("{reason}; {way}."))
}
