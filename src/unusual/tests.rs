//! Generated histories of people at work, with what is unusual planted in them: how much of it is found, and how much else is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Action, Rule, Settings, Watch};
use crate::access::{GrantId, Operation, SessionId};
use crate::audit::{Event, Record, RecordedRelation, RecordedVerdict};

const PEOPLE: usize = 30;
const DAYS: i64 = 45;
/// Nothing is planted while habits are formed.
const QUIET_DAYS: i64 = 12;
const RELATIONS: u64 = 60;

/// Splitmix64: the same seed, the same history, on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + i64::try_from(self.roll(u64::try_from(most - least + 1).unwrap())).unwrap()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}

/// A person, and what is usual for them.
struct Person {
    name: String,
    usual: Vec<u64>,
    rare: Vec<u64>,
    begins: i64,
    hours: i64,
    weekends: bool,
    networks: Vec<String>,
    /// Results have up to two to the power of this rows.
    size: u32,
    per_day: i64,
}

/// A record to come, and what was planted in it.
struct Planned {
    whose: String,
    record: Record,
    planted: Option<Rule>,
}

struct History {
    dice: Dice,
    planned: Vec<Planned>,
    sessions: u64,
}

fn at(day: i64, second: i64) -> Timestamp {
    // A Monday.
    let begin: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
    begin + SignedDuration::from_secs(day * 86_400 + second)
}

impl History {
    fn person(&mut self, number: usize) -> Person {
        let dice = &mut self.dice;
        let many = dice.between(5, 20);
        let usual = (0..many).map(|_| dice.roll(RELATIONS)).collect();
        let rare = (0..3).map(|_| dice.roll(RELATIONS)).collect();
        let networks = (0..dice.between(1, 3)).map(|_| format!("10.{}.{}", dice.roll(200), dice.roll(200))).collect();
        Person {
            name: format!("person{number}"),
            usual,
            rare,
            // One in ten works at night.
            begins: if dice.chance(10) { 20 } else { dice.between(6, 10) },
            hours: dice.between(7, 9),
            weekends: dice.chance(20),
            networks,
            size: u32::try_from(dice.between(4, 14)).unwrap(),
            per_day: dice.between(20, 60),
        }
    }

    /// One session of some statements.
    #[allow(clippy::too_many_arguments)]
    fn session(
        &mut self,
        person: &Person,
        begin: Timestamp,
        network: &str,
        relations: &[u64],
        rows: &[u64],
        plant: Option<Rule>,
    ) {
        self.sessions += 1;
        let session = SessionId::from_text(format!("ses_{}", self.sessions));
        let address = format!("{network}.{}:{}", self.dice.between(1, 254), self.dice.between(1024, 60_000));
        // A night's work has one grant, too.
        let day = (begin.as_second() - (person.begins - 2) * 3_600) / 86_400;
        let record = |event, seconds: i64| {
            let mut record = Record::new(begin + SignedDuration::from_secs(seconds), event);
            record.session = Some(session.clone());
            record.principal = Some(person.name.clone());
            record.database = Some("shop".to_owned());
            record.client_addr = Some(address.clone());
            record.grant = Some(GrantId::from_text(format!("grn_{}_{day}", person.name)));
            record
        };
        let planted_at = |rule| plant.filter(|plant| *plant == rule);
        self.plan(person, record(Event::SessionOpen, 0), planted_at(Rule::NewNetwork));
        for (number, (relation, rows)) in relations.iter().zip(rows).enumerate() {
            let seconds = 5 + i64::try_from(number).unwrap() * 20;
            let mut begun = record(Event::Statement, seconds);
            begun.verdict = Some(RecordedVerdict::Allow);
            begun.relations = vec![RecordedRelation {
                name: format!("public.t{relation}"),
                operation: Operation::Select,
                columns: vec![],
            }];
            let first = if number == 0 { plant } else { None };
            let rule = first.filter(|rule| matches!(rule, Rule::FirstRelation | Rule::OddHour | Rule::IdleGrant));
            self.plan(person, begun, rule);
            let mut ended = record(Event::StatementEnd, seconds + 1);
            (ended.principal, ended.database) = (None, None);
            ended.rows = Some(*rows);
            self.plan(person, ended, first.filter(|rule| *rule == Rule::ManyRows));
        }
        self.plan(person, record(Event::SessionClose, 5 + 20 * i64::try_from(rows.len()).unwrap()), None);
    }

    fn plan(&mut self, person: &Person, record: Record, planted: Option<Rule>) {
        self.planned.push(Planned { whose: person.name.clone(), record, planted });
    }

    fn rows(&mut self, person: &Person) -> u64 {
        let size = self.dice.roll(u64::from(person.size) + 1);
        self.dice.roll((1 << size) + 1)
    }

