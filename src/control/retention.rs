//! What the control port asks and answers about rows that are past their time; and who does it, which others implement.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::Principal;

/// Which policies are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Selection {
    /// A database, or one of its upstreams (`shop@us`); every one where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// One policy, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// Asks for a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Also outside the policies' hours.
    #[serde(default)]
    pub any_hour: bool,
}

/// What a run would do by one policy on one upstream. Counts are of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    pub policy: String,
    pub database: String,
    pub relation: String,
    /// `report`, `delete` or `anonymise`
    pub action: String,
    pub keep: String,
    /// Rows before this are overdue.
    pub cutoff: String,
    pub overdue: u64,
    /// The time of the oldest overdue row.
    pub oldest: Option<String>,
    /// Rows without a time: never overdue.
    pub undated: u64,
    /// Overdue, and under a legal hold.
    pub held: u64,
    /// Overdue, and needed by rows elsewhere.
    pub blocked: Vec<BlockedView>,
    /// What a run would purge or anonymise.
    pub due: u64,
    /// At least so many; each holds so many rows at most, those that CASCADE takes along counted apart.
    pub batches: u64,
    /// Partitions that would be dropped whole.
    pub partitions: Vec<PartitionView>,
    /// What foreign keys would do elsewhere.
    pub touched: Vec<TouchedView>,
    /// The scope of which a run needs a live grant.
    pub scope: Option<String>,
    pub advice: Vec<String>,
    /// Why the policy cannot be carried out; then nothing was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockedView {
    pub foreign_key: String,
    pub by: String,
    pub rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionView {
    pub name: String,
    /// Its upper bound.
    pub upto: String,
    pub rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TouchedView {
    pub foreign_key: String,
    pub relation: String,
    /// `CASCADE`, `SET NULL` or `SET DEFAULT`
    pub on_delete: String,
    pub rows: u64,
}

/// One run on one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    pub id: String,
    pub database: String,
    /// Who asked for it; `pgward` where its time had come.
    pub by: String,
    pub state: RunState,
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    pub policies: Vec<ProgressView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Running,
    /// Nothing is due any more.
    Finished,
    /// Something due is still there: a policy was stopped or failed, or rows could not be dealt with.
    Incomplete,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProgressView {
    pub policy: String,
    pub relation: String,
    pub action: String,
    /// Rows of the relation that are done with.
    pub rows: u64,
    /// Rows elsewhere that went or changed with them.
    pub also: u64,
    pub batches: u64,
    /// Rows that could not be dealt with; each is in the journal.
    pub failed: u64,
    /// Why the policy ended early, where it did.
    pub ended_early: Option<String>,
}

/// Places a legal hold on rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDataHold {
    pub database: String,
    /// `schema.name`
    pub on: String,
    /// The rows, as an SQL condition on the table's columns; all of them where there is none.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataHoldView {
    pub id: String,
    pub database: String,
    pub on: String,
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    pub reason: String,
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub placed_at: Timestamp,
}

/// A relation whose overdue rows are not to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HiddenView {
    pub policy: String,
    pub database: String,
    pub relation: String,
    /// `none_overdue`: it is read as ever. `overdue`: what reads it is refused. `filtered`: PostgreSQL hides the rows.
    /// `unknown`: it could not be looked at, and what reads it is refused.
    pub state: String,
    /// What has PostgreSQL hide them, for the owner of the table to run; only where the table is there.
    pub sql: Option<String>,
}

/// Who asks for something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    pub principal: Principal,
    pub address: String,
    /// May carry out what needs no grant, and outside hours.
    pub is_admin: bool,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    #[error("{0}")]
    NotFound(String),
    /// What is wrong, and what to do.
    #[error("{0}")]
    Refused(String, String),
    #[error("{0}")]
    Invalid(String),
    /// The store, the journal or the database does not answer.
    #[error("{0}")]
    Unavailable(String),
}

/// Counts and purges what is past its time.
#[async_trait::async_trait]
pub trait Retention: Send + Sync + std::fmt::Debug {
    /// Counts what a run would do, changing nothing.
    async fn plan(&self, selection: Selection) -> Result<Vec<PlanView>, RetentionError>;

    /// Begins a run on each upstream that is meant.
    async fn run(&self, new: NewRun, asker: Asker) -> Result<Vec<RunView>, RetentionError>;

    /// The runs since the process began, newest last.
    fn runs(&self) -> Vec<RunView>;

    /// Has a run end after its batch.
    async fn stop(&self, id: &str, by: &str) -> Result<RunView, RetentionError>;

    async fn place_hold(&self, new: NewDataHold, asker: Asker) -> Result<DataHoldView, RetentionError>;

    /// The relations whose overdue rows are not to be read.
    async fn hidden(&self, database: Option<&str>) -> Result<Vec<HiddenView>, RetentionError>;

    /// The holds that stand.
    async fn holds(&self) -> Result<Vec<DataHoldView>, RetentionError>;

    async fn release_hold(&self, id: &str, reason: &str, asker: Asker) -> Result<DataHoldView, RetentionError>;
}
