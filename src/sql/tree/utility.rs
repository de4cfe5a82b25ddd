//! COPY, and changes of the schema.

use super::Action;
use super::expr::{Expr, TypeName};
use super::name::{Name, QualifiedName};
use super::query::Query;

#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    pub source: CopySource,
    pub direction: CopyDirection,
    pub endpoint: CopyEndpoint,
    /// COPY … FROM … WHERE.
    pub selection: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CopySource {
    /// Columns empty means all.
    Table {
        name: QualifiedName,
        columns: Vec<Name>,
    },
    Query(Action),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    To,
    From,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyEndpoint {
    /// STDIN or STDOUT: the client.
    Client,
    /// A file of the server's.
    File,
    Program,
}

/// Schema changes that pgward understands wholly; any part that it does not makes the statement [`Action::Other`].
#[derive(Clone, Debug, PartialEq)]
pub struct Ddl {
    /// What is created, altered or dropped.
    pub targets: Vec<DdlTarget>,
    /// Relations that are only referred to (REFERENCES, LIKE, the table of an index).
    pub references: Vec<QualifiedName>,
    /// Types of columns.
    pub types: Vec<TypeName>,
    /// Defaults, checks, index expressions: run now or later, with the columns of the target in scope.
    pub expressions: Vec<Expr>,
    /// The query of a view, a materialized view or CREATE TABLE AS.
    pub query: Option<Query>,
    /// TEMP or UNLOGGED: lives in the session's own schema.
    pub temporary: bool,
    pub cascade: bool,
    /// Columns that get another name, by the one that they have.
    pub renamed_columns: Vec<Name>,
    /// The second target is the first one's new name.
    pub renames: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DdlTarget {
    pub kind: DdlObject,
    pub name: QualifiedName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DdlObject {
    Table,
    View,
    MaterializedView,
    Index,
    Sequence,
    Schema,
    Type,
}
