//! A statement that is held: what it waits for, and what becomes of its request when nobody waits any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::access::{RequestId, RequestState, spell};
use crate::policy::Denial;
use crate::session::asking::{Asker, Asking, Reply, Told, Wish};
use crate::session::held::Place;
use crate::session::registry::Entry;
use crate::store::GrantSet;
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

/// How often it is looked what became of a request, besides when grants change.
const LOOK: Duration = Duration::from_secs(1);

/// The request of a held statement, while it is filed.
pub(super) struct Filing {
    pub(super) desk: Arc<dyn Asking>,
    pub(super) asker: Arc<Asker>,
    pub(super) tasks: TaskTracker,
    pub(super) wish: Wish,
    pub(super) wait: Duration,
    pub(super) denial: Box<Denial>,
    pub(super) place: Place,
}

impl Filing {
    /// Files it in a task of its own: a session that ends meanwhile takes it back.
    pub(super) async fn run(self) -> Result<Held, Reply> {
        let Self { desk, asker, tasks, wish, wait, denial, place } = self;
        let (told, filed) = oneshot::channel();
        let spared = denial.clone();
        tasks.clone().spawn(async move {
            let held = match desk.file(&asker, wish.clone()).await {
                Ok(told) => {
                    let request = told.id.clone();
                    let withdrawal = Withdrawal { desk, asker, request, tasks, _place: place };
                    Ok(Held { told, wish, wait, denial, withdrawal })
                }
                Err(why) => {
                    let why = format!("Approval cannot be asked for: {}", why.message);
                    Err(Reply::Refused(still(denial, &why), None))
                }
            };
            // Where nobody listens any more it is dropped, and the request withdrawn with it.
            let _ = told.send(held);
        });
        filed.await.unwrap_or(Err(Reply::Refused(spared, None)))
    }
}

/// A statement that is held, once its request is filed.
pub(super) struct Held {
    pub(super) told: Told,
    pub(super) wish: Wish,
    pub(super) wait: Duration,
    pub(super) denial: Box<Denial>,
    pub(super) withdrawal: Withdrawal,
}

/// Takes a request back when nobody waits for it any more: what was decided by then stays.
pub(super) struct Withdrawal {
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

/// A statement that waits for its approvers.
pub(super) struct Waiting {
    pub(super) desk: Arc<dyn Asking>,
    pub(super) asker: Arc<Asker>,
    pub(super) entry: Arc<Entry>,
    pub(super) grants: watch::Receiver<Arc<GrantSet>>,
    pub(super) told: Told,
    pub(super) wait: Duration,
    pub(super) denial: Box<Denial>,
}

impl Waiting {
    pub(super) async fn run(mut self) -> Reply {
        let reply = self.wait().await;
        // Whoever cancels while somebody approves has cancelled: the statement does not run.
        if self.entry.end_hold() { cancelled_by_client(self.denial) } else { reply }
    }

    async fn wait(&mut self) -> Reply {
        let deadline = tokio::time::Instant::now() + self.wait;
        let entry = Arc::clone(&self.entry);
        let cancelled = entry.cancel_noted();
        tokio::pin!(cancelled);
        loop {
            if let Some(reply) = self.decided().await {
                return reply;
            }
            tokio::select! {
                () = &mut cancelled => return cancelled_by_client(self.denial.clone()),
                () = tokio::time::sleep_until(deadline) => {
                    let why = format!("Approval was asked for (request {}), and nobody decided within {}", self.told.id, spell(self.wait));
                    return Reply::Refused(still(self.denial.clone(), &why), None);
                }
                changed = self.grants.changed() => {
                    if changed.is_err() {
                        return Reply::Refused(self.denial.clone(), None);
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

/// The refusal of a statement whose client waits for it no longer.
fn cancelled_by_client(denial: Box<Denial>) -> Reply {
    let text = "canceling statement due to user request";
    Reply::Refused(denial, Some(Box::new(ClientVisible::new(Severity::Error, sqlstate::QUERY_CANCELED, text))))
}

/// The refusal that the statement would have had at once, and what came of asking.
pub(super) fn still(mut denial: Box<Denial>, why: &str) -> Box<Denial> {
    denial.detail = if denial.detail.is_empty() { format!("{why}.") } else { format!("{} {why}.", denial.detail) };
    denial
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio::sync::Notify;

    use super::*;
    use crate::access::Principal;
    use crate::policy::Rule;
    use crate::session::asking::NotFiled;
    use crate::session::held::Places;
    use crate::session::metrics::Metrics;

    /// Files what it is asked to once it is let, and keeps what was withdrawn.
    #[derive(Debug, Default)]
    struct SlowDesk {
        asked: Notify,
        let_go: Notify,
        withdrawn: Mutex<Vec<RequestId>>,
    }

    #[async_trait]
    impl Asking for SlowDesk {
        async fn file(&self, _: &Asker, wish: Wish) -> Result<Told, NotFiled> {
            self.asked.notify_one();
            self.let_go.notified().await;
            let (filed, expires, needs) = (String::new(), String::new(), String::new());
            let (id, state) = (RequestId::from_text("req_slow"), RequestState::Pending);
            let Wish { scope, duration, reason, .. } = wish;
            Ok(Told { id, state, scope, duration, filed, expires, grant: None, needs, reason, denied: None })
        }

        async fn requests(&self, _: &Asker) -> Result<Vec<Told>, NotFiled> {
            Ok(Vec::new())
        }

        async fn look(&self, _: &Asker, _: &RequestId) -> Result<Told, NotFiled> {
            Err(NotFiled { message: String::new(), hint: None })
        }

        async fn withdraw(&self, _: &Asker, id: &RequestId) {
            self.withdrawn.lock().unwrap().push(id.clone());
        }
    }

    #[tokio::test]
    async fn a_request_that_is_filed_for_a_session_that_is_gone_is_withdrawn() {
        let (desk, tasks) = (Arc::new(SlowDesk::default()), TaskTracker::new());
        let metrics = Arc::new(Metrics::register(&mut prometheus_client::registry::Registry::default()));
        let principal = Principal { name: "alice".to_owned(), groups: Vec::new(), region: None };
        let denial = Denial { rule: Rule::Scope, message: String::new(), detail: String::new(), hint: None };
        let wish = Wish {
            scope: "read".to_owned(),
            duration: LOOK,
            reason: "why".to_owned(),
            ticket: None,
            statement: Some("SELECT 1".to_owned()),
        };
        let filing = Filing {
            desk: Arc::clone(&desk) as Arc<dyn Asking>,
            asker: Arc::new(Asker { principal, address: String::new() }),
            tasks: tasks.clone(),
            wish,
            wait: LOOK,
            denial: Box::new(denial),
            place: Arc::new(Places::default()).take("alice", &metrics).unwrap(),
        };
        tokio::select! {
            biased;
            () = desk.asked.notified() => {}
            held = filing.run() => assert!(held.is_err(), "nobody has let it go"),
        }
        assert_eq!(metrics.held.get(), 1, "it is being filed all the same");
        desk.let_go.notify_one();
        tasks.close();
        tasks.wait().await;
        assert_eq!(*desk.withdrawn.lock().unwrap(), [RequestId::from_text("req_slow")]);
        assert_eq!(metrics.held.get(), 0);
    }
}
