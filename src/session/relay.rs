//! One session's task: both directions in one loop, each with its own backpressure, no hop between socket and socket.

mod asking;
mod catalogs;
mod closing;
mod copying;
mod held;
mod rails;
mod unread;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use asking::Inquiries;
pub use copying::Owed;
pub use rails::Mode;
pub use unread::Unread;

use super::aside::Aside;
use super::bounds::Bound;
use super::contained::contained;
use super::ends::{self, End, Ends, Warnings};
use super::gate::{Gate, MAX_BATCH, Outgoing, Passed};
use super::handshake::ClientStream;
use super::judge::Database;
use super::metrics::Metrics;
use super::pass::ToUpstream;
use super::peer::{HIGH_WATER, Peer, ToClient};
use super::pulse::Found;
use super::records::Outcome;
use super::registry::Entry;
use super::replies::{CopyIn, Effect, Happened, Overdue, Replies, Running, Step, Violation};
use super::roles::SessionRole;
use super::transport::Transport;
use crate::access::{Clock, GrantId};
use crate::audit::EndedBy;
use crate::store::GrantSet;
use crate::wire::frontend::Tag;
use crate::wire::{Frame, ProtocolError, frame, sqlstate};

/// Between looks at what time has changed.
const LOOK: Duration = Duration::from_secs(1);
/// Who logs in while the process stops has so long to begin.
pub(super) const LATECOMERS: Duration = Duration::from_secs(2);
/// Bytes of a client's that are handled together.
const AT_ONCE: usize = 64 * 1024;
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

/// What a session's loop works on, over whatever stream its client speaks.
#[derive(Debug)]
pub struct Relay<C = Box<ClientStream>> {
    pub client: Peer<C>,
    pub upstream: Peer<Transport>,
    pub gate: Gate,
    pub replies: Replies,
    pub database: Arc<Database>,
    pub entry: Arc<Entry>,
    pub grants: watch::Receiver<Arc<GrantSet>>,
    /// Whether the clock was set forward.
    pub found: watch::Receiver<Found>,
    pub warnings: Warnings,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    pub tasks: TaskTracker,
    pub stopping: CancellationToken,
    pub max_message: usize,
    /// Answers that may be owed; beyond it the client is not read.
    pub max_pipelined: usize,
    /// Since when the client has taken nothing.
    pub unread: Unread,
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
    /// The process stops: the session ends once it is quiet.
    pub is_draining: bool,
    /// The client's side was closed; what came before is still handled.
    pub has_left: bool,
    /// The client has said goodbye; what it asked before is still answered.
    pub leaving: bool,
    pub mode: Mode,
    /// The role that the session is logged in as, where it has one of its own.
    pub role: Option<Arc<SessionRole>>,
    /// The version of the committed catalogs when those of the transaction were asked for.
    pub beside: u64,
    /// What is asked of the desk, while messages wait for it.
    pub inquiries: Inquiries,
}

impl<C: ToClient> Relay<C> {
    /// Runs the session to its end, and records that.
    pub async fn run(mut self: Box<Self>, mut ends: Ends) {
        let mut end = Aside::new(async move { ends.wait().await });
        // Both are cancel safe as used here: whichever is dropped, the session is over.
        let finish = tokio::select! {
            biased;
            end = &mut end => Finish::Ended(end),
            finish = contained(self.relay()) => finish.unwrap_or(Finish::Ended(End::Fault)),
        };
        if contained(self.close(finish)).await.is_err() {
            tracing::error!("a session's end was broken off");
        }
    }

