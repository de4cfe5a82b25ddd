//! The story of a statement: what led to it, the statement, its end, and the session around it.

use std::collections::HashSet;

use super::canonical::find;
use super::find::{Finder, Found};
use super::index::{Key, Tag, key};
use super::plan::Plan;
use super::search::{Filter, MAX_RESULTS};
use super::{Entry, Event, Places, ReadError, Record};
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
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Statement {
    pub statement: Record,
    /// `None` while it runs.
    pub end: Option<Record>,
}

/// What the journal tells, each list oldest first.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Story {
    /// Requests, approvals, grants and revocations that the statements rest on.
    pub access: Vec<Record>,
    /// The openings and ends of the sessions.
    pub sessions: Vec<Record>,
    pub statements: Vec<Statement>,
    /// The record that was asked for, where it is no statement.
    pub other: Vec<Record>,
}

impl Story {
    /// Whether nothing was found but perhaps what leads to something.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.sessions.is_empty() && self.other.is_empty()
    }
}

/// Statements that one story holds at most: the newest.
const MAX_STATEMENTS: usize = 1000;

/// Tells the story of `selector`, as far as `visible` lets its statements be seen. What led to a statement may be read by
/// whoever may read the statement.
///
/// # Errors
/// Where the files cannot be read or are damaged.
pub fn story(
    places: impl Into<Places>,
    selector: &Selector,
    visible: impl Fn(&Record) -> bool,
) -> Result<Story, ReadError> {
    Finder::new(places).story(selector, visible)
}

impl Finder {
    /// What [`story`] tells, of the journal that this finder searches.
    ///
    /// # Errors
    /// Where the files cannot be read or are damaged.
    pub fn story(&self, selector: &Selector, visible: impl Fn(&Record) -> bool) -> Result<Story, ReadError> {
        let mut threads = Threads::default();
        let mut story = Story::default();
        for Found { entry, end } in self.choose(selector, &visible)? {
            threads.follow(&entry.record);
            if entry.record.event == Event::Statement {
                story.statements.push(Statement { statement: entry.record, end });
            } else {
                story.other.push(entry.record);
            }
        }
        if let Selector::Session(session) = selector {
            threads.sessions.insert(session.clone());
        }
        let known: HashSet<u64> = story.other.iter().map(|record| record.seq).collect();
        let is_new = |record: &Record| !known.contains(&record.seq);
        let may_all = !story.statements.is_empty();
        let sessions = self.around(&threads, |record| is_new(record) && (may_all || visible(record)))?;
        story.sessions = sessions;
        story.access = self.leading(&mut threads)?.into_iter().filter(is_new).collect();
        Ok(story)
    }

    fn choose(&self, selector: &Selector, visible: &impl Fn(&Record) -> bool) -> Result<Vec<Found>, ReadError> {
        let filter = Filter { event: Some(Event::Statement), ..Filter::default() };
        let filter = match selector {
            Selector::Seq(seq) => {
                let at = |seq: u64| -> Result<Option<Record>, ReadError> {
                    Ok(self.record(seq)?.map(|entry| entry.record).filter(|record| visible(record)))
                };
                let Some(record) = at(*seq)? else { return Ok(Vec::new()) };
                let statement = match record.statement_seq {
                    Some(statement) => at(statement)?,
                    None => None,
                };
                return self.with_end(statement.unwrap_or(record)).map(|found| vec![found]);
            }
            Selector::Session(session) => Filter { session: Some(session.as_str().to_owned()), ..filter },
            Selector::Fingerprint(fingerprint) => Filter { fingerprint: Some(fingerprint.clone()), ..filter },
        };
        let prepared = filter.prepare();
        let plan = Plan::of(&prepared, MAX_STATEMENTS).with_ends();
        let exact = |record: &Record, end: Option<&Record>| prepared.matches(record, end) && visible(record);
        self.find(&plan, &|canonical| prepared.sieve.lets_through(canonical), &exact)
    }

