//! Numbers the records of sessions: 1, 2, 3 …, so that a gap shows where a record was never made.

use super::appender::Sessions;
use super::canonical::{Phase, Unnumbered};
use crate::access::SessionId;

/// What a batch changes in the numbering of sessions, once it is written.
#[derive(Default)]
pub(super) struct Numbers<'a> {
    /// The last number of each session in the batch; `None` where the session ended.
    last: Vec<(&'a SessionId, Option<u64>)>,
}

impl<'a> Numbers<'a> {
    /// The record's `session_seq`: none without a session, or for one that was not opened or has ended.
    pub(super) fn next(&mut self, sessions: &Sessions, record: &'a Unnumbered) -> Option<u64> {
        let (id, phase) = record.session()?;
        let here = self.last.iter_mut().find(|(session, _)| *session == id);
        let last = here.as_ref().map_or_else(|| sessions.get(id).copied(), |(_, last)| *last);
        let (number, left) = match (phase, last) {
            (Phase::Begins, None) => (1, Some(1)),
            (Phase::Begins | Phase::GoesOn, Some(last)) => (last + 1, Some(last + 1)),
            (Phase::GoesOn, None) => return None,
            (Phase::Ends, last) => (last.unwrap_or_default() + 1, None),
        };
        match here {
            Some(here) => here.1 = left,
            None => self.last.push((id, left)),
        }
        Some(number)
    }

    pub(super) fn commit(self, sessions: &mut Sessions) {
        for (id, last) in self.last {
            match (sessions.get_mut(id), last) {
                (Some(known), Some(last)) => *known = last,
                (None, Some(last)) => drop(sessions.insert(id.clone(), last)),
                (_, None) => drop(sessions.remove(id)),
            }
        }
    }
}
