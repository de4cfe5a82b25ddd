//! What the desk is asked on behalf of a message: while nobody has answered, the message and all behind it wait where they are,
//! and everything else goes on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::Relay;
use crate::access::{RequestId, RequestState, spell};
use crate::audit::Event;
use crate::policy::Denial;
use crate::session::aside::Aside;
use crate::session::asking::{self, Ask, Asker, Asking, NotFiled, Reply, Told, Wish};
use crate::session::metrics::Metrics;
use crate::session::peer::ToClient;
use crate::session::registry::Entry;
use crate::store::GrantSet;
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

type Working<T> = Aside<Pin<Box<dyn Future<Output = T> + Send>>>;

/// What a session asks, and where.
pub struct Inquiries {
    desk: asking::Desk,
    asker: Arc<Asker>,
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
    Asking(Working<Reply>),
    /// A held statement's request is being filed.
    Filing(Working<Result<Held, Reply>>),
    /// It waits for its approvers. Withdrawn when it is dropped.
    Waiting(Working<Reply>, #[expect(dead_code, reason = "its end is what counts")] Withdrawal),
}

/// A statement that is held, once its request is filed.
struct Held {
    told: Told,
    wish: Wish,
    wait: Duration,
    denial: Box<Denial>,
    place: Place,
}

/// One of the places that held statements have.
struct Place(Arc<Metrics>);

/// Statements that are held at once.
const MAX_HELD: usize = 100;
/// How often it is looked what became of a request, besides when grants change.
const LOOK: Duration = Duration::from_secs(1);

static HELD: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn take(metrics: &Arc<Metrics>) -> Option<Self> {
        let before = HELD.fetch_add(1, Ordering::Relaxed);
        metrics.held.inc();
        let place = Self(Arc::clone(metrics));
        (before < MAX_HELD).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
        self.0.held.dec();
    }
}

/// Takes a request back when nobody waits for it any more: what was decided by then stays.
struct Withdrawal {
    desk: Arc<dyn Asking>,
    asker: Arc<Asker>,
    request: RequestId,
    tasks: TaskTracker,
    _place: Place,
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        let (desk, asker, request) = (Arc::clone(&self.desk), Arc::clone(&self.asker), self.request.clone());
        self.tasks.spawn(async move { desk.withdraw(&asker, &request).await });
    }
}

impl Inquiries {
    #[must_use]
    pub fn new(desk: asking::Desk, asker: Asker) -> Self {
        Self { desk, asker: Arc::new(asker), stage: Stage::Nothing }
    }

    /// Whether messages wait for an answer.
    #[must_use]
    pub fn waits(&self) -> bool {
        !matches!(self.stage, Stage::Nothing)
    }
}

impl<C: ToClient> Relay<C> {
    /// Asks what the gate wants to know.
    pub(super) fn ask(&mut self, ask: Ask) {
        let asker = Arc::clone(&self.inquiries.asker);
        let Some(desk) = self.inquiries.desk.clone() else {
            self.gate.reply(refused_by_desk(asking::nobody()));
            return;
        };
        self.inquiries.stage = match ask {
            Ask::File(wish) => Stage::Asking(working(async move {
                desk.file(&asker, wish).await.map_or_else(refused_by_desk, |told| Reply::Answer(asking::filed(&told)))
            })),
            Ask::Requests => Stage::Asking(working(async move {
                let all = desk.requests(&asker).await;
                all.map_or_else(refused_by_desk, |all| Reply::Answer(asking::listed(&all)))
            })),
            Ask::Hold { wish, wait, denial } => {
                let Some(place) = Place::take(&self.metrics) else {
                    self.gate.reply(Reply::Refused(denial, None));
                    return;
                };
                Stage::Filing(working(async move {
                    match desk.file(&asker, wish.clone()).await {
                        Ok(told) => Ok(Held { told, wish, wait, denial, place }),
                        Err(why) => Err(Reply::Refused(
                            still(denial, &format!("Approval cannot be asked for: {}", why.message)),
                            None,
                        )),
                    }
                }))
            }
        };
    }

    /// Goes on asking. Ready once a message that waited can be judged.
    pub(super) fn poll_inquiry(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reply = match &mut self.inquiries.stage {
            Stage::Nothing => return Poll::Pending,
            Stage::Asking(working) | Stage::Waiting(working, _) => match Pin::new(working).poll(cx) {
                Poll::Ready(reply) => reply,
                Poll::Pending => return Poll::Pending,
            },
            Stage::Filing(working) => match Pin::new(working).poll(cx) {
                Poll::Ready(Ok(held)) => {
                    self.wait_for_approval(held);
                    return Poll::Ready(());
                }
                Poll::Ready(Err(reply)) => reply,
                Poll::Pending => return Poll::Pending,
            },
        };
        self.inquiries.stage = Stage::Nothing;
        self.gate.reply(reply);
        Poll::Ready(())
    }

