//! Footprints against PostgreSQL's own: a function with the statement as its body is made by the superuser, and what
//! `pg_depend` then says it rests on is compared with what pgward says the statement touches. Nothing is run, and nothing
//! lasts.
//!
//! Whatever PostgreSQL records must be in the footprint. What the footprint has beyond that is explained by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pgward::access::Operation;
use pgward::catalog::{CalledBy, Columns, Effect, Footprint, Snapshot, TouchedFunction, TouchedRelation, resolve};
use pgward::sql::tree::Action;
use pgward::sql::{self, Limits};

use crate::grammar::schema::{TABLES, Table};
use crate::oracle::{Case, Probe};
use crate::syntax;
use crate::wire::{Answer, Connection, Message};

/// What a run found.
#[derive(Debug, Default)]
pub struct Lineage {
    pub statements: usize,
    pub equal: usize,
    /// The footprint has more, by the reason.
    pub more: BTreeMap<&'static str, usize>,
    /// PostgreSQL records what the footprint lacks: there must be none.
    pub missing: Vec<String>,
    pub unexplained: Vec<String>,
    /// PostgreSQL resolves what pgward does not, by the reason.
    pub unresolved: BTreeMap<&'static str, usize>,
}

impl Lineage {
    pub fn add(&mut self, other: Lineage) {
        self.statements += other.statements;
        self.equal += other.equal;
        for (reason, count) in other.more {
            *self.more.entry(reason).or_default() += count;
        }
        for (reason, count) in other.unresolved {
            *self.unresolved.entry(reason).or_default() += count;
        }
        self.missing.extend(other.missing);
        self.unexplained.extend(other.unexplained);
    }
}

/// Relations with their columns, and functions that did not come with the server.
#[derive(Debug, Default, PartialEq)]
struct Touched {
    relations: BTreeMap<u32, Columned>,
    functions: BTreeSet<u32>,
}

#[derive(Debug, Default, PartialEq)]
struct Columned {
    columns: BTreeSet<String>,
    whole: bool,
}

pub struct Recorder {
    connection: Connection,
}

const FIRST_OF_USERS: u32 = 16_384;

/// Below it PostgreSQL records nothing: what is pinned cannot go away.
const FIRST_UNPINNED: u32 = 12_000;

/// A composite type of its own holds no rows.
const DEPENDENCIES: &str = "SELECT d.refclassid::regclass::text, coalesce(o.oprcode::oid, d.refobjid), a.attname
  FROM pg_depend d
  LEFT JOIN pg_attribute a ON d.refclassid = 'pg_class'::regclass AND a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND d.refobjsubid <> 0
  LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
  LEFT JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
  WHERE coalesce(c.relkind, 'r') <> 'c' AND d.classid = 'pg_proc'::regclass AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)
    AND d.objid = (SELECT oid FROM pg_proc WHERE proname = 'agreement_body' AND pronamespace = pg_my_temp_schema())";

impl Recorder {
    pub fn open(directory: &Path, port: u16) -> Self {
        let mut connection = Connection::open(directory, port, "postgres", "shop");
        connection.run("CREATE TEMP TABLE a_reason_for_a_schema ()");
        connection.run("DROP TABLE a_reason_for_a_schema");
        connection.run("SET lock_timeout = '1s'");
        connection.run("BEGIN");
        connection.run("SAVEPOINT clean");
        Self { connection }
    }

    /// The relations, and their columns, that PostgreSQL says a statement uses, by name.
    pub fn uses(&mut self, case: &Case) -> Vec<String> {
        let Some(inner) = case.inner() else { return Vec::new() };
        let mut messages = messages(inner);
        messages[2] = Message::Query(NAMED.to_owned());
        let mut answers = self.connection.ask(&messages);
        self.connection.run("ROLLBACK TO SAVEPOINT clean");
        let last = answers.pop().map(|answer| answer.rows).unwrap_or_default();
        last.into_iter().filter_map(|mut row| row.pop().flatten()).collect()
    }

    pub fn compare(&mut self, snapshot: &Snapshot, cases: &[Case], found: &mut Lineage) {
        let fit: Vec<&Case> =
            cases.iter().filter(|case| case.probe == Probe::Explain && !is_about_names(&case.text)).collect();
        for batch in fit.chunks(40) {
            let messages: Vec<Message> = batch.iter().flat_map(|case| messages(&case.text)).collect();
            let answers = self.connection.ask(&messages);
            self.connection.run("ROLLBACK TO SAVEPOINT clean");
            for (case, answers) in batch.iter().zip(answers.chunks(3)) {
                if answers[1].error.is_none() {
                    one(snapshot, &case.text, &recorded(&answers[2]), found);
                }
            }
        }
    }
}

