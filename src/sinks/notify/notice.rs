//! What a message says, whatever carries it. Of a statement only the text that the journal holds too, without its secrets; never
//! a bind value or a row.

use jiff::Timestamp;

use super::text::{lines, one_line};
use crate::access::{AccessRequest, Requirement, spell};
use crate::audit::{Event, Record, RecordedVerdict};

/// Characters of a reason, note or detail.
const LONGEST_TEXT: usize = 600;
/// Characters of a name or a ticket.
const LONGEST_NAME: usize = 120;
/// Characters of a statement.
const LONGEST_STATEMENT: usize = 2000;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub journal: String,
    pub seq: u64,
    pub time: Timestamp,
    pub event: Event,
    /// Our own words alone.
    pub title: String,
    pub principal: Option<String>,
    pub database: Option<String>,
    pub scope: Option<String>,
    pub request: Option<String>,
    pub grant: Option<String>,
    pub reason: Option<String>,
    pub ticket: Option<String>,
    pub statement: Option<String>,
    /// Who decided or reviewed.
    pub approvers: Vec<String>,
    /// What the request asks for and needs; as it is now.
    pub asked: Option<Asked>,
    pub rule: Option<String>,
    pub detail: Option<String>,
    /// Where to look closer.
    pub link: String,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub duration_seconds: u64,
    pub starts: Option<Timestamp>,
    pub uses: Option<u32>,
    pub labels: Vec<String>,
    pub requirements: Vec<Requirement>,
    pub expires_at: Timestamp,
}

impl Notice {
    pub(super) fn new(record: &Record, request: Option<&AccessRequest>, journal: &str, base: &str) -> Self {
        let name = |text: &Option<String>| text.as_deref().map(|text| one_line(text, LONGEST_NAME));
        let text = |text: &Option<String>| text.as_deref().map(|text| one_line(text, LONGEST_TEXT));
        let id = record.request.as_ref().or(request.map(|request| &request.id)).map(|id| id.as_str().to_owned());
        let asks = is_asking(record.event);
        Self {
            journal: journal.to_owned(),
            seq: record.seq,
            time: record.time,
            event: record.event,
            title: title(record),
            principal: name(&record.principal),
            database: name(&record.database),
            scope: name(&record.scope),
            link: link(base, id.as_deref()),
            request: id,
            grant: record.grant.as_ref().map(|id| id.as_str().to_owned()),
            reason: text(&record.reason),
            ticket: name(&record.ticket),
            statement: record.statement.as_deref().map(|text| lines(text, LONGEST_STATEMENT)),
            approvers: record.approvers.iter().map(|name| one_line(name, LONGEST_NAME)).collect(),
            asked: request.map(Asked::of),
            rule: name(&record.rule),
            // The request says the same, better.
            detail: text(&record.detail).filter(|_| !asks || request.is_none()),
        }
    }

    /// The title with whom and what it is about: a subject.
    pub(super) fn headline(&self) -> String {
        let of = match (&self.scope, &self.database) {
            (Some(scope), Some(database)) => Some(format!("{scope} on {database}")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        };
        let about: Vec<String> = self.principal.iter().cloned().chain(of).collect();
        if about.is_empty() { self.title.clone() } else { format!("{}: {}", self.title, about.join(", ")) }
    }

    /// What there is to know, each with its name. Values are single lines.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts: Vec<(&'static str, String)> = Vec::new();
        let mut add = |label, value: Option<String>| {
            facts.extend(value.filter(|value| !value.is_empty()).map(|value| (label, value)))
        };
        add("Who", self.principal.clone());
        add("Scope", self.scope.clone());
        add("Database", self.database.clone());
        add("Why", self.reason.clone());
        add("Ticket", self.ticket.clone());
        if let Some(asked) = self.asked.as_ref().filter(|_| is_asking(self.event)) {
            add("For", Some(asked.period()));
            add("Labels", (!asked.labels.is_empty()).then(|| asked.labels.join(", ")));
            add("Needs", Some(asked.needs()));
            add("Until", Some(format!("{} it can be decided on", second(asked.expires_at))));
        }
        add("By", (!self.approvers.is_empty()).then(|| self.approvers.join(", ")));
        add("Rule", self.rule.clone());
        add("Detail", self.detail.clone());
        add("When", Some(second(self.time)));
        facts
    }
}

