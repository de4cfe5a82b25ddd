//! Changing one's mind: editing and withdrawing a pending request.

use super::filing::{check_statement, summary};
use super::{Actor, Desk, DeskError, MAX_TEXT, MAX_TICKET, check_text};
use crate::access::{AccessRequest, Changes, RequestId};
use crate::audit::Event;

impl Desk {
    /// Changes what a pending request of one's own asks for. Approvals that it had count no longer.
    ///
    /// # Errors
    /// [`DeskError`] says why it stays as it is.
    pub async fn edit(&self, actor: &Actor, id: &RequestId, mut changes: Changes) -> Result<AccessRequest, DeskError> {
        check_text("reason", changes.reason.as_deref().unwrap_or_default(), MAX_TEXT)?;
        check_text("ticket", changes.ticket.as_deref().unwrap_or_default(), MAX_TICKET)?;
        check_statement(changes.statement.as_deref())?;
        if changes.statement.is_some() {
            let scope = self.request(id, actor).await?.scope;
            changes.analysis = self.analysis(actor, &scope, changes.statement.as_deref()).await?;
        }
        let _turn = self.turn().await;
        let now = self.parts.clock.now();
        let mut request = self.request(id, actor).await?;
        let voided = request.approvals.len();
        // Tried on a copy of what is stored: what would be refused is refused before anything is recorded as done.
        request.edit(&actor.principal, changes.clone(), now)?;
        let mut record = self.recorder().by(Event::RequestEdited, actor);
        self.recorder().about_request(&mut record, &request);
        record.detail = Some(format!("{}; decisions that no longer count: {voided}", summary(&request)));
        self.parts.journal.record(record.clone()).await?;
        match self.parts.store.edit(id, &actor.principal, changes, now).await {
            Ok(request) => Ok(request),
            Err(error) => {
                self.recorder().failed(&record, &error).await;
                Err(error.into())
            }
        }
    }

    /// Takes back a pending request of one's own.
    ///
    /// # Errors
    /// [`DeskError`] says why it stays.
    pub async fn withdraw(&self, actor: &Actor, id: &RequestId) -> Result<AccessRequest, DeskError> {
        let _turn = self.turn().await;
        let request = self.request(id, actor).await?;
        let now = self.parts.clock.now();
        request.clone().withdraw(&actor.principal, now)?;
        let mut record = self.recorder().by(Event::RequestWithdrawn, actor);
        self.recorder().about_request(&mut record, &request);
        self.parts.journal.record(record.clone()).await?;
        match self.parts.store.withdraw(id, &actor.principal, now).await {
            Ok(request) => Ok(request),
            Err(error) => {
                self.recorder().failed(&record, &error).await;
                Err(error.into())
            }
        }
    }
}
