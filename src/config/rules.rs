//! How a scope is asked for: `require_ticket`, `hold`, `auto_approve`, `[[scope.rule]]`, `[scope.break_glass]`; and the labels of
//! the data that it may touch.

use std::time::Duration;

use super::Database;
use super::names::Names;
use super::reader::Table;
use crate::access::{ApprovalRule, BreakGlass, Hours, Privilege, Rules, Subject};
use crate::policy::DataClass;

/// The keys of `[[scope]]` that are read here.
pub(super) const KEYS: [&str; 6] = ["require_ticket", "request_expires", "hold", "auto_approve", "rule", "break_glass"];

/// What a scope of `database` demands that allows `allow`. `max` is the longest that may be asked for.
pub(super) fn rules(
    table: &Table<'_>,
    names: &Names,
    database: Option<&Database>,
    allow: &[Privilege],
    max: Option<Duration>,
) -> Rules {
    let labels = labels(database, allow);
    let approval_rules: Vec<ApprovalRule> =
        table.tables("rule").iter().filter_map(|rule| approval_rule(rule, names, database)).collect();
    let rules = Rules {
        require_ticket: table.flag("require_ticket").unwrap_or(false),
        request_expires: positive(table, "request_expires"),
        hold: hold(table),
        auto_approve: positive(table, "auto_approve"),
        break_glass: table.table("break_glass").and_then(|table| break_glass(&table, names, max)),
        approval_rules,
        labels,
    };
    check_auto_approval(table, &rules, allow);
    rules
}

/// What policy approves by itself must be harmless by its very words.
fn check_auto_approval(table: &Table<'_>, rules: &Rules, allow: &[Privilege]) {
    if rules.auto_approve.is_none() {
        return;
    }
    if !rules.labels.is_empty() {
        let labels = rules.labels.join(", ");
        table
            .refuse("auto_approve", format!("the scope may touch data labelled {labels}: people have to approve that"));
    }
    if allow.iter().any(|privilege| !privilege.functions.is_empty()) {
        table.refuse(
            "auto_approve",
            "the scope names functions, and what they touch is not known: people have to approve",
        );
    }
}

fn hold(table: &Table<'_>) -> Option<Duration> {
    let hold = positive(table, "hold")?;
    if hold > MAX_HOLD {
        table.refuse("hold", "at most 1h: a client waits all that time");
    }
    Some(hold)
}

/// Longer than that nobody waits for an answer.
const MAX_HOLD: Duration = Duration::from_secs(3600);

fn positive(table: &Table<'_>, key: &str) -> Option<Duration> {
    let duration = table.duration(key)?;
    if duration.is_zero() {
        table.refuse(key, "must be longer than nothing");
    }
    Some(duration)
}

fn approval_rule(table: &Table<'_>, names: &Names, database: Option<&Database>) -> Option<ApprovalRule> {
    table.allow(&["over", "labels", "outside", "approvers", "approvals"]);
    let known: Vec<String> =
        database.iter().flat_map(|database| &database.policy.data).flat_map(|class| class.labels.clone()).collect();
    let labels = table.some_texts("labels").unwrap_or_default();
    let labels =
        labels.iter().filter(|text| text.is_known("label", &known)).map(|text| text.value.to_owned()).collect();
    Some(ApprovalRule {
        over: table.duration("over"),
        labels,
        outside: table.text("outside").and_then(|text| text.read(Hours::parse)),
        approvers: subjects(table, "approvers", names)?,
        approvals: table.integer("approvals", 1, 100).and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
    })
}

fn break_glass(table: &Table<'_>, names: &Names, max: Option<Duration>) -> Option<BreakGlass> {
    table.allow(&["who", "max_duration", "alert", "review_within"]);
    Some(BreakGlass {
        who: subjects(table, "who", names)?,
        max_duration: positive(table, "max_duration").or(max)?,
        alert: table.some_texts("alert").map(|texts| names.subjects(texts)).unwrap_or_default(),
        review_within: positive(table, "review_within").unwrap_or(REVIEW_WITHIN),
    })
}

/// A review is owed within a day.
const REVIEW_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Declared subjects that must be there; `None` where any of it is wrong.
fn subjects(table: &Table<'_>, key: &str, names: &Names) -> Option<Vec<Subject>> {
    if !table.has(key) {
        table.refuse(key, "is required");
    }
    let texts = table.some_texts(key)?;
    let expected = texts.len();
    let subjects = names.subjects(texts);
    (subjects.len() == expected && expected > 0).then_some(subjects)
}

/// The labels of data that some of these privileges may touch, sorted. Views are not followed: a grant is held to these labels
/// when it is used.
fn labels(database: Option<&Database>, allow: &[Privilege]) -> Vec<String> {
    let classes = database.iter().flat_map(|database| &database.policy.data);
    let touched = classes.filter(|class| allow.iter().any(|privilege| may_touch(privilege, class)));
    let mut labels: Vec<String> = touched.flat_map(|class| class.labels.clone()).collect();
    labels.sort();
    labels.dedup();
    labels
}

fn may_touch(privilege: &Privilege, class: &DataClass) -> bool {
    let columns = match (&privilege.columns, &class.columns) {
        (Some(allowed), Some(classed)) => allowed.iter().any(|column| classed.contains(column)),
        (None, _) | (_, None) => true,
    };
    columns && privilege.on.iter().any(|on| on.overlaps(&class.on))
}
