//! How long a record's text is kept, by what the record speaks of and by the region whose data it may repeat. Pure.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::Event;
use crate::access::Region;

/// What a record speaks of, as far as its keeping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Statements, their ends, cancels.
    Statement,
    /// Sessions, logins and their refusals.
    Session,
    /// Requests, approvals, grants, credentials.
    Access,
    /// The journal and the proxy themselves: openings, purges, holds, configuration.
    Service,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Statement, Self::Session, Self::Access, Self::Service];

    #[must_use]
    pub fn of(event: Event) -> Self {
        match event {
            Event::Statement | Event::StatementEnd | Event::Message | Event::Cancel | Event::StatementHeld => {
                Self::Statement
            }
            Event::SessionOpen
            | Event::SessionClose
            | Event::SessionKilled
            | Event::LoginDenied
            | Event::StartupRefused
            | Event::ControlLogin
            | Event::ControlLogout => Self::Session,
            Event::RequestFiled
            | Event::RequestApproved
            | Event::RequestDenied
            | Event::RequestWithdrawn
            | Event::GrantCreated
            | Event::GrantRevoked
            | Event::CredentialMinted
            | Event::AccessRefused
            | Event::RequestEdited
            | Event::RequestExpired
            | Event::BreakGlassOpened
            | Event::ReviewClosed
            | Event::ReviewOverdue
            | Event::GrantEnding
            | Event::GrantExpired
            | Event::UnusualAccess
            | Event::AccessReleased
            | Event::RetentionRun
            | Event::RetentionRunEnd
            | Event::DataHoldPlaced
            | Event::DataHoldReleased
            | Event::RetentionBatch
            | Event::RetentionBatchEnd => Self::Access,
            Event::ConfigReloaded
            | Event::ConfigRefused
            | Event::JournalOpened
            | Event::JournalRecovered
            | Event::JournalClosed
            | Event::RecordsPurged
            | Event::HoldPlaced
            | Event::HoldReleased
            | Event::KeyRotated
            | Event::WitnessSilent
            | Event::WitnessHeard
            | Event::SinkState
            | Event::NotificationFailed => Self::Service,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Session => "session",
            Self::Access => "access",
            Self::Service => "service",
        }
    }
}

/// How long the texts of each kind are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    pub statement: Duration,
    pub session: Duration,
    pub access: Duration,
    pub service: Duration,
}

impl Retention {
    /// The same for every kind.
    #[must_use]
    pub fn all(keep: Duration) -> Self {
        Self { statement: keep, session: keep, access: keep, service: keep }
    }

    #[must_use]
    pub fn of(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Statement => self.statement,
            Kind::Session => self.session,
            Kind::Access => self.access,
            Kind::Service => self.service,
        }
    }
}

/// Where the records of a region are kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    /// `None` is everything that no other shelf takes.
    pub region: Option<Region>,
    /// A directory of its own; `None` is the journal's.
    pub dir: Option<PathBuf>,
    pub retention: Retention,
}

impl Shelf {
    /// The place of the shelf that takes the records of a region.
    pub(super) fn of(shelves: &[Self], region: Option<&Region>) -> usize {
        let own = region.and_then(|region| shelves.iter().position(|shelf| shelf.region.as_ref() == Some(region)));
        own.unwrap_or(0)
    }
}

/// The stretch of time whose records share a bucket: they become unreadable together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: Timestamp,
    /// Exclusive.
    pub(super) until: Timestamp,
}

impl Stretch {
    /// The stretch that holds `time`, for records kept for `keep`: at most an eighth of that, so that none is kept much
    /// longer than it should be, and of a length that people count in.
    pub(super) fn holding(time: Timestamp, keep: Duration) -> Self {
        let length = LENGTHS.into_iter().find(|length| *length <= keep.as_secs() / 8).unwrap_or(1);
        let length = i64::try_from(length).unwrap_or(1);
        let start = time.as_second().div_euclid(length) * length;
        let at = |second| Timestamp::from_second(second).unwrap_or(time);
        Self { from: at(start), until: at(start + length) }
    }
}

/// A day, an hour, a minute, a second.
const LENGTHS: [u64; 4] = [86_400, 3600, 60, 1];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn stretches_are_days_and_shorter_for_what_is_kept_shortly() {
        let time: Timestamp = "2026-11-22T17:03:09.5Z".parse().unwrap();
        let day = Duration::from_secs(86_400);
        for (keep, from, until) in [
            (400 * day, "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
            (8 * day, "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
            (7 * day, "2026-11-22T17:00:00Z", "2026-11-22T18:00:00Z"),
            (Duration::from_secs(600), "2026-11-22T17:03:00Z", "2026-11-22T17:04:00Z"),
            (Duration::from_secs(2), "2026-11-22T17:03:09Z", "2026-11-22T17:03:10Z"),
        ] {
            let stretch = Stretch::holding(time, keep);
            assert_eq!((stretch.from.to_string(), stretch.until.to_string()), (from.to_owned(), until.to_owned()));
        }
    }
}
