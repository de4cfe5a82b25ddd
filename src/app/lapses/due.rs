//! Which moments have come: pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::access::{AccessRequest, Grant, Review, spell};
use crate::audit::Event;

/// How long before its end a grant's end is announced. One that is no longer than this has no announcement.
pub(super) const NOTICE: Duration = Duration::from_secs(5 * 60);
/// An open review that is late is told of again this often.
const NAG: Duration = Duration::from_secs(24 * 60 * 60);

/// Something that time brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lapse {
    Ending(Grant),
    Ended(Grant),
    Unanswered(Box<AccessRequest>),
    /// And when it was due, or is told of again.
    Overdue(Review, Grant, Timestamp),
}

impl Lapse {
    pub(super) fn event(&self) -> Event {
        match self {
            Lapse::Ending(_) => Event::GrantEnding,
            Lapse::Ended(_) => Event::GrantExpired,
            Lapse::Unanswered(_) => Event::RequestExpired,
            Lapse::Overdue(..) => Event::ReviewOverdue,
        }
    }

    pub(super) fn key(&self) -> (Event, String) {
        let owner = match self {
            Lapse::Ending(grant) | Lapse::Ended(grant) => grant.id.to_string(),
            Lapse::Overdue(_, grant, _) => grant.id.to_string(),
            Lapse::Unanswered(request) => request.id.to_string(),
        };
        (self.event(), owner)
    }

    pub(super) fn at(&self) -> Timestamp {
        match self {
            Lapse::Ending(grant) => announced(grant),
            Lapse::Ended(grant) => grant.expires_at,
            Lapse::Unanswered(request) => request.expires_at(),
            Lapse::Overdue(_, _, at) => *at,
        }
    }

    pub(super) fn detail(&self) -> String {
        match self {
            Lapse::Ending(grant) => format!("ends at {}", grant.expires_at),
            Lapse::Ended(grant) => format!("ended at {}", grant.expires_at),
            Lapse::Unanswered(request) => {
                format!("nobody decided on it within {}", spell(request.scope.rules.pending()))
            }
            Lapse::Overdue(review, _, _) => format!("was to be reviewed by {}", review.due),
        }
    }
}

/// Grants that are open at `after`: which of them end, or end soon, by `now`.
pub(super) fn grants_due(open: Vec<Grant>, after: Timestamp, now: Timestamp) -> Vec<Lapse> {
    let open: Vec<Grant> = open.into_iter().filter(|grant| grant.revocation.is_none()).collect();
    let is_due = |at: Timestamp| after < at && at <= now;
    let mut due = Vec::new();
    for grant in &open {
        let is_long = grant.not_before < announced(grant);
        if is_long && is_due(announced(grant)) && !open.iter().any(|other| prolongs(other, grant)) {
            due.push(Lapse::Ending(grant.clone()));
        }
        if is_due(grant.expires_at) {
            due.push(Lapse::Ended(grant.clone()));
        }
    }
    due
}

pub(super) fn requests_due(
    pending: impl Iterator<Item = AccessRequest>,
    after: Timestamp,
    now: Timestamp,
) -> impl Iterator<Item = Lapse> {
    let is_due = move |request: &AccessRequest| after < request.expires_at() && request.expires_at() <= now;
    pending.filter(is_due).map(|request| Lapse::Unanswered(Box::new(request)))
}

/// Open reviews that are late: once when they become so, and then each day.
pub(super) fn reviews_due(open: Vec<(Review, Grant)>, after: Timestamp, now: Timestamp) -> impl Iterator<Item = Lapse> {
    open.into_iter().filter_map(move |(review, grant)| {
        let at = last_told(review.due, now)?;
        (after < at && review.closed.is_none()).then_some(Lapse::Overdue(review, grant, at))
    })
}

fn announced(grant: &Grant) -> Timestamp {
    grant.expires_at.saturating_sub(NOTICE).unwrap_or(Timestamp::MIN)
}

/// Whether `other` takes over where `grant` ends.
fn prolongs(other: &Grant, grant: &Grant) -> bool {
    let is_same = other.principal == grant.principal
        && other.scope.name == grant.scope.name
        && other.statement == grant.statement;
    is_same && other.not_before <= grant.expires_at && other.expires_at > grant.expires_at
}

/// The last of `due` and the days after it that is not past `now`.
fn last_told(due: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let late = Duration::try_from(now.duration_since(due)).ok()?;
    let days = u32::try_from(late.as_secs() / NAG.as_secs()).ok()?;
    due.saturating_add(NAG.checked_mul(days)?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}Z").parse().unwrap()
    }

    #[test]
    fn a_late_review_is_told_of_once_a_day() {
        let due = at("20T10:00:00");
        for (now, expected) in [
            ("20T09:59:59", None),
            ("20T10:00:00", Some("20T10:00:00")),
            ("21T09:59:59", Some("20T10:00:00")),
            ("21T10:00:00", Some("21T10:00:00")),
            ("23T12:00:00", Some("23T10:00:00")),
        ] {
            assert_eq!(last_told(due, at(now)), expected.map(at), "{now}");
        }
    }
}
