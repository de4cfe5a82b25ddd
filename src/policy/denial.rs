//! From what was refused to what a client is told: message, detail, and the command that asks for what was missing.

use super::context::Context;
use super::guards::Guard;
use super::relations;
use super::residency::Misplaced;
use super::verdict::{Denial, Rule};
use crate::access::{Grant, Scope};
use crate::catalog::{CalledBy, RelationKind, TouchedFunction, TouchedRelation};

/// What one grant does not allow.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    Relation(TouchedRelation),
    /// No column is the whole row.
    Column {
        relation: TouchedRelation,
        column: Option<String>,
    },
    Catalog {
        relation: TouchedRelation,
        column: Option<String>,
    },
    Function(TouchedFunction),
    /// Boxed: it holds much, and every answer would be as large.
    Residency(Box<Misplaced>),
    Statement(&'static str),
    /// `value`: the setting may be set, not to this.
    Setting {
        name: String,
        value: bool,
    },
    Show(Option<String>),
    /// A type, operator or collation in a schema of which the scope names nothing.
    Schema(String),
    Rewrites(String),
    Cascades(String),
    OtherStatement,
    /// The one statement has run as often as it may.
    UsedUp(u32),
    /// A new name for what is classified by its name; no column is the relation's own.
    Renames {
        relation: TouchedRelation,
        column: Option<String>,
    },
    /// Data with a label that the approvers were not shown.
    Label {
        relation: TouchedRelation,
        label: String,
    },
    /// Rows past their time that are not to be read; `known`: whether anybody has looked.
    Overdue {
        relation: Box<TouchedRelation>,
        policy: String,
        keep: String,
        known: bool,
    },
    Guard(Guard),
}

impl Refusal {
    pub(super) fn into_denial(self, grant: &Grant, context: &Context) -> Denial {
        let hint = self.hint(grant, context);
        let (rule, message, reason) = self.words();
        let detail = format!("{reason} (grant {}, scope \"{}\", rule {})", grant.id, grant.scope.name, rule.as_str());
        Denial { rule, message, detail, hint }
    }

    /// The rule, the primary message in PostgreSQL's style, and the reason.
    fn words(&self) -> (Rule, String, String) {
        match self {
            Refusal::Relation(relation) => {
                let (object, operation) = (object(relation), relation.operation);
                let reason = format!("The scope does not allow {operation} on {}.", full_name(relation));
                (Rule::Scope, format!("permission denied for {object}"), reason)
            }
            Refusal::Column { relation, column: Some(column) } => {
                let message = format!("permission denied for column {column} of {}", object(relation));
                let reason =
                    format!("The scope names the columns of {}; \"{column}\" is none of them.", full_name(relation));
                (Rule::Column, message, reason)
            }
            Refusal::Column { relation, column: None } => {
                let message = format!("permission denied for the whole row of {}", object(relation));
                let reason = format!("The scope names single columns of {}; a whole row has all.", full_name(relation));
                (Rule::Column, message, reason)
            }
            Refusal::Catalog { relation, column } => {
                let of = column.as_ref().map_or_else(String::new, |column| format!("column {column} of "));
                let message = format!("permission denied for {of}{}", object(relation));
                (
                    Rule::Catalog,
                    message,
                    "This part of the catalogs holds data, secrets, sources of functions or statistics.".to_owned(),
                )
            }
            Refusal::Function(function) => {
                let name = format!("{}.{}", function.schema, function.name);
                let why = brought_by(function.by);
                let reason = format!("{name}{why} is not a harmless built-in, and the scope does not name it.");
                (Rule::Function, format!("permission denied for function {name}"), reason)
            }
            Refusal::Residency(misplaced) => misplaced.words(),
            Refusal::Statement(_)
            | Refusal::Setting { .. }
            | Refusal::Show(_)
            | Refusal::Schema(_)
            | Refusal::Rewrites(_)
            | Refusal::Cascades(_)
            | Refusal::OtherStatement
            | Refusal::UsedUp(_)
            | Refusal::Label { .. }
            | Refusal::Renames { .. }
            | Refusal::Overdue { .. }
            | Refusal::Guard(_) => self.statement_words(),
        }
    }

