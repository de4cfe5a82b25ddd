//! Data in both directions: rows and their limits, and COPY.

use super::exports;
use super::owed::{CopyIn, Expected, Running, Step};
use super::said::{byte_limit_reached, row_limit_reached};
use super::{Happened, Pass, Replies, Violation};
use crate::audit::EndedBy;
use crate::session::names::Names;
use crate::session::records::Outcome;
use crate::sql::tree::CopyDirection;
use crate::wire::Header;
use crate::wire::encode::ClientVisible;
use crate::wire::frame::{self, HEADER_LENGTH};

impl Replies {
    /// Counts the rows at the front of `input` that go on whatever they hold, and answers how many bytes they are. Only their
    /// headers are looked at.
    pub(super) fn rows(&mut self, input: &[u8]) -> usize {
        if self.muted || !matches!(input.first(), Some(b'D' | b'd')) {
            return 0;
        }
        // Out of its turn, or of the wrong kind, it is looked at by itself.
        let fits = match input.first() {
            Some(b'd') => self.copies(CopyDirection::To),
            Some(_) | None => self.is_running(),
        };
        let Some(running) = self.current().filter(|_| fits) else { return 0 };
        if running.is_bounded() || running.binary_copy || running.ending.is_some() {
            return 0;
        }
        let (rows, bytes) = frame::rows(input);
        running.rows += rows;
        running.bytes += bytes as u64;
        running.returned += bytes as u64 - rows * HEADER_LENGTH as u64;
        bytes
    }

    /// Whether the upstream runs a statement now, for all that it has said.
    pub(super) fn is_running(&self) -> bool {
        self.queue.front().is_some_and(Expected::runs)
    }

    /// Rows that the statement which runs has returned by now, through all of its portal.
    pub fn rows_so_far(&self) -> u64 {
        let running = self.queue.front().filter(|front| front.runs()).and_then(|front| front.statements.front());
        running.map_or(0, |running| running.rows + running.portal.as_ref().map_or(0, |portal| portal.rows()))
    }

    /// Whether what it runs is a COPY with the client at that end.
    pub(super) fn copies(&self, direction: CopyDirection) -> bool {
        let front = self.queue.front().filter(|front| front.runs());
        front.and_then(|front| front.statements.front()).is_some_and(|running| running.copy == Some(direction))
    }

    /// A row, or a piece of what COPY returns: each is one message.
    pub(super) fn row(&mut self, header: Header, body: &[u8], happened: &mut Happened) -> Result<Pass, Violation> {
        let muted = self.muted;
        let Some(running) = self.current() else { return Err(Violation::Unexpected(header.tag)) };
        let is_row = !(running.binary_copy && body == COPY_TRAILER);
        if is_row && running.ending.is_none() {
            running.ending = limit_reached(running, header.body as u64).map(Box::new);
            happened.cancel |= running.ending.is_some();
        }
        if running.ending.is_some() {
            running.cut |= is_row;
            return Ok(Pass::Drop);
        }
        if is_row
            && !muted
            && let Some(stopped) = exports::count(running, header, happened)
        {
            return Ok(stopped);
        }
        running.rows += u64::from(is_row);
        running.bytes += header.total() as u64;
        running.returned += header.body as u64;
        Ok(if muted { Pass::Drop } else { Pass::Forward })
    }

    /// CopyOutResponse begins with the format of the whole: 0 is text, 1 is binary.
    pub(super) fn copy_out_begins(&mut self, body: &[u8]) {
        if let Some(running) = self.current() {
            running.binary_copy = body.first() == Some(&1);
        }
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
                    self.mid_segment |= !is_query;
                    continue;
                }
                Step::CopyEnd => self.queue.remove(1),
                // It makes the COPY fail, and is lost with it; in the extended protocol so is all up to the next Sync.
                Step::Query
                | Step::Parse
                | Step::Bind
                | Step::Describe
                | Step::Probe
                | Step::Around
                | Step::Close
                | Step::Execute
                    if is_query =>
                {
                    self.queue.remove(1)
                }
                Step::Query
                | Step::Parse
                | Step::Bind
                | Step::Describe
                | Step::Probe
                | Step::Around
                | Step::Close
                | Step::Execute
                | Step::Own => None,
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

/// The end of binary COPY data.
const COPY_TRAILER: &[u8] = &[0xff, 0xff];

/// Whether one more row of this size is one too many.
fn limit_reached(running: &Running, size: u64) -> Option<(EndedBy, ClientVisible)> {
    let (rows, bytes) = running.portal.as_ref().map_or((0, 0), |portal| (portal.rows(), portal.bytes()));
    if let Some(limit) = running.guards.row_limit
        && rows.saturating_add(running.rows) >= limit
    {
        return Some((EndedBy::RowLimit, row_limit_reached(limit)));
    }
    let limit = running.guards.byte_limit?;
    let after = bytes.saturating_add(running.returned).saturating_add(size);
    (after > limit).then(|| (EndedBy::ByteLimit, byte_limit_reached(limit)))
}

/// A message that the upstream reads and does nothing for.
fn skip(lost: Expected, names: &mut Names, happened: &mut Happened) {
    lost.changes.iter().for_each(|change| names.failed(change));
    for running in lost.statements {
        running.changes.iter().for_each(|change| names.failed(change));
        happened.ended.push((running, Outcome { sqlstate: None, command_tag: None, ended_by: EndedBy::Skipped }));
    }
}
