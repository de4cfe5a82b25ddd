//! Guard rails at work: a statement's time, a transaction that must fail because its client was told so, and whether the
//! session's transactions may write.

use std::time::Instant;

use super::{Outgoing, Relay};
use crate::access::{GrantId, Seconds};
use crate::session::ends;
use crate::session::pass::ToUpstream;
use crate::session::replies::{CopyIn, Expected, Step};
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

/// Whether the session's transactions may write, as the upstream was last told.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// What RESET ALL goes back to.
    pub opened_read_only: bool,
    /// Whether a transaction of the session may write.
    pub writable: bool,
    /// Whether settings were reset since: what holds is what the session was opened with.
    pub reset: bool,
    /// Whether a live grant bounds what one statement may do.
    pub bounded: bool,
}

impl Mode {
    #[must_use]
    pub fn opened(read_only: bool) -> Self {
        Self { opened_read_only: read_only, writable: !read_only, reset: false, bounded: false }
    }
}

impl Relay {
    /// Looks at what the live grants want of the session, and tells the upstream where that has changed and nothing is
    /// under way. Answers whether what follows has to wait for that.
    pub(super) fn keep_mode(&mut self) -> bool {
        let live = ends::live(&self.grants.borrow(), self.clock.now());
        let writes = live.iter().any(|grant| !grant.scope.is_read_only());
        self.mode.bounded = live.iter().any(|grant| grant.scope.guards.bounds());
        let restores = self.mode.reset && self.mode.opened_read_only && writes;
        // Where none is live the session is about to end; it gets no more than it had.
        let stays = writes == self.mode.writable && !restores;
        if stays || live.is_empty() {
            return false;
        }
        if !self.replies.is_quiet() {
            // In a transaction that may write, policy refuses what is not its end.
            return !writes && self.replies.is_between_segments() && !self.replies.is_idle();
        }
        self.mode.writable = writes;
        self.mode.reset = false;
        self.replies.read_only = !writes;
        let change = self.gate.names.next_change();
        let expected = Some(Expected::new(Step::Own, change));
        self.send(Outgoing { message: ToUpstream::read_only(!writes), expected });
        false
    }

    /// What is judged next is judged in the session as it is now.
    pub(super) fn brief_gate(&mut self) {
        let Mode { opened_read_only, writable, .. } = self.mode;
        self.gate.brief(self.replies.reasons.current(), opened_read_only, writable);
    }

    /// Cancels the statement whose time is up.
    pub(super) fn time_out(&mut self) {
        let set = std::sync::Arc::clone(&self.grants.borrow());
        self.replies.time_out(|id| timed_out(id, &set));
        self.cancel_upstream();
        // A COPY that waits for data hears no cancel request.
        self.owed.copy_fail |= matches!(self.replies.copy_in(), CopyIn::Open { .. });
        self.pay();
    }

    /// Whether a statement's time is up, where any is measured.
    pub(super) fn is_time_up(deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Has the transaction fail that its client was told has failed, with that as the error.
    pub(super) fn fail_block(&mut self, said: ClientVisible) {
        let mut failing = Expected::new(Step::Parse, self.gate.names.next_change());
        failing.denied = Some(said);
        self.send(Outgoing { message: ToUpstream::failing_step(), expected: Some(failing) });
        let sync = Expected::new(Step::Sync, self.gate.names.next_change());
        self.send(Outgoing { message: ToUpstream::sync(), expected: Some(sync) });
    }

    /// Has the upstream skip what the client still sends up to its Sync.
    pub(super) fn fail_step(&mut self) {
        let failing = Expected::new(Step::Parse, self.gate.names.next_change());
        self.send(Outgoing { message: ToUpstream::failing_step(), expected: Some(failing) });
    }
}

/// Waits until then; for ever where there is no such time.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn timed_out(id: Option<&GrantId>, set: &crate::store::GrantSet) -> ClientVisible {
    let grant = id.and_then(|id| set.grants.iter().find(|grant| grant.id == *id));
    let text = "canceling statement due to statement timeout";
    let Some(grant) = grant else { return ClientVisible::new(Severity::Error, sqlstate::QUERY_CANCELED, text) };
    let allowed = grant.scope.guards.statement_timeout.map(|timeout| Seconds(timeout).to_string()).unwrap_or_default();
    let text = format!("{text}: scope \"{}\" allows {allowed}", grant.scope.name);
    ClientVisible::new(Severity::Error, sqlstate::QUERY_CANCELED, text)
        .detail(format!("It ran under grant {}.", grant.id))
}
