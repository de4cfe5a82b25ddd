//! One entry of the journal, with the fields that PRODUCT.md fixes.

use jiff::Timestamp;

use crate::access::{GrantId, Operation, Region, RequestId, SessionId};

/// What an entry speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A statement before it was forwarded, or refused.
    Statement,
    /// The same statement's end; [`Record::statement_seq`] names the first.
    StatementEnd,
    SessionOpen,
    SessionClose,
    LoginDenied,
    StartupRefused,
    Cancel,
    RequestFiled,
    RequestApproved,
    RequestDenied,
    RequestWithdrawn,
    GrantCreated,
    GrantRevoked,
    CredentialMinted,
    SessionKilled,
    ConfigReloaded,
    ConfigRefused,
    JournalOpened,
    /// A torn tail was cut at the last whole record.
    JournalRecovered,
    JournalClosed,
    /// A message that went to the database and is no statement's own: an empty query, or a Bind, Describe or Close that no
    /// statement's record of the same moment speaks for. It has no end.
    Message,
    /// The control port refused a caller: no valid token, or an act that is not theirs to do.
    AccessRefused,
    /// Texts became unreadable because their time ended; `detail` names the buckets.
    RecordsPurged,
    /// Records that meet a filter are kept beyond their time.
    HoldPlaced,
    HoldReleased,
    /// From here on checkpoints bear the signature of another key.
    KeyRotated,
    /// A witness has not answered for too long, or contradicts the log.
    WitnessSilent,
    /// It answers again.
    WitnessHeard,
    /// A sink fell behind, caught up, was given up, or came too late for records; [`Record::detail`] says which.
    SinkState,
    /// What a pending request asks for was changed: earlier approvals no longer count.
    RequestEdited,
    /// Nobody decided on a request in time.
    RequestExpired,
    /// A grant was opened at once, without approval, by who may do so in an emergency.
    BreakGlassOpened,
    /// Somebody else has looked at what was done under such a grant.
    ReviewClosed,
    /// Nobody has yet, and it is late.
    ReviewOverdue,
    /// A grant ends soon.
    GrantEnding,
    /// A grant's time ran out.
    GrantExpired,
    /// A statement that lacks nothing but a grant waits for the approvers; [`Record::detail`] says what became of it.
    StatementHeld,
    /// What a principal does is not what it did so far; [`Record::rule`] says by which rule.
    UnusualAccess,
    /// What a principal did that was unusual has been looked at: its statements run again.
    AccessReleased,
    /// Rows past their time begin to be purged or anonymised.
    RetentionRun,
    /// That is over; [`Record::detail`] says what was done.
    RetentionRunEnd,
    /// Rows of one transaction, before it commits.
    RetentionBatch,
    /// What became of it; [`Record::statement_seq`] names the first.
    RetentionBatchEnd,
    /// Rows of a database are to stay whatever their time.
    DataHoldPlaced,
    DataHoldReleased,
    /// Somebody logged in to the control port through a browser or the identity provider.
    ControlLogin,
    /// Their session there ended.
    ControlLogout,
    /// A message about one of these could not be delivered, and is given up.
    NotificationFailed,
}

impl Event {
    /// The word that records have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::StatementEnd => "statement_end",
            Self::SessionOpen => "session_open",
            Self::SessionClose => "session_close",
            Self::LoginDenied => "login_denied",
            Self::StartupRefused => "startup_refused",
            Self::Cancel => "cancel",
            Self::RequestFiled => "request_filed",
            Self::RequestApproved => "request_approved",
            Self::RequestDenied => "request_denied",
            Self::RequestWithdrawn => "request_withdrawn",
            Self::GrantCreated => "grant_created",
            Self::GrantRevoked => "grant_revoked",
            Self::CredentialMinted => "credential_minted",
            Self::SessionKilled => "session_killed",
            Self::ConfigReloaded => "config_reloaded",
            Self::ConfigRefused => "config_refused",
            Self::JournalOpened => "journal_opened",
            Self::JournalRecovered => "journal_recovered",
            Self::JournalClosed => "journal_closed",
            Self::RecordsPurged => "records_purged",
            Self::HoldPlaced => "hold_placed",
            Self::HoldReleased => "hold_released",
            Self::KeyRotated => "key_rotated",
            Self::WitnessSilent => "witness_silent",
            Self::WitnessHeard => "witness_heard",
            Self::Message => "message",
            Self::SinkState => "sink_state",
            Self::RequestEdited => "request_edited",
            Self::RequestExpired => "request_expired",
            Self::BreakGlassOpened => "break_glass_opened",
            Self::ReviewClosed => "review_closed",
            Self::ReviewOverdue => "review_overdue",
            Self::GrantEnding => "grant_ending",
            Self::GrantExpired => "grant_expired",
            Self::StatementHeld => "statement_held",
            Self::UnusualAccess => "unusual_access",
            Self::AccessReleased => "access_released",
            Self::RetentionRun => "retention_run",
            Self::RetentionRunEnd => "retention_run_end",
            Self::RetentionBatch => "retention_batch",
            Self::RetentionBatchEnd => "retention_batch_end",
            Self::DataHoldPlaced => "data_hold_placed",
            Self::DataHoldReleased => "data_hold_released",
            Self::ControlLogin => "control_login",
            Self::ControlLogout => "control_logout",
            Self::NotificationFailed => "notification_failed",
            Self::AccessRefused => "access_refused",
        }
    }
}

