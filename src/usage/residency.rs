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
    /// Of the rows, as they were sent.
    pub bytes: u64,
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

/// Rows and bytes.
type Amount = (u64, u64);

impl Figure {
    fn add(&mut self, (rows, bytes): Amount) {
        self.rows += rows;
        self.bytes += bytes;
    }

    fn count(&mut self, seq: u64, amount: Amount) {
        self.statements += 1;
        self.add(amount);
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
    /// What statements returned that ended and were not seen yet.
    ends: BTreeMap<u64, Amount>,
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
                    self.end(statement, (record.rows.unwrap_or_default(), record.bytes.unwrap_or_default()));
                }
            }
            _no_statement => {}
        }
    }

    fn statement(&mut self, record: &Record) {
        let Some(database) = &record.database else { return };
        let amount = self.ends.remove(&record.seq);
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
            count(residency, touches, &who, record, amount.unwrap_or_default());
            if ran && amount.is_none() {
                self.open.entry(record.seq).or_default().push((at, who));
            }
        }
    }

    /// The end of a statement that was, or will be, seen.
    fn end(&mut self, statement: u64, amount: Amount) {
        let Some(counted) = self.open.remove(&statement) else {
            self.ends.insert(statement, amount);
            return;
        };
        for (at, who) in counted {
            let Some((class, residency, touches)) = self.relations.get_mut(at) else { continue };
            residency.allowed.add(amount);
            if let Some(region) = left(class, who.1.as_deref()) {
                residency.exported.entry(region).or_default().add(amount);
            }
            if let Some((touch, _, _)) = touches.get_mut(&who) {
                touch.figure.add(amount);
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

fn count(residency: &mut Residency, touches: &mut Touches, who: &Who, record: &Record, amount: Amount) {
    let (principal, region, rule) = who;
    if rule.is_some() {
        residency.refused.count(record.seq, (0, 0));
    } else {
        residency.allowed.count(record.seq, amount);
        let elsewhere = region.as_deref().unwrap_or("no declared region");
        if elsewhere != residency.region {
            residency.exported.entry(elsewhere.to_owned()).or_default().count(record.seq, amount);
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
    touch.figure.count(record.seq, amount);
}

/// Without the port, which is another one with each connection.
fn address(text: &str) -> String {
    text.parse::<std::net::SocketAddr>().map_or_else(|_| text.to_owned(), |address| address.ip().to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::access::{Operation, Region};
    use crate::audit::RecordedRelation;
    use crate::usage::{ResidencyReport, page};

    fn class() -> Class {
        let on = ObjectPattern::parse("public.people").unwrap();
        let (columns, region) = (Some(vec!["iban".to_owned()]), "eu".to_owned());
        Class { on, columns, region, clients: None, export: "nothing".to_owned(), labels: Vec::new() }
    }

    fn statement(seq: u64, principal: &str, region: &str, columns: &[&str], verdict: RecordedVerdict) -> Record {
        let at = Timestamp::from_second(1_000 + i64::try_from(seq).unwrap()).unwrap();
        let mut record = Record::new(at, Event::Statement);
        record.seq = seq;
        record.database = Some("crm".to_owned());
        record.principal = Some(principal.to_owned());
        record.client_region = Some(Region::new(region));
        record.client_addr = Some("10.0.0.7:5000".to_owned());
        record.verdict = Some(verdict);
        record.rule = (verdict == RecordedVerdict::Deny).then(|| "client-region".to_owned());
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        record.relations =
            vec![RecordedRelation { name: "public.people".to_owned(), operation: Operation::Select, columns }];
        record
    }

    fn end(seq: u64, of: u64, rows: u64) -> Record {
        let mut record = Record::new(Timestamp::from_second(5_000).unwrap(), Event::StatementEnd);
        (record.seq, record.statement_seq, record.rows, record.bytes) = (seq, Some(of), Some(rows), Some(rows * 10));
        record
    }

    #[test]
    fn counts_whichever_way_the_records_come() {
        let records = [
            statement(1, "alice", "eu", &["iban"], RecordedVerdict::Allow),
            end(2, 1, 3),
            statement(3, "alice", "us", &["*"], RecordedVerdict::Allow),
            end(4, 3, 5),
            statement(5, "alice", "eu", &["name"], RecordedVerdict::Allow),
            statement(6, "<b>bob</b>", "us", &["iban"], RecordedVerdict::Deny),
        ];
        let class = class();
        let count = |records: &mut dyn Iterator<Item = &Record>| {
            let mut counting = Counting::of(vec![("crm".to_owned(), "public.people".to_owned(), &class)]);
            records.for_each(|record| counting.take(record));
            counting.relations()
        };
        let forward = count(&mut records.iter());
        assert_eq!(forward, count(&mut records.iter().rev()));
        let one = &forward[0];
        assert_eq!(
            (one.allowed.statements, one.allowed.rows, one.allowed.bytes),
            (2, 8, 80),
            "a name is not classified"
        );
        assert_eq!(one.allowed.records, [1, 3]);
        assert_eq!((one.exported["us"].statements, one.exported["us"].rows), (1, 5));
        assert_eq!((one.refused.statements, one.refused.records.clone()), (1, vec![6]));
        assert_eq!(one.touches.len(), 3);
        assert!(one.touches.iter().all(|touch| touch.addresses.iter().eq(["10.0.0.7"])));
        // On the page a name is text.
        let page = page(&ResidencyReport { relations: forward, ..ResidencyReport::default() });
        assert!(page.contains("&lt;b&gt;bob&lt;/b&gt;") && !page.contains("<b>"), "{page}");
    }
}
