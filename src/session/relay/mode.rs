//! Read-only where the grants are: a session with a role of its own is read-only by default while all of its live grants
//! only read. A grant that comes or goes changes that, between transactions.

use std::sync::Arc;

use super::Relay;
use crate::session::ends;
use crate::session::gate::Outgoing;
use crate::session::pass::ToUpstream;
use crate::session::replies::Expected;

impl Relay {
    /// Tells the upstream where the session became read-only or is so no longer. A transaction that is open stays what it
    /// began as, as PostgreSQL would have it.
    pub(super) fn follow_grants_mode(&mut self) {
        let Some(role) = &self.role else { return };
        if !self.replies.is_settled() {
            return;
        }
        let live = ends::live(&self.grants.borrow(), self.clock.now());
        if let Some(read_only) = role.change_of_mode(live.iter().map(Arc::as_ref)) {
            let expected = Expected::silent(self.gate.names.next_change());
            self.send(Outgoing { message: ToUpstream::read_only(read_only), expected: Some(expected) });
        }
    }
}
