//! The story of a statement: what led to it, the statement, its end, and the session around it.

use std::collections::HashSet;
use std::path::Path;

use super::canonical::find;
use super::search::{Filter, search};
use super::{Event, ReadError, Reader, Record};
use crate::access::{GrantId, RequestId, SessionId};

/// Whose story is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The record with this `seq`; where it is an end, its statement.
    Seq(u64),
    /// Every statement of this session.
    Session(SessionId),
    /// The statements with this fingerprint.
    Fingerprint(String),
}

impl Selector {
    /// Digits are a `seq`, `se_…` is a session, anything else a fingerprint.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(seq) => Self::Seq(seq),
            Err(_) if text.starts_with("se_") => Self::Session(SessionId::from_text(text)),
            Err(_) => Self::Fingerprint(text.to_owned()),
        }
    }
}

/// A statement and what became of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Statement {
    pub statement: Record,
    /// `None` while it runs.
    pub end: Option<Record>,
}

/// What the journal tells, each list oldest first.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Story {
    /// Requests, approvals, grants and revocations that the statements rest on.
    pub access: Vec<Record>,
    /// The openings and ends of the sessions.
    pub sessions: Vec<Record>,
    pub statements: Vec<Statement>,
    /// The record that was asked for, where it is no statement.
    pub other: Vec<Record>,
}

/// Statements that one story holds at most: the newest.
const MAX_STATEMENTS: usize = 1000;

/// Tells the story of `selector`, as far as `visible` lets its statements be seen. What led to a statement may be read by
/// whoever may read the statement.
///
/// # Errors
/// Where the files cannot be read or are damaged.
pub fn story(dir: &Path, selector: &Selector, visible: impl Fn(&Record) -> bool) -> Result<Story, ReadError> {
    let chosen = choose(dir, selector, &visible)?;
    let mut threads = Threads::default();
    let mut story = Story::default();
    for record in chosen {
        threads.follow(&record);
        if record.event == Event::Statement {
            story.statements.push(Statement { statement: record, end: None });
        } else {
            story.other.push(record);
        }
    }
    if let Selector::Session(session) = selector {
        threads.sessions.insert(session.clone());
    }
    if threads.is_empty() {
        return Ok(story);
    }
    // The first record of a thread may lie anywhere before, the last anywhere after. Two passes, because a statement
    // names its grant, the grant's record its request, and the request's record comes first.
    for gather in [false, true] {
        let mut reader = Reader::new(dir, 1);
        while let Some(entry) = reader.read_if(|canonical| threads.may_hold(canonical))? {
            if gather {
                story.gather(entry.record, &threads, &visible);
            } else if is_access(entry.record.event) && threads.holds(&entry.record) {
                threads.follow(&entry.record);
            }
        }
    }
    Ok(story)
}

fn choose(dir: &Path, selector: &Selector, visible: &impl Fn(&Record) -> bool) -> Result<Vec<Record>, ReadError> {
    let filter = Filter { event: Some(Event::Statement), limit: Some(MAX_STATEMENTS), ..Filter::default() };
    let found = match selector {
        Selector::Seq(seq) => {
            let at = |seq: u64| -> Result<Option<Record>, ReadError> {
                let entry = Reader::new(dir, seq).read()?;
                Ok(entry.map(|entry| entry.record).filter(|record| record.seq == seq && visible(record)))
            };
            let record = at(*seq)?;
            let record = match record.as_ref().and_then(|record| record.statement_seq) {
                Some(statement) => at(statement)?.or(record),
                None => record,
            };
            return Ok(record.into_iter().collect());
        }
        Selector::Session(session) => {
            search(dir, &Filter { session: Some(session.as_str().to_owned()), ..filter }, visible)?
        }
        Selector::Fingerprint(fingerprint) => {
            let same = |record: &Record| record.fingerprint.as_ref() == Some(fingerprint) && visible(record);
            search(dir, &filter, same)?
        }
    };
    Ok(found.into_iter().map(|entry| entry.record).collect())
}

/// The ids by which other records belong to the story.
#[derive(Debug, Default)]
struct Threads {
    sessions: HashSet<SessionId>,
    grants: HashSet<GrantId>,
    requests: HashSet<RequestId>,
    statements: HashSet<u64>,
}

impl Threads {
    fn follow(&mut self, record: &Record) {
        self.sessions.extend(record.session.clone());
        self.grants.extend(record.grant.clone());
        self.requests.extend(record.request.clone());
        if record.event == Event::Statement {
            self.statements.insert(record.seq);
        }
    }

    fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.grants.is_empty() && self.requests.is_empty()
    }

    fn holds(&self, record: &Record) -> bool {
        record.grant.as_ref().is_some_and(|id| self.grants.contains(id))
            || record.request.as_ref().is_some_and(|id| self.requests.contains(id))
    }

    /// Statements are the bulk of a journal and are already chosen.
    fn may_hold(&self, canonical: &[u8]) -> bool {
        const STATEMENT: &[u8] = b",\"event\":\"statement\",";
        let head = canonical.get(..canonical.len().min(128)).unwrap_or_default();
        find(STATEMENT, head).is_none()
    }
}

impl Story {
    fn gather(&mut self, record: Record, threads: &Threads, visible: &impl Fn(&Record) -> bool) {
        if self.other.iter().any(|other| other.seq == record.seq) {
            return;
        }
        let in_session = record.session.as_ref().is_some_and(|id| threads.sessions.contains(id));
        if record.event == Event::StatementEnd {
            let statement = self.statements.iter_mut().find(|one| Some(one.statement.seq) == record.statement_seq);
            if let Some(statement) = statement {
                statement.end = Some(record);
            }
        } else if is_session(record.event) && in_session && (visible(&record) || !self.statements.is_empty()) {
            self.sessions.push(record);
        } else if is_access(record.event) && threads.holds(&record) {
            self.access.push(record);
        }
    }
}

fn is_session(event: Event) -> bool {
    matches!(
        event,
        Event::SessionOpen
            | Event::SessionClose
            | Event::SessionKilled
            | Event::Cancel
            | Event::LoginDenied
            | Event::StartupRefused
    )
}

fn is_access(event: Event) -> bool {
    matches!(
        event,
        Event::RequestFiled
            | Event::RequestApproved
            | Event::RequestDenied
            | Event::RequestWithdrawn
            | Event::GrantCreated
            | Event::GrantRevoked
    )
}
