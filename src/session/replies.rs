//! What the upstream still owes an answer to, in order, and its answers matched to it. Only headers are read, but for the
//! few types of message that change state; bodies go on as they came.

mod asked;
mod data;
mod endings;
mod exports;
mod owed;
mod rails;
mod said;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};

pub use asked::{Asked, Unanswered};
pub use endings::Overdue;
pub use owed::{CopyIn, Effect, Expected, Running, Step};
pub use said::check_login;
use said::{guard, needs_body};

use super::names::Names;
use super::reason::Reasons;
use super::records::Outcome;
use crate::audit::EndedBy;
use crate::catalog::LoadError;
use crate::sql::tree::CopyDirection;
use crate::wire::backend::{self, Tag, TransactionStatus};
use crate::wire::encode::ClientVisible;
use crate::wire::frame::{self, HEADER_LENGTH};
use crate::wire::{Header, ProtocolError};

/// Shorter messages go to the client whole, so that one of ours can follow at any time; longer ones go in pieces.
const WHOLE: usize = 32 * 1024;

/// What came of handling upstream's messages.
#[derive(Debug, Default)]
pub struct Happened {
    pub ended: Vec<(Running, Outcome)>,
    /// The running statement is to be cancelled.
    pub cancel: bool,
    /// More has to be reserved before the next row may leave: it is still in the input.
    pub short: bool,
    /// A COPY waits for data of a client that has been told of an error already.
    pub fail_copy: bool,
    /// A Sync that was held back during COPY is to be sent now.
    pub send_sync: bool,
    /// The upstream must fail within the segment that the client is still sending.
    pub fail_step: bool,
    /// The transaction must fail before anything else is sent, and the client be told this.
    pub fail_block: Option<ClientVisible>,
    /// Every setting is as the session was opened.
    pub settings_reset: bool,
    /// The upstream gave up the connection.
    pub fatal: bool,
    /// Bytes that go to the client.
    pub out: Vec<Bytes>,
}

/// The upstream did something that no server that is asked what we asked does: the session ends.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("an answer (0x{0:02x}) to nothing that was asked")]
    Unexpected(u8),
    #[error("the server changed {0}")]
    Guard(String),
    #[error("in answer to pgward's own questions, {0}")]
    Catalogs(LoadError),
}

/// The answers that are owed, oldest first.
#[derive(Debug)]
pub struct Replies {
    queue: VecDeque<Expected>,
    copy_in: CopyIn,
    skipping: bool,
    muted: bool,
    status: TransactionStatus,
    /// Bytes of a long message that are still to come, and whether they go to the client.
    left: usize,
    left_passes: bool,
    max_message: usize,
    /// Sent before the next ReadyForQuery, or at once where nothing runs.
    notices: VecDeque<Bytes>,
    /// The last message that was sent needs a Sync behind it.
    mid_segment: bool,
    /// An error has come since the last ReadyForQuery.
    errored: bool,
    /// What the client is to be told with the next ReadyForQuery, when it is known what became of its statement.
    told: Option<ClientVisible>,
    /// Whether something was sent, since last nothing was owed, whose rows, bytes or time are bounded.
    bounded: bool,
    /// Whether some statement of the session was ever bounded in time.
    timed: bool,
    /// Every transaction of the session is READ ONLY.
    pub read_only: bool,
    /// The one that the session is pinned to, in the spellings that mean the same.
    search_paths: Arc<[String]>,
    /// What the session has said why.
    pub reasons: Reasons,
    /// What pgward asks of the catalogs within the session's transaction.
    asking: Option<Box<asked::Asking>>,
    asked: Option<Asked>,
}

enum Pass {
    Forward,
    Drop,
    Replace(Bytes),
    /// It stays where it is, to be handled again.
    Wait,
}

impl Replies {
    #[must_use]
    pub fn new(max_message: usize, read_only: bool, search_paths: Arc<[String]>) -> Self {
        Self {
            queue: VecDeque::new(),
            copy_in: CopyIn::No,
            skipping: false,
            muted: false,
            status: TransactionStatus::Idle,
            left: 0,
            left_passes: true,
            max_message,
            notices: VecDeque::new(),
            mid_segment: false,
            errored: false,
            told: None,
            bounded: false,
            timed: false,
            read_only,
            search_paths,
            reasons: Reasons::default(),
            asking: None,
            asked: None,
        }
    }

    pub fn push(&mut self, expected: Expected) {
        self.note_sent(&expected);
        self.queue.push_back(expected);
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether nothing runs, no transaction is open and no Sync is missing.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.status == TransactionStatus::Idle && !self.mid_segment
    }

