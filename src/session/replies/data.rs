//! Data in both directions: rows and their limits, and COPY.

use std::sync::atomic::Ordering;

use super::exports;
use super::owed::{CopyIn, Expected, Step};
use super::said::row_limit_reached;
use super::{Happened, Pass, Replies, Violation};
use crate::audit::EndedBy;
use crate::session::names::Names;
use crate::session::records::Outcome;
use crate::wire::Header;

impl Replies {
    pub(super) fn row(&mut self, header: Header, happened: &mut Happened) -> Result<Pass, Violation> {
        let muted = self.muted;
        let Some(running) = self.current() else { return Err(Violation::Unexpected(header.tag)) };
        let earlier = running.portal.as_ref().map_or(0, |rows| rows.load(Ordering::Relaxed));
        if let Some(limit) = running.guards.row_limit
            && running.ending.is_none()
            && earlier + running.rows >= limit
        {
            running.ending = Some((EndedBy::RowLimit, row_limit_reached(limit)));
            happened.cancel = true;
        }
        if running.ending.is_some() {
            running.cut = true;
            return Ok(Pass::Drop);
        }
        if !muted && let Some(stopped) = exports::count(running, header, happened) {
            return Ok(stopped);
        }
        running.rows += 1;
        running.bytes += header.total() as u64;
        Ok(if muted { Pass::Drop } else { Pass::Forward })
    }

    /// The upstream reads what was sent behind the COPY as its data.
    pub(super) fn copy_begins(&mut self, names: &mut Names, happened: &mut Happened) {
        let is_query = self.queue.front().is_some_and(|expected| expected.step == Step::Query);
        let mut held_sync = false;
        while let Some(step) = self.queue.get(1).map(|expected| expected.step) {
            let next = match step {
                // Ignored within COPY, and never answered.
                Step::Sync => {
                    held_sync = self.muted;
                    self.queue.remove(1);
                    continue;
                }
                Step::CopyEnd => self.queue.remove(1),
                // It makes the COPY fail, and is lost with it; in the extended protocol so is all up to the next Sync.
                Step::Query | Step::Parse | Step::Bind | Step::Describe | Step::Close | Step::Execute if is_query => {
                    self.queue.remove(1)
                }
                Step::Query | Step::Parse | Step::Bind | Step::Describe | Step::Close | Step::Execute => None,
            };
            if let Some(lost) = next {
                skip(lost, names, happened);
            }
            self.copy_in = CopyIn::No;
            return;
        }
        self.copy_in = CopyIn::Open { held_sync };
        happened.fail_copy = self.muted;
    }
}

/// A message that the upstream reads and does nothing for.
fn skip(lost: Expected, names: &mut Names, happened: &mut Happened) {
    lost.changes.iter().for_each(|change| names.failed(change));
    for running in lost.statements {
        running.changes.iter().for_each(|change| names.failed(change));
        happened.ended.push((running, Outcome { sqlstate: None, command_tag: None, ended_by: EndedBy::Skipped }));
    }
}
