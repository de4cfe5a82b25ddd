//! One session's task: both directions in one loop, each with its own backpressure, no hop between socket and socket.

mod closing;
mod copying;
mod rails;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use copying::Owed;
pub use rails::Mode;

use super::contained::contained;
use super::ends::{self, End, Ends, Warnings};
use super::gate::{Gate, MAX_BATCH, Outgoing, Passed};
use super::handshake::ClientStream;
use super::judge::Database;
use super::metrics::Metrics;
use super::pass::ToUpstream;
use super::peer::{HIGH_WATER, Peer};
use super::records::Outcome;
use super::registry::Entry;
use super::replies::{CopyIn, Effect, Happened, Overdue, Replies, Running, Step, Violation};
use super::roles::SessionRole;
use super::transport::Transport;
use crate::access::{Clock, GrantId};
use crate::audit::{EndedBy, Event};
use crate::store::GrantSet;
use crate::wire::frontend::Tag;
use crate::wire::{Frame, ProtocolError, frame, sqlstate};

/// Answers that may be owed; beyond it the client is not read.
const MAX_OWED: usize = 4_096;
/// Between looks at what time has changed.
const LOOK: Duration = Duration::from_secs(1);
/// For the client to take its last message.
const LAST_WORD: Duration = Duration::from_millis(300);
/// For the upstream to take a cancel request.
const CANCEL: Duration = Duration::from_millis(500);
/// For the upstream to leave what it was doing, once asked.
const LEAVE: Duration = Duration::from_millis(150);

/// How a session came to its end.
#[derive(Debug)]
pub enum Finish {
    ClientLeft,
    /// Whether the client has been told by the upstream itself.
    UpstreamLeft {
        told: bool,
    },
    ClientViolation(ProtocolError),
    UpstreamViolation(Violation),
    Ended(End),
}

/// What a session's loop works on.
#[derive(Debug)]
pub struct Relay {
    pub client: Peer<ClientStream>,
    pub upstream: Peer<Transport>,
    pub gate: Gate,
    pub replies: Replies,
    pub database: Arc<Database>,
    pub entry: Arc<Entry>,
    pub grants: watch::Receiver<Arc<GrantSet>>,
    pub warnings: Warnings,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    pub tasks: TaskTracker,
    pub stopping: CancellationToken,
    pub max_message: usize,
    /// Bytes of a CopyData that are still to come from the client.
    pub copy_left: usize,
    /// Whether they go on: one message goes whole or not at all.
    pub copy_passes: bool,
    /// Owed to the upstream once no CopyData is half sent: what is put inside of one shifts all that follows it.
    pub owed: Owed,
    /// Statements that have ended and are still to be recorded.
    pub finished: VecDeque<(Running, Outcome)>,
    /// A cancel request is under way: nothing follows until it has hit what it was meant for.
    pub cancelling: Option<oneshot::Receiver<()>>,
    /// The client has said goodbye; what it asked before is still answered.
    pub leaving: bool,
    pub mode: Mode,
    /// The role that the session is logged in as, where it has one of its own.
    pub role: Option<Arc<SessionRole>>,
}

impl Relay {
    /// Runs the session to its end, and records that.
    pub async fn run(mut self: Box<Self>, mut ends: Ends) {
        // Both are cancel safe as used here: whichever is dropped, the session is over.
        let finish = tokio::select! {
            biased;
            end = ends.wait() => Finish::Ended(end),
            finish = contained(self.relay()) => finish.unwrap_or(Finish::Ended(End::Fault)),
        };
        if contained(self.close(finish)).await.is_err() {
            tracing::error!("a session's end was broken off");
        }
    }

    async fn relay(&mut self) -> Finish {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut grants = self.grants.clone();
        let stopping = self.stopping.clone();
        loop {
            if let Some(finish) = self.step().await {
                return finish;
            }
            let deadline = self.replies.deadline();
            if Self::is_time_up(deadline) {
                self.time_out();
            }
            // Cancel safe: I/O keeps its progress in the peers, the others hold nothing.
            tokio::select! {
                biased;
                turned = std::future::poll_fn(|cx| self.poll_turn(cx)) => {
                    if let Err(finish) = turned {
                        return finish;
                    }
                }
                Ok(()) = grants.changed() => {
                    grants.mark_unchanged();
                    if let Some(end) = self.look() {
                        return Finish::Ended(end);
                    }
                }
                _ = looks.tick() => {
                    if let Some(end) = self.look() {
                        return Finish::Ended(end);
                    }
                }
                () = rails::until(deadline) => {}
                () = stopping.cancelled(), if self.replies.is_quiet() => return Finish::Ended(End::Shutdown),
            }
        }
    }

    /// Handles everything that has been read.
    async fn step(&mut self) -> Option<Finish> {
        if self.takes_answers()
            && let Err(finish) = self.take_answers().await
        {
            return Some(finish);
        }
        if self.upstream.is_ended() {
            return Some(if self.leaving { Finish::ClientLeft } else { Finish::UpstreamLeft { told: false } });
        }
        if let Err(error) = self.take_messages().await {
            return Some(Finish::ClientViolation(error));
        }
        for notice in self.replies.due_notices() {
            self.client.push(notice);
        }
        self.client.shrink();
        self.upstream.shrink();
        None
    }

