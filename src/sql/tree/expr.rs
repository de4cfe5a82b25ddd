//! Expressions, and what stands in them.

use super::name::{Name, QualifiedName};
use super::query::{Query, Window};

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `a`, `t.a`, `s.t.a`: a column, a whole row, or attribute notation for a function call. The resolver decides.
    Column(QualifiedName),
    Literal(Literal),
    /// `$1`
    Parameter(u16),
    Call(Box<Call>),
    /// A prefix operator has no left side.
    Operator {
        name: OperatorName,
        left: Option<Box<Expr>>,
        right: Box<Expr>,
    },
    /// AND, OR, NOT, IS NULL, IS TRUE, IS DISTINCT FROM is an operator; these call no function.
    Boolean(Vec<Expr>),
    /// `expr::type`, CAST, and typed literals (`date '…'`).
    Cast {
        expr: Box<Expr>,
        to: TypeName,
    },
    Collate {
        expr: Box<Expr>,
        collation: QualifiedName,
    },
    Subquery(Box<Subquery>),
    /// `(expr).name`
    Field {
        expr: Box<Expr>,
        name: Name,
    },
    /// `expr[…]`, slices included. Without indices it is any one element: `x = ANY (array)` compares with that.
    Subscript {
        expr: Box<Expr>,
        indices: Vec<Expr>,
        /// A slice gives an array, an index an element.
        slice: bool,
    },
    Row(Vec<Expr>),
    Array(Vec<Expr>),
    Case {
        operand: Option<Box<Expr>>,
        whens: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    /// COALESCE, GREATEST, LEAST, XMLCONCAT: one type in and out. NULLIF is `nullif` of one comparison, whose left side is
    /// the result.
    Common {
        name: &'static str,
        arguments: Vec<Expr>,
    },
    /// CURRENT_DATE, CURRENT_USER, LOCALTIME …: grammar, no function; `name` in lower case.
    Keyword(&'static str),
    /// `t.*` outside of a list of targets: the row of that relation, never a column of its name.
    WholeRow(QualifiedName),
    /// DEFAULT in VALUES and SET.
    Default,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    Integer(String),
    Numeric(String),
    /// `'…'`, `E'…'`, `$$…$$`, after escapes: of type unknown until something decides.
    String(String),
    Bit(String),
}

/// An operator's name; `OPERATOR(s.+)` qualifies it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperatorName {
    pub schema: Option<Name>,
    pub symbol: Box<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    pub kind: SubqueryKind,
    pub query: Query,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SubqueryKind {
    Scalar,
    Exists,
    /// ARRAY(…)
    Array,
    /// `left op ANY|ALL|SOME (query)`; IN is `= ANY`.
    Quantified {
        left: Expr,
        operator: OperatorName,
    },
}

/// A function call; aggregates and window functions too.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub name: QualifiedName,
    pub arguments: Vec<Argument>,
    /// `count(*)`
    pub star: bool,
    pub variadic: bool,
    pub order_by: Vec<Expr>,
    /// WITHIN GROUP's ORDER BY, which adds direct arguments.
    pub within_group: Vec<Expr>,
    pub filter: Option<Expr>,
    pub over: Option<Over>,
}

impl Call {
    /// Whether it names a procedure of pgward's own: no server is ever sent such a call.
    #[must_use]
    pub fn is_pgward(&self) -> bool {
        matches!(self.name.parts.as_slice(), [schema, _] if schema.as_str() == "pgward")
    }

    /// A plain call with positional arguments.
    #[must_use]
    pub fn plain(name: QualifiedName, arguments: Vec<Expr>) -> Self {
        Self {
            name,
            arguments: arguments.into_iter().map(|expr| Argument { name: None, expr }).collect(),
            star: false,
            variadic: false,
            order_by: Vec::new(),
            within_group: Vec::new(),
            filter: None,
            over: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// `name => value`
    pub name: Option<Name>,
    pub expr: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Over {
    Named(Name),
    Inline(Window),
}

/// A type as written. Grammar types come under their `pg_type` name: `integer` is `pg_catalog.int4`,
/// `double precision` is `pg_catalog.float8`, `timestamp with time zone` is `pg_catalog.timestamptz`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypeName {
    pub name: QualifiedName,
    pub array: bool,
}
