//! Queries: what SELECT, VALUES and WITH come to.

use super::Action;
use super::expr::{Call, Expr, TypeName};
use super::name::{Name, QualifiedName};

/// SELECT in all its forms, with what stands around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub with: Option<With>,
    pub body: SetExpr,
    pub order_by: Vec<Expr>,
    /// LIMIT, OFFSET and FETCH expressions.
    pub limits: Vec<Expr>,
    /// FOR UPDATE, FOR SHARE and the like.
    pub locks: Vec<RowLock>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct With {
    pub recursive: bool,
    pub ctes: Vec<Cte>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    pub name: Name,
    pub columns: Vec<Name>,
    /// A query or a data-modifying statement.
    pub body: Action,
    /// The columns that SEARCH and CYCLE add behind its own.
    pub added: Vec<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetExpr {
    Select(Box<Select>),
    /// A parenthesised query with clauses of its own.
    Query(Box<Query>),
    Values(Vec<Vec<Expr>>),
    /// UNION, INTERSECT, EXCEPT.
    SetOperation {
        left: Box<SetExpr>,
        right: Box<SetExpr>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct RowLock {
    /// The FOR … OF names; empty means every relation of the query.
    pub of: Vec<QualifiedName>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Select {
    pub distinct_on: Vec<Expr>,
    pub targets: Vec<Target>,
    /// SELECT INTO's table.
    pub into: Option<QualifiedName>,
    pub from: Vec<FromItem>,
    pub selection: Option<Expr>,
    /// GROUP BY with GROUPING SETS, CUBE and ROLLUP flattened. A bare name here may mean an output alias.
    pub group_by: Vec<Expr>,
    pub having: Option<Expr>,
    pub windows: Vec<(Name, Window)>,
}

/// One entry of a select list or RETURNING.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Expr {
        expr: Expr,
        alias: Option<Name>,
    },
    /// `*`
    Star,
    /// `t.*`, `s.t.*`
    QualifiedStar(QualifiedName),
    /// `(expr).*`
    FieldStar(Expr),
    /// RETURNING WITH (OLD AS name): no target, but a name for the row in those after it.
    RowAlias(Name),
}

/// A relation by name, where the grammar allows ONLY.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationRef {
    pub name: QualifiedName,
    pub only: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alias {
    pub name: Option<Name>,
    pub columns: Vec<Name>,
}

/// One item of a FROM clause.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the largest is also the most frequent")]
pub enum FromItem {
    Relation {
        relation: RelationRef,
        alias: Alias,
        /// TABLESAMPLE's method and arguments.
        sample: Option<Call>,
    },
    /// Functions in FROM; more than one is ROWS FROM. UNNEST, XMLTABLE and JSON_TABLE come here too.
    Functions {
        calls: Vec<Call>,
        lateral: bool,
        ordinality: bool,
        alias: Alias,
        /// Of each call the column definition list, `AS t(a int, b text)`; empty where there is none.
        definitions: Vec<Vec<(Name, TypeName)>>,
    },
    Subquery {
        query: Box<Query>,
        lateral: bool,
        alias: Alias,
    },
    Join {
        left: Box<FromItem>,
        right: Box<FromItem>,
        constraint: JoinConstraint,
        alias: Alias,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum JoinConstraint {
    On(Expr),
    /// The columns, and the alias of `USING (…) AS alias`.
    Using(Vec<Name>, Option<Name>),
    Natural,
    /// CROSS JOIN.
    None,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// The window that this one refines.
    pub base: Option<Name>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<Expr>,
    /// Frame bounds.
    pub bounds: Vec<Expr>,
}
