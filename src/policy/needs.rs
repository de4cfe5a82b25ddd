//! What a statement needs a scope to allow: the relations that it touches itself, and the functions that are not harmless.

use std::sync::Arc;

use super::{catalogs, functions};
use crate::access::{Guards, Operation, Rules, Scope};
use crate::catalog::{Columns, Footprint};

/// One privilege on a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub schema: String,
    pub name: String,
    pub operation: Operation,
    /// `None` is whole rows; no column at all is a count of rows.
    pub columns: Option<Vec<String>>,
}

/// What a scope has to allow for a statement, and nothing that PostgreSQL's own rules give anyway.
#[must_use]
pub fn needs(footprint: &Footprint, search_paths: &[String]) -> (Vec<Need>, Vec<(String, String)>) {
    let own = footprint.relations.iter().filter(|touched| touched.through.is_none() && touched.child_of.is_none());
    let relations = own.filter(|touched| !catalogs::is_catalog(&touched.schema)).map(|touched| Need {
        schema: touched.schema.clone(),
        name: touched.name.clone(),
        operation: touched.operation,
        columns: match &touched.columns {
            Columns::None => Some(Vec::new()),
            Columns::Named(names) => Some(names.clone()),
            Columns::WholeRow => None,
        },
    });
    let nothing = Arc::new(nothing());
    let named =
        footprint.functions.iter().filter(|function| functions::check(function, &nothing, search_paths).is_err());
    (relations.collect(), named.map(|function| (function.schema.clone(), function.name.clone())).collect())
}

/// A scope that allows nothing.
fn nothing() -> Scope {
    Scope {
        name: String::new(),
        database: String::new(),
        regions: Vec::new(),
        requesters: Vec::new(),
        approvers: Vec::new(),
        approvals: 1,
        max_duration: std::time::Duration::ZERO,
        guards: Guards::default(),
        rules: Rules::default(),
        allow: Vec::new(),
    }
}
