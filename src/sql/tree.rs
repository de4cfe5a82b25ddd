//! What a statement says, in PostgreSQL's terms: the one form that the rest of pgward sees of SQL.
//!
//! This tree keeps what access control needs (names, scopes, calls, casts, effects) and nothing of the parser's own
//! types. Names are as PostgreSQL reads them: unquoted ones folded in ASCII, all truncated to 63 bytes. Nothing here is
//! resolved: which object a name means is the catalog's business.

mod expr;
mod name;
mod query;
mod utility;
mod write;

use std::ops::Range;

pub use expr::{Argument, Call, Expr, Literal, OperatorName, Over, Subquery, SubqueryKind, TypeName};
pub use name::{Fingerprint, Name, QualifiedName};
pub use query::{
    Alias, Cte, FromItem, JoinConstraint, Query, RelationRef, RowLock, Select, SetExpr, Target, Window, With,
};
pub use utility::{Copy, CopyDirection, CopyEndpoint, CopySource, Ddl, DdlObject, DdlTarget};
pub use write::{Assignment, Delete, Insert, Merge, MergeAction, MergeWhen, OnConflict, Update};

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
