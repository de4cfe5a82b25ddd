//! What callers are shown of the parts' own types.

use super::api::{
    DatabaseView, DecisionView, ExplainView, GrantView, GrantWindow, PrivilegeView, RequestView, RevocationView,
    ScopeView, SessionView,
};
use super::directory::Database;
use super::explain::ExplainAnswer;
use crate::access::{AccessRequest, Approval, Grant, Principal, Privilege, Scope};
use crate::session::SessionInfo;
use jiff::Timestamp;

pub fn request(request: AccessRequest, grant: Option<&Grant>) -> RequestView {
    RequestView {
        id: request.id.to_string(),
        state: request.state,
        grant: grant.map(window),
        principal: request.principal.name,
        database: request.scope.database,
        reason: request.reason,
        ticket: request.ticket,
        duration_seconds: request.duration.as_secs(),
        starts: request.starts,
        statement: request.statement,
        created_at: request.created_at,
        approvals_needed: request.scope.approvals,
        approvers: texts(&request.scope.approvers),
        scope: request.scope.name,
        decisions: request.approvals.into_iter().map(decision).collect(),
    }
}

fn window(grant: &Grant) -> GrantWindow {
    GrantWindow { id: grant.id.to_string(), not_before: grant.not_before, expires_at: grant.expires_at }
}

fn decision(approval: Approval) -> DecisionView {
    DecisionView { approver: approval.approver, decision: approval.decision, note: approval.note, at: approval.at }
}

pub fn grant(grant: Grant, now: Timestamp) -> GrantView {
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
        statements: session.statements,
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
