//! What a statement names, as either tree shows it.

use std::collections::BTreeMap;

/// Names, each with how often it is named; qualified ones with dots between their parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    names: BTreeMap<(Kind, String), usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Relation,
    /// A relation whose name no WITH around it has taken: a table, and not a query's result.
    Stored,
    Function,
    /// A column as it is referred to, `*` and `t.*` included.
    Column,
    /// A column that is written or listed: INSERT's, UPDATE's, COPY's, those of USING.
    Target,
    Type,
    /// `(expr).name`, where it is no column.
    Field,
    Operator,
    Collation,
    Parameter,
    String,
    /// A relation without its children.
    Only,
    /// What a table, a column, a CTE or a window is called from there on.
    Alias,
    /// The name of a cursor, of a prepared statement, of a savepoint, of a setting.
    Label,
    /// A property of a command: EXPLAIN's ANALYZE, COPY's direction.
    Flag,
}

impl Facts {
    pub fn add(&mut self, kind: Kind, name: impl Into<String>) {
        let mut name = name.into();
        // Words of the grammar from version 16 on, which then mean `pg_catalog`'s; names like others before.
        if matches!(name.as_str(), "pg_catalog.json" | "pg_catalog.json_object") {
            name = name.trim_start_matches("pg_catalog.").to_owned();
        }
        *self.names.entry((kind, name)).or_default() += 1;
    }

    /// What is named here and less often, or not at all, in `other`.
    pub fn missing_from<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (Kind, &'a str)> {
        self.names
            .iter()
            .filter(|(name, count)| other.names.get(name).is_none_or(|found| found < count))
            .map(|((kind, name), _)| (*kind, name.as_str()))
    }
}
