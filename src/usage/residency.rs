//! Where classified data lies, who touched it from where, what left its region, and what was refused: each figure with the records
//! that it was counted from.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::ObjectPattern;
use crate::audit::{Event, Record, RecordedVerdict};

/// Numbers of records that a figure names; beyond it, the first and the last.
const NAMED: usize = 20;

/// What the configuration says of some data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    pub on: ObjectPattern,
    pub columns: Option<Vec<String>>,
    /// Where it lies.
    pub region: String,
    /// From where it may be touched; `None` is anywhere.
    pub clients: Option<Vec<String>>,
    /// What may leave, in words.
    pub export: String,
    pub labels: Vec<String>,
}

/// One upstream of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// `shop`, or `shop@us`
    pub database: String,
    pub region: String,
    /// Host, port and database; no credential.
    pub upstream: String,
}

/// The journal that the figures were counted over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The newest signed checkpoint, as it stands.
    pub checkpoint: Option<String>,
    /// The newest record that was counted over.
    pub last_record: u64,
    /// How to count again, and how to prove one record.
    pub recount: Vec<String>,
}

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResidencyReport {
    pub made_at: String,
    pub since: String,
    pub until: String,
    pub places: Vec<Place>,
    pub relations: Vec<Residency>,
    pub proof: Proof,
    /// What of the period is not covered, and other things that a reader has to know.
    pub notes: Vec<String>,
}

/// One classified relation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residency {
    pub database: String,
    pub relation: String,
    /// The classified columns, where not all of it is.
    pub columns: Option<Vec<String>>,
    pub region: String,
    pub clients: Option<Vec<String>>,
    pub export: String,
    pub labels: Vec<String>,
    /// Statements that ran, and the rows that they returned or changed.
    pub allowed: Figure,
    /// Of them, those of clients outside the data's region.
    pub exported: BTreeMap<String, Figure>,
    pub refused: Figure,
    pub touches: Vec<Touch>,
}

/// A number, and the records that it was counted from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    pub statements: u64,
    pub rows: u64,
    /// Numbers of records: all, or the first ones where there are many.
    pub records: Vec<u64>,
    pub first_record: Option<u64>,
    pub last_record: Option<u64>,
}

/// One principal from one region, to one end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    pub principal: String,
    /// `None`: no declared network holds the address.
    pub client_region: Option<String>,
    pub addresses: BTreeSet<String>,
    /// The rule that refused; none where it ran.
    pub refused_by: Option<String>,
    pub first: String,
    pub last: String,
    pub figure: Figure,
}

impl Figure {
    fn count(&mut self, seq: u64, rows: u64) {
        self.statements += 1;
        self.rows += rows;
        self.records.push(seq);
        // Sorted now and then, so that no more is held than is told.
        if self.records.len() > NAMED * 4 {
            self.settle();
        }
        self.first_record = Some(self.first_record.map_or(seq, |first| first.min(seq)));
        self.last_record = Some(self.last_record.map_or(seq, |last| last.max(seq)));
    }

    fn settle(&mut self) {
        self.records.sort_unstable();
        self.records.truncate(NAMED);
    }
}

/// Principal, region, and the rule that refused.
type Who = (String, Option<String>, Option<String>);
/// With the first instant and the last.
type Touches = BTreeMap<Who, (Touch, Timestamp, Timestamp)>;
type Counted<'a> = (&'a Class, Residency, Touches);

/// Counts, record by record, in whichever order they come.
#[derive(Debug)]
pub struct Counting<'a> {
    relations: Vec<Counted<'a>>,
    /// Rows of statements that ended and were not seen yet.
    ends: BTreeMap<u64, u64>,
    /// Statements that were seen and did not end yet: by record, where they were counted.
    open: BTreeMap<u64, Vec<(usize, Who)>>,
}