    /// The words for what no relation and no function is the matter of.
    fn statement_words(&self) -> (Rule, String, String) {
        match self {
            Refusal::Statement(kind) => (
                Rule::Statement,
                format!("permission denied for {kind}"),
                "No scope gives this kind of statement.".to_owned(),
            ),
            Refusal::Setting { name, value } => {
                let which = if *value { "this value" } else { "this setting" };
                let reason = format!("pgward keeps {which} as the session was opened with it.");
                (Rule::Setting, format!("permission denied to set parameter \"{name}\""), reason)
            }
            Refusal::Show(name) => {
                let name = name.as_deref().unwrap_or("ALL");
                let reason = "Settings that may hold secrets are not shown.".to_owned();
                (Rule::Setting, format!("permission denied to show parameter \"{name}\""), reason)
            }
            Refusal::Schema(schema) => {
                let message = format!("permission denied for schema {schema}");
                (Rule::Scope, message, "The scope allows nothing in that schema.".to_owned())
            }
            Refusal::Rewrites(relation) => {
                let message = format!("permission denied for {relation}: a rule rewrites this statement");
                (Rule::Effect, message, "What a rule turns a statement into is not judged.".to_owned())
            }
            Refusal::Cascades(relation) => {
                let message = format!("permission denied for CASCADE on {relation}");
                (Rule::Effect, message, "CASCADE reaches objects that the statement does not name.".to_owned())
            }
            Refusal::OtherStatement => {
                let message = "permission denied for this statement".to_owned();
                (Rule::StatementGrant, message, "The grant is for one other statement, constants and all.".to_owned())
            }
            Refusal::UsedUp(uses) => {
                let uses = if *uses == 1 { "one use is".to_owned() } else { format!("{uses} uses are") };
                let message = "permission denied for this statement".to_owned();
                (Rule::StatementGrant, message, format!("The grant is for this statement, and its {uses} used up."))
            }
            Refusal::Renames { relation, column } => {
                let of = column.as_ref().map_or_else(String::new, |column| format!("column {column} of "));
                let message = format!("permission denied to rename {of}{}", object(relation));
                (Rule::Label, message, "The configuration classifies it by this name.".to_owned())
            }
            Refusal::Label { relation, label } => (
                Rule::Label,
                format!("permission denied for {}: data labelled \"{label}\"", object(relation)),
                "Who approved the grant was not shown that it reaches data with this label.".to_owned(),
            ),
            Refusal::Overdue { relation, policy, keep, known } => {
                let object = object(relation);
                let (holds, reason) = match known {
                    true => {
                        ("holds", format!("Policy \"{policy}\" keeps its rows for {keep}, and some are past that."))
                    }
                    false => (
                        "may hold",
                        format!("Policy \"{policy}\" keeps its rows for {keep}, and nobody could look yet."),
                    ),
                };
                let message = format!("permission denied for {object}: it {holds} rows that are past their time");
                (Rule::Retention, message, reason)
            }
            Refusal::Guard(guard) => {
                let (message, reason) = guard.words();
                (Rule::Guard, message, reason)
            }
            Refusal::Relation(_)
            | Refusal::Column { .. }
            | Refusal::Catalog { .. }
            | Refusal::Function(_)
            | Refusal::Residency(_) => self.words(),
        }
    }

