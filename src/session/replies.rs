//! What the upstream still owes an answer to, in order, and its answers matched to it. Only headers are read, but for the
//! few types of message that change state; bodies go on as they came.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::{Buf as _, Bytes, BytesMut};

use super::names::{Change, NameChange, Names};
use super::records::Outcome;
use crate::access::GrantId;
use crate::audit::EndedBy;
use crate::wire::backend::{self, ErrorFields, Tag, TransactionStatus};
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::frame::{self, HEADER_LENGTH};
use crate::wire::{Header, ProtocolError, sqlstate};

/// Shorter messages go to the client whole, so that one of ours can follow at any time; longer ones go in pieces.
const WHOLE: usize = 32 * 1024;

/// One statement that runs, or waits to.
#[derive(Debug)]
pub struct Running {
    /// The `seq` of its first record.
    pub seq: u64,
    pub grant: Option<GrantId>,
    pub row_limit: Option<u64>,
    pub rows: u64,
    pub bytes: u64,
    /// Rows that the same portal gave before.
    pub portal: Option<Arc<AtomicU64>>,
    pub text: Arc<str>,
    pub started: Instant,
    pub changes: Vec<NameChange>,
    pub effect: Effect,
    /// Why pgward itself is ending it: what the client is told in place of the upstream's error.
    pub ending: Option<(EndedBy, ClientVisible)>,
    /// Whether rows were kept from the client, so that success can no longer be said.
    pub cut: bool,
}

/// What a statement changes besides data, once it has succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// The catalogs are not what they were.
    Catalogs,
    /// `SET pgward.reason`; `None` is RESET.
    Reason(Option<String>),
    /// `SET application_name`.
    ApplicationName(String),
}

/// What one message asked of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Query,
    Parse,
    Bind,
    Describe,
    Close,
    Execute,
    Sync,
    /// A CopyDone or CopyFail that was sent before the COPY was known to have begun.
    CopyEnd,
}

/// One answer that is owed.
#[derive(Debug)]
pub struct Expected {
    pub step: Step,
    pub statements: VecDeque<Running>,
    /// Changes of names by the step itself.
    pub changes: Vec<NameChange>,
    /// What the client is told in place of the error that the upstream was made to give.
    pub denied: Option<ClientVisible>,
    /// Orders the step among changes of names.
    pub change: Change,
    failed: bool,
}

impl Expected {
    #[must_use]
    pub fn new(step: Step, change: Change) -> Self {
        Self { step, statements: VecDeque::new(), changes: Vec::new(), denied: None, change, failed: false }
    }

    #[must_use]
    pub fn with_changes(mut self, changes: Vec<NameChange>) -> Self {
        self.changes = changes;
        self
    }
}

/// COPY FROM STDIN, as far as the upstream has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyIn {
    No,
    /// It waits for data; whether a Sync of the client's was held back meanwhile.
    Open {
        held_sync: bool,
    },
}

/// What came of handling upstream's messages.
#[derive(Debug, Default)]
pub struct Happened {
    pub ended: Vec<(Running, Outcome)>,
    /// The running statement is to be cancelled.
    pub cancel: bool,
    /// A COPY waits for data of a client that has been told of an error already.
    pub fail_copy: bool,
    /// A Sync that was held back during COPY is to be sent now.
    pub send_sync: bool,
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
}

/// Which statements have outlived their grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overdue {
    None,
    /// One of the segment that runs: to be cancelled.
    Running,
    /// One that was sent behind that, and would run whenever its turn comes.
    Behind(GrantId),
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
}

enum Pass {
    Forward,
    Drop,
    Replace(Bytes),
}