impl<'a> Counting<'a> {
    /// `relations`: database, relation, and the class that speaks of it.
    #[must_use]
    pub fn of(relations: Vec<(String, String, &'a Class)>) -> Self {
        let residency = |database: String, relation: String, class: &Class| Residency {
            database,
            relation,
            columns: class.columns.clone(),
            region: class.region.clone(),
            clients: class.clients.clone(),
            export: class.export.clone(),
            labels: class.labels.clone(),
            ..Residency::default()
        };
        let relations = relations
            .into_iter()
            .map(|(database, relation, class)| (class, residency(database, relation, class), BTreeMap::new()));
        Self { relations: relations.collect(), ends: BTreeMap::new(), open: BTreeMap::new() }
    }

    pub fn take(&mut self, record: &Record) {
        match record.event {
            Event::Statement => self.statement(record),
            Event::StatementEnd => {
                if let Some(statement) = record.statement_seq {
                    self.end(statement, record.rows.unwrap_or_default());
                }
            }
            _no_statement => {}
        }
    }

    fn statement(&mut self, record: &Record) {
        let Some(database) = &record.database else { return };
        let rows = self.ends.remove(&record.seq);
        for (at, (class, residency, touches)) in self.relations.iter_mut().enumerate() {
            let is_meant = |touched: &crate::audit::RecordedRelation| {
                touched.name == residency.relation
                    && class.columns.as_ref().is_none_or(|classed| {
                        touched.columns.iter().any(|column| column == "*" || classed.contains(column))
                    })
            };
            if residency.database != *database || !record.relations.iter().any(is_meant) {
                continue;
            }
            let ran = record.verdict != Some(RecordedVerdict::Deny);
            let rule = (!ran).then(|| record.rule.clone().unwrap_or_else(|| "-".to_owned()));
            let region = record.client_region.as_ref().map(|region| region.as_str().to_owned());
            let who = (record.principal.clone().unwrap_or_else(|| "-".to_owned()), region, rule);
            count(residency, touches, &who, record, rows.unwrap_or_default());
            if ran && rows.is_none() {
                self.open.entry(record.seq).or_default().push((at, who));
            }
        }
    }

    /// The end of a statement that was, or will be, seen.
    fn end(&mut self, statement: u64, rows: u64) {
        let Some(counted) = self.open.remove(&statement) else {
            self.ends.insert(statement, rows);
            return;
        };
        for (at, who) in counted {
            let Some((class, residency, touches)) = self.relations.get_mut(at) else { continue };
            residency.allowed.rows += rows;
            if let Some(region) = left(class, who.1.as_deref()) {
                residency.exported.entry(region).or_default().rows += rows;
            }
            if let Some((touch, _, _)) = touches.get_mut(&who) {
                touch.figure.rows += rows;
            }
        }
    }

    #[must_use]
    pub fn relations(self) -> Vec<Residency> {
        let finish = |(_, mut residency, touches): Counted<'_>| {
            residency.touches = touches.into_values().map(|(touch, _, _)| touch).collect();
            let figures = residency.touches.iter_mut().map(|touch| &mut touch.figure);
            figures.chain(residency.exported.values_mut()).for_each(Figure::settle);
            residency.allowed.settle();
            residency.refused.settle();
            residency
        };
        self.relations.into_iter().map(finish).collect()
    }
}

/// Where data went, if that is not where it lies.
fn left(class: &Class, client: Option<&str>) -> Option<String> {
    let client = client.unwrap_or("no declared region");
    (client != class.region).then(|| client.to_owned())
}

fn count(residency: &mut Residency, touches: &mut Touches, who: &Who, record: &Record, rows: u64) {
    let (principal, region, rule) = who;
    if rule.is_some() {
        residency.refused.count(record.seq, 0);
    } else {
        residency.allowed.count(record.seq, rows);
        let elsewhere = region.as_deref().unwrap_or("no declared region");
        if elsewhere != residency.region {
            residency.exported.entry(elsewhere.to_owned()).or_default().count(record.seq, rows);
        }
    }
    let (touch, first, last) = touches.entry(who.clone()).or_insert_with(|| {
        let touch = Touch {
            principal: principal.clone(),
            client_region: region.clone(),
            addresses: BTreeSet::new(),
            refused_by: rule.clone(),
            first: String::new(),
            last: String::new(),
            figure: Figure::default(),
        };
        (touch, record.time, record.time)
    });
    (*first, *last) = ((*first).min(record.time), (*last).max(record.time));
    (touch.first, touch.last) = (first.to_string(), last.to_string());
    if touch.addresses.len() < NAMED {
        touch.addresses.extend(record.client_addr.as_deref().map(address));
    }
    touch.figure.count(record.seq, rows);
}

/// Without the port, which is another one with each connection.
fn address(text: &str) -> String {
    text.parse::<std::net::SocketAddr>().map_or_else(|_| text.to_owned(), |address| address.ip().to_string())
}