    /// One write and one read in each direction, as far as they are possible now. Ready once there is something to
    /// handle.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Finish>> {
        let was_stalled = !self.takes_answers() || self.is_upstream_stalled();
        if let Some(cancelling) = &mut self.cancelling
            && Pin::new(cancelling).poll(cx).is_ready()
        {
            self.cancelling = None;
        }
        if self.client.has_output() && matches!(self.client.poll_write(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Finish::ClientLeft));
        }
        if self.upstream.has_output() && matches!(self.upstream.poll_write(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Finish::UpstreamLeft { told: false }));
        }
        let mut ready = was_stalled && self.takes_answers() && !self.is_upstream_stalled();
        let holds_much = self.client.input.len() > HIGH_WATER && self.replies.holds();
        if !self.leaving && !holds_much && !self.is_upstream_stalled() {
            match self.client.poll_read(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Finish::ClientLeft)),
                Poll::Ready(Ok(_)) => ready = true,
                Poll::Pending => {}
            }
        }
        if self.takes_answers() && !self.upstream.is_ended() {
            match self.upstream.poll_read(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Finish::UpstreamLeft { told: false })),
                Poll::Ready(Ok(_)) => ready = true,
                Poll::Pending => {}
            }
        }
        if ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn is_upstream_stalled(&self) -> bool {
        self.upstream.is_full() || self.replies.len() > MAX_OWED || self.cancelling.is_some()
    }

    /// Whether what the upstream says is read. Of a statement that is being ended nothing more goes to the client, so a client
    /// that reads slowly does not hold it up: a server that cannot write hears no cancel request.
    fn takes_answers(&self) -> bool {
        !self.client.is_full() || (self.replies.is_between_messages() && self.replies.is_ending())
    }

    async fn take_answers(&mut self) -> Result<(), Finish> {
        while self.take_some_answers().await? {
            self.replies.top_up().await;
        }
        Ok(())
    }

    /// Passes the upstream's answers on and closes the records of what has ended. Whether a row waits for its turn to
    /// leave its region.
    async fn take_some_answers(&mut self) -> Result<bool, Finish> {
        if self.upstream.input.is_empty() {
            return Ok(false);
        }
        let mut happened = Happened::default();
        let handled = self.replies.handle(&mut self.upstream.input, &mut self.gate.names, &mut happened);
        let mut bytes = 0;
        for piece in happened.out.drain(..) {
            bytes += piece.len() as u64;
            self.client.push(piece);
        }
        self.metrics.bytes_to_clients.inc_by(bytes);
        self.finished.extend(happened.ended.drain(..));
        self.record_finished().await;
        if self.replies.is_idle() {
            self.entry.set_statement(None);
        }
        // What is over needs no cancel request, and the next statement none that comes late.
        if happened.cancel && happened.fail_block.is_none() && !self.replies.is_idle() {
            self.cancel_upstream();
        }
        self.owed.sync |= happened.send_sync;
        self.owed.copy_fail |= happened.fail_copy;
        self.mode.reset |= happened.settings_reset;
        self.owed.fail_step |= happened.fail_step;
        self.owed.fail_block = happened.fail_block.or(self.owed.fail_block.take());
        self.pay();
        handled.map_err(Finish::UpstreamViolation)?;
        if happened.fatal { Err(Finish::UpstreamLeft { told: true }) } else { Ok(happened.short) }
    }

    /// Records the ends of statements. Where the session ends meanwhile, the rest is recorded with its end.
    async fn record_finished(&mut self) {
        while let Some((running, outcome)) = self.finished.pop_front() {
            self.ended(running, outcome).await;
        }
    }

    /// Passes the client's messages through the gate, as far as they are whole and the upstream takes them.
    async fn take_messages(&mut self) -> Result<(), ProtocolError> {
        while !self.is_upstream_stalled() && !self.leaving {
            self.pay();
            if self.client.input.is_empty() || (!self.is_copying() && (self.keep_mode() || self.replies.holds())) {
                break;
            }
            let mut batch = Vec::new();
            // What was taken before something malformed was asked all the same.
            let more = self.collect(&mut batch);
            if !batch.is_empty() {
                self.brief_gate();
                let Passed { outgoing, error } = self.gate.pass(batch).await;
                outgoing.into_iter().for_each(|outgoing| self.send(outgoing));
                self.gate.recorder.sent();
                error.map_or(Ok(()), Err)?;
            }
            self.gate.record_noted().await;
            let more = more?;
            match more {
                More::Nothing => break,
                More::Messages => {}
                More::CopyData => self.pass_copy_data()?,
            }
        }
        Ok(())
    }

    /// Takes whole messages off the input, to be judged together.
    fn collect(&mut self, batch: &mut Vec<Frame>) -> Result<More, ProtocolError> {
        if self.copy_left > 0 {
            return Ok(if self.client.input.is_empty() { More::Nothing } else { More::CopyData });
        }
        while batch.len() < MAX_BATCH {
            let Some(header) = frame::header(&self.client.input)? else { return Ok(More::Nothing) };
            let tag = Tag::read(header.tag)?;
            if tag == Tag::CopyData {
                return Ok(More::CopyData);
            }
            let Some(frame) = frame::take(&mut self.client.input, self.max_message)? else { return Ok(More::Nothing) };
            if let CopyIn::Open { .. } = self.replies.copy_in() {
                // Judged messages may be waiting in the batch only where COPY was not open when they came.
                let copy = frame.clone();
                if let Err(error) = self.in_copy(tag, frame) {
                    self.gate.malformed(&copy, &error);
                    return Err(error);
                }
                continue;
            }
            if self.replies.is_skipping() && !matches!(tag, Tag::Sync | Tag::Terminate) {
                self.gate.skip(tag, &frame);
                continue;
            }
            if tag == Tag::Sync {
                self.replies.synced();
            }
            batch.push(frame);
            if self.mode.bounded && matches!(tag, Tag::Query | Tag::Sync) {
                // What follows may have to wait for this.
                return Ok(More::Messages);
            }
            if tag == Tag::Terminate {
                self.leaving = true;
                return Ok(More::Nothing);
            }
        }
        Ok(More::Messages)
    }

    fn send(&mut self, outgoing: Outgoing) {
        let Outgoing { message, expected } = outgoing;
        let bytes = message.into_bytes();
        self.metrics.bytes_to_upstreams.inc_by(bytes.len() as u64);
        self.upstream.push(bytes);
        let Some(expected) = expected else { return };
        let is_timed = |running: &Running| running.guards.statement_timeout.is_some();
        if expected.step == Step::Execute && expected.statements.iter().any(is_timed) {
            // Its end is to be known when it comes, not with the next Sync.
            self.upstream.push(ToUpstream::flush().into_bytes());
        }
        if expected.step == Step::CopyEnd && self.replies.is_idle() {
            return;
        }
        if let Some(running) = expected.statements.back() {
            self.entry.set_statement(Some(Arc::clone(&running.text)));
        }
        self.replies.push(expected);
    }

    /// Closes a statement's record, and does what it changed.
    async fn ended(&mut self, running: Running, outcome: Outcome) {
        let mut outcome = outcome;
        let is_cancelled = outcome.sqlstate.as_deref() == Some(sqlstate::QUERY_CANCELED);
        if is_cancelled && outcome.ended_by == EndedBy::Error && self.entry.take_cancel() {
            outcome.ended_by = EndedBy::ClientCancel;
        }
        let refused = outcome.sqlstate.as_deref() == Some(sqlstate::INSUFFICIENT_PRIVILEGE);
        if refused && outcome.ended_by == EndedBy::Error && self.role.is_some() {
            self.metrics.wall_three_refusals.inc();
        }
        let mut record = self.gate.recorder.entry(Event::StatementEnd);
        record.grant = running.grant;
        record.data_region = running.data_region;
        record.statement_seq = Some(running.seq);
        record.sqlstate = outcome.sqlstate;
        record.command_tag = outcome.command_tag;
        record.rows = Some(running.rows);
        record.bytes = Some(running.bytes);
        record.duration_us = u64::try_from(running.started.elapsed().as_micros()).ok();
        record.ended_by = Some(outcome.ended_by);
        self.gate.recorder.note(record).await;
        if outcome.ended_by == EndedBy::Completed {
            match running.effect {
                Effect::None | Effect::Reason(_) | Effect::Settings => {}
                Effect::Catalogs => self.database.catalogs.forget_check(),
                Effect::ApplicationName(name) => {
                    self.gate.recorder.set_application_name(super::parameters::printable(&name));
                }
            }
        }
    }

    /// Looks at what time and others have changed: statements whose own grant is over, warnings that are due.
    /// Answers why the session must end with them, if it must.
    fn look(&mut self) -> Option<End> {
        self.keep_mode();
        if self.is_stuck() {
            return Some(End::Stuck);
        }
        let set = Arc::clone(&self.grants.borrow());
        let now = self.clock.now();
        let live = ends::live(&set, now);
        self.entry.set_grants(live.iter().map(|grant| grant.id.clone()).collect());
        if let Some(notice) = self.warnings.due(&set, now) {
            self.replies.notice(notice.to_bytes());
        }
        let is_live = |grant: &GrantId| live.iter().any(|live| live.id == *grant);
        match self.replies.end_where(|grant| (!is_live(grant)).then(|| ends::statement_over(grant, &set))) {
            Overdue::None => None,
            Overdue::Running => {
                self.cancel_upstream();
                None
            }
            Overdue::Behind(grant) => Some(ends::session_over(&grant, &set)),
        }
    }

    fn cancel_upstream(&mut self) {
        let entry = Arc::clone(&self.entry);
        let (done, cancelling) = oneshot::channel();
        self.cancelling = Some(cancelling);
        self.tasks.spawn(async move {
            let _ = tokio::time::timeout(CANCEL, entry.target().cancel()).await;
            // The session may be over by now.
            let _ = done.send(());
        });
    }
}

/// What may follow in the client's input.
enum More {
    Nothing,
    Messages,
    CopyData,
}