/// How the client sent a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Simple,
    Extended,
    Copy,
    Function,
}

impl Protocol {
    /// The word that records have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::Copy => "copy",
            Self::Function => "function",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordedVerdict {
    Allow,
    Deny,
}

impl RecordedVerdict {
    /// The word that records have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// One relation that a statement touches.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RecordedRelation {
    /// `schema.name`
    pub name: String,
    pub operation: Operation,
    /// Sorted names; `["*"]` is the whole row.
    pub columns: Vec<String>,
}

/// How a statement or session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// It ran to its end.
    Completed,
    /// PostgreSQL refused or failed it.
    Error,
    /// pgward refused it.
    Denied,
    /// An earlier error in the same batch skipped it.
    Skipped,
    ClientCancel,
    ClientDisconnect,
    UpstreamDisconnect,
    GrantExpired,
    GrantRevoked,
    Killed,
    RowLimit,
    ByteLimit,
    /// As much has left its region as may.
    Export,
    Shutdown,
    ProtocolViolation,
    /// It ran longer than its scope lets it.
    Timeout,
    /// A fault of pgward's own.
    Fault,
}

impl EndedBy {
    /// The word that records have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Error => "error",
            Self::Denied => "denied",
            Self::Skipped => "skipped",
            Self::ClientCancel => "client_cancel",
            Self::ClientDisconnect => "client_disconnect",
            Self::UpstreamDisconnect => "upstream_disconnect",
            Self::GrantExpired => "grant_expired",
            Self::GrantRevoked => "grant_revoked",
            Self::Killed => "killed",
            Self::RowLimit => "row_limit",
            Self::ByteLimit => "byte_limit",
            Self::Export => "export",
            Self::Shutdown => "shutdown",
            Self::ProtocolViolation => "protocol_violation",
            Self::Timeout => "timeout",
            Self::Fault => "fault",
        }
    }
}

/// One entry. Fields that do not apply are left out.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    pub time: Timestamp,
    /// Position in the journal, from 1. The journal gives it: whatever stands here before is overwritten.
    #[serde(default)]
    pub seq: u64,
    pub event: Event,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Position among the session's own records, from 1, which is its `session_open`. The journal gives it, whatever stands
    /// here before, so that a record that could not be made leaves no gap; records after the session's close have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_addr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_region: Option<Region>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_region: Option<Region>,
    /// The region whose data the statement touches, if it is not the upstream's own: the record is kept in that region's
    /// `audit.dir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_region: Option<Region>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The whole text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// The rules by which something was taken out of the statement, its parameters or the detail: `password`, `connection`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// Bind values as text, or `\x…` for binary ones that cannot be read; `null` is NULL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Option<String>>>,
    /// How many bind values there were, where they themselves are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<RecordedRelation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<RecordedVerdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u64>,
    /// On an end record: `seq` of the record before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// Anything else that a reader needs to understand the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Record {
    /// An entry with nothing but its time and event.
    #[must_use]
    pub fn new(time: Timestamp, event: Event) -> Self {
        Self {
            time,
            seq: 0,
            event,
            session: None,
            session_seq: None,
            principal: None,
            groups: Vec::new(),
            client_addr: None,
            client_region: None,
            application_name: None,
            database: None,
            upstream_region: None,
            data_region: None,
            grant: None,
            request: None,
            scope: None,
            reason: None,
            ticket: None,
            approvers: Vec::new(),
            protocol: None,
            statement: None,
            redacted: Vec::new(),
            parameters: None,
            parameter_count: None,
            fingerprint: None,
            kind: None,
            relations: Vec::new(),
            verdict: None,
            rule: None,
            policy_version: None,
            statement_seq: None,
            sqlstate: None,
            command_tag: None,
            rows: None,
            bytes: None,
            duration_us: None,
            ended_by: None,
            detail: None,
        }
    }
}
