//! What callers are shown of the parts' own types.

use super::api::{
    AnalysisView, DatabaseView, DecisionView, EstimateView, ExplainView, GrantView, GrantWindow, PrivilegeView,
    RelationView, RequestView, RequirementView, ReviewClosingView, ReviewView, RevocationView, ScopeView, SessionView,
    YouMay,
};
use super::directory::Database;
use super::explain::ExplainAnswer;
use crate::access::{
    AccessRequest, Analysis, Approval, Estimate, Grant, Principal, Privilege, RequestState, Review, Scope, Touched,
};
use crate::desk::Outcome;
use crate::session::SessionInfo;
use jiff::Timestamp;

pub fn request(request: AccessRequest, grant: Option<&Grant>, caller: &Principal) -> RequestView {
    let given = request.given();
    let requirements = request.requirements.iter().zip(given).map(|(requirement, given)| RequirementView {
        why: requirement.why.clone(),
        approvers: texts(&requirement.approvers),
        needed: requirement.count,
        given,
    });
    RequestView {
        id: request.id.to_string(),
        state: request.state,
        grant: grant.map(window),
        reason: request.reason.clone(),
        ticket: request.ticket.clone(),
        duration_seconds: request.duration.as_secs(),
        starts: request.starts,
        statement: request.statement.clone(),
        created_at: request.created_at,
        approvals_needed: request.requirements.iter().map(|requirement| requirement.count).sum(),
        approvers: texts(&request.scope.approvers),
        requirements: requirements.collect(),
        digest: request.digest(),
        revision: request.revision,
        labels: request.labels().to_vec(),
        expires_at: request.expires_at(),
        origin: request.origin,
        extends: request.extends.as_ref().map(|extended| extended.grant.to_string()),
        uses: request.uses,
        analysis: request.analysis.clone().map(analysis),
        you_may: you_may(&request, caller),
        principal: request.principal.name,
        database: request.scope.database,
        scope: request.scope.name,
        decisions: request.approvals.into_iter().map(decision).collect(),
    }
}

fn analysis(analysis: Analysis) -> AnalysisView {
    let (estimate, no_estimate) = match analysis.estimate {
        Estimate::Planned { rows, cost, plan } => (Some(EstimateView { rows, cost, plan }), None),
        Estimate::Unknown(why) => (None, Some(why)),
    };
    let relations = analysis.relations.into_iter().map(|Touched { name, operation, columns }| RelationView {
        name,
        operation,
        columns,
    });
    AnalysisView {
        kind: analysis.kind,
        relations: relations.collect(),
        functions: analysis.functions,
        labels: analysis.labels,
        regions: analysis.regions,
        refused: analysis.refused,
        estimate,
        no_estimate,
    }
}

fn you_may(request: &AccessRequest, caller: &Principal) -> YouMay {
    let is_pending = request.state == RequestState::Pending;
    let (own, decides) = (caller.name == request.principal.name, request.may_decide(caller));
    YouMay {
        approve: is_pending && decides,
        deny: is_pending && decides,
        withdraw: is_pending && own,
        edit: is_pending && own,
    }
}

pub fn outcome(outcome: Outcome, caller: &Principal) -> RequestView {
    request(outcome.request, outcome.grant.as_ref(), caller)
}

pub fn review((review, grant): (Review, Grant), caller: &Principal, now: Timestamp) -> ReviewView {
    ReviewView {
        overdue: review.closed.is_none() && review.due <= now,
        you_may_close: review.clone().close(&grant, caller, "a note", now).is_ok(),
        due: review.due,
        closed: review.closed.map(|closed| ReviewClosingView { at: closed.at, by: closed.by, note: closed.note }),
        grant: self::grant(grant, now),
    }
}

fn window(grant: &Grant) -> GrantWindow {
    GrantWindow { id: grant.id.to_string(), not_before: grant.not_before, expires_at: grant.expires_at }
}

fn decision(approval: Approval) -> DecisionView {
    DecisionView { approver: approval.approver, decision: approval.decision, note: approval.note, at: approval.at }
}

pub fn grant(grant: Grant, now: Timestamp) -> GrantView {
    let uses_left = grant.uses_left();
    GrantView {
        id: grant.id.to_string(),
        state: grant.state_at(now),
        principal: grant.principal,
        database: grant.scope.database.clone(),
        scope: grant.scope.name.clone(),
        regions: texts(&grant.scope.regions),
        request: grant.request.to_string(),
        reason: grant.reason,
        ticket: grant.ticket,
        approvers: grant.approvers,
        not_before: grant.not_before,
        expires_at: grant.expires_at,
        statement: grant.statement,
        uses: grant.uses,
        uses_left,
        origin: grant.origin,
        labels: grant.scope.rules.labels.clone(),
        revocation: grant.revocation.map(|revocation| RevocationView {
            at: revocation.at,
            by: revocation.by,
            reason: revocation.reason,
        }),
    }
}

pub fn session(session: SessionInfo) -> SessionView {
    SessionView {
        id: session.id.to_string(),
        principal: session.principal,
        database: session.database,
        client_addr: session.client_addr,
        client_region: session.client_region.map(|region| region.to_string()),
        application_name: session.application_name,
        opened_at: session.opened_at,
        grants: texts(&session.grants),
        statement: session.statement,
        rows: session.rows,
        statements: session.statements,
        replica: None,
    }
}

pub fn scope(scope: &Scope, caller: &Principal) -> ScopeView {
    ScopeView {
        name: scope.name.clone(),
        database: scope.database.clone(),
        regions: texts(&scope.regions),
        requesters: texts(&scope.requesters),
        approvers: texts(&scope.approvers),
        approvals: scope.approvals,
        max_duration_seconds: scope.max_duration.as_secs(),
        row_limit: scope.guards.row_limit,
        byte_limit: scope.guards.byte_limit,
        statement_timeout_seconds: scope.guards.statement_timeout.map(|timeout| timeout.as_secs()),
        unfiltered_writes: scope.guards.unfiltered_writes,
        require_reason: scope.guards.require_reason,
        read_only: scope.is_read_only(),
        guards: scope.guards_in_words(),
        allow: scope.allow.iter().map(privilege).collect(),
        require_ticket: scope.rules.require_ticket,
        hold_seconds: scope.rules.hold.map(|hold| hold.as_secs()),
        auto_approve_seconds: scope.rules.auto_approve.map(|bound| bound.as_secs()),
        labels: scope.rules.labels.clone(),
        break_glass_seconds: scope
            .rules
            .break_glass
            .as_ref()
            .filter(|_| scope.may_break_glass(caller))
            .map(|rules| rules.max_duration.as_secs()),
        may_request: scope.may_request(caller),
        may_approve: scope.may_approve(caller),
    }
}

fn privilege(privilege: &Privilege) -> PrivilegeView {
    PrivilegeView {
        on: texts(&privilege.on),
        columns: privilege.columns.clone(),
        operations: privilege.operations.iter().map(|operation| operation.to_string()).collect(),
        functions: texts(&privilege.functions),
    }
}

pub fn database(database: &Database) -> DatabaseView {
    DatabaseView {
        name: database.name.clone(),
        region: database.region.to_string(),
        host: database.host.clone(),
        port: database.port,
    }
}

pub fn explanation(answer: ExplainAnswer) -> ExplainView {
    ExplainView {
        verdict: answer.verdict,
        grant: answer.grant.map(|grant| grant.to_string()),
        rule: answer.rule,
        detail: answer.detail,
        hint: answer.hint,
        relations: answer.relations,
        fingerprint: answer.fingerprint,
        steps: answer.steps,
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