    fn relation(&mut self, person: &Person) -> u64 {
        let known = if self.dice.chance(2) { &person.rare } else { &person.usual };
        known[usize::try_from(self.dice.roll(known.len() as u64)).unwrap()]
    }

    fn day(&mut self, person: &Person, day: i64) {
        let weekend = day % 7 >= 5;
        if weekend && !person.weekends || self.dice.chance(7) {
            return;
        }
        // Two days are not alike: an hour later, an hour more.
        let begins = person.begins * 3_600 + self.dice.between(-1_200, 2_400);
        let lasts = person.hours * 3_600 + self.dice.between(-3_600, 3_600);
        let sessions = self.dice.between(3, 8);
        for number in 0..sessions {
            let network =
                person.networks[usize::try_from(self.dice.roll(person.networks.len() as u64)).unwrap()].clone();
            let many = (person.per_day / sessions).max(1);
            let relations: Vec<u64> = (0..many).map(|_| self.relation(person)).collect();
            let rows: Vec<u64> = (0..many).map(|_| self.rows(person)).collect();
            let begin = begins + lasts * number / sessions;
            self.session(person, at(day, begin), &network, &relations, &rows, None);
        }
        if self.dice.chance(10) {
            // A bad hour: some statements are refused, by mistake.
            for number in 0..self.dice.between(2, 10) {
                self.refused(person, at(day, begins + lasts / 2 + number * 15), None);
            }
        }
    }

    fn refused(&mut self, person: &Person, time: Timestamp, planted: Option<Rule>) {
        let mut record = Record::new(time, Event::Statement);
        record.principal = Some(person.name.clone());
        record.verdict = Some(RecordedVerdict::Deny);
        self.plan(person, record, planted);
    }

    /// Something unusual, on a day of work.
    fn plant(&mut self, person: &Person, day: i64, rule: Rule) {
        let noon = at(day, (person.begins + person.hours / 2) * 3_600 + 700);
        let network = person.networks[0].clone();
        let usual = person.usual[0];
        match rule {
            Rule::FirstRelation => {
                let new = RELATIONS + self.dice.roll(1_000_000);
                self.session(person, noon, &network, &[new], &[1], Some(rule));
            }
            Rule::ManyRows => {
                let many = (40_u64 << person.size) + 2_000 + self.dice.roll(50_000);
                self.session(person, noon, &network, &[usual], &[many], Some(rule));
            }
            Rule::OddHour => {
                let odd = (person.begins + person.hours + 3 + self.dice.between(0, 5)) * 3_600;
                self.session(person, at(day, odd), &network, &[usual], &[1], Some(rule));
            }
            Rule::NewNetwork => {
                let new = format!("172.{}.{}", self.dice.roll(250), self.dice.roll(250));
                self.session(person, noon, &new, &[usual], &[1], Some(rule));
            }
            Rule::DenialBurst => {
                for number in 0..25 {
                    self.refused(person, noon + SignedDuration::from_secs(number * 4), Some(rule));
                }
            }
            Rule::IdleGrant => {
                // One of their own, used once, and again much later.
                let grant = GrantId::from_text(format!("grn_old_{}_{day}", person.name));
                let from = self.planned.len();
                self.session(person, noon, &network, &[usual], &[1], None);
                self.session(person, noon + SignedDuration::from_hours(7 * 24), &network, &[usual], &[1], Some(rule));
                self.planned[from..].iter_mut().for_each(|planned| planned.record.grant = Some(grant.clone()));
            }
        }
    }

    fn of(seed: u64) -> Vec<Planned> {
        let mut history = Self { dice: Dice(seed), planned: Vec::new(), sessions: 0 };
        for number in 0..PEOPLE {
            let person = history.person(number);
            for day in 0..DAYS {
                history.day(&person, day);
            }
            for rule in Rule::ALL {
                for _ in 0..3 {
                    let mut day = history.dice.between(QUIET_DAYS, DAYS - 9);
                    // On a day of the week: who works at its end does so then, too.
                    day -= (day % 7 - 4).max(0);
                    history.plant(&person, day, rule);
                }
            }
        }
        history.planned.sort_by_key(|planned| planned.record.time);
        for (number, planned) in history.planned.iter_mut().enumerate() {
            planned.record.seq = number as u64 + 1;
        }
        history.planned
    }
}

/// What was found of what was planted, by rule: right, wrong, missed.
#[derive(Default)]
struct Score {
    right: u32,
    wrong: u32,
    missed: u32,
}

