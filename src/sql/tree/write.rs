//! INSERT, UPDATE, DELETE and MERGE.

use super::expr::Expr;
use super::name::{Name, QualifiedName};
use super::query::{Alias, FromItem, Query, RelationRef, Target, With};

#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    pub with: Option<With>,
    pub table: QualifiedName,
    pub alias: Option<Name>,
    /// Empty means every column.
    pub columns: Vec<Name>,
    /// Subscripts in the list of columns, evaluated as expressions.
    pub indices: Vec<Expr>,
    /// `None` is DEFAULT VALUES.
    pub source: Option<Query>,
    pub on_conflict: Option<OnConflict>,
    pub returning: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OnConflict {
    /// Inference expressions and the predicate after them.
    pub inference: Vec<Expr>,
    /// ON CONFLICT ON CONSTRAINT.
    pub constraint: Option<Name>,
    /// `None` is DO NOTHING.
    pub update: Option<(Vec<Assignment>, Option<Expr>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The columns that are set; more than one is `(a, b) = …`.
    pub columns: Vec<Name>,
    /// Subscripts on the left (`SET a[i] = …`), evaluated as expressions.
    pub indices: Vec<Expr>,
    pub value: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub with: Option<With>,
    pub table: RelationRef,
    pub alias: Alias,
    pub assignments: Vec<Assignment>,
    pub from: Vec<FromItem>,
    pub selection: Option<Expr>,
    /// WHERE CURRENT OF.
    pub current_of: Option<Name>,
    pub returning: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    pub with: Option<With>,
    pub table: RelationRef,
    pub alias: Alias,
    pub using: Vec<FromItem>,
    pub selection: Option<Expr>,
    pub current_of: Option<Name>,
    pub returning: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    pub with: Option<With>,
    pub table: RelationRef,
    pub alias: Alias,
    pub source: FromItem,
    pub on: Expr,
    pub whens: Vec<MergeWhen>,
    pub returning: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MergeWhen {
    pub condition: Option<Expr>,
    pub action: MergeAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MergeAction {
    Insert {
        columns: Vec<Name>,
        /// Subscripts in the list of columns.
        indices: Vec<Expr>,
        values: Vec<Expr>,
    },
    Update(Vec<Assignment>),
    Delete,
    DoNothing,
}
