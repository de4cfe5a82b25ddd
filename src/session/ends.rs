//! When a session must end though nobody in it asked for that: its last grant ends, it is killed, the store is lost, the
//! process stops.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pulse::{Found, Pulse};
use super::registry::{Entry, Kill};
use crate::access::{Clock, Grant, Seconds};
use crate::audit::EndedBy;
use crate::store::GrantSet;
use crate::wire::encode::{ClientVisible, Severity};
use crate::wire::sqlstate;

/// A session looks at its grants at least this often.
const MINUTE: Duration = Duration::from_secs(60);

/// Why a session was ended.
#[derive(Clone, Debug)]
pub enum End {
    Expired(Option<Arc<Grant>>),
    Revoked(Arc<Grant>),
    Killed {
        by: String,
        reason: Option<String>,
    },
    StoreLost,
    Shutdown,
    /// A COPY that was to end waits for the rest of a message.
    Stuck,
    /// The client has taken nothing for so long.
    Unread(Duration),
    /// A fault of pgward's own.
    Fault,
}

impl End {
    #[must_use]
    pub fn ended_by(&self) -> EndedBy {
        match self {
            End::Expired(_) | End::StoreLost => EndedBy::GrantExpired,
            End::Revoked(_) => EndedBy::GrantRevoked,
            End::Killed { .. } => EndedBy::Killed,
            End::Shutdown => EndedBy::Shutdown,
            End::Stuck | End::Unread(_) => EndedBy::Timeout,
            End::Fault => EndedBy::Fault,
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn message(&self) -> ClientVisible {
        let text = match self {
            End::Expired(Some(grant)) => format!("grant {} ended: expired", grant.id),
            End::Expired(None) => "no grant is live any more".to_owned(),
            End::Revoked(grant) => revoked(grant),
            End::Killed { by, reason } => {
                format!(
                    "terminating connection: killed by {by}{}",
                    reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default()
                )
            }
            End::StoreLost => "terminating connection: grants can no longer be checked".to_owned(),
            End::Shutdown => "terminating connection due to administrator command".to_owned(),
            End::Stuck => "terminating connection: COPY was to end, and its data stopped within a message".to_owned(),
            End::Unread(time) => {
                format!("terminating connection: the client has read nothing for {}", Seconds(*time))
            }
            End::Fault => "terminating connection because of an internal error".to_owned(),
        };
        ClientVisible::fatal(sqlstate::ADMIN_SHUTDOWN, text)
    }
}

fn revoked(grant: &Grant) -> String {
    let by = grant.revocation.as_ref().map(|revocation| {
        let reason = revocation.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!(" by {}{reason}", revocation.by)
    });
    format!("grant {} ended: revoked{}", grant.id, by.unwrap_or_default())
}

/// Waits for the end of one session.
#[derive(Debug)]
pub struct Ends {
    pub grants: watch::Receiver<Arc<GrantSet>>,
    pub pulse: Arc<Pulse>,
    pub found: watch::Receiver<Found>,
    pub clock: Arc<Clock>,
    pub entry: Arc<Entry>,
    pub shutdown: CancellationToken,
    /// The grants that were live when last looked at: the latest of them is the one whose end is told.
    pub last_live: Vec<Arc<Grant>>,
}

impl Ends {
    /// Returns when the session must end, and not before. Sleeps until something happens. Cancel safe.
    pub async fn wait(&mut self) -> End {
        loop {
            // Marked as seen before the clock and the store are looked at: what comes later wakes.
            let is_blind = self.found.borrow_and_update().blind;
            let now = self.clock.now();
            let set = Arc::clone(&self.grants.borrow_and_update());
            let live = live(&set, now);
            let Some(next) = live.iter().map(|grant| grant.expires_at).min() else { return self.over(&set) };
            if is_blind || !self.pulse.is_store_fresh() {
                return End::StoreLost;
            }
            self.last_live = live;
            // Held no longer than it is looked at: a session sleeps for hours.
            drop(set);
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return End::Shutdown,
                Kill { by, reason } = self.entry.killed() => return End::Killed { by, reason },
                changed = self.grants.changed() => {
                    if changed.is_err() {
                        return End::StoreLost;
                    }
                }
                looked = self.found.changed() => {
                    if looked.is_err() {
                        return End::StoreLost;
                    }
                }
                () = tokio::time::sleep(until(now, next)) => {}
            }
        }
    }

    fn over(&self, set: &GrantSet) -> End {
        let last = self.last_live.iter().max_by_key(|grant| grant.expires_at);
        let revoked = |grant: &&Arc<Grant>| set.revoked.iter().find(|revoked| revoked.id == grant.id);
        match last.as_ref().and_then(revoked) {
            Some(grant) => End::Revoked(Arc::clone(grant)),
            None => match last {
                // It is no longer listed, and its time is not over: it was revoked, by whom could not be read.
                Some(grant) if self.clock.now() < grant.expires_at => End::Revoked(Arc::clone(grant)),
                last => End::Expired(last.map(Arc::clone)),
            },
        }
    }
}

/// The grants of a set that are live.
#[must_use]
pub fn live(set: &GrantSet, now: Timestamp) -> Vec<Arc<Grant>> {
    set.grants.iter().filter(|grant| grant.is_live_at(now)).map(Arc::clone).collect()
}

/// Until one of the grants begins or ends, or its end is near enough to be told; a minute at most.
#[must_use]
pub fn next_turn(set: &GrantSet, now: Timestamp) -> Duration {
    let turns = set.grants.iter().flat_map(|grant| {
        let told = Warnings::STEPS.map(|step| grant.expires_at.saturating_sub(step).unwrap_or(grant.expires_at));
        told.into_iter().chain([grant.not_before, grant.expires_at])
    });
    let next = turns.filter(|turn| *turn > now).min();
    next.map_or(MINUTE, |at| until(now, at).min(MINUTE))
}

/// Why one statement ends while the session lives on: its own grant is over.
#[must_use]
pub fn statement_over(grant: &crate::access::GrantId, set: &GrantSet) -> (EndedBy, ClientVisible) {
    let revoked_grant = set.revoked.iter().find(|revoked| revoked.id == *grant);
    let (ended_by, text) = match revoked_grant {
        Some(grant) => (EndedBy::GrantRevoked, revoked(grant)),
        None => (EndedBy::GrantExpired, format!("grant {grant} ended: expired")),
    };
    (ended_by, ClientVisible::new(Severity::Error, sqlstate::INSUFFICIENT_PRIVILEGE, text))
}

/// Why the session ends with one statement's grant: the statement has been sent and waits for its turn.
#[must_use]
pub fn session_over(grant: &crate::access::GrantId, set: &GrantSet) -> End {
    match set.revoked.iter().find(|revoked| revoked.id == *grant) {
        Some(grant) => End::Revoked(Arc::clone(grant)),
        None => End::Expired(set.grants.iter().find(|known| known.id == *grant).map(Arc::clone)),
    }
}

/// Tells a client that its access is about to end: five minutes before and one minute before.
#[derive(Debug)]
pub struct Warnings {
    told: Option<SignedDuration>,
    last_end: Timestamp,
}

impl Warnings {
    const STEPS: [SignedDuration; 2] = [SignedDuration::from_mins(1), SignedDuration::from_mins(5)];

