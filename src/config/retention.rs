//! `[[database.retention]]`: how long rows may live, and how they go.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::duration::parse_duration;
use super::names::check_name;
use super::problems::{ConfigErrors, Problem};
use super::reader::{Table, Text};
use super::{Config, Database};
use crate::access::{Hours, ObjectPattern, Operation, Scope};
use crate::policy::{Hidden, HiddenRelation};
use crate::retention::{Action, Change, Fault, Keep, Policy, Relation};

/// A policy, and where each of its keys stands.
#[derive(Clone, Debug)]
pub struct RetentionPolicy {
    pub policy: Arc<Policy>,
    places: BTreeMap<&'static str, (String, usize, usize)>,
}

impl RetentionPolicy {
    /// What the database says against the policy, at the line that says so.
    fn problem(&self, file: &Path, fault: &Fault) -> Problem {
        let (key, line, column) =
            self.places.get(fault.key).or_else(|| self.places.get("")).cloned().unwrap_or_default();
        Problem { file: file.to_owned(), line, column, key, message: fault.message.clone() }
    }
}

impl Config {
    /// What databases say against the retention policies, each at its line.
    #[must_use]
    pub fn retention_problems(&self, database: &str, faults: &[Fault]) -> ConfigErrors {
        let policies = self.databases.iter().filter(|one| one.policy.name == database).flat_map(|one| &one.retention);
        let problems = policies.flat_map(|policy| {
            faults
                .iter()
                .filter(|fault| fault.policy == policy.policy.name)
                .map(|fault| policy.problem(&self.path, fault))
        });
        ConfigErrors { problems: problems.collect() }
    }
}

const KEYS: [&str; 17] = [
    "name",
    "on",
    "column",
    "keep",
    "action",
    "partitions",
    "set",
    "where",
    "batch",
    "pause",
    "lock_timeout",
    "hours",
    "every",
    "scope",
    "hide",
    "hide_except",
    "",
];
const MOST_ROWS: u64 = 100_000;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const MOST_PAUSE: Duration = Duration::from_secs(3600);

/// Reads the policies of every database into it.
pub(super) fn read(root: &Table<'_>, databases: &mut [Database], scopes: &[Scope]) {
    // Whoever read the databases has told what is wrong with them.
    for table in root.peek_tables("database") {
        let Some(name) = table.peek_text("name") else { continue };
        let Some(database) = databases.iter_mut().find(|database| database.policy.name == name) else { continue };
        let mut all: Vec<RetentionPolicy> = Vec::new();
        for entry in table.tables("retention") {
            let Some(policy) = policy(&entry, name, scopes) else { continue };
            if all.iter().any(|earlier| earlier.policy.name == policy.policy.name) {
                let named = if entry.has("name") { "name" } else { "on" };
                entry.refuse(named, format!("\"{}\" is the name of a policy already", policy.policy.name));
                continue;
            }
            all.push(policy);
        }
        let hidden = all.iter().map(|named| &named.policy).filter(|policy| policy.hide).map(|policy| {
            let Relation { schema, name } = &policy.on;
            HiddenRelation::new(schema, name, &policy.name, policy.keep.to_string(), policy.hide_except.clone())
        });
        Arc::make_mut(&mut database.policy).hidden = Hidden::new(hidden.collect());
        database.retention = all;
    }
}

fn policy(table: &Table<'_>, database: &str, scopes: &[Scope]) -> Option<RetentionPolicy> {
    table.allow(KEYS.get(..16).unwrap_or_default());
    let on = table.required_text("on").and_then(|text| text.read(relation));
    let column = table.required_text("column").map(|text| text.value.to_owned());
    let keep = table.required_text("keep").and_then(|text| text.read(Keep::parse));
    let action = action(table);
    let name = match table.text("name") {
        Some(text) => text.read(check_name),
        None => on.as_ref().map(ToString::to_string),
    };
    let duration = |key: &str, default: Duration, most: Duration| {
        let duration = table.text(key).and_then(|text| text.read(moment)).unwrap_or(default);
        if duration > most {
            table.refuse(key, format!("must not be longer than {}s", most.as_secs()));
        }
        duration
    };
    let pause = duration("pause", Duration::from_millis(100), MOST_PAUSE);
    let lock_timeout = duration("lock_timeout", Duration::from_secs(2), LONGEST_WAIT);
    if lock_timeout.is_zero() {
        table.refuse("lock_timeout", "must be longer than nothing: nothing would be waiting for ever");
    }
    let batch = table.integer("batch", 1, MOST_ROWS).and_then(|rows| u32::try_from(rows).ok()).unwrap_or(1_000);
    let hours = table.some_texts("hours").unwrap_or_default();
    let hours = hours.iter().filter_map(|text| text.read(Hours::parse)).collect();
    let only = table.text("where").and_then(|text| text.read(condition));
    let every = table.duration("every");
    let hide = table.flag("hide").unwrap_or(false);
    let known: Vec<String> =
        scopes.iter().filter(|scope| scope.database == database).map(|scope| scope.name.clone()).collect();
    let hide_except = table.some_texts("hide_except").unwrap_or_default();
    if !hide && table.has("hide_except") {
        table.refuse("hide_except", "goes with hide = true only");
    }
    let hide_except =
        hide_except.iter().filter(|text| text.is_known("scope", &known)).map(|text| text.value.to_owned());
    let hide_except = hide_except.collect();
    let (on, column, keep, action) = (on?, column?, keep?, action?);
    let scope = table.text("scope").filter(|text| text.is_known("scope", &known)).map(|text| {
        let scope = scopes.iter().find(|scope| scope.name == text.value);
        let needed = match &action {
            Action::Report => None,
            Action::Delete { .. } => Some(Operation::Delete),
            Action::Anonymise(_) => Some(Operation::Update),
        };
        match (needed, scope) {
            (None, _) => text.place.refuse("goes with an action that changes something; \"report\" needs no grant"),
            (Some(needed), Some(scope)) if !allows(scope, &on, needed) => {
                text.place.refuse(format!("scope \"{}\" does not allow {needed} on {on}", scope.name));
            }
            (Some(_), _) => {}
        }
        text.value.to_owned()
    });
    if every.is_some() && action == Action::Report {
        table.refuse("every", "goes with an action that changes something; \"report\" is counted when somebody asks");
    }
    let (line, _) = table.place.position();
    let policy = Policy {
        name: name?,
        on,
        column,
        keep,
        action,
        only,
        batch,
        pause,
        lock_timeout,
        hours,
        every,
        scope,
        hide,
        hide_except,
        line,
    };
    let places = KEYS.into_iter().filter_map(|key| {
        let (path, (line, column)) = match key {
            "" => (table.place.key.clone(), table.place.position()),
            key => table.position(key)?,
        };
        Some((key, (path, line, column)))
    });
    Some(RetentionPolicy { policy: Arc::new(policy), places: places.collect() })
}

