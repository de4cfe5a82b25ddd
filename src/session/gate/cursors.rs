//! A Describe of what fetches from a cursor. PostgreSQL takes the columns of a prepared FETCH from its cursor and does not look
//! whether there still is one: where there is none the backend crashes, and every session of the server with it. So each such
//! cursor is asked for first, in the same segment: where it is gone the server answers 34000, and skips the Describe.

use super::alone::Alone;
use super::{Batch, Gate, Message, Planned};
use crate::session::analysis::Meaning;
use crate::session::judge::{MAX_DEPTH, Reference, reference};
use crate::session::pass::ToUpstream;
use crate::session::replies::{Expected, Step};
use crate::sql::tree::Name;
use crate::wire::frontend::Target;

/// Cursors that are asked for in front of one Describe.
const MOST: usize = 16;
/// A cursor that there never is: asked for where there are too many to ask for.
const NONE: &str = "pgward_too_many_cursors";

/// Meanings of names that are followed for one Describe.
const MOST_FOLLOWED: usize = 256;

/// Cursors, those first that others are described by.
#[derive(Default)]
struct Found {
    cursors: Vec<Box<str>>,
    /// Those that are being followed, or were: a portal may fetch from itself.
    seen: Vec<Box<str>>,
    followed: usize,
}

impl Gate {
    /// Has the server look for the cursors that a Describe comes to.
    pub(super) fn probe_cursors(&mut self, alone: &Alone, batch: &mut Batch) {
        if self.doomed {
            return;
        }
        let mut found = Found::default();
        match alone.target {
            Target::Statement => self.prepared(&alone.name, MAX_DEPTH, &mut found),
            Target::Portal => self.portal(&alone.name, MAX_DEPTH, &mut found),
        }
        for cursor in found.cursors {
            let message = Message::Free(ToUpstream::describe_cursor(&cursor));
            let expected = Expected::new(Step::Probe, self.names.next_change());
            batch.planned.push(Planned::new(message, expected));
        }
    }

    /// All that a name may mean is followed: which of it holds is not known before the server has answered.
    fn prepared(&self, name: &str, depth: usize, found: &mut Found) {
        for meaning in self.names.statements(name) {
            self.follow(meaning, depth, found);
        }
    }

    fn portal(&self, name: &str, depth: usize, found: &mut Found) {
        for meaning in self.names.portals(name).flat_map(|portal| &portal.meanings) {
            self.follow(meaning, depth, found);
        }
    }

    fn follow(&self, meaning: &Meaning, depth: usize, found: &mut Found) {
        // MOVE gives no rows, so that PostgreSQL does not look at its cursor (`UtilityReturnsTuples`).
        let Some(statement) = meaning.statement().filter(|statement| statement.kind != "MOVE") else { return };
        let Some(reference) = reference(&statement.action) else { return };
        found.followed += 1;
        let Some(depth) = depth.checked_sub(1).filter(|_| found.followed <= MOST_FOLLOWED) else {
            return found.add(NONE);
        };
        match reference {
            Reference::Prepared(name) => self.prepared(name.as_str(), depth, found),
            Reference::Cursor(name) if found.seen.iter().any(|seen| **seen == *name.as_str()) => {}
            Reference::Cursor(name) => {
                found.seen.push(name.as_str().into());
                self.portal(name.as_str(), depth, found);
                found.add_cursor(name);
            }
        }
    }
}

impl Found {
    fn add_cursor(&mut self, name: &Name) {
        self.add(if self.cursors.len() < MOST { name.as_str() } else { NONE });
    }

    fn add(&mut self, name: &str) {
        if !self.cursors.iter().any(|known| **known == *name) {
            self.cursors.push(name.into());
        }
    }
}
