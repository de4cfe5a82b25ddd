//! A session as psql would have shown it, without the rows: what the journal holds of it, told in the order in which it
//! came. Nothing is run again, and nothing is shown that was not recorded.

mod conditions;
mod transcript;

use jiff::Timestamp;

use super::find::{Finder, Found};
use super::index::{Tag, key};
use super::plan::Plan;
use super::search::MAX_RESULTS;
use super::{EndedBy, Event, ReadError, Record, RecordedVerdict};
use crate::access::SessionId;
use transcript::Transaction;

/// One session, from its opening to its end.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Replay {
    pub session: String,
    pub principal: Option<String>,
    pub database: Option<String>,
    pub client_addr: Option<String>,
    pub client_region: Option<String>,
    pub application_name: Option<String>,
    pub opened: Option<Timestamp>,
    /// `None` while it is open, or where its end was not recorded.
    pub closed: Option<Timestamp>,
    pub ended_by: Option<EndedBy>,
    /// What was recorded of its end.
    pub detail: Option<String>,
    /// Older statements than these were left out.
    pub truncated: bool,
    pub steps: Vec<Step>,
}

/// One statement, or something else that befell the session.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    pub seq: u64,
    pub time: Timestamp,
    pub event: Event,
    /// psql's, up to the blank behind it; of a line that goes on, `=` is `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<RecordedVerdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What psql would have printed but for the rows, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
    /// What psql does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
}

/// Statements that one replay holds at most: the newest.
const MAX_STEPS: usize = 10_000;

impl Finder {
    /// Replays a session, as far as `visible` lets its records be seen; `None` where nothing of it is.
    ///
    /// # Errors
    /// Where the files cannot be read or are damaged.
    pub fn replay(&self, session: &SessionId, visible: impl Fn(&Record) -> bool) -> Result<Option<Replay>, ReadError> {
        let is_its = |record: &Record| record.session.as_ref() == Some(session) && visible(record);
        let its = || vec![key(Tag::Session, session.as_str())];
        let needle = format!(":{}", serde_json::Value::from(session.as_str())).into_bytes();
        let may_match = |canonical: &[u8]| super::canonical::find(&needle, canonical).is_some();

        let statements = vec![its(), vec![key(Tag::Event, Event::Statement.as_str())]];
        let plan = Plan::new(statements, MAX_STEPS + 1).with_ends();
        let is_statement = |record: &Record, _: Option<&Record>| record.event == Event::Statement && is_its(record);
        let mut told = self.find(&plan, &may_match, &is_statement)?;
        let surplus = told.len().saturating_sub(MAX_STEPS);
        told.drain(..surplus);

        let others = AROUND.iter().map(|event| key(Tag::Event, event.as_str())).collect();
        let plan = Plan::new(vec![its(), others], MAX_RESULTS);
        let is_around = |record: &Record, _: Option<&Record>| AROUND.contains(&record.event) && is_its(record);
        told.extend(self.find(&plan, &may_match, &is_around)?);
        told.sort_by_key(|found| found.entry.record.seq);
        if told.is_empty() {
            return Ok(None);
        }
        Ok(Some(Replay { truncated: surplus > 0, ..Replay::of(session, told) }))
    }
}

/// What befalls a session besides its statements.
const AROUND: [Event; 6] = [
    Event::SessionOpen,
    Event::SessionClose,
    Event::SessionKilled,
    Event::Cancel,
    Event::LoginDenied,
    Event::StartupRefused,
];

impl Replay {
    fn of(session: &SessionId, told: Vec<Found>) -> Self {
        let mut replay = Self { session: session.to_string(), ..Self::default() };
        let mut transaction = Transaction::Idle;
        for Found { entry, end } in told {
            let record = entry.record;
            replay.introduce(&record);
            match record.event {
                Event::Statement => {
                    let step = statement(&record, end.as_ref(), transaction);
                    transaction = transaction.after(&record, end.as_ref());
                    replay.steps.push(step);
                }
                Event::SessionOpen => replay.opened = Some(record.time),
                Event::SessionClose => {
                    replay.closed = Some(record.time);
                    replay.ended_by = record.ended_by;
                    replay.detail = record.detail;
                }
                Event::SessionKilled | Event::Cancel | Event::LoginDenied | Event::StartupRefused => {
                    replay.steps.push(other(record));
                }
                // Not among what was looked for.
                Event::StatementEnd
                | Event::Message
                | Event::SinkState
                | Event::RequestEdited
                | Event::RequestExpired
                | Event::BreakGlassOpened
                | Event::ReviewClosed
                | Event::ReviewOverdue
                | Event::GrantEnding
                | Event::GrantExpired
                | Event::StatementHeld
                | Event::UnusualAccess
                | Event::AccessReleased
                | Event::RetentionRun
                | Event::RetentionRunEnd
                | Event::DataHoldPlaced
                | Event::DataHoldReleased
                | Event::RetentionBatch
                | Event::RetentionBatchEnd
                | Event::ControlLogin
                | Event::ControlLogout
                | Event::NotificationFailed
                | Event::AccessRefused
                | Event::RequestFiled
                | Event::RequestApproved
                | Event::RequestDenied
                | Event::RequestWithdrawn
                | Event::GrantCreated
                | Event::GrantRevoked
                | Event::CredentialMinted
                | Event::ConfigReloaded
                | Event::ConfigRefused
                | Event::JournalOpened
                | Event::JournalRecovered
                | Event::JournalClosed
                | Event::RecordsPurged
                | Event::HoldPlaced
                | Event::HoldReleased
                | Event::KeyRotated
                | Event::WitnessSilent
                | Event::WitnessHeard => {}
            }
        }
        replay
    }

    /// Takes from a record what the whole session has in common.
    fn introduce(&mut self, record: &Record) {
        let take = |known: &mut Option<String>, told: Option<String>| *known = known.take().or(told);
        // Its address is that of whoever killed the session.
        if record.event == Event::SessionKilled {
            return;
        }
        take(&mut self.principal, record.principal.clone());
        take(&mut self.database, record.database.clone());
        take(&mut self.client_addr, record.client_addr.clone());
        take(&mut self.client_region, record.client_region.as_ref().map(ToString::to_string));
        take(&mut self.application_name, record.application_name.clone());
    }
}

fn statement(record: &Record, end: Option<&Record>, transaction: Transaction) -> Step {
    Step {
        seq: record.seq,
        time: record.time,
        event: record.event,
        prompt: Some(transaction.prompt(record.database.as_deref().unwrap_or_default())),
        statement: record.statement.clone(),
        parameters: record.parameters.clone(),
        verdict: record.verdict,
        rule: record.rule.clone(),
        output: transcript::output(record, end),
        notes: transcript::notes(record, end),
        duration_us: end.and_then(|end| end.duration_us),
    }
}

fn other(record: Record) -> Step {
    let detail = record.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    let note = format!("{}{detail}", record.event.as_str().replace('_', " "));
    let state = record.sqlstate.map(|state| format!("FATAL:  {}", conditions::named(&state)));
    Step {
        seq: record.seq,
        time: record.time,
        event: record.event,
        prompt: None,
        statement: None,
        parameters: None,
        verdict: record.verdict,
        rule: record.rule,
        output: state.into_iter().collect(),
        notes: vec![note],
        duration_us: None,
    }
}
