//! Which class and activity of the schema an event of the journal is.

use super::super::super::{EndedBy, Event, Record, RecordedVerdict};

/// The classes in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Authentication,
    EntityManagement,
    ApplicationLifecycle,
    DatastoreActivity,
}

impl Class {
    pub(super) fn uid(self) -> u16 {
        match self {
            Class::Authentication => 3002,
            Class::EntityManagement => 3004,
            Class::ApplicationLifecycle => 6002,
            Class::DatastoreActivity => 6005,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Authentication => "Authentication",
            Class::EntityManagement => "Entity Management",
            Class::ApplicationLifecycle => "Application Lifecycle",
            Class::DatastoreActivity => "Datastore Activity",
        }
    }

    pub(super) fn category(self) -> (u8, &'static str) {
        match self {
            Class::Authentication | Class::EntityManagement => (3, "Identity & Access Management"),
            Class::ApplicationLifecycle | Class::DatastoreActivity => (6, "Application Activity"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Not known yet: a statement before it ran.
    Unknown,
    Success,
    Failure,
}

impl Status {
    pub(super) fn id(self) -> u8 {
        match self {
            Status::Unknown => 0,
            Status::Success => 1,
            Status::Failure => 2,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Unknown => "Unknown",
            Status::Success => "Success",
            Status::Failure => "Failure",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Informational,
    Medium,
    High,
}

impl Severity {
    pub(super) fn id(self) -> u8 {
        match self {
            Severity::Informational => 1,
            Severity::Medium => 3,
            Severity::High => 4,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Severity::Informational => "Informational",
            Severity::Medium => "Medium",
            Severity::High => "High",
        }
    }
}

/// What the schema calls a record.
#[derive(Clone, Debug)]
pub(super) struct Classified {
    pub(super) class: Class,
    pub(super) activity: u8,
    pub(super) activity_name: String,
    pub(super) status: Status,
    pub(super) severity: Severity,
}

/// The schema's number of an activity that it has no word for.
const OTHER: u8 = 99;

pub(super) fn classify(record: &Record) -> Classified {
    use Severity::{High, Informational, Medium};
    let known = |class, activity, name: &str, status, severity| Classified {
        class,
        activity,
        activity_name: name.to_owned(),
        status,
        severity,
    };
    let other = |class, status, severity| known(class, OTHER, record.event.as_str(), status, severity);
    match record.event {
        Event::Statement => {
            let (activity, name) = datastore_activity(record.kind.as_deref());
            match record.verdict {
                Some(RecordedVerdict::Deny) => {
                    known(Class::DatastoreActivity, activity, &name, Status::Failure, Medium)
                }
                Some(RecordedVerdict::Allow) | None => {
                    known(Class::DatastoreActivity, activity, &name, Status::Unknown, Informational)
                }
            }
        }
        Event::StatementEnd => {
            let (activity, name) = datastore_activity(record.command_tag.as_deref());
            known(Class::DatastoreActivity, activity, &name, end_status(record), Informational)
        }
        Event::AccessRefused => other(Class::EntityManagement, Status::Failure, Medium),
        Event::AccessReleased => other(Class::EntityManagement, Status::Success, Informational),
        Event::DataHoldPlaced | Event::DataHoldReleased => {
            other(Class::EntityManagement, Status::Success, Informational)
        }
        Event::RetentionRun | Event::RetentionBatch => other(Class::DatastoreActivity, Status::Unknown, Informational),
        Event::RetentionRunEnd | Event::RetentionBatchEnd => {
            let status = if record.sqlstate.is_some() { Status::Failure } else { Status::Success };
            other(Class::DatastoreActivity, status, Informational)
        }
        Event::UnusualAccess => other(Class::DatastoreActivity, Status::Unknown, High),
        Event::Message | Event::Cancel | Event::StatementHeld => {
            other(Class::DatastoreActivity, Status::Success, Informational)
        }
        Event::SessionOpen | Event::ControlLogin => {
            known(Class::Authentication, 1, "Logon", Status::Success, Informational)
        }
        Event::LoginDenied | Event::StartupRefused => known(Class::Authentication, 1, "Logon", Status::Failure, Medium),
        Event::SessionClose | Event::SessionKilled | Event::ControlLogout => {
            known(Class::Authentication, 2, "Logoff", Status::Success, Informational)
        }
        Event::RequestFiled | Event::GrantCreated | Event::CredentialMinted => {
            known(Class::EntityManagement, 1, "Create", Status::Success, Informational)
        }
        Event::RequestApproved
        | Event::RequestDenied
        | Event::RequestWithdrawn
        | Event::RequestEdited
        | Event::RequestExpired
        | Event::ReviewClosed
        | Event::GrantEnding
        | Event::ConfigReloaded => known(Class::EntityManagement, 3, "Update", Status::Success, Informational),
        Event::BreakGlassOpened => known(Class::EntityManagement, 1, "Create", Status::Success, High),
        Event::ReviewOverdue => other(Class::EntityManagement, Status::Failure, High),
        Event::GrantRevoked | Event::GrantExpired => {
            known(Class::EntityManagement, 4, "Delete", Status::Success, Informational)
        }
        Event::ConfigRefused => known(Class::EntityManagement, 3, "Update", Status::Failure, Medium),
        Event::JournalOpened => known(Class::ApplicationLifecycle, 3, "Start", Status::Success, Informational),
        Event::JournalClosed => known(Class::ApplicationLifecycle, 4, "Stop", Status::Success, Informational),
        Event::RecordsPurged | Event::HoldPlaced | Event::HoldReleased | Event::KeyRotated | Event::WitnessHeard => {
            other(Class::ApplicationLifecycle, Status::Success, Informational)
        }
        Event::WitnessSilent => other(Class::ApplicationLifecycle, Status::Failure, High),
        Event::JournalRecovered => other(Class::ApplicationLifecycle, Status::Success, Medium),
        Event::NotificationFailed => other(Class::ApplicationLifecycle, Status::Failure, Medium),
        Event::SinkState => other(Class::ApplicationLifecycle, Status::Unknown, High),
    }
}

fn end_status(record: &Record) -> Status {
    match record.ended_by {
        Some(EndedBy::Completed) => Status::Success,
        None if record.sqlstate.is_none() => Status::Unknown,
        None
        | Some(
            EndedBy::Error
            | EndedBy::Denied
            | EndedBy::Skipped
            | EndedBy::ClientCancel
            | EndedBy::ClientDisconnect
            | EndedBy::UpstreamDisconnect
            | EndedBy::GrantExpired
            | EndedBy::GrantRevoked
            | EndedBy::Killed
            | EndedBy::RowLimit
            | EndedBy::ByteLimit
            | EndedBy::Export
            | EndedBy::Shutdown
            | EndedBy::ProtocolViolation
            | EndedBy::Timeout
            | EndedBy::Fault,
        ) => Status::Failure,
    }
}

/// By the first word of a statement's kind or of PostgreSQL's command tag.
fn datastore_activity(kind: Option<&str>) -> (u8, String) {
    let kind = kind.unwrap_or_default();
    let first = kind.split(' ').next().unwrap_or_default().to_ascii_uppercase();
    let (activity, name) = match first.as_str() {
        "SELECT" | "VALUES" | "TABLE" | "FETCH" => (4, "Query"),
        "INSERT" | "MERGE" => (5, "Write"),
        "UPDATE" => (2, "Update"),
        "DELETE" | "TRUNCATE" => (7, "Delete"),
        "" => (0, "Unknown"),
        _ => (OTHER, kind),
    };
    (activity, name.to_owned())
}
