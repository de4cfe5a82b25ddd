//! The records of what is done at the desk.

use super::{Actor, Parts};
use crate::access::{AccessRequest, Grant};
use crate::audit::{Event, Record, RecordedVerdict};

/// Makes the records of acts.
#[derive(Clone, Copy, Debug)]
pub struct Recorder<'a> {
    parts: &'a Parts,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(parts: &'a Parts) -> Self {
        Self { parts }
    }

    /// A record of an act of somebody's, about themselves until it says otherwise.
    #[must_use]
    pub fn by(self, event: Event, actor: &Actor) -> Record {
        let mut record = Record::new(self.parts.clock.now(), event);
        record.principal = Some(actor.name().to_owned());
        record.groups.clone_from(&actor.principal.groups);
        record.client_addr = Some(actor.address.clone());
        record
    }

    /// Fills in what an access request is about.
    pub fn about_request(self, record: &mut Record, request: &AccessRequest) {
        record.principal = Some(request.principal.name.clone());
        record.groups.clone_from(&request.principal.groups);
        record.database = Some(request.scope.database.clone());
        record.scope = Some(request.scope.name.clone());
        record.request = Some(request.id.clone());
        record.reason = Some(request.reason.clone());
        record.ticket.clone_from(&request.ticket);
        record.statement = self.without_secrets(request.statement.as_deref());
    }

    /// Fills in what a grant is about.
    pub fn about_grant(self, record: &mut Record, grant: &Grant) {
        record.principal = Some(grant.principal.clone());
        record.groups = Vec::new();
        record.database = Some(grant.scope.database.clone());
        record.scope = Some(grant.scope.name.clone());
        record.grant = Some(grant.id.clone());
        record.request = Some(grant.request.clone());
        record.reason = Some(grant.reason.clone());
        record.ticket.clone_from(&grant.ticket);
        record.approvers.clone_from(&grant.approvers);
        record.statement = self.without_secrets(grant.statement.as_deref());
    }

    fn without_secrets(self, statement: Option<&str>) -> Option<String> {
        statement.map(|statement| (self.parts.redact)(statement).into_owned())
    }

    /// Records that an act which the journal already names did not take effect.
    pub async fn failed(self, record: &Record, error: &(dyn std::error::Error + Sync)) {
        let mut record = record.clone();
        record.time = self.parts.clock.now();
        record.verdict = Some(RecordedVerdict::Deny);
        record.detail = Some(format!("did not take effect: {error}"));
        if let Err(error) = self.parts.journal.record(record).await {
            tracing::error!(%error, "the failure of an act could not be recorded");
        }
    }
}
