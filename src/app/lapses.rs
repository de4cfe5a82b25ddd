//! What time alone brings about, recorded when it does, each once: a grant ends soon, a grant has ended, nobody decided on a
//! request, nobody has reviewed what was opened in an emergency.
//!
//! The mark says up to which instant all of it is recorded. It is a file that may be old: what the journal holds since then is
//! not recorded again, so that neither a crash nor a mark that was not kept makes anything come twice. Of several replicas one
//! records for all, and keeps the mark in the store: one that is killed within the second between a record and its mark leaves
//! that lapse to be recorded by another once more.

mod due;
mod mark;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::due::{Lapse, grants_due, requests_due, reviews_due};
use crate::access::{Clock, RequestState};
use crate::audit::{Event, Filter, Journal, Record, search};
use crate::desk::Desk;
use crate::replicas::Replicas;
use crate::store::SharedStore;

/// How often is looked, unless looking takes long.
const PERIOD: Duration = Duration::from_secs(1);
/// Of all the time, looking takes no more than a part in so many.
const SHARE: u32 = 50;
/// A mark is not older than this while nothing happens.
const MARK_PERIOD: Duration = Duration::from_secs(60);
const EVENTS: [Event; 4] = [Event::GrantEnding, Event::GrantExpired, Event::RequestExpired, Event::ReviewOverdue];

/// Records what lapses.
#[derive(Debug)]
pub struct Lapses {
    store: SharedStore,
    desk: Arc<Desk>,
    journal: Arc<Journal>,
    clock: Arc<Clock>,
    replicas: Option<Arc<Replicas>>,
}

/// What one of several replicas does for all.
const JOB: &str = "lapses";

/// How far it is recorded.
#[derive(Debug)]
struct Progress {
    upto: Timestamp,
    /// What was recorded since, each by its event and whose it is.
    told: HashSet<(Event, String)>,
    kept_at: Option<Instant>,
}

/// What was said last of whose turn it is.
struct Turn {
    asked_at: Option<Instant>,
    is_ours: bool,
}

impl Lapses {
    pub fn new(
        store: SharedStore,
        desk: Arc<Desk>,
        journal: Arc<Journal>,
        clock: Arc<Clock>,
        replicas: Option<Arc<Replicas>>,
    ) -> Self {
        Self { store, desk, journal, clock, replicas }
    }

    /// Looks time and again, until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut progress = None;
        let mut turn = Turn { asked_at: None, is_ours: false };
        loop {
            let begun = Instant::now();
            let looked = match self.is_ours(&mut turn, &mut progress).await {
                Ok(true) => self.look(&mut progress).await,
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = looked {
                tracing::error!(%error, "what lapsed could not be recorded: it is tried again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD.max(begun.elapsed() * SHARE)) => {}
            }
        }
    }

    /// Whether this replica does it for all, where there are several; asked now and then, long before what was said last is over.
    async fn is_ours(&self, turn: &mut Turn, progress: &mut Option<Progress>) -> anyhow::Result<bool> {
        let Some(replicas) = &self.replicas else { return Ok(true) };
        if turn.asked_at.is_some_and(|at| at.elapsed() < replicas.lease() / 6) {
            return Ok(turn.is_ours);
        }
        turn.is_ours = false;
        let asked_at = Instant::now();
        let held = match replicas.hold_job(JOB).await {
            Ok(held) => held,
            Err(error) => {
                // Another may do it meanwhile.
                *progress = None;
                return Err(error.into());
            }
        };
        turn.asked_at = Some(asked_at);
        match held {
            // Another does it; what it will have done is not known here.
            None => *progress = None,
            Some(mark) => {
                if progress.is_none() {
                    *progress = Some(self.begin_at(shared_mark(mark.as_deref())).await?);
                }
                turn.is_ours = true;
            }
        }
        Ok(turn.is_ours)
    }

    async fn look(&self, progress: &mut Option<Progress>) -> anyhow::Result<()> {
        let progress = match progress {
            Some(progress) => progress,
            none @ None => none.insert(self.begin().await?),
        };
        let now = self.clock.now();
        let mut recorded = false;
        for lapse in self.due(progress.upto, now).await? {
            if progress.told.contains(&lapse.key()) {
                continue;
            }
            self.journal.record(self.record(&lapse)).await?;
            progress.told.insert(lapse.key());
            recorded = true;
        }
        progress.upto = now;
        progress.told.clear();
        if recorded || progress.kept_at.is_none_or(|kept| kept.elapsed() >= MARK_PERIOD) {
            match &self.replicas {
                Some(replicas) => replicas.mark_job(JOB, &now.to_string()).await?,
                None => mark::write(&self.path(), now).await?,
            }
            progress.kept_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Where the last process was; from now on if there was none.
    async fn begin(&self) -> anyhow::Result<Progress> {
        self.begin_at(mark::read(&self.path())).await
    }

    /// Behind what an earlier one, or another replica, has done.
    async fn begin_at(&self, upto: Option<Timestamp>) -> anyhow::Result<Progress> {
        let now = self.clock.now();
        let upto = upto.map_or(now, |upto| upto.min(now));
        let places = self.journal.places().clone();
        let told = tokio::task::spawn_blocking(move || {
            let mut told = HashSet::new();
            for event in EVENTS {
                let filter = Filter { event: Some(event), since: Some(upto), ..Filter::default() };
                let found = search(places.clone(), &filter, |_| true)?;
                told.extend(found.iter().filter_map(|entry| Some((event, owner(&entry.record)?))));
            }
            anyhow::Ok(told)
        });
        Ok(Progress { upto, told: told.await??, kept_at: None })
    }

    /// What falls between the two instants, oldest first.
    async fn due(&self, after: Timestamp, now: Timestamp) -> anyhow::Result<Vec<Lapse>> {
        let all = || Box::new(|_: &str, _: &crate::access::Scope| true);
        let grants = self.store.list_grants(all(), Some(after), usize::MAX).await?;
        let pending = self.store.list_requests(all(), Some(RequestState::Pending), usize::MAX, after).await?;
        let reviews = self.store.reviews(all(), true, usize::MAX).await?;
        let mut due = grants_due(grants, after, now);
        due.extend(requests_due(pending.into_iter().map(|(request, _)| request), after, now));
        due.extend(reviews_due(reviews, after, now));
        due.sort_by_key(Lapse::at);
        Ok(due)
    }

    fn record(&self, lapse: &Lapse) -> Record {
        let mut record = Record::new(self.clock.now(), lapse.event());
        match lapse {
            Lapse::Ending(grant) | Lapse::Ended(grant) => self.desk.recorder().about_grant(&mut record, grant),
            Lapse::Overdue(_, grant, _) => self.desk.recorder().about_grant(&mut record, grant),
            Lapse::Unanswered(request) => self.desk.recorder().about_request(&mut record, request),
        }
        record.detail = Some(lapse.detail());
        record
    }

    fn path(&self) -> PathBuf {
        self.journal.settings().dir.join("lapses.json")
    }
}

/// How far another replica has come.
fn shared_mark(mark: Option<&str>) -> Option<Timestamp> {
    mark.and_then(|mark| mark.parse().ok())
}

/// Whose lapse a record is of, as [`Lapse::key`] has it.
fn owner(record: &Record) -> Option<String> {
    let grant = record.grant.as_ref().map(ToString::to_string);
    grant.or_else(|| record.request.as_ref().map(ToString::to_string))
}
