//! What the desk is asked on behalf of a message: while nobody has answered, the message and all behind it wait where they are,
//! and everything else goes on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Relay;
use super::held::{self, Filing, Held, Waiting, Withdrawal};
use crate::access::{RequestState, spell};
use crate::audit::Event;
use crate::policy::Denial;
use crate::session::aside::Aside;
use crate::session::asking::{self, Ask, Asker, NotFiled, Reply, Told, Wish};
use crate::session::held::Places;
use crate::session::pass::ToUpstream;
use crate::session::peer::ToClient;
use crate::wire::backend::TransactionStatus;
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

type Working<T> = Aside<Pin<Box<dyn Future<Output = T> + Send>>>;

/// What a session asks, and where.
pub struct Inquiries {
    desk: asking::Desk,
    asker: Arc<Asker>,
    held: Arc<Places>,
    stage: Stage,
}

impl std::fmt::Debug for Inquiries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inquiries").field("asker", &self.asker).finish_non_exhaustive()
    }
}

#[derive(Default)]
enum Stage {
    #[default]
    Nothing,
    /// It waits for the answers to what was sent before.
    Due(Ask),
    Asking(Working<Reply>),
    /// A held statement's request is being filed.
    Filing(Working<Result<Held, Reply>>),
    /// It waits for its approvers. Withdrawn when it is dropped.
    Waiting(Working<Reply>, #[expect(dead_code, reason = "its end is what counts")] Withdrawal),
}

impl Inquiries {
    #[must_use]
    pub fn new(desk: asking::Desk, asker: Asker, held: Arc<Places>) -> Self {
        Self { desk, asker: Arc::new(asker), held, stage: Stage::Nothing }
    }

    /// Whether messages wait for an answer.
    #[must_use]
    pub fn waits(&self) -> bool {
        !matches!(self.stage, Stage::Nothing)
    }
}

impl<C: ToClient> Relay<C> {
    /// Asks what the gate wants to know, once everything in front of the message is answered: had that failed, the message would
    /// be skipped, or its transaction have failed with it.
    pub(super) fn ask(&mut self, ask: Ask) {
        if !self.replies.is_idle() {
            self.upstream.push(ToUpstream::flush().into_bytes());
        }
        self.inquiries.stage = Stage::Due(ask);
    }

    /// Begins to ask, where it can be. Answers whether that is over already.
    fn begin_asking(&mut self) -> Poll<()> {
        let is_idle = self.replies.is_idle();
        // Behind an error up to the Sync, and within a COPY, no message is what it seemed.
        if self.is_copying() || (is_idle && self.replies.is_skipping()) {
            self.inquiries.stage = Stage::Nothing;
            return Poll::Ready(());
        }
        if !is_idle {
            return Poll::Pending;
        }
        let Stage::Due(ask) = std::mem::take(&mut self.inquiries.stage) else { return Poll::Pending };
        match self.stage_of(ask) {
            Ok(stage) => {
                self.inquiries.stage = stage;
                Poll::Pending
            }
            Err(reply) => {
                self.gate.reply(reply);
                Poll::Ready(())
            }
        }
    }

    fn stage_of(&self, ask: Ask) -> Result<Stage, Reply> {
        let asker = Arc::clone(&self.inquiries.asker);
        let desk = self.inquiries.desk.clone().ok_or_else(|| refused_by_desk(asking::nobody()))?;
        let is_failed = self.replies.status() == TransactionStatus::Failed;
        Ok(match ask {
            Ask::File(_) | Ask::Requests if is_failed => return Err(failed_transaction()),
            Ask::Hold { denial, .. } if is_failed => return Err(Reply::Refused(denial, None)),
            Ask::File(wish) => Stage::Asking(working(async move {
                desk.file(&asker, wish).await.map_or_else(refused_by_desk, |told| Reply::Answer(asking::filed(&told)))
            })),
            Ask::Requests => Stage::Asking(working(async move {
                let all = desk.requests(&asker).await;
                all.map_or_else(refused_by_desk, |all| Reply::Answer(asking::listed(&all)))
            })),
            Ask::Hold { wish, wait, denial } => {
                let place = match self.inquiries.held.take(&asker.principal.name, &self.metrics) {
                    Ok(place) => place,
                    Err(full) => return Err(Reply::Refused(held::still(denial, &full.to_string()), None)),
                };
                let tasks = self.tasks.clone();
                self.entry.begin_hold();
                Stage::Filing(working(Filing { desk, asker, tasks, wish, wait, denial, place }.run()))
            }
        })
    }

