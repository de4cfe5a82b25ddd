//! What a statement says, in PostgreSQL's terms: the one form that the rest of pgward sees of SQL.
//!
//! This tree keeps what access control needs (names, scopes, calls, casts, effects) and nothing of the parser's own
//! types. Names are as PostgreSQL reads them: unquoted ones folded in ASCII, all truncated to 63 bytes. Nothing here is
//! resolved: which object a name means is the catalog's business.

use std::fmt;
use std::ops::Range;

/// One identifier after folding and truncation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub Box<str>);

impl Name {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `a`, `s.a`, `d.s.a`: never empty, parts in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QualifiedName {
    pub parts: Vec<Name>,
}

impl QualifiedName {
    /// `pg_catalog.name`: what PostgreSQL's grammar means by syntax such as `EXTRACT` or `LIKE`.
    #[must_use]
    pub fn builtin(name: &str) -> Self {
        Self { parts: vec![Name::from("pg_catalog"), Name::from(name)] }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "{part}")?;
        }
        Ok(())
    }
}

/// Identifies a statement but for its literals: SHA-256 of its tokens, shortened to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One statement of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// PostgreSQL's command name in capitals, as command tags have it: `SELECT`, `CREATE TABLE`, `SET`.
    pub kind: &'static str,
    pub action: Action,
    /// Where the statement stands in the message's text, in bytes, without the semicolon.
    pub range: Range<usize>,
    /// Where in that text the query or data-modifying statement stands that this statement is, or wraps.
    pub query: Option<Range<usize>>,
    pub fingerprint: Fingerprint,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// SELECT, VALUES, TABLE and the WITH before them.
    Query(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    Merge(Box<Merge>),
    Copy(Box<Copy>),
    Explain {
        analyze: bool,
        inner: Box<Action>,
    },
    Prepare {
        name: Name,
        types: Vec<TypeName>,
        inner: Box<Statement>,
    },
    Execute {
        name: Name,
        arguments: Vec<Expr>,
    },
    /// `None` is ALL.
    Deallocate(Option<Name>),
    DeclareCursor {
        name: Name,
        hold: bool,
        query: Box<Query>,
    },
    /// FETCH and MOVE.
    Fetch {
        cursor: Name,
    },
    /// `None` is ALL.
    CloseCursor(Option<Name>),
    Transaction(Transaction),
    Set(Setting),
    /// RESET name; `None` is ALL.
    Reset(Option<String>),
    /// SHOW name; `None` is ALL.
    Show(Option<String>),
    /// SET ROLE and SET SESSION AUTHORIZATION, to whoever.
    SetIdentity,
    /// SET ROLE NONE, RESET ROLE, SET SESSION AUTHORIZATION DEFAULT and the like: back to who the session logged in as.
    ResetIdentity,
    SetConstraints,
    Discard,
    /// LISTEN, UNLISTEN, NOTIFY.
    Channel,
    Lock {
        relations: Vec<RelationRef>,
    },
    Truncate {
        relations: Vec<RelationRef>,
        restart_identity: bool,
        cascade: bool,
    },
    Ddl(Box<Ddl>),
    Call(Call),
    /// DO: code of its own, in a language of its own.
    Do,
    /// Everything else that PostgreSQL's grammar knows and pgward has no rule for: recognised by its leading words,
    /// denied by policy. [`Statement::kind`] says which.
    Other,
}

/// Transaction control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    Begin(TransactionModes),
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(Name),
    Release(Name),
    RollbackTo(Name),
    /// SET TRANSACTION.
    SetModes(TransactionModes),
    /// SET TRANSACTION SNAPSHOT.
    SetSnapshot,
    /// SET SESSION CHARACTERISTICS AS TRANSACTION.
    SetSessionModes(TransactionModes),
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.
    TwoPhase,
}

/// The modes that a transaction asks for; isolation level and deferrability carry no privilege and are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    pub read_only: Option<bool>,
}

/// SET of a configuration parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// In lower case; qualified names keep their dot. `SET TIME ZONE` is `timezone`, `SET NAMES` is `client_encoding`,
    /// `SET SCHEMA` is `search_path`.
    pub name: String,
    pub local: bool,
    /// The values as text, identifiers folded; `None` is DEFAULT, none at all is FROM CURRENT.
    pub values: Option<Vec<String>>,
}

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