    /// A record, with its end where it is a statement.
    fn with_end(&self, record: Record) -> Result<Found, ReadError> {
        let canonical = super::canonical::to_string(&record).into_bytes();
        let found = |end: Option<Record>| Found { end, entry: Entry { record: record.clone(), canonical } };
        if record.event != Event::Statement {
            return Ok(found(None));
        }
        // The end has a later number; nothing but the statement itself narrows the search among the statements before it.
        let exact = |other: &Record, _: Option<&Record>| other.seq == record.seq;
        let mut conditions = vec![vec![key(Tag::Event, Event::Statement.as_str())]];
        conditions.extend(record.session.as_ref().map(|session| vec![key(Tag::Session, session.as_str())]));
        let plan = Plan::new(conditions, 1).with_ends().only(record.seq);
        let needle = format!("\"seq\":{},", record.seq).into_bytes();
        let mut ends = self.find(&plan, &|canonical| find(&needle, canonical).is_some(), &exact)?;
        Ok(found(ends.pop().and_then(|found| found.end)))
    }

    /// The openings and ends of the sessions.
    fn around(&self, threads: &Threads, wanted: impl Fn(&Record) -> bool) -> Result<Vec<Record>, ReadError> {
        if threads.sessions.is_empty() {
            return Ok(Vec::new());
        }
        let conditions = vec![
            SESSION_EVENTS.iter().map(|event| key(Tag::Event, event.as_str())).collect(),
            threads.sessions.iter().map(|session| key(Tag::Session, session.as_str())).collect(),
        ];
        self.gather(conditions, |record| {
            SESSION_EVENTS.contains(&record.event)
                && record.session.as_ref().is_some_and(|session| threads.sessions.contains(session))
                && wanted(record)
        })
    }

    /// The requests, approvals, grants and revocations that the threads lead to. A statement names its grant, the grant's
    /// record its request, so that each round may find what the next one begins with.
    fn leading(&self, threads: &mut Threads) -> Result<Vec<Record>, ReadError> {
        let mut found = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let named = (threads.grants.len(), threads.requests.len());
            let grants = threads.grants.iter().map(|grant| key(Tag::Grant, grant.as_str()));
            let keys: Vec<Key> =
                grants.chain(threads.requests.iter().map(|request| key(Tag::Request, request.as_str()))).collect();
            if keys.is_empty() {
                break;
            }
            let events = ACCESS_EVENTS.iter().map(|event| key(Tag::Event, event.as_str())).collect();
            found = self
                .gather(vec![events, keys], |record| ACCESS_EVENTS.contains(&record.event) && threads.holds(record))?;
            found.iter().for_each(|record| threads.follow(record));
            if named == (threads.grants.len(), threads.requests.len()) {
                break;
            }
        }
        Ok(found)
    }

    /// Every record that is no statement and is wanted.
    fn gather(&self, conditions: Vec<Vec<Key>>, wanted: impl Fn(&Record) -> bool) -> Result<Vec<Record>, ReadError> {
        let plan = Plan::new(conditions, MAX_RESULTS);
        let found = self.find(&plan, &is_no_statement, &|record, _| wanted(record))?;
        Ok(found.into_iter().map(|found| found.entry.record).collect())
    }
}

/// Statements and their ends are the bulk of a journal.
fn is_no_statement(canonical: &[u8]) -> bool {
    const STATEMENT: &[u8] = b",\"event\":\"statement";
    let head = canonical.get(..canonical.len().min(128)).unwrap_or_default();
    find(STATEMENT, head).is_none()
}

/// The ids by which other records belong to the story.
#[derive(Debug, Default)]
struct Threads {
    sessions: HashSet<SessionId>,
    grants: HashSet<GrantId>,
    requests: HashSet<RequestId>,
}

impl Threads {
    fn follow(&mut self, record: &Record) {
        self.sessions.extend(record.session.clone());
        self.grants.extend(record.grant.clone());
        self.requests.extend(record.request.clone());
    }

    fn holds(&self, record: &Record) -> bool {
        record.grant.as_ref().is_some_and(|id| self.grants.contains(id))
            || record.request.as_ref().is_some_and(|id| self.requests.contains(id))
    }
}

const SESSION_EVENTS: [Event; 6] = [
    Event::SessionOpen,
    Event::SessionClose,
    Event::SessionKilled,
    Event::Cancel,
    Event::LoginDenied,
    Event::StartupRefused,
];

const ACCESS_EVENTS: [Event; 6] = [
    Event::RequestFiled,
    Event::RequestApproved,
    Event::RequestDenied,
    Event::RequestWithdrawn,
    Event::GrantCreated,
    Event::GrantRevoked,
];

/// A request leads to its grant and a grant to its request: two rounds find everything, one more finds that out.
const MAX_ROUNDS: usize = 3;
