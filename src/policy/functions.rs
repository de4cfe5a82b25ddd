//! Functions against a scope: harmless built-ins run under any grant, everything else only where the scope names it.

use super::denial::Refusal;
use super::harmless::is_harmless;
use super::settings;
use crate::access::{ObjectPattern, Scope};
use crate::catalog::{CalledBy, JUDGED_BY_LITERALS, TouchedFunction};

/// Whether `scope` lets this function run.
pub(super) fn check(function: &TouchedFunction, scope: &Scope, search_paths: &[String]) -> Result<(), Refusal> {
    if is_free(function, search_paths)
        || scope.allow.iter().flat_map(|privilege| &privilege.functions).any(|on| names(on, function))
    {
        Ok(())
    } else {
        Err(Refusal::Function(function.clone()))
    }
}

/// Whether any grant lets this function run.
pub(super) fn is_free(function: &TouchedFunction, search_paths: &[String]) -> bool {
    match function.by {
        // The privilege to write a relation speaks for its triggers and defaults.
        CalledBy::Write => true,
        // Policies that guard rows and operator classes are not in a footprint at all: they are the table's and the type's.
        // A view's functions run with the rights of who queries it: PostgreSQL asks that role for EXECUTE, and so does
        // this. What they read is behind no view's lineage.
        CalledBy::View => function.builtin,
        // No operator, cast or type that comes with the server runs text it is given or reaches beyond its arguments.
        CalledBy::Operator | CalledBy::Cast | CalledBy::Type => function.builtin,
        CalledBy::Call => function.builtin && is_harmless_call(function, search_paths),
    }
}

/// Whether no literal that the function is passed can say whether it may run.
pub(super) fn is_literal_free(function: &TouchedFunction) -> bool {
    match function.by {
        CalledBy::Write | CalledBy::View | CalledBy::Operator | CalledBy::Cast | CalledBy::Type => true,
        CalledBy::Call => {
            let judged = JUDGED_BY_LITERALS.contains(&function.name.as_str());
            function.builtin && !judged && function.schema == "pg_catalog" && is_harmless(&function.name)
        }
    }
}

fn is_harmless_call(function: &TouchedFunction, search_paths: &[String]) -> bool {
    let literal = |index: usize| function.literal_arguments.get(index).and_then(Option::as_deref);
    match (function.schema.as_str(), function.name.as_str()) {
        ("pg_catalog", "current_setting") => literal(0).is_some_and(settings::may_show),
        ("pg_catalog", "set_config") => match (literal(0), literal(1)) {
            // It is pgward that has to hear it, and it hears SET.
            (Some(name), _) if name.eq_ignore_ascii_case(settings::REASON) => false,
            (Some(name), Some(value)) => {
                settings::may_set(name, Some(&[value.to_owned()]), search_paths, false).is_ok()
            }
            // A value that is not told has to be one of any.
            (Some(name), None) => settings::may_set_to_anything(name),
            (None, _) => false,
        },
        ("pg_catalog", name) => is_harmless(name),
        // Helpers of the information schema's views, which drivers call as well.
        ("information_schema", name) => name.starts_with("_pg_"),
        _ => false,
    }
}

/// Whether a scope's pattern means this function. What comes with the server has to be named in full: a scope that says
/// `*.*` means the application's functions, not `pg_read_file`.
fn names(on: &ObjectPattern, function: &TouchedFunction) -> bool {
    on.matches(&function.schema, &function.name) && (!function.builtin || (on.schema.is_some() && on.name.is_some()))
}
