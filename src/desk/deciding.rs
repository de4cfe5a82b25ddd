//! Deciding: approvals and denials, and the grant that the last approval makes.

use super::{Actor, Desk, DeskError, MAX_TEXT, Outcome, check_text};
use crate::access::{AccessRequest, ApprovalRefused, Decision, Grant, Origin, RequestId, Ruling};
use crate::audit::Event;

impl Desk {
    /// Takes one decision on a request.
    ///
    /// # Errors
    /// [`DeskError`] says why it does not count.
    pub async fn decide(&self, actor: &Actor, id: &RequestId, ruling: Ruling) -> Result<Outcome, DeskError> {
        check_text("note", ruling.note.as_deref().unwrap_or_default(), MAX_TEXT)?;
        let _turn = self.turn().await;
        let request = self.request(id, actor).await?;
        let now = self.parts.clock.now();
        // Tried on a copy: what would be refused is refused before anything is recorded as done.
        request.clone().decide(&actor.principal, ruling.clone(), now)?;
        let decision = ruling.decision;
        let event = match decision {
            Decision::Approve => {
                self.still_offered(&request, actor)?;
                Event::RequestApproved
            }
            Decision::Deny => Event::RequestDenied,
        };
        let mut record = self.recorder().by(event, actor);
        self.recorder().about_request(&mut record, &request);
        record.approvers = vec![actor.name().to_owned()];
        record.detail.clone_from(&ruling.note);
        self.parts.journal.record(record.clone()).await?;
        match self.parts.store.decide(id, &actor.principal, ruling, now).await {
            Ok((request, grant)) => {
                self.parts.metrics.decided(decision, &request, now);
                if let Some(grant) = &grant {
                    self.announce(actor, &request, grant).await?;
                }
                Ok(Outcome { request, grant, review: None })
            }
            Err(error) => {
                self.recorder().failed(&record, &error).await;
                Err(error.into())
            }
        }
    }

    /// Whether what a request asks for could still be asked for: the scope is configured, and the requester is among its
    /// requesters. A scope or a user that was taken out of the configuration gets no new grants.
    fn still_offered(&self, request: &AccessRequest, approver: &Actor) -> Result<(), DeskError> {
        let scope = self.parts.offers.scope(&request.scope.name);
        let requester = self.parts.offers.standing(&request.principal);
        let offered = scope.as_ref().zip(requester).is_some_and(|(scope, requester)| scope.may_request(&requester));
        if !offered {
            return Err(DeskError::NotOffered {
                scope: request.scope.name.clone(),
                principal: request.principal.name.clone(),
                request: request.id.clone(),
            });
        }
        if scope.is_some_and(|scope| !scope.may_approve(&approver.principal)) {
            return Err(ApprovalRefused::NotApprover(request.scope.name.clone()).into());
        }
        Ok(())
    }

    /// Records a new grant and tells the sessions. A grant that cannot be recorded is taken back.
    pub(super) async fn announce(
        &self,
        actor: &Actor,
        request: &AccessRequest,
        grant: &Grant,
    ) -> Result<(), DeskError> {
        let mut record = self.recorder().by(Event::GrantCreated, actor);
        self.recorder().about_grant(&mut record, grant);
        record.groups.clone_from(&request.principal.groups);
        let by = match grant.origin {
            Origin::Asked => "",
            Origin::Rule => ", approved by the scope's auto_approve",
            Origin::BreakGlass => ", opened without approval",
        };
        record.detail = Some(format!("from {} until {}{by}", grant.not_before, grant.expires_at));
        if let Err(error) = self.parts.journal.record(record).await {
            let reason = Some("its creation could not be recorded".to_owned());
            let now = self.parts.clock.now();
            if let Err(error) = self.parts.store.revoke(&grant.id, "pgward", reason, now).await {
                tracing::error!(%error, grant = %grant.id, "a grant that could not be recorded could not be revoked");
            }
            return Err(error.into());
        }
        if let Err(error) = self.parts.grants.refresh().await {
            tracing::warn!(%error, grant = %grant.id, "sessions learn of a new grant only later");
        }
        Ok(())
    }
}
