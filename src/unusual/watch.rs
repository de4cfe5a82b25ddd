//! Record after record: what is unusual in it, for whose it is.

use std::collections::HashMap;

use jiff::Timestamp;

use super::habits::{Habits, network};
use super::{Action, Rule, Settings};
use crate::access::{GrantId, SessionId};
use crate::audit::{Event, Record, RecordedRelation, RecordedVerdict};

/// Principals that are remembered; of more, those who were here last.
const MOST_PRINCIPALS: usize = 10_000;
/// Findings whose repetition is kept quiet.
const MOST_TOLD: usize = 50_000;

/// Something unusual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    pub action: Action,
    pub principal: String,
    pub database: Option<String>,
    pub session: Option<SessionId>,
    pub grant: Option<GrantId>,
    /// The statement's record.
    pub statement_seq: Option<u64>,
    pub relations: Vec<RecordedRelation>,
    /// Why, in one sentence with its figures.
    pub detail: String,
}

/// Follows the journal.
#[derive(Debug)]
pub struct Watch {
    settings: Settings,
    principals: HashMap<String, Habits>,
    sessions: HashMap<SessionId, Owner>,
    /// What was told of whom, and when.
    told: HashMap<(String, Rule, String), Timestamp>,
}

/// Whose a session is: ends of statements do not say.
#[derive(Clone, Debug)]
struct Owner {
    principal: String,
    database: Option<String>,
}

