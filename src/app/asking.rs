//! The desk as sessions know it.

use std::sync::Arc;

use async_trait::async_trait;

use crate::access::{AccessRequest, Decision, Grant, RequestId};
use crate::desk::{self, Actor, Desk, DeskError, NotAnalysed};
use crate::session::asking::{Asker, Asking, NotFiled, Told, Wish};

/// Asks at the desk on behalf of sessions.
#[derive(Debug)]
pub struct SessionDesk {
    desk: Arc<Desk>,
}

impl SessionDesk {
    #[must_use]
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }
}

#[async_trait]
impl Asking for SessionDesk {
    async fn file(&self, asker: &Asker, wish: Wish) -> Result<Told, NotFiled> {
        let Wish { scope, duration, reason, ticket, statement } = wish;
        let wish = desk::Wish { scope: Some(scope), duration, reason, ticket, statement, ..desk::Wish::default() };
        let (desk, actor) = (Arc::clone(&self.desk), actor(asker));
        // In a task of its own: a session that ends meanwhile does not leave it half done.
        let filed = tokio::spawn(async move { desk.file(&actor, wish).await }).await;
        let outcome = filed.map_err(|_| interrupted())?.map_err(not_filed)?;
        Ok(told(&outcome.request, outcome.grant.as_ref()))
    }

    async fn requests(&self, asker: &Asker) -> Result<Vec<Told>, NotFiled> {
        let found = self.desk.own_requests(&asker.principal, MOST).await.map_err(not_filed)?;
        Ok(found.iter().map(|(request, grant)| told(request, grant.as_ref())).collect())
    }

    async fn look(&self, asker: &Asker, id: &RequestId) -> Result<Told, NotFiled> {
        let request = self.desk.request(id, &actor(asker)).await.map_err(not_filed)?;
        Ok(told(&request, None))
    }

    async fn withdraw(&self, asker: &Asker, id: &RequestId) {
        // One that was decided on stays as it is.
        if let Err(error) = self.desk.withdraw(&actor(asker), id).await {
            tracing::debug!(%error, request = %id, "a held statement's request was not withdrawn");
        }
    }
}

/// Requests that a session is shown: the newest.
const MOST: usize = 100;

fn actor(asker: &Asker) -> Actor {
    Actor { principal: asker.principal.clone(), address: asker.address.clone(), admin: false }
}

fn interrupted() -> NotFiled {
    NotFiled { message: "it was interrupted".to_owned(), hint: Some("Look at SHOW pgward.requests.".to_owned()) }
}

fn not_filed(error: DeskError) -> NotFiled {
    let hint = match &error {
        DeskError::NoScope(_) => Some("See `pgward scopes` for those that you may ask for.".to_owned()),
        DeskError::NotAnalysed(NotAnalysed::Never { hint, .. }) => hint.clone(),
        DeskError::NotAnalysed(NotAnalysed::NotNow(_)) | DeskError::Store(_) | DeskError::Journal(_) => {
            Some("Try again in a moment.".to_owned())
        }
        _other => None,
    };
    NotFiled { message: error.to_string(), hint }
}

fn told(request: &AccessRequest, grant: Option<&Grant>) -> Told {
    let missing = request.requirements.iter().zip(request.given()).filter_map(|(requirement, given)| {
        let count = (requirement.count as usize).checked_sub(given.len()).filter(|count| *count > 0)?;
        let approvers: Vec<String> = requirement.approvers.iter().map(ToString::to_string).collect();
        Some(format!("{count} of {}", approvers.join(", ")))
    });
    let is_pending = request.state == crate::access::RequestState::Pending;
    let denial = request.approvals.iter().rev().find(|approval| approval.decision == Decision::Deny);
    Told {
        id: request.id.clone(),
        state: request.state,
        scope: request.scope.name.clone(),
        duration: request.duration,
        filed: request.created_at.to_string(),
        expires: request.expires_at().to_string(),
        grant: grant.map(|grant| grant.id.to_string()),
        needs: if is_pending { missing.collect::<Vec<_>>().join(" and ") } else { String::new() },
        reason: request.reason.clone(),
        denied: denial.map(|denial| match &denial.note {
            Some(note) => format!("{} denied it: {note}", denial.approver),
            None => format!("{} denied it", denial.approver),
        }),
    }
}