    /// Goes on asking. Ready once a message that waited can be judged.
    pub(super) fn poll_inquiry(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.inquiries.stage, Stage::Due(_)) && self.begin_asking().is_ready() {
            return Poll::Ready(());
        }
        let reply = match &mut self.inquiries.stage {
            Stage::Nothing | Stage::Due(_) => return Poll::Pending,
            Stage::Asking(working) | Stage::Waiting(working, _) => match Pin::new(working).poll(cx) {
                Poll::Ready(reply) => reply,
                Poll::Pending => return Poll::Pending,
            },
            Stage::Filing(working) => match Pin::new(working).poll(cx) {
                Poll::Ready(Ok(held)) => {
                    self.wait_for_approval(held);
                    return Poll::Ready(());
                }
                Poll::Ready(Err(reply)) => {
                    // It is refused either way.
                    self.entry.end_hold();
                    reply
                }
                Poll::Pending => return Poll::Pending,
            },
        };
        self.inquiries.stage = Stage::Nothing;
        self.gate.reply(reply);
        Poll::Ready(())
    }

    /// Tells the client what it waits for, and waits.
    fn wait_for_approval(&mut self, held: Held) {
        let Held { told, wish, wait, denial, withdrawal } = held;
        let Some(desk) = self.inquiries.desk.clone() else { return };
        // What the scope's own rule approves at once is waited for by nobody.
        if told.state == RequestState::Pending {
            self.tell_held(&told, wish, wait, &denial);
        }
        let (entry, grants) = (Arc::clone(&self.entry), self.grants.clone());
        let asker = Arc::clone(&self.inquiries.asker);
        let waiting = Waiting { desk, asker, entry, grants, told, wait, denial };
        self.inquiries.stage = Stage::Waiting(working(waiting.run()), withdrawal);
    }

    fn tell_held(&mut self, told: &Told, wish: Wish, wait: Duration, denial: &Denial) {
        let notice = ClientVisible::new(
            Severity::Notice,
            sqlstate::SUCCESS,
            format!("approval was asked for: request {} for scope \"{}\"", told.id, told.scope),
        );
        let notice = notice
            .detail(format!("The statement waits for at most {}; it needs {}.", spell(wait), told.needs))
            .hint(format!("They run: pgward approve {}", told.id));
        self.replies.notice(notice.to_bytes());
        let mut record = self.gate.recorder.entry(Event::StatementHeld);
        record.request = Some(told.id.clone());
        record.scope = Some(told.scope.clone());
        record.statement = wish.statement;
        record.reason = Some(wish.reason);
        record.rule = Some(denial.rule.as_str().to_owned());
        record.detail = Some(format!("waits for at most {}", spell(wait)));
        self.gate.note(record);
    }
}

/// What PostgreSQL says there.
fn failed_transaction() -> Reply {
    let text = "current transaction is aborted, commands ignored until end of transaction block";
    let why = NotFiled { message: "the transaction has failed".to_owned(), hint: None };
    let said = ClientVisible::new(Severity::Error, sqlstate::IN_FAILED_TRANSACTION, text);
    Reply::Refused(Box::new(asking::not_filed(why)), Some(Box::new(said)))
}

fn refused_by_desk(why: NotFiled) -> Reply {
    Reply::Refused(Box::new(asking::not_filed(why)), None)
}

fn working<T>(future: impl Future<Output = T> + Send + 'static) -> Working<T> {
    Aside::new(Box::pin(future))
}
