//! Scopes, judged by what was done under them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::access::{Operation, Privilege, Scope};

/// What was used under one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    relations: BTreeMap<(String, String), BTreeMap<Operation, Columns>>,
    functions: BTreeSet<(String, String)>,
}

/// The columns of one use; none at all where rows were only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Columns {
    whole: bool,
    names: BTreeSet<String>,
}

impl Used {
    /// `columns`: `None` is whole rows.
    pub fn relation(&mut self, schema: &str, name: &str, operation: Operation, columns: Option<&[String]>) {
        let used =
            self.relations.entry((schema.to_owned(), name.to_owned())).or_default().entry(operation).or_default();
        match columns {
            None => used.whole = true,
            Some(names) => used.names.extend(names.iter().cloned()),
        }
    }

    /// Takes in what was used elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (relation, operations) in &other.relations {
            let known = self.relations.entry(relation.clone()).or_default();
            for (operation, columns) in operations {
                let known = known.entry(*operation).or_default();
                known.whole |= columns.whole;
                known.names.extend(columns.names.iter().cloned());
            }
        }
        self.functions.extend(other.functions.iter().cloned());
    }

    pub fn function(&mut self, schema: &str, name: &str) {
        self.functions.insert((schema.to_owned(), name.to_owned()));
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.relations.is_empty() && self.functions.is_empty()
    }

    /// The `[[scope.allow]]` of the narrowest scope that allows all of it.
    #[must_use]
    pub fn allow(&self) -> String {
        let mut toml = String::new();
        for ((schema, name), operations) in &self.relations {
            // Operations that need the same columns stand together.
            let mut together: BTreeMap<Option<Vec<&String>>, Vec<Operation>> = BTreeMap::new();
            for (operation, columns) in operations {
                let narrows = match operation {
                    Operation::Select | Operation::Insert | Operation::Update => {
                        !columns.whole && !columns.names.is_empty()
                    }
                    Operation::Delete | Operation::Truncate | Operation::Ddl => false,
                };
                together.entry(narrows.then(|| columns.names.iter().collect())).or_default().push(*operation);
            }
            for (columns, operations) in together {
                let _ = writeln!(toml, "[[scope.allow]]\non = [{}]", text(&pattern(schema, name)));
                if let Some(columns) = columns {
                    let columns: Vec<String> = columns.into_iter().map(|column| text(column)).collect();
                    let _ = writeln!(toml, "columns = [{}]", columns.join(", "));
                }
                let operations: Vec<String> = operations.iter().map(|one| text(one.as_str())).collect();
                let _ = writeln!(toml, "do = [{}]", operations.join(", "));
            }
        }
        if !self.functions.is_empty() {
            let all: Vec<String> = self.functions.iter().map(|(schema, name)| text(&pattern(schema, name))).collect();
            let _ = writeln!(toml, "[[scope.allow]]\nfunctions = [{}]", all.join(", "));
        }
        toml
    }

    /// Whether any use falls under a privilege.
    fn touches(&self, privilege: &Privilege) -> bool {
        let relation = |((schema, name), operations): (&(String, String), &BTreeMap<Operation, Columns>)| {
            privilege.on.iter().any(|on| on.matches(schema, name))
                && operations.keys().any(|operation| privilege.operations.contains(*operation))
        };
        let function =
            |(schema, name): &(String, String)| privilege.functions.iter().any(|on| on.matches(schema, name));
        self.relations.iter().any(relation) || self.functions.iter().any(function)
    }
}

/// A name that is no pattern, as the configuration writes it.
fn pattern(schema: &str, name: &str) -> String {
    let part = |part: &str| match part.contains(['.', '"', '*']) || part.is_empty() {
        true => format!("\"{}\"", part.replace('"', "\"\"")),
        false => part.to_owned(),
    };
    format!("{}.{}", part(schema), part(name))
}

fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// How many of a scope's privileges were used, and which were not, in words.
#[must_use]
pub fn patterns_used(scope: &Scope, used: &Used) -> (usize, Vec<String>) {
    let unused = scope.allow.iter().filter(|privilege| !used.touches(privilege));
    let words = |privilege: &Privilege| {
        let on = privilege.on.iter().chain(&privilege.functions).map(ToString::to_string);
        let operations: Vec<&str> = privilege.operations.iter().map(Operation::as_str).collect();
        format!("{} ({})", on.collect::<Vec<_>>().join(", "), operations.join(", "))
    };
    let unused: Vec<String> = unused.map(words).collect();
    (scope.allow.len() - unused.len(), unused)
}

/// What `pgward scopes suggest` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopesReport {
    pub days: u32,
    pub scopes: Vec<ScopeUse>,
    /// The grants of these days.
    pub grants: Vec<GrantUse>,
    /// Asked for, and allowed by no grant.
    pub refused: Vec<Refused>,
    /// What could not be counted, and why.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeUse {
    pub scope: String,
    pub database: String,
    pub requests: u64,
    pub grants: u64,
    /// Grants under which anything ran.
    pub grants_used: u64,
    pub statements: u64,
    /// `never asked for`, `never granted`, `never used`; nothing where it was used.
    pub never: Option<String>,
    /// The privileges under which nothing ran.
    pub unused: Vec<String>,
    /// The longest that anybody worked under one grant, from the first statement to the last.
    pub longest_use_seconds: u64,
    pub max_duration_seconds: u64,
    /// The `[[scope.allow]]` that what ran would have needed, in place of those that there are; none where nothing ran.
    pub suggestion: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantUse {
    pub grant: String,
    pub scope: String,
    pub principal: String,
    pub statements: u64,
    /// Of the scope's privileges, how many were used.
    pub privileges_used: usize,
    pub privileges: usize,
    /// From the first statement to the last.
    pub used_seconds: u64,
    pub window_seconds: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refused {
    pub database: String,
    pub relation: String,
    pub operation: String,
    pub rule: String,
    pub statements: u64,
    pub principals: BTreeSet<String>,
}