fn score(seeds: std::ops::Range<u64>) -> BTreeMap<&'static str, Score> {
    let mut scores: BTreeMap<&str, Score> = Rule::ALL.iter().map(|rule| (rule.as_str(), Score::default())).collect();
    for seed in seeds {
        let mut watch = Watch::new(Settings::default());
        // Two of a kind by the same person on the same day are one: the second is not news.
        let (mut there, mut seen) = (HashSet::new(), HashSet::new());
        for Planned { whose, record, planted } in History::of(seed) {
            let day = record.time.as_second() / 86_400;
            there.extend(planted.map(|rule| (rule, whose.clone(), day)));
            for found in watch.take(&record) {
                assert!(!found.detail.is_empty() && found.action == Action::Report);
                match planted == Some(found.rule) {
                    true => _ = seen.insert((found.rule, whose.clone(), day)),
                    false => scores.get_mut(found.rule.as_str()).unwrap().wrong += 1,
                }
            }
        }
        for key in &there {
            let score = scores.get_mut(key.0.as_str()).unwrap();
            *(if seen.contains(key) { &mut score.right } else { &mut score.missed }) += 1;
        }
    }
    scores
}

#[test]
fn most_of_what_is_unusual_is_found_and_little_else() {
    let scores = score(2_000..2_004);
    println!("| rule | planted | found | precision | recall |\n| --- | --- | --- | --- | --- |");
    let (mut right, mut wrong, mut missed) = (0, 0, 0);
    let part = |part: u32, rest: u32| f64::from(part) / f64::from((part + rest).max(1));
    for (rule, score) in &scores {
        let Score { right: r, wrong: w, missed: m } = *score;
        println!("| `{rule}` | {} | {r} | {:.2} | {:.2} |", r + m, part(r, w), part(r, m));
        (right, wrong, missed) = (right + r, wrong + w, missed + m);
        assert!(r + m >= 200, "{rule}: too few were planted to say anything");
        assert!(part(r, w) >= 0.7 && part(r, m) >= 0.9, "{rule}");
    }
    println!("| all | {} | {right} | {:.2} | {:.2} |", right + missed, part(right, wrong), part(right, missed));
    assert!(part(right, wrong) >= 0.9 && part(right, missed) >= 0.9);
}

fn statement(time: &str, relation: &str) -> Record {
    let mut record = Record::new(time.parse().unwrap(), Event::Statement);
    record.principal = Some("alice".to_owned());
    record.verdict = Some(RecordedVerdict::Allow);
    record.relations =
        vec![RecordedRelation { name: relation.to_owned(), operation: Operation::Select, columns: vec![] }];
    record
}

#[test]
fn a_finding_says_why_and_is_told_once() {
    let mut watch = Watch::new(Settings { odd_hour: Action::Off, first_relation: Action::End, ..Settings::default() });
    assert_eq!(watch.take(&statement("2026-01-05T09:00:00Z", "public.orders")), []);
    assert_eq!(watch.take(&statement("2026-01-06T09:00:00Z", "public.customers")), [], "it is still learnt");
    assert_eq!(watch.take(&statement("2026-01-14T09:00:00Z", "pg_catalog.pg_class")), [], "everybody reads those");
    let found = watch.take(&statement("2026-01-14T09:00:00Z", "public.salaries"));
    assert_eq!((found.len(), found[0].rule, found[0].action), (1, Rule::FirstRelation, Action::End));
    assert_eq!(found[0].detail, "it never touched public.salaries, as far as is remembered");
    assert_eq!(watch.take(&statement("2026-01-14T09:00:01Z", "public.salaries")), []);
    assert_eq!(watch.take(&statement("2026-01-14T09:00:02Z", "public.orders")), []);
    let much_later = watch.take(&statement("2026-04-14T09:00:02Z", "public.orders"));
    assert_eq!(much_later.len(), 1, "what was not touched for so long is forgotten");
}

#[test]
fn the_same_journal_gives_the_same_findings() {
    let history = History::of(7);
    let read = |history: &[Planned]| {
        let mut watch = Watch::new(Settings::default());
        history.iter().flat_map(|planned| watch.take(&planned.record)).collect::<Vec<_>>()
    };
    assert_eq!(read(&history), read(&history));
}

#[test]
fn many_refusals_are_told_once_an_hour() {
    let mut watch = Watch::new(Settings::default());
    let mut told = 0;
    for number in 0..60 {
        let time: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        let mut record = Record::new(time + SignedDuration::from_secs(number), Event::Statement);
        (record.principal, record.verdict) = (Some("alice".to_owned()), Some(RecordedVerdict::Deny));
        told += watch.take(&record).len();
    }
    assert_eq!(told, 1);
}

#[test]
fn what_a_hold_refuses_is_no_reason_for_another() {
    let mut watch = Watch::new(Settings { quiet: Duration::ZERO, ..Settings::default() });
    for number in 0..60 {
        let time: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        let mut record = Record::new(time + SignedDuration::from_secs(number), Event::Statement);
        (record.principal, record.verdict) = (Some("alice".to_owned()), Some(RecordedVerdict::Deny));
        record.rule = Some("unusual".to_owned());
        assert_eq!(watch.take(&record), []);
    }
}
