//! Breaking the glass: a scope opened at once, by who may, and the review that somebody else owes it.

use super::filing::{Wish, check};
use super::{Actor, Desk, DeskError, MAX_TEXT, Outcome, check_text};
use crate::access::{AccessRequest, Grant, GrantId, NewRequest, Review};
use crate::audit::Event;
use crate::store::{Filing, StoreError};

impl Desk {
    /// Opens a scope without approval. Who is named to be told is named in the record, which notifications follow.
    ///
    /// # Errors
    /// [`DeskError`] says why it stays shut.
    pub async fn break_glass(&self, actor: &Actor, wish: Wish) -> Result<Outcome, DeskError> {
        check(&wish)?;
        let _turn = self.turn().await;
        let now = self.parts.clock.now();
        let name = wish.scope.unwrap_or_default();
        let scope = self.parts.offers.scope(&name).ok_or(DeskError::NoScope(name))?;
        let (reason, ticket, duration) = (wish.reason, wish.ticket, wish.duration);
        let new = NewRequest { reason, ticket, duration, ..NewRequest::default() };
        let (request, grant, review) = AccessRequest::break_glass(actor.principal.clone(), scope, new, now)?;
        let mut record = self.recorder().by(Event::BreakGlassOpened, actor);
        self.recorder().about_grant(&mut record, &grant);
        record.groups.clone_from(&actor.principal.groups);
        let alert = request.scope.rules.break_glass.iter().flat_map(|rules| &rules.alert);
        let told: Vec<String> = alert.chain(&request.scope.approvers).map(ToString::to_string).collect();
        record.detail =
            Some(format!("until {}; told: {}; review due {}", grant.expires_at, told.join(", "), review.due));
        self.parts.journal.record(record.clone()).await?;
        let filing = Filing { request, grant: Some(grant.clone()), review: Some(review) };
        if let Err(error) = self.parts.store.file(&filing).await {
            self.recorder().failed(&record, &error).await;
            return Err(error.into());
        }
        tracing::warn!(principal = actor.name(), grant = %grant.id, scope = grant.scope.name, "break-glass");
        self.announce(actor, &filing.request, &grant).await?;
        Ok(Outcome { request: filing.request, grant: filing.grant, review: filing.review })
    }

    /// The reviews of grants that somebody sees, oldest first.
    ///
    /// # Errors
    /// [`DeskError::Store`]
    pub async fn reviews(&self, actor: &Actor, open_only: bool) -> Result<Vec<(Review, Grant)>, DeskError> {
        let actor = actor.clone();
        let wanted = Box::new(move |principal: &str, scope: &crate::access::Scope| actor.sees(principal, scope));
        Ok(self.parts.store.reviews(wanted, open_only, MAX_LISTED).await?)
    }

    /// Closes the review of a grant, by somebody else than who opened it.
    ///
    /// # Errors
    /// [`DeskError`] says why it stays open.
    pub async fn close_review(&self, actor: &Actor, id: &GrantId, note: &str) -> Result<(Review, Grant), DeskError> {
        check_text("note", note, MAX_TEXT)?;
        let _turn = self.turn().await;
        let now = self.parts.clock.now();
        let found = self.reviews(actor, false).await?.into_iter().find(|(review, _)| review.grant == *id);
        let (mut review, grant) = found.ok_or(StoreError::NotFound("review"))?;
        review.close(&grant, &actor.principal, note, now)?;
        let mut record = self.recorder().by(Event::ReviewClosed, actor);
        self.recorder().about_grant(&mut record, &grant);
        record.approvers = vec![actor.name().to_owned()];
        record.detail = Some(note.to_owned());
        self.parts.journal.record(record.clone()).await?;
        match self.parts.store.close_review(id, &actor.principal, note, now).await {
            Ok(closed) => Ok(closed),
            Err(error) => {
                self.recorder().failed(&record, &error).await;
                Err(error.into())
            }
        }
    }
}

/// Reviews in one listing.
const MAX_LISTED: usize = 500;