    /// Begins at `now`: a step that has been passed already is not told.
    #[must_use]
    pub fn new(set: &GrantSet, now: Timestamp) -> Self {
        let last_end = last_grant(set).map_or(now, |grant| grant.expires_at);
        Self { told: Self::step(last_end, now), last_end }
    }

    /// What to tell now, if anything.
    pub fn due(&mut self, set: &GrantSet, now: Timestamp) -> Option<ClientVisible> {
        let grant = last_grant(set)?;
        if grant.expires_at != self.last_end {
            *self = Self::new(set, now);
            return None;
        }
        let step = Self::step(self.last_end, now)?;
        if self.told.is_some_and(|told| told <= step) {
            return None;
        }
        self.told = Some(step);
        let left = if step == SignedDuration::from_mins(1) { "1 minute" } else { "5 minutes" };
        let text = format!("grant {} ends in {left}, and this session with it", grant.id);
        Some(
            ClientVisible::new(Severity::Notice, sqlstate::WARNING, text)
                .detail(format!("It ends at {}.", grant.expires_at)),
        )
    }

    fn step(end: Timestamp, now: Timestamp) -> Option<SignedDuration> {
        let left = end.duration_since(now);
        Self::STEPS.into_iter().find(|step| left <= *step)
    }
}

fn last_grant(set: &GrantSet) -> Option<&Arc<Grant>> {
    set.grants.iter().filter(|grant| grant.revocation.is_none()).max_by_key(|grant| grant.expires_at)
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    // A millisecond more, so that the look that follows finds it over.
    Duration::try_from(at.duration_since(now)).unwrap_or_default() + Duration::from_millis(1)
}