    async fn relay(&mut self) -> Finish {
        // What changes from here on is told; what has changed before is looked at now.
        let (mut changes, mut is_ending) = (self.changes(false), false);
        if let Some(end) = self.look() {
            return Finish::Ended(end);
        }
        loop {
            if let Some(finish) = self.step().await {
                return finish;
            }
            if self.is_drained() {
                return Finish::Ended(End::Shutdown);
            }
            let deadline = self.replies.deadline();
            if Self::is_time_up(deadline) {
                self.time_out();
            }
            if self.replies.is_ending() != is_ending {
                is_ending = !is_ending;
                changes = self.changes(is_ending);
                // What was about to be told by the former one is not told by this.
                if let Some(end) = self.look() {
                    return Finish::Ended(end);
                }
            }
            // Cancel safe: I/O keeps its progress in the peers, the others hold nothing.
            tokio::select! {
                biased;
                turned = std::future::poll_fn(|cx| self.poll_turn(cx)) => {
                    if let Err(finish) = turned {
                        return finish;
                    }
                }
                () = &mut changes => {
                    self.is_draining = self.stopping.is_cancelled();
                    changes = self.changes(is_ending);
                    if let Some(end) = self.look() {
                        return Finish::Ended(end);
                    }
                }
                () = rails::until(deadline), if deadline.is_some() => {}
            }
        }
    }

    /// Returns when there is something to [`Self::look`] at: grants changed, or one of them begins or ends, or the clock was set,
    /// or a statement that is to end has had its time, or it is time to see whether the client reads, or the process stops.
    fn changes(&self, is_ending: bool) -> Aside<impl Future<Output = ()> + use<C>> {
        let (mut grants, stopping) = (self.grants.clone(), self.stopping.clone());
        let mut found = self.found.clone();
        grants.mark_unchanged();
        found.mark_unchanged();
        let is_draining = self.is_draining;
        let pause = if is_ending { LOOK } else { ends::next_turn(&grants.borrow(), self.clock.now()) };
        let pause = pause.min(self.unread.pause());
        let pause = if is_draining { pause.min(LATECOMERS) } else { pause };
        Aside::new(async move {
            tokio::select! {
                Ok(()) = grants.changed() => {}
                Ok(()) = found.changed() => {}
                () = stopping.cancelled(), if !is_draining => {}
                () = tokio::time::sleep(pause) => {}
            }
        })
    }

