//! One `[[database.retention]]`, and the holds that go before it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::keep::Keep;
use super::sql::identifier;
use crate::access::Hours;

/// A table by its full name, exactly as the catalogs hold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Relation {
    pub schema: String,
    pub name: String,
}

impl Relation {
    #[must_use]
    pub fn new(schema: &str, name: &str) -> Self {
        Self { schema: schema.to_owned(), name: name.to_owned() }
    }

    /// As SQL names it.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// What happens to rows whose time has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// They are counted, and stay.
    Report,
    /// They go; partitions that hold nothing else are dropped whole where that is wanted.
    Delete { drop_partitions: bool },
    /// They stay, without what these columns said.
    Anonymise(BTreeMap<String, Change>),
}

impl Action {
    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Delete { .. } => "delete",
            Self::Anonymise(_) => "anonymise",
        }
    }
}

/// What becomes of one column. Each can be told from the row whether it was done, so that no row is changed twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Null,
    /// The column's own default, which has to be a constant.
    Default,
    Constant(String),
    /// `anonymous-` and a random UUID: different in every row.
    Random,
    /// Only so many characters of it stay.
    First(u32),
}

/// One `[[database.retention]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub name: String,
    pub on: Relation,
    /// The timestamp that counts.
    pub column: String,
    pub keep: Keep,
    pub action: Action,
    /// Only rows of which this SQL condition is true.
    pub only: Option<String>,
    /// Rows of one transaction at most.
    pub batch: u32,
    /// Between two of them.
    pub pause: Duration,
    /// For a lock that others hold.
    pub lock_timeout: Duration,
    /// Runs take place within one of these; at any time if there are none.
    pub hours: Vec<Hours>,
    /// How often it is carried out by itself.
    pub every: Option<Duration>,
    /// A run needs a live grant of this scope.
    pub scope: Option<String>,
    /// Overdue rows are not to be read any more, purged or not.
    pub hide: bool,
    /// Whose grants, by the scope's name, read them all the same.
    pub hide_except: Vec<String>,
    /// The line of the configuration.
    pub line: usize,
}

impl Policy {
    /// Whether a run may go on at this instant.
    #[must_use]
    pub fn is_open_at(&self, now: Timestamp) -> bool {
        self.hours.is_empty() || self.hours.iter().any(|hours| hours.contain(now))
    }

    #[must_use]
    pub fn deletes(&self) -> bool {
        matches!(self.action, Action::Delete { .. })
    }
}

/// A legal hold: rows that stay, whatever their time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hold {
    /// `dh_…`
    pub id: String,
    pub database: String,
    pub on: Relation,
    /// The rows, as an SQL condition; `None` is all of the table.
    pub rows: Option<String>,
    pub reason: String,
    pub by: String,
    pub placed: Timestamp,
}
