//! A second opinion: what PostgreSQL's own parse analysis says that a statement touches, and whether that is in the footprint
//! that the resolver found.
//!
//! PostgreSQL is asked by a temporary function whose body is the statement (`BEGIN ATOMIC`, 14 and later). Creating it analyses
//! the statement and runs nothing of it; what the body refers to then stands in `pg_depend`, and with which privileges in the
//! body itself, as it is stored. The transaction is rolled back.
//!
//! | file | owns |
//! | --- | --- |
//! | `ask` | the conversation with the server |
//! | `body` | the stored form of the body (`pg_proc.prosqlbody`): relations, privileges, columns, functions |
//! | `stand_in` | questions for statements that have no query in them |
//! | `compare` | what of an opinion is missing from a footprint |

mod ask;
mod body;
mod compare;
mod stand_in;

pub use ask::{AskError, MAX_TEXT, Parameters, Question, Unable, ask, prepare_connection};
pub use compare::{Depth, Difference, compare};
pub use stand_in::stand_in;

#[cfg(test)]
mod tests;

use super::footprint::Oid;
use crate::access::Operation;

/// What PostgreSQL says that one statement touches. Objects behind views, triggers and the like are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opinion {
    /// How many statements PostgreSQL read in the text.
    pub(in crate::catalog) statements: usize,
    /// What the executor would ask privileges for.
    pub(in crate::catalog) uses: Vec<Use>,
    /// Relations that it names, whatever for.
    pub(in crate::catalog) relations: Vec<Oid>,
    /// Functions that would run, those behind operators and casts among them.
    pub(in crate::catalog) functions: Vec<Oid>,
    /// Functions that its text calls, in so many words.
    pub(in crate::catalog) calls: Vec<Oid>,
    /// Domains whose checks would run.
    pub(in crate::catalog) domains: Vec<Oid>,
    /// Numbers in constants of the types that name objects: a statement depends on these without touching them.
    pub(in crate::catalog) named: Vec<Oid>,
    /// Types of values in it: a field of a row depends on the relation of the row's type, and reads nothing of that.
    pub(in crate::catalog) types: Vec<Oid>,
    /// Relations and columns in `pg_depend`, 0 where it is no single column. What came with the server is not recorded.
    pub(in crate::catalog) depends_on_columns: Vec<(Oid, i32)>,
    /// Functions in `pg_depend`, those of its operators among them.
    pub(in crate::catalog) depends_on_functions: Vec<Oid>,
}

/// One privilege that the executor would ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Use {
    pub relation: Oid,
    pub operation: Operation,
    /// Numbers of columns: 0 is the whole row, negative ones are the system's.
    pub columns: Vec<i16>,
}
