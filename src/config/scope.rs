//! `[[scope]]` and `[[scope.allow]]`: what may be asked for, by whom, and who decides.

use std::collections::BTreeSet;

use super::Database;
use super::names::{Names, check_name, check_unique, columns, patterns};
use super::reader::{Table, Text};
use super::rules::{self, rules};
use crate::access::{Guards, Operation, OperationSet, Privilege, Region, Scope, Subject};

pub(super) fn scopes(root: &Table<'_>, names: &Names, databases: &[Database]) -> Vec<Scope> {
    let mut seen = Vec::new();
    let mut scopes = Vec::new();
    for table in root.tables("scope") {
        let own = [
            "name",
            "database",
            "regions",
            "requesters",
            "approvers",
            "approvals",
            "max_duration",
            "row_limit",
            "byte_limit",
            "statement_timeout",
            "unfiltered_writes",
            "require_reason",
            "read_only",
            "allow",
        ];
        table.allow(&[&own[..], &rules::KEYS[..]].concat());
        let name = table.required_text("name");
        if let Some(name) = &name {
            check_unique(&mut seen, name);
        }
        scopes.extend(scope(&table, name, names, databases));
    }
    scopes
}

fn scope(table: &Table<'_>, name: Option<Text<'_>>, names: &Names, databases: &[Database]) -> Option<Scope> {
    let name = name.and_then(|name| name.read(check_name));
    let database = database(table, names);
    let regions = regions(table, names, database);
    let requesters = subjects(table, "requesters", names);
    let approvers = subjects(table, "approvers", names);
    let approvals = table.integer("approvals", 1, 100).and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    if !table.has("max_duration") {
        table.refuse("max_duration", "is required");
    }
    let max_duration = table.duration("max_duration");
    if !table.has("allow") {
        table.refuse("allow", "is required: a scope that allows nothing is of no use");
    }
    let allow: Vec<Privilege> = table.tables("allow").iter().filter_map(privilege).collect();
    let guards = guards(table, &allow);
    let of = databases.iter().find(|known| Some(known.policy.name.as_str()) == database);
    let rules = rules(table, names, of, &allow, max_duration);
    let (requesters, approvers) = (requesters?, approvers?);
    check_approvers(table, names, &requesters, &approvers, approvals);
    let database = database?.to_owned();
    let max_duration = max_duration?;
    Some(Scope { name: name?, database, regions, requesters, approvers, approvals, max_duration, guards, rules, allow })
}

/// The guard rails; a scope that is said to be read-only and allows writes says two things.
fn guards(table: &Table<'_>, allow: &[Privilege]) -> Guards {
    let guards = Guards {
        row_limit: table.integer("row_limit", 1, u64::MAX),
        byte_limit: table.size("byte_limit"),
        statement_timeout: table.duration("statement_timeout"),
        unfiltered_writes: table.flag("unfiltered_writes").unwrap_or(false),
        require_reason: table.flag("require_reason").unwrap_or(false),
        read_only: table.flag("read_only"),
    };
    if guards.read_only == Some(true) && allow.iter().any(Privilege::writes) {
        table.refuse("read_only", "the scope allows operations that write; leave it out, or allow `select` alone");
    }
    guards
}

fn database<'a>(table: &Table<'a>, names: &Names) -> Option<&'a str> {
    let text = table.required_text("database")?;
    let known: Vec<String> = names.databases.iter().map(|(name, _)| name.clone()).collect();
    text.is_known("database", &known).then_some(text.value)
}

/// Where none are given: the region of the database alone.
fn regions(table: &Table<'_>, names: &Names, database: Option<&str>) -> Vec<Region> {
    if let Some(texts) = table.some_texts("regions") {
        return names.regions_of(&texts);
    }
    let own = names.databases.iter().find(|(name, _)| Some(name.as_str()) == database);
    own.and_then(|(_, region)| region.as_deref()).map(Region::new).into_iter().collect()
}

/// A list of declared subjects that must be there and not empty; `None` where any of it is wrong.
fn subjects(table: &Table<'_>, key: &str, names: &Names) -> Option<Vec<Subject>> {
    if !table.has(key) {
        table.refuse(key, "is required");
    }
    let texts = table.some_texts(key)?;
    let expected = texts.len();
    let subjects = names.subjects(texts);
    (subjects.len() == expected && expected > 0).then_some(subjects)
}

/// Whether any request could ever be granted, when nobody decides on their own.
fn check_approvers(table: &Table<'_>, names: &Names, requesters: &[Subject], approvers: &[Subject], approvals: u32) {
    if requesters.iter().chain(approvers).any(|subject| names.is_mapped(subject)) {
        // Who that is stands elsewhere.
        return;
    }
    let people = |subjects: &[Subject]| -> BTreeSet<&str> {
        subjects.iter().flat_map(|subject| names.members(subject)).collect()
    };
    let (requesters, approvers) = (people(requesters), people(approvers));
    if requesters.is_empty() {
        // A group of which every user is wrong: that is told where they are.
        return;
    }
    let others = |requester: &&str| approvers.len() - usize::from(approvers.contains(*requester));
    let most = requesters.iter().map(others).max().unwrap_or_default();
    if most == 0 {
        table.refuse(
            "approvers",
            "only the requester would be left to approve, and nobody decides on their own request",
        );
    } else if most < approvals as usize {
        table.refuse("approvals", format!("{approvals} are needed, but no request could get more than {most}"));
    }
}

fn privilege(table: &Table<'_>) -> Option<Privilege> {
    table.allow(&["on", "columns", "do", "functions"]);
    let on = table.some_texts("on").map(|texts| patterns(&texts));
    let columns = table.some_texts("columns").map(|texts| columns(&texts));
    let operations = table.some_texts("do").map(|texts| operations(&texts));
    let functions = table.some_texts("functions").map(|texts| patterns(&texts));
    match (table.has("on"), table.has("do")) {
        (true, false) => table.refuse("do", "is required beside `on`: what may be done there"),
        (false, true) => table.refuse("on", "is required beside `do`: where it may be done"),
        (false, false) if !table.has("functions") => {
            table.place.refuse("allows nothing; name `on` and `do`, or `functions`")
        }
        (true, true) | (false, false) => {}
    }
    if columns.is_some() && !table.has("on") {
        table.refuse("columns", "are those of the relations in `on`, and there is no `on`");
    }
    Some(Privilege {
        on: on.unwrap_or_default(),
        columns,
        operations: operations.unwrap_or_default(),
        functions: functions.unwrap_or_default(),
    })
}

fn operations(texts: &[Text<'_>]) -> OperationSet {
    let read = |text: &Text<'_>| match text.value {
        "all" => Operation::ALL.to_vec(),
        word => match Operation::ALL.into_iter().find(|operation| operation.as_str() == word) {
            Some(operation) => vec![operation],
            None => {
                let words: Vec<&str> = Operation::ALL.iter().map(|operation| operation.as_str()).collect();
                text.place.refuse(format!("unknown operation \"{word}\"; one of {}, all", words.join(", ")));
                Vec::new()
            }
        },
    };
    OperationSet::of(&texts.iter().flat_map(read).collect::<Vec<_>>())
}
