//! What the approvers of a request for one statement are shown of it, as it was when the request was filed or edited.

use serde::{Deserialize, Serialize};

/// What a statement touches, and what it would cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// `SELECT`, `DELETE`, …
    pub kind: String,
    pub relations: Vec<Touched>,
    /// The functions that it calls, as `schema.name`.
    pub functions: Vec<String>,
    /// The labels of the data that it touches.
    pub labels: Vec<String>,
    /// Where that data lies.
    pub regions: Vec<String>,
    /// Why it would be refused from where it was asked for, though the scope allows it.
    pub refused: Option<String>,
    pub estimate: Estimate,
}

/// One relation that a statement touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// `schema.name`.
    pub name: String,
    pub operation: String,
    /// `*` is the whole row.
    pub columns: Vec<String>,
}

/// What the database's planner expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimate {
    Planned {
        /// That it returns or changes.
        rows: u64,
        /// In the planner's units.
        cost: u64,
        /// One node a line, indented.
        plan: Vec<String>,
    },
    /// Why there is none.
    Unknown(String),
}
