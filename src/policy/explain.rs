//! A verdict with its reasons, for people: `pgward explain`. The same decision as the data path takes, by the same code.

use super::context::Context;
use super::decide::{is_indirect, judge};
use super::only::Wording;
use super::{labels, residency};
use crate::catalog::{Columns, Footprint, TouchedRelation, Unresolved};
use crate::sql::tree::Statement;

/// What would happen to a statement, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// `allow` or `deny`.
    pub verdict: &'static str,
    /// The grant that allows it.
    pub grant: Option<String>,
    /// The rule that refuses it.
    pub rule: Option<&'static str>,
    pub detail: String,
    /// What was looked at, in order.
    pub steps: Vec<String>,
    pub relations: Vec<ExplainedRelation>,
    /// The functions that the statement calls, built-in operators and casts aside.
    pub functions: Vec<String>,
    /// The labels of the data that it touches, and the regions where that lies.
    pub labels: Vec<String>,
    pub regions: Vec<String>,
    pub fingerprint: String,
    pub hint: Option<String>,
}

/// One relation that a statement touches.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExplainedRelation {
    /// `schema.name`.
    pub name: String,
    pub operation: &'static str,
    /// `None` is the whole row.
    pub columns: Option<Vec<String>>,
    /// Touched by way of a view, or as a child of what is named.
    pub indirect: bool,
}

/// What [`super::decide`] would say, and why.
#[must_use]
pub fn explain(
    statement: &Statement,
    text: &str,
    resolved: &Result<Footprint, Unresolved>,
    context: &Context,
) -> Explanation {
    let footprint = resolved.as_ref().ok();
    let mut steps = places(footprint, context);
    let judged = judge(statement, &Wording::of(statement, text), resolved, context, Some(&mut steps));
    let relations = footprint.into_iter().flat_map(|footprint| &footprint.relations).map(explained).collect();
    let functions = footprint.into_iter().flat_map(|footprint| &footprint.functions);
    let functions = functions
        .filter(|function| !is_indirect(function.by))
        .map(|function| format!("{}.{}", function.schema, function.name))
        .collect();
    let fingerprint = statement.fingerprint.to_string();
    let labels = footprint.map(|footprint| labels::of(footprint, &context.database)).unwrap_or_default();
    let regions = footprint.map(|footprint| residency::regions(footprint, &context.database)).unwrap_or_default();
    let regions = regions.into_iter().map(ToString::to_string).collect();
    match judged {
        Ok((grant, _exports)) => Explanation {
            verdict: "allow",
            grant: Some(grant.id.to_string()),
            rule: None,
            detail: format!("Allowed by grant {} of scope \"{}\".", grant.id, grant.scope.name),
            steps,
            relations,
            functions,
            labels,
            regions,
            fingerprint,
            hint: None,
        },
        Err(denial) => Explanation {
            verdict: "deny",
            grant: None,
            rule: Some(denial.rule.as_str()),
            detail: format!("{}. {}", denial.message, denial.detail),
            steps,
            relations,
            functions,
            labels,
            regions,
            fingerprint,
            hint: denial.hint,
        },
    }
}

/// Where the data lies, and where the client stands.
fn places(footprint: Option<&Footprint>, context: &Context) -> Vec<String> {
    let relations = footprint.into_iter().flat_map(|footprint| &footprint.relations);
    let relations: Vec<&TouchedRelation> =
        relations.filter(|touched| !super::catalogs::is_catalog(&touched.schema)).collect();
    if relations.is_empty() {
        return Vec::new();
    }
    let database = &context.database;
    let mut steps = vec![match &context.client_region {
        Some(region) => format!("the client stands in region {region}"),
        None => "the client's address is in no declared region".to_owned(),
    }];
    steps.push(format!("data of \"{}\" lies in region {} unless it is classified", database.name, database.region));
    for class in &database.data {
        let classified = relations.iter().filter(|touched| class.on.matches(&touched.schema, &touched.name));
        let mut names: Vec<String> = classified.map(|one| format!("{}.{}", one.schema, one.name)).collect();
        names.dedup();
        if names.is_empty() {
            continue;
        }
        let columns =
            class.columns.as_ref().map_or_else(String::new, |names| format!(", columns {}", names.join(", ")));
        let region = class.region.as_ref().map_or_else(String::new, |region| format!(", region {region}"));
        let clients: Vec<String> = class.clients.iter().flatten().map(ToString::to_string).collect();
        let clients =
            class.clients.as_ref().map_or_else(String::new, |_| format!(", clients in {}", clients.join(", ")));
        steps.push(format!("{} is classified{columns}{region}{clients}", names.join(", ")));
    }
    steps
}

fn explained(touched: &TouchedRelation) -> ExplainedRelation {
    ExplainedRelation {
        name: format!("{}.{}", touched.schema, touched.name),
        operation: touched.operation.as_str(),
        columns: match &touched.columns {
            Columns::None => Some(Vec::new()),
            Columns::Named(names) => Some(names.clone()),
            Columns::WholeRow => None,
        },
        indirect: touched.through.is_some() || touched.child_of.is_some(),
    }
}