impl Replies {
    #[must_use]
    pub fn new(max_message: usize) -> Self {
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
        }
    }

    pub fn push(&mut self, expected: Expected) {
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

    /// Whether nothing runs and no transaction is open.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.status == TransactionStatus::Idle
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

    /// The client sent a Sync that COPY makes the upstream ignore.
    pub fn hold_sync(&mut self) {
        if let CopyIn::Open { held_sync } = &mut self.copy_in {
            *held_sync = true;
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

    /// Has the statements end whose grants are over. What is in the segment that runs fails as a whole with its
    /// statement; what was sent behind it cannot be taken back.
    pub fn end_where(&mut self, over: impl Fn(&GrantId) -> Option<(EndedBy, ClientVisible)>) -> Overdue {
        let (mut found, mut is_behind) = (None, false);
        for expected in &mut self.queue {
            for running in expected.statements.iter_mut().filter(|running| running.ending.is_none()) {
                let Some(grant) = &running.grant else { continue };
                let Some(ending) = over(grant) else { continue };
                if is_behind {
                    return Overdue::Behind(grant.clone());
                }
                running.ending = Some(ending.clone());
                found = found.or(Some(ending));
            }
            is_behind |= matches!(expected.step, Step::Query | Step::Sync);
        }
        let Some(ending) = found else { return Overdue::None };
        if let Some(current) = self.current() {
            current.ending.get_or_insert(ending);
        }
        Overdue::Running
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
            }
            if self.left > 0 || happened.fatal {
                break;
            }
        }
        happened.out.push(input.split_to(run).freeze());
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
            Tag::Notice | Tag::Notification => return Ok(Pass::Forward),
            Tag::ParameterStatus => return guard(body).map(|()| Pass::Forward),
            Tag::ParseComplete => self.step_done(Step::Parse, header, names, happened)?,
            Tag::BindComplete => self.step_done(Step::Bind, header, names, happened)?,
            Tag::CloseComplete => self.step_done(Step::Close, header, names, happened)?,
            Tag::RowDescription | Tag::NoData if self.front_is(Step::Describe) => {
                self.step_done(Step::Describe, header, names, happened)?;
            }
            Tag::RowDescription if self.front_is(Step::Query) => {}
            Tag::ParameterDescription if self.front_is(Step::Describe) => {}
            Tag::RowDescription | Tag::NoData | Tag::ParameterDescription => return unexpected,
            Tag::DataRow | Tag::CopyData => return self.row(header, happened),
            Tag::CopyOut if self.current().is_some() => {}
            Tag::CopyIn if self.current().is_some() => self.copy_begins(names, happened),
            Tag::CopyDone if self.current().is_some() => {}
            Tag::CopyOut | Tag::CopyIn | Tag::CopyDone => return unexpected,
            Tag::CommandComplete => return self.complete(Some(backend::command_tag(body)?), header, names, happened),
            Tag::PortalSuspended if self.front_is(Step::Execute) => {
                return self.complete(None, header, names, happened);
            }
            Tag::EmptyQuery => self.empty_query(header, names)?,
            Tag::Error => return Ok(self.error(&backend::error_fields(body)?, names, happened)),
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

    /// CopyEnd marks in front have been answered by silence.
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

    fn row(&mut self, header: Header, happened: &mut Happened) -> Result<Pass, Violation> {
        let muted = self.muted;
        let Some(running) = self.current() else { return Err(Violation::Unexpected(header.tag)) };
        let earlier = running.portal.as_ref().map_or(0, |rows| rows.load(Ordering::Relaxed));
        if let Some(limit) = running.row_limit
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
        running.rows += 1;
        running.bytes += header.total() as u64;
        Ok(if muted { Pass::Drop } else { Pass::Forward })
    }

    /// The upstream reads what was sent behind the COPY as its data.
    fn copy_begins(&mut self, names: &mut Names, happened: &mut Happened) {
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

    fn complete(
        &mut self,
        tag: Option<String>,
        header: Header,
        names: &mut Names,
        happened: &mut Happened,
    ) -> Result<Pass, Violation> {
        self.drop_marks();
        let unexpected = Violation::Unexpected(header.tag);
        let Some(front) = self.queue.front_mut() else { return Err(unexpected) };
        // More results than statements were judged: two readers read the text in two ways.
        let Some(mut running) = front.statements.pop_front() else { return Err(unexpected) };
        let is_query = match front.step {
            Step::Query => true,
            Step::Execute => false,
            Step::Parse | Step::Bind | Step::Describe | Step::Close | Step::Sync | Step::CopyEnd => {
                return Err(unexpected);
            }
        };
        if !is_query {
            self.queue.pop_front();
        }
        self.copy_in = CopyIn::No;
        if let Some(portal) = &running.portal {
            portal.fetch_add(running.rows, Ordering::Relaxed);
        }
        if tag.is_some() {
            running.changes.iter().for_each(|change| names.succeeded(change));
        }
        if let Some((ended_by, message)) = running.ending.take().filter(|_| running.cut) {
            // It was done before the cancel request came: rows are missing, so this must not look like success.
            let bytes = message.to_bytes();
            let outcome = Outcome { sqlstate: Some(message.sqlstate.to_owned()), command_tag: tag, ended_by };
            happened.ended.push((running, outcome));
            let pass = if self.muted { Pass::Drop } else { Pass::Replace(bytes) };
            self.muted = true;
            return Ok(pass);
        }
        if running.rows == 0 {
            running.rows = tag.as_deref().and_then(rows_of).unwrap_or(0);
        }
        happened.ended.push((running, Outcome { sqlstate: None, command_tag: tag, ended_by: EndedBy::Completed }));
        Ok(self.passed())
    }

    fn empty_query(&mut self, header: Header, names: &mut Names) -> Result<(), Violation> {
        self.drop_marks();
        let Some(front) = self.queue.front() else { return Err(Violation::Unexpected(header.tag)) };
        match front.step {
            Step::Query => Ok(()),
            // A statement was judged where the upstream saw none: two readers read the text in two ways.
            Step::Execute if !front.statements.is_empty() => Err(Violation::Unexpected(header.tag)),
            Step::Execute => {
                if let Some(expected) = self.queue.pop_front() {
                    expected.changes.iter().for_each(|change| names.succeeded(change));
                }
                Ok(())
            }
            Step::Parse | Step::Bind | Step::Describe | Step::Close | Step::Sync | Step::CopyEnd => {
                Err(Violation::Unexpected(header.tag))
            }
        }
    }

    fn error(&mut self, fields: &ErrorFields, names: &mut Names, happened: &mut Happened) -> Pass {
        self.drop_marks();
        let copy_in = std::mem::replace(&mut self.copy_in, CopyIn::No);
        if fields.is_fatal() {
            happened.fatal = true;
            return Pass::Forward;
        }
        let Some(front) = self.queue.front_mut() else { return Pass::Forward };
        let is_query = front.step == Step::Query;
        if front.step == Step::Sync || (is_query && front.failed) {
            return self.passed();
        }
        front.failed = true;
        let mut said = front.denied.take();
        let mut first = true;
        front.changes.iter().for_each(|change| names.failed(change));
        for mut running in front.statements.drain(..) {
            running.changes.iter().for_each(|change| names.failed(change));
            let ending = running.ending.take();
            let ended_by = match &ending {
                _ if !first => EndedBy::Skipped,
                Some((ended_by, _)) => *ended_by,
                None => EndedBy::Error,
            };
            let state = ending.as_ref().map_or(fields.sqlstate.as_str(), |(_, message)| message.sqlstate).to_owned();
            said = said.or(ending.map(|(_, message)| message));
            let sqlstate = first.then_some(state);
            happened.ended.push((running, Outcome { sqlstate, command_tag: None, ended_by }));
            first = false;
        }
        if !is_query {
            self.queue.pop_front();
            self.skip_to_sync(fields, first, names, happened);
            happened.send_sync = copy_in == CopyIn::Open { held_sync: true };
        }
        match said {
            _ if self.muted => Pass::Drop,
            Some(message) => Pass::Replace(message.to_bytes()),
            None => Pass::Forward,
        }
    }

    /// The upstream reads on to the next Sync without doing anything.
    fn skip_to_sync(&mut self, fields: &ErrorFields, mut blames: bool, names: &mut Names, happened: &mut Happened) {
        while let Some(expected) = self.pop_if(|step| step != Step::Sync) {
            expected.changes.iter().for_each(|change| names.failed(change));
            for running in expected.statements {
                running.changes.iter().for_each(|change| names.failed(change));
                // The error of a Parse or Bind is that of the statement that it was for.
                let blamed = blames && expected.step == Step::Execute;
                blames = blames && !blamed;
                let ended_by = if blamed { EndedBy::Error } else { EndedBy::Skipped };
                let sqlstate = blamed.then(|| fields.sqlstate.clone());
                happened.ended.push((running, Outcome { sqlstate, command_tag: None, ended_by }));
            }
        }
        self.skipping = self.queue.is_empty();
    }

    fn ready(
        &mut self,
        status: TransactionStatus,
        header: Header,
        names: &mut Names,
        happened: &mut Happened,
    ) -> Result<Pass, Violation> {
        self.drop_marks();
        let Some(expected) = self.pop_if(|step| matches!(step, Step::Query | Step::Sync)) else {
            return Err(Violation::Unexpected(header.tag));
        };
        // A stand-in that gave no error is one that was run.
        if expected.denied.is_some() {
            return Err(Violation::Unexpected(header.tag));
        }
        for running in expected.statements {
            happened.ended.push((running, Outcome { sqlstate: None, command_tag: None, ended_by: EndedBy::Skipped }));
        }
        if status == TransactionStatus::Idle {
            names.transaction_over(expected.change);
        }
        self.status = status;
        self.muted = false;
        self.copy_in = CopyIn::No;
        self.drop_marks();
        if self.notices.is_empty() {
            return Ok(Pass::Forward);
        }
        let mut bytes = BytesMut::new();
        for notice in self.notices.drain(..) {
            bytes.extend_from_slice(&notice);
        }
        bytes.extend_from_slice(&[header.tag, 0, 0, 0, 5, status_byte(status)]);
        Ok(Pass::Replace(bytes.freeze()))
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

fn status_byte(status: TransactionStatus) -> u8 {
    match status {
        TransactionStatus::Idle => b'I',
        TransactionStatus::InBlock => b'T',
        TransactionStatus::Failed => b'E',
    }
}

/// The types of message that change what is expected next by what they say, not by their type alone.
fn needs_body(tag: Tag) -> bool {
    match tag {
        Tag::CommandComplete | Tag::Error | Tag::ParameterStatus | Tag::ReadyForQuery => true,
        Tag::Authentication
        | Tag::BackendKeyData
        | Tag::BindComplete
        | Tag::CloseComplete
        | Tag::CopyBoth
        | Tag::CopyData
        | Tag::CopyDone
        | Tag::CopyIn
        | Tag::CopyOut
        | Tag::DataRow
        | Tag::EmptyQuery
        | Tag::FunctionCallResponse
        | Tag::NegotiateProtocolVersion
        | Tag::NoData
        | Tag::Notice
        | Tag::Notification
        | Tag::ParameterDescription
        | Tag::ParseComplete
        | Tag::PortalSuspended
        | Tag::RowDescription => false,
    }
}

/// Settings that change what texts mean, or who runs them: pinned, so a change is a breach.
fn guard(body: &[u8]) -> Result<(), Violation> {
    let (name, value) = backend::parameter_status(body)?;
    let holds = match name.as_str() {
        "client_encoding" => value == "UTF8",
        "standard_conforming_strings" => value == "on",
        "session_authorization" | "is_superuser" | "server_encoding" => false,
        _ => true,
    };
    if holds { Ok(()) } else { Err(Violation::Guard(name)) }
}

fn row_limit_reached(limit: u64) -> ClientVisible {
    ClientVisible::new(Severity::Error, sqlstate::PROGRAM_LIMIT_EXCEEDED, format!("row limit of {limit} reached"))
        .detail("The grant that allows this statement limits the rows that one statement returns.")
}

/// The count at the end of a command tag: `INSERT 0 5`, `COPY 20000`.
fn rows_of(tag: &str) -> Option<u64> {
    tag.rsplit(' ').next().and_then(|count| count.parse().ok())
}

#[cfg(test)]
#[path = "replies/tests.rs"]
mod tests;