impl Asked {
    fn of(request: &AccessRequest) -> Self {
        Self {
            duration_seconds: request.duration.as_secs(),
            starts: request.starts,
            uses: request.uses,
            labels: request.labels().to_vec(),
            requirements: request.requirements.clone(),
            expires_at: request.expires_at(),
        }
    }

    fn period(&self) -> String {
        let mut words = vec![spell(std::time::Duration::from_secs(self.duration_seconds))];
        words.extend(self.starts.map(|starts| format!("from {}", second(starts))));
        words.extend(self.uses.map(|uses| format!("at most {uses} times")));
        words.join(", ")
    }

    /// `2 of @dba (the scope); 1 of @privacy (touches data labelled pii)`
    fn needs(&self) -> String {
        let of = |one: &Requirement| {
            let approvers: Vec<String> = one.approvers.iter().map(ToString::to_string).collect();
            format!("{} of {} ({})", one.count, approvers.join(", "), one.why)
        };
        one_line(&self.requirements.iter().map(of).collect::<Vec<_>>().join("; "), LONGEST_TEXT)
    }
}

/// Whether it tells that something is asked for.
fn is_asking(event: Event) -> bool {
    matches!(event, Event::RequestFiled | Event::RequestEdited)
}

fn second(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn link(base: &str, request: Option<&str>) -> String {
    match request {
        Some(id) => format!("{base}/#/requests/{id}"),
        None => format!("{base}/"),
    }
}

fn title(record: &Record) -> String {
    let title = words(record.event);
    // The journal names an act before it is done, and once more where it could not be done.
    let is_undone = record.verdict == Some(RecordedVerdict::Deny) && record.event != Event::UnusualAccess;
    if is_undone { format!("Did not take effect: {title}") } else { title.to_owned() }
}

fn words(event: Event) -> &'static str {
    match event {
        Event::RequestFiled => "Access requested",
        Event::RequestEdited => "Request edited",
        Event::RequestApproved => "Request approved",
        Event::RequestDenied => "Request denied",
        Event::RequestWithdrawn => "Request withdrawn",
        Event::RequestExpired => "Request expired",
        Event::GrantCreated => "Access granted",
        Event::GrantEnding => "Access ends soon",
        Event::GrantExpired => "Access ended",
        Event::GrantRevoked => "Access revoked",
        Event::BreakGlassOpened => "Break-glass: opened without approval",
        Event::ReviewClosed => "Review closed",
        Event::ReviewOverdue => "Review overdue",
        Event::UnusualAccess => "Unusual access",
        Event::StatementHeld => "Statement held",
        Event::Statement
        | Event::StatementEnd
        | Event::SessionOpen
        | Event::SessionClose
        | Event::LoginDenied
        | Event::StartupRefused
        | Event::Cancel
        | Event::CredentialMinted
        | Event::SessionKilled
        | Event::AccessReleased
        | Event::RetentionRun
        | Event::RetentionRunEnd
        | Event::DataHoldPlaced
        | Event::DataHoldReleased
        | Event::RetentionBatch
        | Event::RetentionBatchEnd
        | Event::ConfigReloaded
        | Event::ConfigRefused
        | Event::JournalOpened
        | Event::JournalRecovered
        | Event::JournalClosed
        | Event::Message
        | Event::AccessRefused
        | Event::RecordsPurged
        | Event::HoldPlaced
        | Event::HoldReleased
        | Event::KeyRotated
        | Event::WitnessSilent
        | Event::WitnessHeard
        | Event::SinkState
        | Event::ControlLogin
        | Event::ControlLogout
        | Event::NotificationFailed => event.as_str(),
    }
}