fn action(table: &Table<'_>) -> Option<Action> {
    let word = table.required_text("action")?;
    let drop_partitions = table.text("partitions").and_then(|text| text.choose(&[("delete", false), ("drop", true)]));
    let action = match word.value {
        "report" => Action::Report,
        "delete" => Action::Delete { drop_partitions: drop_partitions.unwrap_or(false) },
        "anonymise" => Action::Anonymise(changes(table)?),
        other => {
            word.place.refuse(format!("unknown value \"{other}\"; one of \"report\", \"delete\", \"anonymise\""));
            return None;
        }
    };
    if word.value != "delete" && table.has("partitions") {
        table.refuse("partitions", "goes with action = \"delete\" only");
    }
    if word.value != "anonymise" && table.has("set") {
        table.refuse("set", "goes with action = \"anonymise\" only");
    }
    Some(action)
}

/// `set = { email = "random", phone = "null", name = { to = "removed" }, postcode = { first = 3 } }`
fn changes(table: &Table<'_>) -> Option<BTreeMap<String, Change>> {
    let Some(set) = table.table("set") else {
        if !table.has("set") {
            table.refuse("action", "anonymise needs set = { COLUMN = … }: what each column is to hold then");
        }
        return None;
    };
    let mut all = BTreeMap::new();
    for key in set.keys() {
        let change = if set.is_table(key.value) {
            let rule = set.table(key.value)?;
            rule.allow(&["to", "first"]);
            let to = rule.text("to").map(|text| Change::Constant(text.value.to_owned()));
            let first = rule.integer("first", 0, 1_000).and_then(|count| u32::try_from(count).ok()).map(Change::First);
            if to.is_some() == first.is_some() {
                rule.place.refuse("needs one of: to = \"…\", first = COUNT");
            }
            to.or(first)
        } else {
            set.text(key.value).and_then(|text| word(&text))
        };
        all.insert(key.value.to_owned(), change?);
    }
    if all.is_empty() {
        set.place.refuse("names no column");
    }
    Some(all)
}

fn word(text: &Text<'_>) -> Option<Change> {
    text.read(|word| match word {
        "null" => Ok(Change::Null),
        "default" => Ok(Change::Default),
        "random" => Ok(Change::Random),
        other => Err(format!(
            "unknown rule \"{other}\"; one of \"null\", \"default\", \"random\", {{ to = \"…\" }}, {{ first = COUNT }}"
        )),
    })
}

/// One table, by its name.
fn relation(text: &str) -> Result<Relation, String> {
    match ObjectPattern::parse(text)? {
        ObjectPattern { schema: Some(schema), name: Some(name) } => Ok(Relation { schema, name }),
        ObjectPattern { .. } => {
            Err(format!("\"{text}\" names no single table: each has a time of its own to keep rows"))
        }
    }
}

/// A short time, such as `100ms` or `2s`.
fn moment(text: &str) -> Result<Duration, String> {
    let digits = text.strip_suffix("ms").filter(|digits| digits.chars().all(|c| c.is_ascii_digit()));
    match digits.map(str::parse) {
        Some(Ok(milliseconds)) => Ok(Duration::from_millis(milliseconds)),
        Some(Err(_)) => Err(format!("\"{text}\" is not a duration, such as \"100ms\" or \"2s\"")),
        None => parse_duration(text),
    }
}

/// Bounds that need no database; the rest is looked at where there is one.
fn condition(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty; leave it out where every row counts".to_owned());
    }
    if text.contains('\0') {
        return Err("holds a zero byte".to_owned());
    }
    Ok(text.trim().to_owned())
}

fn allows(scope: &Scope, on: &Relation, operation: Operation) -> bool {
    scope.allow.iter().any(|privilege| {
        privilege.operations.contains(operation)
            && privilege.on.iter().any(|pattern| pattern.matches(&on.schema, &on.name))
    })
}