    fn hint(&self, grant: &Grant, context: &Context) -> Option<String> {
        let helps = |scope: &Scope| match self {
            Refusal::Relation(relation) | Refusal::Column { relation, .. } => relations::covers(relation, &scope.allow),
            Refusal::Residency(misplaced) => misplaced.is_helped_by(scope),
            Refusal::Function(function) => scope
                .allow
                .iter()
                .flat_map(|privilege| &privilege.functions)
                .any(|on| on.matches(&function.schema, &function.name)),
            Refusal::OtherStatement | Refusal::UsedUp(_) => scope.name == grant.scope.name,
            Refusal::Catalog { .. }
            | Refusal::Statement(_)
            | Refusal::Setting { .. }
            | Refusal::Show(_)
            | Refusal::Schema(_)
            | Refusal::Rewrites(_)
            | Refusal::Cascades(_)
            | Refusal::Label { .. }
            | Refusal::Renames { .. }
            | Refusal::Overdue { .. }
            | Refusal::Guard(_) => false,
        };
        // One grant has to cover all regions of a statement: what this one covers is needed too, if it can be had.
        let covers_more = |scope: &Scope| grant.scope.regions.iter().all(|region| scope.regions.contains(region));
        let helping = || context.requestable.iter().filter(|scope| helps(scope));
        if let Some(scope) = helping().find(|scope| covers_more(scope)).or_else(|| helping().next()) {
            let is_for_one = matches!(self, Refusal::OtherStatement | Refusal::UsedUp(_));
            return Some(if is_for_one { statement_command(&scope.name) } else { request_command(&scope.name) });
        }
        let database = &context.database.name;
        match self {
            Refusal::Relation(relation) | Refusal::Column { relation, .. } => Some(format!(
                "No scope of database \"{database}\" that you may request allows {} on {}: ask an administrator for one.",
                relation.operation,
                full_name(relation)
            )),
            Refusal::Function(function) => Some(format!(
                "No scope of database \"{database}\" that you may request names {}.{}: ask an administrator for one.",
                function.schema, function.name
            )),
            Refusal::Guard(guard) => guard.hint(),
            Refusal::Residency(misplaced) => misplaced.hint(database),
            Refusal::Overdue { known: true, .. } => Some(
                "It can be read again when they are purged: an administrator runs `pgward retention run`.".to_owned(),
            ),
            Refusal::Overdue { known: false, .. } => Some("Try again in a moment.".to_owned()),
            Refusal::Renames { .. } => Some("Who runs pgward has to change [[database.data]] first.".to_owned()),
            Refusal::Cascades(_) => {
                Some("Drop what depends on it first, by name; then this needs no CASCADE.".to_owned())
            }
            Refusal::Label { relation, .. } => {
                Some(format!("Ask for a scope that names {} itself, so that its approvers know.", full_name(relation)))
            }
            Refusal::Catalog { .. }
            | Refusal::Statement(_)
            | Refusal::Setting { .. }
            | Refusal::Show(_)
            | Refusal::Schema(_)
            | Refusal::Rewrites(_)
            | Refusal::OtherStatement
            | Refusal::UsedUp(_) => None,
        }
    }
}

/// What brings a function about that the statement does not call by name.
fn brought_by(by: CalledBy) -> &'static str {
    match by {
        CalledBy::Call => "",
        CalledBy::Operator => ", which an operator runs,",
        CalledBy::Cast => ", which a cast runs,",
        CalledBy::Type => ", which checks or reads in values of a type,",
        CalledBy::Write => ", which a trigger or default of the table runs,",
        CalledBy::View => ", which the view's definition calls,",
    }
}

/// The commands that ask for a scope, each on a line of its own: a shell's, and one for the session itself.
pub(super) fn request_command(scope: &str) -> String {
    let literal = scope.replace('\'', "''");
    format!("pgward request {scope} --for 30m --reason '…'\nCALL pgward.request('{literal}', '30 minutes', '…');")
}

/// The command that asks for one statement of a scope; a session itself cannot ask for one.
fn statement_command(scope: &str) -> String {
    format!("pgward request {scope} --for 30m --reason '…' --statement '…'")
}

pub(super) fn full_name(relation: &TouchedRelation) -> String {
    if relation.name.is_empty() { relation.schema.clone() } else { format!("{}.{}", relation.schema, relation.name) }
}

pub(super) fn object(relation: &TouchedRelation) -> String {
    let kind = match relation.kind {
        RelationKind::Table | RelationKind::Partitioned => "table",
        RelationKind::View => "view",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::Sequence => "sequence",
        RelationKind::ForeignTable => "foreign table",
        RelationKind::Composite if relation.name.is_empty() => "schema",
        RelationKind::Composite => "type",
        RelationKind::Index => "index",
        RelationKind::Toast => "relation",
    };
    format!("{kind} {}", full_name(relation))
}
