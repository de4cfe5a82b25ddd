//! The decision: one grant has to allow all of a statement.

use std::sync::Arc;

use super::context::Context;
use super::denial::{Refusal, request_command};
use super::export::ExportClaim;
use super::only::{self, Wording};
use super::verdict::{Denial, Permit, Rule, Verdict};
use super::{functions, guards, hidden, labels, relations, renaming, residency, statements};
use crate::access::{Grant, GrantState, Operation, Region, Scope};
use crate::catalog::{CalledBy, Columns, Effect, Footprint, Unresolved};
use crate::sql::tree::{Action, Statement};

/// Whether `statement` may run now. `text` is the message that the statement's range cuts it from.
#[must_use]
pub fn decide(
    statement: &Statement,
    text: &str,
    resolved: &Result<Footprint, Unresolved>,
    context: &Context,
) -> Verdict {
    match judge(statement, &Wording::of(statement, text), resolved, context, None) {
        Ok((grant, exports)) => {
            Verdict::Allow(Permit::new(grant).with_exports(exports).with_data_region(home(resolved, context)))
        }
        Err(denial) => Verdict::Deny(denial),
    }
}

/// The region that keeps the records of a statement, where it is not the upstream's.
pub(super) fn home(resolved: &Result<Footprint, Unresolved>, context: &Context) -> Option<Region> {
    residency::data_region(resolved.as_ref().ok()?, &context.database)
}

/// The grant that allows a statement, and what its rows count against; or why none does.
pub(super) type Judged = Result<(Arc<Grant>, Vec<ExportClaim>), Denial>;

/// Tries each live grant, oldest first; those that are used up by use after those that are not. Where none allows, the newest
/// one's reason is the one to tell. `steps` is told of each grant that was looked at, and what it came to, where somebody
/// wants to know.
pub(super) fn judge(
    statement: &Statement,
    wording: &Wording<'_>,
    resolved: &Result<Footprint, Unresolved>,
    context: &Context,
    mut steps: Option<&mut Vec<String>>,
) -> Judged {
    let mut tell = |grant: &Grant, what: &dyn Fn() -> String| {
        if let Some(steps) = &mut steps {
            steps.push(format!("grant {} (scope \"{}\") {}", grant.id, grant.scope.name, what()));
        }
    };
    if let Some(denial) = guards::left_writing(statement, context) {
        return Err(denial);
    }
    let mut refused: Option<(usize, Denial)> = None;
    let counted = |wanted: bool| context.grants.iter().enumerate().filter(move |(_, one)| one.uses.is_some() == wanted);
    for (age, grant) in counted(false).chain(counted(true)) {
        match grant.state_at(context.now) {
            GrantState::Live => {}
            GrantState::Pending => {
                tell(grant, &|| "has not begun".to_owned());
                continue;
            }
            GrantState::Expired | GrantState::Revoked => {
                tell(grant, &|| "is over".to_owned());
                continue;
            }
        }
        let judged = match resolved {
            Ok(footprint) => under(statement, wording, footprint, grant, context)
                .map_err(|refusal| refusal.into_denial(grant, context)),
            Err(unresolved) => Err(unresolved_denial(unresolved)),
        };
        match judged {
            Ok(exports) => {
                tell(grant, &|| format!("allows it: {}", resolved.as_ref().map_or_else(|_| String::new(), needed)));
                return Ok((Arc::clone(grant), exports));
            }
            Err(denial) => {
                tell(grant, &|| format!("does not: {}. {}", denial.message, denial.detail));
                if refused.as_ref().is_none_or(|(other, _)| *other < age) {
                    refused = Some((age, denial));
                }
            }
        }
    }
    Err(refused.map_or_else(|| no_grant(context), |(_, denial)| denial))
}

/// What a statement needed a privilege for, in words.
fn needed(footprint: &Footprint) -> String {
    let own = footprint.relations.iter().filter(|touched| touched.through.is_none() && touched.child_of.is_none());
    let relations = own.filter(|touched| !super::catalogs::is_catalog(&touched.schema)).map(|touched| {
        let columns = match &touched.columns {
            Columns::None => String::new(),
            Columns::Named(names) => format!(" ({})", names.join(", ")),
            Columns::WholeRow => " (whole rows)".to_owned(),
        };
        format!("{} on {}.{}{columns}", touched.operation, touched.schema, touched.name)
    });
    let functions = footprint.functions.iter().filter(|function| !function.builtin && !is_indirect(function.by));
    let functions = functions.map(|function| format!("function {}.{}", function.schema, function.name));
    let all: Vec<String> = relations.chain(functions).collect();
    if all.is_empty() { "nothing in it needs a privilege".to_owned() } else { all.join("; ") }
}