impl Watch {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, principals: HashMap::new(), sessions: HashMap::new(), told: HashMap::new() }
    }

    /// Takes the next record; answers what is unusual in it.
    pub fn take(&mut self, record: &Record) -> Vec<Finding> {
        let mut found = Vec::new();
        // Whatever else happens says nothing about how data is used.
        if record.event == Event::SessionOpen {
            self.remember_session(record);
            self.opened(record, &mut found);
        } else if record.event == Event::Statement {
            self.remember_session(record);
            match record.verdict {
                Some(RecordedVerdict::Deny) => self.denied(record, &mut found),
                Some(RecordedVerdict::Allow) | None => self.ran(record, &mut found),
            }
        } else if record.event == Event::StatementEnd {
            self.ended(record, &mut found);
        } else if record.event == Event::SessionClose {
            record.session.as_ref().map(|session| self.sessions.remove(session));
        }
        found
    }

    fn opened(&mut self, record: &Record, found: &mut Vec<Finding>) {
        let remember = self.settings.remember;
        let network = record.client_addr.as_deref().and_then(network);
        let Some((habits, may_tell)) = self.habits(record) else { return };
        let new = network.filter(|network| !habits.knows_network(network, record.time, remember) && may_tell);
        if let Some(network) = new {
            let detail = format!("it never came from {network}, as far as is remembered");
            self.tell(Rule::NewNetwork, record, &network, detail, found);
        }
    }

    fn ran(&mut self, record: &Record, found: &mut Vec<Finding>) {
        let (remember, idle) = (self.settings.remember, self.settings.idle);
        let Some((habits, may_tell)) = self.habits(record) else { return };
        let mut first = Vec::new();
        for relation in record.relations.iter().filter(|relation| !is_of_catalogs(&relation.name)) {
            let name = format!("{}.{}", record.database.as_deref().unwrap_or_default(), relation.name);
            if !habits.knows_relation(&name, record.time, remember) && may_tell {
                first.push(relation.name.clone());
            }
        }
        let odd = habits.is_odd_hour(record.time).filter(|_| may_tell);
        let used = record.grant.as_ref().and_then(|grant| habits.grant_used(grant, record.time, remember));
        let rested = used.map(|used| record.time.duration_since(used).unsigned_abs()).filter(|rest| *rest >= idle);
        first.dedup();
        for relation in first {
            let detail = format!("it never touched {relation}, as far as is remembered");
            self.tell(Rule::FirstRelation, record, &relation, detail, found);
        }
        if let Some((around, known)) = odd {
            let hour = record.time.strftime("%H:00 UTC on a %A").to_string();
            let detail = format!("of {known} hours in which it worked, {around} were about {hour} or such a day");
            self.tell(Rule::OddHour, record, &hour, detail, found);
        }
        if let (Some(rest), Some(grant)) = (rested, &record.grant) {
            let detail = format!("{grant} was used after {} hours without a statement", rest.as_secs() / 3_600);
            self.tell(Rule::IdleGrant, record, grant.as_str(), detail, found);
        }
    }

    fn denied(&mut self, record: &Record, found: &mut Vec<Finding>) {
        // What a hold refuses says nothing more: a client that tries again would be held anew when it is released.
        if record.rule.as_deref() == Some(HELD) {
            return;
        }
        let (within, most) = (self.settings.denials_within, self.settings.denials);
        // Nobody has to be known for this: refusals are not a habit.
        let Some((habits, _)) = self.habits(record) else { return };
        let count = habits.denied(record.time, within, most as usize);
        if count >= most as usize {
            let detail = format!("{count} statements were refused within {} seconds", within.as_secs());
            self.tell(Rule::DenialBurst, record, "", detail, found);
        }
    }

    fn ended(&mut self, record: &Record, found: &mut Vec<Finding>) {
        let rows = record.rows.unwrap_or_default();
        let Some(owner) = record.session.as_ref().and_then(|session| self.sessions.get(session)).cloned() else {
            return;
        };
        let mut record = record.clone();
        (record.principal, record.database) = (Some(owner.principal), owner.database);
        let (factor, floor) = (self.settings.rows_factor, self.settings.rows_floor);
        let Some((habits, may_tell)) = self.habits(&record) else { return };
        let is_many =
            |rows: u64, usual: Option<u64>| usual.filter(|usual| rows > floor && rows / factor >= *usual && may_tell);
        if let Some(usual) = is_many(rows, habits.per_statement.usual()) {
            // What is unusual does not become usual by being done, nor is it told again of its hour.
            let detail =
                format!("a statement returned {rows} rows; 99 of 100 of its statements return fewer than {usual}");
            return self.tell(Rule::ManyRows, &record, "statement", detail, found);
        }
        habits.per_statement.add(rows, record.time);
        let (in_hour, usual) = habits.per_hour.add(rows, record.time);
        if let Some(usual) = is_many(in_hour, usual) {
            let detail = format!("{in_hour} rows within an hour; 99 of 100 of its hours have fewer than {usual}");
            self.tell(Rule::ManyRows, &record, "hour", detail, found);
        }
    }

    /// What is known of the record's principal, and whether it is known for long enough.
    fn habits(&mut self, record: &Record) -> Option<(&mut Habits, bool)> {
        let principal = record.principal.as_ref()?;
        if !self.principals.contains_key(principal) {
            if self.principals.len() >= MOST_PRINCIPALS {
                self.forget_principals();
            }
            self.principals.insert(principal.clone(), Habits::new(record.time));
        }
        let habits = self.principals.get_mut(principal)?;
        habits.last = record.time;
        let is_known = record.time.duration_since(habits.since).unsigned_abs() >= self.settings.learn;
        Some((habits, is_known))
    }

    fn forget_principals(&mut self) {
        let mut times: Vec<_> = self.principals.values().map(|habits| habits.last).collect();
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied();
        self.principals.retain(|_, habits| Some(habits.last) > middle);
    }

    fn remember_session(&mut self, record: &Record) {
        if let (Some(session), Some(principal)) = (&record.session, &record.principal) {
            let owner = || Owner { principal: principal.clone(), database: record.database.clone() };
            self.sessions.entry(session.clone()).or_insert_with(owner);
        }
    }

    /// Adds a finding, unless the same was told a moment ago.
    fn tell(&mut self, rule: Rule, record: &Record, subject: &str, detail: String, found: &mut Vec<Finding>) {
        let action = self.settings.action(rule);
        let Some(principal) = record.principal.clone().filter(|_| action != Action::Off) else { return };
        if !self.is_news(&principal, rule, subject, record.time) {
            return;
        }
        found.push(Finding {
            rule,
            action,
            principal,
            database: record.database.clone(),
            session: record.session.clone(),
            grant: record.grant.clone(),
            statement_seq: (record.event == Event::Statement).then_some(record.seq).or(record.statement_seq),
            relations: record.relations.clone(),
            detail,
        });
    }

    fn is_news(&mut self, principal: &str, rule: Rule, subject: &str, at: Timestamp) -> bool {
        let quiet = self.settings.quiet;
        if self.told.len() >= MOST_TOLD {
            self.told.retain(|_, told| at.duration_since(*told).unsigned_abs() < quiet);
        }
        let told = self.told.insert((principal.to_owned(), rule, subject.to_owned()), at);
        let is_repeated = told.is_some_and(|told| at.duration_since(told).unsigned_abs() < quiet);
        if let (true, Some(told)) = (is_repeated, told) {
            // The quiet begins with what was told.
            self.told.insert((principal.to_owned(), rule, subject.to_owned()), told);
        }
        !is_repeated
    }
}

/// The rule by which statements of a principal who is held are refused.
const HELD: &str = "unusual";

/// What every client reads to find its way.
fn is_of_catalogs(relation: &str) -> bool {
    relation.starts_with("pg_catalog.") || relation.starts_with("information_schema.")
}
