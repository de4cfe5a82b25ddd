//! `request`, `requests`, `edit`, `approve`, `deny`, `withdraw`, `scopes`.

use serde_json::json;

use super::or_dash;
use crate::access::RequestState;
use crate::cli::args::{EditArguments, Format, RequestArguments};
use crate::cli::client::Client;
use crate::cli::duration::words;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::{NewAccessRequest, Note, RequestChanges, RequestFilter, RequestView, ScopeView};

pub async fn file(client: &Client, format: Format, arguments: RequestArguments) -> Result<(), Failure> {
    let new = NewAccessRequest {
        scope: arguments.scope,
        duration_seconds: arguments.duration.as_secs(),
        reason: arguments.reason,
        ticket: arguments.ticket,
        starts: arguments.starts,
        statement: arguments.statement,
        uses: arguments.uses,
    };
    print(format, &client.post(&["requests"], &new).await?)
}

pub async fn approve(client: &Client, format: Format, id: &str, note: Note) -> Result<(), Failure> {
    print(format, &client.post(&["requests", id, "approve"], &note).await?)
}

pub async fn deny(client: &Client, format: Format, id: &str, note: Note) -> Result<(), Failure> {
    print(format, &client.post(&["requests", id, "deny"], &note).await?)
}

pub async fn edit(client: &Client, format: Format, arguments: EditArguments) -> Result<(), Failure> {
    let EditArguments { id, duration, reason, ticket, starts, statement, uses } = arguments;
    let duration_seconds = duration.map(|duration| duration.as_secs());
    let changes = RequestChanges { reason, ticket, duration_seconds, starts, statement, uses };
    print(format, &client.post(&["requests", &id, "edit"], &changes).await?)
}

pub async fn withdraw(client: &Client, format: Format, id: &str) -> Result<(), Failure> {
    print(format, &client.post(&["requests", id, "withdraw"], &json!({})).await?)
}

pub async fn list(client: &Client, format: Format, state: Option<RequestState>) -> Result<(), Failure> {
    let requests: Vec<RequestView> = client.get(&["requests"], &RequestFilter { state }).await?;
    match format {
        Format::Json => output::json(&requests),
        Format::Table => {
            let headers = ["id", "state", "principal", "scope", "database", "for", "filed", "approvals", "reason"];
            output::table("requests", &headers, requests.into_iter().map(row).collect())
        }
    }
}

pub async fn scopes(client: &Client, format: Format) -> Result<(), Failure> {
    let scopes: Vec<ScopeView> = client.get(&["scopes"], &()).await?;
    match format {
        Format::Json => output::json(&scopes),
        Format::Table => {
            let headers = ["scope", "database", "regions", "at most", "approvals", "approvers", "guards", "you may"];
            let rows = scopes.into_iter().map(|scope| {
                let may = match (scope.may_request, scope.may_approve) {
                    (true, true) => "request, approve",
                    (true, false) => "request",
                    (false, true) => "approve",
                    (false, false) => "see it",
                };
                vec![
                    scope.name,
                    scope.database,
                    scope.regions.join(", "),
                    words(scope.max_duration_seconds),
                    scope.approvals.to_string(),
                    scope.approvers.join(", "),
                    or_dash(Some(&scope.guards)),
                    may.to_owned(),
                ]
            });
            output::table("scopes", &headers, rows.collect())
        }
    }
}

fn row(request: RequestView) -> Vec<String> {
    let given = approvals(&request);
    vec![
        request.id,
        request.state.as_str().to_owned(),
        request.principal,
        request.scope,
        request.database,
        words(request.duration_seconds),
        output::time(request.created_at),
        format!("{given} of {}", request.approvals_needed),
        match request.ticket {
            Some(ticket) => format!("{} [{ticket}]", request.reason),
            None => or_dash(Some(&request.reason)),
        },
    ]
}

pub fn print(format: Format, request: &RequestView) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&json!({ "id": request.id, "state": request.state, "grant": request.grant })),
        Format::Table => {
            let (line, next) = describe(request);
            output::say(&line)?;
            output::hint(&next);
            Ok(())
        }
    }
}

/// Where a request stands, and what is to be done next.
fn describe(request: &RequestView) -> (String, String) {
    let id = &request.id;
    let line = format!("request {id} is {}", request.state.as_str());
    match (request.state, &request.grant) {
        (RequestState::Approved, Some(grant)) => (
            format!(
                "{line}: grant {} from {} until {}",
                grant.id,
                output::time(grant.not_before),
                output::time(grant.expires_at)
            ),
            format!("{} connects with: pgward connect {}", request.principal, request.database),
        ),
        (RequestState::Pending, _) => {
            let missing = (request.approvals_needed as usize).saturating_sub(approvals(request));
            let approvals = if missing == 1 { "approval" } else { "approvals" };
            let open = request.requirements.iter().filter(|one| one.given.len() < one.needed as usize);
            let by = open.flat_map(|one| one.approvers.clone()).collect::<Vec<_>>().join(", ");
            (line, format!("waiting for {missing} {approvals} by {by}; they run: pgward approve {id}"))
        }
        (RequestState::Approved, None) => (line, "see its grant with: pgward grants --all".to_owned()),
        (RequestState::Denied | RequestState::Withdrawn | RequestState::Expired, _) => {
            (line, format!("ask anew with: pgward request {} --for DURATION --reason TEXT", request.scope))
        }
    }
}

fn approvals(request: &RequestView) -> usize {
    request.requirements.iter().map(|requirement| requirement.given.len()).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::access::Origin;
    use crate::control::api::{GrantWindow, RequirementView, YouMay};

    fn request(state: RequestState) -> RequestView {
        let grant = GrantWindow {
            id: "gr_1".to_owned(),
            not_before: "2026-01-01T10:00:00Z".parse().unwrap(),
            expires_at: "2026-01-01T10:30:00Z".parse().unwrap(),
        };
        RequestView {
            id: "req_1".to_owned(),
            state,
            grant: (state == RequestState::Approved).then_some(grant),
            principal: "alice".to_owned(),
            scope: "orders-read".to_owned(),
            database: "shop".to_owned(),
            reason: "why".to_owned(),
            ticket: None,
            duration_seconds: 1800,
            starts: None,
            statement: None,
            created_at: "2026-01-01T09:59:00Z".parse().unwrap(),
            approvals_needed: 1,
            approvers: vec!["@dba".to_owned()],
            requirements: vec![RequirementView {
                why: "the scope".to_owned(),
                approvers: vec!["@dba".to_owned()],
                needed: 1,
                given: Vec::new(),
            }],
            decisions: Vec::new(),
            digest: "d".to_owned(),
            revision: 0,
            labels: Vec::new(),
            expires_at: "2026-01-02T09:59:00Z".parse().unwrap(),
            origin: Origin::Asked,
            extends: None,
            uses: None,
            analysis: None,
            you_may: YouMay::default(),
        }
    }

    #[test]
    fn each_state_says_what_to_do_next() {
        let check = |state: RequestState, line: &str, next: &str| {
            assert_eq!(describe(&request(state)), (line.to_owned(), next.to_owned()));
        };
        check(
            RequestState::Pending,
            "request req_1 is pending",
            "waiting for 1 approval by @dba; they run: pgward approve req_1",
        );
        check(
            RequestState::Approved,
            "request req_1 is approved: grant gr_1 from 2026-01-01 10:00:00Z until 2026-01-01 10:30:00Z",
            "alice connects with: pgward connect shop",
        );
        check(
            RequestState::Denied,
            "request req_1 is denied",
            "ask anew with: pgward request orders-read --for DURATION --reason TEXT",
        );
    }
}
