//! What one statement touches, by catalog object: the resolver's answer and the policy's input.

use crate::access::Operation;

/// An object identifier of the upstream database.
pub type Oid = u32;

/// Everything that a statement touches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Footprint {
    pub relations: Vec<TouchedRelation>,
    /// Where the statement writes: what it reads elsewhere than in the very row that it writes, and may thus carry over.
    pub sources: Vec<TouchedRelation>,
    /// Functions, aggregates, procedures, and the functions behind operators, casts and types.
    pub functions: Vec<TouchedFunction>,
    /// Names of cursors, prepared statements, settings and the like that policy needs to see.
    pub effects: Vec<Effect>,
    /// The server's catalogs whose columns are named by nothing but the `*` of an EXISTS: nobody sees them.
    pub unseen: Vec<Oid>,
}

/// One use of one relation.
#[derive(Clone, Debug, PartialEq)]
pub struct TouchedRelation {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    pub kind: RelationKind,
    pub operation: Operation,
    pub columns: Columns,
    /// The view through which it is touched; `None` where the statement names it itself, or the view has
    /// `security_invoker`. What lies behind another view is the view owner's for privilege, but its region counts all the
    /// same.
    pub through: Option<Oid>,
    /// Read because it is a child or partition of this relation, not because it was named.
    pub child_of: Option<Oid>,
}

/// The columns of one use.
#[derive(Clone, Debug, PartialEq)]
pub enum Columns {
    /// No column at all: `count(*)`, LOCK, TRUNCATE.
    None,
    /// These, by name. Sorted, without repetition. `*` lists every column.
    Named(Vec<String>),
    /// The whole row as one value: every column, also those added later.
    WholeRow,
}

/// What kind of relation it is, as `pg_class.relkind` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    Table,
    Partitioned,
    View,
    MaterializedView,
    Sequence,
    ForeignTable,
    Composite,
    Index,
    Toast,
}

/// One function that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct TouchedFunction {
    /// `None` where overload resolution could not tell which; then every candidate is listed on its own.
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    /// Whether it came with the server (its object identifier is below 16384).
    pub builtin: bool,
    pub security_definer: bool,
    /// The literal text arguments, where the function is one of [`JUDGED_BY_LITERALS`] and the call had any:
    /// `current_setting('x')` is judged by its `x`.
    pub literal_arguments: Vec<Option<String>>,
    /// What led to it.
    pub by: CalledBy,
}

/// The functions whose arguments say what they give or change. Nothing is kept of what others are passed, so that nothing can
/// come to depend on it.
pub const JUDGED_BY_LITERALS: [&str; 2] = ["current_setting", "set_config"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledBy {
    Call,
    Operator,
    Cast,
    /// A domain's check or a type's input function.
    Type,
    /// A trigger, rule, default or generated column of a relation that is written.
    Write,
    /// A view's definition: covered by the view for privilege.
    View,
}

/// What a statement does besides reading and writing rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// FOR UPDATE and the like, or LOCK.
    Locks,
    /// A rule rewrites the statement into something else.
    Rewrites { relation: String },
    /// Triggers run code of their own.
    Triggers { relation: String },
    /// A foreign key cascades into another relation.
    Cascades { relation: String },
    /// SELECT INTO, CREATE TABLE AS.
    CreatesTable,
    /// A type, operator or collation by its schema, which is none of the search path's: PostgreSQL asks for USAGE there.
    NamesSchema { schema: String },
}

/// Why a statement could not be resolved: it is refused, SQLSTATE 42501 with this as the detail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error("relation \"{0}\" does not exist")]
    Relation(String),
    #[error("column \"{0}\" does not exist")]
    Column(String),
    #[error("column reference \"{0}\" is ambiguous")]
    Ambiguous(String),
    #[error("function {0} does not exist")]
    Function(String),
    #[error("operator {0} does not exist")]
    Operator(String),
    #[error("type \"{0}\" does not exist")]
    Type(String),
    #[error("collation \"{0}\" does not exist")]
    Collation(String),
    #[error("prepared statement \"{0}\" is not known to pgward")]
    Prepared(String),
    #[error("cursor \"{0}\" is not known to pgward")]
    Cursor(String),
    #[error("{0} cannot be resolved")]
    Unsupported(String),
}
