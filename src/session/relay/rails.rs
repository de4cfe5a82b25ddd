//! Guard rails at work: a statement's time, a transaction that must fail because its client was told so, and whether the
//! session's transactions may write.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::{Outgoing, Relay};
use crate::access::{Grant, GrantId, Seconds};
use crate::session::pass::ToUpstream;
use crate::session::peer::ToClient;
use crate::session::replies::{CopyIn, Expected, Step};
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

/// Whether the session's transactions may write, as the upstream was last told.
#[derive(Clone, Debug)]
pub struct Mode {
    /// What RESET ALL goes back to.
    pub opened_read_only: bool,
    /// Whether a transaction of the session may write.
    pub writable: bool,
    /// Whether settings were reset since: what holds is what the session was opened with.
    pub reset: bool,
    /// Whether a live grant bounds what one statement may do.
    pub bounded: bool,
    /// Looks, one a second, at a statement that was to end and has not.
    pub looks: u8,
    known: Option<Known>,
}

/// What the grants that are live want of a session.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    any: bool,
    writes: bool,
    bounded: bool,
}

/// What these grants want until the next of them begins or ends.
#[derive(Clone, Debug)]
struct Known {
    grants: Arc<[Arc<Grant>]>,
    holds: std::ops::Range<Timestamp>,
    wanted: Wanted,
}

/// Looks that a client has to finish a message of COPY data that stands between a COPY and its end.
const STUCK: u8 = 3;

impl Mode {
    /// `set_later` where the session was told to be read-only after its login, so that RESET ALL would undo it.
    #[must_use]
    pub fn opened(read_only: bool, set_later: bool) -> Self {
        Self {
            opened_read_only: read_only && !set_later,
            writable: !read_only,
            reset: false,
            bounded: false,
            looks: 0,
            known: None,
        }
    }

    fn wanted(&mut self, grants: &Arc<[Arc<Grant>]>, now: Timestamp) -> Wanted {
        let still = |known: &&Known| Arc::ptr_eq(&known.grants, grants) && known.holds.contains(&now);
        if let Some(known) = self.known.as_ref().filter(still) {
            return known.wanted;
        }
        let mut wanted = Wanted::default();
        for grant in grants.iter().filter(|grant| grant.is_live_at(now)) {
            wanted.any = true;
            wanted.writes |= !grant.scope.is_read_only();
            wanted.bounded |= grant.scope.guards.bounds();
        }
        let turns = grants.iter().flat_map(|grant| [grant.not_before, grant.expires_at]);
        let until = turns.filter(|turn| *turn > now).min().unwrap_or(now);
        self.known = Some(Known { grants: Arc::clone(grants), holds: now..until, wanted });
        wanted
    }
}

impl<C: ToClient> Relay<C> {
    /// Looks at what the live grants want of the session, and tells the upstream where that has changed and nothing is
    /// under way. Answers whether what follows has to wait for that.
    pub(super) fn keep_mode(&mut self, now: Timestamp) -> bool {
        let Wanted { any, writes, bounded } = self.mode.wanted(&self.grants.borrow().grants, now);
        self.mode.bounded = bounded || self.database.settings.policy.counts_exports();
        let restores = self.mode.reset && self.mode.opened_read_only && writes;
        // Where none is live the session is about to end; it gets no more than it had.
        let stays = writes == self.mode.writable && !restores;
        if stays || !any {
            return false;
        }
        // Nothing is put inside of a message or a segment of the client's.
        if !self.replies.is_quiet() || !self.replies.is_between_segments() || self.copy_left > 0 {
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
        if self.gate.is_unsettled() {
            self.settle_catalogs();
        }
        let Mode { opened_read_only, writable, .. } = self.mode;
        self.gate.hold(self.entry.held());
        self.gate.brief(self.replies.reasons.current(), opened_read_only, writable);
        self.gate.brief_transaction(self.replies.is_settled().then(|| self.replies.status()));
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

    /// Asks again for the end of a statement that has outlived what was to end it. Answers whether that cannot work: a COPY
    /// ends by a message, and the client has stopped in the middle of one.
    pub(super) fn is_stuck(&mut self) -> bool {
        if !self.replies.is_ending() {
            self.mode.looks = 0;
            return false;
        }
        if self.cancelling.is_none() {
            self.cancel_upstream();
        }
        self.mode.looks = self.mode.looks.saturating_add(1);
        self.owed.copy_fail && self.copy_left > 0 && self.mode.looks > STUCK
    }

    /// Whether the client sends the data of a COPY.
    pub(super) fn is_copying(&self) -> bool {
        self.copy_left > 0 || self.replies.copy_in() != CopyIn::No
    }

    /// Whether a statement's time is up, where any is measured.
    pub(super) fn is_time_up(deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Has the transaction fail that its client was told has failed, with that as the error. Only [`Self::pay`] calls this:
    /// where a message may stand.
    pub(super) fn fail_block(&mut self, said: ClientVisible) {
        let mut failing = Expected::new(Step::Parse, self.gate.names.next_change());
        failing.denied = Some(Box::new(said));
        self.send(Outgoing { message: ToUpstream::failing_step(), expected: Some(failing) });
        let sync = Expected::new(Step::Sync, self.gate.names.next_change());
        self.send(Outgoing { message: ToUpstream::sync(), expected: Some(sync) });
    }

    /// Has the upstream skip what the client still sends up to its Sync. Only [`Self::pay`] calls this.
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