/// A constant of type regclass, or a field of a constant row, is recorded as a use of the relation, which is not read.
fn is_about_names(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    [
        "reg",
        "nextval",
        "setval",
        "currval",
        "_seq'",
        "pg_partition",
        "pg_relation_",
        "_size(",
        "_to_xml",
        "null::",
        "::public.orders)",
        "populate_record",
        "brin_",
    ]
    .iter()
    .any(|word| lower.contains(word))
}

/// The dependencies as `schema.relation` and `schema.relation.column`.
const NAMED: &str = "SELECT concat_ws('.', n.nspname, c.relname, a.attname)
  FROM pg_depend d JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND d.refobjsubid <> 0
  WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.objid = (SELECT oid FROM pg_proc WHERE proname = 'agreement_body' AND pronamespace = pg_my_temp_schema())";

fn messages(text: &str) -> [Message; 3] {
    let text = text.trim_end().trim_end_matches(';');
    [
        Message::Query("ROLLBACK TO SAVEPOINT clean".to_owned()),
        Message::Query(format!(
            "CREATE FUNCTION pg_temp.agreement_body() RETURNS void LANGUAGE sql BEGIN ATOMIC {text}\n; END"
        )),
        Message::Query(DEPENDENCIES.to_owned()),
    ]
}

fn recorded(answer: &Answer) -> Touched {
    let mut touched = Touched::default();
    for row in &answer.rows {
        let [Some(class), Some(oid), column] = row.as_slice() else { continue };
        let oid: u32 = oid.parse().unwrap();
        if class == "pg_class" {
            touched.relations.entry(oid).or_default().columns.extend(column.clone());
        } else if oid >= FIRST_OF_USERS {
            touched.functions.insert(oid);
        }
    }
    touched
}

fn footprint_of(footprint: &Footprint) -> Touched {
    let mut touched = Touched::default();
    let named = footprint
        .relations
        .iter()
        .filter(|one| one.through.is_none() && one.child_of.is_none())
        .filter(|one| one.oid >= FIRST_UNPINNED);
    for relation in named {
        let entry = touched.relations.entry(relation.oid).or_default();
        match &relation.columns {
            Columns::None => {}
            Columns::Named(names) => entry.columns.extend(names.iter().cloned()),
            Columns::WholeRow => entry.whole = true,
        }
    }
    let own = footprint.functions.iter().filter(|function| !function.builtin);
    touched.functions.extend(own.map(|function| function.oid));
    touched
}

fn one(snapshot: &Snapshot, text: &str, theirs: &Touched, found: &mut Lineage) {
    let Ok(statements) = sql::read(text, &Limits::default()) else { return };
    let [statement] = statements.as_slice() else {
        found.missing.push(format!("{} statements: {text}", statements.len()));
        return;
    };
    found.statements += 1;
    let footprint = match resolve(snapshot, &statement.action) {
        Ok(footprint) => footprint,
        Err(unresolved) => {
            let said = unresolved.to_string();
            match UNRESOLVED.iter().find(|(_, explains)| explains(&said, text)) {
                Some((reason, _)) => *found.unresolved.entry(reason).or_default() += 1,
                None => found.unexplained.push(format!("{said}: {text}")),
            }
            return;
        }
    };
    let ours = footprint_of(&footprint);
    let updates = text.to_ascii_uppercase().contains(" DO UPDATE SET ");
    let inserted = |one: &&TouchedRelation| updates && one.operation == Operation::Insert;
    let excluded: Vec<u32> = footprint.relations.iter().filter(inserted).map(|one| one.oid).collect();
    if let Some(lack) = lack(theirs, &ours, &excluded) {
        found.missing.push(format!("{lack}: {text}"));
        return;
    }
    if ours == *theirs {
        found.equal += 1;
        return;
    }
    match reasons(text, theirs, &ours, &footprint, &statement.action) {
        Ok(reason) => *found.more.entry(reason).or_default() += 1,
        Err(what) => found.unexplained.push(format!("{what}: {text}")),
    }
}

/// The first thing that PostgreSQL records and the footprint does not have. For ON CONFLICT DO UPDATE it records every
/// column of `excluded`, whether read or not.
fn lack(theirs: &Touched, ours: &Touched, excluded: &[u32]) -> Option<String> {
    for (oid, theirs) in &theirs.relations {
        let Some(ours) = ours.relations.get(oid) else { return Some(format!("relation {oid}")) };
        if excluded.contains(oid) {
            continue;
        }
        if let Some(column) = theirs.columns.iter().find(|column| !ours.whole && !ours.columns.contains(*column)) {
            return Some(format!("column {column} of relation {oid}"));
        }
    }
    theirs.functions.iter().find(|oid| !ours.functions.contains(oid)).map(|oid| format!("function {oid}"))
}

