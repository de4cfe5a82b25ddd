//! A row of the table `requests`, and one of `decisions`.

use super::values::{damaged, duration_out, instant_out, json_in, json_out};
use crate::access::{
    AccessRequest, Analysis, Approval, Decision, Extension, Origin, Principal, Region, RequestId, RequestState,
    Requirement, Scope,
};
use crate::store::StoreError;

/// The column `more`.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    analysis: Option<Analysis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extends: Option<Extension>,
    requirements: Vec<Requirement>,
    revision: u32,
    origin: Origin,
}

impl More {
    fn of(request: &AccessRequest) -> Self {
        Self {
            uses: request.uses,
            analysis: request.analysis.clone(),
            extends: request.extends.clone(),
            requirements: request.requirements.clone(),
            revision: request.revision,
            origin: request.origin,
        }
    }
}

/// What that column holds for a request.
pub(in crate::store) fn more_in(request: &AccessRequest) -> Result<String, StoreError> {
    json_in(&More::of(request))
}

/// A row as it lies in the table.
pub(in crate::store) struct RawRequest {
    pub id: String,
    pub principal: String,
    pub groups: String,
    pub home_region: Option<String>,
    pub scope: String,
    pub reason: String,
    pub ticket: Option<String>,
    pub duration: i64,
    pub starts: Option<i64>,
    pub statement: Option<String>,
    pub state: String,
    pub created_at: i64,
    pub more: String,
}

impl RawRequest {
    pub fn parse(self) -> Result<AccessRequest, StoreError> {
        let scope: Scope = json_out(&self.scope)?;
        let more: More = json_out(&self.more)?;
        Ok(AccessRequest {
            id: RequestId::from_text(self.id),
            principal: Principal {
                name: self.principal,
                groups: json_out(&self.groups)?,
                region: self.home_region.map(Region::new),
            },
            requirements: or_own(more.requirements, &scope),
            scope,
            reason: self.reason,
            ticket: self.ticket,
            duration: duration_out(self.duration)?,
            starts: self.starts.map(instant_out).transpose()?,
            statement: self.statement,
            uses: more.uses,
            analysis: more.analysis,
            extends: more.extends,
            revision: more.revision,
            origin: more.origin,
            state: parse_state(&self.state)?,
            created_at: instant_out(self.created_at)?,
            approvals: Vec::new(),
        })
    }
}

/// A request that was filed before there were rules needs its scope's own approvers.
fn or_own(requirements: Vec<Requirement>, scope: &Scope) -> Vec<Requirement> {
    if !requirements.is_empty() {
        return requirements;
    }
    let (approvers, count) = (scope.approvers.clone(), scope.approvals.max(1));
    vec![Requirement { approvers, count, why: "the scope".to_owned() }]
}

fn parse_state(text: &str) -> Result<RequestState, StoreError> {
    match text {
        "pending" => Ok(RequestState::Pending),
        "approved" => Ok(RequestState::Approved),
        "denied" => Ok(RequestState::Denied),
        "withdrawn" => Ok(RequestState::Withdrawn),
        "expired" => Ok(RequestState::Expired),
        other => Err(damaged(&format_args!("no such state: {other}"))),
    }
}

/// A decision as it lies in the table.
pub(in crate::store) struct RawApproval {
    pub approver: String,
    pub groups: String,
    pub decision: String,
    pub note: Option<String>,
    pub at: i64,
    pub digest: String,
}

impl RawApproval {
    pub fn parse(self) -> Result<Approval, StoreError> {
        let decision = match self.decision.as_str() {
            "approve" => Decision::Approve,
            "deny" => Decision::Deny,
            other => return Err(damaged(&format_args!("no such decision: {other}"))),
        };
        let groups = json_out(&self.groups)?;
        let Self { approver, note, digest, .. } = self;
        Ok(Approval { approver, groups, decision, note, at: instant_out(self.at)?, digest })
    }
}

/// How a decision is written down.
pub(in crate::store) fn decision_in(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "approve",
        Decision::Deny => "deny",
    }
}