/// Whether one grant allows all of a statement; and what its rows count against.
fn under(
    statement: &Statement,
    wording: &Wording<'_>,
    footprint: &Footprint,
    grant: &Grant,
    context: &Context,
) -> Result<Vec<ExportClaim>, Refusal> {
    only::check(statement, wording, grant, context.goes_on.as_ref() == Some(&grant.id))?;
    statements::check(statement, &grant.scope, context)?;
    let one_setting = statements::reads_one_shown_setting(&statement.action);
    for touched in &footprint.relations {
        let is_settings = touched.schema == "pg_catalog" && touched.name == "pg_settings";
        if !(one_setting && is_settings) {
            relations::check(touched, grant)?;
        }
    }
    for function in &footprint.functions {
        if one_setting && function.builtin && function.name == "pg_show_all_settings" {
            continue;
        }
        functions::check(function, &grant.scope, &context.search_paths)?;
    }
    footprint.effects.iter().try_for_each(|effect| self::effect(effect, statement, &grant.scope))?;
    guards::check(statement, footprint, &grant.scope, context)?;
    let claims = residency::check(footprint, grant, context)?;
    labels::check(footprint, grant, &context.database)?;
    hidden::check(footprint, grant, &context.database, context.now)?;
    renaming::check(statement, footprint, &context.database)?;
    Ok(claims)
}

fn effect(effect: &Effect, statement: &Statement, scope: &Scope) -> Result<(), Refusal> {
    // CASCADE reaches whatever depends on the object, which the footprint does not list: only who may do this
    // everywhere may do it there. Foreign keys' own actions are in the footprint as writes.
    let reaching = match statement.action {
        Action::Truncate { .. } => Some(Operation::Truncate),
        Action::Ddl(_) => Some(Operation::Ddl),
        ref _listed => None,
    };
    match effect {
        // Locked rows count as updated ones, a new table as a schema change: the relations say so themselves.
        Effect::Locks | Effect::CreatesTable => Ok(()),
        // Triggers belong to the table: who may write it sets them off, as in PostgreSQL.
        Effect::Triggers { .. } => Ok(()),
        Effect::NamesSchema { schema } if !names_schema(scope, schema) => Err(Refusal::Schema(schema.clone())),
        Effect::NamesSchema { .. } => Ok(()),
        Effect::Rewrites { relation } => Err(Refusal::Rewrites(relation.clone())),
        Effect::Cascades { relation } => match reaching {
            Some(operation) if !everywhere(scope, operation) => Err(Refusal::Cascades(relation.clone())),
            Some(_) | None => Ok(()),
        },
    }
}

/// Whether a scope allows an operation on every relation of the database.
fn everywhere(scope: &Scope, operation: Operation) -> bool {
    scope.allow.iter().any(|privilege| {
        privilege.operations.contains(operation)
            && privilege.columns.is_none()
            && privilege.on.iter().any(|on| on.schema.is_none() && on.name.is_none())
    })
}

/// Whether anything that a scope allows lies in `schema`.
fn names_schema(scope: &Scope, schema: &str) -> bool {
    let patterns = |privilege: &crate::access::Privilege| {
        privilege
            .on
            .iter()
            .chain(&privilege.functions)
            .any(|on| on.schema.as_deref().is_none_or(|known| known == schema))
    };
    scope.allow.iter().any(patterns)
}

fn unresolved_denial(unresolved: &Unresolved) -> Denial {
    Denial {
        rule: Rule::Unresolved,
        message: unresolved.to_string(),
        detail: "pgward refuses what it cannot resolve in the database's catalogs (rule unresolved)".to_owned(),
        hint: None,
    }
}

fn no_grant(context: &Context) -> Denial {
    Denial {
        rule: Rule::NoGrant,
        message: format!("no live grant for \"{}\" on \"{}\"", context.principal, context.database.name),
        detail: "Nothing runs without a grant that is live at this instant (rule no-grant)".to_owned(),
        hint: context.requestable.first().map(|scope| request_command(&scope.name)),
    }
}

/// Functions that a footprint lists because a definition calls them, not the statement.
pub(super) fn is_indirect(by: CalledBy) -> bool {
    match by {
        CalledBy::View | CalledBy::Write => true,
        CalledBy::Call | CalledBy::Operator | CalledBy::Cast | CalledBy::Type => false,
    }
}