    /// What the last ReadyForQuery said.
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether everything that was sent is answered, and its segment ended.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.queue.is_empty() && !self.mid_segment
    }

    #[must_use]
    pub fn copy_in(&self) -> CopyIn {
        self.copy_in
    }

    /// Whether the upstream ignores messages until the next Sync.
    #[must_use]
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Whether a message to the client may stand here.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.left == 0 || !self.left_passes
    }

    /// The client sent a Sync that goes on.
    pub fn synced(&mut self) {
        self.skipping = false;
    }

    /// The client sent a Sync that COPY makes the upstream ignore. Behind data it is kept: if that was wrong, the upstream would
    /// have answered. In front of all data nothing can have been wrong yet.
    pub fn hold_sync(&mut self) {
        let has_data = self.current().is_some_and(|running| running.bytes > 0);
        if let CopyIn::Open { held_sync } = &mut self.copy_in {
            *held_sync |= has_data;
        }
    }

    /// The client ended its data.
    pub fn copy_ended(&mut self) {
        self.copy_in = CopyIn::No;
    }

    /// Data of the client's for the COPY that runs.
    pub fn count_copy_in(&mut self, bytes: usize) {
        if let Some(running) = self.current() {
            running.bytes += bytes as u64;
        }
    }

    /// The statement that the upstream works at.
    pub fn current(&mut self) -> Option<&mut Running> {
        self.queue.front_mut().and_then(|expected| expected.statements.front_mut())
    }

    /// Has the client told something before the next ReadyForQuery.
    pub fn notice(&mut self, notice: Bytes) {
        self.notices.push_back(notice);
    }

    /// Notices that may go at once.
    pub fn due_notices(&mut self) -> VecDeque<Bytes> {
        if self.queue.is_empty() && self.is_between_messages() {
            std::mem::take(&mut self.notices)
        } else {
            VecDeque::new()
        }
    }

    /// Everything that is owed and will never come.
    pub fn abandon(&mut self) -> Vec<Running> {
        self.queue.drain(..).flat_map(|expected| expected.statements).collect()
    }

    /// Handles what the upstream has sent, as far as it is there.
    ///
    /// # Errors
    /// [`Violation`] ends the session.
    pub fn handle(
        &mut self,
        input: &mut BytesMut,
        names: &mut Names,
        happened: &mut Happened,
    ) -> Result<(), Violation> {
        self.continue_long(input, happened);
        // The front of `input` that goes to the client as it is.
        let mut run = 0;
        loop {
            run += self.rows(input.get(run..).unwrap_or_default());
            let rest = input.get(run..).unwrap_or_default();
            let Some(header) = frame::header(rest)? else { break };
            let tag = Tag::read(header.tag)?;
            let is_whole = rest.len() >= header.total();
            let needs_body = needs_body(tag);
            if !is_whole && (needs_body || header.body <= WHOLE) {
                if header.body > self.max_message {
                    return Err(ProtocolError::TooLong(header.body, self.max_message).into());
                }
                break;
            }
            let body = rest.get(HEADER_LENGTH..header.total()).unwrap_or_default();
            let length = header.total().min(rest.len());
            let pass = self.handle_one(tag, header, body, names, happened)?;
            if matches!(pass, Pass::Wait) {
                happened.short = true;
                break;
            }
            self.left = header.total() - length;
            self.left_passes = matches!(pass, Pass::Forward);
            match pass {
                Pass::Forward => run += length,
                Pass::Drop => {
                    happened.out.push(input.split_to(run).freeze());
                    input.advance(length);
                    run = 0;
                }
                Pass::Replace(bytes) => {
                    happened.out.push(input.split_to(run).freeze());
                    input.advance(length);
                    happened.out.push(bytes);
                    run = 0;
                }
                Pass::Wait => {}
            }
            if self.left > 0 || happened.fatal {
                break;
            }
        }
        happened.out.push(input.split_to(run).freeze());
        self.drop_marks();
        Ok(())
    }

    fn continue_long(&mut self, input: &mut BytesMut, happened: &mut Happened) {
        let piece = input.split_to(self.left.min(input.len())).freeze();
        self.left -= piece.len();
        if self.left_passes {
            happened.out.push(piece);
        }
    }

    fn handle_one(
        &mut self,
        tag: Tag,
        header: Header,
        body: &[u8],
        names: &mut Names,
        happened: &mut Happened,
    ) -> Result<Pass, Violation> {
        let unexpected = Err(Violation::Unexpected(header.tag));
        match tag {
            // Said of what nobody but pgward has asked.
            Tag::Notice if self.front_is(Step::Own) => return Ok(Pass::Drop),
            Tag::Notice | Tag::Notification => return Ok(Pass::Forward),
            Tag::ParameterStatus => return guard(body, self.read_only, &self.search_paths).map(|()| Pass::Forward),
            tag if self.front_is(Step::Own) => return self.own(tag, header, body, happened),
            Tag::ParseComplete | Tag::CloseComplete if self.front_is(Step::Around) => {
                self.step_done(Step::Around, header, names, happened)?;
                return Ok(Pass::Drop);
            }
            Tag::ParseComplete => self.step_done(Step::Parse, header, names, happened)?,
            Tag::BindComplete => self.step_done(Step::Bind, header, names, happened)?,
            Tag::CloseComplete => self.step_done(Step::Close, header, names, happened)?,
            Tag::RowDescription | Tag::NoData if self.front_is(Step::Probe) => {
                self.step_done(Step::Probe, header, names, happened)?;
                return Ok(Pass::Drop);
            }
            Tag::RowDescription | Tag::NoData if self.front_is(Step::Describe) => {
                self.step_done(Step::Describe, header, names, happened)?;
            }
            Tag::RowDescription if self.front_is(Step::Query) => {}
            Tag::ParameterDescription if self.front_is(Step::Describe) => self.described(header, body),
            Tag::RowDescription | Tag::NoData | Tag::ParameterDescription => return unexpected,
            Tag::DataRow if self.is_running() => return self.row(header, body, happened),
            Tag::CopyData if self.copies(CopyDirection::To) => return self.row(header, body, happened),
            Tag::CopyOut if self.copies(CopyDirection::To) => self.copy_out_begins(body),
            Tag::CopyIn if self.copies(CopyDirection::From) => self.copy_begins(names, happened),
            Tag::CopyDone if self.copies(CopyDirection::To) => {}
            Tag::DataRow | Tag::CopyData | Tag::CopyOut | Tag::CopyIn | Tag::CopyDone => return unexpected,
            Tag::CommandComplete => return self.complete(Some(backend::command_tag(body)?), header, names, happened),
            Tag::PortalSuspended if self.front_is(Step::Execute) => {
                return self.complete(None, header, names, happened);
            }
            Tag::EmptyQuery => self.empty_query(header, names, happened)?,
            Tag::Error => {
                let fields = backend::error_fields(body)?;
                // Taken for the answer to what the client asks next, it would shift all that follows.
                if self.is_idle() && !fields.is_fatal() {
                    return unexpected;
                }
                return Ok(self.error(&fields, names, happened));
            }
            Tag::ReadyForQuery => return self.ready(backend::ready_for_query(body)?, header, names, happened),
            Tag::PortalSuspended
            | Tag::Authentication
            | Tag::BackendKeyData
            | Tag::CopyBoth
            | Tag::FunctionCallResponse
            | Tag::NegotiateProtocolVersion => return unexpected,
        }
        Ok(self.passed())
    }

    fn passed(&self) -> Pass {
        if self.muted { Pass::Drop } else { Pass::Forward }
    }

    /// The types of a statement's parameters, for whoever records values of them.
    fn described(&self, header: Header, body: &[u8]) {
        let asked = self.queue.front().and_then(|expected| expected.describes.as_ref());
        if let (Some(meaning), true) = (asked, body.len() == header.body)
            && let Ok(types) = backend::parameter_description(body)
        {
            meaning.analysis.describe(types);
        }
    }

    /// CopyEnd marks in front have been answered by silence: they wait for nothing, and so count for nothing that is owed.
    fn drop_marks(&mut self) {
        while self.queue.front().is_some_and(|expected| expected.step == Step::CopyEnd) {
            self.queue.pop_front();
        }
    }

    fn front_is(&mut self, step: Step) -> bool {
        self.drop_marks();
        self.queue.front().is_some_and(|expected| expected.step == step)
    }

    fn pop_if(&mut self, is_wanted: impl Fn(Step) -> bool) -> Option<Expected> {
        let is_next = self.queue.front().is_some_and(|expected| is_wanted(expected.step));
        if is_next { self.queue.pop_front() } else { None }
    }

    fn step_done(
        &mut self,
        step: Step,
        header: Header,
        names: &mut Names,
        happened: &mut Happened,
    ) -> Result<(), Violation> {
        // What stands in for a denied message cannot succeed.
        if !self.front_is(step) || self.queue.front().is_some_and(|expected| expected.denied.is_some()) {
            return Err(Violation::Unexpected(header.tag));
        }
        let Some(mut expected) = self.queue.pop_front() else { return Ok(()) };
        expected.changes.iter().for_each(|change| names.succeeded(change));
        for running in expected.statements.drain(..) {
            happened.ended.push((running, Outcome { sqlstate: None, command_tag: None, ended_by: EndedBy::Completed }));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "replies/tests.rs"]
mod tests;