/// Why the footprint has what PostgreSQL did not record: the first reason, if each relation and each function has one.
fn reasons(
    text: &str,
    theirs: &Touched,
    ours: &Touched,
    footprint: &Footprint,
    action: &Action,
) -> Result<&'static str, String> {
    let mut first = None;
    for (oid, own) in &ours.relations {
        let known = theirs.relations.get(oid);
        if known.is_some_and(|known| *known == *own) {
            continue;
        }
        let name = footprint.relations.iter().find(|one| one.oid == *oid).map_or("?", |one| one.name.as_str());
        let columns: Vec<&String> =
            own.columns.iter().filter(|c| known.is_none_or(|known| !known.columns.contains(*c))).collect();
        let more = More { text, footprint, action, name, oid: *oid, own, columns, named: known.is_some() };
        let reason = MORE.iter().find(|(_, explains)| explains(&more)).map(|(reason, _)| *reason);
        first = first.or(Some(reason.ok_or_else(|| format!("{:?} of {name} (whole: {})", more.columns, own.whole))?));
    }
    for oid in ours.functions.difference(&theirs.functions) {
        let by = |one: &TouchedFunction| one.oid == *oid && matches!(one.by, CalledBy::Write | CalledBy::Type);
        if !footprint.functions.iter().any(by) {
            return Err(format!("function {oid}"));
        }
        first = first.or(Some("triggers, defaults and checks"));
    }
    first.ok_or_else(|| "nothing".to_owned())
}

/// One relation of which the footprint has more.
struct More<'m> {
    text: &'m str,
    footprint: &'m Footprint,
    action: &'m Action,
    name: &'m str,
    oid: u32,
    own: &'m Columned,
    /// The columns that are more.
    columns: Vec<&'m String>,
    /// PostgreSQL records the relation, too.
    named: bool,
}

impl More<'_> {
    fn says(&self, words: &str) -> bool {
        self.text.to_ascii_uppercase().contains(words)
    }
}

type Explains = fn(&More<'_>) -> bool;

const MORE: &[(&str, Explains)] = &[
    ("whole rows: PostgreSQL records the relation alone", |more| {
        more.named && more.own.whole && more.columns.is_empty()
    }),
    ("whole rows of joins and of tables of WITH: likewise", |more| {
        let all = TABLES.iter().filter(|table| table.name == more.name);
        let has_all = |table: &Table| table.columns.iter().all(|(name, _)| more.own.columns.contains(*name));
        more.named && all.into_iter().any(has_all) && (more.says(") AS J") || more.says("NATURAL"))
    }),
    ("behind a view with security_invoker", |more| {
        let over =
            more.footprint.relations.iter().any(|one| one.name.starts_with("v_invoker") || one.name == "v_nested");
        more.name == "people" && over
    }),
    ("MERGE: PostgreSQL records no column that it writes", |more| {
        more.named && matches!(more.action, Action::Merge(_))
    }),
    ("ON CONFLICT DO UPDATE: PostgreSQL records every column", |more| more.named && more.says(" DO UPDATE SET ")),
    ("ON CONFLICT ON CONSTRAINT: its columns are not known", |more| more.named && more.says(" ON CONSTRAINT ")),
    ("INSERT without a list of columns", |more| more.named && syntax::has_bare_insert(more.text)),
    ("ORDER BY name USING: a column's name as well as an output's", |more| more.named && more.says(" USING <")),
    ("foreign keys that cascade", |more| {
        let cascades = |one: &TouchedRelation| one.oid == more.oid && one.operation != Operation::Select;
        more.footprint.effects.iter().any(|effect| matches!(effect, Effect::Cascades { .. }))
            && more.footprint.relations.iter().any(cascades)
    }),
];

type Unresolves = fn(&str, &str) -> bool;

/// Why pgward does not resolve what PostgreSQL does, by what pgward says and the text.
const UNRESOLVED: &[(&str, Unresolves)] = &[
    ("a field of what several subscripts give", |said, text| said.starts_with("column") && text.contains("])[")),
    ("a renamed column by functional notation", |said, text| {
        said.strip_prefix("function c").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            && text.contains("(c")
    }),
    ("functional notation on a join's row", |said, text| {
        let name = said.strip_prefix("function ").and_then(|rest| rest.strip_suffix("(…) does not exist"));
        name.is_some_and(|name| text.contains(&format!("{name}(j")))
    }),
    ("a table of WITH RECURSIVE before its definition", |said, text| {
        said.ends_with("before its definition cannot be resolved") && text.to_ascii_uppercase().contains("RECURSIVE")
    }),
];