    /// Tells the client what it waits for, and waits.
    fn wait_for_approval(&mut self, held: Held) {
        let Held { told, wish, wait, denial, place } = held;
        let Some(desk) = self.inquiries.desk.clone() else { return };
        let mut notice = ClientVisible::new(
            Severity::Notice,
            sqlstate::SUCCESS,
            format!("approval was asked for: request {} for scope \"{}\"", told.id, told.scope),
        );
        notice.detail = Some(format!("The statement waits for at most {}; it needs {}.", spell(wait), told.needs));
        notice.hint = Some(format!("They run: pgward approve {}", told.id));
        self.replies.notice(notice.to_bytes());
        let mut record = self.gate.recorder.entry(Event::StatementHeld);
        record.request = Some(told.id.clone());
        record.scope = Some(told.scope.clone());
        record.statement = wish.statement;
        record.reason = Some(wish.reason);
        record.rule = Some(denial.rule.as_str().to_owned());
        record.detail = Some(format!("waits for at most {}", spell(wait)));
        self.gate.note(record);
        let asker = Arc::clone(&self.inquiries.asker);
        let withdrawal = Withdrawal {
            desk: Arc::clone(&desk),
            asker: Arc::clone(&asker),
            request: told.id.clone(),
            tasks: self.tasks.clone(),
            _place: place,
        };
        let (entry, grants) = (Arc::clone(&self.entry), self.grants.clone());
        let waiting = Waiting { desk, asker, entry, grants, told, wait, denial };
        self.inquiries.stage = Stage::Waiting(working(waiting.run()), withdrawal);
    }
}

/// A statement that waits for its approvers.
struct Waiting {
    desk: Arc<dyn Asking>,
    asker: Arc<Asker>,
    entry: Arc<Entry>,
    grants: watch::Receiver<Arc<GrantSet>>,
    told: Told,
    wait: Duration,
    denial: Box<Denial>,
}

impl Waiting {
    async fn run(mut self) -> Reply {
        let deadline = tokio::time::Instant::now() + self.wait;
        let entry = Arc::clone(&self.entry);
        let cancelled = entry.cancel_noted();
        tokio::pin!(cancelled);
        loop {
            if let Some(reply) = self.decided().await {
                return reply;
            }
            tokio::select! {
                () = &mut cancelled => {
                    self.entry.take_cancel();
                    let said = ClientVisible::new(
                        Severity::Error,
                        sqlstate::QUERY_CANCELED,
                        "canceling statement due to user request",
                    );
                    return Reply::Refused(self.denial, Some(Box::new(said)));
                }
                () = tokio::time::sleep_until(deadline) => {
                    let why = format!("Approval was asked for (request {}), and nobody decided within {}", self.told.id, spell(self.wait));
                    return Reply::Refused(still(self.denial, &why), None);
                }
                changed = self.grants.changed() => {
                    if changed.is_err() {
                        return Reply::Refused(self.denial, None);
                    }
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// What the approvers say, where they have decided.
    async fn decided(&mut self) -> Option<Reply> {
        let id = self.told.id.clone();
        let is_there = |set: &GrantSet| set.grants.iter().any(|grant| grant.request == id);
        if is_there(&self.grants.borrow_and_update()) {
            return Some(Reply::Granted);
        }
        // A store that does not answer now may do so in a moment.
        let told = self.desk.look(&self.asker, &self.told.id).await.ok()?;
        let why = match told.state {
            // Approved: the grant is on its way to this session.
            RequestState::Pending | RequestState::Approved => return None,
            RequestState::Denied => told.denied.unwrap_or_else(|| "It was denied".to_owned()),
            RequestState::Withdrawn => "It was withdrawn".to_owned(),
            RequestState::Expired => "It expired".to_owned(),
        };
        let why = format!("Approval was asked for (request {}): {why}", self.told.id);
        Some(Reply::Refused(still(self.denial.clone(), &why), None))
    }
}

/// The refusal that the statement would have had at once, and what came of asking.
fn still(mut denial: Box<Denial>, why: &str) -> Box<Denial> {
    denial.detail = if denial.detail.is_empty() { format!("{why}.") } else { format!("{} {why}.", denial.detail) };
    denial
}

fn refused_by_desk(why: NotFiled) -> Reply {
    Reply::Refused(Box::new(asking::not_filed(why)), None)
}

fn working<T>(future: impl Future<Output = T> + Send + 'static) -> Working<T> {
    Aside::new(Box::pin(future))
}