    /// Whether the process stops and the session has nothing more to end. One that has just begun may run what it came for.
    fn is_drained(&self) -> bool {
        self.is_draining
            && self.replies.is_quiet()
            && (self.entry.has_run() || self.entry.age(self.clock.now()) >= LATECOMERS)
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
        ready |= self.poll_inquiry(cx).is_ready();
        let holds = self.replies.holds() || self.waits_for_catalogs() || self.inquiries.waits();
        let holds_much = self.client.input.len() > HIGH_WATER && holds;
        if !self.leaving && !holds_much && !self.is_upstream_stalled() {
            ready |= self.poll_client(cx, ready)?;
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

    /// Reads from the client; bulk data as far as it is there, so that it goes on in few writes. Answers whether there is
    /// something to handle. What came before the client left is handled before that is noticed: `ready` says whether there is.
    fn poll_client(&mut self, cx: &mut Context<'_>, mut ready: bool) -> Result<bool, Finish> {
        while !self.has_left {
            match self.client.poll_read(cx) {
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.has_left = true;
                    break;
                }
                Poll::Ready(Ok(_)) => ready = true,
                Poll::Pending => break,
            }
            if !self.client.is_busy() || self.client.input.len() >= AT_ONCE {
                break;
            }
        }
        if self.has_left && !ready { Err(Finish::ClientLeft) } else { Ok(ready) }
    }

    fn is_upstream_stalled(&self) -> bool {
        self.upstream.is_full() || self.is_pipeline_full() || self.cancelling.is_some()
    }

    /// Whether as many answers are owed as may be. The data of a COPY is what its answer waits for.
    fn is_pipeline_full(&self) -> bool {
        self.replies.len() >= self.max_pipelined && !self.is_copying()
    }

    /// Whether what the upstream says is read. Of a statement that is being ended nothing more goes to the client, so a client
    /// that reads slowly does not hold it up: a server that cannot write hears no cancel request.
    fn takes_answers(&self) -> bool {
        !self.client.is_full() || (self.replies.is_between_messages() && self.replies.is_ending())
    }

    async fn take_answers(&mut self) -> Result<(), Finish> {
        while self.take_some_answers().await? {
            Box::pin(self.replies.top_up()).await;
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
        self.finish(std::mem::take(&mut happened.ended));
        match self.replies.is_idle() {
            true => self.entry.set_statement(None),
            false => self.entry.set_rows(self.replies.rows_so_far()),
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
        if self.gate.is_unsettled() {
            self.settle_catalogs();
        }
        if happened.fatal { Err(Finish::UpstreamLeft { told: true }) } else { Ok(happened.short) }
    }

    /// Notes ends of statements, and records them. Room for them is not kept: between statements a session holds none.
    fn finish(&mut self, ended: Vec<(Running, Outcome)>) {
        if self.finished.is_empty() {
            self.finished = ended.into();
        } else {
            self.finished.extend(ended);
        }
        self.record_finished();
    }

    /// Records the ends of statements.
    fn record_finished(&mut self) {
        if self.finished.is_empty() {
            return;
        }
        let now = self.clock.now();
        while let Some((running, outcome)) = self.finished.pop_front() {
            self.ended(running, outcome, now);
        }
        self.finished = VecDeque::new();
    }

    /// Passes the client's messages through the gate, as far as they are whole and the upstream takes them.
    async fn take_messages(&mut self) -> Result<(), ProtocolError> {
        while !self.is_upstream_stalled() && !self.leaving {
            self.pay();
            if self.client.input.is_empty() {
                break;
            }
            let now = self.clock.now();
            if self.inquiries.waits() {
                self.gate.record_noted().await;
                break;
            }
            if !self.is_copying() && (self.keep_mode(now) || self.replies.holds() || self.waits_for_catalogs()) {
                break;
            }
            let mut batch = Vec::new();
            // What was taken before something malformed was asked all the same.
            let more = self.collect(&mut batch);
            if !batch.is_empty() {
                self.brief_gate();
                let Passed { outgoing, error, rest } = self.gate.pass(batch, now).await;
                outgoing.into_iter().for_each(|outgoing| self.send(outgoing));
                if self.is_pipeline_full() {
                    // The answers are waited for before the client's own Sync or Flush is read.
                    self.upstream.push(ToUpstream::flush().into_bytes());
                }
                self.gate.recorder.sent();
                error.map_or(Ok(()), Err)?;
                if !rest.is_empty() {
                    self.gate.record_noted().await;
                    self.put_back(rest);
                    if let Some(ask) = self.gate.take_ask() {
                        self.ask(ask);
                        continue;
                    }
                    if Box::pin(self.ask_catalogs()).await {
                        continue;
                    }
                    break;
                }
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
        let room = self.max_pipelined.saturating_sub(self.replies.len()).clamp(1, MAX_BATCH);
        while batch.len() < room {
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
    fn ended(&mut self, running: Running, outcome: Outcome, now: Timestamp) {
        let mut outcome = outcome;
        let is_cancelled = outcome.sqlstate.as_deref() == Some(sqlstate::QUERY_CANCELED);
        if is_cancelled && outcome.ended_by == EndedBy::Error && self.entry.take_cancel() {
            outcome.ended_by = EndedBy::ClientCancel;
        }
        let refused = outcome.sqlstate.as_deref() == Some(sqlstate::INSUFFICIENT_PRIVILEGE);
        if refused && outcome.ended_by == EndedBy::Error && self.role.is_some() {
            self.metrics.wall_three_refusals.inc();
        }
        self.gate.recorder.end(&running, &outcome, now);
        if outcome.command_tag.is_some() {
            self.gate.happened(&running.effect);
        }
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
        self.keep_mode(self.clock.now());
        if self.is_stuck() {
            return Some(End::Stuck);
        }
        if self.unread.is_over(self.client.has_output(), self.client.taken(), Instant::now()) {
            self.metrics.count_bound(Bound::ClientWriteTimeout);
            return Some(End::Unread(self.unread.timeout()));
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
